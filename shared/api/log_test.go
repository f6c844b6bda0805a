package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

// events are type, outcome and reason of each event so far, and clears the log.
func (w *world) events() []string {
	w.t.Helper()
	var found []string
	for _, e := range w.lines("event") {
		text := fmt.Sprint(e["type"], " ", e["outcome"])
		for _, member := range []string{"reason", "repeated"} {
			if e[member] != nil {
				text += fmt.Sprintf(" %s=%v", member, e[member])
			}
		}
		found = append(found, text)
	}
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.Reset()
	return found
}

func (w *world) wantsEvents(what string, want ...string) {
	w.t.Helper()
	if got := w.events(); !slices.Equal(got, want) {
		w.t.Errorf("%s: events %q, want %q", what, got, want)
	}
}

// Every change and every refusal has its event, and one of them.
func TestEvents(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, func(w *world) { w.opts.SessionLimit = 1 }), newAccount(t)
		c := w.script()
		c.signIn(alice)
		w.wantsEvents("login", "login success")
		second := w.script()
		second.signIn(alice)
		w.wantsEvents("login at the limit", "session.ended success reason=evicted", "login success")
		second.signIn(alice, second.credential()...)
		w.wantsEvents("login again", "session.ended success reason=logged_out", "login success")
		second.signIn(newAccount(t), second.credential()...)
		w.wantsEvents("login as another", "login success", "session.ended success reason=logged_out")

		c.login(nil).wants(400, badRequest)
		c.login(map[string]any{"message": "x", "signature": "0x", "transport": "bearer"}).wants(400, badMessage)
		c.login(map[string]any{"message": "x", "signature": "0x"}).wants(403, "origin_not_allowed")
		c.login("x", with("Content-Type", "text/plain")).wants(415, "unsupported_media_type")
		w.wantsEvents("logins that are none", "login failure reason=invalid_request", "login failure reason=invalid_message",
			"login failure reason=origin_not_allowed", "login failure reason=unsupported_media_type")
		c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, refused)
		m := c.message(alice)
		m.IssuedAt = siwe.NewTime(w.clock.now().Add(time.Hour))
		c.login(c.body(alice, m.String())).wants(401, refused)
		w.wantsEvents("logins not accepted", "login failure reason=signature", "login failure reason=issued_at")

		c = w.script()
		c.signIn(alice)
		w.clock.add(time.Minute)
		w.events()
		first := *c
		c.take(c.renew().wants(200, ""))
		first.renew().wants(200, "")
		w.wantsEvents("refresh and repeat", "refresh success", "refresh success repeated=true")
		w.clock.add(45 * time.Second)
		first.renew().wants(401, "session_ended")
		w.wantsEvents("theft", "session.ended success reason=refresh_reused")
		first.renew().wants(401, "session_ended")
		c.renew().wants(401, "session_ended")
		c.profile().wants(401, "session_ended")
		w.wantsEvents("after theft", "refresh failure reason=refresh_reused", "refresh failure reason=refresh_reused",
			"request failure reason=refresh_reused")
		c.send("POST", "/auth/refresh", nil).wants(401, "no_credentials")
		c.send("POST", "/auth/refresh", map[string]any{"refreshToken": "x"}).wants(401, "invalid_token")
		w.wantsEvents("no refresh", "refresh failure reason=no_credentials", "refresh failure reason=invalid_token")

		c.signIn(alice)
		w.events()
		c.logout(nil).wants(204, "")
		c.logout(nil).wants(204, "")
		c.send("POST", "/auth/logout", nil).wants(401, "no_credentials")
		c.send("POST", "/auth/logout", nil, bearer("x")).wants(401, "invalid_token")
		w.wantsEvents("logout", "session.ended success reason=logged_out", "logout success repeated=true",
			"logout failure reason=no_credentials", "logout failure reason=invalid_token")
		c.signIn(alice)
		w.events()
		c.logout(map[string]any{"everywhere": true}).wants(204, "")
		w.wantsEvents("everywhere", "session.ended success reason=logged_out")

		c.profile(bearer("x")).wants(401, "invalid_token")
		c.send("GET", "/auth/nonce?x=1", nil).wants(400, badRequest)
		c.send("GET", "/health", nil).wants(200, "")
		w.wantsEvents("other routes", "request failure reason=invalid_token", "request failure reason=invalid_request")
	})
}

