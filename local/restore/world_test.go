package main // run is not exported: a command has no other package

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/answers"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

// TestMain lets the test binary be the command, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("BE_RESTORE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// signer is an account with its key.
type signer struct {
	key     *ecdsa.PrivateKey
	account token.Account
}

func newSigner(t *testing.T) signer {
	t.Helper()
	key, err := crypto.GenerateKey()
	must(t, err)
	return signer{key, token.KeyAccount(crypto.PubkeyToAddress(key.PublicKey))}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// interceptor sees a request before the API does.
type interceptor func(w http.ResponseWriter, r *http.Request, n int64) bool

// world is an API on a Redis. The clock stands until a test moves it.
type world struct {
	t      *testing.T
	redis  redistest.Redis
	admin  signer // of the configuration
	cfg    api.Config
	clock  atomic.Int64 // milliseconds
	secret []byte
	store  *session.Store
	server *httptest.Server
	// intercept sees a request first, if it is set, with its number since then.
	// It reports whether it answered. A request that nobody waits for may be under
	// way when a test changes it.
	intercept atomic.Pointer[interceptor]
	handler   atomic.Pointer[http.Handler]
	requests  atomic.Int64
}

func newWorld(t *testing.T, r redistest.Redis, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, redis: r, admin: newSigner(t)}
	w.cfg = api.Config{
		Domains: []string{"app.example.com"}, ChainIDs: []uint64{1}, Statement: "Sign in.",
		Admins: []token.Account{w.admin.account},
		Roles: map[string]api.Role{
			"editor": {Permissions: []string{"posts:write"}},
			"helper": {Permissions: []string{"users:read", "users:write"}},
		},
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.clock.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
	if r.Mini != nil {
		r.Mini.SetTime(time.Now())
	}
	w.newKey()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		n, intercept := w.requests.Add(1), w.intercept.Load()
		if intercept == nil || !(*intercept)(rw, q, n) {
			(*w.handler.Load()).ServeHTTP(rw, q)
		}
	}))
	t.Cleanup(w.server.Close)
	return w
}

// newKey serves the API with new keys: every user id is another then.
func (w *world) newKey() {
	w.secret = make([]byte, 64)
	rand.Read(w.secret)
	w.build()
}

// build serves the API as it is configured now.
func (w *world) build() {
	ring, err := seal.NewRing(w.redis.Prefix, w.secret[:32], seal.EnvironmentKey(w.secret[:32], w.secret[32:]))
	must(w.t, err)
	opts := session.Options{
		Prefix: w.redis.Prefix, Idle: 30 * time.Minute, Absolute: 12 * time.Hour,
		Access: 15 * time.Minute, Grace: 45 * time.Second, Touch: 30 * time.Second,
		SessionLimit: 5, StepUp: 5 * time.Minute, DevicePolicy: session.PolicyStepUp,
		ActivityMax: 50, ActivityKeep: 90 * 24 * time.Hour,
		PreferencesKeep: 365 * 24 * time.Hour, StateQuota: 16384,
	}
	now := func() time.Time { return time.UnixMilli(w.clock.Load()) }
	w.store = session.NewStore(w.redis.Product(), ring, opts, now)
	handler := w.routes(api.New(w.cfg, w.store, slog.New(slog.DiscardHandler), now))
	w.handler.Store(&handler)
}

func (w *world) routes(a *api.API) http.Handler {
	mux := http.NewServeMux()
	for route, handler := range map[string]http.Handler{
		"GET /auth/nonce":                       a.Nonce(),
		"POST /auth/login":                      a.Login(),
		"GET /api/profile":                      a.Profile(),
		"GET /api/admin/users":                  a.Users(),
		"PUT /api/admin/users/{address}/roles":  a.SetRoles(),
		"POST /api/admin/users/{address}/block": a.BlockUser(),
	} {
		mux.HandleFunc(route, func(rw http.ResponseWriter, r *http.Request) {
			info := api.RequestInfo{SourceIP: netip.MustParseAddr("203.0.113.7"), RequestID: "gw1=", Route: route}
			handler.ServeHTTP(rw, r.WithContext(api.WithRequestInfo(r.Context(), info)))
		})
	}
	return answers.Record(mux)
}

// token signs in as curl does, and returns the access token.
func (w *world) token(s signer) string {
	w.t.Helper()
	offer := w.ask("", "GET", "/auth/nonce?transport=bearer&chainId=1&address="+s.account.String(), nil)
	message, _ := offer["message"].(string)
	digest := wallet.Digest([]byte(message))
	signature, err := crypto.Sign(digest[:], s.key)
	must(w.t, err)
	signature[64] += 27
	login := w.ask("", "POST", "/auth/login", map[string]string{
		"message": message, "signature": "0x" + hex.EncodeToString(signature), "transport": "bearer",
	})
	access, _ := login["accessToken"].(string)
	if access == "" {
		w.t.Fatalf("the login answered %v", login)
	}
	return access
}

// ask sends a request as curl does. It fails the test unless it succeeds.
func (w *world) ask(access, method, path string, body any) map[string]any {
	w.t.Helper()
	text, err := json.Marshal(body)
	must(w.t, err)
	if body == nil {
		text = nil
	}
	r, err := http.NewRequest(method, w.server.URL+path, bytes.NewReader(text))
	must(w.t, err)
	r.Header.Set("User-Agent", "curl/8.14.1")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	response, err := http.DefaultClient.Do(r)
	must(w.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(w.t, err)
	if response.StatusCode >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, answer)
	}
	decoded := map[string]any{}
	if len(answer) > 0 {
		must(w.t, json.Unmarshal(answer, &decoded))
	}
	return decoded
}

