package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// ids are those of the sessions that an answer lists.
func (a answer) ids() []string {
	a.t.Helper()
	list, _ := a.at("sessions").([]any)
	found := []string{}
	for _, s := range list {
		id, _ := s.(map[string]any)["id"].(string)
		found = append(found, id)
	}
	return found
}

func TestSessions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		phone, laptop, other := w.script(), w.browser(), w.script()
		first := phone.signIn(alice)
		other.signIn(newAccount(t))
		w.clock.add(10 * time.Minute)
		second := laptop.signIn(alice)
		list := laptop.ask("GET", "/api/sessions", nil).wants(200, "")
		names(t, "the list", list.object(), "sessions", "limit")
		equal(t, "ids, newest first", list.ids(), []string{second.text("session", "id"), first.text("session", "id")})
		equal(t, "limit", list.at("limit"), 5.0)
		shown, _ := list.at("sessions").([]any)
		equal(t, "its own session", shown[0], second.at("session"))
		older, _ := shown[1].(map[string]any)
		names(t, "the other session", older, sessionMembers...)
		equal(t, "current", older["current"], false)
		equal(t, "device", older["device"], first.at("session", "device"))

		w.clock.add(20 * time.Minute) // the first is idle
		laptop.take(laptop.renew().wants(200, ""))
		equal(t, "ids", laptop.ask("GET", "/api/sessions", nil).wants(200, "").ids(), []string{second.text("session", "id")})
	})
}

// A session tells until when it is elevated for as long as it is.
func TestSessions_elevated(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	login := c.signIn(newAccount(t))
	equal(t, "elevatedUntil", login.at("session", "elevatedUntil"), "2026-11-23T10:05:00.000Z")
	equal(t, "elevatedUntil", c.profile().at("session", "elevatedUntil"), "2026-11-23T10:05:00.000Z")
	w.clock.add(5 * time.Minute)
	equal(t, "elevatedUntil when it is over", c.profile().at("session", "elevatedUntil"), nil)
}

// The limit that is told is the one in force: the largest that a role of the user sets.
func TestSessions_limit(t *testing.T) {
	one, eight, most := 1, 8, 0
	roles := map[string]api.Role{"kiosk": {MaxSessions: &one}, "editor": {MaxSessions: &eight}, "robot": {MaxSessions: &most}, "plain": {}}
	w, root := adminWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Roles = roles
		w.opts.RoleLimits = map[string]int{"kiosk": 1, "editor": 8, "robot": 0}
	})
	admin, c, alice := w.script(), w.script(), newAccount(t)
	admin.signIn(root)
	c.signIn(alice)
	for _, tt := range []struct {
		roles []string
		want  float64
	}{
		{[]string{}, 5}, {[]string{"plain"}, 5}, {[]string{"kiosk"}, 1}, {[]string{"kiosk", "plain"}, 1}, {[]string{"kiosk", "editor"}, 8},
		{[]string{"editor", "robot"}, 100}, {[]string{"admin"}, 5},
	} {
		admin.setRoles(alice, tt.roles...).wants(200, "")
		equal(t, "limit", c.ask("GET", "/api/sessions", nil).wants(200, "").at("limit"), tt.want)
	}
	unlimited := newWorld(t, redistest.Embedded(t), func(w *world) { w.opts.SessionLimit = 0 })
	c = unlimited.script()
	c.signIn(alice)
	equal(t, "limit", c.ask("GET", "/api/sessions", nil).at("limit"), 100.0)
}

func TestEndSession(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		phone, laptop := w.script(), w.browser()
		first := phone.signIn(alice).text("session", "id")
		second := laptop.signIn(alice).text("session", "id")
		got := laptop.ask("DELETE", "/api/sessions/"+first, nil).wants(204, "")
		equal(t, "cookies", len(got.cookies()), 0)
		equal(t, "reason", phone.profile().wants(401, "session_ended").at("reason"), "revoked")
		laptop.ask("DELETE", "/api/sessions/"+first, nil).wants(404, "not_found")
		got = laptop.ask("DELETE", "/api/sessions/"+second, nil).wants(204, "") // its own
		for _, name := range []string{"__Host-session", "__Host-refresh"} {
			if cookie := got.cookies()[name]; cookie == nil || cookie.MaxAge >= 0 {
				t.Errorf("%s is not deleted: %v", name, got.header["Set-Cookie"])
			}
		}
		laptop.profile().wants(401, "no_credentials")
	})
}

