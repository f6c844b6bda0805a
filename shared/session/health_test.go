package session_test

import (
	"context"
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
