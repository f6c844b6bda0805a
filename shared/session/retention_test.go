package session_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

const year = 365 * session.Day

// forGood is the TTL of a key without one.
const forGood = time.Duration(-1)

// keeps asserts the TTL of a key, or forGood. A slow test sees a little less.
func (w *world) keeps(when, key string, want time.Duration) {
	w.t.Helper()
	got := w.rdb.PTTL(ctx, key).Val()
	if got != want && (want <= 0 || got > want || got < want-time.Minute) {
		w.t.Errorf("%s: %q is kept for %v, want %v", when, key[len(w.opts.Prefix):], got, want)
	}
}

// stay makes keys stay for good, as version 0.1.0 left them.
func (w *world) stay(keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		must(w.t, w.rdb.Persist(ctx, key).Err())
	}
}

func (w *world) signOut(g session.Grant) {
	w.t.Helper()
	_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	must(w.t, err)
}

// Preferences, and a record with nothing but preferences, are kept for a year after the last login. A login renews that.
func TestPreferences_outliveTheLastLogin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		record, preferences := w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID)
		both := func(when string, want time.Duration) {
			t.Helper()
			w.keeps(when, preferences, want)
			w.keeps(when, record, want)
		}
		// The clock of Redis stands. Where the preferences are not written, their TTL does not shrink as the record's does.
		w.prefer(g, `{"a":1}`)
		both("written", year)
		w.clock.add(10 * time.Minute)
		w.prefer(g, `{"a":2}`)
		both("written anew, which is no login", year-10*time.Minute)
		w.clock.add(10 * time.Minute)
		w.signOut(g)
		w.keeps("signed out", preferences, year-10*time.Minute)
		w.keeps("signed out", record, year-20*time.Minute)
		w.clock.add(100 * session.Day)
		must(t, w.rdb.PExpire(ctx, preferences, 265*session.Day).Err())
		g = w.signIn(alice, laptop)
		both("signed in again", year)
		w.clock.add(time.Hour)
		w.sweepOf(alice)
		w.dead(g)
		w.keeps("timed out", preferences, year)
		w.keeps("timed out", record, year-time.Hour)
		g = w.signIn(alice, laptop)
		w.prefer(g, `{}`)
		w.keeps("emptied", record, 90*session.Day+w.opts.Absolute)
	})
}

// Preferences that expire while a session is live read as {}, under the version of none: so the session goes on, a change
// that was made for the former ones is refused, and a new one is not.
func TestPreferences_expireUnderASession(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		first := w.prefer(g, `{"a":1}`)
		must(t, w.rdb.Del(ctx, w.PreferencesKey(g.User.ID)).Err())
		a, none := w.preferences(g)
		if string(none.JSON) != session.EmptyPreferences || none.Version != "0" {
			t.Errorf("they read as %s, version %q", none.JSON, none.Version)
		}
		current, err := w.SetPreferences(ctx, a, first, []byte(`{"a":2}`), laptop.Actor())
		wants(t, err, session.ErrPrecondition)
		if string(current.JSON) != session.EmptyPreferences || current.Version != "0" {
			t.Errorf("a change for the former ones is told %s, version %q", current.JSON, current.Version)
		}
		if p, err := w.SetPreferences(ctx, a, none, []byte(`{}`), laptop.Actor()); err != nil || p.Version != "0" {
			t.Errorf("emptied once more: version %q, %v", p.Version, err)
		}
		second, err := w.SetPreferences(ctx, a, current, []byte(`{"a":1}`), laptop.Actor())
		must(t, err)
		if _, read := w.preferences(g); string(read.JSON) != `{"a":1}` || read.Version != second.Version || second.Version == first.Version {
			t.Errorf("set anew they read as %s, version %q, formerly %q", read.JSON, read.Version, first.Version)
		}
		w.keeps("set anew", w.PreferencesKey(g.User.ID), year)
		must(t, w.Erase(ctx, g.User.ID, session.Change{Actor: laptop.Actor()}))
	})
}

