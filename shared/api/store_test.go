package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
)

func discard() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

// dump is everything under the world's prefix.
func (w *world) dump(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	keys, err := w.redis.Client().Keys(ctx, w.redis.Prefix+"*").Result()
	must(t, err)
	for _, key := range keys {
		if value, ok := w.value(t, key); ok {
			out[key] = value
		}
	}
	return out
}

// value is what a key holds, of whatever type it is; not ok where it has expired meanwhile, as rate limits soon do.
func (w *world) value(t testing.TB, key string) (text string, ok bool) {
	t.Helper()
	var value any
	var err error
	rdb := w.redis.Client()
	switch kind := rdb.Type(ctx, key).Val(); kind {
	case "string":
		value, err = rdb.Get(ctx, key).Result()
	case "list":
		value, err = rdb.LRange(ctx, key, 0, -1).Result()
	case "hash":
		value, err = rdb.HGetAll(ctx, key).Result()
	case "set":
		value, err = rdb.SMembers(ctx, key).Result()
	case "zset":
		value, err = rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
	case "none":
		return "", false
	default:
		t.Fatalf("%q holds a %s", key, kind)
	}
	if errors.Is(err, redis.Nil) {
		return "", false
	}
	must(t, err)
	return fmt.Sprint(value), true
}

// spellings are the ways in which bytes or text could lie about.
func spellings(value []byte) map[string][]byte {
	reversed := make([]byte, len(value))
	for i, b := range value {
		reversed[len(value)-1-i] = b
	}
	return map[string][]byte{
		"as it is": value, "reversed": reversed,
		"hex": []byte(hex.EncodeToString(value)), "HEX": bytes.ToUpper([]byte(hex.EncodeToString(value))),
		"base64": []byte(base64.RawStdEncoding.EncodeToString(value)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(value)),
		"lower": bytes.ToLower(value), "upper": bytes.ToUpper(value),
	}
}

// Nothing that opens, and nothing about anybody, stands in Redis: between nonce and login, after it, and after a refresh.
func TestStore_nothingToRead(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.header.Set("X-Device-Id", "device-id-in-plain")
		hidden := map[string][]byte{}
		hide := func(name, text string) { hidden[name] = []byte(text) }
		m := c.message(alice)
		text := m.String()
		body := c.body(alice, text)
		body["deviceName"] = "Name of my laptop"
		hide("nonce", m.Nonce)
		hide("unspent nonce", c.nonce())
		hidden["address"] = alice.address[:]
		hide("address as text", alice.address.Hex()[2:])
		hidden["signature"] = alice.signature(text)
		hidden["IP"] = net.ParseIP(clientIP).To4()
		hide("IP as text", clientIP)
		hide("user agent", c.header.Get("User-Agent"))
		hide("browser", map[string]string{"cookie": "Chrome", "bearer": "curl"}[c.transport])
		hide("device name", "Name of my laptop")
		hide("device id", "device-id-in-plain")
		search := func(when string) {
			t.Helper()
			dump := w.dump(t)
			if len(dump) < 2 {
				t.Fatalf("%s: only %d keys", when, len(dump))
			}
			for name, value := range hidden {
				for spelling, needle := range spellings(value) {
					for key, stored := range dump {
						if bytes.Contains([]byte(key), needle) || bytes.Contains([]byte(stored), needle) {
							t.Errorf("%s: %s (%s) stands in %q", when, name, spelling, key)
						}
					}
				}
			}
		}
		search("before login")
		tokens := func(got answer) {
			t.Helper()
			c.take(got)
			access, refresh := c.access, c.refresh
			if c.transport == "cookie" {
				access, refresh = c.cookie("session"), c.cookie("refresh")
				hide("pre-login cookie", c.cookie("prelogin"))
			}
			for name, text := range map[string]string{"access": access, "refresh": refresh} {
				raw, err := base64.RawURLEncoding.DecodeString(text[4:])
				must(t, err)
				hide(name, text[4:])
				hidden[name+" secret"] = raw[len(raw)-48 : len(raw)-16]
				hidden[name+" gate"] = raw[len(raw)-16:]
			}
		}
		tokens(c.login(body).wants(200, ""))
		search("after login")
		w.clock.add(time.Minute)
		tokens(c.renew().wants(200, ""))
		c.profile().wants(200, "")
		search("after refresh")
		c.logout(nil).wants(204, "")
		search("after logout")
		c.login(body).wants(401, refused)
		search("after a replay")
	})
}

