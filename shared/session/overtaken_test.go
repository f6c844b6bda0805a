package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// before runs call once before the first command with that name.
func (w *world) before(name string, call func()) redis.UniversalClient {
	var done atomic.Bool
	return w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == name && done.CompareAndSwap(false, true) {
			call()
		}
		return next(ctx, cmd)
	})
}

// admins is how many stand on the list.
func (w *world) admins() int64 { return w.rdb.SCard(ctx, w.opts.Prefix+":admins").Val() }

// Nobody keeps a place on the list of admins by being promoted while a demotion is under way.
func TestSetRoles_overtakenByPromotion(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		promoted := func() *session.Store {
			return w.on(w.beforeScript(func() {
				_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"admin"}, keepsAdmin)
				must(t, err)
			}), w.clock)
		}
		_, err := promoted().SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), nil, asOperator)
		must(t, err)
		if n := w.admins(); n != 0 {
			t.Errorf("%d on the list", n)
		}
		_, err = promoted().SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), nil, keepsAdmin) // who is the last one now
		wants(t, err, session.ErrLastAdmin)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, keepsAdmin)
		must(t, err)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), keepsAdmin))
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, keepsAdmin)
		wants(t, err, session.ErrLastAdmin)
	})
}

// An admin whose demotion is refused in the end is on the list again, though it was removed before.
func TestSetRoles_refusedAfterTheDrop(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		give := func(s *session.Store, address common.Address, roles []string, change session.Change) error {
			_, err := s.SetRoles(ctx, w.UserOf(token.KeyAccount(address)), roles, change)
			return err
		}
		must(t, give(w.Store, alice, []string{"admin"}, asOperator))
		must(t, give(w.Store, bob, []string{"admin"}, asOperator))
		s := w.on(w.beforeScript(func() { must(t, give(w.Store, bob, []string{"admin", "editor"}, asOperator)) }), w.clock)
		refused := errors.New("refused")
		noEditor := session.Change{Actor: operator, Condition: func(roles []string) error {
			if slices.Contains(roles, "editor") {
				return refused
			}
			return nil
		}}
		wants(t, give(s, bob, nil, noEditor), refused)
		if n := w.admins(); n != 2 {
			t.Errorf("%d on the list, want 2", n)
		}
	})
}

// Nor while an erasure is.
func TestErase_overtakenByPromotion(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(bob, laptop)
		s := w.on(w.beforeScript(func() {
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"admin"}, keepsAdmin)
			must(t, err)
		}), w.clock)
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		if w.admins() != 0 {
			t.Errorf("the erased one is on the list")
		}
	})
}

// Nor by being demoted before the list was written.
func TestSetRoles_overtakenByDemotion(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, keepsAdmin)
		must(t, err)
		s := w.on(w.before("sadd", func() {
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), nil, keepsAdmin)
			must(t, err)
		}), w.clock)
		_, err = s.SetRoles(ctx, s.UserOf(token.KeyAccount(bob)), []string{"admin"}, keepsAdmin)
		must(t, err)
		if n := w.admins(); n != 1 {
			t.Errorf("%d on the list, want 1", n)
		}
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, keepsAdmin)
		wants(t, err, session.ErrLastAdmin)
	})
}

// Our own repeat of a refresh is no theft, also where a step-up came in between.
func TestRefresh_repeatOvertakenByStepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		var up session.Grant
		_, err = w.overtaken(func() { up, err = w.StepUp(ctx, a, laptop, nil); must(t, err) }).Refresh(ctx, g.RefreshToken, laptop)
		wants(t, err, token.ErrInvalid)
		w.opens(up)
	})
}

// Nor is another tab with the same token, within the grace of its rotation.
func TestRefresh_secondTabOvertakenByStepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.add(time.Second)
		a, err := w.Inspect(ctx, next.AccessToken, session.Cookie)
		must(t, err)
		up, err := w.StepUp(ctx, a, laptop, nil)
		must(t, err)
		_, err = w.Refresh(ctx, g.RefreshToken, laptop)
		wants(t, err, token.ErrInvalid)
		w.opens(up)
	})
}

