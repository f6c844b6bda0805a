package session

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// Health is what a look at Redis told.
type Health struct {
	// Latency is that of the one trip.
	Latency time.Duration
	// Skew is by how much the caller's clock is ahead of Redis'; the trip makes it uncertain by Latency.
	Skew time.Duration
	// Active is how many sessions were live when the sweeper last summed up, and AsOf is when that was; nil and the zero
	// time where it never did.
	Active *int
	AsOf   time.Time
}

// Check looks whether Redis answers and reads. One trip. It fails with ErrUnavailable.
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
	if sum := decodeSummary(last.Val()); !sum.AsOf.IsZero() {
		h.Active, h.AsOf = &sum.Active, sum.AsOf
	}
	return h, nil
}
