package sockets

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// Handler serves $connect, $disconnect and $default of a WebSocket API. It
// keeps track of connections, and has next answer the handshake and the
// messages. It refuses the handshake of a session that has ended, although the
// authorizer allowed it just before, and one whose connection it cannot store.
func Handler(table Table, now func() time.Time, next lambda.Handler) lambda.Handler {
	return handler{table, now, next}
}

type handler struct {
	table Table
	now   func() time.Time
	next  lambda.Handler
}

// Invoke implements [lambda.Handler].
func (h handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayWebsocketProxyRequest
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	allowed, _ := event.RequestContext.Authorizer.(map[string]any)
	session, _ := allowed["sessionId"].(string)
	c := Connection{event.RequestContext.ConnectionID, session, h.now()}
	switch {
	case session == "" || c.ID == "":
		return answer(http.StatusInternalServerError) // deployed without the authorizer
	case event.RequestContext.EventType == "CONNECT":
		return h.connect(ctx, c, payload)
	case event.RequestContext.EventType == "DISCONNECT":
		if err := h.table.Remove(ctx, c); err != nil {
			return nil, fmt.Errorf("removing the connection: %w", err)
		}
		return answer(http.StatusOK)
	}
	return h.next.Invoke(ctx, payload)
}

// connect stores a connection, and then asks whether its session has ended in
// the meantime. If it ends later, [Consumer] finds the connection.
func (h handler) connect(ctx context.Context, c Connection, payload []byte) ([]byte, error) {
	if err := h.table.Put(ctx, c); err != nil {
		return nil, fmt.Errorf("storing the connection: %w", err)
	}
	ended, err := h.table.HasEnded(ctx, c.Session)
	if err != nil {
		return nil, fmt.Errorf("asking whether the session has ended: %w", err)
	}
	if ended {
		// If it stays, it is removed when its time is over.
		_ = h.table.Remove(ctx, c)
		return answer(http.StatusForbidden)
	}
	return h.next.Invoke(ctx, payload)
}

func answer(status int) ([]byte, error) {
	return json.Marshal(events.APIGatewayProxyResponse{StatusCode: status})
}
