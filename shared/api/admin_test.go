package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
)

func userPath(a account) string { return "/api/admin/users/" + a.address.Hex() }

func TestUser(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.script(), w.browser(), newAccount(t)
		own := admin.signIn(root)
		admin.ask("GET", userPath(alice), nil).wants(404, "not_found")
		login := c.signIn(alice)
		got := admin.ask("GET", userPath(alice), nil).wants(200, "")
		names(t, "the account", got.object(), "user", "sessions", "blocked")
		equal(t, "user", got.at("user"), login.at("user"))
		equal(t, "ids", got.ids(), []string{login.text("session", "id")})
		shown, _ := got.at("sessions").([]any)
		equal(t, "current", shown[0].(map[string]any)["current"], false)
		equal(t, "blocked", got.at("blocked"), false)
		itself := admin.ask("GET", userPath(root), nil).wants(200, "")
		shown, _ = itself.at("sessions").([]any)
		equal(t, "its own session", shown[0], own.at("session"))
		for _, spelling := range []string{strings.ToLower(alice.address.Hex()), "0x" + strings.ToUpper(alice.address.Hex()[2:])} {
			equal(t, "in another spelling", admin.ask("GET", "/api/admin/users/"+spelling, nil).wants(200, "").at("user"), login.at("user"))
		}
	})
}

// An address that is none is a bad request on every route that takes one.
func TestAdmin_refusesAddresses(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c := w.script()
		c.signIn(root)
		for _, p := range protectedRoutes {
			if !strings.Contains(p.path, someone) {
				continue
			}
			for _, bad := range []string{
				"0x0", "me", someone[2:], someone + "0", "0X" + someone[2:], "0x0000000000000000000000000000000000000000", strings.Replace(someone, "E0F7", "e0F7", 1), "%00", "lka_x",
			} {
				odd := p
				odd.path = strings.Replace(p.path, someone, bad, 1)
				c.do(odd).wants(400, badRequest)
			}
		}
		c.ask("GET", "/api/admin/activity?address=", nil).wants(400, badRequest)
		c.ask("GET", "/api/admin/activity?address="+someone+"&address="+someone, nil).wants(400, badRequest)
	})
}

func TestSetRoles_refuses(t *testing.T) {
	roles := map[string]api.Role{"editor": {}}
	var long []string
	for i := range 12 {
		role := fmt.Sprintf("x%02d-%s", i, strings.Repeat("x", 24))
		roles[role], long = api.Role{}, append(long, role)
	}
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) { w.cfg.Roles = roles })
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		put := func(body any) answer { return admin.ask("PUT", userPath(alice)+"/roles", body) }
		for _, bad := range []any{
			nil, "", "{}", "[]", `{"roles":null}`, `{"roles":"admin"}`, `{"roles":[1]}`, `{"roles":[null]}`, `{"roles":[["admin"]]}`, `{"roles":{}}`,
			`{"roles":["nobody"]}`, `{"roles":["Admin"]}`, `{"roles":[""]}`, `{"roles":["admin,editor"]}`, `{"roles":["editor","editor"]}`,
			`{"roles":["user","user"]}`, `{"roles":[],"roles":[]}`, `{"roles":[],"address":"x"}`, `{"Roles":[]}`, map[string]any{"roles": long},
		} {
			put(bad).wants(400, badRequest)
		}
		admin.ask("GET", userPath(alice), nil).wants(404, "not_found") // nothing was stored
		set := admin.setRoles(alice, "editor").wants(200, "")          // never seen
		names(t, "a user that never signed in", set.at("user"), "id", "address", "account", "wallet", "roles", "permissions")
		c := w.script()
		equal(t, "roles at the first login", c.signIn(alice).at("user", "roles"), []any{"user", "editor"})
		admin.setRoles(alice, long[:8]...).wants(200, "")
	})
}

