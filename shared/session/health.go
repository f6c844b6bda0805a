package session

import (
	"context"
	"errors"
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

// Check checks whether Redis answers and can read. It takes one round trip, and
// returns [ErrUnavailable] if Redis does not answer.
func (s *Store) Check(ctx context.Context) (Health, error) {
	var start time.Time
	var clock *redis.TimeCmd
	var last *redis.StringCmd
	var h Health
	err := script.Retry(ctx, func() error {
		start = s.clock()
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Ping(ctx)
			clock = p.Time(ctx)
			last = p.Get(ctx, s.summaryKey())
			return nil
		})
		h.Latency = s.clock().Sub(start)
		if errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	if err != nil {
		return Health{}, err
	}
	h.Skew = start.Sub(clock.Val())
	if latest := decodeSummary(last.Val()); !latest.AsOf.IsZero() {
		h.Active, h.AsOf = &latest.Active, latest.AsOf
	}
	return h, nil
}
