package session_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// sweepAnHour sweeps an account's partition once a minute for an hour, in which it is recounted once. Each script runs twice.
func (w *world) sweepAnHour() {
	w.t.Helper()
	var doubled atomic.Int64
	s := w.on(w.doubling(w.t, &doubled), w.clock)
	for range 60 {
		w.sweepWith(s, alice)
		w.clock.add(time.Minute)
	}
}

// blocked asserts that an account is blocked for good, and returns how many ended sessions its record has.
func (w *world) blocked(what string, g session.Grant) int {
	w.t.Helper()
	if a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice))); err != nil || a.BlockedAt.IsZero() {
		w.t.Errorf("%s: the block is gone: %+v, %v", what, a, err)
	}
	if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl != -1 {
		w.t.Errorf("%s: the block is kept for %v", what, ttl)
	}
	_, err := w.Create(ctx, w.login(alice, laptop))
	wants(w.t, err, session.ErrBlocked)
	return len(w.stored(g).Ended)
}

// An erasure of a blocked account keeps the marks of its ended sessions as long as any erasure does: to a day beyond their
// absolute end, and then for an hour at most. The block stays.
func TestErase_ofABlockedAccountForgetsItsSessions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, erase := range map[string]func(w *world, g session.Grant){
			"blocked, then erased": func(w *world, g session.Grant) {
				must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
				must(t, w.Erase(ctx, g.User.ID, asOperator))
			},
			"erased, then it is blocked": func(w *world, g session.Grant) {
				must(t, w.Erase(ctx, g.User.ID, asOperator))
				must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
			},
			"by a former version, and then migrated": func(w *world, g session.Grant) {
				must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
				must(t, w.Erase(ctx, g.User.ID, asOperator))
				must(t, w.rdb.Del(ctx, w.ErasedKey(g.User.ID)).Err()) // which that version does not know
				w.migrate(session.Migration{})
			},
			"by a former version, and then again": func(w *world, g session.Grant) {
				must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
				must(t, w.Erase(ctx, g.User.ID, asOperator))
				must(t, w.rdb.Del(ctx, w.ErasedKey(g.User.ID)).Err()) // which that version does not know
				must(t, w.Erase(ctx, g.User.ID, asOperator))
			},
		} {
			w := newWorld(t, r.Under(t, fmt.Sprint(r.Prefix, len(name))))
			w.signIn(alice, laptop)
			g := w.signIn(alice, phone)
			erase(w, g)
			w.sweepAnHour()
			w.clock.set(g.Session.AbsoluteEnd.Add(session.Day - 62*time.Minute))
			w.sweepAnHour()
			if n := w.blocked(name, g); n != 2 {
				t.Errorf("%s: %d ended sessions are left while they are needed", name, n)
			}
			_, err := w.Validate(ctx, g.AccessToken, phone)
			wantsEnded(t, err, map[bool]session.Reason{true: session.AccountErased, false: session.AccountBlocked}[name[0] == 'e'])
			w.clock.set(g.Session.AbsoluteEnd.Add(session.Day))
			w.sweepAnHour()
			if n := w.blocked(name, g); n != 0 {
				t.Errorf("%s: %d ended sessions are kept for good", name, n)
			}
			if n := w.rdb.Exists(ctx, w.ErasedKey(g.User.ID)).Val(); n != 0 {
				t.Errorf("%s: the sweeper looks at it again", name)
			}
			_, err = w.Validate(ctx, g.AccessToken, phone)
			wants(t, err, token.ErrInvalid)
			must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
			w.opens(w.signIn(alice, phone))
		}
	})
}

