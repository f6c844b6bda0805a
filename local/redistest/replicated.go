package redistest

import (
	"context"
	"net"
	"testing"
)

// Replicated starts a redis-server and one that follows it, for this test alone. Arguments are for both, as ServerWith
// takes them. Both have the product's user, under the prefix of the first. The replica does not write; a test makes it the
// primary with Promote.
func Replicated(t testing.TB, args ...string) (primary, replica *Own) {
	t.Helper()
	args = append([]string{"--repl-diskless-sync-delay", "0"}, args...)
	primary = ServerWith(t, args...)
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica = serverFor(t, primary.Redis, append(args, "--replicaof", host+" "+port))
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	must(t, await(ctx, "the replica", func() bool { return replica.replication()["master_link_status"] == "up" }))
	return primary, replica
}

// Promote makes a replica a primary of its own, with what it has.
func (o *Own) Promote() {
	o.t.Helper()
	must(o.t, o.Client().ReplicaOf(context.Background(), "NO", "ONE").Err())
}

// Follow makes a server the replica of another, whose data takes the place of its own.
func (o *Own) Follow(primary *Own) {
	o.t.Helper()
	host, port, _ := net.SplitHostPort(primary.Addr)
	must(o.t, o.Client().ReplicaOf(context.Background(), host, port).Err())
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	must(o.t, await(ctx, "the replica", func() bool { return o.replication()["master_link_status"] == "up" }))
}
