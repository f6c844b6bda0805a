package sockets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// Consumer returns a function for a queue of SQS that a rule of EventBridge
// fills. It closes the connections of sessions that have ended. It reports the
// messages that failed, so that the queue delivers them again, and no others.
//
// The order of events does not matter, since a session ends once, and neither
// do repeats: what is closed already is gone.
func Consumer(
	table Table, closer Closer, now func() time.Time, log *slog.Logger,
) lambda.Handler {
	return lambda.NewHandler(consumer{table, closer, now, log}.consume)
}

type consumer struct {
	table  Table
	closer Closer
	now    func() time.Time
	log    *slog.Logger
}

func (c consumer) consume(
	ctx context.Context, batch events.SQSEvent,
) (failed events.SQSEventResponse, _ error) {
	for _, message := range batch.Records {
		err := c.take(ctx, message.Body)
		if err == nil {
			continue
		}
		c.log.WarnContext(ctx, "event is delivered again",
			"messageId", message.MessageId, "error", err.Error())
		failed.BatchItemFailures = append(failed.BatchItemFailures,
			events.SQSBatchItemFailure{ItemIdentifier: message.MessageId})
	}
	return failed, nil
}

// take reads an event as EventBridge passes it on, and does what it asks for.
func (c consumer) take(ctx context.Context, body string) error {
	var event struct {
		DetailType string `json:"detail-type"`
		Detail     struct {
			SessionID string `json:"sessionId"`
		} `json:"detail"`
	}
	if err := json.Unmarshal([]byte(body), &event); err != nil {
		return fmt.Errorf("reading the event: %w", err)
	}
	if event.DetailType != "session.ended" || event.Detail.SessionID == "" {
		return fmt.Errorf("the event of type %q does not end a session", event.DetailType)
	}
	return c.end(ctx, event.Detail.SessionID)
}

// end closes the connections of a session. See the comment of the package for
// the order.
func (c consumer) end(ctx context.Context, session string) error {
	if err := c.table.End(ctx, session); err != nil {
		return fmt.Errorf("storing that the session has ended: %w", err)
	}
	connections, err := c.table.Of(ctx, session)
	if err != nil {
		return fmt.Errorf("finding the connections of the session: %w", err)
	}
	var faults error
	for _, connection := range connections {
		faults = errors.Join(faults, c.close(ctx, connection))
	}
	return faults
}

// close closes a connection, and removes it. API Gateway says that a connection
// is gone also while it is opening: then it is tried again later.
func (c consumer) close(ctx context.Context, connection Connection) error {
	err := c.closer.Close(ctx, connection.ID)
	if errors.Is(err, ErrGone) {
		if c.now().Sub(connection.Opened) < LongestHandshake {
			return errors.New("closing the connection: it may still be opening")
		}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("closing the connection: %w", err)
	}
	if err := c.table.Remove(ctx, connection); err != nil {
		return fmt.Errorf("removing the connection: %w", err)
	}
	return nil
}