// A step-up ends the access token before it also for a function whose clock is behind.
func TestStepUp_clockBehind(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		_, err := w.Validate(ctx, g.AccessToken, phone)
		wants(t, err, session.ErrStepUp)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		behind := w.clock.behind(10 * time.Second)
		_, err = w.StepUp(ctx, a, laptop, nil)
		must(t, err)
		_, err = w.on(w.product, behind).Validate(ctx, g.AccessToken, laptop)
		wants(t, err, session.ErrTokenExpired)
	})
}

// An erasure whose reply is lost is told, also where nothing is left to remember it by.
func TestErase_lostReplyWithoutSessions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"editor"}, keepsAdmin)
		must(t, err)
		emitted = nil
		kept := func() {
			if ttl := w.rdb.PTTL(ctx, w.RecordKeyOf(w.UserOf(token.KeyAccount(bob)))).Val(); ttl <= 0 || ttl > time.Minute {
				t.Errorf("the record is kept for %v", ttl)
			}
		}
		must(t, w.overtaken(kept).Erase(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		if n := count(emitted, session.EventErased); n != 1 {
			t.Errorf("%d erasures told", n)
		}
	})
}

// And so are all ends of it.
func TestErase_lostReplyOfMany(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.SessionLimit = 0 })
		var g session.Grant
		for range 25 {
			g = w.signIn(alice, laptop)
		}
		emitted = nil
		var lost atomic.Int64
		must(t, w.on(w.losing(&lost), w.clock).Erase(ctx, g.User.ID, asOperator))
		if n := count(emitted, session.EventEnded); n != 25 {
			t.Errorf("%d of 25 ends told", n)
		}
	})
}

// Our own repeat does nothing again that somebody else has changed since.
func TestStore_repeatOvertaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		must(t, w.overtaken(func() { must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator)) }).Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if a, _ := w.Account(ctx, w.UserOf(token.KeyAccount(alice))); !a.BlockedAt.IsZero() {
			t.Error("blocked again after an unblock that was answered")
		}
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		g = w.signIn(alice, laptop)
		var later session.Grant
		n, err := w.overtaken(func() {
			later = w.signIn(alice, laptop)
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"x"}, asOperator)
			must(t, err)
		}).RevokeAllOf(ctx, g.User.ID, session.Revoked, asOperator)
		must(t, err)
		if n != 1 {
			t.Errorf("told that %d ended", n)
		}
		w.dead(g)
		w.opens(later)
	})
}

// Whoever shows the token of a held session from ever other devices does not push out what happened before.
func TestActivity_notWashed(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	other, third := laptop, laptop
	other.Device.OS, third.Device.OS = "Windows", "macOS"
	for range 30 {
		for _, c := range []session.Client{other, third} {
			_, err := w.Validate(ctx, g.AccessToken, c)
			wants(t, err, session.ErrStepUp)
		}
	}
	events, _, err := w.Activity(ctx, g.User.ID, "", 100)
	must(t, err)
	if k := kinds(events); !slices.Contains(k, "login") {
		t.Errorf("the login is gone: %d events, all %s", len(k), k[0])
	}
}

// What is too old goes when something new comes.
func TestActivity_retention(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.ActivityKeep = 24 * time.Hour })
		g := w.signIn(alice, laptop)
		for range 10 {
			w.clock.add(20 * time.Hour)
			w.signIn(alice, laptop)
		}
		events, _, err := w.Activity(ctx, g.User.ID, "", 100)
		must(t, err)
		if n := w.rdb.LLen(ctx, w.ActivityKey(g.User.ID)).Val(); int(n) > len(events)+1 {
			t.Errorf("%d stored, %d are within ActivityKeep", n, len(events))
		}
	})
}

// Roles that do not fit change nothing.
func TestSetRoles_tooLong(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{strings.Repeat("r", 256)}, keepsAdmin)
		if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); err == nil || ttl < 0 {
			t.Errorf("%.80v, and the record is kept for %v", err, ttl)
		}
	})
}

// Events are told after a lost reply also where something else has changed the account since.
func TestEvents_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		quiet := session.NewStore(w.product, w.ring, func() session.Options { o := w.opts; o.Audit = nil; return o }(), w.clock.now)
		w.signIn(alice, laptop)
		_, err := w.overtaken(func() { must(t, quiet.Block(ctx, quiet.UserOf(token.KeyAccount(alice)), asOperator)) }).SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		if n := count(emitted, session.EventRoles); n != 1 {
			t.Errorf("roles: %d told", n)
		}
		must(t, quiet.Unblock(ctx, quiet.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, w.overtaken(func() { _, _ = quiet.SetRoles(ctx, quiet.UserOf(token.KeyAccount(alice)), nil, asOperator) }).Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if n := count(emitted, session.EventBlocked); n != 1 {
			t.Errorf("block: %d told", n)
		}
	})
}

