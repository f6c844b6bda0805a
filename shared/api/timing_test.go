package api_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Time tells nothing where the work is the same, so the work is counted: which commands go to Redis, how long each of
// their arguments is, and whether the signature was looked at. Clocks are read by the benchmarks below alone.

// trace is the commands that were sent, as far as somebody could time them.
type trace struct {
	mu   sync.Mutex
	sent []string
}

func (h *trace) hear(cmds ...redis.Cmder) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, cmd := range cmds {
		shape := cmd.Name()
		for i, arg := range cmd.Args()[1:] {
			if raw, ok := arg.([]byte); ok {
				arg = string(raw)
			}
			if i == 0 && strings.HasPrefix(shape, "evalsha") { // which script
				shape += fmt.Sprint(" ", arg)
			}
			shape += fmt.Sprint(" ", len(fmt.Sprint(arg)))
		}
		h.sent = append(h.sent, shape)
	}
	h.sent = append(h.sent, "")
}

// during is what was sent while a call ran; every trip ends with an empty line.
func (h *trace) during(info func()) string {
	h.mu.Lock()
	h.sent = nil
	h.mu.Unlock()
	info()
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.sent, "\n")
}

// traced is a world whose Redis is listened to.
func traced(t *testing.T, r redistest.Redis, change ...func(*world)) (*world, *trace) {
	t.Helper()
	rdb, heard := redis.NewClient(r.ProductOptions()), new(trace)
	t.Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(ear(heard.hear))
	return newWorldOn(t, r, rdb, change...), heard
}

// shape is an answer without what differs from one request to the next.
func (a answer) shape() string {
	header := a.header.Clone()
	for _, varying := range []string{"Date", "X-Request-Id", "Content-Length"} { // ids differ in length
		header.Del(varying)
	}
	return fmt.Sprint(a.status, requestID.ReplaceAllString(a.body, ""), header)
}

// A login that another key signed costs the same, and is answered alike, whatever is known of the address: the nonce is
// spent, the signature is verified, the failure is counted, and nothing of the account is read.
func TestLogin_sameWorkForEveryAddress(t *testing.T) { // attack case 67
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root, mallory := newAccount(t), newAccount(t)
		w, heard := traced(t, r, rates(0, 1000, 0), func(w *world) {
			w.cfg.Admins = append(w.cfg.Admins, token.KeyAccount(root.address))
			w.opts.SessionLimit, w.opts.LimitPolicy = 1, session.Deny
		})
		accounts := map[string]account{"unknown": newAccount(t), "signed in, at its limit": newAccount(t), "blocked": newAccount(t), "an admin": root}
		admin := w.script()
		admin.signIn(root)
		w.script().signIn(accounts["signed in, at its limit"])
		w.script().signIn(accounts["blocked"])
		admin.ask("POST", userPath(accounts["blocked"])+"/block", nil).wants(204, "")

		for _, c := range []*client{w.browser(), w.script()} {
			c.login(c.body(mallory, c.message(newAccount(t)).String())).wants(401, refused) // Redis learns each script once
			seen := map[string][]string{}
			for name, a := range accounts {
				text := c.message(a).String()
				var got answer
				work := heard.during(func() { got = c.login(c.body(mallory, text)) })
				equal(t, name, got.code(), refused)
				equal(t, "reason for "+name, w.last("login")["reason"], "signature") // it was looked at
				seen[got.shape()+"\n"+work] = append(seen[got.shape()+"\n"+work], name)
				c.login(c.body(a, text)).wants(401, refused)
				equal(t, "reason for "+name+", signed well", w.last("login")["reason"], "nonce_reused")
			}
			if len(seen) != 1 {
				t.Errorf("%s: %d kinds of work: %q", c.transport, len(seen), seen)
			}
			for work := range seen {
				if roundTrips := strings.Count(work, "\n\n"); roundTrips == 0 {
					t.Errorf("nothing was heard: %q", work)
				}
			}
		}
	})
}

// forgeries are tokens that nobody made, well encoded: from one that has nothing of a good one to one that has all but
// the last bit.
func forgeries(t testing.TB, good string) map[string]string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(good[4:])
	must(t, err)
	forged := map[string]string{}
	// Where key id, account, session and all that is authenticated end in a token's bytes.
	for name, kept := range map[string]int{"nothing": 0, "key": 5, "account": 21, "session": 37, "all-but-the-gate": 73} {
		bytes := slices.Clone(raw)
		rand.Read(bytes[kept:])
		forged[name] = good[:4] + base64.RawURLEncoding.EncodeToString(bytes)
	}
	raw[len(raw)-1] ^= 1
	forged["all-but-a-bit"] = good[:4] + base64.RawURLEncoding.EncodeToString(raw)
	return forged
}

