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

// Swept is the result of a sweep.
type Swept struct {
	// Ended is how many sessions the sweep ended because a deadline had passed.
	Ended int
	// Recounted is how many partitions were recounted, and Repaired how many
	// wrong counters and wrong registries of those were repaired.
	Recounted, Repaired int
	// Damaged is how many records could not be read. They were left as they
	// are.
	Damaged int
	// Complete reports whether every partition was visited without an error
	// before the time was up, and a new summary was written.
	Complete bool
	// Active is how many sessions are live, if the sweep was complete.
	Active int
}

// A sweep must not slow down other requests. How much it asks of Redis at once
// decides how long a request waits. How often it asks decides how many requests
// wait.
const (
	sweepTogether = 3  // partitions per pipeline, with three to ten commands each
	sweepLook     = 64 // due subjects that one look at an index segment finds
	batchSize     = 32 // subjects that one script sweeps
	// sweepMany is how many due subjects of a pipeline's partitions are swept in
	// one round trip. The scripts for fewer are short, and are sent one by one.
	sweepMany = 17
	// sweepRest is how long a sweep pauses for each subject that it swept: more
	// than ten times what that takes Redis among millions of sessions.
	// recountRest is the same for each record that a recount read.
	sweepRest   = 440 * time.Microsecond
	recountRest = 50 * time.Microsecond
	// sweepSpare is how long before its deadline a sweep stops.
	sweepSpare = 2 * time.Second
	// sweepStride is how many partitions lie between the start of one sweep and
	// the start of the sweep a minute later. It has no divisor in common with
	// the number of partitions. So sweeps that run out of time reach all
	// partitions in turn.
	sweepStride = 2531
	// recountEvery is the number of minutes in which every partition is
	// recounted once.
	recountEvery = 60
	// summaryKept is how long a summary is stored.
	summaryKept = 24 * time.Hour
)

// sweeping is a sweep in progress.
type sweeping struct {
	*Store
	now     time.Time
	done    Swept
	summary summary
	pace    pace
	// lastCounters are the counters of the partition that was changed last, as
	// they are now. They are empty if no script returned them.
	lastCounters string
	// segmented reports that the last partition had more accounts than one
	// index segment holds. The next one most likely has, too.
	segmented bool
	// next are the partitions that are visited next, and ahead is what was read
	// of them, if they were looked at already.
	next  []int
	ahead []partitionView
	// holding are the indexed members of the partition that is recounted whose
	// accounts have a block or roles.
	holding []string
	// left are keys that are still to be unlinked, each element those of one
	// slot, and leftKeys is how many.
	left     [][]string
	leftKeys int
}

// pace is how fast a sweep should be: it should have visited all partitions in
// 95 % of the time that it has. The rest is for delays.
type pace struct {
	began        time.Time
	within       time.Duration // zero if there is no deadline
	visited, all int           // partitions, including those in progress
}

// newPace returns the pace of a sweep that begins now and must stop in time for
// ctx. A sweep without a deadline does not pause.
func newPace(ctx context.Context, all int) pace {
	p := pace{began: time.Now(), all: all}
	if end, ok := ctx.Deadline(); ok {
		p.within = end.Sub(p.began) / 100 * 95
	}
	return p
}

// ahead reports whether a sweep that has run for so long is faster than its
// pace.
func (p pace) ahead(elapsed time.Duration) bool {
	return elapsed < p.within/time.Duration(p.all)*time.Duration(p.visited)
}

// rest pauses to leave Redis to others, unless the sweep is behind its pace.
func (w *sweeping) rest(d time.Duration) {
	if w.pace.ahead(time.Since(w.pace.began)) {
		time.Sleep(d)
	}
}

