package boot_test

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/token"
)

// TestFunctions drives each function's binary, built as for Lambda, through the
// Runtime API.
func TestFunctions(t *testing.T) {
	binaries := build(t)
	built, err := os.ReadDir(binaries)
	if err != nil || len(built) != len(functionNames)+len(others) {
		t.Errorf("%d functions were built and %d are driven: %v", len(built), len(functionNames)+len(others), err)
	}
	t.Run("answer", func(t *testing.T) { testAnswers(t, binaries) })
	t.Run("redis away", func(t *testing.T) { testRedisAway(t, binaries) })
	t.Run("authorizer", func(t *testing.T) { testAuthorizer(t, binaries) })
	t.Run("thawed", func(t *testing.T) { testThawed(t, binaries) })
	t.Run("storm", func(t *testing.T) { testStorm(t, binaries) })
	t.Run("SIGTERM", func(t *testing.T) { testSIGTERM(t, binaries) })
	t.Run("wrong event", func(t *testing.T) { testWrongEvent(t, binaries) })
	t.Run("publisher", func(t *testing.T) { testPublisher(t, binaries) })
	t.Run("rotation", func(t *testing.T) { testRotation(t, binaries) })
	t.Run("wrong configuration", func(t *testing.T) { testWrongConfiguration(t, binaries) })
	t.Run("unknown variable", func(t *testing.T) { testUnknownVariable(t, binaries) })
	t.Run("saved queries", func(t *testing.T) { testQueries(t, binaries) })
}

var functionNames = append([]string{"authorizer", "check-health", "get-profile", "issue-nonce", "log-in", "log-out", "refresh-session", "sweep-sessions",
	"validate-session"},
	memberFunctions()...)

// others are functions that do not use Redis, and the one that publishes events. Each has a test of its own.
var others = []string{"get-openapi", "publish-events", "rotate-keys", "serve-console", "verify-signature"}

// memberCall is a call of a function that wants a live session.
type memberCall struct {
	name, method, route string
	value, body         string // in place of the route's parameter; JSON
	status              int    // for a user who has just signed in and is no admin
}

// memberCalls are in an order in which each finds what it needs; the last ends
// what the others need.
var memberCalls = []memberCall{
	{"change-preferences", "PATCH", "/api/preferences", "", `{"theme":"dark"}`, http.StatusOK},
	{"get-preferences", "GET", "/api/preferences", "", "", http.StatusOK},
	{"put-state", "PUT", "/api/state/{key}", "form.1", `{"step":2}`, http.StatusNoContent},
	{"get-state", "GET", "/api/state/{key}", "form.1", "", http.StatusOK},
	{"list-state", "GET", "/api/state", "", "", http.StatusOK},
	{"delete-state", "DELETE", "/api/state/{key}", "form.1", "", http.StatusNoContent},
	{"list-sessions", "GET", "/api/sessions", "", "", http.StatusOK},
	{"end-session", "DELETE", "/api/sessions/{id}", "unknown", "", http.StatusNotFound},
	{"end-other-sessions", "DELETE", "/api/sessions", "", "", http.StatusOK},
	{"list-activity", "GET", "/api/activity", "", "", http.StatusOK},
	{"issue-ticket", "POST", "/auth/ticket", "", "", http.StatusOK},
	{"step-up", "POST", "/auth/step-up", "", `{"message":"sign here","signature":"0x00"}`, http.StatusBadRequest},
	{"count-sessions", "GET", "/api/admin/sessions", "", "", http.StatusForbidden},
	{"list-users", "GET", "/api/admin/users", "", "", http.StatusForbidden},
	{"get-user", "GET", "/api/admin/users/{address}", somebody, "", http.StatusForbidden},
	{"set-roles", "PUT", "/api/admin/users/{address}/roles", somebody, `{"roles":["admin"]}`, http.StatusForbidden},
	{"block-user", "POST", "/api/admin/users/{address}/block", somebody, "", http.StatusForbidden},
	{"unblock-user", "POST", "/api/admin/users/{address}/unblock", somebody, "", http.StatusForbidden},
	{"erase-user", "DELETE", "/api/admin/users/{address}", somebody, "", http.StatusForbidden},
	{"end-user-sessions", "DELETE", "/api/admin/users/{address}/sessions", somebody, "", http.StatusForbidden},
	{"revoke-session", "DELETE", "/api/admin/sessions/{id}", "unknown", "", http.StatusForbidden},
	{"list-user-activity", "GET", "/api/admin/activity", "", "", http.StatusForbidden},
	{"erase-profile", "DELETE", "/api/profile", "", "", http.StatusNoContent},
}

