// Package redistest gives tests a Redis of their own: the embedded engine, a
// redis-server, or a cluster of them, which the test binary starts on free loopback
// ports and which ends with it. Nothing here connects to a server that was running
// before.
//
// Tests share one redis-server and one cluster within a test binary and are kept apart
// by the key prefix each of them gets; what stands under that prefix is deleted when
// the test ends. A test that wants arguments, faults or MONITOR takes ServerWith,
// Replicated or ClusterWith, and a Proxy to put between.
//
// On a server there are two users. What the test inspects, it inspects through Client,
// as the server's default user, who may do everything but run scripts. What is under
// test connects as the product does, with Product or the credentials in Redis: as a user
// who may do what template.yaml says, and touch no key outside the prefix.
package redistest

import (
	"context"
	"crypto/rand"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Redis is one engine as one test sees it.
type Redis struct {
	Name   string   // "embedded", "server" or "cluster", for messages
	Addr   string   // host:port on loopback; of a cluster, one node's
	Nodes  []string // of a cluster, every node's; else nil
	Prefix string   // random, this test's own; build every key under it

	// Username and Password are those of the product's user; see Access. They are
	// empty for the embedded engine, which has no ACL: there the product may do
	// everything.
	Username, Password string

	// Mini is the embedded engine, for tests that steer its clock or its
	// faults. It is nil for a server.
	Mini *miniredis.Miniredis

	client, product redis.UniversalClient
}

// Each runs test against the three engines, as the subtests "embedded", "server" and "cluster".
func Each(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	EachSingle(t, test)
	t.Run("cluster", func(t *testing.T) { test(t, Cluster(t)) })
}

// EachSingle runs test against the two that are one server, for what a cluster has no part in: how often something is
// sent, what it weighs, or what is above the store.
func EachSingle(t *testing.T, test func(t *testing.T, r Redis)) {
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
func (r Redis) Client() redis.UniversalClient { return r.client }

// Product returns the product's client: that of what is under test. Otherwise it is as
// Client.
func (r Redis) Product() redis.UniversalClient { return r.product }

// NewClient makes another client as Client is, with its options changed.
func (r Redis) NewClient(t testing.TB, change ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	return r.dial(t, "", "", change)
}

// NewProduct makes another client as Product is, with its options changed.
func (r Redis) NewProduct(t testing.TB, change ...func(*redis.UniversalOptions)) redis.UniversalClient {
	t.Helper()
	return r.dial(t, r.Username, r.Password, change)
}

func (r Redis) dial(t testing.TB, username, password string, change []func(*redis.UniversalOptions)) redis.UniversalClient {
	opts := universal(r.Addr)
	opts.Username, opts.Password = username, password
	for _, c := range change {
		c(opts)
	}
	var client redis.UniversalClient
	if r.Nodes == nil {
		client = redis.NewClient(opts.Simple())
	} else {
		cluster := opts.Cluster()
		cluster.Addrs = r.Nodes
		// As the product's: a redirect is followed once, and no table of commands is asked for.
		cluster.MaxRedirects, cluster.DisableRoutingPolicies = 1, true
		client = redis.NewClusterClient(cluster)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Options returns the options of Client on a single server, for a test that needs a client which
// differs in a password, TLS, or a timeout.
func (r Redis) Options() *redis.Options { return options(r.Addr) }

// ProductOptions returns the options of Product on a single server, for a test that needs one which
// differs in a dialer, a hook, or a timeout.
func (r Redis) ProductOptions() *redis.Options {
	opts := r.Options()
	opts.Username, opts.Password = r.Username, r.Password
	return opts
}

func (r *Redis) connect(t testing.TB) {
	r.client, r.product = r.NewClient(t), r.NewProduct(t)
}

func options(addr string) *redis.Options { return universal(addr).Simple() }

// universal are the options of the product as far as they show on the wire: no retries
// behind the caller's back, no CLIENT SETINFO, no maintenance notifications, and
// one pool: by default go-redis keeps a second one for pipelines, so that the first
// pipeline of a process pays for another connection.
func universal(addr string) *redis.UniversalOptions {
	return &redis.UniversalOptions{
		Addrs:            []string{addr},
		MaxRetries:       -1,
		DialerRetries:    1,
		PipelinePoolSize: -1,
		DisableIdentity:  true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// EachPrimary calls f with a client of every server that holds keys: one, or each primary of a cluster. It is for what
// is said to a server and not to a key.
func (r Redis) EachPrimary(t testing.TB, f func(node *redis.Client)) {
	t.Helper()
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		f(r.client.(*redis.Client))
		return
	}
	var one sync.Mutex
	must(t, cluster.ForEachMaster(context.Background(), func(_ context.Context, node *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		f(node)
		return nil
	}))
}

// Keys are the keys that match a pattern, wherever they are.
func (r Redis) Keys(t testing.TB, pattern string) []string {
	t.Helper()
	var all []string
	r.EachPrimary(t, func(node *redis.Client) {
		keys, err := node.Keys(context.Background(), pattern).Result()
		must(t, err)
		all = append(all, keys...)
	})
	return all
}

// newPrefix draws a prefix that holds nothing a key pattern would interpret.
func newPrefix() string {
	return "t" + strings.ToLower(rand.Text()[:10])
}

func (r Redis) deleteOwnKeys(t testing.TB) {
	r.EachPrimary(t, func(node *redis.Client) {
		ctx := context.Background()
		keys := node.Scan(ctx, 0, r.Prefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := node.Unlink(ctx, keys.Val()).Err(); err != nil {
				t.Errorf("deleting the test's own keys: %v", err)
				return
			}
		}
		if err := keys.Err(); err != nil {
			t.Errorf("listing the test's own keys: %v", err)
		}
	})
}

// crossings is how many commands a cluster has refused so far, since their keys were of several slots or undeclared.
func (r Redis) crossings(t testing.TB) int {
	t.Helper()
	total := 0
	for _, addr := range r.Nodes {
		node := redis.NewClient(options(addr))
		stats, err := node.Info(context.Background(), "errorstats").Result()
		_ = node.Close()
		must(t, err)
		for _, found := range crossing.FindAllStringSubmatch(stats, -1) {
			n, _ := strconv.Atoi(found[1])
			total += n
		}
	}
	return total
}

// A script that touches an undeclared key of another slot is answered with ERR alone, as much else is; the words are in
// the log and not in the statistics. Of a cluster's tests none provokes any other ERR.
var crossing = regexp.MustCompile(`errorstat_(?:CROSSSLOT|ERR):count=(\d+)`)
