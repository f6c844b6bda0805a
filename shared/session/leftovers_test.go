package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// owns asserts that payload and state of a session are there, or that neither is.
func (w *world) owns(what string, g session.Grant, want bool) {
	w.t.Helper()
	payload := w.rdb.Exists(ctx, w.PayloadKey(g.Session.ID)).Val() == 1
	state := w.rdb.Exists(ctx, w.StateKey(g.Session.ID)).Val() == 1
	if payload != want || state != want {
		w.t.Errorf("%s: its payload is there: %v, and its state: %v, want %v", what, payload, state, want)
	}
}

// an is how a session ends.
type an struct {
	// end ends the first of two sessions of an account, and the second where it must.
	end func(t *testing.T, w *world, s *session.Store, g, other session.Grant)
	// both says that the second session ends, too.
	both bool
	// unlinks is how many round trips more it takes, since the script could not know the keys.
	unlinks int
	change  func(*session.Options)
}

// endings are all ways in which a session ends.
var endings = map[string]an{
	"a login evicts it": {unlinks: 1, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		created, err := s.Create(ctx, w.login(alice, laptop))
		if must(t, err); len(created.Evicted) != 1 || created.Evicted[0] != g.Session.ID {
			t.Errorf("evicted %v", created.Evicted)
		}
	}, change: func(o *session.Options) { o.SessionLimit = 2 }},
	"a login replaces it": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		in := w.login(alice, laptop)
		in.Presented = g.RefreshToken
		_, err := s.Create(ctx, in)
		must(t, err)
	}, change: func(o *session.Options) { o.LoginRate = 100 }},
	"a login finds that it has timed out": {unlinks: 1, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		w.clock.add(10 * time.Minute)
		w.opens(other)
		w.clock.add(20 * time.Minute)
		_, err := s.Create(ctx, w.login(alice, laptop))
		must(t, err)
	}},
	"a sweep finds that it was idle for too long": {unlinks: 1, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		w.clock.add(10 * time.Minute)
		w.opens(other)
		w.clock.add(20 * time.Minute)
		if done := w.sweepWith(s, alice); done.Ended != 1 {
			t.Errorf("swept %+v", done)
		}
	}},
	"a sweep finds that it is past its absolute end": {unlinks: 1, both: true, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		w.clock.set(other.Session.AbsoluteEnd)
		if done := w.sweepWith(s, alice); done.Ended != 2 {
			t.Errorf("swept %+v", done)
		}
	}, change: func(o *session.Options) { o.Idle = o.Absolute }},
	"a logout": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		_, err := s.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
	}},
	"a logout everywhere": {unlinks: 1, both: true, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		_, err := s.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		must(t, err)
	}},
	"its owner ends all others": {unlinks: 1, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		_, err := s.RevokeOthers(ctx, other.Session.ID, session.Revoked, laptop.Actor())
		must(t, err)
	}},
	"an admin ends all": {unlinks: 1, both: true, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		_, err := s.RevokeAllOf(ctx, g.User.ID, session.RevokedByAdmin, asOperator)
		must(t, err)
	}},
	"a block": {unlinks: 1, both: true, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		must(t, s.Block(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
	}},
	"an erasure": {both: true, end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		must(t, s.Erase(ctx, g.User.ID, asOperator))
	}},
	"its refresh token is used again": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		w.clock.add(time.Minute)
		_, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.add(time.Minute)
		_, err = s.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.RefreshReused)
	}},
	"another device reads with it": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		_, err := s.Validate(ctx, g.AccessToken, phone)
		wantsEnded(t, err, session.HijackSuspected)
	}, change: func(o *session.Options) { o.DevicePolicy = session.PolicyRevoke }},
	"another network refreshes it": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		w.clock.add(time.Minute)
		_, err := s.Refresh(ctx, g.RefreshToken, elsewhere())
		wantsEnded(t, err, session.HijackSuspected)
	}, change: func(o *session.Options) { o.NetworkPolicy = session.PolicyRevoke }},
	"its token is ahead of the record": {end: func(t *testing.T, w *world, s *session.Store, g, other session.Grant) {
		before := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		must(t, w.rdb.Set(ctx, w.RecordKey(g.Session.ID), before, 0).Err())
		_, err = s.Validate(ctx, next.AccessToken, laptop)
		wantsEnded(t, err, session.StoreReset)
	}},
}

