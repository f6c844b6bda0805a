package session_test

import (
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var terms = session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin, Browser: "the browser's cookie"}

func TestNonce_spentOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce, expires, err := w.IssueNonce(ctx, terms)
		must(t, err)
		if !regexp.MustCompile(`^[A-Za-z0-9]{24}$`).MatchString(nonce) {
			t.Errorf("nonce %q is not 24 letters and digits", nonce)
		}
		if !expires.Equal(w.clock.now().Add(5 * time.Minute)) {
			t.Errorf("expires %v", expires)
		}
		var spent, refused atomic.Int64
		together(50, func(int) {
			switch err := w.SpendNonce(ctx, nonce, terms); {
			case err == nil:
				spent.Add(1)
			case errors.Is(err, session.ErrNonceSpent):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		if spent.Load() != 1 || refused.Load() != 49 {
			t.Errorf("spent %d times, refused %d times", spent.Load(), refused.Load())
		}
	})
}

func TestNonce_terms(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		wants(t, w.SpendNonce(ctx, "neverIssued0123456789a", terms), session.ErrNonceUnknown)
		for name, other := range map[string]session.NonceTerms{
			"transport": {Transport: session.Bearer, Purpose: session.ForLogin, Browser: terms.Browser},
			"purpose":   {Transport: session.Cookie, Purpose: session.ForStepUp, Browser: terms.Browser},
			"browser":   {Transport: session.Cookie, Purpose: session.ForLogin, Browser: "another browser"},
			"session":   {Transport: session.Cookie, Purpose: session.ForLogin, Browser: terms.Browser, Session: token.ID{User: token.UserID{1}}},
			"none":      {Transport: session.Cookie, Purpose: session.ForLogin},
		} {
			nonce, _, err := w.IssueNonce(ctx, terms)
			must(t, err)
			t.Run(name, func(t *testing.T) {
				wants(t, w.SpendNonce(ctx, nonce, other), session.ErrNonceUnknown)
				wants(t, w.SpendNonce(ctx, nonce, terms), session.ErrNonceSpent) // it was used up all the same
			})
		}
	})
}

// A nonce for a step-up is spent for the very session and purpose that it was asked for.
func TestNonce_stepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		own := token.ID{User: token.UserID{1, 2}, Session: [16]byte{3, 4}}
		stepUp := session.NonceTerms{Transport: session.Bearer, Purpose: session.ForStepUp, Session: own}
		for name, c := range map[string]struct {
			change func(*session.NonceTerms)
			want   error
		}{
			"as asked":        {func(*session.NonceTerms) {}, nil},
			"another network": {func(n *session.NonceTerms) { n.From = phone.IP }, nil},
			"another session": {func(n *session.NonceTerms) { n.Session.Session[0]++ }, session.ErrNonceUnknown},
			"another account": {func(n *session.NonceTerms) { n.Session.User[0]++ }, session.ErrNonceUnknown},
			"no session":      {func(n *session.NonceTerms) { n.Session = token.ID{} }, session.ErrNonceUnknown},
			"login":           {func(n *session.NonceTerms) { n.Purpose = session.ForLogin }, session.ErrNonceUnknown},
			"transport":       {func(n *session.NonceTerms) { n.Transport = session.Cookie }, session.ErrNonceUnknown},
			"id as browser": {func(n *session.NonceTerms) {
				n.Browser, n.Session = string(own.User[:])+string(own.Session[:]), token.ID{}
			}, session.ErrNonceUnknown},
		} {
			nonce, _, err := w.IssueNonce(ctx, stepUp)
			must(t, err)
			spend := stepUp
			c.change(&spend)
			if err := w.SpendNonce(ctx, nonce, spend); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
	})
}

// What cannot be a nonce is one that was never issued, whatever it would do to the name of a key.
func TestNonce_malformed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce, _, err := w.IssueNonce(ctx, terms)
		must(t, err)
		for _, text := range []string{
			"", "a", nonce[:23], nonce + "a", "{}" + nonce[2:], "}:" + nonce[2:], nonce[:2] + "\x00" + nonce[3:], strings.Repeat("x", 100000),
		} {
			wants(t, w.SpendNonce(ctx, text, terms), session.ErrNonceUnknown)
		}
		must(t, w.SpendNonce(ctx, nonce, terms))
	})
}

func TestNonce_expires(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		early, expires, err := w.IssueNonce(ctx, terms)
		must(t, err)
		late, _, err := w.IssueNonce(ctx, terms)
		must(t, err)
		w.clock.set(expires.Add(-time.Millisecond))
		must(t, w.SpendNonce(ctx, early, terms))
		w.clock.set(expires)
		wants(t, w.SpendNonce(ctx, late, terms), session.ErrNonceExpired)
		keys := w.redis.Keys(w.t, w.opts.Prefix+":{??}:n*")
		if len(keys) != 2 {
			t.Errorf("keys %q, want two nonces", keys)
		}
		for _, key := range keys {
			if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 5*time.Minute+30*time.Second || ttl > 6*time.Minute {
				t.Errorf("a nonce stays for %v, want a minute longer than it may be spent", ttl)
			}
		}
	})
}

// A nonce lives as long as the store that issued it says, at most an hour, also at a store that says otherwise.
func TestNonce_life(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for configured, life := range map[time.Duration]time.Duration{
			0: 5 * time.Minute, time.Minute: time.Minute, time.Hour: time.Hour, 2 * time.Hour: time.Hour,
		} {
			w := newWorld(t, r, func(o *session.Options) { o.NonceLife = configured })
			usual := newWorld(t, r)
			usual.clock = w.clock
			other := session.NewStore(w.product, w.ring, usual.opts, w.clock.now)
			early, expires, err := w.IssueNonce(ctx, terms)
			must(t, err)
			if got := expires.Sub(w.clock.now()); got != life || w.NonceLife() != life {
				t.Errorf("%v: it lives for %v, want %v", configured, got, life)
			}
			late, _, err := w.IssueNonce(ctx, terms)
			must(t, err)
			w.clock.set(expires.Add(-time.Millisecond))
			h, err := other.BeginAttempt(ctx, early, terms)
			must(t, err)
			if ttl := w.rdb.PTTL(ctx, w.AttemptsKey(early)).Val(); ttl < life {
				t.Errorf("%v: its attempts are kept for %v", configured, ttl)
			}
			must(t, other.FinishAttempt(ctx, h))
			w.clock.set(expires)
			wants(t, other.SpendNonce(ctx, late, terms), session.ErrNonceExpired)
		}
	})
}

// A value that is no nonce of ours is worth an alarm, and is not an unknown nonce.
func TestNonce_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		nonce, _, err := w.IssueNonce(ctx, terms)
		must(t, err)
		key := w.NonceKey(nonce)
		honest := w.rdb.Get(ctx, key).Val()
		for name, value := range map[string]string{
			"empty": "", "other state": "x" + honest[1:], "state alone": "i", "cut": honest[:len(honest)-1], "longer": honest + "x",
		} {
			must(t, w.rdb.Set(ctx, key, value, time.Minute).Err())
			if err := w.SpendNonce(ctx, nonce, terms); !errors.Is(err, session.ErrDamaged) {
				t.Errorf("%s: got %v, want it told as damaged", name, err)
			}
		}
		must(t, w.rdb.Set(ctx, key, honest, time.Minute).Err())
		must(t, w.SpendNonce(ctx, nonce, terms))
	})
}
