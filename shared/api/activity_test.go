package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// events are the events of an answer.
func (a answer) events() []map[string]any {
	a.t.Helper()
	list, _ := a.wants(200, "").at("events").([]any)
	var events []map[string]any
	for _, e := range list {
		events = append(events, e.(map[string]any))
	}
	return events
}

// types are those of the events of an answer.
func (a answer) types() []string {
	a.t.Helper()
	types := []string{}
	for _, e := range a.events() {
		text := fmt.Sprint(e["type"])
		if e["reason"] != nil {
			text += fmt.Sprint(" ", e["reason"])
		}
		types = append(types, text)
	}
	return types
}

func TestActivity(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		c, other := w.browser(), w.script()
		login := c.signIn(alice)
		w.clock.add(time.Minute)
		c.renew().wants(200, "")
		other.signIn(alice)
		id := login.text("session", "id")
		w.clock.add(time.Minute)
		other.ask("DELETE", "/api/sessions", nil).wants(200, "")
		w.clock.add(time.Minute)
		other.ask("PATCH", "/api/preferences", map[string]any{"theme": "dark"}, with("If-Match", "*")).wants(200, "")
		got := other.ask("GET", "/api/activity", nil)
		equal(t, "types, newest first", got.types(), []string{"preferences.changed", "session.ended revoked", "login", "refresh", "login"})
		names(t, "the list", got.object(), "events")
		events := got.events()
		for i, e := range events {
			want := []string{"v", "id", "time", "type", "sessionId", "ip", "device", "outcome"}
			if i == 1 {
				want = append(want, "reason")
			}
			names(t, "event", e, want...)
			equal(t, "ip", e["ip"], clientIP)
			equal(t, "v", e["v"], 1.0)
			equal(t, "outcome", e["outcome"], "success")
		}
		for i, want := range map[int]map[string]any{
			1: {"time": "2026-11-23T10:02:00.000Z", "device": "curl", "sessionId": id},
			4: {"time": "2026-11-23T10:00:00.000Z", "device": "Chrome on macOS", "sessionId": id},
		} {
			for member, value := range want {
				equal(t, member, events[i][member], value)
			}
		}
		stranger := w.script()
		stranger.signIn(newAccount(t))
		equal(t, "another's", stranger.ask("GET", "/api/activity", nil).types(), []string{"login"})
	})
}

func TestActivity_pages(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, func(w *world) { w.opts.ActivityMax = 30 }), newAccount(t)
		c, other := w.script(), w.script()
		other.signIn(newAccount(t))
		for range 20 {
			c.signIn(alice) // from the sixth on each evicts one
			w.clock.add(time.Second)
		}
		all := c.ask("GET", "/api/activity?limit=100", nil).events()
		equal(t, "events", len(all), 30)
		for _, limit := range []int{1, 7, 29, 30, 50} {
			var paged []map[string]any
			cursor, pages := "", 0
			for next := fmt.Sprintf("/api/activity?limit=%d", limit); next != ""; pages++ {
				got := c.ask("GET", next, nil)
				paged = append(paged, got.events()...)
				if cursor = got.text("next"); cursor == "" {
					break
				}
				next = fmt.Sprintf("/api/activity?limit=%d&cursor=%s", limit, cursor)
			}
			equal(t, "pages", pages+1, (30+limit-1)/limit)
			equal(t, "all pages", slices.Collect(ids(paged)), slices.Collect(ids(all)))
		}
		foreign := other.ask("GET", "/api/activity", nil).events()[0]["id"]
		for _, bad := range []string{
			"limit=0", "limit=101", "limit=-1", "limit=", "limit=01", "limit=%2B1", "limit=1e1", "limit=99999999999999999999", "limit=1&limit=1",
			"cursor=", "cursor=x", "cursor=-1", "cursor=" + strings.Repeat("9", 500), "cursor=" + fmt.Sprint(foreign), "cursor=0", "cursor=%00",
		} {
			c.ask("GET", "/api/activity?"+bad, nil).wants(400, badRequest)
		}
	})
}

func ids(events []map[string]any) func(func(any) bool) {
	return func(yield func(any) bool) {
		for _, e := range events {
			if !yield(e["id"]) {
				return
			}
		}
	}
}

// What an admin did is told to the account without where the admin sits; other admins see it whole.
func TestActivity_ofAdmins(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.browser(), w.script(), newAccount(t)
		rootID := admin.signIn(root).text("user", "id")
		c.signIn(alice)
		w.clock.add(time.Second)
		w.log.Reset()
		admin.setRoles(alice, "admin").wants(200, "")
		e := w.last("roles.changed")
		names(t, "the log's line", e, "time", "level", "msg", "type", "outcome", "userId", "account",
			"actorId", "actor", "requestId", "ip", "device", "target", "roles", "rolesBefore", "rolesAfter")
		equal(t, "rolesBefore", e["rolesBefore"], "")
		equal(t, "rolesAfter", e["rolesAfter"], "admin")
		equal(t, "account", e["account"], alice.address.Hex())
		equal(t, "actor", e["actor"], root.address.Hex())
		equal(t, "actorId", e["actorId"], rootID)
		equal(t, "userId", e["userId"], c.profile().text("user", "id"))
		equal(t, "target", e["target"], alice.address.Hex())

		own := c.ask("GET", "/api/activity", nil).events()[0]
		equal(t, "type", own["type"], "roles.changed")
		names(t, "in its own list", own, "v", "id", "time", "type", "sessionId", "ip", "device", "outcome", "rolesBefore", "rolesAfter")
		equal(t, "rolesBefore", own["rolesBefore"], []any{})
		equal(t, "rolesAfter", own["rolesAfter"], []any{"admin"})
		equal(t, "ip in its own list", own["ip"], "")
		equal(t, "device in its own list", own["device"], "")
		path := "/api/admin/activity?address=" + alice.address.Hex()
		seen := admin.ask("GET", path, nil).events()
		equal(t, "events", len(seen), 2)
		equal(t, "ip in an admin's list", seen[0]["ip"], clientIP)
		equal(t, "device in an admin's list", seen[0]["device"], "Chrome on macOS")
		equal(t, "actorId", seen[0]["actorId"], rootID)
		equal(t, "actor", seen[0]["actor"], root.address.Hex())
		for _, e := range seen {
			equal(t, "userId in an admin's list", e["userId"], c.profile().text("user", "id"))
			equal(t, "account in an admin's list", e["account"], alice.address.Hex())
		}
		equal(t, "actorId of one's own", seen[1]["actorId"], nil)
		next := admin.ask("GET", path+"&limit=1", nil).wants(200, "").text("next")
		equal(t, "the next page", admin.ask("GET", path+"&limit=1&cursor="+next, nil).types(), []string{"login"})
		admin.ask("GET", path+"&cursor=x", nil).wants(400, badRequest)
		equal(t, "of an address never seen", admin.ask("GET", "/api/admin/activity?address="+someone, nil).object(), map[string]any{"events": []any{}})

		admin.ask("POST", userPath(alice)+"/block", nil).wants(204, "")
		equal(t, "after a block", admin.ask("GET", path, nil).types()[:2], []string{"account.blocked", "session.ended account_blocked"})
		w.uniqueMembers()
	})
}
