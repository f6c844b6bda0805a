package session_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Invariant 10: counters equal a recount, whatever happened, and index, activity and flows say the same as the events.
func TestSweep_randomStory(t *testing.T) {
	seed := uint64(0) // another story on each engine
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		randomStory(t, r, rand.New(rand.NewPCG(seed, 7)))
		seed++
	})
}

func randomStory(t *testing.T, r redistest.Redis, random *rand.Rand) {
	w, emitted := watched(t, r, func(o *session.Options) { o.SessionLimit, o.Absolute = 3, time.Hour })
	people := persons(12)
	var all []session.Grant
	for i := range 250 {
		w.clock.add(time.Duration(random.IntN(240)) * time.Second)
		address := people[random.IntN(12)]
		var g session.Grant
		if len(all) > 0 {
			g = all[len(all)-1-random.IntN(min(len(all), 12))]
		}
		switch act := random.IntN(38); {
		case act < 18 || len(all) == 0:
			client := laptop
			client.Transport = session.Transport(1 + random.IntN(2))
			client.Device.Class = session.DeviceClass(random.IntN(4))
			g, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint(i), Account: token.KeyAccount(address), ChainID: uint64(random.IntN(4)), Client: client, Presented: g.AccessToken})
			if err == nil {
				all = append(all, g)
			}
		case act < 24:
			_, _ = w.Refresh(ctx, g.RefreshToken, session.Client{Transport: g.Session.Transport, Device: laptop.Device})
		case act < 26:
			_, _ = w.Validate(ctx, g.AccessToken, session.Client{Transport: g.Session.Transport})
		case act < 30:
			_, _ = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		case act < 32:
			_, _ = w.RevokeAll(ctx, g.Session.ID, session.Revoked, session.Actor{})
		case act < 34:
			must(t, w.Block(ctx, w.UserOf(token.KeyAccount(address)), session.Change{}))
			must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(person(random.IntN(12)))), session.Change{}))
		case act < 36:
			must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(address)), session.Change{}))
			must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(address)), session.Change{}))
		default:
			if done := w.sweepOf(people...); done.Repaired != 0 {
				t.Errorf("after step %d there was something to mend: %+v", i, done)
			}
		}
	}
	emitted.agree(t, w)
	w.clock.add(2 * time.Hour)
	w.sweepOf(people...)
	if live := emitted.agree(t, w); len(live) != 0 {
		t.Errorf("in the end, live are %v", live)
	}
}

// agree asserts that counters, flows and events tell the same story, and returns what is live.
func (j *journal) agree(t *testing.T, w *world) map[string]int {
	t.Helper()
	live, hourly := w.recount()
	want := map[string]int{}
	for _, e := range j.all {
		switch e.Type {
		case session.EventLogin:
			want["login"]++
		case session.EventEnded:
			want[e.Reason.String()]++
		}
	}
	wantsFlows(t, hourly, want)
	for id, why := range j.endings() {
		if len(why) != 1 {
			t.Errorf("session %v ended %v", id, why)
		}
	}
	return live
}

// Counters that are gone or wrong are mended within the hour; flows stay where they can be read.
func TestSweep_repairs(t *testing.T) {
	for name, spoil := range map[string]func(old string) string{
		"gone":              func(string) string { return "" },
		"no counters":       func(string) string { return "something else" },
		"of another format": func(old string) string { return "\x02" + old[1:] },
		"cut off":           func(old string) string { return old[:25] },
		"too long":          func(old string) string { return old + "x" },
		"one too many":      func(old string) string { return old[:3] + string(old[3]+1) + old[4:] },
		"no account":        func(old string) string { return old[:6] + "\x00" + old[7:] },
		"another chain":     func(old string) string { return old[:27] + "\xff" + old[28:] },
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w, _ := watched(t, r)
				w.toTurnOf(w.UserOf(token.KeyAccount(alice)), 0)
				w.create("a", alice, laptop)
				w.create("b", alice, phone)
				key := w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(alice))))
				old, err := w.rdb.Get(ctx, key).Result()
				must(t, err)
				if spoiled := spoil(old); spoiled == "" {
					must(t, w.rdb.Del(ctx, key).Err())
				} else {
					must(t, w.rdb.Set(ctx, key, spoiled, 0).Err())
				}
				for i, want := range []int{1, 0} {
					if done := w.sweepOf(alice); done.Repaired != want || done.Recounted != 1 {
						t.Errorf("sweep %d: %+v", i, done)
					}
				}
				live, hourly := w.recount()
				if live["active"] != 2 || live["users"] != 1 {
					t.Errorf("live are %v", live)
				}
				if readable := name == "one too many" || name == "no account" || name == "another chain"; readable && hourly["login"] != 2 {
					t.Errorf("flows are %v", hourly)
				}
			})
		})
	}
}

