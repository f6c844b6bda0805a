package session_test

import (
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func TestRevoke(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, other := w.signIn(alice, laptop), w.signIn(alice, phone)
		over, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if over.Reason != session.LoggedOut || !over.ByThis || !over.At.Equal(w.clock.now()) {
			t.Errorf("told %+v", over)
		}
		at := over.At
		w.clock.add(time.Minute)
		over, err = w.Revoke(ctx, g.Session.ID, session.RevokedByAdmin, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if over.Reason != session.LoggedOut || over.ByThis || !over.At.Equal(at) {
			t.Errorf("the second time told %+v", over)
		}
		w.dead(g)
		w.opens(other)
		unknown := g.Session.ID
		unknown.Session[0] ^= 1
		_, err = w.Revoke(ctx, unknown, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		wants(t, err, token.ErrInvalid)
		stranger := g.Session.ID
		stranger.User[5] ^= 1
		_, err = w.Revoke(ctx, stranger, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		wants(t, err, token.ErrInvalid)
	})
}

// A session that is ended after its deadline ended then, and by that.
func TestRevoke_afterDeadline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		deadline := g.Session.IdleEnd
		w.clock.add(time.Hour)
		over, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if over.Reason != session.IdleTimeout || !over.At.Equal(deadline) {
			t.Errorf("told %+v", over)
		}
	})
}

// Invariant 8, where no sweeper has come by for days: what ends so late is remembered too, or a reply that was lost would
// be told as of a session that nobody knows.
func TestRevoke_longAfterDeadline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(10 * 24 * time.Hour)
		var lost atomic.Int64
		over, err := w.on(w.losing(&lost), w.clock).Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if lost.Load() != 1 || over.Reason != session.IdleTimeout || !over.At.Equal(g.Session.IdleEnd) || !over.ByThis {
			t.Errorf("%d replies were lost, told %+v", lost.Load(), over)
		}
	})
}

// Ending everything does not rewrite why and when a session was over already.
func TestRevokeAll_afterDeadline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		old := w.signIn(alice, laptop)
		w.clock.add(20 * time.Minute)
		g := w.signIn(alice, phone)
		w.clock.add(20 * time.Minute)
		n, err := w.RevokeAll(ctx, g.Session.ID, session.Revoked, laptop.Actor())
		must(t, err)
		if n != 1 {
			t.Errorf("ended %d, want the one that lived", n)
		}
		_, err = w.Validate(ctx, old.AccessToken, laptop)
		if over := wantsEnded(t, err, session.IdleTimeout); !over.At.Equal(old.Session.IdleEnd) {
			t.Errorf("ended at %v, want the deadline %v", over.At, old.Session.IdleEnd)
		}
		if s := w.stored(g); len(s.Live) != 0 || len(s.Ended) != 2 || s.Ended[0].Reason != session.IdleTimeout {
			t.Errorf("stored %+v", s)
		}
	})
}

func TestSessionOf(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	for _, text := range []string{g.AccessToken, g.RefreshToken} {
		if id, err := w.SessionOf(t.Context(), text); err != nil || id != g.Session.ID {
			t.Errorf("handle is %v, %v", id, err)
		}
	}
	_, err := w.SessionOf(t.Context(), g.AccessToken[1:])
	wants(t, err, token.ErrInvalid)
	if id, err := token.ParseID(g.Session.ID.String()); err != nil || id != g.Session.ID {
		t.Errorf("the public id reads back as %v, %v", id, err)
	}
	if _, err := token.ParseID(g.AccessToken); err == nil {
		t.Error("a token reads as an id")
	}
}

func TestRevokeAll(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		all := []session.Grant{w.signIn(alice, laptop), w.signIn(alice, phone), w.signIn(alice, laptop)}
		other := w.signIn(bob, laptop)
		_, err := w.Revoke(ctx, all[0].Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)

		n, err := w.RevokeAll(ctx, all[0].Session.ID, session.Revoked, laptop.Actor()) // a remembered session is witness enough
		must(t, err)
		if n != 2 {
			t.Errorf("ended %d sessions, want 2", n)
		}
		for _, g := range all {
			w.dead(g)
		}
		_, err = w.Validate(ctx, all[1].AccessToken, laptop)
		wantsEnded(t, err, session.Revoked)
		w.opens(other)
		if s := w.stored(all[0]); s.Epoch != 1 {
			t.Errorf("epoch is %d", s.Epoch)
		}
		if n, err = w.RevokeAll(ctx, all[1].Session.ID, session.Revoked, laptop.Actor()); err != nil || n != 0 {
			t.Errorf("the second time ended %d, %v", n, err)
		}
		w.opens(w.signIn(alice, laptop)) // logins that come after it live

		forgotten := all[0].Session.ID
		forgotten.Session[3] ^= 1
		_, err = w.RevokeAll(ctx, forgotten, session.Revoked, laptop.Actor())
		wants(t, err, token.ErrInvalid)
	})
}

