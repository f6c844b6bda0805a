// Package redistest gives each test its own Redis: the embedded engine, a
// redis-server or a valkey-server, or a cluster of these. The test binary starts
// servers on free loopback ports, and they end with it. The package never
// connects to a server that it did not start.
//
// Tests of a binary share one server and one cluster of each [Engine]. Each test
// gets its own key prefix, and the keys under it are deleted when the test ends.
// A test that needs arguments, faults or MONITOR uses [Engine.ServerWith],
// [Engine.Replicated] or [Engine.ClusterWith], and a [Proxy].
//
// The functions of the same names, such as [Server], are for tests to which the
// engine does not matter. They use the first one that is installed.
//
// A server has two users. The test inspects data through [Redis.Client], as the
// server's default user, which may do everything except run scripts. The code
// under test connects as the product does, with [Redis.Product] or the
// credentials in [Redis]. That user may do what template.yaml says, and may not
// access keys outside the prefix.
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

// Redis is an engine, as one test sees it.
type Redis struct {
	Name   string   // "embedded", "redis", "valkey-cluster" and so on, for messages
	Engine Engine   // empty for the embedded engine
	Addr   string   // host:port on loopback; in a cluster, that of one node
	Nodes  []string // the addresses of all nodes of a cluster; otherwise nil
	Prefix string   // random, used by this test only; every key must begin with it

	// Username and Password are the credentials of the product's user; see
	// [Redis.Access]. They are empty for the embedded engine. It has no ACL, so
	// the product may do everything there.
	Username, Password string

	// Mini is the embedded engine, for tests that set its clock or make it
	// fail. It is nil for a server.
	Mini *miniredis.Miniredis

	client, product redis.UniversalClient
}

// Each runs test against the embedded engine and [EachServer].
func Each(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, Embedded(t)) })
	EachServer(t, test)
}

// EachServer runs test against both engines, single and as a cluster: the
// subtests "redis", "valkey", "redis-cluster" and "valkey-cluster".
func EachServer(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	eachSingleServer(t, test)
	for _, e := range engines {
		t.Run(e.cluster(), func(t *testing.T) { test(t, e.Cluster(t)) })
	}
}

// EachSingle runs test against the engines that are a single server: the
// subtests "embedded", "redis" and "valkey". It is for what does not depend on a
// cluster: how often something is sent, its size, or what is above the store.
func EachSingle(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { test(t, Embedded(t)) })
	eachSingleServer(t, test)
}

func eachSingleServer(t *testing.T, test func(t *testing.T, r Redis)) {
	t.Helper()
	EachEngine(t, func(t *testing.T, e Engine) { test(t, e.Server(t)) })
}

// Embedded starts an embedded engine for this test alone. Its TTLs follow the
// clock, as on a server.
func Embedded(t testing.TB) Redis {
	t.Helper()
	mini := miniredis.RunT(t)
	mini.ClockTTL(true)
	r := Redis{Name: "embedded", Addr: mini.Addr(), Prefix: newPrefix(), Mini: mini}
	r.connect(t)
	return r
}

// Server is [Engine.Server] of any engine.
func Server(t testing.TB) Redis {
	t.Helper()
	return installed(t).Server(t)
}

// Server gives this test a prefix on the server of the test binary, which the
// first caller starts. If the engine is not installed, the test is skipped; with
// CI=true it fails instead.
func (e Engine) Server(t testing.TB) Redis {
	t.Helper()
	e.find(t)
	proc, err := shared[e].single()
	must(t, err)
	r := Redis{Name: string(e), Engine: e, Addr: address(proc.port), Prefix: newPrefix()}
	r.open(t)
	return r
}

// Under gives this test another prefix on the same engine, with its own user
// and clients. It is for tests of two deployments that share a Redis. Unlike
// the user of [Engine.ServerWith], this one is gone after Restart.
func (r Redis) Under(t testing.TB, prefix string) Redis {
	t.Helper()
	r.Prefix = prefix
	r.open(t)
	return r
}

// open creates the user and the clients of a prefix on a shared engine.
func (r *Redis) open(t testing.TB) {
	t.Helper()
	if r.Mini != nil {
		r.connect(t)
		return
	}
	r.newUser()
	r.connect(t)
	// Cleanups run in reverse order. These were added after those of connect,
	// so they run while the client is still open.
	r.addUser(t)
	t.Cleanup(func() { r.deleteOwnKeys(t) })
}

// Client returns this test's client, for inspecting and damaging stored data.
// It is closed when the test ends. It does not retry, so that a test sees every
// failure.
func (r Redis) Client() redis.UniversalClient { return r.client }

// Product returns the client for the code under test, which has the credentials
// of the product's user. Otherwise it is like [Redis.Client].
func (r Redis) Product() redis.UniversalClient { return r.product }

// NewClient makes another client like [Redis.Client], with its options changed.
func (r Redis) NewClient(
	t testing.TB, change ...func(*redis.UniversalOptions),
) redis.UniversalClient {
	t.Helper()
	return r.dial(t, "", "", change)
}

// NewProduct makes another client like [Redis.Product], with its options
// changed.
func (r Redis) NewProduct(
	t testing.TB, change ...func(*redis.UniversalOptions),
) redis.UniversalClient {
	t.Helper()
	return r.dial(t, r.Username, r.Password, change)
}

func (r Redis) dial(
	t testing.TB, username, password string, change []func(*redis.UniversalOptions),
) redis.UniversalClient {
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
		// As in the product's client: it follows a redirect once, and does not
		// ask for the table of commands.
		cluster.MaxRedirects, cluster.DisableRoutingPolicies = 1, true
		client = redis.NewClusterClient(cluster)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Options returns the options of [Redis.Client] for a single server, for a test
// that needs a client with another password, TLS or another timeout.
func (r Redis) Options() *redis.Options { return options(r.Addr) }

// ProductOptions returns the options of [Redis.Product] for a single server,
// for a test that needs a client with another dialer, hook or timeout.
func (r Redis) ProductOptions() *redis.Options {
	opts := r.Options()
	opts.Username, opts.Password = r.Username, r.Password
	return opts
}

func (r *Redis) connect(t testing.TB) {
	r.client, r.product = r.NewClient(t), r.NewProduct(t)
}

func options(addr string) *redis.Options { return universal(addr).Simple() }

// universal returns the product's options as far as they affect what is sent:
// no retries of which the caller does not know, no CLIENT SETINFO, no
// maintenance notifications, and one pool. By default go-redis has a second
// pool for pipelines, so the first pipeline of a process needs another
// connection.
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

// EachPrimary calls f with a client of every server that holds keys: the single
// one, or each primary of a cluster. It is for commands that have no key.
func (r Redis) EachPrimary(t testing.TB, f func(node *redis.Client)) {
	t.Helper()
	cluster, ok := r.client.(*redis.ClusterClient)
	if !ok {
		f(r.client.(*redis.Client))
		return
	}
	var one sync.Mutex
	call := func(_ context.Context, node *redis.Client) error {
		one.Lock()
		defer one.Unlock()
		f(node)
		return nil
	}
	must(t, cluster.ForEachMaster(context.Background(), call))
}

// Keys returns the keys that match a pattern, on all servers.
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

// newPrefix generates a prefix without characters that are special in key
// patterns.
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

// crossings returns how many commands a cluster has refused so far because
// their keys were in several slots or undeclared.
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

// The error of a script that uses an undeclared key of another slot counts as
// ERR, as many others do. Its text is in the log and not in the statistics. No
// test of a cluster causes any other ERR.
var crossing = regexp.MustCompile(`errorstat_(?:CROSSSLOT|ERR):count=(\d+)`)
