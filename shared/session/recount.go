package session

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	recountTries = 3
	recountBatch = 50 // records that are read at once
)

// listing is what a bucket's counters should tell, and what they do.
type listing struct {
	raw   string
	parts [indexParts][]string
}

// recount counts what is live in a bucket, record by record, and puts its counters right where they are wrong. Every
// change of what is live changes the counters too, its flows at least: they are replaced only where they are still what
// they were before the records were read. Where they are not, it counts again, and after a few times leaves it to the
// next hour. A subject that the index does not have is not found: none is live without standing there.
func (w *sweeping) recount(ctx context.Context, bucket int) error {
	for range recountTries {
		l, err := w.list(ctx, bucket)
		if err != nil {
			return err
		}
		live, err := w.countAll(ctx, bucket, l)
		if err != nil {
			return err
		}
		settled, err := w.mend(ctx, bucket, l.raw, live)
		if err != nil {
			return err
		}
		if settled {
			w.done.Recounted++
			return nil
		}
	}
	return nil
}

// list reads counters and index; the counters first, so that a change which comes in between shows.
func (w *sweeping) list(ctx context.Context, bucket int) (listing, error) {
	var counters *redis.StringCmd
	var parts [indexParts]*redis.StringSliceCmd
	err := w.pipeline(ctx, func(p redis.Pipeliner) {
		counters = p.GetRange(ctx, w.countersKey(bucket), 0, -1)
		for part := range parts {
			parts[part] = p.ZRange(ctx, w.indexKey(bucket, part), 0, -1)
		}
	})
	if err != nil {
		return listing{}, err
	}
	l := listing{raw: counters.Val()}
	for part := range parts {
		l.parts[part] = parts[part].Val()
	}
	return l, nil
}

// countAll counts the records of all who are listed. Who has no live session is swept out of the index.
func (w *sweeping) countAll(ctx context.Context, bucket int, l listing) (census, error) {
	var live census
	counted := map[string]bool{}
	for part, members := range l.parts {
		for some := range slices.Chunk(members, recountBatch) {
			idle, err := w.countSome(ctx, bucket, some, counted, &live)
			if err != nil {
				return census{}, err
			}
			for few := range slices.Chunk(standing(nil, part, idle), sweepBatch) {
				if _, err := w.sweepMembers(ctx, bucket, few); err != nil {
					return census{}, err
				}
			}
		}
	}
	return live, nil
}

// countSome counts the records of some, and returns those without a live session. A damaged record counts nothing.
func (w *sweeping) countSome(ctx context.Context, bucket int, members []string, counted map[string]bool, live *census) (idle []string, err error) {
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = w.memberRecordKey(bucket, member)
	}
	records, err := w.mget(ctx, keys)
	if err != nil {
		return nil, err
	}
	w.rest(time.Duration(len(members)) * recountRest)
	for i, member := range members {
		rec, err := decodeRecord(records.text(i))
		switch {
		case records[i] == nil, err == nil && len(rec.live) == 0, counted[member]:
			idle = append(idle, member)
		case err == nil:
			counted[member] = true
			live.count(rec.live)
		}
	}
	return idle, nil
}

// mend replaces what counters tell of the live sessions by what there is; flows stay. It returns false where they have
// changed meanwhile.
func (w *sweeping) mend(ctx context.Context, bucket int, raw string, live census) (bool, error) {
	_, _, err := decodeCounters(raw)
	rest := "" // of what cannot be read nothing stays
	if err == nil {
		var told census
		if told, rest, err = decodeCensus(raw); err == nil && told.equal(live) {
			return true, nil
		}
	}
	mended := string(live.encode()) + rest
	r, err := w.run(ctx, recountScript, []string{w.countersKey(bucket)}, raw, mended)
	if err != nil || r.outcome() != outcomeDone {
		return false, err
	}
	w.counted = mended
	w.done.Mended++
	return true, nil
}

func (c census) equal(other census) bool {
	return c.active == other.active && c.users == other.users && c.cookie == other.cookie && c.desktop == other.desktop &&
		c.mobile == other.mobile && c.tablet == other.tablet && maps.Equal(c.chains, other.chains)
}