// Sweep ends the sessions whose deadlines have passed, each with its event and
// its counters, recounts a share of the partitions, and writes a summary. It
// stops in time for ctx, which is not an error. The next sweep begins at
// another partition. Two sweeps at once do no harm.
//
// An error that is about one partition is returned at the end: the other
// partitions are swept, and the summary is written. Sweep returns
// [ErrUnavailable] at once. With every error it also returns what was done
// until then.
func (s *Store) Sweep(ctx context.Context) (Swept, error) {
	start := int(s.now().Unix()/60%partitions) * sweepStride % partitions
	all := make([]int, partitions)
	for i := range all {
		all[i] = (start + i) % partitions
	}
	return s.sweep(ctx, all)
}

// sweep visits these partitions in order.
func (s *Store) sweep(ctx context.Context, all []int) (Swept, error) {
	w := &sweeping{Store: s, now: s.now()}
	w.summary = newSummary(w.now)
	stop, cancel := endingBefore(ctx)
	defer cancel()
	w.pace = newPace(stop, len(all))
	defer w.unlinkAll(ctx)
	var faults error
	for len(all) > 0 {
		if stop.Err() != nil {
			return w.done, faults
		}
		var some []int
		some, all = group(all)
		w.next, _ = group(all)
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

// group returns the partitions that are visited together, and the others.
func group(all []int) (some, others []int) {
	n := min(sweepTogether, len(all))
	return all[:n], all[n:]
}

// endingBefore returns a context that ends sweepSpare before ctx.
func endingBefore(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-sweepSpare))
}

// partitionView is what a look at a partition reads.
type partitionView struct {
	partition int
	counters  *redis.StringCmd
	size      *redis.IntCmd           // of the first index segment
	due       []*redis.StringSliceCmd // of each segment that was looked at, from the first on
	first     *batch                  // of the members that are due; nil if none was found
}

// visit looks at a few partitions, does what there is to do in each, and
// pauses.
func (w *sweeping) visit(ctx context.Context, some []int) error {
	seen, err := w.see(ctx, some)
	if err != nil && (len(some) == 1 || errors.Is(err, ErrUnavailable)) {
		return err
	}
	swept := 0
	if err == nil {
		swept = w.sweepFirst(ctx, seen)
	}
	var faults error
	for i, g := range seen {
		if err != nil { // one of them failed: visit each alone
			faults = errors.Join(faults, w.visit(ctx, some[i:i+1]))
		} else {
			faults = errors.Join(faults, w.work(ctx, g))
		}
		if errors.Is(faults, ErrUnavailable) {
			return faults
		}
	}
	w.rest(time.Duration(swept) * sweepRest)
	return faults
}

// see looks at a few partitions, unless sweepFirst has.
func (w *sweeping) see(ctx context.Context, some []int) (seen []partitionView, err error) {
	if len(w.ahead) > 0 && w.ahead[0].partition == some[0] {
		seen, w.ahead = w.ahead, nil
		return seen, nil
	}
	err = w.pipeline(ctx, func(p redis.Pipeliner) { seen = w.queueLook(ctx, p, some) })
	return seen, err
}

// queueLook queues the commands that look at a few partitions.
func (w *sweeping) queueLook(
	ctx context.Context, p redis.Pipeliner, some []int,
) (seen []partitionView) {
	looked := 1
	// A partition that is visited alone may have a segment that cannot be read.
	// sweepPartition reads the other segments then.
	if w.segmented && len(some) > 1 {
		looked = indexSegments
	}
	for _, partition := range some {
		g := partitionView{partition: partition}
		g.counters = p.GetRange(ctx, w.countersKey(partition), 0, -1)
		g.size = p.ZCard(ctx, w.indexKey(partition, 0))
		g.due = w.dueIn(ctx, p, partition, 0, looked)
		seen = append(seen, g)
	}
	return seen
}

// dueIn reads the members that are due in segments from to to-1 of a
// partition's index, up to sweepLook in each.
func (w *sweeping) dueIn(
	ctx context.Context, p redis.Pipeliner, partition, from, to int,
) (due []*redis.StringSliceCmd) {
	now := &redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(millis(w.now), 10), Count: sweepLook}
	for segment := from; segment < to; segment++ {
		due = append(due, p.ZRangeByScore(ctx, w.indexKey(partition, segment), now))
	}
	return due
}

