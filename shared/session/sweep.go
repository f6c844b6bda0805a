package session

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// Swept is what a sweep did.
type Swept struct {
	// Ended sessions, whose deadlines had passed.
	Ended int
	// Recounted buckets, and how many of them were wrong and were mended.
	Recounted, Repaired int
	// Damaged records, which were left as they are.
	Damaged int
	// Complete tells that every bucket was visited without a fault before the time was over, and the sum is new.
	Complete bool
	// Active sessions, where it is complete.
	Active int
}

// A sweep must not be felt: how much Redis is asked for at once decides how long others wait, how soon again how many.
const (
	sweepTogether = 3  // buckets that one pipeline looks at, with three to ten commands each
	sweepLook     = 64 // subjects that are due which a look at a part of an index finds
	sweepBatch    = 32 // subjects that one script sweeps
	// sweepRest is for how long a sweep leaves Redis to others for each subject that it swept: ten times what that took
	// Redis. recountRest is the same for each record that was read to be counted.
	sweepRest   = 200 * time.Microsecond
	recountRest = 50 * time.Microsecond
	sweepSpare  = 2 * time.Second
	// sweepStride lies between where one sweep begins and where that of the next minute does. It has no divisor in common
	// with the number of buckets, so that sweeps which run out of time reach all of them in turn.
	sweepStride = 2531
	// recountEvery is in how many minutes every bucket is recounted.
	recountEvery = 60
	summaryKept  = 24 * time.Hour
)

// sweeping is one sweep under way.
type sweeping struct {
	*Store
	now     time.Time
	done    Swept
	summary summary
	pace    pace
	// counted are the counters of the bucket that was changed last, as they are now; empty where nobody told.
	lastCounters string
	// segmented tells that the last bucket had more accounts than one part of an index holds; most likely the next has too.
	segmented bool
}

// pace is how fast a sweep should be: so that it has visited all buckets in half of the time that there is.
type pace struct {
	began        time.Time
	within       time.Duration // not at all where it is zero
	visited, all int           // buckets, with those under way
}

// newPace is that of a sweep which begins now and must stop in time for ctx; one that need not stop does not rest.
func newPace(ctx context.Context, all int) pace {
	p := pace{began: time.Now(), all: all}
	if end, ok := ctx.Deadline(); ok {
		p.within = end.Sub(p.began) / 2
	}
	return p
}

// ahead tells whether a sweep that has gone on for so long is faster.
func (p pace) ahead(elapsed time.Duration) bool {
	return elapsed < p.within/time.Duration(p.all)*time.Duration(p.visited)
}

// rest leaves Redis to others for a while, unless the sweep is late.
func (w *sweeping) rest(d time.Duration) {
	if w.pace.ahead(time.Since(w.pace.began)) {
		time.Sleep(d)
	}
}

// Sweep ends the sessions whose deadlines have passed, each with its event and its counters, recounts a share of the
// buckets, and sums up. It stops in time for ctx, which is no error, and the next one begins elsewhere. Two at once do no
// harm. An error that is about one bucket is returned in the end: the others are swept, and summed up. It fails with
// ErrUnavailable at once. What was done until then is told with every error.
func (s *Store) Sweep(ctx context.Context) (Swept, error) {
	start := int(s.now().Unix()/60%partitions) * sweepStride % partitions
	all := make([]int, partitions)
	for i := range all {
		all[i] = (start + i) % partitions
	}
	return s.sweep(ctx, all)
}

// sweep visits these buckets, in their order.
func (s *Store) sweep(ctx context.Context, all []int) (Swept, error) {
	w := &sweeping{Store: s, now: s.now()}
	w.summary.AsOf, w.summary.Ended = w.now, map[Reason]int{}
	stop, cancel := endingBefore(ctx)
	defer cancel()
	w.pace = newPace(stop, len(all))
	var faults error
	for some := range slices.Chunk(all, sweepTogether) {
		if stop.Err() != nil {
			return w.done, faults
		}
		w.pace.visited += len(some)
		err := w.visit(ctx, some)
		if errors.Is(err, ErrUnavailable) {
			return w.done, err
		}
		faults = errors.Join(faults, err)
	}
	faults = errors.Join(faults, w.writeSummary(ctx))
	w.done.Complete, w.done.Active = faults == nil, w.summary.Active
	return w.done, faults
}

// endingBefore is over a moment before ctx is.
func endingBefore(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-sweepSpare))
}

// partitionView is a look at a bucket.
type partitionView struct {
	partition int
	counters  *redis.StringCmd
	size      *redis.IntCmd           // of the first part of the index
	due       []*redis.StringSliceCmd // in each part, from the first one on, that was looked at
}

// visit looks at a few buckets and does in each what there is to do.
func (w *sweeping) visit(ctx context.Context, some []int) error {
	var seen []partitionView
	looked := 1
	if w.segmented && len(some) > 1 { // one that is looked at alone may have a part that cannot be read
		looked = indexSegments
	}
	err := w.pipeline(ctx, func(p redis.Pipeliner) {
		seen = seen[:0]
		for _, partition := range some {
			g := partitionView{partition: partition}
			g.counters = p.GetRange(ctx, w.countersKey(partition), 0, -1)
			g.size = p.ZCard(ctx, w.indexKey(partition, 0))
			g.due = w.dueIn(ctx, p, partition, 0, looked)
			seen = append(seen, g)
		}
	})
	if err != nil && (len(some) == 1 || errors.Is(err, ErrUnavailable)) {
		return err
	}
	var faults error
	for i, g := range seen {
		if err != nil { // of one of them; each is looked at alone
			faults = errors.Join(faults, w.visit(ctx, some[i:i+1]))
		} else {
			faults = errors.Join(faults, w.work(ctx, g))
		}
		if errors.Is(faults, ErrUnavailable) {
			break
		}
	}
	return faults
}