// ofNobody is how a nonce's key begins behind the prefix, and the count of failed logins.
var ofNobody = regexp.MustCompile(`^:(\{\w\w\}:n|f[0-7]:\d+$)`)

// An attempt that does not prove its address leaves nothing under it, and no trace at all but its spent nonce and a count.
func TestStore_failedLoginWritesNothing(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		for range 3 {
			c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, refused)
		}
		for key := range c.w.dump(t) {
			if !ofNobody.MatchString(strings.TrimPrefix(key, c.w.redis.Prefix)) {
				t.Errorf("%q was stored", key)
			}
		}
	})
}

func TestRoundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counting := redistest.Counting(t, r)
		w, alice := newWorldOn(t, r, counting), newAccount(t)
		roundTrips := func(what string, want int, do func() answer, status int) answer {
			t.Helper()
			counting.Reset()
			got := do()
			if n := counting.RoundTrips(); n != want || got.status != status {
				t.Errorf("%s: %d trips, want %d; %d %s", what, n, want, got.status, got.body)
			}
			return got
		}
		for _, c := range []*client{w.browser(), w.script()} {
			// Redis learns each script once; the first use of a script may cost a trip more.
			c.signIn(alice)
			w.clock.add(time.Minute)
			c.profile()
			c.renew()
			stepUp := c.copyOf()
			c.logout(nil)
			stepUp.logout(map[string]any{"everywhere": true})
			c.send("GET", "/health", nil)
			w.clock.add(time.Second) // so that the next check writes, too
			roundTrips("health", 1, func() answer { return c.send("GET", "/health", nil) }, 200)
			roundTrips("nonce", 1, func() answer { return c.send("GET", "/auth/nonce?transport="+c.transport, nil) }, 200)
			body := c.body(alice, c.message(alice).String())
			c.take(roundTrips("login", 2, func() answer { return c.login(body) }, 200))
			roundTrips("login again", 2, func() answer { return c.login(body) }, 401)
			roundTrips("profile", 1, func() answer { return c.profile() }, 200)
			w.clock.add(time.Minute)
			roundTrips("profile that is recorded as activity", 2, func() answer { return c.profile() }, 200)
			former := c.copyOf()
			c.take(roundTrips("refresh", 1, func() answer { return c.renew() }, 200))
			roundTrips("refresh repeated", 1, func() answer { return former.renew() }, 200)
			mine := c.copyOf()
			roundTrips("logout", 1, func() answer { return c.logout(nil) }, 204)
			roundTrips("logout again", 1, func() answer { return mine.logout(nil) }, 204)
			roundTrips("everywhere", 1, func() answer { return mine.logout(map[string]any{"everywhere": true}) }, 204)
			roundTrips("ended", 1, func() answer { return mine.profile() }, 401)

			forged := "lka_" + strings.Repeat("A", 119)
			roundTrips("forged", 0, func() answer { return w.script().profile(bearer(forged)) }, 401)
			roundTrips("forged cookie", 0, func() answer { return w.script().profile(with("Cookie", "__Host-session="+forged)) }, 401)
			roundTrips("malformed login", 0, func() answer { return c.login("{") }, 400)
			roundTrips("no signature", 0, func() answer {
				return c.login(map[string]any{"message": "x", "signature": "0x", "transport": "bearer"})
			}, 400)
			roundTrips("nothing", 0, func() answer { return w.script().profile() }, 401)

			// A session of another account that comes along is ended by a third trip.
			c.signIn(newAccount(t))
			bob := newAccount(t)
			body = c.body(bob, c.message(bob).String())
			roundTrips("login as another", 3, func() answer { return c.login(body, c.credential()...) }, 200)
		}
	})
}

