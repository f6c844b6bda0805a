package redistest_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
)

func TestEach_keepsTestsApart(t *testing.T) {
	seen := map[string]bool{}
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		ctx := context.Background()
		if seen[r.Prefix] {
			t.Fatalf("prefix %q was given out twice", r.Prefix)
		}
		seen[r.Prefix] = true
		if err := r.Client().Set(ctx, r.Prefix+":k", "v", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Client().Get(ctx, r.Prefix+":k").Result(); err != nil || got != "v" {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestServer_deletesOnlyItsOwnKeys(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		witness := e.Server(t)
		set := func(r redistest.Redis) {
			t.Helper()
			if err := r.Client().Set(ctx, r.Prefix+":k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		set(witness)
		var gone redistest.Redis
		t.Run("inner", func(t *testing.T) {
			gone = e.Server(t)
			set(gone)
		})
		left, err := witness.Client().Exists(ctx, witness.Prefix+":k").Result()
		if err != nil || left != 1 {
			t.Errorf("another test's key: %d left, %v", left, err)
		}
		left, err = witness.Client().Exists(ctx, gone.Prefix+":k").Result()
		if err != nil || left != 0 {
			t.Errorf("own key after the test: %d left, %v", left, err)
		}
	})
}

func TestServerWith_arguments(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t, "--requirepass", "open sesame")
		if err := own.Client().Ping(ctx).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
			t.Fatalf("without the password: %v", err)
		}
		opts := own.Options()
		opts.Password = "open sesame"
		client := redis.NewClient(opts)
		defer client.Close()
		if err := client.Ping(ctx).Err(); err != nil {
			t.Fatalf("with the password: %v", err)
		}
	})
}

func TestServerWith_stopAndRestart(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t)
		own.Stop()
		var refused *net.OpError
		if err := own.Client().Ping(ctx).Err(); !errors.As(err, &refused) {
			t.Fatalf("a stopped server answers: %v", err)
		}
		own.Restart()
		if err := own.Client().Ping(ctx).Err(); err != nil {
			t.Fatalf("after the restart: %v", err)
		}
	})
}

// A test binary that is killed cannot clean up. The server must go all the same.
func TestServer_endsWithTheTestBinary(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		own := redistest.ServerWith(t)
		if _, err := os.Stdout.WriteString("\naddr " + own.Addr + "\n"); err != nil {
			t.Fatal(err)
		}
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		_ = self.Kill()
		select {}
	}
	redistest.Server(t) // skips where there is no server
	child := exec.Command(os.Args[0], "-test.run=^TestServer_endsWithTheTestBinary$")
	child.Env = append(os.Environ(), "REDISTEST_CHILD=1")
	out, err := child.Output()
	if err == nil {
		t.Fatal("the child was to be killed")
	}
	_, rest, found := strings.Cut(string(out), "addr ")
	if !found {
		t.Fatalf("the child gave no address: %q", out)
	}
	awaitClosed(t, strings.TrimSpace(rest))
}

// A server that ends by itself, such as for an argument it does not know, fails the test and says why.
func TestServerWith_saysWhyItDidNotStart(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		redistest.ServerWith(t, "--no-such-argument", "x")
		return
	}
	redistest.Server(t) // skips where there is no server
	child := exec.Command(os.Args[0], "-test.run=^TestServerWith_saysWhyItDidNotStart$", "-test.timeout=30s")
	child.Env = append(os.Environ(), "REDISTEST_CHILD=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "-server did not start") || !strings.Contains(string(out), "no-such-argument") {
		t.Errorf("the child said %v: %s", err, out)
	}
}

// An engine that is not installed fails the tests that need it in CI. Elsewhere they are skipped and say how to install it.
func TestEachEngine_missing(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) { t.Error("an engine was found") })
		return
	}
	for _, ci := range []string{"true", ""} {
		child := exec.Command(os.Args[0], "-test.run=^TestEachEngine_missing$", "-test.v")
		child.Env = append(os.Environ(), "REDISTEST_CHILD=1", "CI="+ci, "PATH="+t.TempDir())
		out, err := child.CombinedOutput()
		result := map[string]string{"true": "FAIL", "": "SKIP"}[ci]
		for _, engine := range []string{"redis", "valkey"} {
			if !strings.Contains(string(out), "--- "+result+": TestEachEngine_missing/"+engine) ||
				!strings.Contains(string(out), "no "+engine+"-server found: apt-get install "+engine+"-server") {
				t.Errorf("CI=%q without %s-server: %s", ci, engine, out)
			}
		}
		if (err != nil) != (ci == "true") {
			t.Errorf("CI=%q: %v", ci, err)
		}
	}
}

// awaitClosed waits until nothing answers at addr. A connection is held open
// meanwhile: that it ends is the sign, so nothing need be polled.
func awaitClosed(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var timeout net.Error
	if _, err := conn.Read(make([]byte, 1)); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the server outlived the test binary")
	}
}

func TestCounting(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		ctx, key := context.Background(), r.Prefix+":k"
		c := redistest.Counting(t, r)
		check := func(what string, want int, err error) {
			t.Helper()
			if err != nil && !errors.Is(err, redis.Nil) {
				t.Fatalf("%s: %v", what, err)
			}
			if got := c.RoundTrips(); got != want {
				t.Errorf("%s: %d trips, want %d", what, got, want)
			}
			c.Reset()
		}
		check("nothing", 0, nil)
		check("get", 1, c.Get(ctx, key).Err())
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Get(ctx, key)
			p.Set(ctx, key, strings.Repeat("x", 1<<20), time.Minute)
			return nil
		})
		check("a long pipeline", 1, err)
		_ = c.Get(ctx, key).Err()
		check("two gets", 2, c.Get(ctx, key).Err())
		check("the text of one", 1, c.Get(ctx, key+"\r\n$6\r\nunlink\r\n").Err())
		_ = c.Get(ctx, key).Err()
		err = c.Unlink(ctx, key).Err()
		if n := c.Unlinks(); n != 1 {
			t.Errorf("%d trips that unlink, want 1", n)
		}
		check("a get and an unlink", 1, err)
		if n := c.Unlinks(); n != 0 {
			t.Errorf("%d trips that unlink after a reset", n)
		}
	})
}
