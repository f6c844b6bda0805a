package faults_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var ctx = context.Background()

// TestMain quiets the client, which tells of every dial that fails. Here that is no news.
func TestMain(m *testing.M) {
	boot.LogLibraries(slog.New(slog.DiscardHandler))
	m.Run()
}

var (
	laptop = session.Client{
		IP: netip.MustParseAddr("203.0.113.77"), Transport: session.Cookie,
		Device: session.Device{Name: "Laptop", Browser: "Firefox", OS: "Linux", Class: session.Desktop},
	}
	phone = session.Client{
		IP: netip.MustParseAddr("203.0.113.78"), Transport: session.Cookie,
		Device: session.Device{Name: "Phone", Browser: "Safari", OS: "iOS", Class: session.Mobile},
	}
	operator = session.Actor{Device: "Operator's desk"}
)

// clock is the injected clock: it stands until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// journal is the log: the events that the store tells of, in order.
type journal struct {
	mu  sync.Mutex
	all []session.Event
}

func (j *journal) write(_ context.Context, e session.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, e)
}

// of are the kinds of events of an account, from number first on.
func (j *journal) of(u token.UserID, first int) (kinds []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.all[first:] {
		if e.User == u {
			kinds = append(kinds, e.Type.String())
		}
	}
	slices.Sort(kinds)
	return kinds
}

func (j *journal) size() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.all)
}

// world is the product as a function has it, its clock apart, and what a test looks at it with.
type world struct {
	*session.Store
	journal
	t       *testing.T
	redis   redistest.Redis
	rdb     redis.UniversalClient // the test's own
	client  redis.UniversalClient // the product's
	proxies redistest.Proxies     // what stands between; none where it is empty
	unheard *unheard              // what the product never learned
	ring    *seal.Ring
	opts    session.Options
	clock   *clock
	accept  func(token.UserID) bool // which accounts stranger picks; nil for any
	box     *receiver               // of the events that publishers remove from the outboxes; nil if none runs
}

// newWorld makes one on a Redis.
func newWorld(t *testing.T, r redistest.Redis, proxies redistest.Proxies, change ...func(*session.Options)) *world {
	t.Helper()
	host, port, err := net.SplitHostPort(r.Addr)
	must(t, err)
	env := map[string]string{
		"SESSION_SECRET": "9vX2mQ7pLs4KtB8wZ1nRd6YfHc3GjE5uTa0o", "SESSION_ENCRYPTION_KEY": "qW8eR2tY5uI1oP4aS7dF0gH3jK6lZ9xC",
		"SIWE_DOMAINS": "app.example.com", "REDIS_HOST": host, "REDIS_PORT": port, "REDIS_KEY_PREFIX": r.Prefix,
		"REDIS_CLUSTER": fmt.Sprint(r.Nodes != nil), "REDIS_USERNAME": r.Username, "REDIS_PASSWORD": r.Password,
	}
	cfg, err := config.Load(func(name string) string { return env[name] })
	must(t, err)
	client, err := redisconn.New(ctx, cfg.Redis, awsenv.New(slog.Default()))
	must(t, err)
	w := &world{
		t: t, redis: r, rdb: r.Client(), proxies: proxies, client: client, unheard: listen(client), opts: cfg.Session, clock: newClock(),
	}
	t.Cleanup(func() { _ = w.client.Close() })
	if len(proxies) > 0 {
		proxies.Between(w.client)
	}
	// So many that no test meets a limit by accident, and every script has their keys.
	w.opts.NonceRate, w.opts.LoginRate, w.opts.RefreshRate = 10000, 10000, 10000
	w.opts.Audit = w.write
	w.opts.Outbox.Types = allEventTypes()
	for _, c := range change {
		c(&w.opts)
	}
	secret, key := []byte(cfg.SessionSecret), []byte(cfg.EncryptionKey)
	w.ring, err = seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, key))
	must(t, err)
	w.Store = w.at(w.clock)
	return w
}

// at is the same store with another clock, as another function has.
func (w *world) at(c *clock) *session.Store { return session.NewStore(w.client, w.ring, w.opts, c.now) }

