package upgrade_test

import (
	"context"
	"net/http"
	"testing"

	"latchkey/local/test/redistest"
)

// outboxes returns how many events wait, and reports outboxes that would stay
// for good.
func outboxes(t *testing.T, r redistest.Redis) (waiting int) {
	t.Helper()
	ctx, c := context.Background(), r.Client()
	for _, kind := range []string{"q", "v"} {
		for _, key := range r.Keys(t, r.Prefix+":{???}:"+kind) {
			if kind == "q" {
				waiting += int(c.LLen(ctx, key).Val())
			}
			if c.PTTL(ctx, key).Val() <= 0 {
				t.Errorf("%q does not expire", key)
			}
		}
	}
	return waiting
}

// testEvents has both versions change one account while nobody hears of it. What
// the release does has no event. It leaves the outbox as it is, and after a
// rollback that expires.
func testEvents(t *testing.T, old, current version) {
	d := newDeployment(t, "EVENTS=webhook", "EVENT_WEBHOOK_URL=http://127.0.0.1:1/nobody",
		"EVENT_WEBHOOK_SECRET=whsec_c2FtcGxlLXdlYmhvb2stc2VjcmV0LTMyLWJ5dGVz")
	first, second := d.start(t, old), d.start(t, current)
	m, n := newMember(t, "bearer").signIn(t, second), newMember(t, "bearer").signIn(t, first)
	waits := func(what string, want int) {
		t.Helper()
		if got := outboxes(t, d.redis); got != want {
			t.Errorf("after %s the outboxes have %d events, want %d", what, got, want)
		}
	}
	waits("a login at each", 1)
	m.take(m.refresh(t, first).ok(t))
	m.ask(t, first, "POST", "/auth/logout", nil).ok(t)
	waits("a logout at the release", 1)
	n.ask(t, second, "POST", "/auth/logout", nil).ok(t)
	waits("a logout at this version", 2)
	second.stop(t) // rolled back
	m.again().signIn(t, first).ask(t, first, "GET", "/api/profile", nil).want(t, http.StatusOK, "")
	waits("a login after a rollback", 2)
	first.stop(t)
}
