package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/redis/go-redis/v9"

	"latchkey/local/answers"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

const (
	domain   = "app.example.com"
	origin   = "https://app.example.com"
	clientIP = "203.0.113.77"
	chrome   = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	firefox  = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
)

// clock is the injected clock of store and edge: it stands until it is moved.
type clock struct{ ms atomic.Int64 }

func (c *clock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// logBuffer is a log that may be written to by several requests at once.
type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *logBuffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// world is the edge over a store, served through real HTTP.
type world struct {
	t      testing.TB
	cfg    api.Config
	opts   session.Options
	clock  *clock
	ring   *seal.Ring
	redis  redistest.Redis
	store  *session.Store
	api    *api.API
	log    *logBuffer
	server *httptest.Server
	call   func(*api.RequestInfo)                        // changes what the gateway says
	wrap   func(http.ResponseWriter, *http.Request) bool // sees a request first; true: it has been answered
}

// newWorld is an edge over an engine; change is called before anything is built.
func newWorld(t testing.TB, r redistest.Redis, change ...func(*world)) *world {
	t.Helper()
	return newWorldOn(t, r, r.Product(), change...)
}

func newWorldOn(t testing.TB, r redistest.Redis, rdb redis.UniversalClient, change ...func(*world)) *world {
	t.Helper()
	if r.Mini != nil {
		// It stands, as the test's clock does: while it runs, each command looks through all keys for what is over.
		r.Mini.SetTime(time.Now())
	}
	w := &world{
		t: t, redis: r, clock: new(clock), log: new(logBuffer),
		cfg: api.Config{
			Domains: []string{domain, "admin.example.com"}, ChainIDs: []uint64{1, 8453}, Statement: "Sign in.",
			AllowedOrigins: []string{origin, "https://admin.example.com"}, AuditLog: true, Version: "1.2.3", RedisMode: "single",
		},
		opts: session.Options{
			Prefix: r.Prefix, Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
			Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5, StepUp: 5 * time.Minute,
			ActivityMax: 50, ActivityKeep: 90 * 24 * time.Hour, PreferencesKeep: 365 * 24 * time.Hour, StateQuota: 16384,
		},
	}
	w.clock.ms.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
	for _, c := range change {
		c(w)
	}
	secret := make([]byte, 64)
	rand.Read(secret)
	ring, err := seal.NewRing(r.Prefix, secret[:32], seal.EnvironmentKey(secret[:32], secret[32:]))
	must(t, err)
	w.ring = ring
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	w.opts.Audit = api.Audit(log, w.cfg.AuditLog)
	w.cfg.SessionLimit = w.opts.SessionLimit
	w.store = session.NewStore(rdb, ring, w.opts, w.clock.now)
	w.api = api.New(w.cfg, w.store, log, w.clock.now)
	w.server = httptest.NewTLSServer(w.gateway())
	t.Cleanup(w.server.Close)
	return w
}

// routes are those of the template.
func (w *world) routes() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /health": w.api.Health(), "HEAD /health": w.api.Health(), "GET /auth/nonce": w.api.Nonce(), "POST /auth/login": w.api.Login(),
		"POST /auth/refresh": w.api.Refresh(), "POST /auth/logout": w.api.Logout(), "POST /auth/step-up": w.api.StepUp(),
		"POST /auth/validate": w.api.Validate(), "POST /auth/ticket": w.api.Ticket(),
		"GET /api/profile": w.api.Profile(), "DELETE /api/profile": w.api.EraseProfile(),
		"GET /api/preferences": w.api.Preferences(), "PATCH /api/preferences": w.api.ChangePreferences(),
		"GET /api/state": w.api.ListState(), "GET /api/state/{key}": w.api.GetState(),
		"PUT /api/state/{key}": w.api.PutState(), "DELETE /api/state/{key}": w.api.DeleteState(),
		"GET /api/sessions": w.api.Sessions(), "DELETE /api/sessions": w.api.EndOtherSessions(),
		"DELETE /api/sessions/{id}": w.api.EndSession(), "GET /api/activity": w.api.Activity(),
		"GET /api/admin/sessions": w.api.CountSessions(), "DELETE /api/admin/sessions/{id}": w.api.RevokeSession(),
		"GET /api/admin/users/{address}": w.api.User(), "DELETE /api/admin/users/{address}": w.api.EraseUser(),
		"PUT /api/admin/users/{address}/roles":       w.api.SetRoles(),
		"POST /api/admin/users/{address}/block":      w.api.BlockUser(),
		"GET /api/admin/users":                       w.api.Users(),
		"POST /api/admin/users/{address}/unblock":    w.api.UnblockUser(),
		"DELETE /api/admin/users/{address}/sessions": w.api.EndUserSessions(),
		"GET /api/admin/activity":                    w.api.UserActivity(),
	}
}

