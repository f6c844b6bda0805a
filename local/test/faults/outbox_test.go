package faults_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/events"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// allEventTypes are all types of events that scripts write.
func allEventTypes() (all []session.EventType) {
	for _, of := range events.Types() {
		all = append(all, of)
	}
	slices.Sort(all)
	return all
}

// Where an event has its id, type and sequence: in an activity, and in an outbox.
const (
	idEnd      = 14
	outboxHead = 1 + 6 + 16
)

// eventID is the id of an event in an activity.
func eventID(raw string) string { return base64.RawURLEncoding.EncodeToString([]byte(raw[1:idEnd])) }

// stranger is an event in an outbox as another change would have written it, later.
func stranger(raw string) string {
	b := []byte(raw)
	b[6]++
	b[outboxHead+7] ^= 1
	return string(b)
}

// recorded are the ids of the events of an account's activity, oldest first. An activity that is full is no witness.
func (w *world) recorded(key string) (ids []string, isWitness bool) {
	w.t.Helper()
	all, err := w.rdb.LRange(ctx, key, 0, -1).Result()
	must(w.t, err)
	for _, raw := range slices.Backward(all) {
		if !isDetail(raw) {
			ids = append(ids, eventID(raw))
		}
	}
	return ids, len(all) < w.opts.ActivityMax
}

// queued are the events in the outboxes, oldest first, by the account's key of its activity. An erased account has only those
// from behind its erasure: of the activity nothing remains then.
func (w *world) queued() (all map[string][]change, problems []string) {
	w.t.Helper()
	all = map[string][]change{}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:q") {
		raws, err := w.rdb.LRange(ctx, key, 0, -1).Result()
		must(w.t, err)
		last := ""
		for _, raw := range slices.Backward(raws) {
			if sequence := raw[1:7]; sequence <= last {
				problems = append(problems, fmt.Sprintf("in an outbox %x comes after %x", sequence, last))
			} else {
				last = sequence
			}
			of := strings.TrimSuffix(key, "q") + "a" + raw[7:outboxHead]
			all[of] = appended(all[of], change{eventID(raw[outboxHead:]), session.EventType(raw[outboxHead])})
		}
	}
	return all, problems
}

// change is an event by its id and type.
type change struct {
	id string
	of session.EventType
}

// appended are events with another one. Of an account that was erased nothing is known from before.
func appended(all []change, c change) []change {
	if c.of == session.EventErased {
		return nil
	}
	return append(all, c)
}

// sinceErasure are the ids of events, of which the last n are known. The erasure of an account to which nobody has signed in
// has no event. What it had before are blocks and roles.
func sinceErasure(all []change, n int) (ids []string) {
	ids = []string{}
	for i, c := range all {
		silent := c.of == session.EventBlocked || c.of == session.EventUnblocked || c.of == session.EventRoles
		if !silent || i >= len(all)-n {
			ids = append(ids, c.id)
		}
	}
	return ids
}

// mispublished tells where an outbox and the activities do not have the same events in the same order: an event without its
// change, a change without its event. Where publishers run, what they have received counts as if it still waited.
func (w *world) mispublished() (problems []string) {
	w.t.Helper()
	queued, problems := w.queued()
	if w.box != nil {
		return problems
	}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:a*") {
		if _, known := queued[key]; !known {
			queued[key] = nil
		}
	}
	for key, got := range queued {
		want, isWitness := w.recorded(key)
		if ids := sinceErasure(got, len(want)); len(want) > 0 && isWitness && !slices.Equal(ids, want) {
			problems = append(problems, fmt.Sprintf("the outbox has %q of an account whose activity has %q", ids, want))
		}
	}
	return problems
}

// receiver is where messages arrive. It fails at random.
type receiver struct {
	mu     sync.Mutex
	random *rand.Rand
	well   bool // fails no more
	all    []events.Delivery
	seen   map[string]int // deliveries, by id
	said   map[events.Result]int
	no     map[string]int // refusals, by id
}

func newReceiver(seed uint64) *receiver {
	return &receiver{
		random: rand.New(rand.NewPCG(seed, 9)), seen: map[string]int{}, said: map[events.Result]int{}, no: map[string]int{},
	}
}

