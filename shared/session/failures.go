package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// failuresKept is how long the count of an hour is kept: longer than a summary
// includes that hour.
const failuresKept = 26 * time.Hour

// failureParts is the number of keys, and so of slots, over which an hour's
// failed logins are spread.
const failureParts = 8

// CountFailure counts a failed login for the statistics. It takes one round
// trip. If a reply is lost it may count the login twice.
func (s *Store) CountFailure(ctx context.Context) error {
	key := s.failuresKey(rand.Int64N(failureParts), hourOf(s.now()))
	return script.Retry(ctx, func() error {
		// In one transaction, so that no counter is left without a TTL.
		_, err := s.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, key)
			p.PExpire(ctx, key, failuresKept)
			return nil
		})
		return err
	})
}

// failures returns how many logins failed in an hour, and in each of the 24
// before it. It takes one round trip.
func (s *Store) failures(
	ctx context.Context, hour int64,
) (failed [hourlyKept + 1]int, err error) {
	err = script.Retry(ctx, func() error {
		clear(failed[:])
		p := s.rdb.Pipeline()
		for back := range int64(hourlyKept + 1) {
			for part := range int64(failureParts) {
				p.Get(ctx, s.failuresKey(part, hour-back))
			}
		}
		cmds, err := p.Exec(ctx)
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		for i, cmd := range cmds {
			n, err := cmd.(*redis.StringCmd).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			failed[i/failureParts] += n
		}
		return nil
	})
	return failed, err
}
