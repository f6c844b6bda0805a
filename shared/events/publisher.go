package events

import (
	"context"
	"slices"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Result is what a sink says about one delivery.
type Result byte

// The results.
const (
	// Failed deliveries are tried again: the sink is away, slow or throttles.
	Failed Result = iota
	// Accepted deliveries are the sink's from now on.
	Accepted
	// Refused deliveries are refused for what they are. After [refusals] tries
	// they are given up, so that they do not stop what comes after them.
	Refused
)

// Sink is where messages go.
type Sink interface {
	// Send sends messages, at most [Sink.Batch] of them, and returns a result for
	// each. The error says why some were not accepted, for the log.
	Send(ctx context.Context, all []Delivery) ([]Result, error)
	// Batch is how many messages Send takes at once.
	Batch() int
}

// Outbox is where the publisher finds events; see [session.Store.Outgoing].
type Outbox interface {
	Outgoing(ctx context.Context, of []int, limit int) (map[int][]session.Outgoing, error)
	Published(
		ctx context.Context, partition int, accepted, refused []session.Outgoing,
	) (removed, dropped int, err error)
	Hints(ctx context.Context) ([]int, error)
}

// Progress is what a publisher did.
type Progress struct {
	// Published is how many messages were accepted, and Retried how many failed
	// and were, or will be, sent again.
	Published, Retried int
	// Refused is how many messages were given up, and Dropped how many were lost
	// because an outbox was full.
	Refused, Dropped int
	// Oldest is the age of the oldest event that was seen.
	Oldest time.Duration
}

// Publisher sends what is in the outboxes to a sink.
type Publisher struct {
	outbox  Outbox
	sink    Sink
	details bool
	now     func() time.Time
	warn    func(string, error)

	done  Progress
	wait  time.Duration // before the next try, while the sink fails
	fates map[int]fates // of each partition, of what waits to be removed
	tries map[string]int
}

// fates say what became of events, by their keys: Accepted, or Refused for good.
type fates map[string]Result

const (
	// refusals is how often a message is refused before it is given up.
	refusals = 5
	// readTogether is how many events of a partition are read at once.
	readTogether = 100
	// pollEvery is how often hints are taken.
	pollEvery = time.Second
	// maxWait is the longest pause while the sink fails.
	maxWait = 20 * time.Second
)

// NewPublisher returns a publisher. If details is not set, messages have no
// device and no address. warn is called for what an operator should know.
func NewPublisher(
	outbox Outbox, sink Sink, details bool, now func() time.Time, warn func(string, error),
) *Publisher {
	return &Publisher{
		outbox: outbox, sink: sink, details: details, now: now, warn: warn,
		fates: map[int]fates{}, tries: map[string]int{},
	}
}

// Run publishes until ctx ends: first what is in any outbox, then what hints name,
// once a second. It returns what it did, and the error of the last read of Redis
// if that failed.
func (p *Publisher) Run(ctx context.Context) (Progress, error) {
	of := everywhere()
	var fault error
	for {
		left, err := p.publish(ctx, of)
		hints, unread := p.outbox.Hints(ctx)
		if ctx.Err() != nil {
			return p.done, fault
		}
		if fault = err; fault == nil {
			fault = unread
		}
		if err != nil {
			left = of
		}
		of = slices.Compact(slices.Sorted(slices.Values(append(left, hints...))))
		if !p.rest(ctx, max(pollEvery, p.wait)) {
			return p.done, fault
		}
	}
}

// everywhere returns all partitions.
func everywhere() []int {
	of := make([]int, session.OutboxPartitions)
	for i := range of {
		of[i] = i
	}
	return of
}

// rest pauses, and reports whether there is time left.
func (p *Publisher) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// publish sends what is in the outboxes of these partitions until they are empty
// or the sink fails. It returns the partitions that have more.
func (p *Publisher) publish(ctx context.Context, of []int) (left []int, err error) {
	for len(of) > 0 && ctx.Err() == nil {
		all, err := p.outbox.Outgoing(ctx, of, readTogether)
		if err != nil {
			return of, err
		}
		of = of[:0:0]
		for partition, events := range all {
			p.age(events)
			of = append(of, partition)
		}
		slices.Sort(of)
		progress, err := p.round(ctx, of, all)
		if err != nil || !progress {
			return of, err
		}
	}
	return of, nil
}

func (p *Publisher) age(events []session.Outgoing) {
	for _, o := range events {
		if age := p.now().Sub(o.Time); o.Readable() && age > p.done.Oldest {
			p.done.Oldest = age
		}
	}
}

// item is an event that is sent in a round.
type item struct {
	partition int
	event     session.Outgoing
	result    Result
}

// round sends the first event of each account that was not accepted yet, and
// removes what can be removed. It reports whether anything was.
func (p *Publisher) round(
	ctx context.Context, of []int, all map[int][]session.Outgoing,
) (progress bool, err error) {
	var items []item
	for _, partition := range of {
		items = append(items, p.due(partition, all[partition])...)
	}
	failed := false
	for some := range slices.Chunk(items, p.sink.Batch()) {
		failed = p.send(ctx, some) || failed
	}
	p.slowDown(failed)
	p.judge(items)
	for _, partition := range of {
		removed, err := p.remove(ctx, partition, all[partition])
		progress = progress || removed
		if err != nil {
			return progress, err
		}
	}
	return progress && !failed, nil
}

// due returns the events of a partition that are sent next: of each account the
// oldest that has no fate yet. So the next one is sent after that.
func (p *Publisher) due(partition int, events []session.Outgoing) (items []item) {
	var waiting []token.UserID
	for _, o := range events {
		if p.fates[partition][o.Key()] != 0 || slices.Contains(waiting, o.User) {
			continue
		}
		it := item{partition: partition, event: o}
		if !o.Readable() {
			it.result = Refused
		} else {
			waiting = append(waiting, o.User)
		}
		items = append(items, it)
	}
	return items
}

// send sends some events, and sets their results. It reports whether any failed.
func (p *Publisher) send(ctx context.Context, some []item) (failed bool) {
	var all []Delivery
	var of []*item
	for i := range some {
		if it := &some[i]; it.event.Readable() {
			all = append(all, Delivery{TypeOf(it.event.Type), New(it.event, p.details), it.event.Time})
			of = append(of, it)
		}
	}
	if len(all) == 0 {
		return false
	}
	results, err := p.sink.Send(ctx, all)
	if err != nil && ctx.Err() == nil {
		p.warn("publishing events", err)
	}
	for i, it := range of {
		if i < len(results) {
			it.result = results[i]
		}
		switch it.result {
		case Accepted:
			p.done.Published++
		case Failed:
			p.done.Retried++
			failed = true
		}
	}
	return failed
}

// slowDown makes pauses longer while the sink fails.
func (p *Publisher) slowDown(failed bool) {
	switch {
	case !failed:
		p.wait = 0
	case p.wait == 0:
		p.wait = pollEvery
	default:
		p.wait = min(2*p.wait, maxWait)
	}
}

// judge decides the fates of events by the results of their sending.
func (p *Publisher) judge(items []item) {
	for _, it := range items {
		key := it.event.Key()
		if it.result == Refused && it.event.Readable() {
			if p.tries[key]++; p.tries[key] < refusals {
				continue
			}
		}
		if it.result == Failed {
			continue
		}
		if it.result == Refused {
			p.done.Refused++
		}
		delete(p.tries, key)
		if p.fates[it.partition] == nil {
			p.fates[it.partition] = fates{}
		}
		p.fates[it.partition][key] = it.result
	}
}

// removeTime is how long removing may take, also after the publisher's time is
// over: what was accepted and is not removed is sent again.
const removeTime = 2 * time.Second

// remove removes the oldest events of a partition that have a fate. It reports
// whether the outbox changed.
func (p *Publisher) remove(
	ctx context.Context, partition int, events []session.Outgoing,
) (changed bool, err error) {
	known := p.fates[partition]
	var accepted, refused []session.Outgoing
	for _, o := range events {
		switch known[o.Key()] {
		case Accepted:
			accepted = append(accepted, o)
		case Refused:
			refused = append(refused, o)
		}
	}
	if len(accepted)+len(refused) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	removed, dropped, err := p.outbox.Published(ctx, partition, accepted, refused)
	if err != nil {
		return false, err
	}
	p.done.Dropped += dropped
	for _, o := range events[:min(removed, len(events))] {
		delete(known, o.Key())
	}
	if len(known) == 0 {
		delete(p.fates, partition)
	}
	return removed > 0, nil
}
