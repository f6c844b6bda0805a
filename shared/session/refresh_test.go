package session_test

import (
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/local/test/tokentest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func TestRefresh_rotates(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		now := w.clock.now()
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		if next.AccessToken == g.AccessToken || next.RefreshToken == g.RefreshToken || next.Repeated {
			t.Error("nothing was rotated")
		}
		if !next.AccessEnd.Equal(now.Add(15*time.Minute)) || !next.Session.IdleEnd.Equal(now.Add(30*time.Minute)) || !next.Session.LastSeenAt.Equal(now) {
			t.Errorf("access ends %v, idle %v, seen %v", next.AccessEnd, next.Session.IdleEnd, next.Session.LastSeenAt)
		}
		if next.Session.Device != laptop.Device || next.Session.Account.Address != alice {
			t.Errorf("session is %+v", next.Session)
		}
		w.opens(next)
	})
}

// A login is no rotation: its token refreshes at once.
func TestRefresh_rightAfterLogin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		if next.RefreshToken == g.RefreshToken || w.generation(g) != 1 {
			t.Error("the login counted as a rotation")
		}
	})
}

// Invariant 3, attack case 34: one successor, one stored rotation, no error, however many refresh at once.
func TestRefresh_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		got := make([]session.Grant, 100)
		together(len(got), func(i int) {
			var err error
			if got[i], err = w.Refresh(ctx, g.RefreshToken, laptop); err != nil {
				t.Error(err)
			}
		})
		first := 0
		for _, next := range got {
			if next.RefreshToken != got[0].RefreshToken || next.AccessToken != got[0].AccessToken {
				t.Fatal("two successors")
			}
			if !next.Repeated {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%d callers were told that they rotated", first)
		}
		if n := w.generation(g); n != 1 {
			t.Errorf("the stored generation is %d, want 1", n)
		}
		w.opens(got[0])
	})
}

// A loses the answer to its refresh, B converges on the successor and refreshes with it; A's repeat still works.
func TestRefresh_lostAnswerAndAnotherTab(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g0 := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		_, err := w.Refresh(ctx, g0.RefreshToken, laptop) // A's, lost
		must(t, err)
		w.clock.add(5 * time.Second)
		b, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		w.clock.add(5 * time.Second)
		b2, err := w.Refresh(ctx, b.RefreshToken, laptop) // the current token within the grace: what is current
		must(t, err)
		if b2.RefreshToken != b.RefreshToken || b2.AccessToken != b.AccessToken || !b2.Repeated {
			t.Error("the current token rotated within the grace")
		}
		if !b2.AccessEnd.Equal(b.AccessEnd) || !b2.Session.IdleEnd.Equal(b.Session.IdleEnd) {
			t.Error("a repeat slid something")
		}
		w.clock.add(5 * time.Second)
		a, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		if a.RefreshToken != b.RefreshToken || a.AccessToken != b.AccessToken {
			t.Error("A's repeat got something else")
		}
		if n := w.generation(g0); n != 1 {
			t.Errorf("the stored generation is %d, want 1", n)
		}
	})
}

// Attack cases 35 and 36: outside the grace a superseded token ends the session for both.
func TestRefresh_reuse(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g0 := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		g1, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		w.clock.add(45*time.Second - time.Millisecond)
		again, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		if again.RefreshToken != g1.RefreshToken {
			t.Error("two successors")
		}
		w.clock.add(time.Millisecond)
		_, err = w.Refresh(ctx, g0.RefreshToken, laptop)
		over := wantsEnded(t, err, session.RefreshReused)
		if !over.ByThis || !over.At.Equal(w.clock.now()) || over.Session != g0.Session.ID {
			t.Errorf("told %+v", over)
		}
		_, err = w.Refresh(ctx, g1.RefreshToken, laptop)
		if wantsEnded(t, err, session.RefreshReused).ByThis {
			t.Error("the second caller is told that it ended the session")
		}
		w.dead(g1)
		if n := w.rdb.Exists(ctx, w.PayloadKey(g0.Session.ID)).Val(); n != 0 {
			t.Error("the payload stays")
		}
	})
}

