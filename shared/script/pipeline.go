package script

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Call is one of several scripts that are sent at once. The keys of a call are
// in one slot. Calls do not depend on each other.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
	// Reply is what the script returned, once [Pipeline] has run it.
	Reply Reply

	id callID
}

// Pipeline runs scripts in one round trip. Each call is treated as by [Run]: a
// call without a reply is sent once more, and the reply to another call is not
// accepted. What the scripts add to their replies is dropped.
func Pipeline(ctx context.Context, rdb redis.UniversalClient, calls ...*Call) error {
	for _, c := range calls {
		c.id = newCallID()
		c.Args = append(c.Args, c.id[:])
	}
	err := Retry(ctx, func() error {
		err := send(ctx, rdb, calls, (*redis.Script).EvalSha)
		// Outside of a pipeline Script.Run does this.
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			err = send(ctx, rdb, calls, (*redis.Script).Eval)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.Reply, _, err = c.Reply.unwrap(c.id); err != nil {
			return err
		}
	}
	return nil
}

// sender sends a script: by its hash, or with its text.
type sender = func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd

// send sends the calls that have no reply yet. It returns the first error.
func send(ctx context.Context, rdb redis.UniversalClient, calls []*Call, by sender) error {
	p := rdb.Pipeline()
	sent := map[*Call]*redis.Cmd{}
	for _, c := range calls {
		if c.Reply == nil {
			sent[c] = by(c.Script.built().Script, ctx, p, c.Keys, c.Args...)
		}
	}
	_, err := p.Exec(ctx)
	for c, cmd := range sent {
		if r, failed := cmd.Slice(); failed == nil {
			c.Reply = r
		} else if errors.Is(err, failed) {
			err = c.Script.locate(err)
		}
	}
	return err
}