// Redis that lost a write is told from theft, also where reading finds it.
func TestEvents_storeReset(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, find := range []func(*client) answer{
			func(c *client) answer { return c.profile() }, func(c *client) answer { return c.renew() },
		} {
			c := w.script()
			c.signIn(newAccount(t))
			records, err := r.Client().Keys(ctx, r.Prefix+":{*}:u*").Result()
			must(t, err)
			before := map[string]string{}
			for _, key := range records {
				before[key] = r.Client().Get(ctx, key).Val()
			}
			w.clock.add(time.Minute)
			c.take(c.renew().wants(200, ""))
			for key, value := range before {
				must(t, r.Client().Set(ctx, key, value, time.Hour).Err())
			}
			w.events()
			equal(t, "reason", find(c).wants(401, "session_ended").at("reason"), "store_reset")
			w.wantsEvents("a lost write", "session.ended success reason=store_reset")
		}
	})
}

func TestEvents_limitAndBlock(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t), func(w *world) { w.opts.SessionLimit, w.opts.LimitPolicy = 1, session.Deny }), newAccount(t)
	c := w.script()
	c.signIn(alice)
	w.events()
	c.login(c.body(alice, c.message(alice).String())).wants(403, "session_limit")
	w.block(alice.address)
	c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
	w.wantsEvents("refusals", "login failure reason=session_limit", "login failure reason=account_blocked")
}

func TestEvents_members(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t), func(w *world) { w.opts.SessionLimit = 1 }), newAccount(t)
	c := w.script()
	login := c.signIn(alice)
	id, user := login.text("session", "id"), login.text("user", "id")
	e := w.last("login")
	names(t, "event", e, "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "address", "userId", "account", "sessionId", "transport", "chainId")
	for member, want := range map[string]any{
		"requestId": login.header.Get("X-Request-Id"), "ip": clientIP, "device": "curl", "address": alice.address.Hex(),
		"userId": user, "sessionId": id, "transport": "bearer", "chainId": 1.0,
	} {
		equal(t, member, e[member], want)
	}
	again := c.signIn(alice, c.credential()...)
	equal(t, "the replaced session", w.last("session.ended")["sessionId"], id)
	c2 := w.script()
	c2.signIn(alice)
	e = w.last("session.ended")
	names(t, "event", e, "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "userId", "account", "sessionId", "reason")
	equal(t, "the evicted session", e["sessionId"], again.at("session", "id"))

	c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, refused)
	e = w.last("login")
	names(t, "event", e, "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "address", "reason")
	equal(t, "the claimed address", e["address"], alice.address.Hex())

	w.clock.add(time.Minute)
	former := *c2
	c2.take(c2.renew())
	names(t, "event", w.last("refresh"), "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "userId", "sessionId")
	former.renew().wants(200, "")
	names(t, "event", w.last("refresh"), "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "userId", "sessionId", "repeated")
	w.clock.add(time.Minute)
	former.renew().wants(401, "session_ended")
	names(t, "event", w.last("session.ended"), "time", "level", "msg", "type", "outcome", "requestId", "ip", "device", "userId", "sessionId", "reason")
	w.uniqueMembers()
}

// uniqueMembers asserts that no line of the log names a member twice: readers would see one of the two.
func (w *world) uniqueMembers() {
	w.t.Helper()
	for line := range strings.Lines(w.log.text()) {
		tokens, seen := json.NewDecoder(strings.NewReader(line)), map[string]bool{}
		_, _ = tokens.Token()
		for tokens.More() {
			name, err := tokens.Token()
			must(w.t, err)
			if seen[fmt.Sprint(name)] {
				w.t.Errorf("%v is there twice: %s", name, line)
			}
			seen[fmt.Sprint(name)] = true
			var value any
			must(w.t, tokens.Decode(&value))
		}
	}
}

func TestEvents_off(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.AuditLog = false })
	c := w.script()
	c.signIn(newAccount(t))
	c.logout(nil)
	c.login(nil)
	w.wantsEvents("switched off")
}

func TestAccessLog(t *testing.T) {
	redis := redistest.Embedded(t)
	w := newWorld(t, redis)
	c := w.browser()
	nonce := c.send("GET", "/auth/nonce?transport=cookie&chainId=1", nil)
	c.profile().wants(401, "no_credentials")
	c.send("POST", "/auth/logout?secret=query", "{", with("X-Forwarded-For", "198.51.100.9")).wants(400, badRequest)
	lines := w.lines("request")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), w.log.text())
	}
	names(t, "a success", lines[0], "time", "level", "msg", "requestId", "method", "route", "status", "durationMs", "ip")
	names(t, "a problem", lines[1], "time", "level", "msg", "requestId", "method", "route", "status", "durationMs", "ip", "code")
	for i, want := range []map[string]any{
		{"requestId": nonce.header.Get("X-Request-Id"), "method": "GET", "route": "GET /auth/nonce", "status": 200.0, "durationMs": 0.0, "ip": clientIP},
		{"method": "GET", "route": "GET /api/profile", "status": 401.0, "code": "no_credentials"},
		{"method": "POST", "route": "POST /auth/logout", "status": 400.0, "code": badRequest, "ip": clientIP},
	} {
		for member, value := range want {
			equal(t, member, lines[i][member], value)
		}
	}
	c.signIn(newAccount(t))
	w.log.Reset()
	c.logout(nil)
	equal(t, "status of a logout", w.lines("request")[0]["status"], 204.0)
	w.log.Reset()
	redis.Mini.Close()
	c.send("GET", "/health", nil).wants(503, "")
	equal(t, "status of health", w.lines("request")[0]["status"], 503.0)
	equal(t, "code of health", w.lines("request")[0]["code"], "unavailable")
	if len(w.lines("unavailable")) != 1 {
		t.Errorf("logged %s", w.log.text())
	}
	w.call = func(info *api.RequestInfo) { *info = api.RequestInfo{} }
	w.log.Reset()
	c.send("GET", "/auth/nonce", nil)
	equal(t, "ip where the gateway gave none", w.lines("request")[0]["ip"], "")
}

