package events_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/messages"
	"latchkey/local/test/redistest"
	"latchkey/shared/events"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a store that publishes all its events, and which it emitted.
type world struct {
	*session.Store
	client  redis.UniversalClient
	ring    *seal.Ring
	opts    session.Options
	t       *testing.T
	mu      sync.Mutex
	emitted map[string][]string // ids in order, by user id
	logins  int
}

func newWorld(t *testing.T, r redistest.Redis, change ...func(*session.Options)) *world {
	t.Helper()
	secret := []byte("0123456789abcdef0123456789abcdef")
	ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, secret))
	must(t, err)
	w := &world{t: t, emitted: map[string][]string{}}
	opts := session.Options{
		Prefix: r.Prefix, Idle: time.Hour, Absolute: 12 * time.Hour, Access: 15 * time.Minute, Grace: time.Minute,
		Touch: time.Minute, SessionLimit: 2, StepUp: 5 * time.Minute, PreferencesKeep: 24 * time.Hour, StateQuota: 1 << 10,
		ActivityMax: 100, ActivityKeep: 24 * time.Hour,
	}
	for _, c := range change {
		c(&opts)
	}
	for _, of := range events.Types() {
		opts.Outbox.Types = append(opts.Outbox.Types, of)
	}
	opts.Audit = func(_ context.Context, e session.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.emitted[e.User.String()] = append(w.emitted[e.User.String()], e.ID)
	}
	patient := func(o *redis.UniversalOptions) {
		o.PoolTimeout, o.ReadTimeout, o.DialTimeout = time.Minute, time.Minute, time.Minute
	}
	w.client, w.ring, w.opts = r.NewProduct(t, patient), ring, opts
	w.Store = session.NewStore(w.client, ring, opts, time.Now)
	return w
}

// signIn signs an account in, which ends its oldest session if it has two.
func (w *world) signIn(n int) {
	w.t.Helper()
	w.logins++
	_, err := w.Create(ctx, session.Login{
		Nonce: fmt.Sprint(w.logins), Account: token.KeyAccount(common.BigToAddress(big.NewInt(int64(n)))), ChainID: 1,
		Client: session.Client{Transport: session.Bearer},
	})
	must(w.t, err)
}

// sink is where messages arrive. answer says what becomes of each; nil accepts.
type sink struct {
	mu     sync.Mutex
	got    []events.Delivery
	batch  int
	answer func(d events.Delivery, before int) events.Result
	tries  map[string]int
	after  func() // each Send
}

func (s *sink) Batch() int { return max(1, s.batch) }

func (s *sink) Send(_ context.Context, all []events.Delivery) (results []events.Result, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after != nil {
		defer s.after()
	}
	for _, d := range all {
		result := events.Accepted
		if s.answer != nil {
			result = s.answer(d, s.tries[d.Message.ID])
		}
		if s.tries == nil {
			s.tries = map[string]int{}
		}
		s.tries[d.Message.ID]++
		if results = append(results, result); result == events.Accepted {
			s.got = append(s.got, d)
		} else {
			err = errors.New("not accepted")
		}
	}
	return results, err
}

// first returns the ids of first deliveries in order, by user id.
func (s *sink) first() map[string][]string {
	all := map[string][]string{}
	for _, d := range s.got {
		if id := d.Message.ID; !slices.Contains(all[d.Message.UserID], id) {
			all[d.Message.UserID] = append(all[d.Message.UserID], id)
		}
	}
	return all
}

// wantsAll checks that every event arrived, and the first deliveries in order.
func (w *world) wantsAll(s *sink) {
	w.t.Helper()
	got := s.first()
	for user, ids := range w.emitted {
		if !slices.Equal(got[user], ids) {
			w.t.Errorf("%s: emitted %q, got %q", user, ids, got[user])
		}
	}
	last := map[string]uint64{}
	for _, d := range s.got {
		if s.tries[d.Message.ID] == 1 && d.Message.Sequence <= last[d.Message.UserID] {
			w.t.Errorf("the sequence %d came after %d", d.Message.Sequence, last[d.Message.UserID])
		}
		last[d.Message.UserID] = max(last[d.Message.UserID], d.Message.Sequence)
	}
}