// With Redis away every route says so, in time, and serves again when it is back.
func TestUnavailable(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w, alice := newWorld(t, own.Redis), newAccount(t)
		c, b := w.script(), w.browser()
		c.signIn(alice)
		b.signIn(alice)
		body := c.body(alice, c.message(alice).String())
		own.Stop()
		w.log.Reset()
		for name, got := range map[string]answer{
			"nonce": c.send("GET", "/auth/nonce", nil), "login": c.login(body), "profile": c.profile(), "refresh": c.renew(),
			"logout": c.logout(nil), "everywhere": c.logout(map[string]any{"everywhere": true}), "browser's logout": b.logout(nil),
		} {
			if got.status != 503 || got.code() != "unavailable" || got.header.Get("Retry-After") != "1" || got.header["Set-Cookie"] != nil {
				t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
			}
			checkProblem(t, got)
		}
		if n := len(w.lines("unavailable")); n != 7 {
			t.Errorf("%d lines tell why: %s", n, w.log.text())
		}
		c.profile(bearer("forged")).wants(401, "invalid_token") // needs no Redis
		own.Restart()
		back := c.profile()
		for tries := 0; back.status == 503 && tries < 100; tries++ { // after ten failures a CPU the client tries once a second
			time.Sleep(50 * time.Millisecond)
			back = c.profile()
		}
		back.wants(401, "invalid_token") // it came back empty
		c.signIn(alice)
		c.profile().wants(200, "")
	})
}

// With Redis' memory full nobody comes in: nonce, login and refresh are refused whole, and told as unavailable. Who is in
// stays in, and every way out works.
func TestUnavailable_memoryFull(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w, root := adminWorld(t, own.Redis)
		admin, alice := w.script(), newAccount(t)
		admin.signIn(root)
		var all []*client
		for range 4 {
			c := w.script()
			c.signIn(alice)
			all = append(all, c)
		}
		body := all[0].body(alice, all[0].message(alice).String())
		must(t, own.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		for name, got := range map[string]answer{
			"nonce": all[0].send("GET", "/auth/nonce", nil), "login": all[0].login(body), "refresh": all[0].renew(),
		} {
			if got.wants(503, "unavailable"); got.header.Get("Retry-After") != "1" {
				t.Errorf("%s: answered with %v", name, got.header)
			}
		}
		all[1].profile().wants(200, "")
		all[1].logout(nil).wants(204, "")
		all[1].profile().wants(401, "session_ended")
		all[2].logout(map[string]any{"everywhere": true}).wants(204, "")
		all[3].profile().wants(401, "session_ended")
		admin.ask("POST", "/api/admin/users/"+alice.address.Hex()+"/block", nil).wants(204, "")
		must(t, own.Client().ConfigSet(ctx, "maxmemory", "0").Err())
		all[0].login(body).wants(403, "account_blocked") // its nonce was not spent by the login that was refused
	})
}

// A Redis that never answers is given up when the request's time is over.
func TestUnavailable_deadline(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	r := redistest.Embedded(t)
	opts := r.ProductOptions()
	opts.Addr, opts.ContextTimeoutEnabled, opts.ReadTimeout = silent.Addr().String(), true, time.Minute
	client := redis.NewClient(opts)
	defer client.Close()
	w := newWorldOn(t, r, client)
	for _, limit := range []time.Duration{100 * time.Millisecond, time.Millisecond} {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		serve(t, w.api.Nonce(), request("GET", "/auth/nonce", "").WithContext(limited)).wants(503, "unavailable")
	}
}

func TestHealth(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for _, details := range []bool{false, true} {
			w := newWorld(t, r, func(w *world) { w.cfg.HealthDetails = details })
			got := w.script().send("GET", "/health", nil).wants(200, "")
			more := []string{}
			if details {
				more = []string{"mode", "clockSkewMs"}
				names(t, "health", got.object(), "status", "time", "checks", "version")
				equal(t, "version", got.at("version"), "1.2.3")
				equal(t, "mode", got.at("checks", "redis", "mode"), "single")
			} else {
				names(t, "health", got.object(), "status", "time", "checks")
			}
			names(t, "checks.redis", got.at("checks", "redis"), append(more, "status", "latencyMs")...)
			equal(t, "status", got.at("status"), "ok")
			equal(t, "time", got.at("time"), "2026-11-23T10:00:00.000Z")
			equal(t, "sessions", got.at("checks", "sessions"), map[string]any{"status": "ok"})
		}
	})
}

