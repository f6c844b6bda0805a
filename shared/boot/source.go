package boot

import (
	"context"
	"time"

	"latchkey/shared/awsenv"
)

// retryAfter is how long a secret is not asked for again, whatever came of the last time: whoever makes tokens up can make
// an instance ask, and what an instance cannot have now it will hardly have in a second.
const retryAfter = time.Minute

// source is a secret that is fetched at the start and again while the process runs. It is safe for concurrent use.
type source struct {
	env awsenv.Environment
	// variable names the secret in the log.
	variable string
	fetch    func(context.Context) (string, error)
	// take makes use of a new text, or refuses it and leaves the former in use.
	take func(text string) error

	// turn is held by whoever reads or writes what stands below it.
	turn  chan struct{}
	tried time.Time // when it was last asked for
	taken time.Time // when it was last taken up
	err   error     // what came of the last time
}

func newSource(env awsenv.Environment, variable, arn string, take func(string) error) source {
	return source{env: env, variable: variable, fetch: fetcher(env, arn), take: take, turn: make(chan struct{}, 1)}
}

// hold waits for the turn. It fails where ctx is done first.
func (s *source) hold(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *source) release() { <-s.turn }

// renew fetches the secret, unless that was tried within the last minute: then what came of it holds. A failure leaves
// the former text in use, and is logged. The turn must be held.
func (s *source) renew(ctx context.Context) error {
	now := s.env.WallTime()
	if since := now.Sub(s.tried); since >= 0 && since < retryAfter {
		return s.err
	}
	s.tried = now
	if s.err = s.read(ctx); s.err != nil {
		s.env.Log.WarnContext(ctx, "secret not renewed", "variable", s.variable, "error", s.err.Error())
		return s.err
	}
	s.taken = now
	return nil
}

// start fetches the secret for the first time.
func (s *source) start(ctx context.Context) error {
	s.tried = s.env.WallTime()
	s.taken, s.err = s.tried, s.read(ctx)
	return s.err
}

func (s *source) read(ctx context.Context) error {
	text, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	return s.take(text)
}
