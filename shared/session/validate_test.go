package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/local/test/tokentest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func TestValidate_refusesWithoutARoundTrip(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		foreign := tokentest.Forge(w.ring, g.AccessToken, newStranger(t, g.AccessToken), func(*uint32, *[32]byte) {})
		for name, text := range map[string]string{
			"empty":          "",
			"other kind":     g.RefreshToken,
			"other prefix":   "lkr_" + g.AccessToken[4:],
			"no prefix":      g.AccessToken[4:],
			"cut":            g.AccessToken[:len(g.AccessToken)-1],
			"longer":         g.AccessToken + "A",
			"line break":     g.AccessToken[:60] + "\n" + g.AccessToken[61:],
			"padded":         g.AccessToken + "=",
			"session id":     g.Session.ID.String(),
			"other alphabet": strings.ReplaceAll(strings.ReplaceAll(g.AccessToken[4:], "-", "+"), "_", "/"),
			"other keys":     foreign,
		} {
			_, err := s.Validate(ctx, text, laptop)
			if text == g.AccessToken {
				t.Fatalf("%s: the token was not changed", name)
			}
			wants(t, err, token.ErrInvalid)
			if name != "other kind" {
				_, err = s.Refresh(ctx, text, laptop)
				wants(t, err, token.ErrInvalid)
			}
		}
		if n := counting.RoundTrips(); n != 0 {
			t.Errorf("%d trips for forged tokens", n)
		}
	})
}

// Attack case 25: no token with a bit turned over is taken for ours.
func TestValidate_everyBitCounts(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	for _, honest := range []string{g.AccessToken, g.RefreshToken} {
		for i := range honest {
			for bit := range 8 {
				changed := []byte(honest)
				changed[i] ^= 1 << bit
				if _, err := token.Parse(w.ring, token.Kind(honest[:4]), string(changed)); err == nil {
					t.Errorf("bit %d of character %d does not count", bit, i)
				}
			}
		}
		read, err := token.Parse(w.ring, token.Kind(honest[:4]), honest)
		must(t, err)
		if same, err := read.Encode(w.ring); err != nil || same != honest {
			t.Errorf("the honest token reads back as %q, %v", same, err)
		}
	}
}

func TestValidate_deadlines(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.Access = o.Absolute })
		begin := w.clock.now()
		g := w.signIn(alice, laptop)

		w.clock.set(begin.Add(30*time.Minute - time.Millisecond))
		w.opens(g) // and slides
		w.clock.add(30*time.Minute - time.Millisecond)
		w.opens(g)
		w.clock.add(30 * time.Minute)
		_, err := w.Validate(ctx, g.AccessToken, laptop)
		over := wantsEnded(t, err, session.IdleTimeout)
		if !over.At.Equal(w.clock.now()) || over.ByThis {
			t.Errorf("told %+v, want the deadline %v", over, w.clock.now())
		}
		_, err = w.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.IdleTimeout)
		_, err = session.NewStore(w.product, w.ring, untouched(w.opts), w.clock.now).Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.IdleTimeout) // by the reader alone: no script looks again
		if n := len(w.stored(g).Live); n != 1 {
			t.Error("a passed deadline was written down by a reader")
		}
	})
}

// Invariant 6: the absolute end never moves.
func TestValidate_absoluteEnd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		begin := w.clock.now()
		g := w.signIn(alice, laptop)
		for w.clock.now().Before(begin.Add(12*time.Hour - 14*time.Minute)) {
			w.clock.add(14 * time.Minute)
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
			if next.Session.IdleEnd.After(next.Session.AbsoluteEnd) || next.AccessEnd.After(next.Session.AbsoluteEnd) {
				t.Fatalf("idle end %v, access end %v lie behind the absolute end", next.Session.IdleEnd, next.AccessEnd)
			}
			if next.RefreshToken == g.RefreshToken || !next.Session.AbsoluteEnd.Equal(begin.Add(12*time.Hour)) {
				t.Fatalf("after %v the session ends at %v", w.clock.now().Sub(begin), next.Session.AbsoluteEnd)
			}
			g = next
			if end := w.opens(g).Session.AbsoluteEnd; !end.Equal(begin.Add(12 * time.Hour)) {
				t.Fatalf("read says it ends at %v", end)
			}
		}
		w.clock.set(begin.Add(12*time.Hour - time.Millisecond))
		if end := w.opens(g).Session.IdleEnd; !end.Equal(begin.Add(12 * time.Hour)) {
			t.Errorf("touched, and idle end is %v", end)
		}
		w.clock.add(time.Millisecond)
		_, err := w.Validate(ctx, g.AccessToken, laptop)
		if over := wantsEnded(t, err, session.AbsoluteTimeout); !over.At.Equal(begin.Add(12 * time.Hour)) {
			t.Errorf("ended at %v", over.At)
		}
		_, err = w.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.AbsoluteTimeout)
		for _, key := range []string{w.RecordKey(g.Session.ID), w.PayloadKey(g.Session.ID)} {
			if ttl := w.rdb.PTTL(ctx, key).Val(); ttl < 12*time.Hour {
				t.Errorf("TTL of %q is %v: the sweeper would find nothing", key, ttl)
			}
		}
	})
}

