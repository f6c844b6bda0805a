package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// services is a world that knows the keys of a backend.
func services(keys ...string) func(*world) {
	return func(w *world) {
		for _, key := range keys {
			hash, err := token.ServiceKeyHash(key)
			must(w.t, err)
			w.cfg.Services = append(w.cfg.Services, api.Service{Name: "orders", Hash: hash})
		}
	}
}

// backend asks about requests that it got.
type backend struct {
	*client
	key string
}

func (w *world) backend(key string) backend {
	c := &client{w: w, http: w.server.Client(), header: http.Header{"User-Agent": {"Go-http-client/2.0"}}}
	return backend{c, key}
}

func (b backend) validate(body any, changes ...change) answer {
	b.w.t.Helper()
	return b.send("POST", "/auth/validate", body, append([]change{bearer(b.key)}, changes...)...)
}

// refused asserts that a request is not to be served, and what its sender is to get.
func (a answer) refused(status int, code string) answer {
	a.t.Helper()
	a.wants(200, "")
	if a.at("active") != false || a.text("code") != code || a.at("status") != float64(status) ||
		a.at("problem", "code") != code || a.at("problem", "status") != float64(status) || a.text("problem", "requestId") != a.header.Get("X-Request-Id") {
		a.t.Errorf("answered %s, want inactive with %d %s", a.body, status, code)
	}
	return a
}

func (a answer) active() answer {
	a.t.Helper()
	if a.wants(200, "").at("active") != true {
		a.t.Errorf("answered %s, want active", a.body)
	}
	return a
}

// cookieHeader is what a browser's session cookie looks like to a backend behind the same host.
func (c *client) cookieHeader() string { return "theme=dark; __Host-session=" + c.cookie("session") }

func TestValidate_active(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w := newWorld(t, r, services(key))
		w.cfg.Roles = nil
		alice := newAccount(t)
		script, browser, b := w.script(), w.browser(), w.backend(key)
		login := script.signIn(alice)
		browser.signIn(alice)
		got := b.validate(map[string]any{"token": script.access}).active()
		s := func(name string) any { return login.at("session", name) }
		want := map[string]any{
			"active": true, "userId": login.at("user", "id"), "account": alice.address.Hex(), "address": alice.address.Hex(), "wallet": "eoa", "chainId": 1.0,
			"sessionId": s("id"), "roles": []any{"user"}, "permissions": []any{}, "expiresAt": s("expiresAt"), "idleExpiresAt": s("idleExpiresAt"),
			"elevatedUntil": s("elevatedUntil"),
		}
		if object := got.object(); fmt.Sprint(object) != fmt.Sprint(want) {
			t.Errorf("answered %v, want %v", object, want)
		}
		if strings.Contains(w.log.text(), key) || strings.Contains(got.body, script.access) {
			t.Error("a secret is in the log or in the answer")
		}
		w.clock.add(6 * time.Minute)
		if got := b.validate(map[string]any{"token": script.access}).active(); got.at("elevatedUntil") != nil {
			t.Errorf("still elevated until %v", got.at("elevatedUntil"))
		}
		got = b.validate(map[string]any{"cookie": browser.cookieHeader(), "method": "GET"}).active()
		if got.text("sessionId") == s("id") {
			t.Error("the cookie opened the other session")
		}
		if line := w.lines("request")[len(w.lines("request"))-1]; line["service"] != "orders" || line["route"] != "POST /auth/validate" {
			t.Errorf("the log has %v", line)
		}
	})
}

