package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a test writes under its prefix lies on all three primaries, and goes with the test.
func TestCluster_keepsTestsApart(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		witness := e.Cluster(t)
		must(t, witness.Product().Set(ctx, witness.Prefix+":k", "v", 0).Err())
		var gone redistest.Redis
		t.Run("inner", func(t *testing.T) {
			gone = e.Cluster(t)
			for i := range 30 {
				must(t, gone.Product().Set(ctx, fmt.Sprint(gone.Prefix, ":", i), "v", 0).Err())
			}
			holders := 0
			gone.EachPrimary(t, func(node *redis.Client) {
				if node.DBSize(ctx).Val() > 0 {
					holders++
				}
			})
			if keys := gone.Keys(t, gone.Prefix+":*"); len(keys) != 30 || holders != 3 {
				t.Errorf("%d keys on %d primaries", len(keys), holders)
			}
			if err := gone.Product().Set(ctx, witness.Prefix+":k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
				t.Errorf("another prefix: %v", err)
			}
		})
		if left := witness.Keys(t, gone.Prefix+"*"); len(left) > 0 {
			t.Errorf("left after the test: %q", left)
		}
		if witness.Client().Get(ctx, witness.Prefix+":k").Val() != "v" {
			t.Error("another test's key is gone")
		}
	})
}

// A failover with the primary at hand loses nothing; one that takes what the replica has, once the primary is dead, goes on.
func TestClusterWith_failOver(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		c := e.ClusterWith(t)
		key := c.Prefix + ":k"
		write := func(value string) {
			t.Helper()
			var err error
			for range 50 { // while a client learns of the new primary
				if err = c.Product().Set(ctx, key, value, 0).Err(); err == nil {
					return
				}
			}
			t.Fatal(err)
		}
		write("1")
		first := c.Primary(key)
		second := c.Replica(first)
		c.FailOver(second, "")
		if got := c.Primary(key); got != second {
			t.Fatalf("%s serves the key, want %s", got.Addr, second.Addr)
		}
		if got := second.Client().Get(ctx, key).Val(); got != "1" {
			t.Errorf("after the failover it holds %q", got)
		}
		c.Await()
		write("2")
		first.CatchUp(second)
		second.Stop()
		c.FailOver(first, "TAKEOVER")
		if got := first.Client().Get(ctx, key).Val(); got != "2" {
			t.Errorf("after the primary's end it holds %q", got)
		}
		second.Restart()
		c.Await()
		if got := c.Replica(first); got != second {
			t.Errorf("%s follows, want %s", got.Addr, second.Addr)
		}
	})
}

// A slot that is half moved answers as Redis does, and is whole afterwards.
func TestClusterWith_migrate(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		c := e.ClusterWith(t)
		one, two := c.Prefix+":{tag}:1", c.Prefix+":{tag}:2"
		must(t, c.Product().Set(ctx, one, "1", 0).Err())
		must(t, c.Product().Set(ctx, two, "2", 0).Err())
		from := c.Primary(one)
		to := c.Nodes[0]
		if to == from {
			to = c.Nodes[1]
		}
		m := c.Migrate(c.Slot(one), from, to)
		if keys := m.Keys(10); len(keys) != 2 {
			t.Errorf("the slot holds %q", keys)
		}
		m.Move(one)
		if err := from.Client().MGet(ctx, one, two).Err(); err == nil || !strings.HasPrefix(err.Error(), "TRYAGAIN") {
			t.Errorf("half moved: %v", err)
		}
		if err := from.Client().Get(ctx, one).Err(); err == nil || !strings.HasPrefix(err.Error(), "ASK") {
			t.Errorf("moved: %v", err)
		}
		m.Complete()
		c.Await()
		if got := to.Client().MGet(ctx, one, two).Val(); fmt.Sprint(got) != "[1 2]" {
			t.Errorf("afterwards it holds %v", got)
		}
		if err := from.Client().Get(ctx, one).Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestReplicated(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		primary, replica := e.Replicated(t)
		key := primary.Prefix + ":k"
		must(t, primary.Product().Set(ctx, key, "v", 0).Err())
		replica.CatchUp(primary)
		if err := replica.Product().Set(ctx, key, "w", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
			t.Errorf("a replica that is written to: %v", err)
		}
		primary.Stop()
		replica.Promote()
		if got := replica.Product().Get(ctx, key).Val(); got != "v" {
			t.Errorf("the replica holds %q", got)
		}
		must(t, replica.Product().Set(ctx, key, "w", 0).Err())
		primary.Restart()
		primary.Follow(replica)
		if got := primary.Client().Get(ctx, key).Val(); got != "w" {
			t.Errorf("the new replica holds %q", got)
		}
	})
}