// work sweeps a partition, recounts it if it is its turn, and adds its counters
// to the summary.
func (w *sweeping) work(ctx context.Context, g partitionView) error {
	raw := g.counters.Val()
	live, _, err := decodeCounters(raw)
	recount := int64(g.partition%recountEvery) == w.now.Unix()/60%recountEvery
	// Subjects are in the other segments only if the first one is full, or was
	// when they were added.
	w.segmented = err != nil || live.users > int(g.size.Val())
	before := w.done
	if err := w.sweepPartition(ctx, g, w.segmented || recount); err != nil {
		return err
	}
	if recount {
		if err := w.recount(ctx, g.partition); err != nil {
			return err
		}
		if err := w.forget(ctx, g.partition); err != nil {
			return err
		}
	}
	ended := w.done.Ended != before.Ended || g.first != nil && g.first.call.Emitted != ""
	if ended || w.done.Repaired != before.Repaired {
		if raw = w.lastCounters; raw == "" {
			if raw, err = w.counters(ctx, g.partition); err != nil {
				return err
			}
		}
	}
	w.summary.add(raw)
	return nil
}

// member is a member of an index segment.
type member struct {
	segment int
	name    string
}

// members adds the members that were found in segments, beginning with segment
// from.
func members(all []member, from int, found []*redis.StringSliceCmd) []member {
	for i, segment := range found {
		all = membersIn(all, from+i, segment.Val())
	}
	return all
}

// membersIn adds members of one segment.
func membersIn(all []member, segment int, names []string) []member {
	for _, name := range names {
		all = append(all, member{segment, name})
	}
	return all
}

// look adds the members that are due in a partition's index, beginning with
// segment from. If segments cannot be read it returns the members of the
// others, and the error.
func (w *sweeping) look(ctx context.Context, partition, from int, due []member) ([]member, error) {
	var found []*redis.StringSliceCmd
	err := w.pipeline(ctx, func(p redis.Pipeliner) {
		found = w.dueIn(ctx, p, partition, from, indexSegments)
	})
	return members(due, from, found), err
}

// sweepPartition sweeps the members of a partition that are due. It looks again
// if there may be more: if a look found as many as it can, or if more sessions
// of an account have expired than one visit ends. If overflow is set it looks
// at all segments.
func (w *sweeping) sweepPartition(ctx context.Context, g partitionView, overflow bool) error {
	due := members(nil, 0, g.due)
	var fault error // of a segment; the others are swept
	if looked := len(g.due); overflow && looked < indexSegments {
		due, fault = w.look(ctx, g.partition, looked, due)
	}
	more := int64(len(due) / sweepLook)
	if g.first != nil {
		if err := w.sweepBatch(ctx, g.first); err != nil {
			return err
		}
		due, more = due[len(g.first.members):], more+g.first.more
	}
	for {
		for some := range slices.Chunk(due, batchSize) {
			b := w.newBatch(g.partition, some)
			if err := w.sweepBatch(ctx, b); err != nil {
				return err
			}
			more += b.more
		}
		if more == 0 {
			return fault
		}
		due, fault = w.look(ctx, g.partition, 0, nil)
		more = int64(len(due) / sweepLook)
	}
}

// writeSummary writes the summary after all partitions were visited.
func (w *sweeping) writeSummary(ctx context.Context) error {
	failed, err := w.failures(ctx, hourOf(w.now))
	if err != nil {
		return err
	}
	w.summary.addFailures(failed)
	text, err := json.Marshal(w.summary)
	if err != nil {
		return err
	}
	return script.Retry(ctx, func() error {
		return w.rdb.Set(ctx, w.summaryKey(), text, summaryKept).Err()
	})
}
