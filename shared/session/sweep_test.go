package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// journal is what a store tells of: the events, in order.
type journal struct {
	mu    sync.Mutex
	all   []session.Event
	every []session.Event // all, also those that a test has set aside
}

func (j *journal) audit(_ context.Context, e session.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all, j.every = append(j.all, e), append(j.every, e)
}

// endings are the sessions that ended, each with how often and why it was told.
func (j *journal) endings() map[token.ID][]session.Reason {
	out := map[token.ID][]session.Reason{}
	for _, e := range j.all {
		if e.Type == session.EventEnded {
			out[e.Session] = append(out[e.Session], e.Reason)
		}
	}
	return out
}

// watched is a world whose events are written down, with an activity list and without rate limits.
func watched(t testing.TB, r redistest.Redis, change ...func(*session.Options)) (*world, *journal) {
	j := new(journal)
	w := newWorld(t, r, append([]func(*session.Options){func(o *session.Options) {
		o.Audit, o.ActivityMax, o.ActivityKeep = j.audit, 50, 90*session.Day
		o.Outbox.Types = allEventTypes()
	}}, change...)...)
	t.Cleanup(func() { w.wantsPublished(j.every) })
	return w, j
}

// create is a login without a nonce that was issued.
func (w *world) create(nonce string, address common.Address, client session.Client) session.Grant {
	w.t.Helper()
	g, err := w.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(address), ChainID: 8453, Client: client})
	must(w.t, err)
	return g
}

func (w *world) sweep(s *session.Store) session.Swept {
	w.t.Helper()
	done, err := s.Sweep(ctx)
	must(w.t, err)
	if !done.Complete {
		w.t.Errorf("not complete: %+v", done)
	}
	return done
}

// sweepOf sweeps the buckets of these accounts alone.
func (w *world) sweepOf(people ...common.Address) session.Swept {
	w.t.Helper()
	return w.sweepWith(w.Store, people...)
}

// sweepWith is sweepOf with another store.
func (w *world) sweepWith(s *session.Store, people ...common.Address) session.Swept {
	w.t.Helper()
	done, err := s.SweepOf(ctx, w.usersOf(people...)...)
	must(w.t, err)
	return done
}

func (w *world) usersOf(people ...common.Address) []token.UserID {
	var users []token.UserID
	for _, p := range people {
		users = append(users, w.UserOf(token.KeyAccount(p)))
	}
	return users
}

// persons are the first n people.
func persons(n int) []common.Address {
	var people []common.Address
	for i := range n {
		people = append(people, person(i))
	}
	return people
}

func person(n int) common.Address { return common.HexToAddress(fmt.Sprintf("0x%040x", n+1)) }

// recount reads every record and holds counters and index against what it counts; flows are returned, added up.
func (w *world) recount() (live, hourly map[string]int) {
	w.t.Helper()
	live, hourly = map[string]int{}, map[string]int{}
	want := map[int]map[string]int{}
	keys := w.redis.Keys(w.t, w.opts.Prefix+":{*}:*")
	for _, key := range keys {
		_, name, _ := strings.Cut(key, "}:")
		var partition int
		_, err := fmt.Sscanf(key[len(w.opts.Prefix):], ":{%03x}:", &partition)
		if err != nil {
			continue // of a nonce
		}
		if want[partition] == nil {
			want[partition] = map[string]int{}
		}
		if name[0] == 'u' {
			raw, err := w.rdb.Get(ctx, key).Result()
			must(w.t, err)
			first, err := session.CountRecord(raw, want[partition])
			must(w.t, err)
			w.stands(token.UserID([]byte(name[1:])), first)
		}
	}
	for partition, counted := range want {
		emitted, more, err := w.Counters(ctx, partition)
		must(w.t, err)
		maps.DeleteFunc(emitted, func(_ string, n int) bool { return n == 0 })
		if !maps.Equal(emitted, counted) {
			w.t.Errorf("counters of bucket %03x are %v, a recount gives %v", partition, emitted, counted)
		}
		for name, n := range counted {
			live[name] += n
		}
		for name, n := range more {
			hourly[name] += n
		}
	}
	return live, hourly
}

