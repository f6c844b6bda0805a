package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/eventbridge"
	"latchkey/shared/events"
	"latchkey/shared/lambdahttp"
)

// publisher is the function that publishes events. It has no route.
const publisher = "PublishEventsFunction"

// publishing is how the publisher runs on this machine. On AWS it pauses for
// some seconds of each minute. Here its next call begins when the last one has
// ended, which is three seconds before its Timeout.
var publishing = gateway.Function{Timeout: time.Minute + 3*time.Second, Schedule: time.Minute}

// lookup returns the value of a variable, and whether it is set.
type lookup func(name string) (value string, set bool)

func (l lookup) get(name string) string {
	value, _ := l(name)
	return value
}

// logEvents has events written to the log, unless EVENTS is set, to whatever
// value. The data must be on this machine: publishing removes events from their
// outbox, so a laptop would take away those of a deployment whose Redis it
// uses.
func logEvents(cfg *config.Config, lookup lookup) {
	if _, chosen := lookup("EVENTS"); chosen || !cfg.OnThisMachine() {
		return
	}
	cfg.Events.Sink = config.ToLog
	cfg.Session.Outbox.Types = cfg.Events.Types
}

// addPublisher adds the function that publishes events to the others, and
// returns the feed that gets all of them. It adds and returns nothing if none
// are published.
func addPublisher(
	all map[string]lambda.Handler, cfg config.Config, service *boot.Service, env awsenv.Environment,
) (*feed, error) {
	if cfg.Events.Sink == "" {
		return nil, nil
	}
	newBus := func(env awsenv.Environment, arn string) events.Sink {
		return eventbridge.New(env, arn)
	}
	sink, err := boot.NewSink(context.Background(), cfg, env, newBus)
	if err != nil {
		return nil, fmt.Errorf("starting: %w", err)
	}
	f := &feed{sink: sink}
	all[publisher] = service.WithKeyRefresh(lambdahttp.Scheduled(func(ctx context.Context) error {
		return service.Publish(ctx, f, cfg, env)
	}))
	return f, nil
}

// schedulePublisher has a template call the publisher if there is one, and not
// otherwise. On AWS the template decides that by a parameter.
func schedulePublisher(t *gateway.Template, all map[string]lambda.Handler) {
	delete(t.Functions, publisher)
	if all[publisher] != nil {
		t.Functions[publisher] = publishing
	}
}