// dueIn asks for those whose time has come in parts of a bucket's index, up to sweepLook in each.
func (w *sweeping) dueIn(ctx context.Context, p redis.Pipeliner, partition, from, to int) (due []*redis.StringSliceCmd) {
	now := &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(millis(w.now), 10), Count: sweepLook}
	for segment := from; segment < to; segment++ {
		due = append(due, p.ZRangeByScore(ctx, w.indexKey(partition, segment), now))
	}
	return due
}

// work sweeps a bucket, recounts it where it is its turn, and adds its counters to the sum.
func (w *sweeping) work(ctx context.Context, g partitionView) error {
	raw := g.counters.Val()
	live, _, err := decodeCounters(raw)
	recount := int64(g.partition%recountEvery) == w.now.Unix()/60%recountEvery
	// Subjects stand in the other parts only where the first one is full, or was when they came.
	w.segmented = err != nil || live.users > int(g.size.Val())
	before := w.done
	if err := w.sweepPartition(ctx, g, w.segmented || recount); err != nil {
		return err
	}
	if recount {
		if err := w.recount(ctx, g.partition); err != nil {
			return err
		}
	}
	if w.done.Ended != before.Ended || w.done.Repaired != before.Repaired {
		if raw = w.lastCounters; raw == "" {
			if raw, err = w.counters(ctx, g.partition); err != nil {
				return err
			}
		}
	}
	w.summary.add(raw, w.now)
	return nil
}

// member is somebody who stands in a part of a bucket's index.
type member struct {
	segment int
	name    string
}

// members adds those that were found in parts from that one on.
func members(all []member, from int, found []*redis.StringSliceCmd) []member {
	for i, segment := range found {
		all = membersIn(all, from+i, segment.Val())
	}
	return all
}

// membersIn adds members that stand in a part.
func membersIn(all []member, segment int, names []string) []member {
	for _, name := range names {
		all = append(all, member{segment, name})
	}
	return all
}

// look adds those who are due in the parts of a bucket's index from that one on, of those that can be read.
func (w *sweeping) look(ctx context.Context, partition, from int, due []member) ([]member, error) {
	var found []*redis.StringSliceCmd
	err := w.pipeline(ctx, func(p redis.Pipeliner) { found = w.dueIn(ctx, p, partition, from, indexSegments) })
	return members(due, from, found), err
}

// sweepPartition sweeps who is due in a bucket, and looks again where there may be more: where a look found as many as it
// can, or more of an account's sessions ended at once than one visit ends.
func (w *sweeping) sweepPartition(ctx context.Context, g partitionView, overflow bool) error {
	due := members(nil, 0, g.due)
	var fault error // of a part; the others are swept
	if looked := len(g.due); overflow && looked < indexSegments {
		due, fault = w.look(ctx, g.partition, looked, due)
	}
	for len(due) > 0 {
		more := int64(len(due) / sweepLook)
		for some := range slices.Chunk(due, sweepBatch) {
			left, err := w.sweepMembers(ctx, g.partition, some)
			if err != nil {
				return err
			}
			more += left
		}
		if more == 0 {
			break
		}
		due, fault = w.look(ctx, g.partition, 0, nil)
	}
	return fault
}

// sweepMembers sweeps some of a bucket's, which are not more than sweepBatch, and returns how many of them have more that
// is due.
func (w *sweeping) sweepMembers(ctx context.Context, partition int, some []member) (int64, error) {
	keys := []string{w.countersKey(partition)}
	args := []any{millis(w.now), w.opts.ActivityMax, ceilMillis(w.opts.ActivityKeep)}
	for _, m := range some {
		keys = append(keys, w.indexKey(partition, m.segment), w.memberRecordKey(partition, m.name), w.memberActivityKey(partition, m.name))
		idem := script.NewIdempotencyKey()
		args = append(args, string(idem[:])+m.name)
	}
	r, emitted, err := w.runEmitting(ctx, sweepScript, keys, args...)
	if err != nil {
		return 0, err
	}
	if r.Outcome() != outcomeDone {
		return 0, ErrDamaged
	}
	if emitted != "" {
		w.lastCounters = r.Text(3)
	}
	w.done.Ended += len(emitted) / emittedSize
	w.done.Damaged += int(r.Int(1))
	defer w.rest(time.Duration(len(some)) * sweepRest)
	return r.Int(2), w.audit(ctx, emitted, Actor{})
}

// add adds a bucket's counters, and those of its flows that are of the last day.
func (t *summary) add(raw string, now time.Time) {
	live, hourly, err := decodeCounters(raw)
	if err != nil {
		return // they count again once they are mended
	}
	t.Active, t.Users = t.Active+live.active, t.Users+live.users
	for _, f := range hourly {
		switch {
		case f.hour < hourOf(now)-hourlyKept, f.kind == hourlyRenewals:
		case f.kind == hourlyLogins:
			t.Logins += f.count
		default:
			t.Ended[Reason(f.kind)] += f.count
		}
	}
}

// writeSummary writes down the sum of a whole sweep.
func (w *sweeping) writeSummary(ctx context.Context) (err error) {
	if w.summary.FailedLogins, err = w.failures(ctx); err != nil {
		return err
	}
	text, err := json.Marshal(w.summary)
	if err != nil {
		return err
	}
	return script.Retry(ctx, func() error { return w.rdb.Set(ctx, w.summaryKey(), text, summaryKept).Err() })
}