// Attack case 36: a token whose successor was itself rotated ends the session even within the grace.
func TestRefresh_reuseTwoBehind(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g0 := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		g1, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		w.clock.add(time.Minute)
		_, err = w.Refresh(ctx, g1.RefreshToken, laptop)
		must(t, err)
		w.clock.add(time.Second)
		_, err = w.Refresh(ctx, g0.RefreshToken, laptop)
		wantsEnded(t, err, session.RefreshReused)
	})
}

// Attack case 37: within the grace, another device is theft; another network alone is not.
func TestRefresh_graceWantsTheDevice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		elsewhere, withID, otherID := laptop, laptop, laptop
		elsewhere.IP = phone.IP
		withID.Device.ID, otherID.Device.ID = "device-1", "device-2"
		renamed := laptop
		renamed.Device.Name = "another name"
		for _, c := range []struct {
			name          string
			login, repeat session.Client
			stolen        bool
		}{
			{"same", laptop, laptop, false},
			{"other network", laptop, elsewhere, false},
			{"other name", laptop, renamed, false},
			{"other device", laptop, phone, true},
			{"id only later", laptop, withID, false},
			{"same id", withID, withID, false},
			{"id missing", withID, laptop, true},
			{"other id", withID, otherID, true},
			{"no user agent, twice", session.Client{Transport: session.Cookie}, session.Client{Transport: session.Cookie}, false},
			{"no user agent any more", laptop, session.Client{Transport: session.Cookie}, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				g := w.signIn(alice, c.login)
				w.clock.add(time.Minute)
				next, err := w.Refresh(ctx, g.RefreshToken, c.login)
				must(t, err)
				_, err = w.Refresh(ctx, g.RefreshToken, c.repeat)
				if c.stolen {
					wantsEnded(t, err, session.RefreshReused)
					w.dead(next)
					return
				}
				must(t, err)
				w.opensFor(next, c.repeat)
			})
		}
	})
}

// A function whose clock is behind counts as within the grace: skew is no theft.
func TestRefresh_clockBehind(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		behind := w.on(w.product, w.clock.behind(30*time.Second))
		again, err := behind.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		if again.RefreshToken != next.RefreshToken {
			t.Error("two successors")
		}
		if !again.Session.IdleEnd.Equal(next.Session.IdleEnd) {
			t.Error("a clock behind moved the idle end")
		}
	})
}

func TestRefresh_wrongSecret(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		forged := tokentest.Forge(w.ring, g.RefreshToken, w.ring, func(_ *uint32, secret *[32]byte) { secret[31] ^= 1 })
		before := w.dump()
		_, err := w.Refresh(ctx, forged, laptop)
		wants(t, err, token.ErrInvalid)
		if !same(before, w.dump()) {
			t.Error("a wrong secret changed the store")
		}
		must(t, w.rdb.Del(ctx, w.PayloadKey(g.Session.ID)).Err())
		_, err = w.Refresh(ctx, g.RefreshToken, laptop)
		wants(t, err, token.ErrInvalid)
		if w.generation(g) != 0 {
			t.Error("a session without payload rotated")
		}
	})
}

// Attack case 38 for logout: refreshes, validations and a logout race; afterwards nothing lives.
func TestRefresh_racesLogout(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for range 20 {
			g := w.signIn(alice, laptop)
			w.clock.add(time.Minute)
			results := make([]session.Grant, 8)
			together(len(results), func(i int) {
				switch i {
				case 0:
					over, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
					if err != nil { // not must: this is not the test's goroutine
						t.Error(err)
						return
					}
					if over.Reason != session.LoggedOut || !over.ByThis {
						t.Errorf("the logout was told %+v", over)
					}
				case 1, 2, 3:
					_, _ = w.Validate(ctx, g.AccessToken, laptop)
				default:
					results[i], _ = w.Refresh(ctx, g.RefreshToken, laptop)
				}
			})
			if n := len(w.stored(g).Live); n != 0 {
				t.Fatalf("%d sessions live after the logout", n)
			}
			for _, next := range append(results, g) {
				if next.AccessToken != "" {
					w.dead(next)
				}
			}
		}
	})
}
