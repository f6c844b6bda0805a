// Package redistest gives tests a Redis of their own: the embedded engine, or a
// redis-server that the test binary starts on a free loopback port and that ends
// with it. Nothing here connects to a server that was running before.
//
// Tests share one redis-server within a test binary and are kept apart by the key
// prefix each of them gets; what stands under that prefix is deleted when the
// test ends. A test that wants arguments, faults or MONITOR takes ServerWith.
//
// On a server there are two users. What the test inspects, it inspects through Client,
// as the server's default user, who may do everything but run scripts. What is under
// test connects as the product does, with Product or the credentials in Redis: as a user
// who may do what template.yaml says, and touch no key outside the prefix.
package redistest

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is one engine as one test sees it.
type Redis struct {
	Name   string // "embedded" or "server", for messages
	Addr   string // host:port on loopback
	Prefix string // random, this test's own; build every key under it

	// Username and Password are those of the product's user; see Access. They are
	// empty for the embedded engine, which has no ACL: there the product may do
	// everything.
	Username, Password string

	// Mini is the embedded engine, for tests that steer its clock or its
	// faults. It is nil for a server.
	Mini *miniredis.Miniredis

	client, product *redis.Client
}

// Each runs test against both engines, as the subtests "embedded" and "server".
func Each(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, Embedded(t)) })
	t.Run("server", func(t *testing.T) { test(t, Server(t)) })
}

// Embedded starts an embedded engine for this test alone. Its TTLs run with the
// clock, as they do on a server.
func Embedded(t testing.TB) Redis {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.ClockTTL(true)
	r := Redis{Name: "embedded", Addr: mini.Addr(), Prefix: newPrefix(), Mini: mini}
	r.connect(t)
	return r
}

// Server gives this test a prefix on the redis-server of the test binary, which
// the first caller starts. Where no server is installed the test is skipped; with
// CI=true it fails instead.
func Server(t testing.TB) Redis {
	t.Helper()
	r := Redis{Name: "server", Addr: shared(t), Prefix: newPrefix()}
	r.open(t)
	return r
}

// Under gives this test another prefix on the same engine, with a user and clients of
// its own: where a test plays two deployments that share a Redis. Unlike that of
// ServerWith, the user is gone after Restart.
func (r Redis) Under(t testing.TB, prefix string) Redis {
	t.Helper()
	r.Prefix = prefix
	r.open(t)
	return r
}

// open makes what a prefix has on an engine that others share.
func (r *Redis) open(t testing.TB) {
	t.Helper()
	if r.Mini != nil {
		r.connect(t)
		return
	}
	r.newUser()
	r.connect(t)
	// Registered after connect, so they run while the client is still open.
	r.addUser(t)
	t.Cleanup(func() { r.deleteOwnKeys(t) })
}

// Client returns this test's client, for looking at what is stored and spoiling it. It
// is closed when the test ends; its own retries are off, so that a test sees every
// failure.
func (r Redis) Client() *redis.Client { return r.client }

// Product returns the product's client: that of what is under test. Otherwise it is as
// Client.
func (r Redis) Product() *redis.Client { return r.product }

// Options returns the options of Client, for a test that needs a client which
// differs in a password, TLS, or a timeout.
func (r Redis) Options() *redis.Options { return options(r.Addr) }

// ProductOptions returns the options of Product, for a test that needs one which
// differs in a dialer, a hook, or a timeout.
func (r Redis) ProductOptions() *redis.Options {
	opts := r.Options()
	opts.Username, opts.Password = r.Username, r.Password
	return opts
}

func (r *Redis) connect(t testing.TB) {
	r.client, r.product = redis.NewClient(r.Options()), redis.NewClient(r.ProductOptions())
	t.Cleanup(func() { _, _ = r.client.Close(), r.product.Close() })
}

// options are those of the product as far as they show on the wire: no retries
// behind the caller's back, no CLIENT SETINFO, no maintenance notifications, and
// one pool: by default go-redis keeps a second one for pipelines, so that the first
// pipeline of a process pays for another connection.
func options(addr string) *redis.Options {
	return &redis.Options{
		Addr:             addr,
		MaxRetries:       -1,
		DialerRetries:    1,
		PipelinePoolSize: -1,
		DisableIdentity:  true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// newPrefix draws a prefix that holds nothing a key pattern would interpret.
func newPrefix() string {
	return "t" + strings.ToLower(rand.Text()[:10])
}

func (r Redis) deleteOwnKeys(t testing.TB) {
	ctx := context.Background()
	keys := r.client.Scan(ctx, 0, r.Prefix+"*", 1000).Iterator()
	for keys.Next(ctx) {
		if err := r.client.Unlink(ctx, keys.Val()).Err(); err != nil {
			t.Errorf("deleting the test's own keys: %v", err)
			return
		}
	}
	if err := keys.Err(); err != nil {
		t.Errorf("listing the test's own keys: %v", err)
	}
}
