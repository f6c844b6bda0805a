package api_test

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/token"
)

func (c *client) setRoles(a account, roles ...string) answer {
	c.w.t.Helper()
	return c.ask("PUT", "/api/admin/users/"+a.address.Hex()+"/roles", map[string]any{"roles": append([]string{}, roles...)})
}

var allPermissions = []any{"audit:read", "sessions:read", "sessions:write", "users:read", "users:write"}

// What a user may is told, and counted anew at every read.
func TestRoles(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) {
			w.cfg.Roles = map[string]api.Role{
				"support": {Permissions: []string{"users:read", "audit:read"}}, "editor": {Permissions: []string{"posts:write"}},
				"user": {Permissions: []string{"posts:read"}},
			}
		})
		admin, c, alice := w.script(), w.script(), newAccount(t)
		admin.signIn(root)
		c.signIn(alice)
		for _, tt := range []struct {
			stored             []string
			roles, permissions []any
		}{
			{nil, []any{"user"}, []any{"posts:read"}},
			{[]string{"user"}, []any{"user"}, []any{"posts:read"}},
			{[]string{"support", "editor"}, []any{"user", "editor", "support"}, []any{"audit:read", "posts:read", "posts:write", "users:read"}},
			{[]string{"editor", "user", "admin"}, []any{"user", "admin", "editor"}, append([]any{"audit:read", "posts:read", "posts:write"}, allPermissions[1:]...)},
		} {
			set := admin.setRoles(alice, tt.stored...).wants(200, "")
			names(t, "the answer", set.object(), "user")
			for _, user := range []any{set.at("user"), c.profile().wants(200, "").at("user")} {
				members, _ := user.(map[string]any)
				equal(t, "roles", members["roles"], any(tt.roles))
				equal(t, "permissions", members["permissions"], any(tt.permissions))
			}
		}
		set := admin.setRoles(root, "editor").wants(200, "")
		equal(t, "address", set.at("user", "address"), root.address.Hex())
		equal(t, "roles of an admin by configuration, and stored", set.at("user", "roles"), []any{"user", "admin", "editor"})
		admin.setRoles(root).wants(200, "")
		equal(t, "roles of an admin by configuration", admin.profile().at("user", "roles"), []any{"user", "admin"})
	})
}

// roleOf is the name of a role that has one permission.
func roleOf(permission string) string { return strings.ReplaceAll(permission, ":", "-") }

// Each admin route opens to whoever has its permission and to nobody else.
func TestRoles_onePermissionEach(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		roles := map[string]api.Role{}
		for _, p := range allPermissions {
			roles[roleOf(p.(string))] = api.Role{Permissions: []string{p.(string)}}
		}
		w, root := adminWorld(t, r, func(w *world) { w.cfg.Roles = roles })
		admin, c, alice := w.script(), w.script(), newAccount(t)
		admin.signIn(root)
		c.signIn(alice)
		for _, role := range slices.Sorted(maps.Keys(roles)) {
			admin.setRoles(alice, role).wants(200, "")
			for _, p := range protectedRoutes {
				got := c.do(p)
				if opened := got.code() != "forbidden"; p.permission != "" && opened != (roleOf(p.permission) == role) || got.status >= 500 {
					t.Errorf("with %s %s answers %d %s", role, p, got.status, got.body)
				}
				if p.method == "DELETE" && p.path == "/api/profile" {
					c.signIn(alice)
				}
			}
		}
	})
}

// Nobody makes themselves an admin by what they send.
func TestRoles_massAssignment(t *testing.T) { // attack case 47
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		c := w.script()
		for _, member := range []string{"role", "roles", "admin", "permissions", "user", "isAdmin"} {
			body := c.body(alice, c.message(alice).String())
			body[member] = []string{"admin"}
			c.login(body).wants(400, badRequest)
			body[member] = "admin"
			c.login(body).wants(400, badRequest)
		}
		m := c.message(alice)
		m.Resources = []string{"https://example.com/role/admin", "urn:role:admin"}
		body := c.body(alice, m.String())
		body["deviceName"] = `admin","roles":["admin"]`
		got := c.login(body, with("X-Device-Id", "role=admin"), with("X-Role", "admin"), with("X-User-Roles", "admin"), with("User-Agent", "admin,role/1"))
		c.take(got.wants(200, ""))
		equal(t, "roles", got.at("user", "roles"), []any{"user"})
		equal(t, "permissions", got.at("user", "permissions"), []any{})

		// Preferences are the user's own, whatever they are called.
		c.ask("PATCH", "/api/preferences", map[string]any{"roles": []string{"admin"}, "role": "admin"}, with("If-Match", "*")).wants(200, "")
		c.ask("PUT", "/api/state/roles", []string{"admin"}).wants(204, "")
		c.logout(nil)
		c.signIn(alice)
		equal(t, "roles", c.profile().at("user", "roles"), []any{"user"})
		for _, p := range protectedRoutes {
			if p.permission != "" {
				c.do(p, with("X-Role", "admin")).wants(403, "forbidden")
			}
		}
		statement := "Sign in. role:admin"
		m = c.message(alice)
		m.Statement = &statement
		c.login(c.body(alice, m.String())).wants(401, refused)
	})
}