// somebody is an address that never signs in.
const somebody = "0x52908400098527886E0F7030069857D2E4169EE7"

func memberFunctions() []string {
	var names []string
	for _, c := range memberCalls {
		names = append(names, c.name)
	}
	return names
}

var routeParameter = regexp.MustCompile(`\{(\w+)\}`)

// member makes such a call; without a token where that is empty.
func (s system) member(t *testing.T, c memberCall, accessToken string) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent(c.method, routeParameter.ReplaceAllLiteralString(c.route, c.value))
	e.RouteKey = c.method + " " + c.route
	if name := routeParameter.FindStringSubmatch(c.route); name != nil {
		e.PathParameters = map[string]string{name[1]: c.value}
	}
	if c.method == "PATCH" {
		e.Headers["if-match"] = "*"
	}
	if c.body != "" {
		e.Body, e.Headers["content-type"] = c.body, "application/json"
	}
	if accessToken != "" {
		e.Headers["authorization"] = "Bearer " + accessToken
	}
	return s[c.name].invoke(t, e)
}

// sweep calls the sweeper as a schedule does. It fails with the error's text.
func (s system) sweep(t *testing.T) (failure string) {
	t.Helper()
	result := s["sweep-sessions"].Invoke(t, []byte(`{"version":"0","source":"aws.scheduler","detail":"{}"}`))
	if result.Failed {
		return string(result.Payload)
	}
	return ""
}

// system is all functions of a deployment on one Redis.
type system map[string]*function

func startSystem(t *testing.T, binaries string, r redistest.Redis) system {
	t.Helper()
	s := system{}
	for _, name := range functionNames {
		s[name] = startFunction(t, filepath.Join(binaries, name), environment(t, r)...)
	}
	return s
}

// environment is the least that a function needs.
func environment(t testing.TB, r redistest.Redis) []string {
	t.Helper()
	redisHost, redisPort, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"SESSION_SECRET=" + secret, "SESSION_ENCRYPTION_KEY=" + key, "SIWE_DOMAINS=" + host,
		"REDIS_HOST=" + redisHost, "REDIS_PORT=" + redisPort, "REDIS_KEY_PREFIX=" + r.Prefix,
		"REDIS_USERNAME=" + r.Username, "REDIS_PASSWORD=" + r.Password,
		"SERVICE_KEYS=orders=" + serviceKeyHash(t),
	}
}

// serviceKey is that of a backend.
var serviceKey = token.NewServiceKey()

func serviceKeyHash(t testing.TB) string {
	t.Helper()
	hash, err := token.ServiceKeyHash(serviceKey)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash[:])
}

// validate asks about an access token with a service key.
func (s system) validate(t *testing.T, key, accessToken string) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent("POST", "/auth/validate")
	e.Body, e.Headers["content-type"] = fmt.Sprintf(`{"token":%q}`, accessToken), "application/json"
	e.Headers["authorization"] = "Bearer " + key
	return s["validate-session"].invoke(t, e)
}

// wantActive asserts what a backend is told of an access token.
func (s system) wantActive(t *testing.T, accessToken string, active bool) {
	t.Helper()
	r := s.validate(t, serviceKey, accessToken)
	wantStatus(t, r, http.StatusOK)
	if !strings.Contains(r.Body, fmt.Sprintf(`"active":%t`, active)) {
		t.Fatalf("answered %s, want active %t", r.Body, active)
	}
}