// between is a world behind proxies, one before each node.
func between(t *testing.T, r redistest.Redis) *world {
	t.Helper()
	addrs := r.Nodes
	if addrs == nil {
		addrs = []string{r.Addr}
	}
	return newWorld(t, r, redistest.NewProxies(t, addrs...))
}

// strangers counts addresses, so that none is anybody's twice.
var strangers atomic.Int64

// stranger is somebody who never signed in, of those that the world accepts.
func (w *world) stranger() common.Address {
	for {
		who := common.HexToAddress(fmt.Sprintf("0x%040x", strangers.Add(1)))
		if w.accept == nil || w.accept(w.UserOf(token.KeyAccount(who))) {
			return who
		}
	}
}

var terms = session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin, From: laptop.IP}

// verified is a login up to its signature: its nonce is spent.
func (w *world) verified(who common.Address) session.Login {
	w.t.Helper()
	nonce, _, err := w.IssueNonce(ctx, terms)
	must(w.t, err)
	must(w.t, w.SpendNonce(ctx, nonce, terms))
	return session.Login{Nonce: nonce, Account: token.KeyAccount(who), ChainID: 1, Client: laptop}
}

func (w *world) signIn(who common.Address) session.Grant {
	w.t.Helper()
	g, err := w.Create(ctx, w.verified(who))
	must(w.t, err)
	return g
}

// opens asserts that a session is open.
func (w *world) opens(g session.Grant) session.Access {
	w.t.Helper()
	a, err := w.Validate(ctx, g.AccessToken, laptop)
	must(w.t, err)
	if a.Session.ID != g.Session.ID {
		w.t.Fatalf("opened session %v, want %v", a.Session.ID, g.Session.ID)
	}
	return a
}

// dead asserts that neither token of a grant opens anything.
func (w *world) dead(g session.Grant) {
	w.t.Helper()
	_, err := w.Validate(ctx, g.AccessToken, laptop)
	_, again := w.Refresh(ctx, g.RefreshToken, laptop)
	if !isDeath(err) || !isDeath(again) {
		w.t.Errorf("the access token is answered with %v, the refresh token with %v", err, again)
	}
}

func isDeath(err error) bool {
	var over *session.EndedError
	return errors.Is(err, token.ErrInvalid) || errors.As(err, &over)
}

// ended asserts that an error says that a session is over for that reason.
func ended(t *testing.T, err error, reason session.Reason) {
	t.Helper()
	var over *session.EndedError
	if !errors.As(err, &over) || over.Reason != reason {
		t.Errorf("got %v, want session ended: %v", err, reason)
	}
}

// unavailable asserts that an error says so, and that the caller was told within the time that a function has: eight of
// its ten seconds.
func unavailable(t *testing.T, what string, call func(ctx context.Context) error) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	if err := call(limited); !errors.Is(err, session.ErrUnavailable) || limited.Err() != nil {
		t.Errorf("%s: %v, and of its time: %v", what, err, limited.Err())
	}
}

// eventually returns when call succeeds; meanwhile it may answer nothing but that it is unavailable. It waits for half of
// the minute after which a client looks for a cluster's nodes anyway, whatever it met.
func eventually(t *testing.T, call func() error) {
	t.Helper()
	var err error
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		if err = call(); !errors.Is(err, session.ErrUnavailable) {
			break
		}
	}
	must(t, err)
}

// dump is everything under the world's prefix, or behind some of it: values by key, as Redis serialises them, and whether
// they expire. What a rate limit counts is not in it.
func (w *world) dump(behind string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":"+behind+"*") {
		if _, name, _ := strings.Cut(key, "}:"); strings.HasPrefix(name, "l") {
			continue
		}
		value, err := w.rdb.Dump(ctx, key).Result()
		if _, name, _ := strings.Cut(key, "}:"); name == "m" { // in a hash of long values the order is any
			value = fmt.Sprint(w.rdb.HGetAll(ctx, key).Val())
		}
		if errors.Is(err, redis.Nil) {
			continue
		}
		must(w.t, err)
		out[key] = fmt.Sprint(value, " expires: ", w.rdb.PTTL(ctx, key).Val() > 0)
	}
	return out
}

// clear deletes everything under the world's prefix, so that what follows is looked over sooner.
func (w *world) clear() {
	w.t.Helper()
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":*") {
		must(w.t, w.rdb.Unlink(ctx, key).Err())
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
