package redistest

import (
	"context"
	"net"
	"slices"
	"strconv"
	"testing"
)

// Replicated starts a server and a replica of it, for this test alone. The
// arguments are for both, see [Engine.ServerWith]. Both have the product's user,
// under the prefix of the primary. The replica is read-only until a test calls
// [Own.Promote].
func (e Engine) Replicated(t testing.TB, args ...string) (primary, replica *Own) {
	t.Helper()
	args = append([]string{"--repl-diskless-sync-delay", "0"}, args...)
	primary = e.ServerWith(t, args...)
	replica = ReplicaWith(t, primary, args...)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	must(t, await(ctx, "the replica", func() bool {
		return replica.replication()["master_link_status"] == "up"
	}))
	return primary, replica
}

// ReplicaWith starts a replica of a server, of the same engine, with further
// arguments. It does not wait until the replica has its data.
func ReplicaWith(t testing.TB, primary *Own, args ...string) *Own {
	t.Helper()
	host, port, _ := net.SplitHostPort(primary.Addr)
	args = slices.Concat(args, []string{"--replicaof", host + " " + port})
	return serverFor(t, primary.Redis, args)
}

// Promote makes a replica a primary, with the data that it has.
func (o *Own) Promote() {
	o.t.Helper()
	must(o.t, o.Client().ReplicaOf(context.Background(), "NO", "ONE").Err())
}

// Follow makes a server a replica of another one. The data of that one replaces
// its own.
func (o *Own) Follow(primary *Own) {
	o.t.Helper()
	host, port, _ := net.SplitHostPort(primary.Addr)
	must(o.t, o.Client().ReplicaOf(context.Background(), host, port).Err())
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	must(o.t, await(ctx, "the replica", func() bool {
		return o.replication()["master_link_status"] == "up"
	}))
}

// CatchUp waits until a replica has all that its primary has now.
func (o *Own) CatchUp(primary *Own) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	want := primary.offset("master_repl_offset")
	must(o.t, await(ctx, "the replica to catch up", func() bool {
		return o.replication()["master_link_status"] == "up" &&
			o.offset("slave_repl_offset") >= want
	}))
}

// offset returns how much of the stream of writes a server has sent or
// received. It is -1 if the server does not say.
func (o *Own) offset(name string) int {
	n, err := strconv.Atoi(o.replication()[name])
	if err != nil {
		return -1
	}
	return n
}

// FallBehind gives a replica all that its primary has now, and then nothing
// more: only the primary keeps what it acknowledges from now on. It closes the
// replica's link and sets a password that the primary refuses, so that the link
// stays down until the replica is promoted.
func (o *Own) FallBehind(primary *Own) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	o.CatchUp(primary)
	must(o.t, o.Client().ConfigSet(ctx, "masteruser", "nobody").Err())
	must(o.t, o.Client().ConfigSet(ctx, "masterauth", "nothing").Err())
	must(o.t, primary.Client().ClientKillByFilter(ctx, "type", "replica").Err())
	must(o.t, await(ctx, "the link to end", func() bool {
		return o.replication()["master_link_status"] == "down" &&
			primary.replication()["connected_slaves"] == "0"
	}))
}
