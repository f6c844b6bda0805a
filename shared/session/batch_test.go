package session_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// crowded are people whose accounts are in that many partitions, that many in each, partition by partition.
func (w *world) crowded(count, each int) (people []common.Address) {
	in := map[int][]common.Address{}
	for i := 0; len(people) < count*each; i++ {
		partition := session.Partition(w.UserOf(token.KeyAccount(person(i))))
		if in[partition] = append(in[partition], person(i)); len(in[partition]) == each {
			people = append(people, in[partition]...)
		}
	}
	return people
}

// Seven partitions with eight accounts each: a sweep sends the scripts of the first three together, then of the next three,
// and that of the last one alone.
const crowdedPartitions, crowdedEach = 7, 8

// overdue is such a crowd, whose sessions are all over. One account has more of them than one script ends.
func overdue(t *testing.T, r redistest.Redis) (w *world, emitted *journal, people []common.Address, all []session.Grant) {
	w, emitted = watched(t, r, func(o *session.Options) { o.SessionLimit = 0 })
	people = w.crowded(crowdedPartitions, crowdedEach)
	for i, p := range people {
		all = append(all, w.create(fmt.Sprint("overdue ", i), p, laptop))
	}
	for i := range 20 {
		all = append(all, w.create(fmt.Sprint("more ", i), people[0], laptop))
	}
	emitted.all = nil
	w.clock.add(time.Hour)
	return w, emitted, people, all
}

// pipelineHook is a go-redis hook around each pipeline that has scripts.
type pipelineHook func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error

func (h pipelineHook) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h pipelineHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h pipelineHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !slices.ContainsFunc(cmds, isScript) {
			return next(ctx, cmds)
		}
		return h(next, ctx, cmds)
	}
}

// behind is the same store over a client with such a hook.
func (w *world) behind(h pipelineHook) *session.Store {
	c := w.redis.NewProduct(w.t, patient)
	c.AddHook(h)
	return w.on(c, w.clock)
}

// loseFrom loses the replies of a pipeline from one on.
func loseFrom(from int, cmds []redis.Cmder) error {
	lost := &net.OpError{Op: "read", Err: io.EOF}
	for _, cmd := range cmds[from:] {
		cmd.SetErr(lost)
	}
	return lost
}

// endedOnce asserts that each session ended once, as the activity has it and as the counters count it, and that none has
// left its payload.
func (w *world) endedOnce(all []session.Grant) {
	w.t.Helper()
	recorded := w.recorded(all...)
	for _, g := range all {
		if n := recorded[g.Session.ID]; n != 1 {
			w.t.Errorf("a session has %d endings in the activity", n)
		}
	}
	live, hourly := w.recount()
	if len(live) != 0 {
		w.t.Errorf("live are %v", live)
	}
	wantsFlows(w.t, hourly, map[string]int{"login": len(all), "idle_timeout": len(all)})
}

// payloads is how many payloads are stored.
func (w *world) payloads() int {
	w.t.Helper()
	return len(w.redis.Keys(w.t, w.opts.Prefix+":{???}:s*"))
}

// Invariant 8: a sweep tells every event once if all replies of a pipeline get lost, or those from one on; also if they
// get lost again whenever they are asked for together.
func TestSweepTogether_lostReply(t *testing.T) {
	for name, every := range map[string]int{"every other time": 2, "always": 1} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w, emitted, people, all := overdue(t, r)
				answered, lost := 0, 0
				s := w.behind(func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error {
					if err := next(ctx, cmds); err != nil {
						return err // the server does not know the script yet
					}
					if answered++; answered%every != 1%every {
						return nil
					}
					lost++
					return loseFrom(lost%3*(len(cmds)-1)/2, cmds)
				})
				if done := w.sweepWith(s, people...); done.Ended != len(all) || !done.Complete || done.Repaired != 0 {
					t.Errorf("swept %+v, want %d", done, len(all))
				}
				if lost < 2 {
					t.Errorf("the replies of only %d pipelines were lost", lost)
				}
				endings := emitted.endings()
				for _, g := range all {
					if n := len(endings[g.Session.ID]); n != 1 {
						t.Errorf("the end of a session was told %d times", n)
					}
				}
				w.endedOnce(all)
				if n := w.payloads(); n != 0 {
					t.Errorf("%d payloads are left", n)
				}
			})
		})
	}
}

// A sweeper that is killed while it waits for the replies of a pipeline leaves nothing half done.
func TestSweepTogether_killed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _, people, all := overdue(t, r)
		killed, kill := context.WithCancel(ctx)
		s := w.behind(func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error {
			if err := next(ctx, cmds); err != nil {
				return err // the server does not know the script yet
			}
			kill()
			return loseFrom(0, cmds)
		})
		done, err := s.SweepOf(killed, w.usersOf(people...)...)
		if wants(t, err, session.ErrUnavailable); done.Complete {
			t.Errorf("killed, and told %+v", done)
		}
		w.recount()
		ended := len(w.recorded(all...))
		if ended < 2*crowdedEach || ended == len(all) {
			t.Errorf("%d of %d ended before the sweeper that lives", ended, len(all))
		}
		if done := w.sweepOf(people...); done.Ended != len(all)-ended || done.Repaired != 0 {
			t.Errorf("the last sweep did %+v, %d had ended before", done, ended)
		}
		w.endedOnce(all)
	})
}