func (s system) health(t *testing.T) lambdatest.Response {
	t.Helper()
	return s["check-health"].invoke(t, lambdatest.NewEvent("GET", "/health"))
}

func (s system) nonce(t *testing.T, query string) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent("GET", "/auth/nonce")
	e.RawQueryString = "transport=bearer" + query
	return s["issue-nonce"].invoke(t, e)
}

func (s system) profile(t *testing.T, accessToken string) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent("GET", "/api/profile")
	if accessToken != "" {
		e.Headers["authorization"] = "Bearer " + accessToken
	}
	return s["get-profile"].invoke(t, e)
}

func (s system) post(t *testing.T, name, path string, body any) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent("POST", path)
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		e.Body, e.Headers["content-type"] = string(text), "application/json"
	}
	return s[name].invoke(t, e)
}

func (s system) refresh(t *testing.T, refreshToken string) lambdatest.Response {
	t.Helper()
	if refreshToken == "" {
		return s.post(t, "refresh-session", "/auth/refresh", nil)
	}
	return s.post(t, "refresh-session", "/auth/refresh", map[string]string{"refreshToken": refreshToken})
}

func (s system) logout(t *testing.T, accessToken string) lambdatest.Response {
	t.Helper()
	e := lambdatest.NewEvent("POST", "/auth/logout")
	if accessToken != "" {
		e.Headers["authorization"] = "Bearer " + accessToken
	}
	return s["log-out"].invoke(t, e)
}

// tokens are a bearer session's.
type tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

// signed is a message over a fresh nonce with its signature, by a new key.
func (s system) signed(t *testing.T) map[string]string {
	t.Helper()
	return signed(t, func(query string) lambdatest.Response { return s.nonce(t, query) })
}

func signed(t *testing.T, ask func(query string) lambdatest.Response) map[string]string {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return signedBy(t, key, ask)
}

// signedBy is signed by that key.
func signedBy(t testing.TB, key *ecdsa.PrivateKey, ask func(query string) lambdatest.Response) map[string]string {
	t.Helper()
	r := ask("&chainId=1&address=" + crypto.PubkeyToAddress(key.PublicKey).Hex())
	wantStatus(t, r, http.StatusOK)
	var nonce struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(r.Body), &nonce); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"message": nonce.Message, "signature": sign(t, key, nonce.Message), "transport": "bearer"}
}

// sign signs a message as a wallet does (EIP-191).
func sign(t testing.TB, key *ecdsa.PrivateKey, message string) string {
	t.Helper()
	personal := fmt.Sprintf("\x19Ethereum Signed Message:\n%d%s", len(message), message)
	signature, err := crypto.Sign(crypto.Keccak256([]byte(personal)), key)
	if err != nil {
		t.Fatal(err)
	}
	signature[crypto.RecoveryIDOffset] += 27
	return fmt.Sprintf("0x%x", signature)
}

func (s system) login(t *testing.T) tokens {
	t.Helper()
	return tokensOf(t, s.post(t, "log-in", "/auth/login", s.signed(t)))
}

func tokensOf(t testing.TB, r lambdatest.Response) tokens {
	t.Helper()
	wantStatus(t, r, http.StatusOK)
	var got tokens
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil || got.AccessToken == "" || got.RefreshToken == "" {
		t.Fatalf("%v in %s", err, r.Body)
	}
	return got
}

func wantStatus(t testing.TB, r lambdatest.Response, status int) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("answered %d %s, want %d", r.StatusCode, r.Body, status)
	}
}

func wantProblem(t *testing.T, r lambdatest.Response, status int, code string) {
	t.Helper()
	var problem struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal([]byte(r.Body), &problem); err != nil || r.StatusCode != status || problem.Code != code {
		t.Fatalf("answered %d %s, want %d %s", r.StatusCode, r.Body, status, code)
	}
}