// stands asserts that the index has an account just once and no later than its first deadline; not at all where nothing
// is live.
func (w *world) stands(u token.UserID, first time.Time) {
	w.t.Helper()
	found := 0
	for segment := range session.IndexSegments {
		score, err := w.rdb.ZScore(ctx, w.IndexKey(session.Partition(u), segment), string(u[:])).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		must(w.t, err)
		if found++; score > float64(first.UnixMilli()) {
			w.t.Errorf("an account is looked at %v after its first deadline", time.Duration(score-float64(first.UnixMilli()))*time.Millisecond)
		}
	}
	if live := !first.IsZero(); live != (found == 1) || found > 1 {
		w.t.Errorf("an account, live %v, stands in %d parts of the index", live, found)
	}
}

// recorded are the endings that the activity of accounts has, read as it is stored.
func (w *world) recorded(grants ...session.Grant) map[token.ID]int {
	w.t.Helper()
	out := map[token.ID]int{}
	seen := map[token.UserID]bool{}
	for _, g := range grants {
		user := g.Session.ID.User
		if seen[user] {
			continue
		}
		seen[user] = true
		all, err := w.rdb.LRange(ctx, w.ActivityKey(user), 0, -1).Result()
		must(w.t, err)
		for _, raw := range all {
			if session.EventType(raw[0]) == session.EventEnded {
				out[token.ID{User: user, Session: [16]byte([]byte(raw[14:30]))}]++
			}
		}
	}
	return out
}

func wantsFlows(t testing.TB, got, want map[string]int) {
	t.Helper()
	if !maps.Equal(got, want) {
		t.Errorf("flows are %v, want %v", got, want)
	}
}

// deadline is a session that is kept alive until one of its deadlines, and which.
type deadline struct {
	name   string
	reason session.Reason
	// touched is when the session is last used, after its login; zero for never.
	touched []time.Duration
	end     time.Duration
}

// One millisecond before a deadline a session opens, at it does not. The sweeper turns the deadline into one event, which
// tells when it was, and counts it.
func TestSweep_atTheDeadline(t *testing.T) {
	for _, d := range []deadline{
		{name: "idle", reason: session.IdleTimeout, end: 30 * time.Minute},
		{name: "idle after use", reason: session.IdleTimeout, touched: []time.Duration{20 * time.Minute}, end: 50 * time.Minute},
		{name: "absolute", reason: session.AbsoluteTimeout, touched: []time.Duration{25 * time.Minute, 50 * time.Minute}, end: time.Hour},
	} {
		t.Run(d.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) { d.test(t, r) })
		})
	}
}

func (d deadline) test(t *testing.T, r redistest.Redis) {
	w, emitted := watched(t, r, func(o *session.Options) { o.Absolute, o.Access = time.Hour, time.Hour })
	began := w.clock.now()
	g := w.create("a", alice, laptop)
	for _, at := range d.touched {
		w.clock.set(began.Add(at))
		w.opens(g)
	}
	emitted.all = nil
	end := began.Add(d.end)

	w.clock.set(end.Add(-time.Millisecond))
	if done := w.sweepOf(alice); done.Ended != 0 {
		t.Errorf("swept %+v before the deadline", done)
	}
	if _, err := session.NewStore(w.product, w.ring, untouched(w.opts), w.clock.now).Validate(ctx, g.AccessToken, laptop); err != nil {
		t.Errorf("a millisecond before the deadline: %v", err)
	}
	w.clock.set(end)
	_, err := w.Validate(ctx, g.AccessToken, laptop)
	wantsEnded(t, err, d.reason)
	if len(emitted.all) != 0 {
		t.Errorf("a reader told %+v", emitted.all)
	}

	w.clock.add(10 * time.Second)
	for i, want := range []int{1, 0} {
		if done := w.sweepOf(alice); done.Ended != want || done.Damaged != 0 || done.Repaired != 0 {
			t.Errorf("sweep %d: %+v", i, done)
		}
	}
	if len(emitted.all) != 1 {
		t.Fatalf("told %+v", emitted.all)
	}
	e := emitted.all[0]
	if e.Type != session.EventEnded || e.Reason != d.reason || e.Session != g.Session.ID || e.User != g.Session.ID.User || !e.Time.Equal(end) || e.Actor != (session.Actor{}) {
		t.Errorf("told %+v", e)
	}
	over := wantsEnded(t, errOf(w.Validate(ctx, g.AccessToken, laptop)), d.reason)
	if !over.At.Equal(end) {
		t.Errorf("ended at %v, want %v", over.At, end)
	}
	if n := w.recorded(g)[g.Session.ID]; n != 1 {
		t.Errorf("the activity has %d endings", n)
	}
	live, hourly := w.recount()
	if len(live) != 0 {
		t.Errorf("live are %v", live)
	}
	wantsFlows(t, hourly, map[string]int{"login": 1, d.reason.String(): 1})
}

