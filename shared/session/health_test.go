package session_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// Skew is positive where the caller's clock is ahead of Redis'.
func TestCheck_skew(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, ahead := range []time.Duration{3 * time.Hour, -3 * time.Hour} {
			theirs, err := w.rdb.Time(ctx).Result()
			must(t, err)
			w.clock.set(theirs.Truncate(time.Millisecond).Add(ahead))
			h, err := w.Check(ctx)
			must(t, err)
			// Redis' clock runs on between the two looks at it, ours stands.
			if h.Skew > ahead || h.Skew < ahead-time.Minute {
				t.Errorf("skew is %v, want %v", h.Skew, ahead)
			}
		}
	})
}

// Latency is what the trip took, and no part of the skew.
func TestCheck_latency(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	w.redis.Mini.SetTime(w.clock.now())
	_, err := w.Check(ctx) // so that the script is loaded: the first check may take a second trip
	must(t, err)
	slow := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "ping" {
			w.clock.add(70 * time.Millisecond)
		}
		return next(ctx, cmd)
	}), w.clock)
	h, err := slow.Check(ctx)
	must(t, err)
	if want := (session.Health{Latency: 70 * time.Millisecond}); h != want {
		t.Errorf("got %+v, want %+v", h, want)
	}
}

// That Redis answers is not enough: it must read.
func TestCheck_reads(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.Check(ctx)
		must(t, err) // nothing to read is no failure
		must(t, w.rdb.LPush(ctx, w.SummaryKey(), "a list").Err())
		if h, err := w.Check(ctx); err == nil {
			t.Errorf("a read that fails is told as %+v", h)
		}
		must(t, w.rdb.Del(ctx, w.SummaryKey()).Err())
		must(t, w.rdb.Set(ctx, w.SummaryKey(), "a sum", time.Minute).Err())
		_, err = w.Check(ctx)
		must(t, err)
	})
}

// What a check writes is one key, which goes by itself.
func TestCheck_writes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.Check(ctx)
		must(t, err)
		keys := r.Keys(t, r.Prefix+"*")
		if len(keys) != 1 || keys[0] != r.Prefix+":health" {
			t.Fatalf("it wrote %q", keys)
		}
		if ttl := w.rdb.PTTL(ctx, keys[0]).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("it goes in %v", ttl)
		}
	})
}

// However many checks come at once, a store writes once, and not again for a second.
func TestCheck_writesOnceASecond(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.Check(ctx) // so that the script is loaded
		must(t, err)
		var writes atomic.Int64
		s := w.on(w.hookedPipelines(func(cmds []redis.Cmder) {
			if slices.ContainsFunc(cmds, isScript) {
				writes.Add(1)
			}
		}), w.clock)
		check := func(what string, want int64) {
			t.Helper()
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := s.Check(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := writes.Swap(0); n != want {
				t.Errorf("%s it wrote %d times, want %d", what, n, want)
			}
		}
		check("at first", 1)
		w.clock.add(999 * time.Millisecond)
		check("within a second", 0)
		w.clock.add(time.Millisecond)
		check("a second later", 1)
		w.clock.add(-time.Hour)
		check("with the clock set back", 1)
	})
}

// Where no login can work, a check says so, though Redis answers and reads: a user that may run no scripts, or write
// nothing, a replica, and full memory. Once that is put right, so is the next check.
func TestCheck_noLoginCanWork(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w := newWorld(t, own.Redis)
		_, err := w.Check(ctx)
		must(t, err)
		for name, c := range map[string]struct{ spoil, repair func() }{
			"no scripts":  {func() { w.allow(t, "-eval", "-evalsha") }, func() { w.allow(t, "+eval", "+evalsha") }},
			"read only":   {func() { w.allow(t, "-@write") }, func() { w.allow(t, own.Access(t)...) }},
			"full memory": {func() { must(t, own.Client().ConfigSet(ctx, "maxmemory", "1").Err()) }, func() { must(t, own.Client().ConfigSet(ctx, "maxmemory", "0").Err()) }},
			"a replica":   {func() { must(t, own.Client().ReplicaOf(ctx, "127.0.0.1", "1").Err()) }, func() { own.Promote() }},
		} {
			t.Run(name, func(t *testing.T) {
				w.clock.add(time.Second)
				c.spoil()
				h, err := w.Check(ctx)
				if wants(t, err, session.ErrUnavailable); h != (session.Health{}) {
					t.Errorf("told as %+v", h)
				}
				_, _, err = w.IssueNonce(ctx, terms)
				wants(t, err, session.ErrUnavailable)
				c.repair()
				_, err = w.Check(ctx)
				must(t, err)
			})
		}
	})
}

// A check that waits for another one's write ends with its caller's time.
func TestCheck_deadline(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	waits, over := make(chan struct{}), make(chan struct{})
	var once sync.Once // the script is not loaded yet, and is sent again
	s := w.on(w.hookedPipelines(func([]redis.Cmder) { once.Do(func() { close(waits); <-over }) }), w.clock)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := s.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	<-waits
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err := s.Check(gone)
	wants(t, err, session.ErrUnavailable)
	close(over)
	first.Wait()
}
