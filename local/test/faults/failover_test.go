package faults_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// A primary that dies and whose replica takes over by itself: until it has, every answer is right or unavailable, and after
// that the same client goes on. What the replica had holds, ends above all (attack case 62).
func testFailover(t *testing.T, c *redistest.OwnCluster) {
	w := onCluster(t, c)
	dying := c.Primary(w.recordKey(w.UserOf(token.KeyAccount(w.stranger()))))
	w.accept = func(u token.UserID) bool { return c.Primary(w.recordKey(u)) == dying }
	kept, over, blocked := w.signIn(w.stranger()), w.signIn(w.stranger()), w.stranger()
	w.end(over, session.LoggedOut)
	stopped := w.signIn(blocked)
	must(t, w.Block(ctx, w.UserOf(token.KeyAccount(blocked)), session.Change{Actor: operator}))
	old := w.signIn(w.stranger())
	next := w.refreshed(old)
	replica := c.Replica(dying)
	replica.CatchUp(dying)
	nodeTimeout(t, c, "500")
	must(t, replica.Client().ConfigSet(ctx, "cluster-replica-no-failover", "no").Err())
	dying.Stop()
	eventually(t, func() error {
		for _, g := range []session.Grant{over, stopped} {
			if _, err := w.Validate(ctx, g.AccessToken, laptop); err == nil {
				t.Fatal("who was ended is in again")
			}
		}
		_, err := w.Validate(ctx, kept.AccessToken, laptop)
		return err
	})
	nodeTimeout(t, c, redistest.NodeTimeout) // at once, or a node that is slow to answer would be the next
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
	w.checkComplete()
	must(t, replica.Client().ConfigSet(ctx, "cluster-replica-no-failover", "yes").Err())
	dying.Restart()
	c.Await()
}

// nodeTimeout is that of the nodes that run, in milliseconds.
func nodeTimeout(t *testing.T, c *redistest.OwnCluster, ms string) {
	t.Helper()
	for _, node := range c.Nodes {
		if !node.Stopped() {
			must(t, node.Client().ConfigSet(ctx, "cluster-node-timeout", ms).Err())
		}
	}
}

// verifiedAnyhow is verified while nodes still learn of each other.
func (w *world) verifiedAnyhow(who common.Address) (in session.Login) {
	eventually(w.t, func() error {
		nonce, _, err := w.IssueNonce(ctx, terms)
		if err == nil {
			err = w.SpendNonce(ctx, nonce, terms)
		}
		in = session.Login{Nonce: nonce, Account: token.KeyAccount(who), ChainID: 1, Client: laptop}
		return err
	})
	return in
}

// A primary that dies while nobody may take over: what it held is unavailable in time, however often it is asked for, and
// once it is back the same client is served. A server that keeps nothing on disk comes back empty: all whom it knew are
// signed out, and nobody else.
func testNoFailover(t *testing.T, c *redistest.OwnCluster) {
	w := onCluster(t, c)
	w.rehearse()
	w.clear()
	dying := c.Primary(w.recordKey(w.UserOf(token.KeyAccount(w.stranger()))))
	w.accept = func(u token.UserID) bool { return c.Primary(w.recordKey(u)) != dying }
	elsewhere := w.signIn(w.stranger())
	w.accept = func(u token.UserID) bool { return c.Primary(w.recordKey(u)) == dying }
	g := w.signIn(w.stranger())
	var trials []*trial
	for _, a := range acts[2:] { // nonces are elsewhere
		trials = append(trials, w.try(a))
	}
	dying.Stop()
	w.refuses(trials)
	dying.Restart()
	c.Await()
	eventually(t, func() error { _, err := w.Validate(ctx, elsewhere.AccessToken, laptop); return err })
	w.dead(g)
	in := w.verifiedAnyhow(w.stranger())
	_, err := w.Create(ctx, in)
	must(t, err)
	w.checkComplete()
}

// What is lost of rate limits and nonces, in a cluster whose shards fail one by one: a nonce that is spent no more meets
// the session that it made, or the mark that it ended, on the shard that did not fail. No second session comes of it.
func testLostWrites(t *testing.T, c *redistest.OwnCluster) {
	w := onCluster(t, c)
	nonce, _, err := w.IssueNonce(ctx, terms)
	must(t, err)
	dying := c.Primary(w.redis.Prefix + ":{" + nonce[:2] + "}:")
	replica := c.Replica(dying)
	on := func(node *redistest.Own, is bool) func(u token.UserID) bool {
		return func(u token.UserID) bool { return (c.Primary(w.key(u, "")) == node) == is }
	}
	w.accept = on(dying, false)
	kept, gone := w.stranger(), w.stranger()
	w.accept = on(dying, true)
	stranger := w.stranger()
	flood := w.flooding(w.network(c, dying))
	var logins []session.Login
	var grants []session.Grant
	w.loses(func(lose func()) {
		nonces := []string{nonce, ""}
		nonces[1], _, err = w.IssueNonce(ctx, terms)
		must(t, err)
		replica.FallBehind(dying)
		lose()
		for i, who := range []common.Address{kept, gone} {
			must(t, w.SpendNonce(ctx, nonces[i], terms))
			in := session.Login{Nonce: nonces[i], Account: token.KeyAccount(who), ChainID: 1, Client: laptop}
			g, err := w.Create(ctx, in)
			must(t, err)
			logins, grants = append(logins, in), append(grants, g)
		}
		w.end(grants[1], session.LoggedOut)
		if n := flood(); n != 3 {
			t.Errorf("%d passed before", n)
		}
		dying.Stop()
		c.FailOver(replica, "TAKEOVER")
		eventually(t, func() error {
			_, err := w.Account(ctx, w.UserOf(token.KeyAccount(stranger)))
			return ignore(err, session.ErrNotFound)
		})
	})
	for i, in := range logins {
		must(t, w.SpendNonce(ctx, in.Nonce, terms)) // it was un-spent
		_, err := w.Create(ctx, in)
		wants(t, "a login once more", err, session.ErrNonceSpent)
		if n := len(w.record(grants[i].User.ID).live); n != 1-i {
			t.Errorf("login %d has %d sessions", i, n)
		}
	}
	w.opens(grants[0])
	w.dead(grants[1])
	if n := flood(); n != 3 {
		t.Errorf("%d passed after a limit was forgotten", n)
	}
	dying.Restart()
	c.Await()
}

// flooding asks for ten nonces from a network that may have three, and returns how many it was given.
func (w *world) flooding(from netip.Addr) func() int {
	opts, few := w.opts, terms
	opts.NonceRate, few.From = 3, from
	limited := session.NewStore(w.client, w.ring, opts, w.clock.now)
	return func() (given int) {
		for range 10 {
			_, _, err := limited.IssueNonce(ctx, few)
			var rate *session.RateError
			switch {
			case err == nil:
				given++
			case !errors.As(err, &rate):
				w.t.Error(err)
			}
		}
		return given
	}
}

// network is one whose nonces lie on a node, in other slots than the laptop's.
func (w *world) network(c *redistest.OwnCluster, node *redistest.Own) netip.Addr {
	w.t.Helper()
	for ip := laptop.IP.Next(); ; ip = ip.Next() {
		nonce, _, err := w.IssueNonce(ctx, session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin, From: ip})
		must(w.t, err)
		if c.Primary(w.redis.Prefix+":{"+nonce[:2]+"}:") == node {
			return ip
		}
	}
}

// ignore is an error but for one.
func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}
