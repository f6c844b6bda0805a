package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

// schedules calls the functions of a template that have a schedule. If a call
// takes longer than its interval, the next call is delayed.
type schedules struct {
	calls  []call
	log    *slog.Logger
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// call is one function with its schedule.
type call struct {
	id       string
	function gateway.Function
	handler  lambda.Handler
}

// newSchedules returns the schedules of a template's functions.
func newSchedules(
	t *gateway.Template, functions map[string]lambda.Handler, log *slog.Logger,
) *schedules {
	s := &schedules{log: log, cancel: func() {}}
	for id, f := range t.Functions {
		if f.Schedule > 0 {
			s.calls = append(s.calls, call{id: id, function: f, handler: functions[id]})
		}
	}
	return s
}

// start calls each function at once, and then at its interval.
func (s *schedules) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for _, c := range s.calls {
		s.ended.Go(func() { s.repeat(ctx, c) })
	}
}

// stop cancels the calls under way and returns when they have ended.
func (s *schedules) stop() {
	s.cancel()
	s.ended.Wait()
}

func (s *schedules) repeat(ctx context.Context, c call) {
	clock := time.NewTicker(c.function.Schedule)
	defer clock.Stop()
	for {
		s.once(ctx, c)
		select {
		case <-ctx.Done():
			return
		case <-clock.C:
		}
	}
}

// once calls a function with the deadline that it would have as a Lambda.
func (s *schedules) once(ctx context.Context, c call) {
	inTime, cancel := context.WithTimeout(ctx, c.function.Timeout)
	defer cancel()
	defer func() {
		// A panic would end only the Lambda, not the scheduler.
		if p := recover(); p != nil {
			s.log.Error("function failed", "function", c.id, "error", fmt.Sprint("panic: ", p))
		}
	}()
	if _, err := c.handler.Invoke(inTime, []byte("{}")); err != nil && ctx.Err() == nil {
		s.log.Error("function failed", "function", c.id, "error", err.Error())
	}
}
