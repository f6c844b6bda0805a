package script

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Call is one of several scripts that are sent at once. Each has the keys of
// one slot and is independent of the others.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
	// Reply is what the script returned, once [Pipeline] has run it; nil if it
	// failed. Emitted are the strings that it added; see [Run].
	Reply   Reply
	Emitted string

	id callID
}

// Pipeline runs scripts in one round trip, each as [Run] does: calls without a
// reply are sent once more, and no call accepts the reply of another. Its errors
// are those of Run. Calls that have a reply have run in spite of an error.
func Pipeline(ctx context.Context, rdb redis.UniversalClient, calls ...*Call) error {
	return PipelineWith(ctx, rdb, func(redis.Pipeliner) {}, calls...)
}

// PipelineWith is [Pipeline] with further commands in the same round trip. The
// function queues them, each time anew if they are sent again. A key that does
// not exist is no error.
func PipelineWith(
	ctx context.Context, rdb redis.UniversalClient, queue func(redis.Pipeliner), calls ...*Call,
) error {
	for _, c := range calls {
		c.id = newCallID()
		c.Args = append(c.Args, c.id[:])
	}
	err := Retry(ctx, func() error {
		err := send(ctx, rdb, queue, calls, (*redis.Script).EvalSha)
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // outside of a pipeline, Script.Run does this
			err = send(ctx, rdb, queue, calls, (*redis.Script).Eval)
		}
		return err
	})
	for _, c := range calls {
		if c.Reply == nil && err != nil {
			continue
		}
		var crossed error
		if c.Reply, c.Emitted, crossed = c.Reply.unwrap(c.id); err == nil {
			err = crossed
		}
	}
	return err
}

// sender sends a script, by its name or with its text.
type sender = func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd

// send sends further commands, and the calls that have no reply yet. It returns
// the first error.
func send(
	ctx context.Context, rdb redis.UniversalClient, queue func(redis.Pipeliner),
	calls []*Call, by sender,
) error {
	p := rdb.Pipeline()
	queue(p)
	sent := map[*Call]*redis.Cmd{}
	for _, c := range calls {
		if c.Reply == nil {
			sent[c] = by(c.Script.built().Script, ctx, p, c.Keys, c.Args...)
		}
	}
	err := firstError(p.Exec(ctx))
	located := false
	for _, c := range calls {
		cmd := sent[c]
		if cmd == nil {
			continue
		}
		r, failed := cmd.Slice()
		switch {
		case failed == nil:
			c.Reply = r
		case !located && errors.Is(err, failed):
			err, located = c.Script.locate(err), true
		}
	}
	return err
}

// firstError returns the first error of a pipeline that is not about a missing
// key.
func firstError(cmds []redis.Cmder, err error) error {
	if !errors.Is(err, redis.Nil) {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}