// publisher is one whose clock is as much ahead as a test says: of now, or of the time at which it stopped. It keeps the errors
// that it warned of.
type publisher struct {
	*events.Publisher
	ahead   time.Duration
	stopped time.Time
	warned  []string
}

func newPublisher(box events.Outbox, s events.Sink) *publisher {
	p := new(publisher)
	warn := func(_ string, err error) { p.warned = append(p.warned, err.Error()) }
	now := func() time.Time {
		if !p.stopped.IsZero() {
			return p.stopped.Add(p.ahead)
		}
		return time.Now().Add(p.ahead)
	}
	p.Publisher = events.NewPublisher(box, s, true, now, warn)
	return p
}

// publish runs a publisher until the outboxes are empty or time is up. What waits is due each time.
func publish(t *testing.T, box events.Outbox, s events.Sink) events.Progress {
	t.Helper()
	p := newPublisher(box, messages.Wrap(t, s, nil))
	for range 50 {
		left, err := p.Once(ctx)
		if err == nil && len(left) == 0 {
			break
		}
		p.ahead += 20 * time.Second
	}
	return p.Done()
}

// story makes changes of three accounts.
func (w *world) story() {
	w.t.Helper()
	for range 4 {
		for n := range 3 {
			w.signIn(n)
		}
	}
}

func TestPublisher(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, s := newWorld(t, r), &sink{batch: 10}
		w.story()
		done := publish(t, w, s)
		w.wantsAll(s)
		if len(s.got) != done.Published || done.Retried+done.Refused+done.Dropped != 0 || len(s.got) == 0 {
			t.Errorf("got %d, done %+v", len(s.got), done)
		}
		if again := publish(t, w, s); again.Published != 0 {
			t.Errorf("published again: %+v", again)
		}
	})
}

// A sink that fails now and then, for some accounts or for all, delays messages and loses none.
func TestPublisher_sinkFails(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.story()
		n := 0
		s := &sink{batch: 3, answer: func(_ events.Delivery, before int) events.Result {
			if n++; n%3 == 0 && before < 4 {
				return events.Failed
			}
			return events.Accepted
		}}
		done := publish(t, w, s)
		w.wantsAll(s)
		if done.Retried == 0 || done.Refused != 0 {
			t.Errorf("done %+v", done)
		}
	})
}

// A message that is refused for what it is, is given up after five tries. What comes after it arrives, in order.
func TestPublisher_refused(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.story()
		var bad string
		s := &sink{answer: func(d events.Delivery, _ int) events.Result {
			if bad == "" {
				bad = d.Message.ID
			}
			if d.Message.ID == bad {
				return events.Refused
			}
			return events.Accepted
		}}
		done := publish(t, w, s)
		if done.Refused != 1 || s.tries[bad] != events.Refusals {
			t.Errorf("done %+v, tried %d times", done, s.tries[bad])
		}
		for user, ids := range w.emitted {
			w.emitted[user] = slices.DeleteFunc(ids, func(id string) bool { return id == bad })
		}
		w.wantsAll(s)
	})
}

// An operator is told once which event was given up, and of whom: its account can be replayed.
func TestPublisher_namesRefused(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.signIn(0)
		p := newPublisher(w, &sink{answer: func(events.Delivery, int) events.Result { return events.Refused }})
		for range events.Refusals {
			_, err := p.Once(ctx)
			must(t, err)
			p.ahead += 20 * time.Second
		}
		for user, ids := range w.emitted {
			named := slices.DeleteFunc(p.warned, func(s string) bool { return !strings.Contains(s, "given up") })
			if len(ids) != 1 || len(named) != 1 || !strings.Contains(named[0], ids[0]) || !strings.Contains(named[0], user) {
				t.Errorf("events %v of %s were refused, and it says %q", ids, user, named)
			}
		}
	})
}

// failing is an outbox that fails at one of its calls: before it does anything, or after.
type failing struct {
	events.Outbox
	left  int
	after bool
}

var errDied = errors.New("died")

// dies reports whether the call fails now.
func (f *failing) dies() bool {
	f.left--
	return f.left == -1
}