// Another user's session is as absent as none at all: the same answer, and a line in the log.
func TestEndSession_anothers(t *testing.T) { // attack case 46
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice, bob := newWorld(t, r), newAccount(t), newAccount(t)
		a, b := w.script(), w.script()
		own := a.signIn(alice).text("session", "id")
		foreign := b.signIn(bob).text("session", "id")
		mixed := own[:21] + foreign[21:]
		absent := ""
		for _, id := range []string{
			strings.Repeat("A", 43), foreign, mixed, own[:22] + strings.Repeat("A", 20) + "E", own + "A", own[1:], "-1", "0", "..", "%2e%2e", "me", a.access, b.refresh,
			strings.Repeat("9", 400), "\u202e%0a",
		} {
			w.log.Reset()
			got := a.ask("DELETE", "/api/sessions/"+id, nil).wants(404, "not_found")
			body := requestID.ReplaceAllString(got.body, "")
			if absent == "" {
				absent = body
			}
			equal(t, "body for "+id, body, absent)
			e := w.last("request")
			if e["reason"] != "not_found" || e["sessionId"] != own {
				t.Errorf("%s: logged %v", id, e)
			}
			if id == foreign && e["target"] != foreign {
				t.Errorf("the log has not what was asked for: %v", e)
			}
			if strings.Contains(w.log.text(), a.access) || strings.Contains(w.log.text(), b.refresh) {
				t.Errorf("the log has a token: %s", w.log.text())
			}
			w.uniqueMembers()
		}
		equal(t, "its own list", a.ask("GET", "/api/sessions", nil).ids(), []string{own})
		b.profile().wants(200, "")
		a.profile().wants(200, "")
	})
}

func TestEndOtherSessions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		own, stranger := w.browser(), w.script()
		own.signIn(alice)
		stranger.signIn(newAccount(t))
		equal(t, "ended", own.ask("DELETE", "/api/sessions", nil).wants(200, "").at("ended"), 0.0)
		others := []*client{w.script(), w.browser(), w.script()}
		for _, c := range others {
			c.signIn(alice)
		}
		got := own.ask("DELETE", "/api/sessions", nil).wants(200, "")
		equal(t, "the answer", got.object(), map[string]any{"ended": 3.0})
		for _, c := range others {
			equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "revoked")
		}
		own.profile().wants(200, "")
		stranger.profile().wants(200, "")
		w.uniqueMembers()
	})
}

// A session that a deadline has ended is not there any more, swept or not.
func TestEndSession_overAlready(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		idle, c := w.script(), w.script()
		id := idle.signIn(alice).text("session", "id")
		w.clock.add(29 * time.Minute)
		c.signIn(alice)
		w.clock.add(time.Minute)
		c.ask("DELETE", "/api/sessions/"+id, nil).wants(404, "not_found")
		equal(t, "reason", idle.profile().wants(401, "session_ended").at("reason"), session.IdleTimeout.String())
	})
}