// untouched are options under which a read records nothing.
func untouched(o session.Options) session.Options {
	o.Touch = 24 * time.Hour
	return o
}

func errOf(_ session.Access, err error) error { return err }

// crowd signs in that many accounts, twice each, some of them later than the others.
func (w *world) crowd(accounts int) []session.Grant {
	w.t.Helper()
	var all []session.Grant
	for i := range accounts {
		for j, client := range []session.Client{laptop, phone} {
			all = append(all, w.create(fmt.Sprint("crowd ", i, j), person(i), client))
		}
		if i == accounts/2 {
			w.clock.add(20 * time.Minute)
		}
	}
	return all
}

// A sweeper that is killed between two scripts, with the answer to the last one lost, leaves nothing half done: the next
// one ends what is left, each session has one event, and the counters equal a recount.
func TestSweep_killedHalfWay(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		all := w.crowd(40)
		w.clock.add(time.Hour)
		users := w.usersOf(persons(40)...)
		for _, after := range []int64{1, 7, 12} {
			w.recount()
			ctx, kill := context.WithCancel(ctx)
			var left atomic.Int64
			left.Store(after)
			dying := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
				err := next(ctx, cmd)
				if isScript(cmd) && left.Add(-1) == 0 {
					kill()
					cmd.SetErr(&net.OpError{Op: "read", Err: io.EOF})
					return cmd.Err()
				}
				return err
			}), w.clock)
			done, err := dying.SweepOf(ctx, users...)
			if wants(t, err, session.ErrUnavailable); done.Complete {
				t.Errorf("killed, and told %+v", done)
			}
			w.recount()
		}
		ended := len(w.recorded(all...))
		if ended < 20 || ended > len(all)-20 {
			t.Errorf("%d ended before the sweeper that lives", ended)
		}
		if done := w.sweep(w.Store); done.Ended != len(all)-ended || done.Repaired != 0 {
			t.Errorf("the last sweep did %+v, %d had ended before", done, ended)
		}
		live, hourly := w.recount()
		if len(live) != 0 {
			t.Errorf("live are %v", live)
		}
		wantsFlows(t, hourly, map[string]int{"login": len(all), "idle_timeout": len(all)})
		for id, n := range w.recorded(all...) {
			if n != 1 {
				t.Errorf("session %v has %d endings in the activity", id, n)
			}
		}
		if n := len(w.recorded(all...)); n != len(all) {
			t.Errorf("%d sessions ended, want %d", n, len(all))
		}
	})
}

// Invariant 8: a sweep whose answers get lost tells every event all the same, and once; more sessions of an account that
// end together than it remembers, too, and where there is no activity that could tell.
func TestSweep_lostReply(t *testing.T) {
	for name, activity := range map[string]int{"with activity": 50, "without": 0} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w, emitted := watched(t, r, func(o *session.Options) { o.SessionLimit, o.ActivityMax = 0, activity })
				want := map[token.ID]bool{}
				for i := range 40 {
					want[w.create(fmt.Sprint("many ", i), alice, laptop).Session.ID] = true
				}
				want[w.create("one", bob, laptop).Session.ID] = true
				emitted.all = nil
				w.clock.add(time.Hour)
				var lost atomic.Int64
				if done := w.sweepWith(w.on(w.losing(&lost), w.clock), alice, bob); done.Ended != len(want) {
					t.Errorf("swept %+v, want %d", done, len(want))
				}
				if lost.Load() < 4 {
					t.Errorf("only %d answers were lost", lost.Load())
				}
				ids := map[string]bool{}
				for _, e := range emitted.all {
					ids[e.ID] = true
				}
				if len(ids) != len(want) || len(emitted.all) != len(want) {
					t.Errorf("%d events with %d ids, want %d", len(emitted.all), len(ids), len(want))
				}
				for id, why := range emitted.endings() {
					if !want[id] || len(why) != 1 || why[0] != session.IdleTimeout {
						t.Errorf("%v ended %v", id, why)
					}
				}
				_, hourly := w.recount()
				wantsFlows(t, hourly, map[string]int{"login": len(want), "idle_timeout": len(want)})
			})
		})
	}
}

