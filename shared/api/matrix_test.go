package api_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/token"
)

// attempt is a request to a route that would be answered well, and again each time that it is sent.
type attempt struct {
	route string
	send  func() answer
}

// everyRoute is an attempt at each route, by clients of one transport. What ends other sessions, or its own, comes late.
func (w *world) everyRoute(make func() *client, root account) []attempt {
	w.t.Helper()
	alice := newAccount(w.t)
	signedIn := func(a account) *client { c := make(); c.signIn(a); return c }
	c, leaving, everywhere, admin := signedIn(alice), signedIn(alice), signedIn(newAccount(w.t)), signedIn(root)
	fresh := make()
	var logins, stepUps []map[string]any // a nonce for each time, drawn while Redis is there
	for range 4 {
		logins = append(logins, fresh.body(alice, fresh.message(alice).String()))
		stepUps = append(stepUps, confirmation(alice, c.stepUpMessage().String()))
	}
	next := func(bodies *[]map[string]any) map[string]any {
		first := (*bodies)[0]
		*bodies = (*bodies)[1:]
		return first
	}
	all := []attempt{
		{"GET /health", func() answer { return c.send("GET", "/health", nil) }},
		{"GET /auth/nonce", func() answer { return c.send("GET", "/auth/nonce?transport="+c.transport, nil) }},
		{"GET /auth/nonce for a step-up", func() answer { return c.challenge() }},
		{"POST /auth/step-up", func() answer { return c.takeTokens(c.stepUp(next(&stepUps))) }},
		{"POST /auth/refresh", func() answer { return c.takeTokens(c.renew()) }},
		{"POST /auth/login", func() answer { return fresh.login(next(&logins)) }},
		{"POST /auth/logout", func() answer { return leaving.logout(nil) }},
		{"POST /auth/logout everywhere", func() answer { return everywhere.logout(map[string]any{"everywhere": true}) }},
	}
	for _, p := range protectedRoutes {
		all = append(all, attempt{p.String(), func() answer { return admin.do(p) }})
	}
	return all
}

// takeTokens takes the tokens of an answer that has some.
func (c *client) takeTokens(got answer) answer {
	if got.status == 200 {
		c.take(got)
	}
	return got
}

// transports are ways to make a client.
func (w *world) transports() map[string]func() *client {
	return map[string]func() *client{"browser": w.browser, "script": w.script}
}

// With Redis away every route says so at once, and hands out nothing.
func TestUnavailable_everyRoute(t *testing.T) {
	for engine, start := range map[string]func(t *testing.T) (redistest.Redis, func()){
		"embedded": func(t *testing.T) (redistest.Redis, func()) { r := redistest.Embedded(t); return r, r.Mini.Close },
		"server": func(t *testing.T) (redistest.Redis, func()) {
			own := redistest.ServerWith(t)
			return own.Redis, own.Stop
		},
	} {
		t.Run(engine, func(t *testing.T) {
			r, stop := start(t)
			w, root := adminWorld(t, r)
			var all []attempt
			for _, make := range w.transports() {
				all = append(all, w.everyRoute(make, root)...)
			}
			stop()
			for _, a := range all {
				w.log.Reset()
				got := a.send()
				if a.route == "GET /health" {
					equal(t, "the status of health", got.wants(503, "").text("status"), "unavailable")
				} else {
					checkProblem(t, got.wants(503, "unavailable"))
				}
				if got.header.Get("Retry-After") != "1" || got.header["Set-Cookie"] != nil {
					t.Errorf("%s: answered with %v", a.route, got.header)
				}
				if n := len(w.lines("unavailable")); n != 1 {
					t.Errorf("%s: %d lines tell why: %s", a.route, n, w.log.text())
				}
			}
		})
	}
}

// A panic anywhere is a 500 that says nothing, and the next request is served.
func TestPanic_everyRoute(t *testing.T) { // attack case 69
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		rdb := redis.NewClient(r.ProductOptions())
		defer rdb.Close()
		var left atomic.Int64 // until the trip that panics; none where it is 0 or below
		rdb.AddHook(ear(func(...redis.Cmder) {
			if left.Add(-1) == 0 {
				panic("injected: \x1b[31m secret")
			}
		}))
		root := newAccount(t)
		w := newWorldOn(t, r, rdb, func(w *world) { w.cfg.Admins = append(w.cfg.Admins, token.KeyAccount(root.address)) })
		for _, make := range w.transports() {
			second := 0
			for _, a := range w.everyRoute(make, root) {
				left.Store(1)
				w.defect(a)
				left.Store(2)
				got := a.send()
				left.Store(0)
				if got.status == 500 { // a route with one trip has been served
					second++
					got = a.send()
				}
				if got.status >= 500 || got.status == 401 || got.status == 403 {
					t.Errorf("%s after a panic: %d %s", a.route, got.status, got.body)
				}
			}
			if second < 15 {
				t.Errorf("only %d routes panicked at their second trip", second)
			}
		}
	})
}

