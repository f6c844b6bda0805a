package session

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Health is what a look at Redis told.
type Health struct {
	// Latency is that of the one trip.
	Latency time.Duration
	// Skew is by how much the caller's clock is ahead of Redis'; the trip makes it uncertain by Latency.
	Skew time.Duration
}

// Check looks whether Redis answers and reads. One trip. It fails with ErrUnavailable.
func (s *Store) Check(ctx context.Context) (Health, error) {
	var start time.Time
	var clock *redis.TimeCmd
	var h Health
	err := again(ctx, func() error {
		start = s.clock()
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Ping(ctx)
			clock = p.Time(ctx)
			p.Get(ctx, s.sumKey())
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
	return h, nil
}
