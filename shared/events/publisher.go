package events

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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
	// Oldest is the age of the oldest event that was seen: for how long its outbox
	// has had it.
	Oldest time.Duration
}

// Publisher sends what is in the outboxes to a sink. It may run again and again,
// and then remembers what waits. It is not safe for concurrent use.
type Publisher struct {
	outbox  Outbox
	sink    Sink
	details bool
	now     func() time.Time
	warn    func(string, error)

	done  Progress
	queue []int                      // partitions to look at, in this order
	stuck []int                      // those whose events all wait
	known map[int]map[string]*status // about events that were sent, by partition and key
}

// status is what is known about an event that is still in its outbox.
type status struct {
	fate     Result // Accepted, or Refused for good; else Failed
	refused  int    // how often
	failures int    // how often it was not accepted
	next     time.Time
}

const (
	// refusals is how often a message is refused before it is given up.
	refusals = 5
	// readTogether is how many events of a partition are read at once, and
	// partitionsTogether how many partitions are in a round. So a large backlog
	// needs little memory.
	readTogether       = 100
	partitionsTogether = 128
	// pollEvery is how often hints are taken.
	pollEvery = time.Second
	// maxWait is the longest pause before an event that was not accepted is sent
	// again.
	maxWait = 20 * time.Second
	// roundTime is when a round stops sending: what was accepted is to be
	// removed soon.
	roundTime = 5 * time.Second
	// inARow is how many calls may accept nothing, one after the other, before a
	// round stops: the sink is away.
	inARow = 3
)

// NewPublisher returns a publisher. If details is not set, messages have no
// device and no address. warn is called for what an operator should know.
func NewPublisher(
	outbox Outbox, sink Sink, details bool, now func() time.Time, warn func(string, error),
) *Publisher {
	return &Publisher{
		outbox: outbox, sink: sink, details: details, now: now, warn: warn,
		known: map[int]map[string]*status{},
	}
}

// Use has the next run send to this sink.
func (p *Publisher) Use(sink Sink) { p.sink = sink }

// Run publishes until ctx ends: first what is in any outbox, then what hints name,
// once a second. It returns what it did, and the error of the last read of Redis
// if that failed.
func (p *Publisher) Run(ctx context.Context) (Progress, error) {
	p.done, p.queue, p.stuck = Progress{}, everywhere(), nil
	var fault error
	for {
		idle, err := p.spell(ctx, p.now().Add(pollEvery))
		if idle && !p.rest(ctx, pollEvery) {
			return p.done, fault
		}
		hints, unread := p.outbox.Hints(ctx)
		if ctx.Err() != nil {
			return p.done, fault
		}
		fault = cmp.Or(err, unread)
		p.queue = distinct(hints, p.queue, p.stuck)
		p.stuck = nil
	}
}

// everywhere returns all partitions, beginning anywhere: if there is no time for
// all of them, none is always the last.
func everywhere() []int {
	of := make([]int, session.OutboxPartitions)
	first := rand.IntN(len(of))
	for i := range of {
		of[i] = (first + i) % len(of)
	}
	return of
}