// What belongs to a session ends with it, whatever ended it: payload and state. Those of the other session stay. It takes
// one round trip more, and only where the script could not know which sessions end.
func TestEnds_leaveNothing(t *testing.T) {
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, func(o *session.Options) {
					if ending.change != nil {
						ending.change(o)
					}
				})
				g := w.withState(laptop)
				w.clock.add(time.Second)
				other := w.withState(laptop)
				s, sent := w.unlinking()
				ending.end(t, w, s, g, other)
				w.owns(name, g, false)
				w.owns(name+": the other session", other, !ending.both)
				if *sent != ending.unlinks {
					t.Errorf("unlinking what was left took %d round trips, want %d", *sent, ending.unlinks)
				}
			})
		})
	}
}

// unlinking is the same store, and how many round trips it takes to unlink something.
func (w *world) unlinking() (*session.Store, *int) {
	sent := new(int)
	return w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "unlink" {
			*sent++
		}
		return next(ctx, cmd)
	}), w.clock), sent
}

// A session that begins while its account is blocked or erased ends with the others, and leaves nothing either.
func TestEnds_leaveNothingOfALoginInBetween(t *testing.T) {
	for name, end := range map[string]func(*session.Store) error{
		"block": func(s *session.Store) error { return s.Block(ctx, s.UserOf(token.KeyAccount(alice)), asOperator) },
		"erasure": func(s *session.Store) error {
			return s.Erase(ctx, s.UserOf(token.KeyAccount(alice)), asOperator)
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 0 })
				all := []session.Grant{w.withState(laptop)}
				scripts := 0
				s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
					if isScript(cmd) && scripts < 4 { // as often as an erasure reads again, and once more
						scripts++
						all = append(all, w.withState(laptop))
					}
					return next(ctx, cmd)
				}), w.clock)
				must(t, end(s))
				if len(all) < 2 {
					t.Error("no login came in between")
				}
				for i, g := range all {
					w.dead(g)
					w.owns(fmt.Sprint("session ", i), g, false)
				}
			})
		})
	}
}

// A sweep that ends many sessions unlinks what they leave in pieces, so that nobody waits for it; and what accounts of many
// partitions leave together, since a round trip for each would take long.
func TestEnds_sweepInPieces(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r, func(o *session.Options) { o.SessionLimit = 0 })
		people := append(persons(50), alice)
		for i, p := range people {
			w.create(fmt.Sprint("one ", i), p, laptop)
		}
		for i := range session.MaxSessions - 1 {
			w.create(fmt.Sprint("more ", i), alice, laptop)
		}
		w.clock.add(time.Hour)
		s, sent := w.unlinking()
		if done := w.sweepWith(s, people...); done.Ended != 50+session.MaxSessions {
			t.Errorf("swept %+v", done)
		}
		if n := len(w.redis.Keys(t, w.opts.Prefix+":{???}:s*")); n != 0 || *sent != 2 {
			t.Errorf("%d payloads are left of 150, after %d round trips to unlink them, want 2", n, *sent)
		}
	})
}

// What cannot be unlinked changes no answer, is not tried again, and delays nobody beyond the deadline. It expires with
// the session.
func TestEnds_unlinkFails(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, fail := range map[string]func(ctx context.Context) error{
			"it is refused":   func(context.Context) error { return replyError("NOPERM this user has no permissions") },
			"nothing answers": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			"the slot is moved": func(context.Context) error {
				return replyError("TRYAGAIN Multiple keys request during rehashing of slot")
			},
		} {
			w := newWorld(t, r.Under(t, fmt.Sprint(r.Prefix, len(name))))
			g := w.withState(laptop)
			own := w.withState(laptop)
			tries := 0
			s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
				if cmd.Name() != "unlink" {
					return next(ctx, cmd)
				}
				tries++
				cmd.SetErr(fail(ctx))
				return cmd.Err()
			}), w.clock)
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			began := time.Now()
			n, err := s.RevokeOthers(limited, own.Session.ID, session.Revoked, laptop.Actor())
			cancel()
			if n != 1 || err != nil || tries != 1 || time.Since(began) > 10*time.Second {
				t.Errorf("%s: ended %d, %v, after %d tries and %v", name, n, err, tries, time.Since(began))
			}
			w.dead(g)
			w.opens(own)
			for _, key := range []string{w.PayloadKey(g.Session.ID), w.StateKey(g.Session.ID)} {
				if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 0 || ttl > w.opts.Absolute+session.Outlasts {
					t.Errorf("%s: what it leaves is kept for %v", name, ttl)
				}
			}
		}
	})
}