// It is 503 where no login can work, though Redis answers and reads: for a user that may run no scripts, or write
// nothing, and at a replica. It is 200 again as soon as that is put right.
func TestHealth_noLoginCanWork(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		allow := func(rules ...string) { must(t, own.Client().ACLSetUser(ctx, own.Username, rules...).Err()) }
		w := newWorld(t, own.Redis)
		for name, c := range map[string]struct{ spoil, repair func() }{
			"no scripts": {func() { allow("-eval", "-evalsha") }, func() { allow("+eval", "+evalsha") }},
			"read only":  {func() { allow("-@write") }, func() { allow(own.Access(t)...) }},
			"a replica":  {func() { must(t, own.Client().ReplicaOf(ctx, "127.0.0.1", "1").Err()) }, own.Promote},
		} {
			c.spoil()
			w.clock.add(time.Second)
			got := w.script().send("GET", "/health", nil)
			if got.status != 503 || got.at("status") != "unavailable" || got.header.Get("Retry-After") != "1" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			w.script().send("GET", "/auth/nonce", nil).wants(503, "unavailable")
			c.repair()
			w.script().send("GET", "/health", nil).wants(200, "")
			w.script().send("GET", "/auth/nonce", nil).wants(200, "")
		}
	})
}

func TestHealth_unavailable(t *testing.T) {
	r := redistest.Embedded(t)
	w := newWorld(t, r, func(w *world) { w.cfg.HealthDetails = true })
	r.Mini.Close()
	got := w.script().send("GET", "/health", nil).wants(503, "")
	equal(t, "body", got.object(), map[string]any{
		"status": "unavailable", "time": "2026-11-23T10:00:00.000Z", "version": "1.2.3",
		"checks": map[string]any{
			"redis": map[string]any{"status": "unavailable", "latencyMs": 0.0, "mode": "single"}, "sessions": map[string]any{"status": "unavailable"},
		},
	})
	equal(t, "Retry-After", got.header.Get("Retry-After"), "1")
}

// Uptime monitors ask with HEAD, and add a parameter so that no cache answers.
func TestHealth_asMonitorsAsk(t *testing.T) {
	r := redistest.Embedded(t)
	w := newWorld(t, r)
	want := []string{"Cache-Control", "Content-Type", "X-Request-Id"}
	for _, path := range []string{"/health", "/health?t=1", "/health?t=1&t=2", "/health?", "/health?t=%zz"} {
		for method, handler := range map[string]http.Handler{"GET": w.routes()["GET /health"], "HEAD": w.routes()["HEAD /health"]} {
			got := serve(t, handler, request(method, path, "")).wants(200, "")
			equal(t, method+" "+path+" has a body", got.body != "", method == "GET")
			for _, name := range want {
				equal(t, method+" "+path+" has "+name, got.header.Get(name) != "", true)
			}
		}
	}
	// A token stays out of every log, and only health is asked this way.
	serve(t, w.api.Health(), request("GET", "/health?access_token=1", "")).wants(400, "invalid_request")
	if got := serve(t, w.api.Health(), request("HEAD", "/health?access_token=1", "")); got.status != 400 || got.body != "" {
		t.Errorf("HEAD /health with a token is answered %d %s", got.status, got.body)
	}
	serve(t, w.api.Health(), request("POST", "/health", "")).wants(404, "not_found")
	if got := serve(t, w.api.Nonce(), request("HEAD", "/auth/nonce", "")); got.status != 404 || got.body != "" {
		t.Errorf("HEAD /auth/nonce is answered %d %s", got.status, got.body)
	}
	r.Mini.Close()
	if got := serve(t, w.api.Health(), request("HEAD", "/health?t=1", "")); got.status != 503 || got.body != "" {
		t.Errorf("HEAD /health without Redis is answered %d %s", got.status, got.body)
	}
}

// Clocks that differ by more than two seconds are told of.
func TestHealth_clockSkew(t *testing.T) {
	r := redistest.Embedded(t)
	w := newWorld(t, r, func(w *world) { w.cfg.HealthDetails = true })
	for _, tt := range []struct {
		ahead  time.Duration
		logged bool
	}{{0, false}, {2 * time.Second, false}, {-2 * time.Second, false}, {2001 * time.Millisecond, true}, {-3 * time.Second, true}} {
		r.Mini.SetTime(w.clock.now().Add(-tt.ahead))
		w.log.Reset()
		got := w.script().send("GET", "/health", nil).wants(200, "")
		equal(t, "clockSkewMs", got.at("checks", "redis", "clockSkewMs"), float64(tt.ahead.Milliseconds()))
		if lines := w.lines("clock skew"); (len(lines) == 1 && lines[0]["level"] == "WARN") != tt.logged {
			t.Errorf("%v ahead: logged %s", tt.ahead, w.log.text())
		}
	}
}
