package session_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// An admin ends all sessions of an account of which nothing is stored. The first request is delayed, and arrives after
// somebody has signed in: what began since lives on.
func TestRevokeAllOf_lateWithoutRecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		var late []any
		delayed := w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if !isScript(cmd) || late != nil {
				return next(ctx, cmd)
			}
			late = cmd.Args()
			cmd.SetErr(&net.OpError{Op: "read", Err: io.EOF})
			return cmd.Err()
		})
		user := w.UserOf(token.KeyAccount(alice))
		n, err := w.on(delayed, w.clock).RevokeAllOf(ctx, user, session.Revoked, asOperator)
		must(t, err)
		if n != 0 || late == nil {
			t.Fatalf("ended %d of an account that is not known", n)
		}
		if ttl := w.rdb.PTTL(ctx, w.NoopsKey(user)).Val(); ttl <= 0 || ttl > 5*time.Minute {
			t.Errorf("that it found nothing is kept for %v", ttl)
		}
		w.clock.add(time.Minute)
		g := w.signIn(alice, laptop)
		must(t, w.product.Do(ctx, late...).Err())
		w.opens(g)
	})
}

// A token of a session that ended long ago writes nothing, whatever it is presented for: only that an account's logouts
// everywhere found nothing is written down, in one key of a bounded size that expires.
func TestEnded_tokenWritesNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.RefreshRate, o.DevicePolicy = 60, session.PolicyRevoke })
		g := w.withState(laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		a := w.opens(next)
		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		w.clock.add(w.opts.Absolute)
		for key := range w.dump() { // a rate limit is forgotten while the test runs
			if ttl := w.rdb.PTTL(ctx, key).Val(); ttl > 0 && ttl < time.Minute {
				must(t, w.rdb.Del(ctx, key).Err())
			}
		}
		before := w.dump()
		for _, client := range []session.Client{laptop, phone, elsewhere()} {
			for _, old := range []session.Grant{g, next} {
				_, _ = w.Validate(ctx, old.AccessToken, client)
				_, _, _ = w.ValidateWithPreferences(ctx, old.AccessToken, client)
				_, _ = w.Refresh(ctx, old.RefreshToken, client)
				_, _ = w.Inspect(ctx, old.AccessToken, client.Transport)
				_, _ = w.InspectRefresh(ctx, old.RefreshToken, client.Transport)
				_, _ = w.StepUp(ctx, a, client, nil)
				_, _ = w.PutState(ctx, a, "form", []byte(`1`), 0, session.StateCondition{})
				_ = w.DeleteState(ctx, a, "form", session.StateCondition{})
				_, _ = w.SetPreferences(ctx, a, session.Preferences{}, []byte(`{"a":1}`), client.Actor())
				_, _ = w.Revoke(ctx, old.Session.ID, session.LoggedOut, session.Change{Actor: client.Actor()})
			}
		}
		if !same(before, w.dump()) {
			t.Error("something was written")
		}
		for range 200 {
			if n, err := w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor()); n != 0 || err != nil {
				t.Errorf("ended %d, %v", n, err)
			}
		}
		after := w.dump()
		noops := w.NoopsKey(g.User.ID)
		if size, ttl := w.rdb.StrLen(ctx, noops).Val(), w.rdb.PTTL(ctx, noops).Val(); size > 400 || ttl <= 0 || ttl > 5*time.Minute {
			t.Errorf("what two hundred logouts leave has %d bytes and is kept for %v", size, ttl)
		}
		delete(after, noops)
		if !same(before, after) {
			t.Errorf("there were %d keys, and there are %d and one more", len(before), len(after))
		}
		w.clock.add(session.Day) // nothing remembers the session any more
		_, err = w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		wants(t, err, token.ErrInvalid)
	})
}

// A logout everywhere that found nothing, and arrives once more after a login, does not end that: whether its reply was
// lost or its first request came late, and also where others found nothing meanwhile.
func TestRevokeAll_nothingAndLate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		var later session.Grant
		n, err := w.overtaken(func() {
			for range 20 {
				_, err := w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
				must(t, err)
			}
			later = w.signIn(alice, laptop)
		}).RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		if must(t, err); n != 0 {
			t.Errorf("told that %d ended", n)
		}
		w.opens(later)
		var doubled atomic.Int64
		n, err = w.on(w.doubling(t, &doubled), w.clock).RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		if must(t, err); n != 1 {
			t.Errorf("another one ended %d", n)
		}
		w.dead(later)
		n, err = w.on(w.doubling(t, &doubled), w.clock).RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		if must(t, err); n != 0 || doubled.Load() != 2 {
			t.Errorf("a last one ended %d", n)
		}
	})
}

// A key of no-ops that has another type, which no version writes, keeps nobody from logging out everywhere.
func TestRevokeAll_noopsOfAnotherType(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		must(t, w.rdb.HSet(ctx, w.NoopsKey(g.User.ID), "a", "b").Err())
		n, err := w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor())
		if must(t, err); n != 1 {
			t.Errorf("ended %d", n)
		}
		w.dead(g)
	})
}

// Every key expires but those of which there is a fixed number, however many sign in, and the records of accounts that
// were blocked or given roles.
func TestKeys_expire(t *testing.T) {
	// For each partition: its counters, the segments of its index, its erased accounts and its registry. They
	// are written in the step of each change, and a TTL would lose a count or a user that nobody finds again. For all: the
	// list of admins, which no login renews.
	kept := []string{"}:c", "}:x", "}:e", "}:r", "}:m", ":admins"}
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small, func(o *session.Options) {
			o.SessionLimit, o.NonceRate, o.LoginRate, o.RefreshRate = 5, 20, 20, 20
		})
		story(t, w, w.Store)
		must(t, w.CountFailure(ctx))
		roled, blocked := w.signIn(alice, laptop), w.signIn(bob, laptop)
		w.putState(w.opens(roled), "form", `1`)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, asOperator)
		must(t, err)
		withNote := asOperator
		withNote.Note = "spam"
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(carol)), withNote))
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		w.signIn(alice, laptop) // which names it in the registry
		must(t, w.Erase(ctx, blocked.User.ID, asOperator))
		gone := w.signIn(carol, laptop)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		_, err = w.RevokeAll(ctx, gone.Session.ID, session.LoggedOut, laptop.Actor())
		must(t, err)
		must(t, w.Erase(ctx, gone.User.ID, asOperator))
		w.sweep(w.Store)
		w.signIn(carol, laptop)

		seen := map[string]bool{}
		for _, key := range w.redis.Keys(t, w.opts.Prefix+"*") {
			_, name, _ := strings.Cut(key, "}:")
			if name == "" {
				name = strings.TrimPrefix(key, w.opts.Prefix+":")
			}
			seen[name[:1]] = true
			if w.rdb.PTTL(ctx, key).Val() >= 0 {
				continue
			}
			stays := key == w.RecordKey(roled.Session.ID) || key == w.RecordKey(blocked.Session.ID)
			for _, part := range kept {
				stays = stays || strings.Contains(key, part)
			}
			if !stays {
				t.Errorf("%q has no TTL", key)
			}
		}
		for _, kind := range strings.Split("u s d a o i c x e r m l n f admins sum", " ") {
			if !seen[kind[:1]] {
				t.Errorf("the test made no key of the kind %s", kind)
			}
		}
	})
}