// One session, from the nonce to the logout, through processes that share
// nothing but Redis.
func testAnswers(t *testing.T, binaries string) {
	s := startSystem(t, binaries, redistest.Server(t))
	wantStatus(t, s.health(t), http.StatusOK)
	wantStatus(t, s.nonce(t, ""), http.StatusOK)
	wantProblem(t, s.post(t, "log-in", "/auth/login", map[string]string{}), http.StatusBadRequest, "invalid_request")
	wantProblem(t, s.profile(t, ""), http.StatusUnauthorized, "no_credentials")
	wantProblem(t, s.refresh(t, ""), http.StatusUnauthorized, "no_credentials")
	wantProblem(t, s.logout(t, ""), http.StatusUnauthorized, "no_credentials")

	first := s.login(t)
	wantStatus(t, s.profile(t, first.AccessToken), http.StatusOK)
	second := tokensOf(t, s.refresh(t, first.RefreshToken))
	wantStatus(t, s.profile(t, second.AccessToken), http.StatusOK)
	s.wantActive(t, second.AccessToken, true)
	wantProblem(t, s.validate(t, second.AccessToken, second.AccessToken), http.StatusUnauthorized, "invalid_token")
	wantStatus(t, s.logout(t, second.AccessToken), http.StatusNoContent)
	s.wantActive(t, second.AccessToken, false)
	wantProblem(t, s.profile(t, second.AccessToken), http.StatusUnauthorized, "session_ended")
	wantProblem(t, s.refresh(t, second.RefreshToken), http.StatusUnauthorized, "session_ended")

	third := s.login(t)
	for _, c := range memberCalls {
		wantProblem(t, s.member(t, c, ""), http.StatusUnauthorized, "no_credentials")
		if r := s.member(t, c, third.AccessToken); r.StatusCode != c.status {
			t.Errorf("%s answered %d %s, want %d", c.name, r.StatusCode, r.Body, c.status)
		}
	}
	if failure := s.sweep(t); failure != "" {
		t.Errorf("sweeping: %s", failure)
	}
	// The store's events reach the log, which each function has of its own.
	for name, event := range map[string]string{"log-in": "login", "log-out": "session.ended", "change-preferences": "preferences.changed"} {
		if !strings.Contains(s[name].Output.String(), fmt.Sprintf(`"msg":"event","type":%q,"outcome":"success"`, event)) {
			t.Errorf("%s logged no %s", name, event)
		}
	}

	for _, f := range s {
		if _, err := f.Output.Entries(); err != nil {
			t.Errorf("%s logged %v", f.Name, err)
		}
		for _, secret := range []string{first.AccessToken, first.RefreshToken, second.AccessToken, second.RefreshToken, third.AccessToken, serviceKey} {
			if strings.Contains(f.Output.String(), secret) {
				t.Errorf("%s logged a token or a key", f.Name)
			}
		}
	}
}