// Payload and state expire a minute after the absolute end of their session, however often either is written; what a
// former version has stored for longer opens, and state that is written again is kept no longer than that.
func TestEnds_expire(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.DevicePolicy = session.PolicyLog })
		g := w.withState(laptop)
		payload, state := w.PayloadKey(g.Session.ID), w.StateKey(g.Session.ID)
		kept := func(when, key string, want time.Duration) {
			t.Helper()
			if ttl := w.rdb.PTTL(ctx, key).Val(); ttl > want || ttl < want-time.Minute {
				t.Errorf("%s: it is kept for %v, want %v", when, ttl, want)
			}
		}
		whole := w.opts.Absolute + time.Minute
		kept("the payload after the login", payload, whole)
		kept("the state after a write", state, whole)
		w.clock.add(10 * time.Minute)
		w.putState(w.opensFor(g, elsewhere()), "form", `{"step":2}`) // also a payload with another last address
		kept("the payload after a change of network", payload, whole)
		kept("the state after another write", state, whole-10*time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		_, err = w.StepUp(ctx, a, phone, nil)
		must(t, err)
		kept("the payload after a step-up", payload, whole)

		old := w.withState(phone)
		for _, key := range []string{w.PayloadKey(old.Session.ID), w.StateKey(old.Session.ID)} {
			must(t, w.rdb.PExpire(ctx, key, w.opts.Absolute+session.Day).Err())
		}
		b := w.opensFor(old, phone)
		if item, err := w.State(ctx, b, "form"); err != nil || string(item.Value) != `{"step":1}` {
			t.Errorf("state of a former version: %s, %v", item.Value, err)
		}
		w.putState(b, "cart", `[]`)
		kept("the state of a former version after a write", w.StateKey(old.Session.ID), whole)
	})
}

// One wallet that logs in thirty times a minute, with sixteen kilobytes of state each time, holds no more memory than its
// live sessions may: what it fills goes as the session limit ends its sessions. It is a tenth of the attack that filled a
// gigabyte within the thirty-six hours for which all of that was kept once.
func TestAttack_oneWalletFillsTheMemory(t *testing.T) {
	const logins, each = 30 * 60 * 36 / 10, 16 << 10
	own := redistest.ServerWith(t)
	w := newWorld(t, own.Redis)
	used := func() int64 {
		t.Helper()
		w.unlinkReplies()
		return memoryUsed(t, w.rdb)
	}
	value := []byte(`"` + strings.Repeat("x", each-64) + `"`)
	login := func(i int) {
		t.Helper()
		g := w.create(fmt.Sprint("login ", i), alice, laptop)
		w.clock.add(2 * time.Second)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		_, err = w.PutState(ctx, a, "fill", value, 0, session.StateCondition{})
		must(t, err)
	}
	before := used()
	for i := range logins {
		login(i)
	}
	grown, keys := used()-before, len(w.redis.Keys(t, w.opts.Prefix+":*"))
	// Payload and state of each live session; record, activity, counters and index.
	if most := 2*w.opts.SessionLimit + 4; keys > most {
		t.Errorf("after %d logins there are %d keys, want at most %d", logins, keys, most)
	}
	// Of a value of 16 KB Redis allocates 20 KB. Activity and scripts are some kilobytes; for the rest the allocator may
	// hold on to pages. All of them would be a hundred megabytes.
	if most := int64(w.opts.SessionLimit*(20<<10) + 1<<20); grown > most {
		t.Errorf("after %d logins with %d bytes of state each, %d bytes more are used, want at most %d", logins, each, grown, most)
	}
}

// unlinkReplies drops the replies that are kept for five minutes: in a test, hours of them have passed within seconds.
func (w *world) unlinkReplies() {
	w.t.Helper()
	for _, key := range w.redis.Keys(w.t, w.opts.Prefix+":{???}:o*") {
		must(w.t, w.rdb.Unlink(ctx, key).Err())
	}
}

func memoryUsed(t *testing.T, rdb redis.UniversalClient) int64 {
	t.Helper()
	info, err := rdb.InfoMap(ctx, "memory").Result()
	must(t, err)
	var n int64
	_, err = fmt.Sscan(info["Memory"]["used_memory"], &n)
	must(t, err)
	return n
}