// gateway routes as API Gateway does: it compares segments as they are, redirects nowhere, and cleans no path.
func (w *world) gateway() http.Handler {
	routes := w.routes()
	var serial atomic.Int64
	return answers.Record(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		route, values := match(routes, r)
		if route == "" {
			rw.WriteHeader(http.StatusNotFound)
			fmt.Fprint(rw, `{"message":"Not Found"}`)
			return
		}
		info := api.RequestInfo{
			SourceIP: netip.MustParseAddr(clientIP), RequestID: fmt.Sprintf("gw%d=", serial.Add(1)), Route: route,
		}
		if w.call != nil {
			w.call(&info)
		}
		r = r.WithContext(api.WithRequestInfo(r.Context(), info))
		for name, value := range values {
			r.SetPathValue(name, value)
		}
		if w.wrap != nil && w.wrap(rw, r) {
			return
		}
		routes[route].ServeHTTP(rw, r)
	}))
}

// match finds the route of a request and its path values; empty where there is none.
func match(routes map[string]http.Handler, r *http.Request) (string, map[string]string) {
	got := strings.Split(r.Method+" "+r.URL.Path, "/")
	for route := range routes {
		want, values := strings.Split(route, "/"), map[string]string{}
		if len(want) != len(got) {
			continue
		}
		matched := true
		for i, segment := range want {
			if strings.HasPrefix(segment, "{") && got[i] != "" {
				values[strings.Trim(segment, "{}")] = got[i]
			} else if segment != got[i] {
				matched = false
			}
		}
		if matched {
			return route, values
		}
	}
	return "", nil
}

// client is one caller: a browser with its cookies, or a script with its tokens.
type client struct {
	w         *world
	http      *http.Client
	header    http.Header // goes with every request
	transport string
	access    string // the bearer transport's
	refresh   string
}

// browser keeps cookies and is on a page of ours.
func (w *world) browser() *client {
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	c := &http.Client{Transport: w.server.Client().Transport, Jar: jar}
	header := http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"same-site"}, "User-Agent": {chrome}}
	return &client{w: w, http: c, header: header, transport: "cookie"}
}

// script keeps tokens.
func (w *world) script() *client {
	return &client{w: w, http: w.server.Client(), header: http.Header{"User-Agent": {"curl/8.14.1"}}, transport: "bearer"}
}

// change alters a request before it is sent.
type change func(*http.Request)

func with(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }
func more(name, value string) change { return func(r *http.Request) { r.Header.Add(name, value) } }
func without(name string) change     { return func(r *http.Request) { r.Header.Del(name) } }
func bearer(text string) change      { return with("Authorization", "Bearer "+text) }

// answer is a response, read.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// send sends a request. A body that is a string is sent as it is, nil is none, anything else as JSON.
func (c *client) send(method, path string, body any, changes ...change) answer {
	c.w.t.Helper()
	var reader io.Reader
	text, isText := body.(string)
	if !isText && body != nil {
		encoded, err := json.Marshal(body)
		must(c.w.t, err)
		text = string(encoded)
	}
	if body != nil {
		reader = strings.NewReader(text)
	}
	r, err := http.NewRequest(method, c.w.server.URL+path, reader)
	must(c.w.t, err)
	r.Header = c.header.Clone()
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, change := range changes {
		change(r)
	}
	response, err := c.http.Do(r)
	must(c.w.t, err)
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	must(c.w.t, err)
	return answer{c.w.t, response.StatusCode, response.Header, string(read)}
}

// wants asserts status and code ("" for a success), and that a defect is nobody's answer.
func (a answer) wants(status int, code string) answer {
	a.t.Helper()
	if a.status != status || a.code() != code {
		a.t.Errorf("answered %d %s, want %d %s", a.status, a.body, status, code)
	}
	return a
}

// code is a problem's; "" for every other answer.
func (a answer) code() string {
	if a.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	return a.text("code")
}

// object is the decoded body.
func (a answer) object() map[string]any {
	a.t.Helper()
	var decoded map[string]any
	if err := json.Unmarshal([]byte(a.body), &decoded); err != nil {
		a.t.Fatalf("%v in the answer %d %q", err, a.status, a.body)
	}
	return decoded
}

// at walks the body: at("session", "device", "name").
func (a answer) at(path ...string) any {
	a.t.Helper()
	var here any = a.object()
	for _, name := range path {
		object, _ := here.(map[string]any)
		here = object[name]
	}
	return here
}

func (a answer) text(path ...string) string {
	a.t.Helper()
	s, _ := a.at(path...).(string)
	return s
}

// cookies are those that the answer sets, by name.
func (a answer) cookies() map[string]*http.Cookie {
	found := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		found[c.Name] = c
	}
	return found
}

// account is a key and its address.
type account struct {
	key     *ecdsa.PrivateKey
	address common.Address
}

