package api_test

import (
	"strings"
	"testing"

	"latchkey/local/test/redistest"
)

// A cookie of another program under our name is ignored; two that look like our tokens are not.
func TestCookies_foreign(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	b, s, alice := w.browser(), w.script(), newAccount(t)
	b.signIn(alice)
	s.signIn(alice)
	session, refresh := "__Host-session="+b.cookie("session"), "__Host-refresh="+b.cookie("refresh")
	page := with("Origin", origin)
	send := func(method, path, cookies string, changes ...change) answer {
		return w.script().send(method, path, nil, append(changes, with("Cookie", cookies))...)
	}
	for _, foreign := range []string{"eyJhbGciOiJIUzI1NiJ9.e30.x", "s%3Aabc.def", "", "x", "LKA_x", "lk_x"} {
		send("GET", "/api/profile", "__Host-session="+foreign).wants(401, "no_credentials")
		send("GET", "/api/profile", "__Host-session="+foreign+"; "+session).wants(200, "")
		send("GET", "/api/profile", session+"; __Host-session="+foreign).wants(200, "")
		send("GET", "/api/profile", "__Host-session="+foreign, bearer(s.access)).wants(200, "")
		send("POST", "/auth/refresh", "__Host-refresh="+foreign, page).wants(401, "no_credentials")
		send("POST", "/auth/refresh", refresh+"; __Host-refresh="+foreign, page).wants(200, "")
		send("POST", "/auth/logout", "__Host-session="+foreign, page).wants(401, "no_credentials")
		got := send("GET", "/auth/nonce", "__Host-prelogin="+foreign+"; __Host-prelogin="+b.cookie("prelogin")).wants(200, "")
		equal(t, "the pre-login cookie", got.cookies()["__Host-prelogin"].Value, b.cookie("prelogin"))
	}
	for _, two := range []string{
		session + "; " + session, session + "; __Host-session=lka_x", session + "; __Host-session=lkr_x", refresh + "; __Host-refresh=lkr_x",
		"__Host-prelogin=" + strings.Repeat("A", 32) + "; __Host-prelogin=" + b.cookie("prelogin"),
	} {
		send("GET", "/api/profile", two).wants(400, "invalid_request").forgets()
	}
}

// Two servers on one host get each other's cookies, and tell them apart by the port.
func TestCookies_port(t *testing.T) {
	names := func(w *world, name string) *client {
		c := w.pageAt("http://localhost:3000")
		login := c.signInAsOffered(newAccount(t))
		if login.cookies()["session"+name] == nil || login.cookies()["refresh"+name] == nil || len(login.cookies()) != 2 {
			t.Errorf("with %q, a login sets %q", name, login.header["Set-Cookie"])
		}
		if set := c.send("GET", "/auth/nonce", nil).cookies(); len(set) != 1 || set["prelogin"+name] == nil {
			t.Errorf("with %q, a nonce sets %v", name, set)
		}
		return c
	}
	at := func(port int) *world {
		return newWorld(t, redistest.Embedded(t), func(w *world) {
			w.cfg.Local, w.cfg.CookiePort = true, port
			w.cfg.Domains, w.cfg.AllowedOrigins = []string{"localhost:3000"}, []string{"http://localhost:3000"}
		})
	}
	names(at(0), "")
	w := at(3000)
	c := names(w, "_3000")
	own := c.send("POST", "/auth/refresh", nil).wants(200, "").cookies()["session_3000"].Value
	for cookies, code := range map[string]string{
		"session_3000=" + own: "", "session_3000=" + own + "; session_3001=lka_x; session=lka_y": "",
		"session=" + own: "no_credentials", "session_3001=" + own: "no_credentials", "__Host-session_3000=" + own: "no_credentials",
	} {
		status := map[string]int{"": 200}[code]
		if status == 0 {
			status = 401
		}
		w.script().send("GET", "/api/profile", nil, with("Cookie", cookies)).wants(status, code)
	}
	gone := c.send("POST", "/auth/logout", nil).wants(204, "").cookies()
	for _, name := range []string{"session_3000", "refresh_3000"} {
		if gone[name] == nil || gone[name].MaxAge >= 0 {
			t.Errorf("the logout leaves %s: %v", name, gone)
		}
	}
	// Deployed, the name never changes: the prefix would protect another one as well, but pages would not know it.
	deployed := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.CookiePort = 3000 })
	b := deployed.browser()
	if b.signIn(newAccount(t)).cookies()["__Host-session"] == nil {
		t.Error("deployed, the name of the cookie has a port")
	}
}