func (r *receiver) Batch() int { return 3 }

// Send takes messages, or some of them, or takes them and does not say so; it is slow at times.
func (r *receiver) Send(_ context.Context, all []events.Delivery) (results []events.Result, err error) {
	if r.chance(10) {
		time.Sleep(20 * time.Millisecond)
	}
	for _, d := range all {
		results = append(results, r.take(d))
	}
	if r.chance(20) {
		return nil, errors.New("the answer is lost")
	}
	return results, nil
}

// chance draws, with one in n.
func (r *receiver) chance(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.well && r.random.IntN(n) == 0
}

func (r *receiver) take(d events.Delivery) events.Result {
	fails, refuses := r.chance(8), r.chance(12)
	r.mu.Lock()
	defer r.mu.Unlock()
	result, id := events.Accepted, d.Message.UserID+d.Message.ID
	switch {
	case fails:
		result = events.Failed
	case refuses && r.no[id] < 2: // not so often that it is given up
		r.no[id]++
		result = events.Refused
	default:
		if r.seen[id]++; r.seen[id] == 1 {
			r.all = append(r.all, d)
		}
	}
	r.said[result]++
	return result
}

// mortal is an outbox whose publisher dies at random calls, before or after them.
type mortal struct {
	events.Outbox
	r *receiver
}

var errDied = errors.New("the publisher died")

func (m mortal) Outgoing(ctx context.Context, of []int, limit int) (map[int][]session.Outgoing, error) {
	all, err := m.Outbox.Outgoing(ctx, of, limit)
	if len(all) > 0 && m.r.chance(8) {
		panic(errDied)
	}
	return all, err
}

func (m mortal) Published(ctx context.Context, n int, accepted, refused []session.Outgoing) (int, int, error) {
	if m.r.chance(8) {
		panic(errDied)
	}
	removed, dropped, err := m.Outbox.Published(ctx, n, accepted, refused)
	if m.r.chance(8) {
		panic(errDied)
	}
	return removed, dropped, err
}

// work runs a publisher until it dies, or for a while.
func (r *receiver) work(over context.Context, s *session.Store) {
	defer func() {
		if died := recover(); died != nil && died != errDied {
			panic(died)
		}
	}()
	r.mu.Lock()
	span := time.Duration(r.random.IntN(3000)) * time.Millisecond
	r.mu.Unlock()
	limited, cancel := context.WithTimeout(over, span)
	defer cancel()
	_, _ = events.NewPublisher(mortal{s, r}, r, true, time.Now, func(string, error) {}).Run(limited)
}

// publish runs publishers one after the other, and a second one beside them at times, until it is over.
func (r *receiver) publish(over context.Context, s *session.Store) {
	var both sync.WaitGroup
	both.Go(func() {
		for over.Err() == nil {
			r.work(over, s)
		}
	})
	both.Go(func() {
		for over.Err() == nil {
			r.work(over, s)
			time.Sleep(time.Second)
		}
	})
	both.Wait()
}