// However much of a good token a forged one has, it costs no command at all and is answered alike.
func TestTokens_noWorkForForgeries(t *testing.T) { // attack case 67
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, heard := traced(t, r)
		s, b := w.script(), w.browser()
		s.signIn(newAccount(t))
		b.signIn(newAccount(t))
		stranger := w.script()
		page := with("Origin", origin)
		confirm := map[string]any{"message": s.stepUpMessage().String(), "signature": "0x"}
		for route, place := range map[string]struct {
			good string
			send func(text string) answer
		}{
			"profile": {s.access, func(text string) answer { return stranger.send("GET", "/api/profile", nil, bearer(text)) }},
			"by cookie": {b.cookie("session"), func(text string) answer {
				return stranger.send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+text))
			}},
			"admin": {s.access, func(text string) answer { return stranger.send("GET", "/api/admin/sessions", nil, bearer(text)) }},
			"a challenge": {s.access, func(text string) answer {
				return stranger.send("GET", "/auth/nonce?purpose=step_up", nil, bearer(text))
			}},
			"step-up": {s.access, func(text string) answer { return stranger.send("POST", "/auth/step-up", confirm, bearer(text)) }},
			"logout":  {s.access, func(text string) answer { return stranger.send("POST", "/auth/logout", nil, bearer(text)) }},
			"refresh": {s.refresh, func(text string) answer {
				return stranger.send("POST", "/auth/refresh", map[string]any{"refreshToken": text})
			}},
			"refresh by cookie": {b.cookie("refresh"), func(text string) answer {
				return stranger.send("POST", "/auth/refresh", nil, with("Cookie", "__Host-refresh="+text), page)
			}},
		} {
			seen := map[string][]string{}
			for name, text := range forgeries(t, place.good) {
				var got answer
				if work := heard.during(func() { got = place.send(text) }); work != "" {
					t.Errorf("%s, %s: %q was sent", route, name, work)
				}
				equal(t, route+", "+name, got.code(), "invalid_token")
				seen[got.shape()] = append(seen[got.shape()], name)
			}
			if len(seen) != 1 {
				t.Errorf("%s: %d kinds of answer: %v", route, len(seen), seen)
			}
		}
		s.profile().wants(200, "")
		b.profile().wants(200, "")
	})
}

// medians calls each of several requests in turn, past the network, and reports the median time of each.
func medians(b *testing.B, w *world, requests map[string]func() func()) {
	took := map[string][]time.Duration{}
	w.log.Reset()
	for b.Loop() {
		for name, prepare := range requests {
			info := prepare()
			began := time.Now()
			info()
			took[name] = append(took[name], time.Since(began))
		}
	}
	for name, all := range took {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), name+"-median-ns")
	}
}

// The medians of a refused login for an address that is known and for one that is not.
func BenchmarkLogin_addresses(b *testing.B) { // attack case 67
	w := newWorld(b, redistest.Embedded(b), func(w *world) { w.cfg.AuditLog = false })
	known, unknown, mallory, c := newAccount(b), newAccount(b), newAccount(b), w.script()
	c.signIn(known)
	edge := api.New(w.cfg, w.store, discard(), w.clock.now).Login()
	login := func(a account) func() func() {
		return func() func() {
			body, err := json.Marshal(c.body(mallory, c.message(a).String()))
			must(b, err)
			r := request("POST", "/auth/login", string(body))
			return func() { edge.ServeHTTP(httptest.NewRecorder(), r) }
		}
	}
	medians(b, w, map[string]func() func(){"known": login(known), "unknown": login(unknown)})
}

// The medians of tokens that were forged with more and with less of a good one.
func BenchmarkTokens_forged(b *testing.B) { // attack case 67
	w := newWorld(b, redistest.Embedded(b), func(w *world) { w.cfg.AuditLog = false })
	c := w.script()
	c.signIn(newAccount(b))
	edge := api.New(w.cfg, w.store, discard(), w.clock.now).Profile()
	requests := map[string]func() func(){}
	for name, text := range forgeries(b, c.access) {
		requests[name] = func() func() {
			r := request("GET", "/api/profile", "")
			r.Header.Set("Authorization", "Bearer "+text)
			return func() { edge.ServeHTTP(httptest.NewRecorder(), r) }
		}
	}
	medians(b, w, requests)
}
