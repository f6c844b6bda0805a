package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

const someone = "0x52908400098527886E0F7030069857D2E4169EE7"

// protected is a route that wants a session, as a request that would be accepted.
type protected struct {
	method, path string
	body         any
	header       http.Header
	permission   string // that it wants
	fresh        bool   // it wants a fresh signature
}

func (p protected) String() string { return p.method + " " + p.path }

// protectedRoutes are all that want a session.
var protectedRoutes = []protected{
	{method: "GET", path: "/api/profile"},
	{method: "POST", path: "/auth/ticket"},
	{method: "GET", path: "/api/preferences"},
	{method: "PATCH", path: "/api/preferences", body: map[string]any{"theme": "dark"}, header: http.Header{"If-Match": {"*"}}},
	{method: "GET", path: "/api/state"},
	{method: "PUT", path: "/api/state/draft", body: map[string]any{"step": 1}},
	{method: "GET", path: "/api/state/draft"},
	{method: "DELETE", path: "/api/state/draft"},
	{method: "GET", path: "/api/sessions"},
	{method: "DELETE", path: "/api/sessions"},
	{method: "DELETE", path: "/api/sessions/" + strings.Repeat("A", 43)},
	{method: "GET", path: "/api/activity"},
	{method: "GET", path: "/api/admin/sessions", permission: "sessions:read"},
	{method: "DELETE", path: "/api/admin/sessions/" + strings.Repeat("A", 43), permission: "sessions:write", fresh: true},
	{method: "GET", path: "/api/admin/users", permission: "users:read"},
	{method: "GET", path: "/api/admin/users/" + someone, permission: "users:read"},
	{method: "PUT", path: "/api/admin/users/" + someone + "/roles", body: map[string]any{"roles": []string{}}, permission: "users:write", fresh: true},
	{method: "POST", path: "/api/admin/users/" + someone + "/block", permission: "users:write", fresh: true},
	{method: "POST", path: "/api/admin/users/" + someone + "/unblock", permission: "users:write", fresh: true},
	{method: "DELETE", path: "/api/admin/users/" + someone + "/sessions", permission: "sessions:write", fresh: true},
	{method: "DELETE", path: "/api/admin/users/" + someone, permission: "users:write", fresh: true},
	{method: "GET", path: "/api/admin/activity?address=" + someone, permission: "audit:read"},
	{method: "GET", path: "/api/admin/activity", permission: "audit:read"},
	{method: "DELETE", path: "/api/profile", fresh: true},
}

// do sends a protected route's request.
func (c *client) do(p protected, changes ...change) answer {
	c.w.t.Helper()
	headers := func(r *http.Request) {
		for name, values := range p.header {
			r.Header[name] = values
		}
	}
	return c.ask(p.method, p.path, p.body, append([]change{headers}, changes...)...)
}

// adminWorld is a world whose configuration makes an account an admin.
func adminWorld(t testing.TB, r redistest.Redis, changes ...func(*world)) (*world, account) {
	t.Helper()
	root := newAccount(t)
	changes = append([]func(*world){func(w *world) { w.cfg.Admins = []token.Account{token.KeyAccount(root.address)} }}, changes...)
	return newWorld(t, r, changes...), root
}

// Every route that there is is in one of the tables, and answers an address that has no session at all.
func TestProtected_complete(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	tested := map[string]bool{
		"GET /health": true, "HEAD /health": true, "GET /auth/nonce": true, "POST /auth/login": true, "POST /auth/refresh": true, "POST /auth/logout": true,
		"POST /auth/step-up": true, "POST /auth/validate": true,
	}
	for _, p := range protectedRoutes {
		path, _, _ := strings.Cut(p.path, "?")
		route, _ := match(w.routes(), request(p.method, path, ""))
		tested[route] = true
	}
	for route := range w.routes() {
		if !tested[route] {
			t.Errorf("%s is not tested", route)
		}
	}
}

func TestProtected_credentials(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c, ended := w.script(), w.script()
		c.signIn(root)
		ended.signIn(root)
		ended.logout(nil).wants(204, "")
		stranger := w.script()
		for _, p := range protectedRoutes {
			challenge := stranger.do(p).wants(401, "no_credentials").header.Get("WWW-Authenticate")
			equal(t, "challenge of "+p.String(), challenge, "Bearer")
			checkProblem(t, stranger.do(p, bearer("x")).wants(401, "invalid_token"))
			stranger.do(p, bearer(c.refresh)).wants(401, "invalid_token")
			stranger.do(p, with("Cookie", "__Host-refresh="+c.refresh)).wants(401, "no_credentials") // opens nothing here
			stranger.do(p, bearer(c.access), with("Cookie", "__Host-session="+c.access)).wants(400, badRequest)
			stranger.do(p, with("Cookie", "__Host-session="+c.access), with("Origin", origin)).wants(401, "invalid_token") // another transport's
			equal(t, "reason at "+p.String(), ended.do(p).wants(401, "session_ended").text("reason"), "logged_out")
			// Who may not ask learns nothing by asking badly.
			bad := p
			bad.body = "{"
			if p.method != "GET" {
				stranger.do(bad).wants(401, "no_credentials")
			}
		}
		w.clock.add(15 * time.Minute)
		for _, p := range protectedRoutes {
			checkProblem(t, c.do(p).wants(401, "token_expired"))
		}
	})
}

