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
func TestBeginAttempt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce := w.nonce()
		var try session.Attempt
		for i := range 5 {
			var err error
			if try, err = w.BeginAttempt(ctx, nonce, forLogin); err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
			_, err = w.BeginAttempt(ctx, nonce, forLogin)
			wants(t, err, session.ErrNonceBusy)
			if i < 4 {
				w.AbandonAttempt(ctx, try)
			}
		}
		must(t, w.FinishAttempt(ctx, try))
		_, err := w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)
		wants(t, w.SpendNonce(ctx, nonce, forLogin), session.ErrNonceSpent)

		nonce = w.nonce()
		for range 5 {
			try, err := w.BeginAttempt(ctx, nonce, forLogin)
			must(t, err)
			w.AbandonAttempt(ctx, try)
		}
		_, err = w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)
		_, err = w.BeginAttempt(ctx, "unknown", forLogin)
		wants(t, err, session.ErrNonceUnknown)
	})
}

// A caller that dies blocks others for half a minute. An attempt that is late loses against the one that spent the nonce.
func TestBeginAttempt_late(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce := w.nonce()
		first, err := w.BeginAttempt(ctx, nonce, forLogin)
		must(t, err)
		w.clock.add(29 * time.Second)
		_, err = w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceBusy)
		w.clock.add(time.Second)
		second, err := w.BeginAttempt(ctx, nonce, forLogin)
		must(t, err)
		w.AbandonAttempt(ctx, first) // is no longer under way
		_, err = w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceBusy)
		must(t, w.FinishAttempt(ctx, second))
		must(t, w.FinishAttempt(ctx, second)) // its reply was lost
		wants(t, w.FinishAttempt(ctx, first), session.ErrNonceSpent)
	})
}

// A nonce that is refused for its terms is spent. One that is refused for the rate of its network is not.
func TestBeginAttempt_refused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.LoginRate = 2 })
		nonce, bearer := w.nonce(), forLogin
		bearer.Transport = session.Bearer
		_, err := w.BeginAttempt(ctx, nonce, bearer)
		wants(t, err, session.ErrNonceUnknown)
		_, err = w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceSpent)

		nonce = w.nonce()
		if _, err = w.BeginAttempt(ctx, nonce, forLogin); err == nil {
			t.Fatal("a third attempt within a minute is not limited")
		}
		w.clock.add(time.Minute)
		try, err := w.BeginAttempt(ctx, nonce, forLogin)
		must(t, err)
		w.clock.add(5 * time.Minute)
		_, err = w.BeginAttempt(ctx, nonce, forLogin)
		wants(t, err, session.ErrNonceExpired)
		_ = try
	})
}

// A hundred copies of one message begin one attempt at a time. A lost reply and a script that runs twice count once.
func TestBeginAttempt_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.LoginRate = 0 })
		nonce := w.nonce()
		var begun, doubled atomic.Int64
		together(100, func(int) {
			if _, err := w.BeginAttempt(ctx, nonce, forLogin); err == nil {
				begun.Add(1)
			}
		})
		if begun.Load() != 1 {
			t.Errorf("%d attempts are under way at once", begun.Load())
		}
		s, nonce := w.on(w.doubling(t, &doubled), w.clock), w.nonce()
		for i := range 5 {
			try, err := s.BeginAttempt(ctx, nonce, forLogin)
			if err != nil {
				t.Fatalf("attempt %d: %v", i, err)
			}
			s.AbandonAttempt(ctx, try)
		}
	})
}
