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
	recountBatch = 50 // records that one command reads
)

// partitionListing is what a recount reads of a partition: its counters, and
// the members of each index segment and of the registry.
type partitionListing struct {
	raw        string
	segments   [indexSegments][]string
	registered []string
}

// recount counts the live sessions of a partition, record by record, and
// corrects its counters if they are wrong.
//
// Every change of the live counts also changes an hourly count. So the counters
// are replaced only if they are still what they were before the records were
// read. If they are not, recount counts again. After recountTries attempts it
// leaves the partition to the next hour.
//
// Only indexed users are counted; every user with a live session is indexed.
func (w *sweeping) recount(ctx context.Context, partition int) error {
	for range recountTries {
		l, err := w.list(ctx, partition)
		if err != nil {
			return err
		}
		w.holding = nil
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
			return w.checkRegistry(ctx, partition, l.registered)
		}
	}
	return nil
}

// list reads counters, index and registry. It reads the counters first, so that
// a change in between is noticed.
func (w *sweeping) list(ctx context.Context, partition int) (partitionListing, error) {
	var counters *redis.StringCmd
	var registered *redis.StringSliceCmd
	var segments [indexSegments]*redis.StringSliceCmd
	err := w.pipeline(ctx, func(p redis.Pipeliner) {
		counters = p.GetRange(ctx, w.countersKey(partition), 0, -1)
		for segment := range segments {
			segments[segment] = p.ZRange(ctx, w.indexKey(partition, segment), 0, -1)
		}
		registered = p.ZRange(ctx, w.registryKey(partition), 0, -1)
	})
	if err != nil {
		return partitionListing{}, err
	}
	l := partitionListing{raw: counters.Val(), registered: registered.Val()}
	for segment := range segments {
		l.segments[segment] = segments[segment].Val()
	}
	return l, nil
}

// countAll counts the records of all listed members. It sweeps members without
// a live session, which removes them from the index.
func (w *sweeping) countAll(
	ctx context.Context, partition int, l partitionListing,
) (liveCounts, error) {
	var live liveCounts
	counted := map[string]bool{}
	for segment, members := range l.segments {
		for some := range slices.Chunk(members, recountBatch) {
			idle, err := w.countSome(ctx, partition, some, counted, &live)
			if err != nil {
				return liveCounts{}, err
			}
			for few := range slices.Chunk(membersIn(nil, segment, idle), batchSize) {
				if err := w.sweepBatch(ctx, w.newBatch(partition, few)); err != nil {
					return liveCounts{}, err
				}
			}
		}
	}
	return live, nil
}

// countSome counts the records of some members. It returns the members that
// have no live session, or were counted before. A damaged record is not
// counted.
func (w *sweeping) countSome(
	ctx context.Context, partition int, members []string,
	counted map[string]bool, live *liveCounts,
) (idle []string, err error) {
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
			if rec.isRegistered() {
				w.holding = append(w.holding, member)
			}
		}
	}
	return idle, nil
}

// repair replaces the live counts in a partition's counters by what was
// counted, and keeps the hourly counts. It returns false if the counters have
// changed meanwhile.
func (w *sweeping) repair(
	ctx context.Context, partition int, raw string, live liveCounts,
) (bool, error) {
	_, _, err := decodeCounters(raw)
	rest := "" // if the counters cannot be read, no hourly count is kept
	if err == nil {
		var stored liveCounts
		if stored, rest, err = decodeLiveCounts(raw); err == nil && stored.equal(live) {
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

// equal reports whether two partitions' live counts, or two counts of one, are
// the same.
func (c liveCounts) equal(other liveCounts) bool {
	return c.active == other.active && c.users == other.users &&
		c.cookie == other.cookie && c.desktop == other.desktop &&
		c.mobile == other.mobile && c.tablet == other.tablet && maps.Equal(c.chains, other.chains)
}
