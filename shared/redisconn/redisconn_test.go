package redisconn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
)

// newClient makes a client in the environment of the process.
func newClient(t *testing.T, r config.Redis) redis.UniversalClient {
	t.Helper()
	c, err := redisconn.New(context.Background(), r, awsenv.New(slog.Default()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func client(t *testing.T, r config.Redis) *redis.Client {
	t.Helper()
	if r.PoolSize == 0 {
		r.PoolSize = 4
	}
	c, ok := newClient(t, r).(*redis.Client)
	if !ok {
		t.Fatal("no single-node client")
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Connections are given up before ElastiCache does, which ends each after
// twelve hours (attack case 65).
func TestClient_options(t *testing.T) {
	o := client(t, config.Redis{Addr: "127.0.0.1:1"}).Options()
	// MaxRetries is 0 here where it was given as -1.
	if o.MaxRetries != 0 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled || !o.DisableIdentity || o.MinIdleConns != 0 {
		t.Errorf("%+v", o)
	}
	if o.ConnMaxIdleTime > 2*time.Minute || o.ConnMaxLifetime >= 12*time.Hour || o.ConnMaxLifetime == 0 {
		t.Errorf("idle %v, lifetime %v", o.ConnMaxIdleTime, o.ConnMaxLifetime)
	}
	if o.PoolSize != 4 || o.PipelinePoolSize >= 0 {
		t.Errorf("pool %d, pipelines %d", o.PoolSize, o.PipelinePoolSize)
	}
}

// Every word that a connection opens with is a round trip before the first
// answer.
func TestClient_opensWithOneCommand(t *testing.T) {
	ctx := context.Background()
	f := redistest.NewFake(t, func(command string) string {
		if strings.HasPrefix(command, "hello") {
			return redistest.HelloReply
		}
		return "+PONG\r\n"
	})
	c := client(t, config.Redis{Addr: f.Addr, Username: "app", Password: "pw"})
	if opened, _ := f.Seen(); opened != 0 {
		t.Fatal("connected before it was used")
	}
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	pipeline := c.Pipeline()
	pipeline.Ping(ctx)
	pipeline.Ping(ctx)
	if _, err := pipeline.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	opened, commands := f.Seen()
	want := []string{"hello 2 auth app pw", "ping", "ping", "ping"}
	if opened != 1 || !slices.Equal(commands, want) {
		t.Errorf("%d connections, sent %q", opened, commands)
	}
}

// A reply that is lost must not make the client run the command again: only its
// caller knows whether that is harmless.
func TestClient_repeatsNothing(t *testing.T) {
	f := redistest.NewFake(t, func(command string) string {
		if strings.HasPrefix(command, "hello") {
			return redistest.HelloReply
		}
		return ""
	})
	if err := client(t, config.Redis{Addr: f.Addr}).Incr(context.Background(), "x").Err(); err == nil {
		t.Fatal("no error")
	}
	if _, commands := f.Seen(); !slices.Equal(commands, []string{"hello 2", "incr x"}) {
		t.Errorf("sent %q", commands)
	}
}

// silent is a server that accepts and never says a word.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the system completes connections; nobody accepts them
}

func TestClient_silentServer(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls %v", tls), func(t *testing.T) {
			c := client(t, config.Redis{Addr: silent(t), Host: "127.0.0.1", TLS: tls})
			began := time.Now()
			if err := c.Ping(context.Background()).Err(); !isTimeout(err) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("gave up after %v", took)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			began = time.Now()
			if err := c.Ping(ctx).Err(); !isTimeout(err) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took > 600*time.Millisecond {
				t.Errorf("the caller's deadline of 50 ms was kept after %v", took)
			}
		})
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// The first request after Redis came back must succeed, however many failed
// before it.
func TestClient_recoversAtOnce(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		server := e.ServerWith(t)
		c := client(t, config.Redis{Addr: server.Addr, Username: server.Username, Password: config.Secret(server.Password)})
		for range 2 {
			server.Stop()
			for range 20 {
				var refused *net.OpError
				if err := c.Ping(ctx).Err(); !errors.As(err, &refused) && !errors.Is(err, io.EOF) {
					t.Fatalf("without a server: %v", err)
				}
			}
			server.Restart()
			if err := c.Ping(ctx).Err(); err != nil {
				t.Fatalf("with the server back: %v", err)
			}
		}
	})
}

func TestClient_password(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		server := e.ServerWith(t, "--requirepass", "open sesame", "--user", "app", "on", ">hush", "~*", "+@all")
		for _, tt := range []struct {
			username string
			password config.Secret
			ok       bool
		}{{"", "open sesame", true}, {"app", "hush", true}, {"app", "open sesame", false}, {"", "hush", false}, {"", "", false}} {
			err := client(t, config.Redis{Addr: server.Addr, Username: tt.username, Password: tt.password}).Ping(ctx).Err()
			if (err == nil) != tt.ok {
				t.Errorf("%q with %q: %v", tt.username, string(tt.password), err)
			}
		}
	})
}
