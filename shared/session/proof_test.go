package session_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var contract = token.Account{Address: alice, Chain: 8453}

// withProof signs in with a contract.
func (w *world) withProof(client session.Client, signature string) session.Grant {
	w.t.Helper()
	in := w.login(alice, client)
	in.Account, in.Proof = contract, &session.Proof{Digest: [32]byte{1, 2}, Signature: []byte(signature)}
	g, err := w.Create(ctx, in)
	must(w.t, err)
	return g
}

func rechecked(o *session.Options) {
	o.WalletRecheck, o.Idle, o.RefreshRate = time.Hour, o.Absolute, 0
}

// A refresh claims the check of a contract's proof once it is due: one of many at once, and the retry of that one too.
// If the caller dies, a refresh claims it a minute later.
func TestProof_claimedByOne(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rechecked)
		g := w.withProof(laptop, "signature")
		refresh := func(s *session.Store) *session.Check {
			t.Helper()
			w.clock.add(w.opts.Grace)
			next, err := s.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
			g = next
			if c := next.Check; c != nil && (c.Err != nil || string(c.Proof.Signature) != "signature") {
				t.Errorf("the proof is %+v", c)
			}
			return next.Check
		}
		if refresh(w.Store) != nil {
			t.Error("it is claimed before it is due")
		}
		w.clock.add(time.Hour)
		w.clock.add(w.opts.Grace)
		var claimed, doubled atomic.Int64
		checks := make([]*session.Check, 20)
		together(20, func(i int) {
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			if err != nil {
				t.Error(err)
				return
			}
			if checks[i] = next.Check; next.Check != nil {
				claimed.Add(1)
				if next.Check.Err != nil || string(next.Check.Proof.Signature) != "signature" || next.Check.Proof.Digest != [32]byte{1, 2} {
					t.Errorf("the proof is %+v", next.Check)
				}
			}
		})
		if claimed.Load() != 1 {
			t.Errorf("%d of twenty claim the check", claimed.Load())
		}
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		g = next
		if refresh(w.Store) != nil { // 45 seconds later
			t.Error("it is claimed again while the first claim holds")
		}
		w.clock.add(time.Minute)
		check := refresh(w.on(w.doubling(t, &doubled), w.clock))
		if check == nil {
			t.Fatal("nobody claims the check of a caller that died")
		}
		must(t, w.Checked(ctx, check, true))
		if w.clock.add(50 * time.Minute); refresh(w.Store) != nil {
			t.Error("it is claimed soon after it was checked")
		}
		w.clock.add(10 * time.Minute)
		check = refresh(w.Store)
		if check == nil {
			t.Fatal("it is not due an hour after it was checked")
		}
		must(t, w.Checked(ctx, check, false))
		if w.clock.add(4 * time.Minute); refresh(w.Store) != nil {
			t.Error("it is claimed a minute after the chain could not be asked")
		}
		if w.clock.add(time.Minute); refresh(w.Store) == nil {
			t.Error("it is not claimed five minutes after the chain could not be asked")
		}
	})
}

// Nobody checks a key's session, nor one whose contract is not to be asked again.
func TestProof_notDue(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for what, w := range map[string]*world{
			"a key's":     newWorld(t, r.Under(t, r.Prefix+"key"), rechecked),
			"never asked": newWorld(t, r.Under(t, r.Prefix+"off"), rechecked, func(o *session.Options) { o.WalletRecheck = 0 }),
		} {
			g := w.withProof(laptop, "")
			if what == "a key's" {
				g = w.signIn(alice, laptop)
			}
			w.clock.add(2 * time.Hour)
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			if must(t, err); next.Check != nil {
				t.Errorf("%s: it is checked", what)
			}
		}
	})
}

// A step-up replaces the proof, and counts as a check. An empty signature, by which a contract approves on chain, is one.
func TestProof_stepUpReplacesIt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rechecked)
		g := w.withProof(laptop, "first")
		w.clock.add(50 * time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, laptop.Transport)
		if err != nil {
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
			a, err = w.Inspect(ctx, next.AccessToken, laptop.Transport)
			must(t, err)
		}
		g, err = w.StepUp(ctx, a, laptop, &session.Proof{Digest: [32]byte{9}})
		must(t, err)
		w.clock.add(30 * time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		if must(t, err); next.Check != nil {
			t.Error("it is checked half an hour after a step-up")
		}
		w.clock.add(30 * time.Minute)
		next, err = w.Refresh(ctx, next.RefreshToken, laptop)
		must(t, err)
		if c := next.Check; c == nil || c.Err != nil || c.Proof.Digest != [32]byte{9} || len(c.Proof.Signature) != 0 {
			t.Errorf("what is checked is %+v", c)
		}
	})
}