// A replica that falls behind has what was written before, and nothing of what comes after.
func TestOwn_fallBehind(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		primary, replica := e.Replicated(t)
		proxy := redistest.NewProxy(t, primary.Addr)
		client := primary.NewProduct(t, func(o *redis.UniversalOptions) { o.Addrs = []string{proxy.Addr} })
		key := primary.Prefix + ":k"
		must(t, client.Set(ctx, key, "before", 0).Err())
		replica.FallBehind(primary)
		must(t, client.Set(ctx, key, "after", 0).Err())
		primary.Stop()
		replica.Promote()
		proxy.Lead(replica.Addr)
		var got string
		for range 2 { // the first may meet a connection of before
			got = client.Get(ctx, key).Val()
		}
		if got != "before" {
			t.Errorf("the new primary holds %q", got)
		}
	})
}

// A request that is late runs when it is delivered, after its client has given up.
func TestProxy_late(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t)
		proxy := redistest.NewProxy(t, own.Addr)
		client := own.NewProduct(t, func(o *redis.UniversalOptions) { o.Addrs, o.ReadTimeout = []string{proxy.Addr}, time.Second })
		key := own.Prefix + ":k"
		struck := proxy.Once(redistest.Late, func(request []byte) bool { return strings.Contains(string(request), "first") })
		if err := client.Set(ctx, key, "first", 0).Err(); err == nil || struck() != 1 {
			t.Errorf("a request that has not arrived is answered: %v", err)
		}
		must(t, client.Set(ctx, key, "second", 0).Err())
		if got := own.Client().Get(ctx, key).Val(); got != "second" {
			t.Errorf("before it is delivered: %q", got)
		}
		if n := proxy.Deliver(); n != 1 {
			t.Errorf("delivered %d", n)
		}
		if got := own.Client().Get(ctx, key).Val(); got != "first" || proxy.Deliver() != 0 {
			t.Errorf("after it was delivered: %q", got)
		}
	})
}

// A fault strikes one request, before or after it ran, and only that.
func TestProxy(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t)
		proxy := redistest.NewProxy(t, own.Addr)
		client := own.NewProduct(t, func(o *redis.UniversalOptions) {
			o.Addrs, o.ReadTimeout = []string{proxy.Addr}, time.Second
		})
		key := own.Prefix + ":n"
		isIncr := func(request []byte) bool { return strings.Contains(string(request), "incr") }
		count := 0
		for name, test := range map[string]struct {
			fault redistest.Fault
			runs  int
		}{
			"cut before": {redistest.CutBefore, 0}, "cut after": {redistest.CutAfter, 1},
			"silence": {redistest.Silence, 1}, "swallow": {redistest.Swallow, 0},
		} {
			struck := proxy.Once(test.fault, isIncr)
			if err := client.Incr(ctx, key).Err(); err == nil || !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: %v", name, err)
			}
			count += test.runs
			if got, _ := own.Client().Get(ctx, key).Int(); got != count || struck() != 1 {
				t.Errorf("%s: counted %d, want %d; struck %d times", name, got, count, struck())
			}
			count++
			if got := client.Incr(ctx, key).Val(); int(got) != count {
				t.Errorf("%s: counted %d afterwards, want %d", name, got, count)
			}
		}
		proxy.Decide(redistest.Delay(50*time.Millisecond, isIncr))
		began := time.Now()
		must(t, client.Incr(ctx, key).Err())
		if time.Since(began) < 50*time.Millisecond {
			t.Error("nothing was delayed")
		}
		own.Stop()
		if err := client.Incr(ctx, key).Err(); err == nil {
			t.Error("a server that is gone answers through the proxy")
		}
	})
}

// A frozen server says nothing, and goes on as if nothing had been.
func TestServerWith_freeze(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx := context.Background()
		own := e.ServerWith(t)
		client := own.NewClient(t, func(o *redis.UniversalOptions) { o.ReadTimeout = 200 * time.Millisecond })
		own.Freeze()
		if err := client.Ping(ctx).Err(); err == nil {
			t.Error("a frozen server answers")
		}
		own.Thaw()
		must(t, own.Client().Ping(ctx).Err())
	})
}

// A command that meets several slots fails the test, also where what is under test hides the error.
func TestCluster_noticesCrossings(t *testing.T) {
	if os.Getenv("REDISTEST_CHILD") != "" {
		r := redistest.Cluster(t)
		if err := r.Product().MGet(context.Background(), r.Prefix+":1", r.Prefix+":2").Err(); err == nil {
			t.Error("a cluster reads keys of two slots at once")
		}
		return
	}
	redistest.Server(t) // skips where there is no server
	child := exec.Command(os.Args[0], "-test.run=^TestCluster_noticesCrossings$", "-test.timeout=2m")
	child.Env = append(os.Environ(), "REDISTEST_CHILD=1")
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "1 commands used keys of several slots") {
		t.Errorf("the child said %v: %s", err, out)
	}
}
