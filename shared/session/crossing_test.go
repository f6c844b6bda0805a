package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// Invariant 2: a logout holds also where it found the deadline passed. A refresh under way, with a time from before the
// deadline, does not bring the session back.
func TestRevoke_deadlineThenRefreshUnderWay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(30*time.Minute - 5*time.Millisecond)
		s := w.on(w.beforeScript(func() {
			w.clock.add(10 * time.Millisecond)
			over, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
			must(t, err)
			if over.Reason != session.IdleTimeout || !over.ByThis {
				t.Errorf("the logout was told %+v", over)
			}
		}), w.clock)
		_, err := s.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.IdleTimeout)
		if n := len(w.stored(g).Live); n != 0 {
			t.Errorf("%d sessions are listed after the logout", n)
		}
		w.clock.add(-time.Minute)
		w.dead(g)
	})
}

// Invariant 8: our own repeat of a rotation is no theft, also where the device is another than at login. The network is
// another too, so a second script follows.
func TestRefresh_lostReplyFromAnotherDevice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		var lost atomic.Int64
		next, err := w.on(w.losing(&lost), w.clock).Refresh(ctx, g.RefreshToken, phone)
		must(t, err)
		if lost.Load() != 2 || next.Repeated || w.generation(g) != 1 {
			t.Errorf("lost %d replies, repeated %v, generation %d", lost.Load(), next.Repeated, w.generation(g))
		}
		_, err = w.ValidateStepUp(ctx, next.AccessToken, phone)
		must(t, err)
	})
}

// Logging out everywhere twice with the same token is the same, however many sessions there were: its own is remembered.
func TestRevokeAll_keepsItsOwn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 0 })
		first := w.signIn(alice, laptop)
		for range 17 {
			w.signIn(alice, laptop)
		}
		for _, want := range []int{18, 0} {
			n, err := w.RevokeAll(ctx, first.Session.ID, session.LoggedOut, laptop.Actor())
			must(t, err)
			if n != want {
				t.Errorf("ended %d, want %d", n, want)
			}
		}
		_, err := w.Validate(ctx, first.AccessToken, laptop)
		wantsEnded(t, err, session.LoggedOut)
	})
}

// A reply that belongs to somebody else's call, from a connection that is out of step, is never taken for an answer.
func TestStore_crossedReply(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		a, b := w.signIn(alice, laptop), w.signIn(bob, laptop)
		w.clock.add(time.Minute)
		var before any
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			err := next(ctx, cmd)
			script, ok := cmd.(*redis.Cmd)
			if !ok || err != nil {
				return err
			}
			own := script.Val()
			if before != nil {
				script.SetVal(before)
			}
			before = own
			return nil
		}), w.clock)
		_, err := s.Validate(ctx, b.AccessToken, laptop) // with a touch, whose reply the next call gets
		must(t, err)
		_, err = s.Validate(ctx, a.AccessToken, laptop)
		wants(t, err, session.ErrUnavailable)
		_, err = s.Revoke(ctx, a.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		wants(t, err, session.ErrUnavailable)
		_, err = s.Refresh(ctx, b.RefreshToken, laptop)
		wants(t, err, session.ErrUnavailable)
	})
}