// Who was an admin is none from the very next request on, in every session.
func TestRoles_demoted(t *testing.T) { // attack case 48
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		sessions := []*client{w.script(), w.browser(), w.script()}
		for _, c := range sessions {
			c.signIn(alice)
			c.ask("GET", "/api/admin/sessions", nil).wants(403, "forbidden")
		}
		admin.setRoles(alice, "admin").wants(200, "")
		for _, c := range sessions {
			c.ask("GET", "/api/admin/sessions", nil).wants(200, "")
		}
		admin.setRoles(alice).wants(200, "")
		for _, c := range sessions {
			for _, p := range protectedRoutes {
				if p.permission != "" {
					c.do(p).wants(403, "forbidden")
				}
			}
			c.profile().wants(200, "") // the session stays
		}
	})
}

// An admin can end its own sessions, and erase its own account, by the routes that do so for everybody's. Its cookies are
// deleted.
func TestRoles_adminEndsOwnSessions(t *testing.T) { // attack case 48
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		own, other := w.browser(), w.script()
		own.signIn(root)
		other.signIn(root)
		forgets := func(got answer) {
			t.Helper()
			if cookie := got.cookies()["__Host-session"]; cookie == nil || cookie.MaxAge >= 0 {
				t.Errorf("the cookie stays: %v", got.header["Set-Cookie"])
			}
		}
		got := own.ask("DELETE", "/api/admin/users/"+root.address.Hex()+"/sessions", nil).wants(200, "")
		equal(t, "ended", got.at("ended"), 2.0)
		forgets(got)
		equal(t, "reason", other.profile().wants(401, "session_ended").at("reason"), "revoked_by_admin")
		own.profile().wants(401, "no_credentials")
		own.signIn(root)
		forgets(own.ask("DELETE", "/api/admin/users/"+root.address.Hex(), nil).wants(204, ""))
	})
}

// Who may write users and is no admin neither rises by that, nor decides over somebody who may more.
func TestRoles_rank(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) {
			w.cfg.Roles = map[string]api.Role{
				"support": {Permissions: []string{"users:read", "users:write", "sessions:write"}}, "reader": {Permissions: []string{"users:read"}},
				"auditor": {Permissions: []string{"audit:read"}},
			}
		})
		admin, c := w.script(), w.script()
		alice, bob, carol := newAccount(t), newAccount(t), newAccount(t)
		admin.signIn(root)
		c.signIn(alice)
		admin.setRoles(alice, "support").wants(200, "")
		admin.setRoles(carol, "admin").wants(200, "")

		c.setRoles(bob, "reader").wants(200, "")
		c.setRoles(bob, "support").wants(200, "")
		for _, role := range []string{"admin", "auditor"} {
			c.setRoles(bob, role).wants(403, "forbidden")
			c.setRoles(alice, "support", role).wants(403, "forbidden")
		}
		change := func(wants int, code string, targets ...account) {
			t.Helper()
			for _, target := range targets {
				path := "/api/admin/users/" + target.address.Hex()
				c.setRoles(target).wants(map[int]int{403: 403, 204: 200}[wants], code)
				c.ask("POST", path+"/block", nil).wants(wants, code)
				c.ask("POST", path+"/unblock", nil).wants(wants, code)
				c.ask("DELETE", path, nil).wants(wants, code)
				c.ask("DELETE", path+"/sessions", nil).wants(map[int]int{403: 403, 204: 200}[wants], code)
			}
		}
		change(403, "forbidden", carol)
		admin.setRoles(carol, "auditor").wants(200, "")
		change(403, "forbidden", carol)
		if got := c.setRoles(carol).wants(403, "forbidden"); got.text("permission") != "audit:read" {
			t.Errorf("refused with %s", got.body)
		}
		change(204, "", bob)
		c.setRoles(root).wants(403, "forbidden")
		c.ask("DELETE", "/api/admin/users/"+root.address.Hex(), nil).wants(403, "forbidden")
		c.ask("DELETE", "/api/admin/sessions/"+admin.profile().text("session", "id"), nil).wants(403, "forbidden")
		own := c.profile().text("session", "id")
		c.ask("DELETE", "/api/admin/sessions/"+own, nil).wants(204, "") // one's own one may
	})
}

