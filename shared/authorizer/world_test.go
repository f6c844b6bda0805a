package authorizer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

const (
	origin   = "https://app.example.com"
	clientIP = "203.0.113.77" // that of the fixtures
	agent    = "curl/8.14.1"
)

var (
	ctx   = context.Background()
	alice = common.HexToAddress("0xA11CE00000000000000000000000000000000001")
	bob   = common.HexToAddress("0xB0B0000000000000000000000000000000000002")
	carol = common.HexToAddress("0xCA401000000000000000000000000000000000C3")
)

// buffer is a log that several goroutines write to.
type buffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.String()
}

// world is an authorizer over a store.
type world struct {
	*authorizer.Authorizer
	t      testing.TB
	store  *session.Store
	clock  atomic.Int64
	log    *buffer
	mu     sync.Mutex
	counts map[api.Metric]float64
}

// settings are what tests change of a world.
type settings struct {
	cfg   api.Config
	opts  session.Options
	rules []authorizer.Rule
}

func newWorld(t testing.TB, r redistest.Redis, change ...func(*settings)) *world {
	t.Helper()
	return newWorldOn(t, r, r.Product(), change...)
}

func newWorldOn(t testing.TB, r redistest.Redis, rdb redis.UniversalClient, change ...func(*settings)) *world {
	t.Helper()
	w := &world{t: t, log: new(buffer), counts: map[api.Metric]float64{}}
	w.clock.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
	s := settings{
		cfg: api.Config{
			Domains: []string{"app.example.com"}, ChainIDs: []uint64{1, 8453}, AllowedOrigins: []string{origin}, AuditLog: true, Metric: w.count,
			Roles: map[string]api.Role{"clerk": {Permissions: []string{"orders:read"}}, "user": {Permissions: []string{"posts:read"}}},
		},
		opts: session.Options{
			Prefix: r.Prefix, Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
			Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5, StepUp: 5 * time.Minute,
			DevicePolicy: session.PolicyStepUp, NetworkPolicy: session.PolicyLog, ActivityMax: 50, ActivityKeep: 90 * 24 * time.Hour,
		},
	}
	for _, c := range change {
		c(&s)
	}
	secret := make([]byte, 64)
	rand.Read(secret)
	ring, err := seal.NewRing(r.Prefix, secret[:32], seal.EnvironmentKey(secret[:32], secret[32:]))
	must(t, err)
	log := slog.New(slog.NewJSONHandler(w.log, nil))
	s.opts.Audit = api.Audit(log, true)
	w.store = session.NewStore(rdb, ring, s.opts, w.now)
	w.Authorizer = authorizer.New(api.New(s.cfg, w.store, log, w.now), s.rules)
	return w
}

func (w *world) now() time.Time       { return time.UnixMilli(w.clock.Load()) }
func (w *world) wait(d time.Duration) { w.clock.Add(d.Milliseconds()) }

func (w *world) count(m api.Metric, value float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[m] += value
}

// counted returns and forgets what was counted.
func (w *world) counted() map[api.Metric]float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	counted := w.counts
	w.counts = map[api.Metric]float64{}
	return counted
}