// No secret reaches the log, whatever becomes of the request that carries it.
func TestLog_holdsNoSecret(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		var secrets []string
		secret := func(values ...string) { secrets = append(secrets, values...) }
		s, b := w.script(), w.browser()
		for _, c := range []*client{s, b} {
			alice := newAccount(t)
			m := c.message(alice)
			body := c.body(alice, m.String())
			secret(m.Nonce, fmt.Sprint(body["signature"])[2:])
			got := c.login(body)
			c.take(got)
			for _, cookie := range got.cookies() {
				secret(cookie.Value)
			}
			c.login(body).wants(401, refused)
			w.clock.add(time.Minute)
			former := c.copyOf()
			got = c.renew()
			c.take(got)
			for _, cookie := range got.cookies() {
				secret(cookie.Value)
			}
			w.clock.add(time.Minute)
			former.renew().wants(401, "session_ended")
			c.profile()
			c.logout(nil)
			secret(former.access, former.refresh, c.access, c.refresh)
		}
		secret(b.cookie("prelogin"), "Macintosh", "AppleWebKit", "8.14.1")
		s.send("GET", "/api/profile?access_token="+s.access, nil)
		s.send("GET", "/api/profile", nil, bearer(s.access+","+s.access))
		s.send("GET", "/api/profile", nil, with("User-Agent", s.refresh+" ua-secret"), with("Referer", "https://x/?"+s.access))
		s.send("POST", "/auth/logout", map[string]any{s.access: s.refresh})
		s.send("POST", "/auth/logout", `{"refreshToken":"`+s.refresh+`","`+s.access)
		s.login(`{"message":"`+s.access+`","signature":"`+s.refresh+`","transport":"`+s.access+`"}`, with("X-Device-Id", "device-secret"))
		secret("ua-secret", "device-secret")
		log := w.log.text()
		for _, secret := range secrets {
			if secret != "" && (strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret))) {
				t.Errorf("the log holds %q", secret)
			}
		}
		if len(secrets) < 16 {
			t.Errorf("only %d secrets were looked for", len(secrets))
		}
	})
}