// What is wrong with a token or a cookie is an answer about it, and the same that a route of this API gives.
func TestValidate_inactive(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w, root := adminWorld(t, r, services(key))
		b := w.backend(key)
		c, ended, browser, admin := w.script(), w.script(), w.browser(), w.script()
		c.signIn(newAccount(t))
		ended.signIn(newAccount(t))
		browser.signIn(newAccount(t))
		admin.signIn(root)
		ended.logout(nil).wants(204, "")
		got := b.validate(map[string]any{"token": ended.access}).refused(401, "session_ended")
		if got.text("reason") != "logged_out" || got.text("endedAt") == "" || got.at("endedAt") != got.at("problem", "endedAt") {
			t.Errorf("answered %s", got.body)
		}
		for _, text := range []string{"x", c.refresh, c.access + "x", strings.Repeat("A", 8000), "a b", "lks_" + strings.Repeat("A", 43), key} {
			b.validate(map[string]any{"token": text}).refused(401, "invalid_token")
		}
		b.validate(map[string]any{"token": ""}).refused(401, "no_credentials")
		b.validate(map[string]any{"cookie": ""}).refused(401, "no_credentials")
		b.validate(map[string]any{"cookie": "theme=dark; session=" + browser.cookie("session"), "method": "GET"}).refused(401, "no_credentials")
		both := map[string]any{"token": c.access, "cookie": browser.cookieHeader(), "method": "GET"}
		if got := b.validate(both).refused(400, badRequest); got.header["Set-Cookie"] != nil {
			t.Errorf("it sets %v", got.header["Set-Cookie"])
		}
		b.validate(map[string]any{"cookie": browser.cookieHeader() + "; __Host-session=lka_x", "method": "GET"}).refused(400, badRequest)
		b.validate(map[string]any{"token": c.access, "deviceId": "a,b", "userAgent": "curl"}).refused(400, badRequest)
		got = b.validate(map[string]any{"token": c.access, "permission": "orders:read"}).refused(403, "forbidden")
		equal(t, "permission", got.text("permission"), "orders:read")
		b.validate(map[string]any{"token": admin.access, "permission": "orders:read", "fresh": true}).active() // an admin has every one

		w.clock.add(6 * time.Minute)
		b.validate(map[string]any{"token": admin.access, "fresh": true}).refused(401, "step_up_required")
		b.validate(map[string]any{"token": admin.access}).active()
		w.clock.add(9 * time.Minute)
		b.validate(map[string]any{"token": c.access}).refused(401, "token_expired")

		// As a route of this API answers.
		own, quoted := c.profile().object(), b.validate(map[string]any{"token": c.access}).at("problem").(map[string]any)
		delete(own, "requestId")
		delete(quoted, "requestId")
		if !maps.EqualFunc(own, quoted, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			t.Errorf("the problem is %v, a route of this API answers %v", quoted, own)
		}
		events := 0
		for _, line := range w.lines("event") {
			if line["type"] == "validate" {
				events++
				if line["service"] != "orders" || line["outcome"] != "failure" || line["reason"] == "" {
					t.Errorf("the log has %v", line)
				}
			}
		}
		if events == 0 {
			t.Error("the log has no refusal")
		}
	})
}

// The CSRF rule for cookies is applied to what the backend saw. Without a method it counts as one that changes something.
func TestValidate_origin(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w := newWorld(t, r, services(key))
		b, browser, script := w.backend(key), w.browser(), w.script()
		browser.signIn(newAccount(t))
		script.signIn(newAccount(t))
		ask := func(more map[string]any) answer {
			t.Helper()
			body := map[string]any{"cookie": browser.cookieHeader()}
			maps.Copy(body, more)
			return b.validate(body)
		}
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			ask(map[string]any{"method": method}).active()
			ask(map[string]any{"method": method, "origin": "https://evil.example"}).active()
		}
		for _, method := range []any{nil, "POST", "DELETE", "get", "", "PURGE"} {
			more := map[string]any{}
			if method != nil {
				more["method"] = method
			}
			ask(more).refused(403, "origin_not_allowed")
			for _, foreign := range []string{"https://evil.example", "null", "", origin + ", " + origin} {
				more["origin"] = foreign
				ask(more).refused(403, "origin_not_allowed")
			}
			more["origin"] = origin
			ask(more).active()
			more["secFetchSite"] = "cross-site"
			ask(more).refused(403, "origin_not_allowed")
			delete(more, "origin")
			more["secFetchSite"] = "same-origin"
			ask(more).active()
		}
		b.validate(map[string]any{"token": script.access, "origin": "https://evil.example"}).active()
		// Headers of the backend's own request say nothing about the caller's.
		b.validate(map[string]any{"cookie": browser.cookieHeader()}, with("Origin", origin), with("Sec-Fetch-Site", "same-origin")).refused(403, "origin_not_allowed")
	})
}

// 401 is for the service key, and says nothing about the token. Cookies and headers of the backend's own request count for
// nothing.
func TestValidate_serviceKey(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		old, next, stranger := token.NewServiceKey(), token.NewServiceKey(), token.NewServiceKey()
		w := newWorld(t, r, services(old, next))
		c := w.script()
		c.signIn(newAccount(t))
		var before string
		for _, text := range []string{c.access, "x", ""} {
			body := map[string]any{"token": text}
			w.backend(old).validate(body).wants(200, "")
			w.backend(next).validate(body).wants(200, "") // both while they rotate
			for _, wrong := range []string{stranger, old[:46], old + "A", c.access, c.refresh, strings.ToUpper(old), "x"} {
				got := w.backend(wrong).validate(body).wants(401, "invalid_token")
				if says := requestID.ReplaceAllString(got.body, ""); before == "" {
					before = says
				} else if says != before {
					t.Errorf("with another key or token it says %s, and %s", says, before)
				}
			}
			w.backend("").validate(body, without("Authorization")).wants(401, "no_credentials")
			w.backend("").validate(body, with("Authorization", "Bearer "+old+" "+next)).wants(400, badRequest)
		}
		w.backend(stranger).validate("{").wants(401, "invalid_token") // the key comes first
		w.backend(stranger).validate(map[string]any{"token": c.access}, with("Cookie", "__Host-session="+c.access)).wants(401, "invalid_token")
		w.backend(old).validate(map[string]any{"token": c.access}, with("Cookie", "__Host-session=lka_x; __Host-session=lka_y")).active()

		// It opens nothing else.
		for _, p := range protectedRoutes {
			c.do(p, bearer(old)).wants(401, "invalid_token")
		}
		for _, secret := range []string{old, next, stranger} {
			if strings.Contains(w.log.text(), secret) {
				t.Error("a service key is in the log")
			}
		}
		none := newWorld(t, r)
		none.backend(old).validate(map[string]any{"token": c.access}).wants(401, "invalid_token")
	})
}