func TestBlock(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.script(), w.browser(), newAccount(t)
		admin.signIn(root)
		block := func(a account, what string) answer { return admin.ask("POST", userPath(a)+"/"+what, nil) }
		c.signIn(alice)
		stepUp := c.copyOf()
		block(alice, "block").wants(204, "")
		equal(t, "reason", stepUp.profile().wants(401, "session_ended").at("reason"), "account_blocked")
		equal(t, "reason", stepUp.renew().wants(401, "session_ended").at("reason"), "account_blocked")
		c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
		got := admin.ask("GET", userPath(alice), nil).wants(200, "")
		names(t, "a blocked account", got.object(), "user", "sessions", "blocked", "blockedAt")
		equal(t, "blocked", got.at("blocked"), true)
		equal(t, "blockedAt", got.at("blockedAt"), "2026-11-23T10:00:00.000Z")
		equal(t, "sessions", got.at("sessions"), []any{})
		block(alice, "block").wants(204, "")
		block(alice, "unblock").wants(204, "")
		block(alice, "unblock").wants(204, "")
		c.signIn(alice)

		stranger := newAccount(t) // never seen
		block(stranger, "block").wants(204, "")
		s := w.script()
		s.login(s.body(stranger, s.message(stranger).String())).wants(403, "account_blocked")
		admin.ask("POST", userPath(stranger)+"/unblock", "{}").wants(204, "")
		admin.ask("POST", userPath(stranger)+"/block", `{"reason":"x"}`).wants(400, badRequest)
		s.signIn(stranger)

		block(root, "block").wants(409, "conflict") // by configuration, and oneself
		admin.setRoles(alice, "admin").wants(200, "")
		c.ask("POST", userPath(alice)+"/block", nil).wants(409, "conflict")
		c.ask("POST", userPath(root)+"/block", nil).wants(409, "conflict")
		c.ask("POST", userPath(stranger)+"/block", nil).wants(204, "")
		admin.profile().wants(200, "")
	})
}

// An erased account is as if it had never been; a block stays.
func TestErase(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin := w.script()
		admin.signIn(root)
		for _, byAdmin := range []bool{true, false} {
			c, other, alice := w.browser(), w.script(), newAccount(t)
			c.signIn(alice)
			other.signIn(alice)
			admin.setRoles(alice, "admin").wants(200, "")
			c.ask("PATCH", "/api/preferences", map[string]any{"theme": "dark"}, with("If-Match", "*")).wants(200, "")
			stepUp := c.copyOf()
			if byAdmin {
				admin.ask("DELETE", userPath(alice), nil).wants(204, "")
			} else {
				got := c.ask("DELETE", "/api/profile", nil).wants(204, "")
				if cookie := got.cookies()["__Host-session"]; cookie == nil || cookie.MaxAge >= 0 {
					t.Errorf("the cookie stays: %v", got.header["Set-Cookie"])
				}
			}
			for _, gone := range []*client{stepUp, other} {
				equal(t, "reason", gone.profile().wants(401, "session_ended").at("reason"), "account_erased")
			}
			w.clock.add(time.Minute)
			back := w.script()
			login := back.signIn(alice)
			equal(t, "roles", login.at("user", "roles"), []any{"user"})
			equal(t, "preferences", back.profile().wants(200, "").at("preferences"), map[string]any{})
			list, _ := back.ask("GET", "/api/activity", nil).wants(200, "").at("events").([]any)
			if len(list) > 2 || strings.Contains(fmt.Sprint(list), "preferences.changed") {
				t.Errorf("the activity is still there: %v", list)
			}
		}
		blocked := newAccount(t)
		admin.ask("POST", userPath(blocked)+"/block", nil).wants(204, "")
		admin.ask("DELETE", userPath(blocked), nil).wants(204, "")
		c := w.script()
		c.login(c.body(blocked, c.message(blocked).String())).wants(403, "account_blocked")
		admin.ask("DELETE", "/api/admin/users/"+someone, nil).wants(204, "") // never seen
	})
}

func TestEndUserSessions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		path := userPath(alice) + "/sessions"
		equal(t, "of nobody", admin.ask("DELETE", path, nil).wants(200, "").object(), map[string]any{"ended": 0.0})
		phone, laptop := w.script(), w.browser()
		phone.signIn(alice)
		laptop.signIn(alice)
		equal(t, "ended", admin.ask("DELETE", path, nil).wants(200, "").object(), map[string]any{"ended": 2.0})
		for _, c := range []*client{phone, laptop} {
			equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "revoked_by_admin")
		}
		admin.profile().wants(200, "")
	})
}

func TestRevokeSession(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.browser(), w.script(), newAccount(t)
		own := admin.signIn(root).text("session", "id")
		id := c.signIn(alice).text("session", "id")
		revoke := func(id string) answer { return admin.ask("DELETE", "/api/admin/sessions/"+id, nil) }
		equal(t, "cookies", len(revoke(id).wants(204, "").cookies()), 0)
		equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "revoked_by_admin")
		for _, absent := range []string{id, strings.Repeat("A", 43), id[:21] + own[21:], "x", id + "A"} {
			revoke(absent).wants(404, "not_found")
		}
		if cookie := revoke(own).wants(204, "").cookies()["__Host-session"]; cookie == nil || cookie.MaxAge >= 0 {
			t.Error("the admin's own cookie stays")
		}
		admin.profile().wants(401, "no_credentials")
	})
}