// With Redis away, be it gone or silent, every function says so in time; once
// it is back every function serves, and none was restarted for that.
func testRedisAway(t *testing.T, binaries string) {
	server := redistest.ServerWith(t)
	s := startSystem(t, binaries, server.Redis)
	before := s.login(t)
	unspent := s.signed(t)
	calls := map[string]func(t *testing.T) lambdatest.Response{
		"check-health":    s.health,
		"issue-nonce":     func(t *testing.T) lambdatest.Response { return s.nonce(t, "") },
		"log-in":          func(t *testing.T) lambdatest.Response { return s.post(t, "log-in", "/auth/login", unspent) },
		"get-profile":     func(t *testing.T) lambdatest.Response { return s.profile(t, before.AccessToken) },
		"refresh-session": func(t *testing.T) lambdatest.Response { return s.refresh(t, before.RefreshToken) },
		"log-out":         func(t *testing.T) lambdatest.Response { return s.logout(t, before.AccessToken) },
		"validate-session": func(t *testing.T) lambdatest.Response {
			return s.validate(t, serviceKey, before.AccessToken)
		},
	}
	for _, c := range memberCalls {
		if c.name == "step-up" {
			c.body = fmt.Sprintf(`{"message":%q,"signature":%q}`, unspent["message"], unspent["signature"])
		}
		calls[c.name] = func(t *testing.T) lambdatest.Response { return s.member(t, c, before.AccessToken) }
	}
	unavailable := func(what string, times int) {
		t.Run(what, func(t *testing.T) {
			var all sync.WaitGroup // not t.Parallel, which runs as many as there are processors: these wait
			defer all.Wait()
			for name, call := range calls {
				all.Go(func() {
					t.Run(name, func(t *testing.T) {
						for range times {
							r := call(t)
							wantStatus(t, r, http.StatusServiceUnavailable)
							if r.Headers["Retry-After"] == "" {
								t.Errorf("no Retry-After in %v", r.Headers)
							}
						}
					})
				})
			}
			if failure := s.sweep(t); !strings.Contains(failure, "sweeping") {
				t.Errorf("a sweep without Redis failed with %q", failure)
			}
		})
	}
	server.Stop()
	unavailable("closed port", 10) // more often than a pool has places
	silent, err := net.Listen("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	unavailable("silent server", 1)
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}

	server.Restart() // empty: the session from before is gone, and must be
	wantStatus(t, s.health(t), http.StatusOK)
	wantProblem(t, s.profile(t, before.AccessToken), http.StatusUnauthorized, "invalid_token")
	after := s.login(t)
	wantStatus(t, s.profile(t, after.AccessToken), http.StatusOK)
	wantStatus(t, s.refresh(t, after.RefreshToken), http.StatusOK)
	wantStatus(t, s.logout(t, after.AccessToken), http.StatusNoContent)
}

// Attack case 64: Lambda freezes a process between events. Its connections may
// be dead when it thaws, since the server is another or somebody in between has
// cut them, and over TLS the client learns that only from the request that it
// sends. The first request is served in its time all the same. Those that died
// without a word are in local/test/faults.
func testThawed(t *testing.T, binaries string) {
	t.Run("plain", func(t *testing.T) {
		server := redistest.ServerWith(t)
		testThaw(t, server, redistest.NewProxy(t, server.Addr), func(env []string) *function {
			return startFunction(t, filepath.Join(binaries, "check-health"), env...)
		})
	})
	t.Run("TLS", func(t *testing.T) {
		if runtime.GOOS == "darwin" {
			t.Skip("macOS has no variable that names the trusted roots")
		}
		trusted := redistest.NewAuthority(t)
		server := trusted.Server(t, "127.0.0.1", time.Now().Add(time.Hour))
		start := func(env []string, a redistest.Authority) *function {
			return startFunction(t, filepath.Join(binaries, "check-health"), append(env, "REDIS_TLS=true", "SSL_CERT_FILE="+a.File(t))...)
		}
		testThaw(t, server, redistest.NewProxy(t, server.Addr), func(env []string) *function { return start(env, trusted) })
		untrusted := start(environment(t, server.Redis), redistest.NewAuthority(t))
		wantStatus(t, untrusted.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusServiceUnavailable)
	})
}

// testThaw freezes a function that reaches its server through a proxy.
func testThaw(t *testing.T, server *redistest.Own, proxy *redistest.Proxy, start func(env []string) *function) {
	t.Helper()
	between := server.Redis
	between.Addr = proxy.Addr
	f := start(environment(t, between))
	for range 3 {
		for _, kill := range []func(){server.Restart, proxy.Cut} {
			wantStatus(t, f.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusOK)
			f.Signal(t, syscall.SIGSTOP)
			kill()
			f.Signal(t, syscall.SIGCONT)
		}
	}
	wantStatus(t, f.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusOK)
}