// Counters that cannot be read stand in nobody's way: sessions begin and end over them, in the sweeper too.
func TestSweep_damagedCounters(t *testing.T) {
	for name, spoil := range map[string]func(old string) string{
		"no counters": func(string) string { return "something else" },
		"cut off":     func(old string) string { return old[:25] },
		"too long":    func(old string) string { return old + "x" },
		"many chains": func(old string) string { return old[:19] + "\xff" + old[20:] },
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w, emitted := watched(t, r)
				w.toTurnOf(w.UserOf(token.KeyAccount(alice)), time.Hour)
				gone := w.create("a", alice, laptop)
				w.create("b", alice, phone)
				key := w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(alice))))
				old, err := w.rdb.Get(ctx, key).Result()
				must(t, err)
				damage := func() { must(t, w.rdb.Set(ctx, key, spoil(old), 0).Err()) }
				damage()
				w.create("c", alice, laptop)
				damage()
				_, err = w.Revoke(ctx, gone.Session.ID, session.LoggedOut, session.Change{})
				must(t, err)
				damage()
				w.clock.add(time.Hour)
				w.create("d", bob, laptop)
				if done := w.sweepOf(alice, bob); done.Ended != 2 || len(emitted.endings()) != 3 {
					t.Errorf("swept %+v, told %v", done, emitted.endings())
				}
				if live, _ := w.recount(); live["active"] != 1 {
					t.Errorf("live are %v", live)
				}
			})
		})
	}
}

// A login while a bucket is recounted is not counted away, nor twice.
func TestSweep_recountWhileChanging(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.toTurnOf(w.UserOf(token.KeyAccount(alice)), 0)
		w.create("a", alice, laptop)
		key := w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(alice))))
		old, err := w.rdb.Get(ctx, key).Result()
		must(t, err)
		must(t, w.rdb.Set(ctx, key, old[:3]+"\x09"+old[4:], 0).Err())
		done := w.sweepWith(w.on(w.beforeScript(func() { w.create("b", alice, phone) }), w.clock), alice)
		if done.Repaired != 1 {
			t.Errorf("swept %+v", done)
		}
		if live, _ := w.recount(); live["active"] != 2 {
			t.Errorf("live are %v", live)
		}
	})
}

// Within an hour every bucket is recounted, once.
func TestSweep_recountsAll(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w, _ := watched(t, e.Server(t))
		for range 4 { // of the sixty of an hour
			minute := int(w.clock.now().Unix() / 60 % 60)
			want := 0
			for partition := minute; partition < 4096; partition += 60 {
				want++
			}
			if got := w.sweep(w.Store).Recounted; got != want {
				t.Errorf("in minute %d %d buckets were recounted, want %d", minute, got, want)
			}
			w.clock.add(17 * time.Minute)
		}
	})
}

// A bucket with more accounts than one compact sorted set holds: the others stand in parts of their own, and are counted,
// found and swept there, also when the first part has room again.
func TestSweep_fullIndex(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, emitted := watched(t, r)
		w.settled()
		partition := session.Partition(w.UserOf(token.KeyAccount(alice)))
		var all []session.Grant
		for i, n := range w.neighbours(150) {
			all = append(all, w.create(fmt.Sprint(i), n, laptop))
		}
		if n := w.rdb.ZCard(ctx, w.IndexKey(partition, 0)).Val(); n != 128 {
			t.Errorf("%d stand in the first part", n)
		}
		if live, _ := w.recount(); live["active"] != 150 || live["users"] != 150 {
			t.Errorf("live are %v", live)
		}
		w.clock.set(all[0].Session.IdleEnd.Add(-time.Minute))
		for _, g := range all[:100] { // who came first leaves
			_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
			must(t, err)
		}
		emitted.all = nil
		w.clock.add(2 * time.Minute)
		if done := w.sweepOf(alice); done.Ended != 50 || len(emitted.all) != 50 || done.Repaired != 0 {
			t.Errorf("swept %+v, told of %d", done, len(emitted.all))
		}
		ids := map[string]bool{}
		for _, e := range emitted.all {
			ids[e.ID] = true
		}
		if len(ids) != 50 {
			t.Errorf("events of the same millisecond have %d ids, want 50", len(ids))
		}
		if live, _ := w.recount(); len(live) != 0 {
			t.Errorf("live are %v", live)
		}
		for segment := range session.IndexSegments {
			if n := w.rdb.ZCard(ctx, w.IndexKey(partition, segment)).Val(); n != 0 {
				t.Errorf("%d stand in part %d", n, segment)
			}
		}
	})
}