// A contract that refuses a proof ends the session only if that proof still counts: not after a step-up, and not if
// another caller has claimed the check since.
func TestProof_refusedTooLate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rechecked)
		g := w.withProof(laptop, "first")
		refresh := func(after time.Duration) *session.Check {
			t.Helper()
			w.clock.add(after)
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
			g = next
			if next.Check == nil {
				t.Fatal("no check is claimed")
			}
			return next.Check
		}
		refused := func(c *session.Check, ends bool) {
			t.Helper()
			if ended, err := w.RevokeUnproven(ctx, c); err != nil || (ended != nil) != ends {
				t.Errorf("refused: %+v, %v", ended, err)
			}
			if _, err := w.Validate(ctx, g.AccessToken, laptop); (err != nil) != ends {
				t.Errorf("refused: the session reads as %v", err)
			}
		}
		first := refresh(time.Hour)
		second := refresh(time.Minute)
		refused(first, false)
		a, err := w.Inspect(ctx, g.AccessToken, laptop.Transport)
		must(t, err)
		g, err = w.StepUp(ctx, a, laptop, &session.Proof{Signature: []byte("second")})
		must(t, err)
		refused(second, false)
		refused(refresh(time.Hour), true)
	})
}

// The proof is no state: it is not listed, takes nothing of the quota, and no key of the state can be it. It ends with
// the session, and expires with it.
func TestProof_isNoState(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rechecked, func(o *session.Options) { o.StateQuota = 100 })
		g := w.withProof(laptop, string(bytes.Repeat([]byte{7}, 8<<10)))
		state := w.StateKey(g.Session.ID)
		if ttl, most := w.rdb.PTTL(ctx, state).Val(), w.opts.Absolute+session.Outlasts; ttl > most || ttl < most-time.Minute {
			t.Errorf("the proof is kept for %v, want %v", ttl, most)
		}
		a := w.opens(g)
		w.putState(a, "w", `"0123456789"`)
		w.putState(a, "form", `1`)
		if list := w.list(a); len(list.Items) != 2 || list.Used != 1+12+4+1 {
			t.Errorf("the state is %+v", list)
		}
		must(t, w.DeleteState(ctx, a, "w", session.StateCondition{}))
		must(t, w.DeleteState(ctx, a, "form", session.StateCondition{}))
		w.clock.add(2 * time.Hour)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		if must(t, err); next.Check == nil || len(next.Check.Proof.Signature) != 8<<10 {
			t.Errorf("state has changed the proof: %+v", next.Check)
		}
		if ended, err := w.RevokeUnproven(ctx, next.Check); err != nil || ended == nil || !ended.ByThis {
			t.Errorf("it ends with %+v, %v", ended, err)
		}
		if w.rdb.Exists(ctx, state).Val() != 0 {
			t.Error("the proof is left")
		}
		_, err = w.Refresh(ctx, next.RefreshToken, laptop)
		wantsEnded(t, err, session.WalletChanged)
	})
}

// A proof that does not open ends nothing: it counts as a chain that cannot be asked.
func TestProof_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rechecked)
		g, other := w.withProof(laptop, "mine"), w.withProof(laptop, "another's")
		mine, foreign := w.StateKey(g.Session.ID), w.StateKey(other.Session.ID)
		must(t, w.rdb.HSet(ctx, mine, "w", w.rdb.HGet(ctx, foreign, "w").Val()).Err())
		w.clock.add(time.Hour)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		if c := next.Check; c == nil || c.Err == nil || len(c.Proof.Signature) != 0 {
			t.Errorf("what is checked is %+v", c)
		}
		must(t, w.Checked(ctx, next.Check, false))
		lost := func(how string) {
			t.Helper()
			w.clock.add(10 * time.Minute)
			if next, err = w.Refresh(ctx, next.RefreshToken, laptop); err != nil || next.Check == nil || next.Check.Err == nil {
				t.Fatalf("%s: %+v, %v", how, next.Check, err)
			}
			must(t, w.Checked(ctx, next.Check, false))
		}
		for _, value := range []string{"", "short", strings.Repeat("\x00", 18) + "not sealed"} {
			must(t, w.rdb.HSet(ctx, mine, "w", value).Err())
			lost(value)
		}
		must(t, w.rdb.Del(ctx, mine).Err())
		lost("gone")
		must(t, w.rdb.Set(ctx, mine, "of another type", 0).Err())
		lost("of another type")
	})
}