func testSIGTERM(t *testing.T, binaries string) {
	s := startSystem(t, binaries, redistest.Embedded(t))
	for name, f := range s {
		f.Registered(t)
		if name == "check-health" {
			wantStatus(t, s.health(t), http.StatusOK) // one of them with an open connection
		}
		f.Signal(t, syscall.SIGTERM)
		if status := f.ExitStatus(t); status != 0 {
			t.Errorf("%s ended with %d", name, status)
		}
	}
}

// An event of another kind is an error of this one invocation.
func testWrongEvent(t *testing.T, binaries string) {
	f := startFunction(t, filepath.Join(binaries, "check-health"), environment(t, redistest.Embedded(t))...)
	for _, payload := range []string{`{}`, `[]`, `{"type":"TOKEN","authorizationToken":"lka_secret"}`} {
		if got := f.Invoke(t, []byte(payload)); !got.Failed {
			t.Errorf("%s: failed %v, %s", payload, got.Failed, got.Payload)
		}
	}
	wantStatus(t, f.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusOK)
	if _, err := f.Output.Entries(); err != nil || strings.Contains(f.Output.String(), "lka_secret") {
		t.Errorf("%v, logged %s", err, f.Output)
	}
}

// All that is wrong stands in one entry, and the process ends with 1.
func testWrongConfiguration(t *testing.T, binaries string) {
	tests := map[string]struct {
		env  []string
		want []string
	}{
		"nothing set": {nil, []string{"SESSION_SECRET", "SESSION_ENCRYPTION_KEY", "REDIS_HOST", "SIWE_DOMAINS"}},
		"local":       {[]string{"APP_ENV=local"}, []string{"SESSION_SECRET, SESSION_ENCRYPTION_KEY"}},
		"local with keys": {
			[]string{"APP_ENV=local", "SESSION_SECRET=" + secret, "SESSION_ENCRYPTION_KEY=" + key}, []string{"REDIS_HOST"},
		},
		"weak": {[]string{
			"SESSION_SECRET=" + strings.Repeat("s3cr3t", 8), "SESSION_ENCRYPTION_KEY=" + key, "REDIS_HOST=x", "SIWE_DOMAINS=x",
		}, []string{"SESSION_SECRET"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := startFunction(t, filepath.Join(binaries, "log-in"), tt.env...)
			if status := f.ExitStatus(t); status != 1 {
				t.Errorf("ended with %d", status)
			}
			entries, err := f.Output.Entries()
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d entries, %v: %s", len(entries), err, f.Output)
			}
			var named []string
			problems, _ := entries[0]["problems"].([]any)
			for _, problem := range problems {
				variable, _, _ := strings.Cut(fmt.Sprint(problem), ": ")
				named = append(named, variable)
			}
			if !slices.Equal(named, tt.want) {
				t.Errorf("complains of %q, want %q", named, tt.want)
			}
			if strings.Contains(f.Output.String(), "s3cr3t") {
				t.Errorf("logged a secret: %s", f.Output)
			}
		})
	}
}

// A variable that looks misspelt is one warning in the log, and stops nothing.
func testUnknownVariable(t *testing.T, binaries string) {
	env := append(environment(t, redistest.Embedded(t)), "SIWE_DOMAIN=x", "REDIS_URL=redis://u:s3cr3t@x")
	f := startFunction(t, filepath.Join(binaries, "check-health"), env...)
	wantStatus(t, f.invoke(t, lambdatest.NewEvent("GET", "/health")), http.StatusOK)
	entries, err := f.Output.Entries()
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v: %s", err, f.Output)
	}
	want := []any{
		"REDIS_URL is not a variable and has no effect: docs/configuration.md lists all",
		"SIWE_DOMAIN is not a variable: did you mean SIWE_DOMAINS?",
	}
	if e := entries[0]; e["msg"] != "unknown variables" || e["level"] != "WARN" || !reflect.DeepEqual(e["problems"], want) {
		t.Errorf("logged %v", e)
	}
	if log := f.Output.String(); strings.Count(log, "unknown variables") != 1 || strings.Contains(log, "s3cr3t") {
		t.Errorf("logged %s", log)
	}
}
