package session

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// call is one of several scripts that are sent at once. Each has keys of its own slot and knows nothing of the others.
type call struct {
	script script
	keys   []string
	args   []any

	id    operation // names the call, as in run
	reply reply
}

// runTogether runs scripts in one trip, and is run for each of them: what was not answered is asked once more, and no
// reply is taken for another's.
func (s *Store) runTogether(ctx context.Context, calls ...*call) error {
	for _, c := range calls {
		c.id = newOperation()
		c.args = append(c.args, c.id[:])
	}
	err := again(ctx, func() error {
		err := s.send(ctx, calls, (*redis.Script).EvalSha)
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // which Script.Run sees to, outside of a pipeline
			err = s.send(ctx, calls, (*redis.Script).Eval)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range calls {
		if c.reply, _, err = c.reply.unwrap(c.id); err != nil {
			return err
		}
	}
	return nil
}

// send asks for what was not answered yet, and fails with the first error.
func (s *Store) send(ctx context.Context, calls []*call,
	how func(*redis.Script, context.Context, redis.Scripter, []string, ...any) *redis.Cmd) error {
	p := s.rdb.Pipeline()
	asked := map[*call]*redis.Cmd{}
	for _, c := range calls {
		if c.reply == nil {
			asked[c] = how(c.script(), ctx, p, c.keys, c.args...)
		}
	}
	_, err := p.Exec(ctx)
	for c, cmd := range asked {
		if r, failed := cmd.Slice(); failed == nil {
			c.reply = r
		} else if errors.Is(err, failed) {
			err = c.script.locate(err)
		}
	}
	return err
}
