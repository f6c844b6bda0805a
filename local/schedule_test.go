package main // the schedules are not exported: a command has no other package

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
	"latchkey/shared/boot"
)

// ticking is a Lambda that notes when it was called.
type ticking struct {
	start time.Time
	calls []time.Duration
	work  func(ctx context.Context) error
}

func (f *ticking) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	f.calls = append(f.calls, time.Since(f.start))
	return nil, f.work(ctx)
}

// everyMinute runs a function by the clock for a time and returns what it was called for, and the log.
func everyMinute(runFor time.Duration, work func(context.Context) error) ([]time.Duration, string) {
	var logged bytes.Buffer
	f := &ticking{start: time.Now(), work: work}
	s := newSchedules(&gateway.Template{Functions: map[string]gateway.Function{
		"TickFunction": {Timeout: 55 * time.Second, Schedule: time.Minute},
		"HTTPFunction": {Timeout: 10 * time.Second},
	}}, map[string]lambda.Handler{"TickFunction": f}, boot.NewLogger(&logged))
	s.start()
	time.Sleep(runFor)
	s.stop()
	return f.calls, logged.String()
}

func TestSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, log := everyMinute(150*time.Second, func(ctx context.Context) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != 55*time.Second {
				t.Errorf("deadline in %v", time.Until(deadline))
			}
			return nil
		})
		if len(calls) != 3 || calls[0] != 0 || calls[1] != time.Minute || calls[2] != 2*time.Minute || log != "" {
			t.Errorf("called at %v, logged %q", calls, log)
		}
	})
}

// One that fails is logged and called again.
func TestSchedules_failure(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("redis is away") },
		"panic": func(context.Context) error { panic("redis is away") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, log := everyMinute(90*time.Second, fail)
				if len(calls) != 2 || strings.Count(log, "redis is away") != 2 || !strings.Contains(log, "TickFunction") {
					t.Errorf("called at %v, logged %q", calls, log)
				}
			})
		})
	}
}

// A call that is under way when the server ends is broken off and waited for, and that is no failure.
func TestSchedules_stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		_, log := everyMinute(time.Second, func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return ctx.Err()
		})
		if !ended || log != "" {
			t.Errorf("ended %v, logged %q", ended, log)
		}
	})
}
