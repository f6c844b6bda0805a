package boot

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// newCluster makes a client for Redis Cluster. A redirect is followed once, as the store expects of a client; a slot that
// moves twice is left to the store's own second attempt.
func newCluster(o *redis.UniversalOptions) *redis.ClusterClient {
	cluster := o.Cluster()
	cluster.MaxRedirects = 1
	// Reads go to primaries, as all else: a replica may not know yet that a session ended.
	cluster.ReadOnly = false
	// Routing by the key alone. Else the client asks the first node for the table of all commands before it does anything.
	cluster.DisableRoutingPolicies = true
	client := redis.NewClusterClient(cluster)
	client.OnNewNode(func(node *redis.Client) { node.AddHook(hiding{}) })
	client.AddHook(showing{client})
	return client
}

// lost is a fault of a connection to a node, in a form that says nothing to the cluster client. The client would see a
// redirect in it that has not come yet, and send the command again behind the store's back; with a Redis that is away, a
// request would wait twice as long. Pipelines do not pass here: the client repeats them once, which all that goes in one
// allows.
type lost struct{ reason error }

// Error implements error.
func (l lost) Error() string { return l.reason.Error() }

// isLost tells of a fault of the connection, as against an answer.
func isLost(err error) bool {
	var answer redis.Error
	return err != nil && !errors.As(err, &answer)
}

// hiding is the hook of each node.
type hiding struct{}

// DialHook implements redis.Hook.
func (hiding) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (hiding) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if isLost(err) {
			return lost{err}
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (hiding) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// showing is the hook of the whole client.
type showing struct{ client *redis.ClusterClient }

// DialHook implements redis.Hook.
func (showing) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (s showing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return s.reason(ctx, next(ctx, cmd)) }
}

// ProcessPipelineHook implements redis.Hook.
func (s showing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return s.reason(ctx, next(ctx, cmds)) }
}

// reason takes a fault out again. A node that cannot be reached may have handed its slots to another: the client, which
// learns that from redirects alone, is told to ask.
func (s showing) reason(ctx context.Context, err error) error {
	if isLost(err) {
		s.client.ReloadState(ctx)
	}
	var fault lost
	if errors.As(err, &fault) {
		return fault.reason
	}
	return err
}