// Invariant 8: every script of the sweeper run twice with the same arguments gives the same answer and the same state.
func TestSweep_twice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r, func(o *session.Options) { o.SessionLimit = 0 })
		w.toTurnOf(w.UserOf(token.KeyAccount(bob)), 35*time.Minute)
		for i := range 20 {
			w.create(fmt.Sprint(i), alice, laptop)
		}
		w.clock.add(20 * time.Minute)
		w.create("later", alice, phone)
		w.create("b", bob, laptop)
		w.clock.add(15 * time.Minute)
		must(t, w.rdb.Del(ctx, w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(bob))))).Err())
		var doubled atomic.Int64
		done := w.sweepWith(w.on(w.doubling(t, &doubled), w.clock), alice, bob)
		if done.Repaired != 1 || done.Ended != 20 || doubled.Load() != 3 {
			t.Errorf("swept %+v, with %d scripts", done, doubled.Load())
		}
		w.recount()
	})
}

// toTurnOf moves the clock on until a while from then a sweep recounts an account's bucket.
func (w *world) toTurnOf(u token.UserID, in time.Duration) {
	for w.clock.now().Add(in).Unix()/60%60 != int64(session.Partition(u)%60) {
		w.clock.add(time.Minute)
	}
}

// Sweepers at once end each session once.
func TestSweep_together(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, emitted := watched(t, r)
		all := w.crowd(30)
		w.clock.add(time.Hour)
		var ended atomic.Int64
		users := w.usersOf(persons(30)...)
		together(4, func(int) {
			done, err := w.SweepOf(ctx, users...)
			if err != nil || !done.Complete {
				t.Errorf("%+v, %v", done, err)
			}
			ended.Add(int64(done.Ended))
		})
		if int(ended.Load()) != len(all) {
			t.Errorf("%d ended, want %d", ended.Load(), len(all))
		}
		endings := emitted.endings()
		for _, g := range all {
			if why := endings[g.Session.ID]; len(why) != 1 {
				t.Errorf("a session ended %d times", len(why))
			}
		}
		live, hourly := w.recount()
		if len(live) != 0 {
			t.Errorf("live are %v", live)
		}
		wantsFlows(t, hourly, map[string]int{"login": len(all), "idle_timeout": len(all)})
	})
}

// What is due is ended with Redis' memory full, also where nothing but a place in the index changes first, and counters
// are mended.
func TestSweep_fullMemory(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w, emitted := watched(t, own.Redis)
		w.toTurnOf(w.UserOf(token.KeyAccount(bob)), 51*time.Minute)
		w.crowd(10) // for twenty minutes
		kept := w.create("kept", bob, laptop)
		w.clock.add(29 * time.Minute)
		_, err := w.Refresh(ctx, kept.RefreshToken, laptop)
		must(t, err)
		must(t, w.rdb.Set(ctx, w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(bob)))), "x", 0).Err())
		emitted.all = nil
		w.clock.add(2 * time.Minute)
		must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		done, err := w.Sweep(ctx)
		wants(t, err, session.ErrUnavailable) // the sum may be refused
		if done.Ended != 20 || len(emitted.all) != 20 || done.Repaired != 1 {
			t.Errorf("swept %+v, told of %d", done, len(emitted.all))
		}
		must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", "0").Err())
		if live, _ := w.recount(); live["active"] != 1 {
			t.Errorf("live are %v", live)
		}
		if again := w.sweep(w.Store); again.Ended != 0 || again.Repaired != 0 {
			t.Errorf("there was more to sweep: %+v", again)
		}
	})
}