// during runs do while intercept sees the requests.
func (w *world) during(intercept interceptor, do func()) {
	w.requests.Store(0)
	if intercept != nil {
		w.intercept.Store(&intercept)
	}
	do()
	w.intercept.Store(nil)
}

// drop cuts the connection of a request: its answer is lost.
func drop(w http.ResponseWriter) bool {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
	return true
}

// refuse answers as the API would.
func refuse(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "detail": "of the test"})
	return true
}

// give sets roles of an account, which a reference names.
func (w *world) give(access, reference string, roles ...string) {
	w.t.Helper()
	w.ask(access, "PUT", "/api/admin/users/"+reference+"/roles", map[string]any{"roles": append([]string{}, roles...)})
}

// block blocks an account. Without a note there is no body.
func (w *world) block(access, reference, note string) {
	w.t.Helper()
	var body any
	if note != "" {
		body = map[string]string{"note": note}
	}
	w.ask(access, "POST", "/api/admin/users/"+reference+"/block", body)
}

// list returns what a restore brings back, by user id: name, roles, stored
// roles, block and note.
func (w *world) list(access string) map[string][]any {
	w.t.Helper()
	all := map[string][]any{}
	for cursor := ""; ; {
		page := w.ask(access, "GET", "/api/admin/users?limit=2"+cursor, nil)
		for _, u := range page["users"].([]any) {
			entry := u.(map[string]any)
			user := entry["user"].(map[string]any)
			all[user["id"].(string)] = []any{
				user["account"], user["roles"], entry["storedRoles"], entry["blocked"], entry["note"],
			}
		}
		next, more := page["next"].(string)
		if !more {
			return all
		}
		cursor = "&cursor=" + next
	}
}

// deleteAll deletes everything of this deployment in Redis.
func (w *world) deleteAll() {
	w.t.Helper()
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":*") {
		must(w.t, w.redis.Client().Del(w.t.Context(), key).Err())
	}
	if left := w.redis.Keys(w.t, w.redis.Prefix+":*"); len(left) > 0 {
		w.t.Fatalf("%d keys are left", len(left))
	}
}

// result is what a run of the command wrote, and how it ended.
type result struct {
	t         *testing.T
	out, errs string
	err       error
	waited    []time.Duration
}

// run runs the command with a token. It does not wait.
func (w *world) run(access string, args ...string) result {
	w.t.Helper()
	return runWith(w.t, access, append([]string{"-url", w.server.URL}, args...)...)
}

func runWith(t *testing.T, in string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	got := result{t: t}
	wait := func(ctx context.Context, d time.Duration) error {
		got.waited = append(got.waited, d)
		return ctx.Err()
	}
	got.err = run(t.Context(), args, strings.NewReader(in), &out, &errs, wait)
	got.out, got.errs = out.String(), errs.String()
	return got
}

// all is everything that the run wrote.
func (r result) all() string {
	text := r.out + r.errs
	if r.err != nil {
		text += r.err.Error()
	}
	return text
}

// succeeds fails the test if the run did not succeed, or did not write all
// these.
func (r result) succeeds(says ...string) result {
	r.t.Helper()
	if r.err != nil {
		r.t.Errorf("the run ended with %v\n%s", r.err, r.out)
	}
	return r.says(says...)
}

// fails fails the test if the run succeeded, or did not write all these.
func (r result) fails(says ...string) result {
	r.t.Helper()
	if r.err == nil {
		r.t.Errorf("the run succeeded:\n%s", r.out)
	}
	return r.says(says...)
}

func (r result) says(all ...string) result {
	r.t.Helper()
	for _, text := range all {
		if !strings.Contains(r.all(), text) {
			r.t.Errorf("%q is missing in:\n%s", text, r.all())
		}
	}
	return r
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}

// populated is a world with accounts of all kinds, and an export of it.
func populated(t *testing.T, r redistest.Redis) (w *world, file string, before map[string][]any) {
	t.Helper()
	w = newWorld(t, r)
	access := w.token(w.admin)
	unnamed := func() string { return w.store.UserOf(newSigner(t).account).String() }
	contract := token.Account{Address: newSigner(t).account.Address, Chain: 1}
	blocked, onlyID := newSigner(t).account.String(), unnamed()
	w.give(access, newSigner(t).account.String(), "editor", "helper")
	w.give(access, newSigner(t).account.String(), "admin")
	w.give(access, contract.String(), "editor")
	w.give(access, onlyID, "editor")
	w.give(access, w.admin.account.String(), "editor")
	w.give(access, blocked, "helper")
	w.block(access, blocked, "Sends spam \u2764 “4711”")
	w.block(access, contract.String(), "")
	w.block(access, onlyID, "known by its id")
	w.block(access, unnamed(), "")
	file = filepath.Join(t.TempDir(), "export.ndjson")
	w.run(access, "-export", file).succeeds("Exported 7 accounts into " + file)
	return w, file, w.list(access)
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// cancelling is a wait during which somebody interrupts the run.
func cancelling(cancel context.CancelFunc) func(context.Context, time.Duration) error {
	return func(ctx context.Context, _ time.Duration) error {
		cancel()
		return sleep(ctx, time.Hour)
	}
}