// What a route costs in trips to Redis: the session is read once, and each change is one more.
func TestRoundTrips_protected(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root, alice, key := newAccount(t), newAccount(t), token.NewServiceKey()
		counting := redistest.Counting(t, r)
		w := newWorldOn(t, r, counting, services(key), func(w *world) { w.cfg.Admins = []token.Account{token.KeyAccount(root.address)} })
		b := w.backend(key)
		admin, c, other := w.script(), w.script(), w.script()
		roundTrips := func(what string, want int, status int, do func() answer) {
			t.Helper()
			counting.Reset()
			got := do()
			if n := counting.RoundTrips(); n != want || got.status != status {
				t.Errorf("%s: %d trips, want %d; %d %s", what, n, want, got.status, got.body)
			}
		}
		for i := range 2 { // Redis learns each script at its first use
			admin.signIn(root)
			c.signIn(alice)
			id := other.signIn(alice).text("session", "id")
			run := roundTrips
			if i == 0 {
				run = func(_ string, _, _ int, do func() answer) { do() }
			}
			run("validate", 1, 200, func() answer { return b.validate(map[string]any{"token": c.access}) })
			run("ticket", 2, 200, func() answer { return c.ask("POST", "/auth/ticket", nil) })
			run("list", 2, 200, func() answer { return c.ask("GET", "/api/sessions", nil) })
			run("end one", 2, 204, func() answer { return c.ask("DELETE", "/api/sessions/"+id, nil) })
			run("end another's", 1, 404, func() answer { return c.ask("DELETE", "/api/sessions/"+strings.Repeat("A", 43), nil) })
			run("end others", 2, 200, func() answer { return c.ask("DELETE", "/api/sessions", nil) })
			run("activity", 2, 200, func() answer { return c.ask("GET", "/api/activity", nil) })
			run("forbidden", 1, 403, func() answer { return c.ask("POST", userPath(alice)+"/block", nil) })
			// What admins do and look at takes one more, for the audit list.
			run("an account", 4, 200, func() answer { return admin.ask("GET", userPath(alice), nil) })
			run("roles", 4, 200, func() answer { return admin.setRoles(alice) })
			run("end a user's", 3, 200, func() answer { return admin.ask("DELETE", userPath(alice)+"/sessions", nil) })
			run("block", 4, 204, func() answer { return admin.ask("POST", userPath(alice)+"/block", nil) })
			run("unblock", 3, 204, func() answer { return admin.ask("POST", userPath(alice)+"/unblock", nil) })
			run("the audit list", 3, 200, func() answer { return admin.ask("GET", "/api/admin/activity", nil) })
			// An erasure looks for the name in that list, and takes it out if it is there.
			run("erase", 6, 204, func() answer { return admin.ask("DELETE", userPath(alice), nil) })
			run("erase nothing", 5, 204, func() answer { return admin.ask("DELETE", userPath(alice), nil) })
			c.signIn(alice)
			run("erase oneself", 4, 204, func() answer { return c.ask("DELETE", "/api/profile", nil) })
		}
	})
}

// What a user does to their own sessions is theirs: no other account is named, and they see from where.
func TestEndSession_isOnesOwnDoing(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c, other := w.script(), w.script()
	c.signIn(alice)
	other.signIn(alice)
	c.ask("DELETE", "/api/sessions/"+other.profile().text("session", "id"), nil).wants(204, "")
	for _, line := range w.lines("event") {
		if line["actorId"] != nil {
			t.Errorf("%v names an actor", line)
		}
	}
	events, _ := c.ask("GET", "/api/activity", nil).wants(200, "").at("events").([]any)
	if first, _ := events[0].(map[string]any); first["type"] != "session.ended" || first["ip"] != clientIP {
		t.Errorf("the activity begins with %v", events[0])
	}
}

// A script that leaves is sent no cookies.
func TestLeaving_bearerGetsNoCookies(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	c.signIn(alice)
	if got := c.ask("DELETE", "/api/sessions/"+c.profile().text("session", "id"), nil).wants(204, ""); len(got.cookies()) > 0 {
		t.Errorf("ending one's own session sets %v", got.cookies())
	}
	c.signIn(alice)
	if got := c.ask("DELETE", "/api/profile", nil).wants(204, ""); len(got.cookies()) > 0 {
		t.Errorf("erasing oneself sets %v", got.cookies())
	}
}

// Pages of sessions and of state follow each other without gap.
func TestLists_pages(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		c := w.script()
		for i := range 5 {
			c.signIn(alice)
			w.clock.add(time.Second)
			c.own("PUT", fmt.Sprint("/api/state/key", i), `1`).wants(204, "")
		}
		for i := range 4 {
			c.own("PUT", fmt.Sprint("/api/state/key", i), `1`).wants(204, "")
		}
		for path, list := range map[string]string{"/api/sessions": "sessions", "/api/state": "keys"} {
			total, next := 0, ""
			for {
				got := c.ask("GET", path+"?limit=2"+next, nil).wants(200, "")
				items, _ := got.at(list).([]any)
				total += len(items)
				if got.text("next") == "" {
					break
				}
				next = "&cursor=" + got.text("next")
			}
			if total != 5 {
				t.Errorf("%s: pages hold %d, want 5", path, total)
			}
			c.ask("GET", path+"?cursor=nonsense", nil).wants(400, badRequest)
		}
	})
}
