package redisconn

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// newCluster makes a client for Redis Cluster, which also requires the hook
// [showing]. It follows a redirect once, as
// the store expects. A slot that moves twice is left to the store's own second
// attempt.
func newCluster(o *redis.UniversalOptions) *redis.ClusterClient {
	cluster := o.Cluster()
	cluster.MaxRedirects = 1
	// Reads go to primaries too: a replica may not know yet that a session
	// ended.
	cluster.ReadOnly = false
	// Routing by the key alone. Otherwise the client starts by asking a node
	// for the table of all commands.
	cluster.DisableRoutingPolicies = true
	client := redis.NewClusterClient(cluster)
	client.OnNewNode(func(node *redis.Client) { node.AddHook(hiding{}) })
	return client
}

// lost is the error of a connection to a node, in a form that the cluster
// client does not recognise. The client would take the error for a redirect
// that did not arrive, and send the command again without the store's
// knowledge; if Redis is down, a request would wait twice as long. Pipelines do
// not come here: the client repeats them once, and everything that is sent in
// one may be repeated.
type lost struct{ reason error }

// Error implements the error interface.
func (l lost) Error() string { return l.reason.Error() }

// isLost reports whether an error is one of the connection, and not a reply.
func isLost(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}

// hiding is the hook of each node. It wraps errors in lost.
type hiding struct{}

// DialHook implements [redis.Hook].
func (hiding) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (hiding) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if isLost(err) {
			return lost{err}
		}
		return err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (hiding) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// showing is the hook of the whole client. It unwraps lost.
type showing struct{ client *redis.ClusterClient }

// DialHook implements [redis.Hook].
func (showing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (s showing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return s.reason(ctx, next(ctx, cmd)) }
}

// ProcessPipelineHook implements [redis.Hook].
func (s showing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return s.reason(ctx, next(ctx, cmds))
	}
}

// reason unwraps an error. If a node cannot be reached, another one may have
// its slots now. The client finds that out from redirects alone, so reason
// makes it ask.
func (s showing) reason(ctx context.Context, err error) error {
	if isLost(err) {
		s.client.ReloadState(ctx)
	}
	// The error of opening a connection is wrapped twice.
	for hidden := (lost{}); errors.As(err, &hidden); {
		err = hidden.reason
	}
	return err
}
