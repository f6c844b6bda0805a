// Package eventbridge sends messages to a bus of Amazon EventBridge. It links
// AWS's client of it, so only what publishes imports it.
package eventbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"latchkey/shared/awsenv"
	"latchkey/shared/events"
)

const (
	// batch is how many entries EventBridge takes at once.
	batch = 10
	// putTimeout bounds one call.
	putTimeout = 10 * time.Second
	// idleTimeout is how long a connection is kept that is not in use.
	idleTimeout = 30 * time.Second
)

// Sink is a bus. It implements [events.Sink].
type Sink struct {
	client *eventbridge.Client
	bus    string
}

// New returns the bus with that ARN. The role of the process must be allowed
// events:PutEvents on it. AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL, if
// set, replaces the region's endpoint.
func New(env awsenv.Environment, bus string) *Sink {
	return &Sink{bus: bus, client: eventbridge.New(eventbridge.Options{
		Region:       awsenv.Region(bus),
		Credentials:  env,
		Retryer:      aws.NopRetryer{}, // the publisher tries again
		HTTPClient:   newHTTPClient(),
		BaseEndpoint: env.Endpoint("AWS_ENDPOINT_URL_EVENTBRIDGE"),
	})}
}

// newHTTPClient returns a client that uses connections again, unlike those for
// calls that are minutes apart: a publisher may send many batches a second. A
// connection that died while the function was frozen costs one retry.
func newHTTPClient() *http.Client {
	client := awsenv.NewHTTPClient(putTimeout)
	if t, ok := client.Transport.(*http.Transport); ok {
		t.DisableKeepAlives, t.IdleConnTimeout = false, idleTimeout
	}
	return client
}

// Batch implements [events.Sink].
func (s *Sink) Batch() int { return batch }

// Send implements [events.Sink]. An entry that EventBridge says is malformed is
// refused. What throttles, what the role may not do, and every other fault has
// nothing to do with the entry: it failed.
func (s *Sink) Send(ctx context.Context, all []events.Delivery) ([]events.Result, error) {
	results := make([]events.Result, len(all))
	entries, err := s.entries(all)
	if err != nil {
		return results, err
	}
	out, err := s.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: entries})
	if err != nil {
		return s.refused(ctx, all, err)
	}
	var faults error
	for i := range min(len(results), len(out.Entries)) {
		entry := out.Entries[i]
		switch code := aws.ToString(entry.ErrorCode); {
		case code == "":
			results[i] = events.Accepted
		case code == "MalformedDetail" || code == "InvalidArgument":
			results[i] = events.Refused
			fallthrough
		default:
			faults = errors.Join(faults, fmt.Errorf("EventBridge answers %s for an event of the type %s",
				code, all[i].Type))
		}
	}
	return results, faults
}

func (s *Sink) entries(all []events.Delivery) ([]types.PutEventsRequestEntry, error) {
	entries := make([]types.PutEventsRequestEntry, len(all))
	for i, d := range all {
		detail, err := json.Marshal(d.Message)
		if err != nil {
			return nil, err
		}
		entries[i] = types.PutEventsRequestEntry{
			EventBusName: &s.bus, Source: aws.String(events.Source),
			DetailType: aws.String(string(d.Type)), Detail: aws.String(string(detail)),
			Time: aws.Time(d.At),
		}
	}
	return entries, nil
}

// refused returns the results of a call that failed as a whole. If EventBridge
// says that the call itself is wrong, each entry is sent alone, so that one of
// them does not stop the others.
func (s *Sink) refused(
	ctx context.Context, all []events.Delivery, err error,
) ([]events.Result, error) {
	results := make([]events.Result, len(all))
	if !isAboutEntries(err) {
		return results, fmt.Errorf("EventBridge: %w", describe(err))
	}
	if len(all) == 1 {
		results[0] = events.Refused
		return results, fmt.Errorf("EventBridge refuses an event: %w", describe(err))
	}
	var faults error
	for i := range all {
		one, err := s.Send(ctx, all[i:i+1])
		results[i], faults = one[0], errors.Join(faults, err)
	}
	return results, faults
}

// isAboutEntries reports whether an error says that what was sent is wrong.
func isAboutEntries(err error) bool {
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ValidationException" {
		return true
	}
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusRequestEntityTooLarge
}

// describe returns an error of EventBridge as it may be logged: its code and
// message, without the request's id. An error about the signature is cut to its
// code: its message may repeat the request, which has the role's session token.
func describe(err error) error {
	var api smithy.APIError
	switch {
	case !errors.As(err, &api):
		return err
	case strings.Contains(api.ErrorCode(), "Signature"):
		return errors.New(api.ErrorCode())
	}
	return fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
}