// A record that cannot be read stops nobody: it is left as it is and looked at again in an hour.
func TestSweep_damagedRecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.settled()
		people := w.neighbours(3)
		var all []session.Grant
		for i, n := range people {
			all = append(all, w.create(fmt.Sprint(i), n, laptop))
		}
		key := w.RecordKey(all[0].Session.ID)
		must(t, w.rdb.Set(ctx, key, "damaged", 0).Err())
		w.clock.add(31 * time.Minute)
		for i, want := range []session.Swept{{Ended: 2, Damaged: 1}, {}} {
			done := w.sweepOf(alice)
			if done.Ended != want.Ended || done.Damaged != want.Damaged {
				t.Errorf("sweep %d: %+v", i, done)
			}
		}
		w.clock.add(time.Hour)
		if done := w.sweepOf(alice); done.Damaged != 1 || w.rdb.Get(ctx, key).Val() != "damaged" {
			t.Errorf("an hour later: %+v", done)
		}
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.HSet(ctx, key, "of", "another type").Err())
		w.clock.add(time.Hour)
		if done := w.sweepOf(alice); done.Damaged != 1 || w.rdb.Exists(ctx, key).Val() != 1 {
			t.Errorf("of another type: %+v", done)
		}
		must(t, w.rdb.Del(ctx, key).Err())
		w.clock.add(time.Hour)
		if done := w.sweepOf(alice); done.Damaged != 0 {
			t.Errorf("without the record: %+v", done)
		}
		if n := w.rdb.ZCard(ctx, w.IndexKey(session.Partition(all[0].Session.ID.User), 0)).Val(); n != 0 {
			t.Errorf("%d stand in the index", n)
		}
	})
}

// Who stands in the index without a live session leaves it when the bucket is recounted.
func TestSweep_forgetsStrangers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.settled()
		w.toTurnOf(w.UserOf(token.KeyAccount(alice)), 0)
		g := w.create("a", alice, laptop)
		partition := session.Partition(g.Session.ID.User)
		left := w.create("left", w.neighbours(1)[0], laptop)
		_, err := w.Revoke(ctx, left.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		far := float64(w.clock.now().Add(time.Hour).UnixMilli())
		for segment := range session.IndexSegments {
			for _, member := range []string{"", "short", strings.Repeat("x", 16), strings.Repeat("y", 17), string(left.Session.ID.User[:])} {
				must(t, w.rdb.ZAdd(ctx, w.IndexKey(partition, segment), redis.Z{Score: far, Member: member}).Err())
			}
		}
		w.sweepOf(alice)
		for segment := range session.IndexSegments {
			members := w.rdb.ZRange(ctx, w.IndexKey(partition, segment), 0, -1).Val()
			if segment == 0 && (len(members) != 1 || members[0] != string(g.Session.ID.User[:])) || segment > 0 && len(members) > 0 {
				t.Errorf("part %d has %q", segment, members)
			}
		}
		w.recount()
	})
}

// An account that has moved to another part of the index since the sweeper found it due does not come to stand in both.
func TestSweep_movedMeanwhile(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		g := w.create("a", alice, laptop)
		partition, user := session.Partition(g.Session.ID.User), string(g.Session.ID.User[:])
		must(t, w.rdb.ZRem(ctx, w.IndexKey(partition, 0), user).Err())
		due := redis.Z{Score: float64(g.Session.IdleEnd.UnixMilli()), Member: user}
		must(t, w.rdb.ZAdd(ctx, w.IndexKey(partition, 7), due).Err())
		w.clock.add(time.Hour)
		moved := false
		w.sweepWith(w.on(w.beforeScript(func() {
			must(t, w.rdb.ZRem(ctx, w.IndexKey(partition, 7), user).Err())
			w.create("b", alice, laptop)
			moved = true
		}), w.clock), alice)
		if live, _ := w.recount(); !moved || live["active"] != 1 {
			t.Errorf("moved: %v, live are %v", moved, live)
		}
	})
}

