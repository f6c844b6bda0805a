package session_test

import (
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

var forLogin = session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin}

// An attempt does not spend the nonce: if it comes to no answer, another one begins, but only five in all, and one at a
// time. Whoever comes to an answer spends it.
func TestHoldNonce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce := w.nonce()
		var h session.Hold
		for i := range 5 {
			var err error
			if h, err = w.HoldNonce(ctx, nonce, forLogin); err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
			_, err = w.HoldNonce(ctx, nonce, forLogin)
			wants(t, err, session.ErrNonceBusy)
			if i < 4 {
				w.ReleaseNonce(ctx, h)
			}
		}
		must(t, w.SpendHeld(ctx, h))
		_, err := w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)
		wants(t, w.SpendNonce(ctx, nonce, forLogin), session.ErrNonceSpent)

		nonce = w.nonce()
		for range 5 {
			h, err := w.HoldNonce(ctx, nonce, forLogin)
			must(t, err)
			w.ReleaseNonce(ctx, h)
		}
		_, err = w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)
		_, err = w.HoldNonce(ctx, "unknown", forLogin)
		wants(t, err, session.ErrNonceUnknown)
	})
}

// A caller that dies blocks others for half a minute. An attempt that is late loses against the one that spent the nonce.
func TestHoldNonce_late(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce := w.nonce()
		first, err := w.HoldNonce(ctx, nonce, forLogin)
		must(t, err)
		w.clock.add(29 * time.Second)
		_, err = w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceBusy)
		w.clock.add(time.Second)
		second, err := w.HoldNonce(ctx, nonce, forLogin)
		must(t, err)
		w.ReleaseNonce(ctx, first) // is no longer under way
		_, err = w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceBusy)
		must(t, w.SpendHeld(ctx, second))
		must(t, w.SpendHeld(ctx, second)) // its reply was lost
		wants(t, w.SpendHeld(ctx, first), session.ErrNonceSpent)
	})
}

// A nonce that is refused for its terms is spent. One that is refused for the rate of its network is not.
func TestHoldNonce_refused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.LoginRate = 2 })
		nonce, bearer := w.nonce(), forLogin
		bearer.Transport = session.Bearer
		_, err := w.HoldNonce(ctx, nonce, bearer)
		wants(t, err, session.ErrNonceUnknown)
		_, err = w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)

		nonce = w.nonce()
		if _, err = w.HoldNonce(ctx, nonce, forLogin); err == nil {
			t.Fatal("a third attempt within a minute is not limited")
		}
		w.clock.add(time.Minute)
		h, err := w.HoldNonce(ctx, nonce, forLogin)
		must(t, err)
		w.clock.add(5 * time.Minute)
		_, err = w.HoldNonce(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceExpired)
		_ = h
	})
}

// A hundred copies of one message begin one attempt at a time. A lost reply and a script that runs twice count once.
func TestHoldNonce_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.LoginRate = 0 })
		nonce := w.nonce()
		var held, doubled atomic.Int64
		together(100, func(int) {
			if _, err := w.HoldNonce(ctx, nonce, forLogin); err == nil {
				held.Add(1)
			}
		})
		if held.Load() != 1 {
			t.Errorf("%d attempts are under way at once", held.Load())
		}
		s, nonce := w.on(w.doubling(t, &doubled), w.clock), w.nonce()
		for i := range 5 {
			h, err := s.HoldNonce(ctx, nonce, forLogin)
			if err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
			s.ReleaseNonce(ctx, h)
		}
	})
}
