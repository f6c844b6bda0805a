package upgrade_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
)

// write stores every kind of value. What is special about a member is in its
// name; other tests say what it means.
func (w *fixtureWriter) write() {
	w.t.Helper()
	w.add("admin", w.admin)
	w.writeDevices()
	w.writeData()
	w.writeAccounts()
	w.writeEnds()
	w.writeNonces()
	w.writeTimeouts()
	w.writeRenewals()
}

// writeDevices signs in from devices of every class, and changes some.
func (w *fixtureWriter) writeDevices() {
	w.t.Helper()
	w.add("cookies", newMember(w.t, "cookie"))
	w.add("phone", newMember(w.t, "bearer").on(agents[3]))
	w.add("tablet", newMember(w.t, "bearer").on(agents[4]))
	w.add("tool", newMember(w.t, "bearer").on("curl/8.14.1"))
	m := newMember(w.t, "bearer")
	m.DeviceID = "a-device"
	w.add("device id", m)
	m = w.new("step-up required")
	m.on("curl/8.14.1").ask(w.t, w.server, "GET", "/api/profile", nil).
		want(w.t, http.StatusUnauthorized, "step_up_required")
	m = w.new("another network")
	m.From = "127.1.0.1"
	w.ask(m, "GET", "/api/profile", nil)
}

// writeData stores state and preferences.
func (w *fixtureWriter) writeData() {
	w.t.Helper()
	m := w.new("state")
	w.ask(m, "PUT", "/api/state/form.1", map[string]any{"step": 2, "done": false})
	w.ask(m, "PUT", "/api/state/text?ttl=3600", "text")
	m = w.new("preferences")
	w.ask(m, "PATCH", "/api/preferences", map[string]any{"theme": "dark", "size": 12}, "If-Match", "*")
}

// writeAccounts changes accounts as an admin.
func (w *fixtureWriter) writeAccounts() {
	w.t.Helper()
	w.ask(w.admin, "PUT", w.new("editor").adminPath()+"/roles", rolesBody{"editor"})
	w.ask(w.admin, "PUT", w.new("stored admin").adminPath()+"/roles", rolesBody{"admin", "editor"})
	w.ask(w.admin, "POST", w.new("blocked").adminPath()+"/block", nil)
	unblocked := w.new("unblocked").adminPath()
	w.ask(w.admin, "POST", unblocked+"/block", nil)
	w.ask(w.admin, "POST", unblocked+"/unblock", nil)
	w.ask(w.new("erased"), "DELETE", "/api/profile", nil)
}

// writeEnds ends sessions in every way except by a deadline.
func (w *fixtureWriter) writeEnds() {
	w.t.Helper()
	w.ask(w.new("logged out"), "POST", "/auth/logout", nil)
	m := w.new("revoked")
	w.ask(w.add("lives on", m.again()), "DELETE", "/api/sessions", nil)
	w.ask(w.admin, "DELETE", "/api/admin/sessions/"+w.new("revoked by admin").ID, nil)
	m = w.new("evicted")
	for i := range sessionLimit {
		w.add(fmt.Sprint("evicting ", i), m.again())
	}
	m = w.new("reused")
	stolen := m.on("curl/8.14.1")
	m.take(m.refresh(w.t, w.server).ok(w.t))
	stolen.refresh(w.t, w.server).want(w.t, http.StatusUnauthorized, "refresh_reused")
	m = w.new("hijacked")
	w.with(func() {
		m.on("curl/8.14.1").ask(w.t, w.server, "GET", "/api/profile", nil).
			want(w.t, http.StatusUnauthorized, "hijack_suspected")
	}, "DEVICE_POLICY=revoke")
	w.writeReset()
}

// writeReset loses a write of Redis, as a failover may.
func (w *fixtureWriter) writeReset() {
	w.t.Helper()
	m, ctx, c := w.new("reset"), context.Background(), w.deployment.redis.Client()
	records := map[string]string{}
	for _, key := range w.deployment.redis.Keys(w.t, w.deployment.redis.Prefix+":{*}:u*") {
		records[key] = c.Get(ctx, key).Val()
	}
	m.take(m.refresh(w.t, w.server).ok(w.t))
	for key, record := range records {
		if c.Get(ctx, key).Val() != record {
			if err := c.Set(ctx, key, record, redis.KeepTTL).Err(); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	m.ask(w.t, w.server, "GET", "/api/profile", nil).want(w.t, http.StatusUnauthorized, "store_reset")
}

// writeTimeouts lets sessions pass their deadlines, and sweeps them.
func (w *fixtureWriter) writeTimeouts() {
	w.t.Helper()
	timesOut := func(name string) func() {
		return func() {
			w.server.swept(w.t) // the next sweep is a minute later
			w.new(name)
		}
	}
	idle := []string{"SESSION_TIMEOUT_MINUTES=0.01", "SESSION_TOUCH_SECONDS=0.1"}
	w.with(timesOut("idle timeout"), idle...)
	// A session whose two ends are the same ends by the absolute one.
	w.with(timesOut("absolute timeout"), "SESSION_TIMEOUT_MINUTES=0.012",
		"SESSION_TOUCH_SECONDS=0.1", "SESSION_MAX_HOURS=0.0002", "STEP_UP_MINUTES=0.01",
		"ACCESS_TOKEN_MINUTES=0.01", "REFRESH_GRACE_SECONDS=0.1")
	<-time.After(time.Second) // the clock of another process cannot be set
	w.with(func() {
		if n := w.server.swept(w.t); n != 2 {
			w.t.Errorf("%d sessions have timed out, want 2", n)
		}
	})
}

// writeNonces issues nonces and spends one, and fails a login.
func (w *fixtureWriter) writeNonces() {
	w.t.Helper()
	spent := newMember(w.t, "bearer")
	w.Bodies["spent"] = spent.nonce(w.t, w.server, "login")
	spent.logIn(w.t, w.server, w.Bodies["spent"]).ok(w.t)
	w.Members["spent"] = spent
	w.Bodies["unspent"] = newMember(w.t, "bearer").nonce(w.t, w.server, "login")
	body := newMember(w.t, "bearer").nonce(w.t, w.server, "login")
	body["signature"] = w.Bodies["spent"]["signature"]
	newMember(w.t, "bearer").logIn(w.t, w.server, body).
		want(w.t, http.StatusUnauthorized, "login_failed")
}

// writeRenewals rotates tokens. It comes last, so that the grace of a rotation
// is not over.
func (w *fixtureWriter) writeRenewals() {
	w.t.Helper()
	w.new("stepped up").stepUp(w.t, w.server, w.server)
	m := w.new("to step up")
	w.Bodies["step-up"] = m.nonce(w.t, w.server, "step_up")
	m = w.new("rotated")
	w.Members["superseded"] = m.copy()
	m.take(m.refresh(w.t, w.server).ok(w.t))
	m = w.new("limited")
	for range refreshLimit {
		m.take(m.refresh(w.t, w.server).ok(w.t))
	}
	m.refresh(w.t, w.server).want(w.t, http.StatusTooManyRequests, "rate_limited")
}
