package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/config"
)

func cluster(t *testing.T, r config.Redis) *redis.ClusterClient {
	t.Helper()
	r.Cluster, r.PoolSize = true, 4
	c, ok := newClient(t, r).(*redis.ClusterClient)
	if !ok {
		t.Fatal("no cluster client")
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCluster_options(t *testing.T) {
	o := cluster(t, config.Redis{Addr: "127.0.0.1:1"}).Options()
	if o.MaxRetries != -1 || o.MaxRedirects != 1 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled || !o.DisableIdentity ||
		o.ReadOnly || o.RouteByLatency || o.RouteRandomly || o.PipelinePoolSize >= 0 || o.ConnMaxLifetime >= 12*time.Hour {
		t.Errorf("%+v", o)
	}
}

// node is a fake node of a cluster whose slots all belong to owner.
func node(t *testing.T, owner *atomic.Pointer[string], answer func(self, command string) string) *redistest.Fake {
	t.Helper()
	var f *redistest.Fake
	f = redistest.NewFake(t, func(command string) string {
		switch {
		case strings.HasPrefix(command, "hello"):
			return redistest.HelloReply
		case command == "cluster slots":
			host, port, _ := net.SplitHostPort(*owner.Load())
			return fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$2\r\nid\r\n", len(host), host, port)
		}
		return answer(f.Addr, command)
	})
	return f
}

func commandsOf(commands []string) []string {
	return slices.DeleteFunc(commands, func(c string) bool { return strings.HasPrefix(c, "hello") || c == "cluster slots" })
}

// A reply that is lost is not asked for again behind the caller's back, and
// connecting asks for nothing but the slots.
func TestCluster_repeatsNothing(t *testing.T) {
	var owner atomic.Pointer[string]
	f := node(t, &owner, func(_, command string) string {
		if strings.HasPrefix(command, "incr") {
			return ""
		}
		return "+OK\r\n"
	})
	owner.Store(&f.Addr)
	c := cluster(t, config.Redis{Addr: f.Addr})
	if err := c.Set(context.Background(), "x", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.Incr(context.Background(), "x").Err(); !errors.Is(err, io.EOF) {
		t.Errorf("a lost reply is told as %v", err)
	}
	if _, commands := f.Seen(); !slices.Equal(commandsOf(commands), []string{"set x 1", "incr x"}) {
		t.Errorf("sent %q", commands)
	}
}

// A redirect is followed once, MOVED and ASK alike; a second one is the
// caller's.
func TestCluster_redirects(t *testing.T) {
	ctx := context.Background()
	for _, kind := range []string{"MOVED", "ASK"} {
		var owner, other atomic.Pointer[string]
		var loops atomic.Bool
		answer := func(self, command string) string {
			switch {
			case command == "asking":
				return "+OK\r\n"
			case self != *other.Load():
				return fmt.Sprintf("-%s 16287 %s\r\n", kind, *other.Load())
			case loops.Load():
				return fmt.Sprintf("-%s 16287 %s\r\n", kind, *owner.Load())
			}
			return "$1\r\nv\r\n"
		}
		first, second := node(t, &owner, answer), node(t, &owner, answer)
		owner.Store(&first.Addr)
		other.Store(&second.Addr)
		c := cluster(t, config.Redis{Addr: first.Addr})
		if got, err := c.Get(ctx, "x").Result(); err != nil || got != "v" {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		loops.Store(true)
		if err := c.Get(ctx, "x").Err(); !redis.HasErrorPrefix(err, kind) {
			t.Errorf("%s twice: %v", kind, err)
		}
		_, atFirst := first.Seen()
		_, atSecond := second.Seen()
		if n := len(slices.DeleteFunc(append(commandsOf(atFirst), commandsOf(atSecond)...), func(c string) bool { return c == "asking" })); n != 4 {
			t.Errorf("%s: %d commands: %q, %q", kind, n, atFirst, atSecond)
		}
	}
}

// The first request after the nodes came back must succeed, however many failed
// before it.
func TestCluster_recoversAtOnce(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		server := e.ServerWith(t, "--cluster-enabled", "yes", "--cluster-config-file", t.TempDir()+"/nodes.conf")
		key := func(name string) string { return server.Prefix + ":{b}:" + name }
		own := func() {
			t.Helper()
			admin := client(t, config.Redis{Addr: server.Addr})
			_ = admin.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", "0", "16383").Err() // known already after a restart
			patience := time.NewTicker(20 * time.Millisecond)                 // a node waits two seconds before it takes writes
			defer patience.Stop()
			for began := time.Now(); time.Since(began) < 20*time.Second; <-patience.C {
				if err := admin.Set(ctx, key("x"), "1", 0).Err(); err == nil {
					return
				} else if !redis.HasErrorPrefix(err, "CLUSTERDOWN") {
					t.Fatal(err)
				}
			}
			t.Fatal("the cluster does not come up")
		}
		own()
		c := cluster(t, config.Redis{Addr: server.Addr, Username: server.Username, Password: config.Secret(server.Password)})
		if err := c.Ping(ctx).Err(); err != nil {
			t.Fatal(err)
		}
		count := redis.NewScript(`return redis.call('INCR', KEYS[1])`)
		if got, err := count.Run(ctx, c, []string{key("n")}).Int(); err != nil || got != 1 {
			t.Errorf("a script: %d, %v", got, err)
		}
		if got, err := c.MGet(ctx, key("n"), key("m")).Result(); err != nil || got[0] != "1" || got[1] != nil {
			t.Errorf("MGET: %v, %v", got, err)
		}
		server.Stop()
		for range 20 {
			began := time.Now()
			if err := c.Get(ctx, key("x")).Err(); err == nil || time.Since(began) > 3*time.Second {
				t.Fatalf("without a server: %v after %v", err, time.Since(began))
			}
		}
		server.Restart()
		own()
		if err := c.Get(ctx, key("x")).Err(); err != nil {
			t.Errorf("with the server back: %v", err)
		}
	})
}

// A node proves to be the one that the cluster named, and not merely the
// configured host.
func TestCluster_tls(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		good := trustedAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
		r := config.Redis{Addr: good.Addr, Host: "cache.example", Password: "open sesame", TLS: true}
		// The server is no cluster and says so, to a client that trusted it with a
		// command.
		if err := cluster(t, r).Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "cluster support disabled") {
			t.Errorf("the node's own name: %v", err)
		}
		wrong := trustedAuthority(t).ServerOf(t, e, "cache.example", time.Now().Add(time.Hour))
		r.Addr = wrong.Addr
		if err := cluster(t, r).Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("another name: %v", err)
		}
	})
}