// A service key is replaced in three steps, each a deployment. At each of them exactly the keys that are listed open
// the route, for a session that outlives all of them.
func TestValidate_rotationOfAServiceKey(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		old, next := token.NewServiceKey(), token.NewServiceKey()
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		body := map[string]any{"token": c.access}
		for _, listed := range [][]string{{old}, {old, next}, {next}} {
			w.cfg.Services = nil
			services(listed...)(w)
			w.api = api.New(w.cfg, w.store, slog.New(slog.NewJSONHandler(w.log, nil)), w.clock.now)
			w.server = httptest.NewTLSServer(w.gateway())
			t.Cleanup(w.server.Close)
			for _, key := range []string{old, next} {
				if got := w.backend(key).validate(body); slices.Contains(listed, key) {
					got.active()
				} else {
					got.wants(401, "invalid_token")
				}
			}
			c.profile().wants(200, "")
		}
	})
}

// 400 is for what the backend itself got wrong.
func TestValidate_body(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w := newWorld(t, r, services(key))
		b, c := w.backend(key), w.script()
		c.signIn(newAccount(t))
		for _, body := range []any{
			"", "{", "[]", map[string]any{}, map[string]any{"userAgent": "curl"}, map[string]any{"token": c.access, "tokens": ""},
			map[string]any{"token": 1}, map[string]any{"token": c.access, "touch": "true"}, map[string]any{"token": c.access, "ip": "203.0.113.7:80"},
			map[string]any{"token": c.access, "ip": ""}, map[string]any{"token": c.access, "permission": ""}, map[string]any{"token": c.access, "fresh": nil},
		} {
			b.validate(body).wants(400, badRequest)
		}
		b.validate(map[string]any{"token": c.access}, with("Content-Type", "text/plain")).wants(415, "unsupported_media_type")
		b.validate(map[string]any{"token": strings.Repeat("A", 17<<10)}).wants(413, "too_large")
		b.send("POST", "/auth/validate?token="+c.access, map[string]any{"token": c.access}, bearer(key)).wants(400, badRequest)
		b.send("POST", "/auth/validate?key="+key, map[string]any{"token": c.access}, bearer(key)).wants(400, badRequest)
	})
}

// A thousand questions without any header of the person's leave the session as it is, under the strictest policies. What
// is known is compared.
func TestValidate_unharmed(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w := newWorld(t, r, services(key), func(w *world) {
			w.opts.DevicePolicy, w.opts.NetworkPolicy = session.PolicyRevoke, session.PolicyRevoke
		})
		b, c := w.backend(key), w.script()
		c.header.Set("X-Device-Id", "an-id")
		c.signIn(newAccount(t))
		w.clock.add(time.Minute)
		before := w.dump(t)
		for range 1000 {
			b.validate(map[string]any{"token": c.access}).active()
		}
		agent := c.header.Get("User-Agent")
		for _, known := range []map[string]any{
			{"userAgent": agent}, {"userAgent": agent, "deviceId": "an-id"}, {"ip": clientIP}, {"deviceId": "another"}, {"deviceId": ""},
			{"userAgent": agent, "deviceId": "an-id", "ip": clientIP},
		} {
			known["token"] = c.access
			b.validate(known).active()
		}
		for _, other := range []map[string]any{
			{"userAgent": chrome}, {"userAgent": ""}, {"userAgent": agent, "deviceId": "another"}, {"ip": "198.51.100.1"},
			{"userAgent": agent, "deviceId": ""}, // the request had none
		} {
			other["token"] = c.access
			b.validate(other).refused(401, "step_up_required")
		}
		if !maps.Equal(before, w.dump(t)) {
			t.Error("something was written")
		}
		c.profile().wants(200, "")

		// With touch it counts as a request of the person's.
		w.clock.add(time.Minute)
		b.validate(map[string]any{"token": c.access, "touch": true}).active()
		if got := c.profile().text("session", "lastSeenAt"); got != w.clock.now().UTC().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("last seen %s", got)
		}
		b.validate(map[string]any{"token": c.access, "touch": true, "userAgent": chrome}).refused(401, "session_ended")
		c.profile().wants(401, "session_ended")
	})
}

