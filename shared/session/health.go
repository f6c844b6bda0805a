package session

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// Health is the result of a check of Redis.
type Health struct {
	// Latency is how long the round trip took.
	Latency time.Duration
	// Skew is how far the caller's clock is ahead of that of Redis. The round
	// trip makes it uncertain by Latency.
	Skew time.Duration
	// Active is how many sessions were live at AsOf, when the sweeper last
	// wrote a summary. They are nil and the zero time if it never did.
	Active *int
	AsOf   time.Time
}

// Check checks whether a login could work: Redis answers, can be read, runs a
// script and takes its write. It takes one round trip. It writes only if the
// last write was a second ago or longer. It returns [ErrUnavailable] if Redis
// does not answer or refuses.
func (s *Store) Check(ctx context.Context) (Health, error) {
	if s.writes.isRecent(s.clock()) {
		return s.check(ctx)
	}
	if err := s.writes.lock(ctx); err != nil {
		return Health{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer s.writes.unlock()
	if s.writes.isRecent(s.clock()) { // another caller was first
		return s.check(ctx)
	}
	health, err := s.check(ctx, s.healthCall())
	if err == nil {
		s.writes.last.Store(s.clock().UnixNano())
	}
	return health, err
}

// healthTTL is how long the key of the health check lives.
const healthTTL = time.Minute

func (s *Store) healthCall() *script.Call {
	return &script.Call{
		Script: healthScript, Keys: []string{s.healthKey()}, Args: []any{ceilMillis(healthTTL)},
	}
}

// check reads from Redis, and runs scripts in the same round trip.
func (s *Store) check(ctx context.Context, calls ...*script.Call) (Health, error) {
	var start time.Time
	var clock *redis.TimeCmd
	var last *redis.StringCmd
	read := func(p redis.Pipeliner) {
		start = s.clock()
		p.Ping(ctx)
		clock = p.Time(ctx)
		last = p.Get(ctx, s.summaryKey())
	}
	if err := script.PipelineWith(ctx, s.rdb, read, calls...); err != nil {
		return Health{}, err
	}
	h := Health{Latency: s.clock().Sub(start), Skew: start.Sub(clock.Val())}
	if latest := decodeSummary(last.Val()); !latest.AsOf.IsZero() {
		h.Active, h.AsOf = &latest.Active, latest.AsOf
	}
	return h, nil
}

// writeEvery is how long a write shows that Redis takes writes. Anybody can ask
// for the health.
const writeEvery = time.Second

// writeCheck says when a health check last wrote, and lets one write at a time.
type writeCheck struct {
	turn chan struct{}
	last *atomic.Int64 // Unix time in nanoseconds; 0 if never
}

func newWriteCheck() writeCheck {
	return writeCheck{make(chan struct{}, 1), new(atomic.Int64)}
}

// isRecent reports whether the last write was less than a second ago.
func (w writeCheck) isRecent(now time.Time) bool {
	since := now.Sub(time.Unix(0, w.last.Load()))
	return since >= 0 && since < writeEvery
}

// lock waits until no other check may write. It returns the context's error if
// that ends first.
func (w writeCheck) lock(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w writeCheck) unlock() { <-w.turn }