func (f *failing) Outgoing(ctx context.Context, of []int, limit int) (map[int][]session.Outgoing, error) {
	all, err := f.Outbox.Outgoing(ctx, of, limit)
	if len(all) > 0 && f.dies() {
		return nil, errDied
	}
	return all, err
}

func (f *failing) Published(ctx context.Context, n int, accepted, refused []session.Outgoing) (int, int, error) {
	dies := f.dies()
	if dies && !f.after {
		return 0, 0, errDied
	}
	removed, dropped, err := f.Outbox.Published(ctx, n, accepted, refused)
	if dies {
		return 0, 0, errDied
	}
	return removed, dropped, err
}

// A publisher may die between any two of its steps: the next one goes on.
func TestPublisher_dies(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, s := newWorld(t, r), &sink{batch: 2}
		for at, died := 0, true; died; at++ {
			died = false
			for _, after := range []bool{false, true} {
				w.story()
				_, err := newPublisher(&failing{w, at, after}, messages.Wrap(t, s, nil)).Once(ctx)
				died = died || errors.Is(err, errDied)
			}
			if at > 100 {
				t.Fatal("it always dies")
			}
		}
		publish(t, w, s)
		w.wantsAll(s)
	})
}

// Two publishers at once, beside those who make changes, lose nothing, and no first delivery is out of order.
func TestPublisher_two(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, s := newWorld(t, r), &sink{batch: 3}
		var all sync.WaitGroup
		stop := make(chan bool)
		for range 2 {
			all.Go(func() {
				p := newPublisher(w, messages.Wrap(t, s, nil))
				for {
					if _, err := p.Once(ctx); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		for range 5 {
			w.story()
		}
		close(stop)
		all.Wait()
		publish(t, w, s)
		w.wantsAll(s)
	})
}

// Run finds what hints name, and what no hint names.
func TestPublisher_run(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.story()
		_, err := w.Hints(ctx) // those are lost
		must(t, err)
		running, stop := context.WithCancel(ctx)
		n := 0
		s := &sink{batch: 100}
		s.after = func() {
			if n++; n == 1 {
				go w.story()
			}
			if len(s.got) >= 42 {
				stop()
			}
		}
		p := newPublisher(w, messages.Wrap(t, s, nil))
		if _, err := p.Run(running); err != nil {
			t.Error(err)
		}
		w.wantsAll(s)
	})
}

// neighbours are numbers of accounts of one partition.
func (w *world) neighbours(n int) (all []int) {
	partition := func(n int) string {
		user := w.UserOf(token.KeyAccount(common.BigToAddress(big.NewInt(int64(n)))))
		return fmt.Sprintf("%x", user[:2])[:3]
	}
	for i := 1; len(all) < n; i++ {
		if partition(i) == partition(1) {
			all = append(all, i)
		}
	}
	return all
}

// An account whose messages always fail, slowly, holds up no other account: neither those of its partition, however much they
// have, nor those behind it.
func TestPublisher_oneAccountFails(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		near := w.neighbours(3)
		bad := w.UserOf(token.KeyAccount(common.BigToAddress(big.NewInt(int64(near[0]))))).String()
		w.signIn(near[0])
		for range 60 {
			w.signIn(near[1])
		}
		w.signIn(near[2])
		w.story()
		var p *publisher
		s := &sink{batch: 1, answer: func(d events.Delivery, _ int) events.Result {
			if d.Message.UserID == bad {
				p.ahead += 10 * time.Second
				return events.Failed
			}
			return events.Accepted
		}}
		p = newPublisher(w, s)
		p.stopped = time.Now()
		for range 3 {
			_, err := p.Once(ctx)
			must(t, err)
			p.ahead += time.Second
		}
		if n := s.tries[w.emitted[bad][0]]; n == 0 || n > 3 {
			t.Errorf("what fails was sent %d times", n)
		}
		delete(w.emitted, bad)
		w.wantsAll(s)
	})
}

