package history

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Fault is what happens to the scripts of one operation.
type Fault byte

// The faults. A store asks once more if an answer was lost.
const (
	NoFault    Fault = iota
	LoseAnswer       // the first script runs, and its answer is lost
	LoseAll          // all scripts run, and their answers are lost
	DropFirst        // the first script does not reach Redis
	DropAll          // no script reaches Redis
	RunTwice         // every script runs twice; the second answer arrives
)

var faults = [...]string{
	"no fault", "first answer lost", "all answers lost", "first request lost", "all requests lost",
	"all run twice",
}

// String returns the fault in words.
func (f Fault) String() string { return faults[int(f)%len(faults)] }

// trial has the fault of one operation and counts what happens. The context
// brings it to the hook.
type trial struct {
	fault Fault
	// struck is how many scripts the fault has hit.
	struck atomic.Int32
	// ran is how many scripts ran whose answer was kept from the store. unknown
	// is how many may have run, because of faults from outside.
	ran, unknown atomic.Int32
	// sending is called before a script is sent. It may be nil.
	sending func(args []any)
}

type trialKey struct{}

func (t *trial) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, trialKey{}, t)
}

// watcher is a hook of go-redis that causes faults and counts lost answers. On
// a cluster it is a hook of each node's client, below the redirects and retries
// of the cluster's client.
type watcher struct{}

// watch adds the hook to a client that was not used yet.
func watch(client redis.UniversalClient) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		cluster.OnNewNode(func(node *redis.Client) { node.AddHook(watcher{}) })
		return
	}
	client.AddHook(watcher{})
}

func (watcher) DialHook(next redis.DialHook) redis.DialHook { return next }

func (watcher) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return meet(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook sees the scripts that a cluster sends after ASKING, and
// the pipelines of a sweep, which only read.
func (watcher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return meet(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// meet sends commands. If a script is among them, it applies the fault of their
// operation.
func meet(ctx context.Context, cmds []redis.Cmder, send func() error) error {
	t, _ := ctx.Value(trialKey{}).(*trial)
	script := scriptOf(cmds)
	if t == nil || script == nil {
		return send()
	}
	if t.sending != nil {
		t.sending(script.Args())
	}
	first := t.struck.Load() == 0
	if t.fault == DropAll || t.fault == DropFirst && first {
		t.struck.Add(1)
		return cut(cmds)
	}
	err := send()
	switch {
	case mayHaveRun(err):
		t.unknown.Add(1)
	case err != nil:
	case t.fault == LoseAll, t.fault == LoseAnswer && first:
		t.struck.Add(1)
		t.ran.Add(1)
		return cut(cmds)
	case t.fault == RunTwice:
		t.struck.Add(1)
		t.ran.Add(1)
		return send()
	}
	return err
}

// cut returns the error of a connection that is closed.
func cut(cmds []redis.Cmder) error {
	err := &net.OpError{Op: "read", Net: "tcp", Err: io.EOF}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
	return err
}

func scriptOf(cmds []redis.Cmder) redis.Cmder {
	for _, cmd := range cmds {
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			return cmd
		}
	}
	return nil
}

// mayHaveRun reports whether a command that returned err may have taken effect:
// Redis was asked and did not answer.
func mayHaveRun(err error) bool {
	var answer redis.Error
	var op *net.OpError
	switch {
	case err == nil, errors.As(err, &answer):
		return false
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	case errors.As(err, &op) && op.Op == "dial":
		return false
	}
	return true
}