// A script that fails in a pipeline is sent again on its own, and keeps no other from being swept.
func TestSweepTogether_scriptFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, emitted, people, all := overdue(t, r)
		failed := 0
		s := w.behind(func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error {
			i := slices.IndexFunc(cmds, isScript) + 1
			err := next(ctx, slices.Delete(slices.Clone(cmds), i, i+1))
			if err != nil {
				return err
			}
			failed++
			cmds[i].SetErr(replyError("WRONGTYPE Operation against a key holding the wrong kind of value"))
			return cmds[i].Err()
		})
		if done := w.sweepWith(s, people...); done.Ended != len(all) || !done.Complete || failed != 2 {
			t.Errorf("swept %+v, want %d; %d scripts failed", done, len(all), failed)
		}
		if n := len(emitted.all); n != len(all) {
			t.Errorf("told of %d ends, want %d", n, len(all))
		}
		w.endedOnce(all)
	})
}

// A partition that cannot be looked at ahead keeps no other from being swept.
func TestSweepTogether_lookFails(t *testing.T) {
	for name, key := range map[string]func(w *world, partition int) string{
		"counters": (*world).countersOf, "index": (*world).indexOf,
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w, _, people, all := overdue(t, r)
				const wrongOne = 4 // which is not in the first pipeline
				wrong := key(w, session.Partition(w.UserOf(token.KeyAccount(people[wrongOne*crowdedEach]))))
				away := wrong + " away"
				s := w.behind(func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error {
					if w.rdb.Exists(ctx, away).Val() == 0 {
						must(t, w.rdb.Rename(ctx, wrong, away).Err())
						must(t, w.rdb.LPush(ctx, wrong, "a list").Err())
					}
					return next(ctx, cmds)
				})
				done, err := s.SweepOf(ctx, w.usersOf(people...)...)
				if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") || done.Complete || done.Ended != len(all)-crowdedEach {
					t.Errorf("%+v, %v, want %d of %d", done, err, len(all)-crowdedEach, len(all))
				}
				must(t, w.rdb.Rename(ctx, away, wrong).Err())
				if left := w.sweepOf(people...); left.Ended != crowdedEach {
					t.Errorf("then swept %+v", left)
				}
				w.endedOnce(all)
			})
		})
	}
}

func (w *world) countersOf(partition int) string { return w.CountersKey(partition) }
func (w *world) indexOf(partition int) string    { return w.IndexKey(partition, 0) }

// What cannot be unlinked in the same round trip as the scripts changes nothing that a sweep does. If the slot was moving it
// is sent once more.
func TestSweepTogether_unlinkFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for text, again := range map[string]bool{"NOPERM this user has no permissions": false, "TRYAGAIN Multiple keys request during rehashing of slot": true} {
			w, emitted, people, all := overdue(t, r.Under(t, fmt.Sprint(r.Prefix, len(text))))
			refused := 0
			s := w.behind(func(next redis.ProcessPipelineHook, ctx context.Context, cmds []redis.Cmder) error {
				unlinks := func(cmd redis.Cmder) bool { return cmd.Name() == "unlink" }
				i := slices.IndexFunc(cmds, unlinks)
				err := next(ctx, slices.DeleteFunc(slices.Clone(cmds), unlinks))
				if i < 0 {
					return err
				}
				refused++
				for _, cmd := range cmds {
					if unlinks(cmd) {
						cmd.SetErr(replyError(text))
					}
				}
				return cmds[i].Err()
			})
			if done := w.sweepWith(s, people...); done.Ended != len(all) || !done.Complete || refused == 0 {
				t.Errorf("%s: swept %+v, refused %d times", text, done, refused)
			}
			if n := len(emitted.all); n != len(all) {
				t.Errorf("%s: told of %d ends, want %d", text, n, len(all))
			}
			w.endedOnce(all)
			if n := w.payloads(); n == len(all) || again != (n == 0) {
				t.Errorf("%s: %d payloads of %d are left", text, n, len(all))
			}
		}
	})
}

// A sweep that has much to do sends in one round trip the scripts of a few partitions, what earlier ones left, and the look at
// the next ones.
func TestSweepTogether_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.create("loads the script", alice, laptop)
		w.clock.add(time.Hour)
		w.sweepOf(alice)
		people := w.crowded(6, crowdedEach)
		recounted := func(p common.Address) bool {
			return int64(session.Partition(w.UserOf(token.KeyAccount(p)))%60) == w.clock.now().Add(time.Hour).Unix()/60%60
		}
		for slices.ContainsFunc(people, recounted) {
			w.clock.add(time.Minute)
		}
		for i, p := range people {
			w.create(fmt.Sprint("due ", i), p, laptop)
		}
		w.clock.add(time.Hour)
		watching, sent := w.watching()
		done, err := watching.SweepOf(ctx, w.usersOf(people...)...)
		must(t, err)
		n := len(sent.pipelines)
		if done.Ended != len(people) || n != 5 || !slices.Equal(sent.pipelines[:3], []int{9, 9 + 3, 3 + 3}) || sent.pipelines[4] != 3 {
			t.Errorf("swept %+v by pipelines of %v, want a look, scripts with the next look, scripts with unlinks", done, sent.pipelines)
		}
		if sent.commands["evalsha"] != 6 || sent.commands["eval"] != 0 || sent.commands["getrange"] != 6 || sent.commands["unlink"] != 6 {
			t.Errorf("sent %v", sent.commands)
		}
	})
}