// A user agent stays within its line, and within bounds.
func TestLog_injection(t *testing.T) { // attack case 66
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, agent := range []string{
			`x"}` + "\n" + `{"msg":"event","type":"login","outcome":"success"}`, "a\r\nb", "%n%s%x", "\x1b[31mred", strings.Repeat("x", 64<<10),
			"\u202eevil\u2028", "\xff\xfe", `\u000a{"msg":"event"}`, "a\x00b", "curl\n/8",
		} {
			c, alice := w.script(), newAccount(t)
			body := c.body(alice, c.message(alice).String())
			w.log.Reset()
			text, err := json.Marshal(body)
			must(t, err)
			r := request("POST", "/auth/login", string(text))
			r.Header["User-Agent"] = []string{agent} // past a client and a server that would refuse it
			serve(t, w.api.Login(), r).wants(200, "")
			lines := slices.Collect(strings.Lines(w.log.text()))
			if len(lines) != 2 || len(w.lines("event")) != 1 || len(w.lines("request")) != 1 {
				t.Errorf("%.40q made %d lines: %.400s", agent, len(lines), w.log.text())
			}
			for _, line := range lines {
				if len(line) > 1024 || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\r\n\x00\x1b\u202e\u2028") {
					t.Errorf("%.40q made the line %.200q", agent, line)
				}
			}
		}
		// The same in every other place that a caller can write to.
		evil := "x\"}\n{\"msg\":\"event\"}\u202e"
		w.log.Reset()
		odd := request("POST", "/"+url.PathEscape(evil), evil)
		odd.Method = evil
		for _, header := range []string{"Origin", "Authorization", "Cookie", "X-Device-Id", "Sec-Fetch-Site", "X-Request-Id"} {
			odd.Header[header] = []string{evil}
		}
		serve(t, w.api.Login(), odd).wants(404, "not_found")
		w.lines("request")
		if n := strings.Count(w.log.text(), "\n"); n != 2 || strings.Contains(w.log.text(), "\u202e") {
			t.Errorf("%d lines: %q", n, w.log.text())
		}
	})
}

func TestPanic(t *testing.T) { // attack case 69
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for name, value := range map[string]any{"text": "injected", "error": fmt.Errorf("secret"), "abort": http.ErrAbortHandler, "nil map": nil} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, r)
				armed := true
				w.wrap = func(rw http.ResponseWriter, r *http.Request) bool {
					if armed && r.Method == "POST" && r.URL.Path == "/auth/login" {
						r.Body = bomb{value}
						w.api.Login().ServeHTTP(rw, r)
						return true
					}
					return false
				}
				c, alice := w.script(), newAccount(t)
				body := c.body(alice, c.message(alice).String())
				w.log.Reset()
				got := c.login(body).wants(500, "internal")
				checkProblem(t, got)
				if len(w.lines("internal")) != 1 || len(w.lines("request")) != 1 || w.lines("internal")[0]["stack"] == nil {
					t.Errorf("logged %s", w.log.text())
				}
				equal(t, "status in the access log", w.lines("request")[0]["status"], 500.0)
				w.wantsEvents("a defect", "login failure reason=internal")
				armed = false
				c.login(body).wants(200, "")
			})
		}
	})
}

// bomb is a body that panics with a value, or with a defect of Go's own.
type bomb struct{ value any }

func (b bomb) Read([]byte) (int, error) {
	if b.value == nil {
		var none []int
		_ = none[len(none)]
	}
	panic(b.value)
}

func (b bomb) Close() error { return nil }

// A panic in the middle of a login takes back what was half answered.
func TestPanic_late(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.log.Reset()
		edge := api.New(w.cfg, new(session.Store), discard(), w.clock.now) // a store without a client is as good a defect as any
		got := serve(t, edge.Nonce(), request("GET", "/auth/nonce", "")).wants(500, "internal")
		if set := got.header["Set-Cookie"]; set != nil {
			t.Errorf("set %v", set)
		}
	})
}

// A session whose record cannot be read opens nothing, and an operator hears of it.
func TestLog_damaged(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		keys, err := r.Client().Keys(ctx, r.Prefix+":{*}:s*").Result()
		must(t, err)
		must(t, r.Client().Set(ctx, keys[0], "garbage", time.Hour).Err())
		c.profile().wants(401, "invalid_token")
		if len(w.lines("damaged record")) != 1 {
			t.Errorf("logged %s", w.log.text())
		}
		keys, err = r.Client().Keys(ctx, r.Prefix+":{*}:u*").Result()
		must(t, err)
		must(t, r.Client().Set(ctx, keys[0], "garbage", time.Hour).Err())
		c.profile().wants(500, "internal")
		if len(w.lines("internal")) != 1 {
			t.Errorf("logged %s", w.log.text())
		}
	})
}
