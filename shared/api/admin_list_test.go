package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// listUsers are the accounts of all pages of a list, by their ids.
func (c *client) listUsers(query string) map[string]map[string]any {
	c.w.t.Helper()
	all := map[string]map[string]any{}
	for path := "/api/admin/users?limit=2&" + query; path != ""; {
		got := c.ask("GET", path, nil).wants(200, "")
		list, _ := got.at("users").([]any)
		for _, u := range list {
			entry := u.(map[string]any)
			all[entry["user"].(map[string]any)["id"].(string)] = entry
		}
		if path = ""; got.text("next") != "" {
			path = "/api/admin/users?limit=2&" + query + "&cursor=" + got.text("next")
		}
	}
	return all
}

func TestUsers(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) { w.cfg.Roles = map[string]api.Role{"editor": {}} })
		admin, c := w.script(), w.script()
		rootID := admin.signIn(root).text("user", "id")
		alice, bob, carol := newAccount(t), newAccount(t), newAccount(t)
		aliceID := c.signIn(alice).text("user", "id")
		bobID := w.store.UserOf(token.KeyAccount(bob.address)).String()
		carolID := w.store.UserOf(token.KeyAccount(carol.address)).String()
		admin.setRoles(alice, "editor").wants(200, "")
		admin.ask("POST", userPath(bob)+"/block", map[string]any{"note": "spam"}).wants(204, "")
		admin.ask("POST", "/api/admin/users/"+carolID+"/block", nil).wants(204, "")
		for query, want := range map[string][]string{
			"": {aliceID, bobID, carolID}, "status=live": {rootID, aliceID}, "status=blocked": {bobID, carolID},
			"role=*": {aliceID}, "role=editor": {aliceID}, "role=admin": {}, "status=live&role=editor": {aliceID}, "status=blocked&role=*": {},
		} {
			got := admin.listUsers(query)
			for _, id := range want {
				if got[id] == nil {
					t.Errorf("%q lacks %s", query, id)
				}
			}
			equal(t, "accounts of "+query, len(got), len(want))
		}
		all := admin.listUsers("")
		names(t, "a live account", all[aliceID], "user", "sessions", "blocked", "lastSeenAt")
		equal(t, "sessions", all[aliceID]["sessions"], 1.0)
		equal(t, "user", all[aliceID]["user"], admin.ask("GET", userPath(alice), nil).at("user"))
		names(t, "a blocked account", all[bobID], "user", "sessions", "blocked", "blockedAt", "note")
		equal(t, "note", all[bobID]["note"], "spam")
		names(t, "an account known by its id alone", all[carolID], "user", "sessions", "blocked", "blockedAt")
		names(t, "its user", all[carolID]["user"], "id", "roles", "permissions")
		for _, bad := range []string{
			"status=", "status=ended", "status=Live", "role=", "role=user", "role=**", "role=Editor", "role=a,b",
			"limit=0", "limit=101", "cursor=x", "cursor=", "status=live&status=live", "cursor=" + strings.Repeat("A", 26) + "B",
		} {
			admin.ask("GET", "/api/admin/users?"+bad, nil).wants(400, badRequest)
		}
	})
}

// As lines, a list has an account on each, and the cursor on the last.
func TestUsers_lines(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin := w.script()
		admin.signIn(root)
		for range 3 {
			admin.ask("POST", userPath(newAccount(t))+"/block", map[string]any{"note": "a\u2764b"}).wants(204, "")
		}
		seen, cursor := 0, ""
		for pages := 0; pages == 0 || cursor != ""; pages++ {
			path := "/api/admin/users?limit=2"
			if cursor != "" {
				path += "&cursor=" + cursor
			}
			got := admin.ask("GET", path, nil, with("Accept", "text/html, application/x-ndjson;q=0.9")).wants(200, "")
			equal(t, "type", got.header.Get("Content-Type"), "application/x-ndjson")
			cursor = ""
			for line := range strings.Lines(got.body) {
				var entry map[string]any
				must(t, json.Unmarshal([]byte(line), &entry))
				if next, last := entry["next"].(string); last {
					cursor = next
					names(t, "the last line", entry, "next")
					continue
				}
				names(t, "a line", entry, "user", "sessions", "blocked", "blockedAt", "note")
				seen++
			}
		}
		equal(t, "accounts", seen, 3)
		got := admin.ask("GET", "/api/admin/users", nil, with("Accept", "*/*"))
		equal(t, "type", got.header.Get("Content-Type"), "application/json")
		got = admin.ask("GET", "/api/admin/users?role=", nil, with("Accept", "application/x-ndjson"))
		checkProblem(t, got.wants(400, badRequest))
	})
}

// A list shows which roles are stored, if the configuration grants others.
func TestUsers_storedRoles(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		both, blocked := newAccount(t), newAccount(t)
		w, root := adminWorld(t, r, func(w *world) {
			w.cfg.Roles = map[string]api.Role{"editor": {}}
			w.cfg.Admins = append(w.cfg.Admins, token.KeyAccount(both.address), token.KeyAccount(blocked.address))
		})
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		for a, roles := range map[account][]string{root: {"editor"}, both: {"admin", "editor"}, alice: {"admin", "editor"}} {
			admin.setRoles(a, roles...).wants(200, "")
		}
		// As it was before the configuration made it an admin.
		must(t, w.store.Block(t.Context(), w.store.UserOf(token.KeyAccount(blocked.address)), session.Change{}))
		all := admin.listUsers("")
		equal(t, "accounts", len(all), 4)
		for a, want := range map[account]struct{ roles, stored any }{
			root:    {[]any{"user", "admin", "editor"}, []any{"editor"}},
			both:    {[]any{"user", "admin", "editor"}, nil},
			alice:   {[]any{"user", "admin", "editor"}, nil},
			blocked: {[]any{"user", "admin"}, []any{}},
		} {
			entry := all[w.store.UserOf(token.KeyAccount(a.address)).String()]
			equal(t, "roles", entry["user"].(map[string]any)["roles"], want.roles)
			equal(t, "stored roles", entry["storedRoles"], want.stored)
		}
	})
}