// The last admin stays one, unless the configuration names others.
func TestRoles_lastAdmin(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		alice, bob := newAccount(t), newAccount(t)
		a, b := w.script(), w.script()
		a.signIn(alice)
		b.signIn(bob)
		w.makeAdmin(alice)
		a.setRoles(alice).wants(409, "conflict")
		a.ask("DELETE", "/api/profile", nil).wants(409, "conflict")
		a.ask("DELETE", "/api/admin/users/"+alice.address.Hex(), nil).wants(409, "conflict")
		a.setRoles(alice, "admin").wants(200, "")
		a.setRoles(bob, "admin").wants(200, "")
		a.setRoles(alice).wants(200, "") // now another is there
		a.setRoles(alice, "admin").wants(403, "forbidden")
		b.setRoles(bob).wants(409, "conflict")
		b.setRoles(alice, "admin").wants(200, "")
		b.ask("DELETE", "/api/profile", nil).wants(204, "")
		a.ask("DELETE", "/api/profile", nil).wants(409, "conflict")
		a.profile().wants(200, "")

		configured, root := adminWorld(t, r.Under(t, r.Prefix+"-2"))
		c := configured.script()
		c.signIn(root)
		c.setRoles(alice, "admin").wants(200, "")
		c.setRoles(alice).wants(200, "")
		equal(t, "roles", c.setRoles(root).wants(200, "").at("user", "roles"), []any{"user", "admin"}) // no route takes it away
		c.ask("DELETE", "/api/profile", nil).wants(204, "")
		c.signIn(root)
		c.ask("GET", "/api/admin/sessions", nil).wants(200, "")
	})
}

// makeAdmin stores the role without a route, since nobody could call one.
func (w *world) makeAdmin(a account) {
	w.t.Helper()
	cfg := w.cfg
	cfg.Admins = []token.Account{token.KeyAccount(a.address)}
	edge := api.New(cfg, w.store, discard(), w.clock.now)
	root := w.script()
	root.signIn(a)
	r := request("PUT", "/api/admin/users/"+a.address.Hex()+"/roles", `{"roles":["admin"]}`)
	r.SetPathValue("address", a.address.Hex())
	r.Header.Set("Authorization", "Bearer "+root.access)
	serve(w.t, edge.SetRoles(), r).wants(200, "")
}

// What configuration makes an admin is not kept out by a block from before, and its roles in the log can be read.
func TestRoles_blockedBeforeConfigured(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		before, root := adminWorld(t, r, func(w *world) {})
		c, alice := before.script(), newAccount(t)
		c.signIn(root)
		c.ask("POST", "/api/admin/users/"+alice.address.Hex()+"/block", nil).wants(204, "")
		c.setRoles(alice, "admin").wants(200, "")
		found := false
		for _, line := range before.lines("event") {
			found = found || line["type"] == "roles.changed" && line["roles"] == "admin"
		}
		if !found {
			t.Errorf("the log does not tell which roles: %s", before.log.text())
		}

		before.cfg.Admins = append(before.cfg.Admins, token.KeyAccount(alice.address))
		before.api = api.New(before.cfg, before.store, slog.New(slog.NewJSONHandler(before.log, nil)), before.clock.now)
		before.server.Config.Handler = before.gateway()
		a := before.script()
		a.signIn(alice)
		a.ask("GET", "/api/admin/sessions", nil).wants(200, "")
	})
}

// An admin has what is configured too.
func TestRoles_adminHasConfiguredPermissions(t *testing.T) {
	w, root := adminWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Roles = map[string]api.Role{"editor": {Permissions: []string{"posts:write"}}}
	})
	c := w.script()
	c.signIn(root)
	got, _ := c.profile().at("user", "permissions").([]any)
	if !slices.Contains(got, any("posts:write")) {
		t.Errorf("an admin's permissions are %v", got)
	}
}

// The stored roles of an account may have 255 bytes, and no more.
func TestSetRoles_length(t *testing.T) {
	long := []string{"a" + strings.Repeat("x", 255-7*33-1)} // with seven more and their commas
	for i := range 7 {
		long = append(long, strings.Repeat(string(rune('b'+i)), 32))
	}
	longer := append([]string{long[0] + "x"}, long[1:]...)
	w, root := adminWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Roles = map[string]api.Role{}
		for _, role := range append(long, longer[0]) {
			w.cfg.Roles[role] = api.Role{}
		}
	})
	c := w.script()
	c.signIn(root)
	alice := newAccount(t)
	c.setRoles(alice, long...).wants(200, "")
	c.setRoles(alice, longer...).wants(400, badRequest)
}

// The answer names the role that is wrong, but nothing that may be a token.
func TestSetRoles_namesTheRole(t *testing.T) {
	w, root := adminWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(root)
	alice, long := newAccount(t), "lka_"+strings.Repeat("x", 119)
	for _, tt := range []struct {
		roles []string
		want  string
	}{
		{[]string{"admin", "admim"}, `roles: not configured: "admim": use only configured roles`},
		{[]string{"admin", "admin"}, `roles: listed twice: "admin": list each role once`},
		{[]string{long}, "roles: not configured: use only configured roles"},
		{[]string{"a\nb"}, "roles: not configured: use only configured roles"},
	} {
		equal(t, "detail", c.setRoles(alice, tt.roles...).wants(400, badRequest).text("detail"), tt.want)
	}
}
