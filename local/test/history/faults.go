package history

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Fault is what befalls the scripts of one operation.
type Fault byte

// The faults. A store asks once more where an answer was lost.
const (
	NoFault    Fault = iota
	LoseAnswer       // of the first script, which ran
	LoseAll          // answers; the scripts ran
	DropFirst        // script, which does not reach Redis
	DropAll          // scripts
	RunTwice         // every script; the second answer is the one that arrives
)

var faults = [...]string{"no fault", "first answer lost", "all answers lost", "first request lost", "all requests lost", "all run twice"}

// String is the fault in words.
func (f Fault) String() string { return faults[int(f)%len(faults)] }

// trial is what an operation meets on its way, handed to the hook in its context.
type trial struct {
	fault Fault
	// struck is how many scripts the fault has befallen.
	struck atomic.Int32
	// ran is how many scripts have run whose answer was kept from the store, and unknown how many may have run, by faults
	// that nobody here knows of.
	ran, unknown atomic.Int32
	// sending is told of a script before it is sent; nil for nobody.
	sending func(args []any)
}

type trialKey struct{}

func (t *trial) in(ctx context.Context) context.Context { return context.WithValue(ctx, trialKey{}, t) }

// watcher is a hook of go-redis that brings faults about and counts lost answers. On a cluster it sits at each node's
// client, below the redirects and repeats of the cluster's.
type watcher struct{}

// watch puts the hook on a client that has not been used yet.
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

// ProcessPipelineHook sees a script that a cluster sends behind ASKING, and the pipelines of a sweep, which only read.
func (watcher) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return meet(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// meet sends commands, and lets the fault of their operation befall them where a script is among them.
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

// cut answers as a connection that dies.
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

// mayHaveRun tells whether what failed with an error may have taken effect: Redis did not answer, and was asked.
func mayHaveRun(err error) bool {
	var answer redis.Error
	var op *net.OpError
	switch {
	case err == nil, errors.As(err, &answer), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	case errors.As(err, &op) && op.Op == "dial":
		return false
	}
	return true
}