func TestValidate_generations(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g0 := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		g1, err := w.Refresh(ctx, g0.RefreshToken, laptop)
		must(t, err)
		w.opens(g1)
		w.clock.add(45*time.Second - time.Millisecond)
		w.opens(g0) // superseded, within the grace
		w.clock.add(time.Millisecond)
		_, err = w.Validate(ctx, g0.AccessToken, laptop)
		wants(t, err, session.ErrTokenExpired)
		g2, err := w.Refresh(ctx, g1.RefreshToken, laptop)
		must(t, err)
		_, err = w.Validate(ctx, g0.AccessToken, laptop)
		wants(t, err, session.ErrTokenExpired) // never theft
		w.opens(g2)
		w.clock.add(15 * time.Minute)
		_, err = w.Validate(ctx, g2.AccessToken, laptop)
		wants(t, err, session.ErrTokenExpired)

		forged := tokentest.Forge(w.ring, g2.AccessToken, w.ring, func(_ *uint32, secret *[32]byte) { secret[5] ^= 1 })
		_, err = w.Validate(ctx, forged, laptop)
		wants(t, err, token.ErrInvalid)
		if n := len(w.stored(g2).Live); n != 1 {
			t.Error("reading ended the session")
		}
	})
}

func TestValidate_wrongTransport(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		other := laptop
		other.Transport = session.Bearer
		_, err := w.Validate(ctx, g.AccessToken, other)
		wants(t, err, token.ErrInvalid)
		_, err = w.Refresh(ctx, g.RefreshToken, other)
		wants(t, err, token.ErrInvalid)
		w.opens(g)
	})
}

// A token whose generation is ahead of the record's tells that Redis lost a write: the session ends, and it is not
// called theft.
func TestValidate_storeReset(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for name, present := range map[string]func(session.Grant) error{
			"read":    func(g session.Grant) error { _, err := w.Validate(ctx, g.AccessToken, laptop); return err },
			"refresh": func(g session.Grant) error { _, err := w.Refresh(ctx, g.RefreshToken, laptop); return err },
		} {
			t.Run(name, func(t *testing.T) {
				g := w.signIn(alice, laptop)
				before := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
				w.clock.add(time.Minute)
				next, err := w.Refresh(ctx, g.RefreshToken, laptop)
				must(t, err)
				must(t, w.rdb.Set(ctx, w.RecordKey(g.Session.ID), before, 0).Err())

				if over := wantsEnded(t, present(next), session.StoreReset); !over.ByThis {
					t.Error("not told as found by this operation")
				}
				wantsEnded(t, present(next), session.StoreReset)
				w.dead(g)
				w.dead(next)
			})
		}
	})
}

// A record that lags, as a replica's may, tells of no lost write: what is written decides, and the session lives on.
func TestValidate_laggingReplica(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		old := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
		lagging := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			err := next(ctx, cmd)
			if read, ok := cmd.(*redis.SliceCmd); ok && err == nil {
				read.SetVal([]any{old, read.Val()[1]})
			}
			return err
		}), w.clock)
		w.clock.add(time.Minute)
		g1, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		_, err = lagging.Validate(ctx, g1.AccessToken, laptop)
		wants(t, err, session.ErrUnavailable)
		w.clock.add(time.Minute)
		g2, err := w.Refresh(ctx, g1.RefreshToken, laptop)
		must(t, err)
		_, err = lagging.Validate(ctx, g1.AccessToken, laptop) // what is written is ahead of this token
		wants(t, err, session.ErrUnavailable)
		w.opens(g2)
	})
}

