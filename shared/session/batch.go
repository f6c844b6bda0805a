package session

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// batch are members of a partition that one script sweeps, at most batchSize.
type batch struct {
	members []member
	call    script.Call // has a reply once the batch was swept
	more    int64       // how many members have more sessions to end then
	err     error
}

// batchArgs is how many arguments of a batch are not about a member.
const batchArgs = 5

// newBatch returns a batch of some members of a partition.
func (w *sweeping) newBatch(partition int, some []member) *batch {
	b := &batch{members: some, call: script.Call{
		Script: sweepScript, Keys: []string{w.countersKey(partition)},
		Args: []any{
			millis(w.now), w.opts.ActivityMax, ceilMillis(w.opts.ActivityKeep),
			ceilMillis(w.opts.PreferencesKeep), w.outgoing(nil),
		},
	}}
	for _, m := range some {
		b.call.Keys = append(b.call.Keys, w.indexKey(partition, m.segment),
			w.memberRecordKey(partition, m.name), w.memberActivityKey(partition, m.name))
		idem := script.NewIdempotencyKey()
		b.call.Args = append(b.call.Args, string(idem[:])+m.name)
	}
	b.call.Keys = append(b.call.Keys, w.outboxKeys(partition)...)
	return b
}

// sweepFirst sends the first batch of each partition, if there is much to
// sweep. In the same round trip it unlinks what the sweep has left, and looks
// at the next partitions. How many requests wait for a sweep depends on how
// many round trips it makes, more than on how long each is.
//
// It returns how many subjects it swept. Its errors are found again: a batch
// without a reply is sent once more, alone, by sweepBatch; and the next
// partitions are looked at again.
func (w *sweeping) sweepFirst(ctx context.Context, seen []partitionView) int {
	calls, n := w.firstBatches(seen)
	if n < sweepMany {
		return 0 // sweepBatch sends them
	}
	var ahead []partitionView
	err := script.PipelineWith(ctx, w.rdb, func(p redis.Pipeliner) {
		w.queueUnlinks(ctx, p)
		ahead = w.queueLook(ctx, p, w.next)
	}, calls...)
	w.left, w.leftKeys = nil, 0
	// What each batch did is told before anything else can fail.
	for _, g := range seen {
		if g.first != nil && g.first.call.Reply != nil {
			w.took(ctx, g.first)
		}
	}
	if err == nil {
		w.ahead = ahead
	}
	return n
}

// firstBatches makes the first batch of each partition that has due members. It
// returns their calls, and how many members they have.
func (w *sweeping) firstBatches(seen []partitionView) (calls []*script.Call, n int) {
	for i, g := range seen {
		due := members(nil, 0, g.due)
		if due = due[:min(len(due), batchSize)]; len(due) > 0 {
			seen[i].first = w.newBatch(g.partition, due)
			calls, n = append(calls, &seen[i].first.call), n+len(due)
		}
	}
	return calls, n
}

// sweepBatch sweeps a batch, unless sweepFirst has, and keeps the counters of
// its partition.
func (w *sweeping) sweepBatch(ctx context.Context, b *batch) error {
	if b.call.Reply == nil {
		r, emitted, err := w.runEmitting(ctx, b.call.Script, b.call.Keys,
			b.call.Args[:batchArgs+len(b.members)]...)
		if err != nil {
			return err
		}
		b.call.Reply, b.call.Emitted = r, emitted
		w.took(ctx, b)
		w.rest(time.Duration(len(b.members)) * sweepRest)
	}
	if b.call.Emitted != "" {
		w.lastCounters = b.call.Reply.Text(3)
	}
	return b.err
}

// took takes the reply of a batch: it tells what ended, and keeps what that
// leaves.
func (w *sweeping) took(ctx context.Context, b *batch) {
	r, emitted := b.call.Reply, b.call.Emitted
	if r.Outcome() != outcomeDone {
		b.err = ErrDamaged
		return
	}
	w.done.Ended += len(emitted) / emittedSize
	w.done.Damaged += int(r.Int(1))
	w.hint(ctx, emitted)
	w.leave(ctx, w.leftBy(emitted, nil))
	b.more, b.err = r.Int(2), w.audit(ctx, emitted, transaction{})
}