// A change of preferences that took effect is told so, also where another came before its repeat.
func TestSetPreferences_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		s := w.overtaken(func() {
			_, q, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
			must(t, err)
			_, err = w.SetPreferences(ctx, a, q, []byte(`{"b":2}`), laptop.Actor())
			must(t, err)
		})
		_, err = s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		must(t, err)
	})
}

// A recount that step-ups overtake changes nothing.
func TestSweep_recountBetweenStepUps(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		partition := session.Partition(g.User.ID)
		for int64(partition%60) != w.clock.now().Unix()/60%60 {
			w.clock.add(time.Minute)
		}
		g = w.signIn(alice, laptop)
		must(t, func() error { _, err := w.RevokeOthers(ctx, g.Session.ID, session.Revoked, operator); return err }())
		step := func(c session.Client) {
			a, err := w.InspectRefresh(context.Background(), g.RefreshToken, session.Cookie)
			must(t, err)
			g, err = w.StepUp(context.Background(), a, c, nil)
			must(t, err)
		}
		record := w.RecordKey(g.Session.ID)
		var m atomic.Bool
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if cmd.Name() == "mget" && cmd.Args()[1] == record && m.CompareAndSwap(false, true) {
				step(phone)
				err := next(ctx, cmd)
				step(laptop)
				return err
			}
			return next(ctx, cmd)
		}), w.clock)
		done := w.sweepWith(s, alice)
		live, _, err := w.Counters(ctx, partition)
		must(t, err)
		if live["desktop"] != 1 || live["mobile"] != 0 {
			t.Errorf("hit %v, %+v: %v", m.Load(), done, live)
		}
	})
}

// What took effect is told after a lost reply also where the session has ended since.
func TestEvents_endedSince(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		emitted = nil
		s := w.overtaken(func() { _, err := w.Revoke(ctx, g.Session.ID, session.Revoked, asOperator); must(t, err) })
		_, err = s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		must(t, err) // as the first run had it
		if n := count(emitted, session.EventPreferences); n != 1 {
			t.Errorf("preferences: %d told", n)
		}
		g = w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		emitted = nil
		s = w.overtaken(func() { _, err := w.Revoke(ctx, g.Session.ID, session.Revoked, asOperator); must(t, err) })
		_, err = s.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.Revoked)
		if n := count(emitted, session.EventRefresh); n != 1 {
			t.Errorf("refresh: %d told", n)
		}
		g = w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		a, err = w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		emitted = nil
		s = w.overtaken(func() { _, err := w.StepUp(ctx, a, laptop, nil); must(t, err) })
		_, err = s.Refresh(ctx, g.RefreshToken, laptop)
		wants(t, err, token.ErrInvalid)
		if n := count(emitted, session.EventRefresh); n != 1 {
			t.Errorf("refresh under a step-up: %d told", n)
		}
	})
}

// A session that begins and ends while an erasure is under way leaves nothing either.
func TestErase_sessionInBetween(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		var late session.Grant
		s := w.on(w.beforeScript(func() {
			late = w.signIn(alice, laptop)
			_, err := w.RevokeAllOf(ctx, g.User.ID, session.Revoked, asOperator)
			must(t, err)
		}), w.clock)
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		if w.rdb.Exists(ctx, w.PayloadKey(late.Session.ID)).Val() != 0 {
			t.Error("a payload remains")
		}
	})
}