// A year after the last login nothing of an account is left but its counters, and signing in begins anew.
func TestPreferences_expire(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	w.prefer(g, `{"a":1}`)
	w.signOut(g)
	pass := func(d time.Duration) {
		w.redis.Mini.FastForward(d)
		w.clock.add(d)
	}
	pass(year - time.Minute)
	if _, p := w.preferences(w.signIn(alice, laptop)); string(p.JSON) != `{"a":1}` {
		t.Errorf("just before they read as %s", p.JSON)
	}
	pass(year + time.Minute)
	for key := range w.dump() {
		if !strings.HasSuffix(key, "}:c") && !strings.Contains(key, "}:x") {
			t.Errorf("%q is left", key)
		}
	}
	g = w.signIn(alice, laptop)
	if _, p := w.preferences(g); string(p.JSON) != session.EmptyPreferences || !g.User.CreatedAt.Equal(w.clock.now()) {
		t.Errorf("they read as %s, of an account of %v", p.JSON, g.User.CreatedAt)
	}
}

// However short preferences are to be kept, they outlive every session.
func TestPreferences_outliveLongSessions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) {
			o.Absolute, o.Idle, o.Access, o.PreferencesKeep = 30*session.Day, 30*session.Day, 30*session.Day, session.Day
		})
		g := w.signIn(alice, laptop)
		w.prefer(g, `{"a":1}`)
		w.keeps("written", w.PreferencesKey(g.User.ID), 31*session.Day)
		w.clock.add(10 * session.Day)
		a, p := w.preferences(g)
		_, err := w.SetPreferences(ctx, a, p, []byte(`{"a":2}`), laptop.Actor())
		must(t, err)
		w.keeps("written ten days later", w.PreferencesKey(g.User.ID), 21*session.Day)
		short := w.opts
		short.Absolute, short.Idle = time.Hour, time.Hour
		_, err = session.NewStore(w.product, w.ring, short, w.clock.now).Create(ctx, w.login(alice, laptop))
		must(t, err)
		w.keeps("after a login for an hour", w.PreferencesKey(g.User.ID), 21*session.Day)
		w.keeps("after a login for an hour", w.RecordKey(g.Session.ID), 110*session.Day)
	})
}

// A record with roles or a block stays for good; its preferences expire all the same. Without either it is kept for as long
// as they are.
func TestPreferences_expireBesideRolesAndBlock(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		roles := func(roles ...string) {
			t.Helper()
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), roles, asOperator)
			must(t, err)
		}
		g := w.signIn(alice, laptop)
		record, preferences := w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID)
		w.prefer(g, `{"a":1}`)
		roles("editor")
		w.keeps("with a role", record, forGood)
		w.prefer(g, `{"a":2}`)
		w.keeps("written with a role", record, forGood)
		w.keeps("written with a role", preferences, year)
		w.signIn(alice, laptop)
		w.keeps("signed in with a role", preferences, year)
		roles()
		w.keeps("with no role any more", record, year)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.keeps("blocked", record, forGood)
		w.keeps("blocked", preferences, year)
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.keeps("unblocked", record, year)

		roles("editor")
		g = w.signIn(alice, laptop)
		must(t, w.rdb.Del(ctx, preferences).Err())
		if a, p := w.preferences(g); string(p.JSON) != session.EmptyPreferences || len(a.User.Roles) != 1 {
			t.Errorf("after they have expired they read as %s, with roles %q", p.JSON, a.User.Roles)
		}
		w.prefer(g, `{"a":3}`)
		w.keeps("written anew", preferences, year)
	})
}

// What version 0.1.0 left for good gets its TTL at the next login, and a record also when its session ends. The record is
// told whether there are preferences: they may have outlived it, or have expired.
func TestCreate_setsTTLs(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		record, preferences := w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID)
		w.prefer(g, `{"a":1}`)
		w.stay(record, preferences)
		w.signIn(alice, laptop)
		w.keeps("signed in", record, year)
		w.keeps("signed in", preferences, year)
		w.stay(record, preferences)
		w.clock.add(time.Hour)
		w.sweepOf(alice)
		w.keeps("swept", record, year-time.Hour)
		w.keeps("swept", preferences, forGood)

		must(t, w.rdb.Del(ctx, record).Err())
		w.signIn(alice, laptop)
		w.keeps("signed in without a record", record, year)
		w.keeps("signed in without a record", preferences, year)
		must(t, w.rdb.Del(ctx, preferences).Err())
		w.signIn(alice, laptop)
		w.keeps("signed in without preferences", record, 90*session.Day+w.opts.Absolute)
	})
}