// With cookies everything that changes something wants to come from a page of ours.
func TestProtected_origin(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c := w.browser()
		c.signIn(root)
		for _, p := range protectedRoutes {
			if p.method == "GET" {
				continue
			}
			for _, change := range []change{
				with("Origin", "https://evil.example"), with("Origin", "null"), with("Sec-Fetch-Site", "cross-site"),
				func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") },
			} {
				if got := c.do(p, change).wants(403, "origin_not_allowed"); got.header["Set-Cookie"] != nil {
					t.Errorf("%s: set %v", p, got.header["Set-Cookie"])
				}
			}
		}
		c.profile().wants(200, "")
	})
}

// The permission is asked for before anything else of the request, and freshness after it.
func TestProtected_permissionAndFreshness(t *testing.T) { // attack case 47
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c, admin := w.script(), w.script()
		c.signIn(newAccount(t))
		admin.signIn(root)
		w.clock.add(5 * time.Minute) // nothing is fresh any more
		before := w.snapshot(t)
		for _, p := range protectedRoutes {
			bad := p
			if p.method != "GET" {
				bad.body = "{"
			}
			if p.permission != "" {
				for _, p := range []protected{p, bad} {
					refused := c.do(p).wants(403, "forbidden")
					equal(t, "permission at "+p.String(), refused.text("permission"), p.permission)
					checkProblem(t, refused)
				}
			}
			if p.fresh {
				for _, p := range []protected{p, bad} {
					refused := admin.do(p).wants(401, "step_up_required")
					equal(t, "challenge", refused.header.Get("WWW-Authenticate"), `Bearer error="insufficient_user_authentication"`)
				}
			}
		}
		if after := w.snapshot(t); !slices.Equal(before, after) {
			t.Errorf("refusals have changed something: %q, before %q", after, before)
		}
		w.clock.add(-time.Millisecond)
		for _, p := range protectedRoutes {
			if !p.fresh {
				continue
			}
			if got := admin.do(p); got.code() == "step_up_required" {
				t.Errorf("%s: %s a millisecond before the end", p, got.body)
			}
		}
	})
}

// snapshot is what is stored of accounts.
func (w *world) snapshot(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, kind := range []string{"u", "p", "s"} {
		keys, err := w.redis.Client().Keys(ctx, w.redis.Prefix+":{*}:"+kind+"*").Result()
		must(t, err)
		for _, key := range keys {
			value, err := w.redis.Client().Get(ctx, key).Result()
			must(t, err)
			if kind == "u" {
				value = fmt.Sprint(len(value)) // a touch is no change
			}
			all = append(all, key+"="+value)
		}
	}
	slices.Sort(all)
	return all
}

// A session that is held for a fresh signature opens no route but those that clear it.
func TestProtected_stepUpRequired(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) { w.opts.DevicePolicy = session.PolicyStepUp })
		c := w.script()
		c.signIn(root)
		c.profile(with("User-Agent", firefox)).wants(401, "step_up_required")
		for _, p := range protectedRoutes {
			checkProblem(t, c.do(p).wants(401, "step_up_required"))
		}
	})
}

// What a route does not know it refuses: most likely a parameter or a field is misspelt.
func TestProtected_invalid(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		c := w.script()
		c.signIn(root)
		for _, p := range protectedRoutes {
			mark := map[bool]string{true: "&", false: "?"}[strings.Contains(p.path, "?")]
			for _, query := range []string{"unknown=1", "Limit=1", "%zz=1"} {
				odd := p
				odd.path += mark + query
				c.do(odd).wants(400, badRequest)
			}
			if p.method == "GET" {
				continue
			}
			odd := p
			odd.body = "{"
			if p.method == "DELETE" {
				odd.body = map[string]any{"really": true}
			}
			c.do(odd).wants(400, badRequest)
			odd.body = strings.Repeat(" ", 16<<10) + "{}"
			c.do(odd).wants(413, "too_large")
			c.do(p, with("Content-Encoding", "gzip")).wants(415, "unsupported_media_type")
			if p.body != nil {
				c.do(p, with("Content-Type", "text/plain")).wants(415, "unsupported_media_type")
			}
		}
		c.profile().wants(200, "")
	})
}

// A request that was refused has one line in the audit log, whoever refused it.
func TestProtected_refusalsAreAudited(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c, stranger := w.script(), w.script()
		login := c.signIn(newAccount(t))
		w.events()
		for _, p := range protectedRoutes {
			stranger.do(p)
			w.wantsEvents(p.String(), "request failure reason=no_credentials")
			if p.permission != "" {
				refused := c.do(p)
				e := w.last("request")
				equal(t, "userId", e["userId"], login.text("user", "id"))
				equal(t, "sessionId", e["sessionId"], login.text("session", "id"))
				equal(t, "requestId", e["requestId"], refused.header.Get("X-Request-Id"))
				w.wantsEvents(p.String(), "request failure reason=forbidden")
			}
		}
	})
}
