package faults_test

import (
	"context"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/redistest"
	"latchkey/shared/session"
)

// A primary that dies and whose replica takes over by itself: until it has, every answer is right or unavailable, and after
// that the same client goes on. What the replica had holds, ends above all (attack case 62).
func testFailover(t *testing.T, c *redistest.OwnCluster) {
	w := newWorld(t, c.Redis, nil)
	dying := c.Primary(w.recordKey(w.UserOf(w.stranger())))
	w.accept = func(u session.UserID) bool { return c.Primary(w.recordKey(u)) == dying }
	kept, over, blocked := w.signIn(w.stranger()), w.signIn(w.stranger()), w.stranger()
	w.end(over, session.LoggedOut)
	stopped := w.signIn(blocked)
	must(t, w.Block(ctx, blocked, false, operator))
	old := w.signIn(w.stranger())
	next := w.refreshed(old)
	replica := c.Replica(dying)
	replica.CatchUp(dying)
	for _, node := range c.Nodes {
		must(t, node.Client().ConfigSet(ctx, "cluster-node-timeout", "500").Err())
	}
	must(t, replica.Client().ConfigSet(ctx, "cluster-replica-no-failover", "no").Err())
	dying.Stop()
	eventually(t, func() error {
		for _, g := range []session.Grant{over, stopped} {
			if _, err := w.Read(ctx, g.AccessToken, laptop); err == nil {
				t.Fatal("who was ended is in again")
			}
		}
		_, err := w.Read(ctx, kept.AccessToken, laptop)
		return err
	})
	w.dead(over)
	w.dead(stopped)
	in := w.verifiedAnyhow(blocked)
	_, err := w.Create(ctx, in)
	wants(t, "a login of the blocked", err, session.ErrBlocked)
	w.opens(next)
	w.clock.add(time.Minute)
	ended(t, w.refusal(old), session.RefreshReused) // whose grace is over
	w.end(kept, session.LoggedOut)
	w.dead(kept)
	w.whole()
	must(t, replica.Client().ConfigSet(ctx, "cluster-replica-no-failover", "yes").Err())
	for _, node := range c.Nodes {
		if !node.Stopped() {
			must(t, node.Client().ConfigSet(ctx, "cluster-node-timeout", "2000").Err())
		}
	}
	dying.Restart()
	c.Await()
}

// verifiedAnyhow is verified while nodes still learn of each other.
func (w *world) verifiedAnyhow(who common.Address) (in session.Login) {
	eventually(w.t, func() error {
		nonce, _, err := w.IssueNonce(ctx, terms)
		if err == nil {
			err = w.SpendNonce(ctx, nonce, terms)
		}
		in = session.Login{Nonce: nonce, Address: who, ChainID: 1, Client: laptop}
		return err
	})
	return in
}

// A primary that dies while nobody may take over: what it held is unavailable in time, however often it is asked for, and
// once it is back the same client is served. A server that keeps nothing on disk comes back empty: all whom it knew are
// signed out, and nobody else.
func testNoFailover(t *testing.T, c *redistest.OwnCluster) {
	w := newWorld(t, c.Redis, nil)
	w.rehearse()
	w.clear()
	dying := c.Primary(w.recordKey(w.UserOf(w.stranger())))
	w.accept = func(u session.UserID) bool { return c.Primary(w.recordKey(u)) != dying }
	elsewhere := w.signIn(w.stranger())
	w.accept = func(u session.UserID) bool { return c.Primary(w.recordKey(u)) == dying }
	g := w.signIn(w.stranger())
	var trials []*trial
	for _, a := range acts[2:] { // nonces are elsewhere
		trials = append(trials, w.try(a))
	}
	dying.Stop()
	for _, tr := range trials {
		unavailable(t, tr.name, func(context.Context) error { _, err := tr.ask(); return err })
	}
	dying.Restart()
	c.Await()
	eventually(t, func() error { _, err := w.Read(ctx, elsewhere.AccessToken, laptop); return err })
	w.dead(g)
	in := w.verifiedAnyhow(w.stranger())
	_, err := w.Create(ctx, in)
	must(t, err)
	w.whole()
}