// signIn is a login as far as the store is concerned, from the device and
// network of the events below.
func (w *world) signIn(address common.Address, transport session.Transport) session.Grant {
	w.t.Helper()
	g, err := w.store.Create(ctx, session.Login{
		Nonce: rand.Text(), Account: token.KeyAccount(address), ChainID: 8453,
		Client: session.Client{IP: netip.MustParseAddr(clientIP), Device: session.Device{Browser: "curl"}, Transport: transport},
	})
	must(w.t, err)
	return g
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shape is a kind of event, by its file in testdata.
type shape string

const (
	http2       shape = "http2"
	http1       shape = "http1"
	restRequest shape = "rest-request"
	restToken   shape = "rest-token"
	webSocket   shape = "websocket"
)

var shapes = []shape{http2, http1, restRequest, restToken, webSocket}

// throws tells of the shapes that say Unauthorized to who presents nothing.
func (s shape) throws() bool { return s != http2 && s != http1 }

// event is one as API Gateway's documentation shows it, changed by a test.
type event struct {
	t     testing.TB
	shape shape
	root  map[string]any
}

// newEvent comes from the device of every login object, with no credential.
func newEvent(t testing.TB, s shape) event {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", string(s)+".json"))
	must(t, err)
	e := event{t: t, shape: s}
	must(t, json.Unmarshal(text, &e.root))
	if s == restToken {
		delete(e.root, "authorizationToken")
		return e
	}
	return e.header("User-Agent", agent)
}

// set replaces what stands at a path of members; nil takes it away.
func (e event) set(value any, path ...string) event {
	object := e.root
	for _, name := range path[:len(path)-1] {
		object = object[name].(map[string]any)
	}
	if last := path[len(path)-1]; value == nil {
		delete(object, last)
	} else {
		object[last] = value
	}
	return e
}

// header sets a header as the gateway tells of it: format 2.0 in lower case
// with the values joined, REST and WebSocket the last value and all of them.
func (e event) header(name string, values ...string) event {
	switch e.shape {
	case http2:
		return e.set(strings.Join(values, ","), "headers", strings.ToLower(name))
	case http1:
		return e.set(strings.Join(values, ","), "headers", name)
	}
	all := []any{}
	for _, value := range values {
		all = append(all, value)
	}
	return e.set(values[len(values)-1], "headers", name).set(all, "multiValueHeaders", name)
}

// source sets the address that connected to the gateway, or takes it away.
func (e event) source(address any) event {
	if e.shape == http2 {
		return e.set(address, "requestContext", "http", "sourceIp")
	}
	return e.set(address, "requestContext", "identity", "sourceIp")
}

// bearer presents a token in the way of non-browser clients.
func (e event) bearer(token string) event { return e.authorization("Bearer " + token) }

func (e event) authorization(value string) event {
	if e.shape == restToken {
		return e.set(value, "authorizationToken")
	}
	return e.header("Authorization", value)
}

// cookie presents cookies.
func (e event) cookie(pairs ...string) event {
	if e.shape != http2 {
		return e.header("Cookie", strings.Join(pairs, "; "))
	}
	list := []any{}
	for _, pair := range pairs {
		list = append(list, pair)
	}
	return e.set(list, "cookies")
}

// method makes it another one.
func (e event) method(method string) event {
	switch e.shape {
	case http2:
		return e.set(method, "requestContext", "http", "method")
	case restToken:
		return e.set(strings.Replace(e.root["methodArn"].(string), "/GET/", "/"+method+"/", 1), "methodArn")
	case webSocket:
		return e
	}
	return e.set(method, "httpMethod")
}

func (e event) payload() []byte {
	e.t.Helper()
	payload, err := json.Marshal(e.root)
	must(e.t, err)
	return payload
}

// decision is what came out, in one form for all shapes.
type decision struct {
	outcome   string // allow, deny, or an error's message
	form      string // simple, policy
	principal string
	resource  string
	context   map[string]string
	text      string
}

// decide invokes the authorizer and holds its answer to the letter of what API
// Gateway takes.
func (w *world) decide(e event) decision {
	e.t.Helper()
	return read(e.t, func() ([]byte, error) { return w.Invoke(ctx, e.payload()) })
}

func read(t testing.TB, invoke func() ([]byte, error)) decision {
	t.Helper()
	text, err := invoke()
	if err != nil {
		if text != nil {
			t.Errorf("an error and %s", text)
		}
		return decision{outcome: err.Error()}
	}
	var answer struct {
		IsAuthorized   *bool             `json:"isAuthorized"`
		Context        map[string]string `json:"context"`
		PrincipalID    string            `json:"principalId"`
		PolicyDocument *struct {
			Version   string
			Statement []struct{ Action, Effect, Resource string }
		} `json:"policyDocument"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	must(t, d.Decode(&answer))
	got := decision{outcome: "deny", form: "simple", principal: answer.PrincipalID, context: answer.Context, text: string(text)}
	if p := answer.PolicyDocument; p != nil {
		got.form = "policy"
		if answer.IsAuthorized != nil || len(p.Statement) != 1 || p.Version != "2012-10-17" || p.Statement[0].Action != "execute-api:Invoke" ||
			answer.PrincipalID == "" || !slices.Contains([]string{"Allow", "Deny"}, p.Statement[0].Effect) {
			t.Fatalf("no policy: %s", text)
		}
		got.resource = p.Statement[0].Resource
		if p.Statement[0].Effect == "Allow" {
			got.outcome = "allow"
		}
	} else if answer.IsAuthorized == nil || answer.PrincipalID != "" {
		t.Fatalf("no simple response: %s", text)
	} else if *answer.IsAuthorized {
		got.outcome = "allow"
	}
	if (got.outcome == "allow") != (got.context != nil) || len(text) > 8<<10 {
		t.Errorf("answered %s", text)
	}
	return got
}

// wants asserts a outcome.
func (w *world) wants(what, outcome string, e event) decision {
	e.t.Helper()
	got := w.decide(e)
	if got.outcome != outcome {
		e.t.Errorf("%s, %s: %s %s, want %s", e.shape, what, got.outcome, got.text, outcome)
	}
	return got
}

// refused asserts a denial, in the shape's own form, and its reason in the log.
func (w *world) refused(what, reason string, e event) {
	e.t.Helper()
	before := len(w.log.text())
	got := w.decide(e)
	want, form := "deny", "policy"
	if e.shape == http2 {
		form = "simple"
	}
	if reason == "no_credentials" && e.shape.throws() {
		want, form = "Unauthorized", ""
	}
	if got.outcome != want || got.form != form {
		e.t.Errorf("%s, %s: %s %s, want %s", e.shape, what, got.outcome, got.text, want)
	}
	line := w.log.text()[before:]
	if !strings.Contains(line, `"type":"authorize","outcome":"failure"`) || !strings.Contains(line, `"reason":"`+reason+`"`) {
		e.t.Errorf("%s, %s: logged %s, want %s", e.shape, what, line, reason)
	}
}

// each runs a test for every shape on both engines.
func each(t *testing.T, test func(t *testing.T, w *world, s shape), change ...func(*settings)) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for _, s := range shapes {
			t.Run(string(s), func(t *testing.T) {
				own := r.Under(t, r.Prefix+string(s[0])+string(s[len(s)-1]))
				test(t, newWorld(t, own, change...), s)
			})
		}
	})
}
