// Package secrets reads secrets of AWS Secrets Manager: a secret that is kept
// and fetched again when needed, the key ring that is made of one, and the
// function that adds keys to it.
package secrets

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/awsenv"
)

// retryAfter is how long a secret is not fetched again, whatever the last
// attempt returned. Anybody can make an instance want a key, by inventing
// tokens; and a fetch that fails now will hardly succeed a second later.
const retryAfter = time.Minute

// refreshAfter is how old an instance's keys may be when an invocation begins,
// and so may the values of another secret. After that time a removed key opens
// nothing. Every instance also has a new key before that becomes active; see
// activationDelay.
const refreshAfter = 10 * time.Minute

// Cached is a secret that is fetched at the start and again while the process
// runs. It is safe for concurrent use. [NewCached] makes one.
type Cached struct {
	env      awsenv.Environment
	variable string // for the log
	fetch    func(context.Context) (string, error)
	use      func(text string) error

	lock  chan struct{} // guards what follows
	tried time.Time     // the last attempt of Start or Renew
	taken time.Time     // the last success
	err   error         // of the last attempt
}

// NewCached returns a secret that has not been fetched yet. The variable is the
// name of the one that has the ARN; the log names it. Each text that is fetched
// is given to use, under the lock. If use returns an error the text counts as
// not fetched, and use must have left the former one in place.
func NewCached(env awsenv.Environment, variable, arn string, use func(text string) error) *Cached {
	return &Cached{
		env: env, variable: variable, fetch: fetcher(env, arn), use: use,
		lock: make(chan struct{}, 1),
	}
}

// Lock waits until nobody else holds the lock. It returns the context's error
// if that ends first. What use stores is read and written under the lock only.
func (c *Cached) Lock(ctx context.Context) error {
	select {
	case c.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unlock releases the lock.
func (c *Cached) Unlock() { <-c.lock }

// Renew fetches the secret again, unless the last attempt was less than a
// minute ago: then it returns that attempt's error. An error leaves the former
// text in use, and is logged. The caller holds the lock.
func (c *Cached) Renew(ctx context.Context) error {
	now := c.env.WallTime()
	if since := now.Sub(c.tried); since >= 0 && since < retryAfter {
		return c.err
	}
	c.tried = now
	return c.Fetch(ctx)
}

// Fetch fetches the secret again, however long ago the last attempt was. An
// error leaves the former text in use, and is logged. The caller holds the lock,
// and decides how often Fetch is called.
func (c *Cached) Fetch(ctx context.Context) error {
	now := c.env.WallTime()
	if c.err = c.read(ctx); c.err != nil {
		c.env.Log.WarnContext(ctx, "secret not renewed",
			"variable", c.variable, "error", c.err.Error())
		return c.err
	}
	c.taken = now
	return nil
}

// Start fetches the secret for the first time. No other method may be called
// before.
func (c *Cached) Start(ctx context.Context) error {
	c.tried = c.env.WallTime()
	c.taken, c.err = c.tried, c.read(ctx)
	return c.err
}

func (c *Cached) read(ctx context.Context) error {
	text, err := c.fetch(ctx)
	if err != nil {
		return err
	}
	return c.use(text)
}

// refresh fetches the secret again if it is as old as refreshAfter, or if the
// clock was set back. The caller does not hold the lock.
func (c *Cached) refresh(ctx context.Context) {
	if c.Lock(ctx) != nil {
		return
	}
	defer c.Unlock()
	if age := c.env.WallTime().Sub(c.taken); age < 0 || age >= refreshAfter {
		_ = c.Renew(ctx) // Renew logs the error
	}
}

// refreshingHandler is a function that refreshes secrets at the start of each
// invocation: nothing runs in a Lambda between two of them.
type refreshingHandler struct {
	lambda.Handler
	secrets []*Cached
}

// withRefresh adds a secret to those that f refreshes.
func withRefresh(f lambda.Handler, c *Cached) lambda.Handler {
	h, ok := f.(refreshingHandler)
	if !ok {
		h.Handler = f
	}
	h.secrets = append(slices.Clip(h.secrets), c)
	return h
}

// Invoke implements [lambda.Handler]. It refreshes all secrets at the same time:
// if Secrets Manager does not answer, one timeout leaves time for the
// invocation, and several may not.
func (h refreshingHandler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var others sync.WaitGroup
	for _, c := range h.secrets[1:] {
		others.Go(func() { c.refresh(ctx) })
	}
	h.secrets[0].refresh(ctx)
	others.Wait()
	return h.Handler.Invoke(ctx, payload)
}
