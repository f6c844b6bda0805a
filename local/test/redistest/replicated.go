package redistest

import (
	"context"
	"net"
	"slices"
	"strconv"
	"testing"
)

// Replicated starts a redis-server and one that follows it, for this test alone. Arguments are for both, as ServerWith
// takes them. Both have the product's user, under the prefix of the first. The replica does not write; a test makes it the
// primary with Promote.
func Replicated(t testing.TB, args ...string) (primary, replica *Own) {
	t.Helper()
	args = append([]string{"--repl-diskless-sync-delay", "0"}, args...)
	primary = ServerWith(t, args...)
	replica = ReplicaWith(t, primary, args...)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	must(t, await(ctx, "the replica", func() bool { return replica.replication()["master_link_status"] == "up" }))
	return primary, replica
}

// ReplicaWith starts a redis-server that follows another, with further arguments, and does not wait until it has its data.
func ReplicaWith(t testing.TB, primary *Own, args ...string) *Own {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.Addr)
	return serverFor(t, primary.Redis, slices.Concat(args, []string{"--replicaof", host + " " + port}))
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

// CatchUp returns when a replica has all that its primary has now.
func (o *Own) CatchUp(primary *Own) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	want := primary.offset("master_repl_offset")
	must(o.t, await(ctx, "the replica to catch up", func() bool {
		return o.replication()["master_link_status"] == "up" && o.offset("slave_repl_offset") >= want
	}))
}

// offset is how much of the stream of writes a server has sent or received; -1 where it does not say.
func (o *Own) offset(name string) int {
	n, err := strconv.Atoi(o.replication()[name])
	if err != nil {
		return -1
	}
	return n
}

// FallBehind lets a replica have all that its primary has now, and then nothing more: what the primary acknowledges from
// now on, it alone has. It ends the replica's link and gives it a password that the primary does not take, so that the
// link stays down until the replica is promoted.
func (o *Own) FallBehind(primary *Own) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	o.CatchUp(primary)
	must(o.t, o.Client().ConfigSet(ctx, "masteruser", "nobody").Err())
	must(o.t, o.Client().ConfigSet(ctx, "masterauth", "nothing").Err())
	must(o.t, primary.Client().ClientKillByFilter(ctx, "type", "replica").Err())
	must(o.t, await(ctx, "the link to end", func() bool {
		return o.replication()["master_link_status"] == "down" && primary.replication()["connected_slaves"] == "0"
	}))
}
