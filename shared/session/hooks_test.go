package session_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/session"
)

// isScript tells whether a command runs a script.
func isScript(cmd redis.Cmder) bool { return cmd.Name() == "evalsha" || cmd.Name() == "eval" }

// hook is a go-redis hook made of one function around each single command, and around each pipeline as around its first
// command.
type hook func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error

func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		whole := func(ctx context.Context, _ redis.Cmder) error { return next(ctx, cmds) }
		return h(whole, ctx, cmds[0])
	}
}
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return h(next, ctx, cmd) }
}

// traffic is what a client has sent: how many commands of each name, and how many stood in each pipeline.
type traffic struct {
	commands  map[string]int
	pipelines []int
}

func (c *traffic) DialHook(next redis.DialHook) redis.DialHook { return next }
func (c *traffic) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.commands[cmd.Name()]++
		return next(ctx, cmd)
	}
}
func (c *traffic) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.pipelines = append(c.pipelines, len(cmds))
		for _, cmd := range cmds {
			c.commands[cmd.Name()]++
		}
		return next(ctx, cmds)
	}
}

// watching is the same store over a client whose traffic is counted, once it is connected.
func (w *world) watching() (*session.Store, *traffic) {
	c := w.redis.NewProduct(w.t, patient)
	must(w.t, c.Ping(ctx).Err())
	sent := &traffic{commands: map[string]int{}}
	c.AddHook(sent)
	return w.on(c, w.clock), sent
}

// beforePipelines is a hook that runs a function before each pipeline.
type beforePipelines func(cmds []redis.Cmder)

func (h beforePipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h beforePipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h beforePipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h(cmds)
		return next(ctx, cmds)
	}
}

// hookedPipelines is another client of the world's Redis, with a function that runs before each pipeline.
func (w *world) hookedPipelines(h beforePipelines) redis.UniversalClient {
	c := w.redis.NewProduct(w.t, patient)
	c.AddHook(h)
	return c
}

// hooked is another client of the world's Redis, with a hook.
func (w *world) hooked(h hook) redis.UniversalClient {
	c := w.redis.NewProduct(w.t, patient)
	c.AddHook(h)
	return c
}

// beforeScript runs call once, right before the first script that the client sends.
func (w *world) beforeScript(call func()) redis.UniversalClient {
	var done atomic.Bool
	return w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if isScript(cmd) && done.CompareAndSwap(false, true) {
			call()
		}
		return next(ctx, cmd)
	})
}

// losing is a client that runs each script and then loses the answer, once per script: what a connection that dies on
// the way back does.
func (w *world) losing(lost *atomic.Int64) redis.UniversalClient { return w.hooked(losingEach(lost)) }

// losingEach is the hook of such a client.
func losingEach(lost *atomic.Int64) hook {
	var last atomic.Value
	return func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !isScript(cmd) || err != nil {
			return err
		}
		if args := fmt.Sprint(cmd.Args()[2:]...); last.Swap(args) != args {
			lost.Add(1)
			cmd.SetErr(&net.OpError{Op: "read", Err: io.EOF})
			return cmd.Err()
		}
		return nil
	}
}

// losingOnce is a client that runs call after its first script and then loses the answer of that.
func (w *world) losingOnce(call func()) redis.UniversalClient {
	var lost atomic.Bool
	return w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !isScript(cmd) || err != nil || !lost.CompareAndSwap(false, true) {
			return err
		}
		call()
		cmd.SetErr(context.DeadlineExceeded)
		return cmd.Err()
	})
}

// doubling is a client that runs each script twice with the same arguments and compares answers and states.
func (w *world) doubling(t testing.TB, doubled *atomic.Int64) redis.UniversalClient {
	return w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !isScript(cmd) || err != nil {
			return err
		}
		doubled.Add(1)
		state := w.dump()
		second := redis.NewCmd(ctx, cmd.Args()...)
		if err := next(ctx, second); err != nil {
			t.Errorf("%v the second time", err)
		}
		if first := cmd.(*redis.Cmd).Val(); !reflect.DeepEqual(first, second.Val()) {
			t.Errorf("a script answered %.80q, and %.80q the second time", first, second.Val())
		}
		if !reflect.DeepEqual(state, w.dump()) {
			t.Error("the second run changed the state")
		}
		return nil
	})
}

// failing is a client that answers commands and pipelines with the given error, that many times.
func (w *world) failing(message string, times int) redis.UniversalClient {
	var left atomic.Int64
	left.Store(int64(times))
	return w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if left.Add(-1) >= 0 {
			cmd.SetErr(replyError(message))
			return cmd.Err()
		}
		return next(ctx, cmd)
	})
}

// replyError is an error as Redis answers it.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}