// Nor does it keep them longer that an erased account is given roles, or unblocked.
func TestErase_forgetsWhateverComesAfter(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		key := w.RecordKey(g.Session.ID)
		needed := g.Session.AbsoluteEnd.Add(session.Day)
		w.clock.set(needed)
		w.sweepAnHour()
		if s := w.stored(g); len(s.Ended) != 0 || len(s.Roles) != 1 {
			t.Errorf("after a sweep it is %+v", s)
		}
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl != -1 {
			t.Errorf("roles are kept for %v", ttl)
		}
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, asOperator)
		must(t, err)
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("a record of nothing is kept for %v", ttl)
		}

		g = w.signIn(alice, laptop)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if ttl, want := w.rdb.PTTL(ctx, key).Val(), w.opts.Absolute+session.Day; ttl > want || ttl < want-time.Minute {
			t.Errorf("unblocked again, what an erasure leaves is kept for %v, want %v", ttl, want)
		}
		// Somebody who signs in again is forgotten as anybody is: what the sweeper does about the marks sets no record apart.
		w.clock.set(g.Session.AbsoluteEnd.Add(session.Day - time.Hour))
		again := w.signIn(alice, laptop)
		w.sweepAnHour()
		w.sweepAnHour()
		if s := w.stored(again); len(s.Ended) != 1 || s.Ended[0].ID != again.Session.ID {
			t.Errorf("signed in again, it is %+v", s)
		}
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 0 {
			t.Errorf("signed in again, the record is kept for %v", ttl)
		}
	})
}

// What an erasure leaves is kept exactly as long as an ended session may be asked for: to a day beyond the absolute end of
// the latest, and not for a minute only, nor as long as the record of a living account.
func TestErase_keepsMarksAsLongAsTheyAreNeeded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		g := w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		want := g.Session.AbsoluteEnd.Add(session.Day).Sub(w.clock.now())
		if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl > want || ttl < want-time.Minute {
			t.Errorf("the ended sessions are kept for %v, want %v", ttl, want)
		}
		w.clock.add(want - time.Second)
		_, err := w.Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.AccountErased)
	})
}

// However many erased accounts there are in a partition, the sweeper forgets the sessions of each, with memory full too,
// and again does no harm.
func TestForget_many(t *testing.T) {
	own := redistest.ServerWith(t, "--maxmemory-policy", "noeviction")
	w, _ := watched(t, own.Redis)
	w.settled()
	people := w.neighbours(70)
	for i, p := range people {
		w.create(fmt.Sprint(i), p, laptop)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(p)), asOperator))
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(p)), asOperator))
	}
	w.clock.add(w.opts.Absolute + session.Day)
	must(t, own.Client().ConfigSet(ctx, "maxmemory", "1").Err())
	for range 60 {
		_, _ = w.SweepOf(ctx, w.UserOf(token.KeyAccount(people[0]))) // whose summary is refused
		w.clock.add(time.Minute)
	}
	must(t, own.Client().ConfigSet(ctx, "maxmemory", "0").Err())
	for _, p := range people {
		s, err := w.Stored(ctx, w.UserOf(token.KeyAccount(p)))
		if must(t, err); len(s.Ended) != 0 {
			t.Fatalf("%v has %d ended sessions", p, len(s.Ended))
		}
		if a, err := w.Account(ctx, w.UserOf(token.KeyAccount(p))); err != nil || a.BlockedAt.IsZero() {
			t.Fatalf("%v: the block is gone: %v", p, err)
		}
	}
}

// Sweepers that forget at once, while the account is unblocked, used and blocked again, lose no block and no session.
func TestForget_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		g := w.signIn(alice, laptop)
		for range 5 {
			must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
			must(t, w.Erase(ctx, g.User.ID, asOperator))
			w.clock.set(g.Session.AbsoluteEnd.Add(session.Day))
			for !w.recountsNow(g.User.ID) {
				w.clock.add(time.Minute)
			}
			again := w.login(alice, laptop)
			together(8, func(i int) {
				_, err := w.SweepOf(ctx, w.UserOf(token.KeyAccount(alice)))
				if i == 0 {
					err = errors.Join(w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator), w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator),
						w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
					if err == nil {
						g, err = w.Create(ctx, again)
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
			w.opens(g)
			w.recount()
		}
	})
}

// recountsNow tells whether a sweep recounts an account's partition at this minute.
func (w *world) recountsNow(u token.UserID) bool {
	return int64(session.Partition(u)%60) == w.clock.now().Unix()/60%60
}
