package session_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var ctx = context.Background()

// clock is the injected clock: it stands until it is moved.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.ms.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) now() time.Time      { return time.UnixMilli(c.ms.Load()) }
func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }
func (c *clock) set(t time.Time)     { c.ms.Store(t.UnixMilli()) }
func (c *clock) behind(actor time.Duration) *clock {
	d := new(clock)
	d.ms.Store(c.ms.Load() - actor.Milliseconds())
	return d
}

// world is a store and what it stands on.
type world struct {
	*session.Store
	t       testing.TB
	clock   *clock
	ring    *seal.Ring
	rdb     redis.UniversalClient // the test's own
	product redis.UniversalClient // the store's
	redis   redistest.Redis
	opts    session.Options
}

func newWorld(t testing.TB, r redistest.Redis, change ...func(*session.Options)) *world {
	t.Helper()
	if r.Mini != nil {
		// It stands, as the test's clock does: while it runs, each command looks through all keys for what is over.
		r.Mini.SetTime(time.Now())
	}
	rdb, product := r.NewClient(t, patient), r.NewProduct(t, patient)
	opts := session.Options{
		Prefix: r.Prefix, Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
		Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5, StepUp: 5 * time.Minute,
		DevicePolicy: session.PolicyStepUp, NetworkPolicy: session.PolicyLog, ActivityMax: 50, StateQuota: 16 << 10, ActivityKeep: 90 * 24 * time.Hour,
		PreferencesKeep: 365 * 24 * time.Hour,
	}
	for _, c := range change {
		c(&opts)
	}
	w := &world{t: t, clock: newClock(), ring: newRing(t, r.Prefix), rdb: rdb, product: product, redis: r, opts: opts}
	w.Store = session.NewStore(product, w.ring, opts, w.clock.now)
	return w
}

// patient makes them options with which a hundred callers at once on a busy machine wait for their turn.
func patient(opts *redis.UniversalOptions) {
	opts.PoolTimeout, opts.ReadTimeout, opts.DialTimeout = time.Minute, time.Minute, time.Minute
}

func newRing(t testing.TB, scope string) *seal.Ring {
	t.Helper()
	secret := make([]byte, 64)
	rand.Read(secret)
	ring, err := seal.NewRing(scope, secret[:32], seal.EnvironmentKey(secret[:32], secret[32:]))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// newStranger is a ring with keys of its own under the key id of an honest token.
func newStranger(t testing.TB, honest string) *seal.Ring {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(honest[4:])
	must(t, err)
	secret := bytes.Repeat([]byte("stranger"), 8)
	ring, err := seal.NewRing("other", secret, seal.Key{ID: seal.KeyID(raw[1:]), Secret: secret, Encryption: secret[:32]})
	must(t, err)
	return ring
}

// on is the same store over another client or clock.
func (w *world) on(rdb redis.UniversalClient, c *clock) *session.Store {
	return session.NewStore(rdb, w.ring, w.opts, c.now)
}

// overtaken is the same store for one call that something overtakes: by runs after the call's first script, whose answer
// is then lost, so that the call asks again.
func (w *world) overtaken(actor func()) *session.Store { return w.on(w.losingOnce(actor), w.clock) }

var (
	alice = common.HexToAddress("0xA11CE00000000000000000000000000000000001")
	bob   = common.HexToAddress("0xB0B0000000000000000000000000000000000002")
	carol = common.HexToAddress("0xCA01000000000000000000000000000000000003")

	laptop = session.Client{
		IP: netip.MustParseAddr("203.0.113.77"), Transport: session.Cookie,
		Device: session.Device{Name: "Alice's laptop", Browser: "Firefox", OS: "Linux", Class: session.Desktop},
	}
	phone = session.Client{
		IP: netip.MustParseAddr("2001:db8:aa:bb::17"), Transport: session.Cookie,
		Device: session.Device{Name: "Phone", Browser: "Safari", OS: "iOS", Class: session.Mobile},
	}
)

func (w *world) nonce() string {
	w.t.Helper()
	nonce, _, err := w.IssueNonce(ctx, session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin})
	must(w.t, err)
	return nonce
}

// signIn is a whole login of an address, as far as the store is concerned.
func (w *world) signIn(address common.Address, client session.Client) session.Grant {
	w.t.Helper()
	g, err := w.Create(ctx, w.login(address, client))
	must(w.t, err)
	return g
}