// Invariant 5: nothing that took effect before a revoke-all survives it, whatever races it.
func TestRevokeAll_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 0 })
		for range 10 {
			before := []session.Grant{w.signIn(alice, laptop), w.signIn(alice, phone)}
			logins := []session.Login{w.login(alice, laptop), w.login(alice, laptop), w.login(alice, laptop)}
			w.clock.add(time.Minute)
			together(8, func(i int) {
				switch {
				case i < 3:
					if _, err := w.Create(ctx, logins[i]); err != nil {
						t.Error(err)
					}
				case i < 5:
					_, _ = w.Refresh(ctx, before[0].RefreshToken, laptop)
				case i < 7:
					_, _ = w.Validate(ctx, before[1].AccessToken, phone)
				default:
					if _, err := w.RevokeAll(ctx, before[0].Session.ID, session.Revoked, laptop.Actor()); err != nil {
						t.Error(err)
					}
				}
			})
			for _, l := range w.stored(before[0]).Live {
				if l.ID == before[0].Session.ID || l.ID == before[1].Session.ID {
					t.Fatal("a session from before the revoke-all lives")
				}
			}
			w.dead(before[0])
			w.dead(before[1])
			_, err := w.RevokeAll(ctx, before[0].Session.ID, session.Revoked, laptop.Actor())
			must(t, err)
		}
	})
}

// An end must succeed with memory full, and a validation is not refused because its activity cannot be recorded.
func TestRevoke_fullMemory(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w := newWorld(t, own.Redis, func(o *session.Options) { o.LimitPolicy = session.Deny })
		var all []session.Grant
		for range 5 {
			all = append(all, w.signIn(alice, laptop))
		}
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, all[1].RefreshToken, laptop)
		must(t, err)
		in := w.login(alice, laptop)
		w.clock.add(time.Minute)
		full := func(limit string) { must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", limit).Err()) }
		full("1")

		_, err = w.Create(ctx, session.Login{Nonce: "any", Account: token.KeyAccount(bob), Client: laptop})
		wants(t, err, session.ErrUnavailable)
		_, err = w.Refresh(ctx, all[2].RefreshToken, laptop)
		wants(t, err, session.ErrUnavailable)
		if a := w.opens(all[2]); !a.Session.LastSeenAt.Equal(all[2].Session.LastSeenAt) {
			t.Error("activity was recorded with memory full")
		}

		over, err := w.Revoke(ctx, all[0].Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if over.Reason != session.LoggedOut || !over.ByThis {
			t.Errorf("told %+v", over)
		}
		_, err = w.Validate(ctx, all[0].AccessToken, laptop)
		wantsEnded(t, err, session.LoggedOut)
		_, err = w.Refresh(ctx, all[1].RefreshToken, laptop) // stolen, as the grace is over
		wantsEnded(t, err, session.RefreshReused)
		w.dead(next)
		if n := len(w.stored(all[0]).Live); n != 3 {
			t.Errorf("%d sessions are listed, want 3", n)
		}
		n, err := w.RevokeAll(ctx, all[2].Session.ID, session.Revoked, laptop.Actor())
		must(t, err)
		if n != 3 {
			t.Errorf("ended %d, want 3", n)
		}
		for _, g := range all {
			w.dead(g)
		}

		full("0")
		if ttl := w.rdb.PTTL(ctx, w.RecordKey(all[0].Session.ID)).Val(); ttl <= 0 {
			t.Errorf("the record is kept for %v", ttl)
		}
		g, err := w.Create(ctx, in) // what was ended takes up no place
		must(t, err)
		w.opens(g)
	})
}
