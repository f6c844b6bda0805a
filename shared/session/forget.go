package session

import (
	"context"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// forget forgets the ended sessions of a partition's erased accounts whose time
// is past. Other accounts need none of this: the record of one that was erased
// expires with its ended sessions, unless it has a block or roles.
func (w *sweeping) forget(ctx context.Context, partition int) error {
	var due []string
	err := script.Retry(ctx, func() (err error) {
		due, err = w.rdb.ZRangeByScore(ctx, w.erasedKey(partition), &redis.ZRangeBy{
			Min: "-inf", Max: strconv.FormatInt(millis(w.now), 10),
		}).Result()
		return err
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(due, batchSize) {
		keys, args := []string{w.erasedKey(partition)}, []any{millis(w.now)}
		for _, member := range some {
			keys = append(keys, w.memberRecordKey(partition, member))
			args = append(args, member)
		}
		if _, err := w.run(ctx, forgetScript, keys, args...); err != nil {
			return err
		}
	}
	return nil
}