// A page of another site can make a browser send the cookies without X-Device-Id. That neither passes nor harms the
// session, whether or not the request counts as activity.
func TestValidate_withoutScript(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		key := token.NewServiceKey()
		w := newWorld(t, r, services(key), func(w *world) { w.opts.DevicePolicy = session.PolicyRevoke })
		b, c := w.backend(key), w.browser()
		c.header.Set("X-Device-Id", "an-id")
		c.signIn(newAccount(t))
		body := map[string]any{
			"cookie": c.cookieHeader(), "method": "GET", "touch": true, "userAgent": c.header.Get("User-Agent"), "deviceId": "",
		}
		for _, mode := range []string{"navigate", "no-cors"} {
			body["secFetchMode"] = mode
			b.validate(body).refused(401, "step_up_required")
			c.profile().wants(200, "")
		}
		body["secFetchMode"] = "cors" // a script of an allowed page could have sent it
		b.validate(body).refused(401, "session_ended")
		c.profile().wants(401, "session_ended")
	})
}

// If Redis cannot be reached, the backend gets 503, and denies.
func TestValidate_unavailable(t *testing.T) {
	key := token.NewServiceKey()
	w := newWorld(t, redistest.Embedded(t), services(key))
	b, c := w.backend(key), w.script()
	c.signIn(newAccount(t))
	w.redis.Mini.SetError("LOADING Redis is loading the dataset in memory")
	got := b.validate(map[string]any{"token": c.access}).wants(503, "unavailable")
	if got.header.Get("Retry-After") == "" {
		t.Error("it does not say when to ask again")
	}
	b.validate(map[string]any{"token": "x"}).refused(401, "invalid_token") // needs no Redis
}

func TestTicket(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		c.signIn(newAccount(t))
		got := c.ask("POST", "/auth/ticket", nil).wants(200, "")
		if names := slices.Sorted(maps.Keys(got.object())); !slices.Equal(names, []string{"expiresAt", "ticket"}) {
			t.Errorf("answered %v", names)
		}
		if want := c.w.clock.now().Add(session.TicketLife).UTC().Format("2006-01-02T15:04:05.000Z"); got.text("expiresAt") != want {
			t.Errorf("expires at %s, want %s", got.text("expiresAt"), want)
		}
		ticket := got.text("ticket")
		for _, p := range protectedRoutes {
			c.w.script().do(p, bearer(ticket)).wants(401, "invalid_token")
		}
		c.w.script().send("POST", "/auth/logout", nil, bearer(ticket)).wants(401, "invalid_token")
		c.w.script().send("POST", "/auth/refresh", map[string]any{"refreshToken": ticket}).wants(401, "invalid_token")
		c.w.script().send("GET", "/api/profile?t="+ticket, nil).wants(400, badRequest)
		if strings.Contains(c.w.log.text(), ticket) {
			t.Error("the ticket is in the log")
		}
		c.ask("POST", "/auth/ticket", map[string]any{"for": "chat"}).wants(400, badRequest)
		var limited answer
		for range session.MaxTickets {
			limited = c.ask("POST", "/auth/ticket", nil)
		}
		limited.wants(429, "rate_limited")
		equal(t, "Retry-After", limited.header.Get("Retry-After"), "30")
		equal(t, "RateLimit-Policy", limited.header.Get("RateLimit-Policy"), `"ticket";q=10;w=30`)
	})
}

// Nothing that a backend sends ends in a defect, and no answer or log line repeats a credential.
func FuzzValidate(f *testing.F) {
	key := token.NewServiceKey()
	w := newWorld(f, redistest.Embedded(f), services(key))
	c := w.script()
	c.signIn(newAccount(f))
	f.Add(`{"token":"` + c.access + `"}`)
	f.Add(`{"cookie":"__Host-session=lka_x","origin":"` + origin + `","method":"POST","secFetchSite":"same-origin"}`)
	f.Add(`{"token":"","userAgent":"\u0000","deviceId":" ","ip":"::ffff:1.2.3.4","permission":"a:b","fresh":true,"touch":true}`)
	f.Fuzz(func(t *testing.T, body string) {
		r := request("POST", "/auth/validate", body)
		r.Header.Set("Authorization", "Bearer "+key)
		got := serve(t, w.api.Validate(), r)
		if got.status >= 500 && got.status != 503 || got.status == 401 {
			t.Errorf("%q is answered with %d %s", body, got.status, got.body)
		}
		if !json.Valid([]byte(got.body)) || strings.Contains(got.body, c.access) || strings.Contains(w.log.text(), key) {
			t.Errorf("%q is answered with %s", body, got.body)
		}
	})
}