// Attack case 59: what was swapped, cut, altered or removed opens nothing.
func TestValidate_damagedPayload(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, other := w.signIn(alice, laptop), w.signIn(alice, phone)
		key := w.PayloadKey(g.Session.ID)
		honest, foreign := w.rdb.Get(ctx, key).Val(), w.rdb.Get(ctx, w.PayloadKey(other.Session.ID)).Val()
		kid := []byte(honest)
		kid[2] ^= 1
		for name, value := range map[string]string{"swapped": foreign, "cut": honest[:len(honest)-1], "empty": "", "json": `{"address":"0x"}`, "key id": string(kid)} {
			must(t, w.rdb.Set(ctx, key, value, 0).Err())
			_, err := w.Validate(ctx, g.AccessToken, laptop)
			if !errors.Is(err, token.ErrInvalid) || !errors.Is(err, session.ErrDamaged) {
				t.Errorf("%s: got %v, want an invalid token that is worth an alarm", name, err)
			}
		}
		must(t, w.rdb.Del(ctx, key).Err())
		w.dead(g)
		must(t, w.rdb.Set(ctx, key, honest, 0).Err())
		w.opens(g)
		must(t, w.rdb.Del(ctx, w.RecordKey(g.Session.ID)).Err()) // invariant 1: absence denies
		w.dead(g)
		w.dead(other)
	})
}

// A session whose login was longer or shorter than its payload says does not open: the facts are bound.
func TestValidate_payloadIsBoundToFacts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for name, at := range map[string]int64{"beginning": session.CreatedAt, "absolute end": session.AbsoluteAt} {
			g := w.signIn(alice, laptop)
			key := w.RecordKey(g.Session.ID)
			must(t, w.rdb.SetRange(ctx, key, at, "\x7f").Err())
			_, err := w.Validate(ctx, g.AccessToken, laptop)
			if !errors.Is(err, token.ErrInvalid) || !errors.Is(err, session.ErrDamaged) {
				t.Errorf("with another %s it is answered with %v", name, err)
			}
			w.dead(g)
			must(t, w.rdb.Del(ctx, key).Err())
		}
	})
}

func TestTouch_movesOnlyForward(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		begin := w.clock.now()
		g := w.signIn(alice, laptop)
		counting := redistest.Counting(t, r)
		must(t, session.LoadScripts(ctx, w.rdb)) // a script's first run would cost a trip more
		s := w.on(counting, w.clock)
		read := func() session.Session {
			t.Helper()
			a, err := s.Validate(ctx, g.AccessToken, laptop)
			must(t, err)
			return a.Session
		}
		w.clock.set(begin.Add(30*time.Second - time.Millisecond))
		if got := read(); !got.LastSeenAt.Equal(begin) {
			t.Errorf("touched after %v", w.clock.now().Sub(begin))
		}
		w.clock.set(begin.Add(30 * time.Second))
		got := read()
		if !got.LastSeenAt.Equal(begin.Add(30*time.Second)) || !got.IdleEnd.Equal(begin.Add(30*time.Second+30*time.Minute)) {
			t.Errorf("after the touch seen %v, idle end %v", got.LastSeenAt, got.IdleEnd)
		}
		w.clock.set(begin) // another function whose clock is behind
		if again := read(); again.LastSeenAt != got.LastSeenAt || again.IdleEnd != got.IdleEnd {
			t.Errorf("a clock behind moved %v to %v", got.IdleEnd, again.IdleEnd)
		}
		if n := counting.RoundTrips(); n != 4 {
			t.Errorf("%d trips, want three reads and one touch", n)
		}
	})
}

// A touch that another function's later one overtook moves nothing back.
func TestTouch_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(40 * time.Second)
		var later session.Access
		s := w.on(w.beforeScript(func() {
			w.clock.add(20 * time.Second)
			later = w.opens(g)
		}), w.clock)
		got, err := s.Validate(ctx, g.AccessToken, laptop)
		must(t, err)
		if got.Session.LastSeenAt != later.Session.LastSeenAt || got.Session.IdleEnd != later.Session.IdleEnd {
			t.Errorf("seen %v, after it was seen %v", got.Session.LastSeenAt, later.Session.LastSeenAt)
		}
	})
}

// Invariant 2: a logout that falls between the read of a validation and its touch is not undone, and the validation is
// refused.
func TestTouch_looksAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		s := w.on(w.beforeScript(func() {
			_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
			must(t, err)
		}), w.clock)
		_, err := s.Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.LoggedOut)
		w.dead(g)
	})
}
