package api_test

import (
	"net/http"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/token"
)

// Every admin route that takes an account takes it in each form, and means the same account.
func TestAdmin_fourForms(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		c := w.script()
		login := c.signIn(alice)
		user, id := login.text("user", "id"), login.text("session", "id")
		for _, name := range []string{alice.address.Hex(), user, id} {
			path := "/api/admin/users/" + name
			before := c.copyOf()
			equal(t, "user by "+name, admin.ask("GET", path, nil).wants(200, "").at("user"), login.at("user"))
			w.log.Reset()
			set := admin.ask("PUT", path+"/roles", map[string]any{"roles": []string{"admin"}}).wants(200, "")
			equal(t, "whose roles were set", set.text("user", "id"), user)
			equal(t, "target", w.last("roles.changed")["target"], name)
			equal(t, "userId", w.last("roles.changed")["userId"], user)
			equal(t, "its activity", admin.ask("GET", "/api/admin/activity?address="+name, nil).events()[0]["type"], "roles.changed")
			equal(t, "ended", admin.ask("DELETE", path+"/sessions", nil).wants(200, "").at("ended"), 1.0)
			equal(t, "reason", before.profile().wants(401, "session_ended").at("reason"), "revoked_by_admin")
			admin.ask("POST", path+"/block", nil).wants(204, "")
			equal(t, "blocked", admin.ask("GET", userPath(alice), nil).wants(200, "").at("blocked"), true)
			admin.ask("POST", path+"/unblock", nil).wants(204, "")
			equal(t, "blocked", admin.ask("GET", userPath(alice), nil).wants(200, "").at("blocked"), false)
			admin.ask("DELETE", path, nil).wants(204, "")
			admin.ask("GET", path, nil).wants(404, "not_found")
			login = c.signIn(alice)
			equal(t, "the user id", login.text("user", "id"), user)
		}
	})
}

// A line of the log is enough for a block: by the id of a user, and by that of a session that has ended.
func TestBlock_fromALogLine(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin := w.script()
		admin.signIn(root)
		for _, field := range []string{"userId", "sessionId"} {
			c, alice := w.script(), newAccount(t)
			c.signIn(alice)
			w.log.Reset()
			c.logout(nil).wants(204, "")
			name, _ := w.last("session.ended")[field].(string)
			admin.ask("POST", "/api/admin/users/"+name+"/block", nil).wants(204, "")
			c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
		}
	})
}

// An account that was never seen can be given roles and a block by its user id; its first login finds them.
func TestAdmin_userIDNeverSeen(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		user := w.store.UserOf(token.KeyAccount(alice.address)).String()
		set := admin.ask("PUT", "/api/admin/users/"+user+"/roles", map[string]any{"roles": []string{"admin"}}).wants(200, "")
		names(t, "an account known by its id alone", set.at("user"), "id", "roles", "permissions")
		c := w.script()
		equal(t, "roles", c.signIn(alice).at("user", "roles"), []any{"user", "admin"})
		bob := newAccount(t)
		admin.ask("POST", "/api/admin/users/"+w.store.UserOf(token.KeyAccount(bob.address)).String()+"/block", nil).wants(204, "")
		c.login(c.body(bob, c.message(bob).String())).wants(403, "account_blocked")
	})
}

// The rules hold for an id as for the address: admins cannot block themselves or an admin of the configuration.
func TestAdmin_rulesHoldForIDs(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, second, alice := w.script(), w.script(), newAccount(t)
		rootLogin := admin.signIn(root)
		admin.setRoles(alice, "admin").wants(200, "")
		aliceLogin := second.signIn(alice)
		w.log.Reset()
		for _, member := range [][]string{{"user", "id"}, {"session", "id"}} {
			itself, configured := aliceLogin.text(member...), rootLogin.text(member...)
			second.ask("POST", "/api/admin/users/"+itself+"/block", nil).wants(409, "conflict")
			second.ask("POST", "/api/admin/users/"+configured+"/block", nil).wants(409, "conflict")
			got := second.ask("GET", "/api/admin/users/"+configured, nil).wants(200, "")
			equal(t, "account", got.text("user", "account"), root.address.Hex())
		}
		admin.profile().wants(200, "")
		second.profile().wants(200, "")
	})
}

// A note is shown only to those who may read accounts: not to the account, in its activity or in the log.
func TestBlock_withNote(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, c, alice := w.script(), w.script(), newAccount(t)
		admin.signIn(root)
		login := c.signIn(alice)
		w.log.Reset()
		block := func(note any) answer {
			return admin.ask("POST", userPath(alice)+"/block", map[string]any{"note": note})
		}
		for _, bad := range []any{strings.Repeat("ä", 201), "\x00", "a\u202eb", "\u200d", " ", 1, nil, []string{"x"}} {
			block(bad).wants(400, badRequest)
		}
		c.profile().wants(200, "") // nothing was blocked
		note := "sp4m, see case " + strings.Repeat("ä", 185)
		block(note).wants(204, "")
		got := admin.ask("GET", "/api/admin/users/"+login.text("user", "id"), nil).wants(200, "")
		equal(t, "note", got.text("note"), note)
		equal(t, "account of an id without a session", got.text("user", "account"), alice.address.Hex())
		block("").wants(204, "")
		admin.ask("POST", userPath(alice)+"/block", nil).wants(204, "")
		equal(t, "note", admin.ask("GET", userPath(alice), nil).text("note"), note)
		refused := c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
		admin.ask("POST", userPath(alice)+"/unblock", nil).wants(204, "")
		names(t, "unblocked", admin.ask("GET", userPath(alice), nil).object(), "user", "sessions", "blocked")
		c.signIn(alice)
		for where, text := range map[string]string{
			"its activity": c.ask("GET", "/api/activity", nil).body, "its profile": c.profile().body,
			"the refusal": refused.body, "the log": w.log.text(),
		} {
			if strings.Contains(text, "sp4m") {
				t.Errorf("%s shows the note: %s", where, text)
			}
		}
	})
}

// Ids that are not valid are refused, and a token in the place of one is not logged.
func TestAdmin_refusesIDs(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c := w.script()
		c.signIn(root)
		for _, p := range protectedRoutes {
			if !strings.Contains(p.path, someone) {
				continue
			}
			for _, bad := range []string{
				strings.Repeat("A", 21), strings.Repeat("A", 23), strings.Repeat("A", 42), strings.Repeat("A", 44),
				strings.Repeat("A", 21) + "B", strings.Repeat("A", 42) + "B", strings.Repeat("A", 22), strings.Repeat("A", 43), someone + "A", someone[:22], c.access,
			} {
				odd := p
				odd.path = strings.Replace(p.path, someone, bad, 1)
				got := c.do(odd)
				if got.status != http.StatusBadRequest || strings.Contains(got.body, c.access) {
					t.Errorf("%s: %d %s", odd, got.status, got.body)
				}
			}
		}
		if strings.Contains(w.log.text(), c.access) {
			t.Error("the log has a token")
		}
	})
}
