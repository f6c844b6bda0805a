package session_test

import (
	"slices"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Every script keeps the roles where they stand, and a record that holds them for good.
func TestRoles_surviveEveryScript(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin", "auditor"}, session.Change{})
		must(t, err)
		second := w.signIn(alice, phone)
		kept := func(step string, live int) {
			t.Helper()
			s := w.stored(g)
			if !slices.Equal(s.Roles, []string{"admin", "auditor"}) || len(s.Live) != live {
				t.Errorf("after %s the roles are %q, %d sessions live", step, s.Roles, len(s.Live))
			}
			if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl != -1 {
				t.Errorf("after %s the record is kept for %v", step, ttl)
			}
		}
		if kept("a login", 2); !slices.Equal(second.User.Roles, []string{"admin", "auditor"}) {
			t.Errorf("the login was told roles %q", second.User.Roles)
		}

		w.clock.add(time.Minute)
		a := w.opens(g)
		if kept("a touch", 2); !a.Session.LastSeenAt.Equal(w.clock.now()) || !slices.Equal(a.User.Roles, []string{"admin", "auditor"}) {
			t.Errorf("the validation was told %+v", a)
		}
		next, err := w.Refresh(ctx, second.RefreshToken, phone)
		must(t, err)
		kept("a rotation", 2)
		w.opens(next)

		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		kept("an end", 1)
		_, err = w.Refresh(ctx, second.RefreshToken, laptop) // on another device
		wantsEnded(t, err, session.RefreshReused)
		kept("a theft", 0)

		w.signIn(alice, laptop)
		n, err := w.RevokeAll(ctx, g.Session.ID, session.Revoked, laptop.Actor())
		must(t, err)
		if kept("the end of all", 0); n != 1 {
			t.Errorf("ended %d, want 1", n)
		}
	})
}