// defect asserts that an attempt is answered 500, that the answer says nothing, and that the log says why, once.
func (w *world) defect(a attempt) {
	w.t.Helper()
	w.log.Reset()
	got := a.send()
	if got.status != 500 {
		w.t.Errorf("%s: %d %s", a.route, got.status, got.body)
		return
	}
	checkProblem(w.t, got.wants(500, "internal"))
	if set := got.header["Set-Cookie"]; set != nil || strings.Contains(got.body, "secret") {
		w.t.Errorf("%s: set %v, %s", a.route, set, got.body)
	}
	if lines := w.lines("internal"); len(lines) != 1 || lines[0]["requestId"] != got.text("requestId") {
		w.t.Errorf("%s: logged %s", a.route, w.log.text())
	}
}

// damage makes what is stored of a kind, under keys that begin with it behind their slot, something that no version of
// this service wrote.
func (w *world) damage(kind string) {
	w.t.Helper()
	rdb := w.redis.Client()
	keys, err := rdb.Keys(ctx, w.redis.Prefix+":{???}:"+kind+"*").Result()
	must(w.t, err)
	if len(keys) == 0 {
		w.t.Fatalf("there is nothing of kind %q", kind)
	}
	for _, key := range keys {
		if rdb.Type(ctx, key).Val() != "hash" {
			must(w.t, rdb.Set(ctx, key, "damaged", redis.KeepTTL).Err())
			continue
		}
		for field := range rdb.HGetAll(ctx, key).Val() {
			must(w.t, rdb.HSet(ctx, key, field, "damaged").Err())
		}
	}
}

// A record that no version can read opens nothing and closes nothing: every route that needs it is a defect of ours.
func TestDamaged_everyRoute(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		var all []attempt
		for _, make := range w.transports() {
			all = append(all, w.everyRoute(make, root)...)
		}
		w.damage("u")
		for _, a := range all {
			if a.route == "GET /health" || a.route == "GET /auth/nonce" { // of no account
				a.send().wants(200, "")
				continue
			}
			w.defect(a)
		}
	})
}

// So is every admin route about an account whose record cannot be read, for an admin whose own is sound.
func TestDamaged_anothers(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r)
		admin, alice := w.script(), newAccount(t)
		w.script().signIn(alice)
		w.damage("u")
		admin.signIn(root)
		for _, p := range protectedRoutes {
			if !strings.Contains(p.path, someone) {
				continue
			}
			p.path = strings.Replace(p.path, someone, alice.address.Hex(), 1)
			if strings.HasPrefix(p.path, "/api/admin/activity") { // the list stands beside the record
				admin.do(p).wants(200, "")
				continue
			}
			w.defect(attempt{p.String(), func() answer { return admin.do(p) }})
		}
	})
}

// What the public routes do not read they refuse whole: nothing of it is done, and no nonce is spent.
func TestBody_publicRoutes(t *testing.T) { // attack case 22
	asBoth(t, func(*world) {}, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		fresh := w.browser()
		if c.transport == "bearer" {
			fresh = w.script()
		}
		login := func() map[string]any { return fresh.body(alice, fresh.message(alice).String()) }
		renew := func() map[string]any { return map[string]any{} }
		if c.transport == "bearer" {
			renew = func() map[string]any { return map[string]any{"refreshToken": c.refresh} }
		}
		for path, route := range map[string]struct {
			good func() map[string]any
			send func(body any, changes ...change) answer
			most int
		}{
			"/auth/login":   {login, fresh.login, 32 << 10},
			"/auth/refresh": {renew, func(body any, changes ...change) answer { return c.send("POST", "/auth/refresh", body, changes...) }, 16 << 10},
			"/auth/logout":  {func() map[string]any { return map[string]any{"everywhere": true} }, c.logout, 16 << 10},
			"/auth/step-up": {func() map[string]any { return confirmation(alice, c.stepUpMessage().String()) }, c.stepUp, 32 << 10},
		} {
			good, send := route.good(), route.send
			text, err := json.Marshal(good)
			must(t, err)
			fits := string(text) + strings.Repeat(" ", route.most-len(text))
			for _, got := range []answer{send(fits + " "), send(fits + fits)} {
				checkProblem(t, got.wants(413, "too_large"))
			}
			for _, odd := range []change{
				with("Content-Type", "text/plain"), with("Content-Type", "application/x-www-form-urlencoded"), without("Content-Type"),
				with("Content-Type", "application/merge-patch+json"), with("Content-Encoding", "gzip"),
			} {
				checkProblem(t, send(string(text), odd).wants(415, "unsupported_media_type"))
			}
			c.profile().wants(200, "") // none of that was done
			switch path {
			case "/auth/login":
				send(fits).wants(200, "")
			case "/auth/refresh", "/auth/step-up":
				c.take(send(fits).wants(200, ""))
			}
		}
		c.logout(`{"everywhere":true}`+strings.Repeat(" ", 16<<10-19)).wants(204, "")
	})
}
