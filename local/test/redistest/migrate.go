package redistest

import (
	"context"
	"net"
	"testing"
)

// Migration is a slot that is moving from one node of a cluster to another.
type Migration struct {
	Slot     int
	From, To *Own
	cluster  *OwnCluster
}

// Migrate begins to move a slot. From now on part of its keys may be on either
// node, until [Migration.Complete].
func (c *OwnCluster) Migrate(slot int, from, to *Own) *Migration {
	c.t.Helper()
	m := &Migration{Slot: slot, From: from, To: to, cluster: c}
	ctx := context.Background()
	must(c.t, to.Client().Do(ctx, "cluster", "setslot", slot, "importing", from.ID()).Err())
	must(c.t, from.Client().Do(ctx, "cluster", "setslot", slot, "migrating", to.ID()).Err())
	return m
}

// Keys returns up to n keys of the slot that have not moved yet.
func (m *Migration) Keys(n int) []string {
	m.cluster.t.Helper()
	keys, err := m.From.Client().ClusterGetKeysInSlot(context.Background(), m.Slot, n).Result()
	must(m.cluster.t, err)
	return keys
}

// Move moves keys.
func (m *Migration) Move(keys ...string) {
	m.cluster.t.Helper()
	host, port, _ := net.SplitHostPort(m.To.Addr)
	args := []any{"migrate", host, port, "", 0, 10000, "keys"}
	for _, key := range keys {
		args = append(args, key)
	}
	if len(keys) > 0 {
		must(m.cluster.t, m.From.Client().Do(context.Background(), args...).Err())
	}
}

// Complete moves the remaining keys, gives the slot to its new node, and waits
// until all running nodes know. Before that, moving the slot again would find
// nodes that disagree about it.
func (m *Migration) Complete() {
	m.cluster.t.Helper()
	for keys := m.Keys(100); len(keys) > 0; keys = m.Keys(100) {
		m.Move(keys...)
	}
	id := m.To.ID()
	for _, node := range []*Own{m.To, m.From} {
		set := node.Client().Do(context.Background(), "cluster", "setslot", m.Slot, "node", id)
		must(m.cluster.t, set.Err())
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, node := range m.cluster.Nodes {
		if !node.Stopped() {
			must(m.cluster.t, await(ctx, "the nodes to agree", func() bool {
				return node.agrees(ctx, m.To, id, m.Slot)
			}))
		}
	}
}

// agrees reports whether a node knows that owner has a slot, as of owner's own
// epoch.
func (o *Own) agrees(ctx context.Context, owner *Own, id string, slot int) bool {
	own, seen := owner.lineOf(ctx, id), o.lineOf(ctx, id)
	return serves(own, slot) && serves(seen, slot) && own[6] == seen[6]
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