// Where a login is refused, preferences are kept no longer.
func TestCreate_refusedRenewsNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit, o.LimitPolicy = 1, session.Deny })
		g := w.signIn(alice, laptop)
		w.prefer(g, `{"a":1}`)
		must(t, w.rdb.PExpire(ctx, w.PreferencesKey(g.User.ID), session.Day).Err())
		_, err := w.Create(ctx, w.login(alice, laptop))
		wants(t, err, session.ErrSessionLimit)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		_, err = w.Create(ctx, w.login(alice, laptop))
		wants(t, err, session.ErrBlocked)
		w.keeps("refused", w.PreferencesKey(g.User.ID), session.Day)
	})
}

// Whatever happens, after each script only these stay for good: records with roles or a block, the list of admins, a
// partition's counters and index, and hints.
func TestTTL_mixedWorkload(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small, withOutbox)
		checked := 0
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			err := next(ctx, cmd)
			if isScript(cmd) {
				w.nothingStays()
				checked++
			}
			return err
		}), w.clock)
		story(t, w, s)
		w.clock.add(time.Hour)
		dataStory(t, w, s)
		must(t, life(w, s, 1))
		w.kept(t, s)
		w.clock.add(time.Hour)
		_, err := s.SweepOf(ctx, w.usersOf(alice, bob, carol)...)
		must(t, err)
		w.nothingStays()
		if checked < 80 {
			t.Errorf("only %d scripts were looked at", checked)
		}
	})
}

// kept does to an account with preferences all that writes its record: each is done with and without a role.
func (w *world) kept(t *testing.T, s *session.Store) {
	t.Helper()
	for i, roles := range [][]string{nil, {"editor"}, nil} {
		_, err := s.SetRoles(ctx, s.UserOf(token.KeyAccount(carol)), roles, asOperator)
		must(t, err)
		login := func(name string) session.Grant {
			t.Helper()
			g, err := s.Create(ctx, session.Login{Nonce: fmt.Sprint(name, i), Account: token.KeyAccount(carol), ChainID: 1, Client: laptop})
			must(t, err)
			return g
		}
		g := login("first")
		a, p, err := s.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		if _, err := s.SetPreferences(ctx, a, p, fmt.Appendf(nil, `{"n":%d}`, i), laptop.Actor()); err != nil {
			t.Error(err)
		}
		_, err = s.Validate(ctx, g.AccessToken, phone) // records that a step-up is required
		wants(t, err, session.ErrStepUp)
		a, err = s.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		up, err := s.StepUp(ctx, a, phone, nil)
		must(t, err)
		_, err = s.Revoke(ctx, up.Session.ID, session.LoggedOut, session.Change{Actor: phone.Actor()})
		must(t, err)
		last := login("second")
		_, err = s.RevokeAll(ctx, last.Session.ID, session.LoggedOut, laptop.Actor())
		must(t, err)
		login("third")
		must(t, errors.Join(s.Block(ctx, s.UserOf(token.KeyAccount(carol)), asOperator), s.Unblock(ctx, s.UserOf(token.KeyAccount(carol)), asOperator)))
	}
}

// nothingStays reports every key that stays for good and should not.
func (w *world) nothingStays() {
	w.t.Helper()
	for _, key := range w.redis.Keys(w.t, w.opts.Prefix+"*") {
		if w.rdb.PTTL(ctx, key).Val() != forGood {
			continue
		}
		_, name, _ := strings.Cut(key, "}:")
		switch {
		case key == w.AdminsKey(), key == w.opts.Prefix+":hints", name == "c", name == "r", name == "m", strings.HasPrefix(name, "x"):
			continue
		case strings.HasPrefix(name, "u"):
			rec := session.DecodedRecord(w.rdb.Get(ctx, key).Val())
			if rec["flags"].(byte)&1 != 0 || rec["roles"].(int) > 0 {
				continue
			}
		}
		w.t.Errorf("%q stays for good", key)
	}
}