// A sweep looks at few buckets at a time, sweeps few accounts at a time, and asks for nothing twice.
func TestSweep_shallow(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.settled()
		for _, c := range []struct{ due, scripts, looks int }{{0, 0, 1}, {1, 1, 1}, {32, 1, 1}, {33, 2, 1}, {63, 2, 1}, {64, 2, 9}, {100, 4, 9}, {150, 5, 24}} {
			for i, p := range w.neighbours(c.due) {
				w.create(fmt.Sprint(c.due, " ", i), p, laptop)
			}
			w.clock.add(time.Hour)
			watching, sent := w.watching()
			done, err := watching.SweepOf(ctx, w.UserOf(token.KeyAccount(alice)))
			must(t, err)
			if done.Ended != c.due {
				t.Errorf("swept %+v of %d", done, c.due)
			}
			if scripts, looks := sent.commands["evalsha"], sent.commands["zrangebyscore"]; scripts != c.scripts || looks != c.looks {
				t.Errorf("%d were due, and were swept by %d scripts after %d looks, want %d and %d", c.due, scripts, looks, c.scripts, c.looks)
			}
		}
		watching, sent := w.watching()
		w.sweep(watching)
		recounted := sent.commands["zrange"] / (session.IndexSegments + 1)
		want := map[string]int{
			"getrange": 4096 + recounted, "zcard": 4096, "zrangebyscore": 4096 + 8*recounted, "zrange": 9 * recounted,
			"get": 25 * 8, "set": 1, // the logins that failed, and the sum
		}
		if !maps.Equal(sent.commands, want) || recounted < 68 || recounted > 69 {
			t.Errorf("with nothing due a sweep sent %v, want %v", sent.commands, want)
		}
		for i, n := range sent.pipelines[:len(sent.pipelines)-1] { // the last asks for the logins that failed
			if n > 10 {
				t.Errorf("%d commands stand in pipeline %d", n, i)
			}
		}
	})
}

// Behind a bucket whose accounts stand in all parts of its index, a sweep looks at all parts of the next ones at once.
func TestSweep_wide(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.settled()
		others := persons(5)
		late := others[3]
		w.create("late", late, laptop)
		w.clock.add(29 * time.Minute)
		for i, p := range w.neighbours(150) {
			w.create(fmt.Sprint(i), p, laptop)
		}
		w.clock.add(2 * time.Minute)
		watching, sent := w.watching()
		done, err := watching.SweepOf(ctx, w.UserOf(token.KeyAccount(others[0])), w.UserOf(token.KeyAccount(others[1])), w.UserOf(token.KeyAccount(alice)), w.UserOf(token.KeyAccount(others[2])), w.UserOf(token.KeyAccount(late)), w.UserOf(token.KeyAccount(others[4])))
		must(t, err)
		if done.Ended != 1 || done.Active != 150 || !slices.Equal(sent.pipelines[:3], []int{9, 7, 30}) || sent.commands["evalsha"] != 1 || sent.commands["getrange"] != 6 {
			t.Errorf("swept %+v by %v in pipelines of %v", done, sent.commands, sent.pipelines)
		}
	})
}

// A sweep that has time rests: it is to be through in half of that. One that is late, or has no end, does not.
func TestSweep_pace(t *testing.T) {
	for _, c := range []struct {
		elapsed, within time.Duration
		visited         int
		want            bool
	}{
		{0, 0, 1, false},
		{0, 0, 4096, false},
		{0, -time.Second, 4096, false},
		{0, 20 * time.Second, 0, false},
		{0, 20 * time.Second, 3, true},
		{9 * time.Second, 20 * time.Second, 2048, true},
		{11 * time.Second, 20 * time.Second, 2048, false},
		{19 * time.Second, 20 * time.Second, 4096, true},
		{21 * time.Second, 20 * time.Second, 4096, false},
	} {
		if got := session.Ahead(c.elapsed, c.within, c.visited, 4096); got != c.want {
			t.Errorf("after %v of %v at bucket %d: ahead is %v", c.elapsed, c.within, c.visited, got)
		}
	}
}