// distinct joins lists, without what occurs again.
func distinct(lists ...[]int) (all []int) {
	seen := map[int]bool{}
	for _, n := range slices.Concat(lists...) {
		if !seen[n] {
			all = append(all, n)
		}
		seen[n] = true
	}
	return all
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

// spell works through the queue until a time, or until the sink or Redis is away.
// It reports whether it is to rest now.
func (p *Publisher) spell(ctx context.Context, until time.Time) (idle bool, err error) {
	for len(p.queue) > 0 && ctx.Err() == nil {
		if !p.now().Before(until) {
			return false, err
		}
		n := min(len(p.queue), partitionsTogether)
		some := slices.Clone(p.queue[:n])
		p.queue = p.queue[n:]
		away, fault := p.round(ctx, some)
		if err = errors.Join(err, fault); away {
			return true, err
		}
	}
	return true, err
}

// item is an event that is sent in a round.
type item struct {
	partition int
	event     session.Outgoing
	status    *status
}

// round reads some outboxes, sends the first event of each account that was not
// accepted yet, and removes what can be removed. Partitions that have more go back
// to the queue, or to those that are stuck. It reports whether the sink is away.
func (p *Publisher) round(ctx context.Context, some []int) (away bool, err error) {
	all, err := p.outbox.Outgoing(ctx, some, readTogether)
	if err != nil {
		p.stuck = append(p.stuck, some...)
		return true, err
	}
	var items []item
	for _, partition := range some {
		next := p.nextOf(partition, all[partition])
		if p.isBlocked(partition, all[partition], len(next)) {
			deep, err := p.outbox.Outgoing(ctx, []int{partition}, session.OutboxMax)
			if err == nil {
				all[partition] = deep[partition]
				next = p.nextOf(partition, all[partition])
			}
		}
		items = append(items, next...)
	}
	accepted, away := p.sendAll(ctx, items)
	for _, partition := range some {
		removed, fault := p.remove(ctx, partition, all[partition])
		p.forget(partition)
		err = errors.Join(err, fault)
		switch {
		case removed || accepted[partition]:
			p.queue = append(p.queue, partition)
		case len(all[partition]) > 0:
			p.stuck = append(p.stuck, partition)
		}
	}
	return away, err
}

// nextOf returns the events of a partition that are sent next: of each account the
// oldest that has no fate yet, unless it waits. So the next one is sent after
// that.
func (p *Publisher) nextOf(partition int, events []session.Outgoing) (items []item) {
	known, now := p.statusOf(partition, events), p.now()
	waiting := map[token.UserID]bool{}
	for _, o := range events {
		n := known[o.Key()]
		switch {
		case n.fate != Failed:
		case !o.Readable():
			n.fate = Refused
			p.done.Refused++
		case !waiting[o.User]:
			waiting[o.User] = true
			p.done.Oldest = max(p.done.Oldest, now.Sub(o.Queued()))
			if !n.next.After(now) {
				items = append(items, item{partition, o, n})
			}
		}
	}
	return items
}

// statusOf returns what is known about the events of a partition. What is gone is
// forgotten, unless only the first events were read.
func (p *Publisher) statusOf(partition int, events []session.Outgoing) map[string]*status {
	before := p.known[partition]
	known := make(map[string]*status, len(events))
	if len(events) == readTogether {
		maps.Copy(known, before)
	}
	for _, o := range events {
		if known[o.Key()] = before[o.Key()]; known[o.Key()] == nil {
			known[o.Key()] = new(status)
		}
	}
	if p.known[partition] = known; len(known) == 0 {
		delete(p.known, partition)
	}
	return known
}

// isBlocked reports whether most of the events that were read wait to be removed,
// because the first of them is not accepted. There may be others behind them.
func (p *Publisher) isBlocked(partition int, events []session.Outgoing, next int) bool {
	if next > 0 || len(events) < readTogether {
		return false
	}
	fated := 0
	for _, o := range events {
		if p.known[partition][o.Key()].fate != Failed {
			fated++
		}
	}
	return fated > readTogether/2
}

// sendAll sends events, first those that have failed least. It stops if the sink
// is away, or when it has taken long. It returns the partitions of which it sent
// something.
func (p *Publisher) sendAll(ctx context.Context, items []item) (accepted map[int]bool, away bool) {
	slices.SortStableFunc(items, func(a, b item) int { return a.status.failures - b.status.failures })
	accepted = map[int]bool{}
	end, failed := p.now().Add(roundTime), 0
	for some := range slices.Chunk(items, p.sink.Batch()) {
		if failed++; p.send(ctx, some, accepted) {
			failed = 0
		}
		if ctx.Err() != nil || failed == inARow {
			return accepted, true
		}
		if !p.now().Before(end) {
			return accepted, failed > 0
		}
	}
	return accepted, false
}

// send sends some events, and notes what became of them. It reports whether the
// sink took or refused any.
func (p *Publisher) send(ctx context.Context, some []item, accepted map[int]bool) (answered bool) {
	all := make([]Delivery, len(some))
	for i, it := range some {
		all[i] = Delivery{TypeOf(it.event.Type), New(it.event, p.details), it.event.Time}
	}
	results, err := p.sink.Send(ctx, all)
	if err != nil && ctx.Err() == nil {
		p.warn("publishing events", err)
	}
	for i, it := range some {
		result := Failed
		if i < len(results) {
			result = results[i]
		}
		p.record(it.status, result)
		answered = answered || result != Failed
		if it.status.fate != Failed {
			accepted[it.partition] = true
		}
		if it.status.fate == Refused {
			p.warn("publishing events", givenUp(all[i]))
		}
	}
	return answered
}

// record notes the result of sending an event. What was not accepted waits.
func (p *Publisher) record(n *status, result Result) {
	switch result {
	case Accepted:
		p.done.Published++
		n.fate = Accepted
		return
	case Refused:
		if n.refused++; n.refused == refusals {
			p.done.Refused++
			n.fate = Refused
			return
		}
	case Failed:
		p.done.Retried++
	}
	n.next = p.now().Add(min(pollEvery<<min(n.failures, 8), maxWait))
	n.failures++
}

// givenUp names an event that was refused too often, and its account, so that
// an operator can replay it.
func givenUp(d Delivery) error {
	return fmt.Errorf("the event %s of user %s, of the type %s, was refused %d times and is given up",
		d.Message.ID, d.Message.UserID, d.Type, refusals)
}

// removeTime is how long removing may take, also after the publisher's time is
// over: what was accepted and is not removed is sent again.
const removeTime = 2 * time.Second

// remove removes the oldest events of a partition that have a fate. It reports
// whether the outbox changed.
func (p *Publisher) remove(
	ctx context.Context, partition int, events []session.Outgoing,
) (changed bool, err error) {
	var accepted, refused []session.Outgoing
	for _, o := range events {
		fate := p.known[partition][o.Key()].fate
		if fate == Failed {
			break // nothing behind it can be removed
		}
		if fate == Accepted {
			accepted = append(accepted, o)
		} else {
			refused = append(refused, o)
		}
	}
	if len(accepted)+len(refused) == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTime)
	defer cancel()
	removed, dropped, err := p.outbox.Published(ctx, partition, accepted, refused)
	p.done.Dropped += dropped
	if removed > 0 {
		for _, o := range slices.Concat(accepted, refused) {
			delete(p.known[partition], o.Key())
		}
	}
	return removed > 0, err
}

// forget forgets the events of a partition that were not sent yet. There may be
// as many as all outboxes hold.
func (p *Publisher) forget(partition int) {
	maps.DeleteFunc(p.known[partition], func(_ string, n *status) bool { return *n == status{} })
	if len(p.known[partition]) == 0 {
		delete(p.known, partition)
	}
}
