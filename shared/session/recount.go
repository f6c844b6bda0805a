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

// partitionListing is what a bucket's counters should tell, and what they do.
type partitionListing struct {
	raw      string
	segments [indexSegments][]string
}

// recount counts what is live in a bucket, record by record, and puts its counters right where they are wrong. Every
// change of what is live changes the counters too, its flows at least: they are replaced only where they are still what
// they were before the records were read. Where they are not, it counts again, and after a few times leaves it to the
// next hour. A subject that the index does not have is not found: none is live without standing there.
func (w *sweeping) recount(ctx context.Context, partition int) error {
	for range recountTries {
		l, err := w.list(ctx, partition)
		if err != nil {
			return err
		}
		live, err := w.countAll(ctx, partition, l)
		if err != nil {
			return err
		}
		settled, err := w.repair(ctx, partition, l.raw, live)
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
func (w *sweeping) list(ctx context.Context, partition int) (partitionListing, error) {
	var counters *redis.StringCmd
	var parts [indexSegments]*redis.StringSliceCmd
	err := w.pipeline(ctx, func(p redis.Pipeliner) {
		counters = p.GetRange(ctx, w.countersKey(partition), 0, -1)
		for segment := range parts {
			parts[segment] = p.ZRange(ctx, w.indexKey(partition, segment), 0, -1)
		}
	})
	if err != nil {
		return partitionListing{}, err
	}
	l := partitionListing{raw: counters.Val()}
	for segment := range parts {
		l.segments[segment] = parts[segment].Val()
	}
	return l, nil
}

// countAll counts the records of all who are listed. Who has no live session is swept out of the index.
func (w *sweeping) countAll(ctx context.Context, partition int, l partitionListing) (liveCounts, error) {
	var live liveCounts
	counted := map[string]bool{}
	for segment, members := range l.segments {
		for some := range slices.Chunk(members, recountBatch) {
			idle, err := w.countSome(ctx, partition, some, counted, &live)
			if err != nil {
				return liveCounts{}, err
			}
			for few := range slices.Chunk(membersIn(nil, segment, idle), sweepBatch) {
				if _, err := w.sweepMembers(ctx, partition, few); err != nil {
					return liveCounts{}, err
				}
			}
		}
	}
	return live, nil
}

// countSome counts the records of some, and returns those without a live session. A damaged record counts nothing.
func (w *sweeping) countSome(ctx context.Context, partition int, members []string, counted map[string]bool, live *liveCounts) (idle []string, err error) {
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = w.memberRecordKey(partition, member)
	}
	records, err := w.mget(ctx, keys)
	if err != nil {
		return nil, err
	}
	w.rest(time.Duration(len(members)) * recountRest)
	for i, member := range members {
		rec, err := decodeRecord(records.Text(i))
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

// repair replaces what counters tell of the live sessions by what there is; flows stay. It returns false where they have
// changed meanwhile.
func (w *sweeping) repair(ctx context.Context, partition int, raw string, live liveCounts) (bool, error) {
	_, _, err := decodeCounters(raw)
	rest := "" // of what cannot be read nothing stays
	if err == nil {
		var emitted liveCounts
		if emitted, rest, err = decodeLiveCounts(raw); err == nil && emitted.equal(live) {
			return true, nil
		}
	}
	repaired := string(live.encode()) + rest
	r, err := w.run(ctx, recountScript, []string{w.countersKey(partition)}, raw, repaired)
	if err != nil || r.Outcome() != outcomeDone {
		return false, err
	}
	w.lastCounters = repaired
	w.done.Repaired++
	return true, nil
}

func (c liveCounts) equal(other liveCounts) bool {
	return c.active == other.active && c.users == other.users && c.cookie == other.cookie && c.desktop == other.desktop &&
		c.mobile == other.mobile && c.tablet == other.tablet && maps.Equal(c.chains, other.chains)
}
