package session_test

import (
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// A rotation by a function whose clock is behind takes nothing back that a later request was given.
func TestRefresh_rotatesWithClockBehind(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		touched := w.opens(g).Session
		next, err := w.on(w.product, w.clock.behind(20*time.Second)).Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		if next.Repeated || w.generation(g) != 1 {
			t.Fatal("nothing was rotated")
		}
		for name, s := range map[string]session.Session{"told": next.Session, "stored": w.opens(next).Session} {
			if !s.LastSeenAt.Equal(touched.LastSeenAt) {
				t.Errorf("%s: seen moved from %v to %v", name, touched.LastSeenAt, s.LastSeenAt)
			}
			if !s.IdleEnd.Equal(touched.IdleEnd) {
				t.Errorf("%s: the idle end moved from %v to %v", name, touched.IdleEnd, s.IdleEnd)
			}
		}
	})
}

// An idle timeout that is lowered between two deployments takes nothing back: neither a touch nor a rotation does.
func TestStore_shorterIdleTimeout(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		shorter := w.opts
		shorter.Idle = 5 * time.Minute
		s := session.NewStore(w.product, w.ring, shorter, w.clock.now)
		keeps := func(name string, got session.Session) {
			t.Helper()
			if !got.LastSeenAt.Equal(w.clock.now()) || !got.IdleEnd.Equal(g.Session.IdleEnd) {
				t.Errorf("%s: seen %v, idle end %v, want %v and %v", name, got.LastSeenAt, got.IdleEnd, w.clock.now(), g.Session.IdleEnd)
			}
		}
		w.clock.add(time.Minute)
		a, err := s.Validate(ctx, g.AccessToken, laptop)
		must(t, err)
		keeps("touched", a.Session)
		keeps("stored", w.opens(g).Session)
		w.clock.add(time.Minute)
		next, err := s.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		keeps("rotated", next.Session)
	})
}

func TestCreate_lastLoginMovesOnlyForward(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		second, err := w.on(w.product, w.clock.behind(30*time.Second)).Create(ctx, w.login(alice, phone))
		must(t, err)
		if got := second.User.LastLoginAt; !got.Equal(w.clock.now()) {
			t.Errorf("a login by a clock behind was told %v, want %v", got, w.clock.now())
		}
		if got := w.opens(g).User.LastLoginAt; !got.Equal(w.clock.now()) {
			t.Errorf("a login by a clock behind moved the last one to %v, want %v", got, w.clock.now())
		}
	})
}

// A superseded access token keeps its own end, also where the grace lasts longer.
func TestValidate_supersededHasItsOwnEnd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.set(g.AccessEnd.Add(-10 * time.Second))
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.set(g.AccessEnd.Add(-time.Millisecond))
		w.opens(g)
		w.clock.set(g.AccessEnd)
		_, err = w.Validate(ctx, g.AccessToken, laptop)
		wants(t, err, session.ErrTokenExpired)
		w.opens(next)
	})
}

// The grace is the configured one: for the superseded access token, for the superseded refresh token, and for how soon
// the current one rotates again.
func TestStore_graceAsConfigured(t *testing.T) {
	for _, grace := range []time.Duration{10 * time.Second, 2 * time.Minute} {
		t.Run(grace.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, func(o *session.Options) { o.Grace = grace })
				g0 := w.signIn(alice, laptop)
				w.clock.add(time.Minute)
				g1, err := w.Refresh(ctx, g0.RefreshToken, laptop)
				must(t, err)

				w.clock.add(grace - time.Millisecond)
				w.opens(g0)
				for _, token := range []string{g0.RefreshToken, g1.RefreshToken} {
					again, err := w.Refresh(ctx, token, laptop)
					must(t, err)
					if !again.Repeated || again.RefreshToken != g1.RefreshToken {
						t.Error("within the grace something else was handed out")
					}
				}
				w.clock.add(time.Millisecond)
				_, err = w.Validate(ctx, g0.AccessToken, laptop)
				wants(t, err, session.ErrTokenExpired)
				g2, err := w.Refresh(ctx, g1.RefreshToken, laptop)
				must(t, err)
				if g2.Repeated {
					t.Error("the current token does not rotate after the grace")
				}
				w.clock.add(grace)
				_, err = w.Refresh(ctx, g1.RefreshToken, laptop)
				wantsEnded(t, err, session.RefreshReused)
			})
		})
	}
}