// Every script about an account run twice gives the same answer and the same state, whatever came before.
func TestScripts_twiceOfAccount(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		var n atomic.Int64
		s := w.on(w.doubling(t, &n), w.clock)
		_, err := s.SetRoles(ctx, s.UserOf(token.KeyAccount(alice)), []string{"admin"}, asOperator)
		must(t, err)
		must(t, s.Block(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, s.Unblock(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		must(t, s.Block(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		must(t, s.Unblock(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, s.Erase(ctx, g.User.ID, asOperator))
		if n.Load() == 0 {
			t.Error("no script ran twice")
		}
	})
}

// Invariant 2: a login that is asked for again brings back nothing, however many sessions ended with its own meanwhile.
func TestCreate_repeatOvertakenByManyEnds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.SessionLimit = 0 })
		g, err := w.overtaken(func() {
			var last session.Grant
			for range 20 {
				last = w.signIn(alice, laptop)
			}
			n, err := w.RevokeAll(ctx, last.Session.ID, session.Revoked, operator)
			if must(t, err); n != 21 {
				t.Errorf("ended %d", n)
			}
		}).Create(ctx, w.login(alice, laptop))
		must(t, err) // the answer that was lost: it has taken effect, and ended
		w.dead(g)
		if n := len(w.stored(g).Live); n != 0 {
			t.Errorf("%d sessions live", n)
		}
	})
}

// Invariant 2, with nonces that live for an hour: neither a login that arrives once more in the last moment of its nonce,
// nor one whose nonce a failover gave back, brings a session back that was ended, whatever ended since. It does not matter
// how the functions are configured that wrote the record in between.
func TestCreate_endedWithinALongNonce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, c := range map[string]struct {
			repeat bool
			life   time.Duration
		}{
			"repeat": {true, time.Hour}, "repeat, shorter": {true, 5 * time.Minute}, "un-spent": {false, time.Hour}, "un-spent, shorter": {false, 5 * time.Minute},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, r.Under(t, fmt.Sprint(r.Prefix, name[:1], c.life.Minutes())), func(o *session.Options) { o.NonceLife = time.Hour })
				opts := w.opts
				opts.NonceLife = c.life
				writer := session.NewStore(w.product, w.ring, opts, w.clock.now)
				nonce, expires, err := w.IssueNonce(ctx, forLogin)
				must(t, err)
				unspent := w.rdb.Get(ctx, w.NonceKey(nonce)).Val()
				must(t, w.SpendNonce(ctx, nonce, forLogin))
				login := session.Login{Nonce: nonce, Account: token.KeyAccount(alice), ChainID: 1, Client: laptop}
				var g session.Grant
				others := func() {
					live, err := w.Stored(ctx, w.UserOf(token.KeyAccount(alice)))
					must(t, err)
					_, err = w.Revoke(ctx, live.Live[0].ID, session.LoggedOut, session.Change{Actor: operator})
					must(t, err)
					for range 20 {
						g, err = writer.Create(ctx, w.login(alice, laptop))
						must(t, err)
						_, err = writer.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: operator})
						must(t, err)
					}
					w.clock.set(expires.Add(-time.Millisecond))
					g, err = writer.Create(ctx, w.login(alice, laptop))
					must(t, err)
				}
				if c.repeat {
					_, err = w.overtaken(others).Create(ctx, login)
					must(t, err) // the answer that was lost
				} else {
					_, err = w.Create(ctx, login)
					must(t, err)
					others()
					must(t, w.rdb.Set(ctx, w.NonceKey(nonce), unspent, time.Minute).Err())
					must(t, w.SpendNonce(ctx, nonce, forLogin))
					_, err = w.Create(ctx, login)
					wants(t, err, session.ErrNonceSpent)
				}
				if live := w.stored(g).Live; len(live) != 1 || live[0].ID != g.Session.ID {
					t.Errorf("%d sessions are live, want the last one", len(live))
				}
			})
		}
	})
}

// A refresh that arrives once more after the next one is no theft: it was asked for before that. Whoever presents its token
// later is a thief still.
func TestRefresh_repeatOvertakenByTheNext(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		var next session.Grant
		_, err := w.overtaken(func() {
			first, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
			w.clock.add(w.opts.Grace)
			next, err = w.Refresh(ctx, first.RefreshToken, laptop)
			must(t, err)
		}).Refresh(ctx, g.RefreshToken, laptop)
		wants(t, err, token.ErrInvalid)
		w.opens(next)
		if n := count(emitted, session.EventRefresh); n != 2 {
			t.Errorf("%d of 2 rotations told", n)
		}
		_, err = w.Refresh(ctx, g.RefreshToken, laptop)
		wantsEnded(t, err, session.RefreshReused)
		w.dead(next)
	})
}