func (w *world) login(address common.Address, client session.Client) session.Login {
	return session.Login{Nonce: w.nonce(), Account: token.KeyAccount(address), ChainID: 8453, Client: client}
}

func (w *world) stored(g session.Grant) session.Stored {
	w.t.Helper()
	s, err := w.Stored(ctx, g.Session.ID.User)
	must(w.t, err)
	return s
}

func (w *world) generation(g session.Grant) int {
	w.t.Helper()
	for _, l := range w.stored(g).Live {
		if l.ID == g.Session.ID {
			return int(l.Generation)
		}
	}
	return -1
}

// opens asserts that an access token opens its session.
func (w *world) opens(g session.Grant) session.Access {
	w.t.Helper()
	return w.opensFor(g, holder(g))
}

func (w *world) opensFor(g session.Grant, client session.Client) session.Access {
	w.t.Helper()
	a, err := w.Validate(ctx, g.AccessToken, client)
	must(w.t, err)
	if a.Session.ID != g.Session.ID {
		w.t.Fatalf("opened session %v, want %v", a.Session.ID, g.Session.ID)
	}
	return a
}

// holder is the client that a session was made for, but for a device id.
func holder(g session.Grant) session.Client {
	return session.Client{IP: g.Session.IP, Device: g.Session.Device, Transport: g.Session.Transport}
}

// dead asserts that both tokens of a grant are refused for good: their session is over or unknown. One that has merely
// expired is not dead.
func (w *world) dead(g session.Grant) {
	w.t.Helper()
	_, err := w.Validate(ctx, g.AccessToken, holder(g))
	if !isDeath(err) {
		w.t.Errorf("the access token is answered with %v", err)
	}
	if _, err := w.Refresh(ctx, g.RefreshToken, laptop); !isDeath(err) {
		w.t.Errorf("the refresh token is answered with %v", err)
	}
}

func isDeath(err error) bool {
	var over *session.EndedError
	return errors.Is(err, token.ErrInvalid) || errors.As(err, &over)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// wantsEnded asserts the reason, and returns what was told.
func wantsEnded(t testing.TB, got error, reason session.Reason) *session.EndedError {
	t.Helper()
	var over *session.EndedError
	if !errors.As(got, &over) || over.Reason != reason {
		t.Fatalf("got %v, want session ended: %v", got, reason)
	}
	return over
}

// together runs n calls at once and waits for all.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// dump is everything under the world's prefix: values by key, and whether they expire.
func (w *world) dump() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, key := range w.redis.Keys(w.t, w.opts.Prefix+"*") {
		if value, ok := w.value(key); ok {
			out[key] = fmt.Sprint(value, " expires: ", w.rdb.PTTL(ctx, key).Val() > 0)
		}
	}
	return out
}

// flushScripts makes Redis forget all scripts.
func (w *world) flushScripts() {
	w.t.Helper()
	w.redis.EachPrimary(w.t, func(node *redis.Client) { must(w.t, node.ScriptFlush(ctx).Err()) })
}

// value is what a key holds, of whatever type it is; not ok where it has expired meanwhile, as rate limits soon do.
func (w *world) value(key string) (value any, ok bool) {
	w.t.Helper()
	var err error
	switch kind := w.rdb.Type(ctx, key).Val(); kind {
	case "string":
		value, err = w.rdb.Get(ctx, key).Result()
	case "list":
		value, err = w.rdb.LRange(ctx, key, 0, -1).Result()
	case "hash":
		value, err = w.rdb.HGetAll(ctx, key).Result()
	case "set":
		value, err = w.rdb.SMembers(ctx, key).Result()
	case "zset":
		value, err = w.rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
	case "none":
		return nil, false
	default:
		w.t.Fatalf("%q holds a %s", key, kind)
	}
	if errors.Is(err, redis.Nil) {
		return nil, false
	}
	must(w.t, err)
	return value, true
}

func same(a, b map[string]string) bool { return maps.Equal(a, b) }

func contains(dump map[string]string, needle []byte) bool {
	for key, value := range dump {
		if bytes.Contains([]byte(key), needle) || bytes.Contains([]byte(value), needle) {
			return true
		}
	}
	return false
}