// A message that is refused for what it is reaches its last try within one run of a publisher, also if the sink takes
// seconds for each.
func TestPublisher_refusedInTime(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t))
		w.story()
		var p *publisher
		var bad string
		s := &sink{batch: 1, answer: func(d events.Delivery, _ int) events.Result {
			p.ahead += 200 * time.Millisecond
			if bad == "" {
				bad = d.Message.ID
			}
			if d.Message.ID == bad {
				return events.Refused
			}
			return events.Accepted
		}}
		p = newPublisher(w, s)
		for p.ahead < 45*time.Second && p.Done().Refused == 0 {
			_, err := p.Once(ctx)
			must(t, err)
			p.ahead += time.Second
		}
		if p.Done().Refused != 1 || s.tries[bad] != events.Refusals {
			t.Errorf("after %v it was sent %d times: %+v", p.ahead, s.tries[bad], p.Done())
		}
	})
}

// unremovable is an outbox of which one partition cannot be changed.
type unremovable struct {
	events.Outbox
	partition int
}

func (u *unremovable) Published(ctx context.Context, n int, accepted, refused []session.Outgoing) (int, int, error) {
	if u.partition < 0 {
		u.partition = n
	}
	if u.partition == n {
		return 0, 0, errDied
	}
	return u.Outbox.Published(ctx, n, accepted, refused)
}

// Where what was accepted cannot be removed, it is not sent again, and the outboxes of others are emptied.
func TestPublisher_cannotRemove(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w, s := newWorld(t, e.Server(t)), &sink{batch: 2}
		w.story()
		p := newPublisher(&unremovable{w, -1}, s)
		for range 10 {
			_, err := p.Once(ctx)
			if err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			p.ahead += 20 * time.Second
		}
		w.wantsAll(s)
		if left := publish(t, w, s); left.Published == 0 || left.Published+p.Done().Published != len(s.got) || left.Published > len(s.got)/4 {
			t.Errorf("published %d, and then %d again", p.Done().Published, left.Published)
		}
	})
}

// A publisher keeps nothing of events that it has not sent, or that are gone, however many wait.
func TestPublisher_memory(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t))
		for range 110 {
			w.signIn(0)
		}
		w.story()
		most, away := 0, true
		var p *publisher
		s := &sink{answer: func(events.Delivery, int) events.Result {
			if most = max(most, p.Statuses()); away {
				return events.Failed
			}
			return events.Accepted
		}}
		p = newPublisher(w, s)
		for range 3 {
			_, err := p.Once(ctx)
			must(t, err)
			p.ahead += 20 * time.Second
		}
		if p.Statuses() == 0 || p.Statuses() > len(s.tries) {
			t.Errorf("it sent %d events, and knows something about %d", len(s.tries), p.Statuses())
		}
		away, most = false, 0
		_, err := p.Once(ctx)
		must(t, err)
		w.wantsAll(s)
		if p.Statuses() != 0 || most > len(s.got)*2/3 {
			t.Errorf("all %d events have arrived; it knew something about %d, and in the end about %d", len(s.got), most, p.Statuses())
		}
	})
}

// An end by a timeout may be found long after its time: it is as old as it is in the outbox.
func TestPublisher_age(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t))
		w.signIn(1)
		tomorrow := func() time.Time { return time.Now().Add(24 * time.Hour) }
		late := session.NewStore(w.client, w.ring, w.opts, tomorrow)
		publish(t, w, &sink{})
		_, err := late.Sweep(ctx)
		must(t, err)
		s := new(sink)
		p := events.NewPublisher(w, s, true, tomorrow, func(string, error) {})
		_, err = p.Once(ctx)
		must(t, err)
		if age := p.Done().Oldest; len(s.got) != 1 || age > time.Hour {
			t.Errorf("%d events, the oldest of %v", len(s.got), age)
		}
	})
}

// silent is a sink that takes nothing at first, and has no answer for any message.
type silent struct {
	*sink
	left int
}

func (s *silent) Send(ctx context.Context, all []events.Delivery) ([]events.Result, error) {
	if s.left--; s.left >= 0 {
		return nil, errors.New("no answer")
	}
	return s.sink.Send(ctx, all)
}

// What a sink says nothing about counts as failed.
func TestPublisher_noAnswer(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, s := newWorld(t, r), &silent{&sink{batch: 2}, 4}
		w.story()
		done := publish(t, w, s)
		w.wantsAll(s.sink)
		if done.Retried == 0 {
			t.Errorf("done %+v", done)
		}
	})
}