// newAccount draws a key whose address has letters of both cases, and more than one of each: a few have not, and for
// them some attacks are none.
func newAccount(t testing.TB) account {
	t.Helper()
	for {
		key, err := crypto.GenerateKey()
		must(t, err)
		a := account{key, crypto.PubkeyToAddress(key.PublicKey)}
		if bothCases.MatchString(a.address.Hex()) {
			return a
		}
	}
}

var bothCases = regexp.MustCompile(`[a-f].*[a-f].*[A-F].*[A-F]|[A-F].*[A-F].*[a-f].*[a-f]`)

// signature is r, s and v over a text, as a wallet makes it.
func (a account) signature(text string) []byte {
	digest := wallet.Digest([]byte(text))
	signature, err := crypto.Sign(digest[:], a.key)
	if err != nil {
		panic(err) // only for a digest of another length
	}
	signature[64] += 27
	return signature
}

func (a account) sign(text string) string { return "0x" + hex.EncodeToString(a.signature(text)) }

// nonce draws one for the client's transport.
func (c *client) nonce() string {
	c.w.t.Helper()
	return c.send("GET", "/auth/nonce?transport="+c.transport, nil).wants(200, "").text("nonce")
}

// message is one that would be accepted.
func (c *client) message(a account) *siwe.Message {
	c.w.t.Helper()
	statement := c.w.cfg.Statement
	return &siwe.Message{
		Domain: domain, Address: a.address, Statement: &statement, URI: origin, Version: siwe.Version, ChainID: 1,
		Nonce: c.nonce(), IssuedAt: siwe.NewTime(c.w.clock.now()),
	}
}

// body is a login's, over a text that the account signs.
func (c *client) body(a account, text string) map[string]any {
	return map[string]any{"message": text, "signature": a.sign(text), "transport": c.transport}
}

func (c *client) login(body any, changes ...change) answer {
	c.w.t.Helper()
	return c.send("POST", "/auth/login", body, changes...)
}

// signIn is a whole login, which must succeed. The client holds what it is given.
func (c *client) signIn(a account, changes ...change) answer {
	c.w.t.Helper()
	got := c.login(c.body(a, c.message(a).String()), changes...)
	if got.status != 200 {
		c.w.t.Fatalf("login answered %d %s", got.status, got.body)
	}
	c.take(got)
	return got
}

// take remembers the tokens of an answer, as a script would.
func (c *client) take(got answer) {
	if access := got.text("accessToken"); access != "" {
		c.access, c.refresh = access, got.text("refreshToken")
	}
}

func (c *client) profile(changes ...change) answer {
	c.w.t.Helper()
	return c.send("GET", "/api/profile", nil, append(c.credential(), changes...)...)
}

// ask sends a request with the client's credential.
func (c *client) ask(method, path string, body any, changes ...change) answer {
	c.w.t.Helper()
	return c.send(method, path, body, append(c.credential(), changes...)...)
}

func (c *client) renew(changes ...change) answer {
	c.w.t.Helper()
	if c.transport == "bearer" {
		return c.send("POST", "/auth/refresh", map[string]any{"refreshToken": c.refresh}, changes...)
	}
	return c.send("POST", "/auth/refresh", nil, changes...)
}

func (c *client) logout(body any, changes ...change) answer {
	c.w.t.Helper()
	return c.send("POST", "/auth/logout", body, append(c.credential(), changes...)...)
}

func (c *client) credential() []change {
	if c.access == "" {
		return nil
	}
	return []change{bearer(c.access)}
}

// cookie is the value that a browser holds, by the name without prefix.
func (c *client) cookie(name string) string {
	request, err := http.NewRequest("GET", c.w.server.URL, nil)
	must(c.w.t, err)
	for _, cookie := range c.http.Jar.Cookies(request.URL) {
		if cookie.Name == "__Host-"+name {
			return cookie.Value
		}
	}
	return ""
}

// lines are the log's, decoded, of one kind ("request", "event", …).
func (w *world) lines(msg string) []map[string]any {
	w.t.Helper()
	var found []map[string]any
	for line := range strings.Lines(w.log.text()) {
		var decoded map[string]any
		if err := json.Unmarshal([]byte(line), &decoded); err != nil {
			w.t.Fatalf("the log has a line that is no JSON: %q", line)
		}
		if decoded["msg"] == msg {
			found = append(found, decoded)
		}
	}
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var ctx = context.Background()

var requestID = regexp.MustCompile(`"requestId":"[^"]*"`)

// request is one that reaches a handler without a gateway in between.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func serve(t testing.TB, h http.Handler, r *http.Request) answer {
	t.Helper()
	recorder := httptest.NewRecorder()
	answers.Record(h).ServeHTTP(recorder, r)
	return answer{t, recorder.Code, recorder.Header(), recorder.Body.String()}
}

// serveAs gives the request the gateway's id.
func serveAs(t testing.TB, h http.Handler, r *http.Request, id string) answer {
	t.Helper()
	return serve(t, h, r.WithContext(api.WithRequestInfo(r.Context(), api.RequestInfo{RequestID: id})))
}
