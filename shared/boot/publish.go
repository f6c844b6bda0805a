package boot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/events"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/secrets"
)

// NewBus returns the bus of EventBridge with that ARN. It is eventbridge.New.
// This package does not import eventbridge: every function would link AWS's
// client of it.
type NewBus func(env awsenv.Environment, arn string) events.Sink

// RunPublisher is the main of the function that publishes events, which a
// schedule calls each minute. It differs from [Run] in that it serves no route.
func RunPublisher(newBus NewBus) {
	serve(func(env awsenv.Environment, out io.Writer) (lambda.Handler, func() error, error) {
		cfg, service, err := start(env, out, config.LoadPublisher, nil)
		if err != nil {
			return nil, nil, err
		}
		return service.publisher(cfg, env, newBus), service.Close, nil
	})
}

// publisher returns the function that publishes events, for a schedule to
// call, and that replays them if an operator asks for it; see
// [Service.withReplay]. A secret of webhooks is fetched for each invocation: a
// new one is used within a minute.
func (s *Service) publisher(
	cfg config.Config, env awsenv.Environment, newBus NewBus,
) lambda.Handler {
	newBus = once(newBus)
	newSink := func(ctx context.Context) (events.Sink, error) {
		return NewSink(ctx, cfg, env, newBus)
	}
	publish := lambdahttp.Scheduled(func(ctx context.Context) error {
		sink, err := newSink(ctx)
		if err != nil {
			s.API.Count(api.Faults)
			return fmt.Errorf("publishing events: %w", err)
		}
		return s.Publish(ctx, sink, cfg, env)
	})
	return s.WithKeyRefresh(s.withReplay(publish, cfg.Events, newSink))
}

// once returns a function that makes the bus at its first call only, so that
// its connections are used again.
func once(newBus NewBus) NewBus {
	var bus events.Sink
	return func(env awsenv.Environment, arn string) events.Sink {
		if bus == nil {
			bus = newBus(env, arn)
		}
		return bus
	}
}

// NewSink returns where a configuration says that events go. It returns an
// error if that is nowhere, or if the secret of a webhook cannot be read.
func NewSink(
	ctx context.Context, cfg config.Config, env awsenv.Environment, newBus NewBus,
) (events.Sink, error) {
	e := cfg.Events
	if err := e.CheckSink(); err != nil {
		return nil, err
	}
	switch e.Sink {
	case config.ToEventBridge:
		return newBus(env, e.Bus), nil
	case config.ToWebhook:
		secret := string(e.WebhookSecret)
		if e.WebhookSecretARN != "" {
			var err error
			if secret, err = secrets.FetchWebhookSecret(ctx, e.WebhookSecretARN, env); err != nil {
				return nil, err
			}
		}
		return events.NewWebhook(string(e.WebhookURL), secret, env.Now)
	}
	return events.NewLog(env.Log), nil
}

// publishSpare is how long before its deadline a publisher stops: what it has
// sent until then must also be removed.
const publishSpare = 3 * time.Second

// Publish publishes events until shortly before ctx ends. It logs what it did,
// and returns the error of Redis if it could not read the outboxes in the end.
// The next call goes on with what this one knows of events that were not
// accepted.
func (s *Service) Publish(
	ctx context.Context, sink events.Sink, cfg config.Config, env awsenv.Environment,
) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-publishSpare))
		defer cancel()
	}
	warn := func(what string, err error) { env.Log.Warn(what, "error", err.Error()) }
	s.publishing.Lock()
	defer s.publishing.Unlock()
	if s.events == nil {
		s.events = events.NewPublisher(s.store, sink, cfg.Events.Details, env.Now, warn)
	}
	s.events.Use(sink) // the webhook's secret may have been replaced
	done, err := s.events.Run(ctx)
	env.Log.LogAttrs(ctx, slog.LevelInfo, "publisher",
		slog.Int("published", done.Published), slog.Int("retried", done.Retried),
		slog.Int("refused", done.Refused), slog.Int("dropped", done.Dropped),
		slog.Float64("oldestSeconds", done.Oldest.Seconds()))
	measure(done, cfg.API.Metric)
	if err != nil {
		s.API.Count(api.Faults)
		return fmt.Errorf("publishing events: %w", err)
	}
	return nil
}

// measure counts what a publisher did. CloudWatch charges for each metric in
// the hours in which it has a value, so only the age is measured if it is 0:
// its absence shows that no publisher runs.
func measure(done events.Progress, metric func(api.Metric, float64)) {
	if metric == nil {
		return
	}
	metric(api.EventsAge, done.Oldest.Seconds())
	for name, count := range map[api.Metric]int{
		api.EventsPublished: done.Published, api.EventsRetried: done.Retried,
		api.EventsRefused: done.Refused, api.EventsDropped: done.Dropped,
	} {
		if count > 0 {
			metric(name, float64(count))
		}
	}
}