func TestCountSessions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin := w.script()
		admin.signIn(root)
		first := admin.ask("GET", "/api/admin/sessions", nil).wants(200, "")
		names(t, "never swept", first.object(), "active", "users", "byChain", "byTransport", "byDevice", "last24h", "hours")
		equal(t, "last24h", first.at("last24h"), map[string]any{"logins": 0.0, "failedLogins": 0.0, "ended": map[string]any{}})
		equal(t, "hours", first.at("hours"), []any{})
		b, alice := w.browser(), newAccount(t)
		m := b.message(alice)
		m.ChainID = 8453
		b.login(b.body(alice, m.String())).wants(200, "")
		idle := w.script()
		idle.signIn(alice)
		admin.login(admin.body(newAccount(t), admin.message(alice).String())).wants(401, refused)
		gone := w.script()
		gone.signIn(alice)
		gone.logout(nil).wants(204, "")
		w.clock.add(10 * time.Minute)
		must(t, w.api.Sweep(context.Background()))
		got := admin.ask("GET", "/api/admin/sessions", nil).wants(200, "")
		counts := got.object()
		equal(t, "hours", len(counts["hours"].([]any)), 24)
		delete(counts, "hours")
		equal(t, "the counts", counts, map[string]any{
			"active": 3.0, "users": 2.0, "byChain": map[string]any{"1": 2.0, "8453": 1.0}, "byTransport": map[string]any{"cookie": 1.0, "bearer": 2.0},
			"byDevice": map[string]any{"desktop": 1.0, "mobile": 0.0, "tablet": 0.0, "other": 2.0},
			"last24h":  map[string]any{"logins": 4.0, "failedLogins": 1.0, "ended": map[string]any{"logged_out": 1.0}},
			"asOf":     "2026-11-23T10:10:00.000Z",
		})
		if n := len(w.lines("sweep")); n != 1 {
			t.Errorf("%d lines tell of the sweep", n)
		}
		// What a deadline ends the sweeper writes down, once.
		w.clock.add(20 * time.Minute)
		w.log.Reset()
		must(t, w.api.Sweep(context.Background()))
		w.wantsEvents("a sweep",
			"session.ended success reason=idle_timeout", "session.ended success reason=idle_timeout")
		must(t, w.api.Sweep(context.Background()))
		w.wantsEvents("another sweep")
		admin.signIn(root)
		got = admin.ask("GET", "/api/admin/sessions", nil).wants(200, "")
		equal(t, "active", got.at("active"), 2.0) // the admin's first was active since
		equal(t, "idle", got.at("last24h", "ended", "idle_timeout"), 2.0)
		w.clock.add(time.Hour)
		must(t, w.api.Sweep(context.Background()))
		admin.signIn(root)
		hours := admin.ask("GET", "/api/admin/sessions", nil).wants(200, "").at("hours").([]any)
		equal(t, "the last hour", hours[23], map[string]any{
			"hour": "2026-11-23T10:00:00.000Z", "logins": 5.0, "failedLogins": 1.0,
			"ended": map[string]any{"logged_out": 1.0, "idle_timeout": 2.0},
		})
	})
}

// The sweeper's lines have no request.
func TestSweep_events(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		login := c.signIn(newAccount(t))
		w.clock.add(time.Hour)
		must(t, w.api.Sweep(context.Background()))
		e := w.last("session.ended")
		names(t, "event", e, "time", "level", "msg", "type", "outcome", "userId", "sessionId", "reason")
		equal(t, "sessionId", e["sessionId"], login.text("session", "id"))
	})
}

func TestHealth_sessions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.cfg.HealthDetails = true })
		health := func() answer { return w.script().send("GET", "/health", nil).wants(200, "") }
		names(t, "never swept", health().at("checks", "sessions"), "status")
		must(t, w.api.Sweep(context.Background()))
		equal(t, "nobody", health().at("checks", "sessions", "active"), 0.0)
		w.script().signIn(newAccount(t))
		must(t, w.api.Sweep(context.Background()))
		equal(t, "sessions", health().at("checks", "sessions"), map[string]any{"status": "ok", "active": 1.0, "asOf": "2026-11-23T10:00:00.000Z"})
		w.cfg.HealthDetails = false
		quiet := api.New(w.cfg, w.store, discard(), w.clock.now)
		names(t, "without details", serve(t, quiet.Health(), request("GET", "/health", "")).at("checks", "sessions"), "status")
	})
}