// drain runs a publisher in good health until no outbox has anything.
func (r *receiver) drain(t *testing.T, s *session.Store) {
	t.Helper()
	r.mu.Lock()
	r.well = true
	r.mu.Unlock()
	running, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	var all []int
	for n := range session.OutboxPartitions {
		all = append(all, n)
	}
	var publisher sync.WaitGroup
	publisher.Go(func() {
		done, err := events.NewPublisher(s, r, true, time.Now, func(string, error) {}).Run(running)
		if err != nil || done.Dropped+done.Refused+done.Retried != 0 {
			t.Errorf("draining the outboxes: %+v, %v", done, err)
		}
	})
	for {
		left, err := s.Outgoing(ctx, all, 1)
		if running.Err() != nil {
			t.Errorf("the outboxes do not become empty: %d, %v", len(left), err)
		}
		if err == nil && len(left) == 0 || running.Err() != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
	publisher.Wait()
}

// received asserts that of each account every event of its activity was received, in the order of the activity, and none that
// no change made. An erased account has only the events behind its erasure in its activity: of those before, each that was
// told of must have arrived. first deliveries have a growing sequence.
func (w *world) received(emitted []session.Event) {
	w.t.Helper()
	r := w.box
	r.mu.Lock()
	defer r.mu.Unlock()
	got, last := map[string][]change{}, map[string]uint64{}
	for _, d := range r.all {
		user := d.Message.UserID
		if d.Message.Sequence <= last[user] {
			w.t.Errorf("of an account the sequence %d was first received after %d", d.Message.Sequence, last[user])
		}
		last[user] = max(last[user], d.Message.Sequence)
		got[user] = appended(got[user], change{d.Message.ID, events.Types()[d.Type]})
	}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:a*") {
		user := token.UserID([]byte(key[len(key)-16:]))
		if _, known := got[user.String()]; !known {
			got[user.String()] = nil
		}
	}
	for text, all := range got {
		user, err := base64.RawURLEncoding.DecodeString(text)
		must(w.t, err)
		want, isWitness := w.recorded(w.activityKey(token.UserID(user)))
		if !isWitness {
			w.t.Error("the activity of an account is full")
		}
		if ids := sinceErasure(all, len(want)); !slices.Equal(ids, want) {
			w.t.Errorf("of an account was received\n%q, the activity has\n%q", ids, want)
		}
	}
	for _, e := range emitted {
		if r.seen[e.User.String()+e.ID] == 0 {
			w.t.Errorf("of what was told of, never received: %+v", e)
		}
	}
	if r.said[events.Accepted] == 0 || r.said[events.Failed] == 0 || r.said[events.Refused] == 0 {
		w.t.Errorf("the receiver said %v", r.said)
	}
}

// The checks can fail: whatever is spoiled of what was received, they tell.
func TestReceived(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t), nil)
		who := w.stranger()
		w.signIn(who)
		g := w.signIn(who)
		w.end(g, session.LoggedOut)
		w.box = newReceiver(1)
		w.box.drain(t, w.Store)
		w.box.said[events.Failed], w.box.said[events.Refused] = 1, 1
		w.received(w.all)
		whole := slices.Clone(w.box.all)
		other := whole[0]
		other.Message.ID = "AaIvF0bwu4pRFwd4AA"
		other.Message.Sequence = whole[2].Message.Sequence + 1
		for name, spoiled := range map[string][]events.Delivery{
			"missing": whole[1:], "last missing": whole[:2], "surplus": append(slices.Clone(whole), other),
			"order": {whole[1], whole[0], whole[2]},
		} {
			silent := &testing.T{}
			w.box.all, w.t = spoiled, silent
			w.received(nil)
			if w.t = t; !silent.Failed() {
				t.Errorf("%s: it finds nothing", name)
			}
		}
	})
}

// A function that dies after its script ran, before its answer and its hint, loses no event, and whoever asks again, under the
// same idempotency key, makes none twice.
func TestOutbox_answerLost(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := between(t, e.Server(t))
		w.rehearse()
		for _, a := range acts {
			if len(a.events) == 0 || a.repeats {
				continue
			}
			tr := w.try(a)
			struck := false
			w.proxies.Decide(func(request []byte) redistest.Fault {
				if !struck && redistest.Script(request) && bytes.Contains(request, []byte(w.key(tr.user, "q"))) {
					struck = true
					return redistest.CutAfter
				}
				return redistest.None
			})
			before := w.waiting(tr.user)
			_, _ = tr.ask()
			w.proxies.Decide(nil)
			if got := w.waiting(tr.user) - before; got != len(tr.events) || !struck {
				t.Errorf("%s: after a lost answer its outbox has %d events of it, want %d", a.name, got, len(tr.events))
			}
			w.checkComplete()
		}
	})
}

// waiting is how many events of an account wait in its outbox.
func (w *world) waiting(u token.UserID) (n int) {
	w.t.Helper()
	all, err := w.rdb.LRange(ctx, w.key(u, "q"), 0, -1).Result()
	must(w.t, err)
	for _, raw := range all {
		if raw[7:outboxHead] == string(u[:]) {
			n++
		}
	}
	return n
}