// A sweep that is out of time stops between two buckets, which is no failure, and leaves no sum. The next ones begin
// elsewhere, and so all is reached.
func TestSweep_outOfTime(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, emitted := watched(t, r)
		all := w.crowd(30)
		emitted.all = nil
		w.clock.add(time.Hour)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if done, err := w.Sweep(short); err != nil || done != (session.Swept{}) {
			t.Errorf("out of time: %+v, %v", done, err)
		}
		ended, sweeps := 0, 0
		for ; ended < len(all) && sweeps < 60; sweeps++ {
			ctx, cancel := context.WithCancel(ctx)
			looks := 0
			done, err := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
				if looks++; looks == 100 {
					cancel()
				}
				return next(context.WithoutCancel(ctx), cmd)
			}), w.clock).Sweep(ctx)
			must(t, err)
			if done.Complete {
				t.Errorf("sweep %d had no time for %+v", sweeps, done)
			}
			ended += done.Ended
			w.clock.add(time.Minute)
		}
		if ended != len(all) || len(emitted.all) != ended {
			t.Errorf("%d ended within %d sweeps, want %d", ended, sweeps, len(all))
		}
		if n := w.rdb.Exists(ctx, w.SummaryKey()).Val(); n != 0 {
			t.Error("a sweep that was not complete left a sum")
		}
		w.recount()
	})
}

// A bucket that cannot be swept keeps no other from it.
func TestSweep_onePartitionFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		all := w.crowd(30)
		w.clock.add(time.Hour)
		key := w.CountersKey(session.Partition(all[0].Session.ID.User))
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.LPush(ctx, key, "a list").Err())
		done, err := w.Sweep(ctx)
		if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") || done.Complete || done.Ended < len(all)-6 || done.Ended > len(all)-2 {
			t.Errorf("%+v, %v", done, err)
		}
		must(t, w.rdb.Del(ctx, key).Err())
		if left := w.sweepOf(persons(30)...).Ended; left+done.Ended != len(all) {
			t.Errorf("%d and %d ended, want %d", done.Ended, left, len(all))
		}
	})
}

// A part of an index that cannot be read keeps none of the other parts from being swept.
func TestSweep_onePartFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		w.settled()
		for i, p := range w.neighbours(150) {
			w.create(fmt.Sprint(i), p, laptop)
		}
		key := w.IndexKey(session.Partition(w.UserOf(token.KeyAccount(alice))), 3)
		lost := int(w.rdb.ZCard(ctx, key).Val())
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.Set(ctx, key, "a string", 0).Err())
		w.clock.add(time.Hour)
		done, err := w.SweepOf(ctx, w.UserOf(token.KeyAccount(alice)))
		if err == nil || !strings.Contains(err.Error(), "WRONGTYPE") || lost == 0 || done.Ended != 150-lost || w.rdb.ZCard(ctx, w.IndexKey(session.Partition(w.UserOf(token.KeyAccount(alice))), 0)).Val() != 0 {
			t.Errorf("%+v, %v, want 150 but for %d", done, err, lost)
		}
	})
}

// What of counters can be read is written out again with the same meaning, and nothing makes reading fail in another way.
func FuzzCounters(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	for i := range 3 {
		w.create(fmt.Sprint(i), alice, laptop)
	}
	raw, err := w.rdb.Get(ctx, w.CountersKey(session.Partition(w.UserOf(token.KeyAccount(alice))))).Result()
	must(f, err)
	f.Add(raw)
	f.Add("")
	f.Add(raw[:30])
	f.Add(raw[:19] + "\xff" + string(binary.BigEndian.AppendUint64(nil, 1)))
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := session.AgainCounters(raw)
		if err != nil {
			wants(t, err, session.ErrDamaged)
			return
		}
		twice, err := session.AgainCounters(once)
		if err != nil || twice != once {
			t.Errorf("%q is read as %q, and that as %q, %v", raw, once, twice, err)
		}
	})
}
