// Package redistest gives tests a Redis of their own: the embedded engine, or a
// redis-server that the test binary starts on a free loopback port and that ends
// with it. Nothing here connects to a server that was running before.
//
// Tests share one redis-server within a test binary and are kept apart by the key
// prefix each of them gets; what stands under that prefix is deleted when the
// test ends. A test that wants arguments, faults or MONITOR takes ServerWith.
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

	// Mini is the embedded engine, for tests that steer its clock or its
	// faults. It is nil for a server.
	Mini *miniredis.Miniredis

	client *redis.Client
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
	r.connect(t)
	// Registered after connect, so it runs while the client is still open.
	t.Cleanup(func() { r.deleteOwnKeys(t) })
	return r
}

// Client returns this test's client. It is closed when the test ends; its own
// retries are off, so that a test sees every failure.
func (r Redis) Client() *redis.Client { return r.client }

// Options returns the options of Client, for a test that needs a client which
// differs in a password, TLS, or a timeout.
func (r Redis) Options() *redis.Options { return options(r.Addr) }

func (r *Redis) connect(t testing.TB) {
	r.client = redis.NewClient(r.Options())
	t.Cleanup(func() { _ = r.client.Close() })
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
