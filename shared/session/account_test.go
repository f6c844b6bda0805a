package session_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var (
	operator   = session.Actor{User: token.UserID{1, 2, 3}, Device: "Operator's desk"}
	asOperator = session.Change{Actor: operator}
	keepsAdmin = session.Change{Actor: operator, KeepAdmin: true}
)

func TestBlock(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, second := w.signIn(alice, laptop), w.signIn(alice, phone)
		under := w.login(alice, laptop) // its nonce is spent, its session not made yet
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.dead(g)
		w.dead(second)
		_, err := w.Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.AccountBlocked)
		_, err = w.Create(ctx, under)
		wants(t, err, session.ErrBlocked)
		a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice)))
		must(t, err)
		if len(a.Sessions) != 0 || !a.BlockedAt.Equal(w.clock.now()) || a.User.ID != w.UserOf(token.KeyAccount(alice)) {
			t.Errorf("the account is %+v", a)
		}
		if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl != -1 {
			t.Errorf("a block is kept for %v", ttl)
		}

		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.dead(g)
		w.opens(w.signIn(alice, laptop))
		if a, err = w.Account(ctx, w.UserOf(token.KeyAccount(alice))); err != nil || !a.BlockedAt.IsZero() || len(a.Sessions) != 1 {
			t.Errorf("unblocked, the account is %+v, %v", a, err)
		}
	})
}

// One that was never seen can be blocked, and given roles; both hold at its first login.
func TestAccount_neverSeen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.Account(ctx, w.UserOf(token.KeyAccount(bob)))
		wants(t, err, session.ErrNotFound)
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		_, err = w.Account(ctx, w.UserOf(token.KeyAccount(bob)))
		wants(t, err, session.ErrNotFound)

		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		_, err = w.Create(ctx, w.login(bob, laptop))
		wants(t, err, session.ErrBlocked)
		user, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"editor"}, keepsAdmin)
		must(t, err)
		if !user.CreatedAt.IsZero() || !user.LastLoginAt.IsZero() {
			t.Errorf("never seen, yet %+v", user)
		}
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		w.clock.add(time.Hour)
		g := w.signIn(bob, laptop)
		if !slices.Equal(g.User.Roles, []string{"editor"}) || !g.User.CreatedAt.Equal(w.clock.now()) {
			t.Errorf("signed in as %+v", g.User)
		}
	})
}

// Roles hold from the next read of every session on.
func TestSetRoles(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, second := w.signIn(alice, laptop), w.signIn(alice, phone)
		has := func(want ...string) {
			t.Helper()
			for _, g := range []session.Grant{g, second} {
				if got := w.opens(g).User.Roles; !slices.Equal(got, want) {
					t.Errorf("roles are %q, want %q", got, want)
				}
			}
		}
		has()
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin", "editor"}, keepsAdmin)
		must(t, err)
		has("admin", "editor")
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"admin"}, keepsAdmin)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, keepsAdmin)
		must(t, err)
		has("editor")
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), nil, keepsAdmin)
		wants(t, err, session.ErrLastAdmin)
		wants(t, w.Erase(ctx, w.UserOf(token.KeyAccount(bob)), keepsAdmin), session.ErrLastAdmin)
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		longest := strings.Repeat("r", session.MaxRoles)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{longest}, keepsAdmin)
		must(t, err)
		has(longest)
	})
}

// Two admins who take the role from each other at the same moment do not both succeed.
func TestSetRoles_lastAdminRace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for range 20 {
			both := []common.Address{alice, bob}
			for _, address := range both {
				_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(address)), []string{"admin"}, keepsAdmin)
				must(t, err)
			}
			var refused atomic.Int64
			together(2, func(i int) {
				_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(both[i])), nil, keepsAdmin)
				if errors.Is(err, session.ErrLastAdmin) {
					refused.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
			if n := refused.Load(); n != 1 {
				t.Fatalf("%d of two were refused, want 1", n)
			}
		}
	})
}

// A role brings a limit of its own, of several the largest; one that configuration grants counts too.
func TestCreate_roleLimits(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) {
			o.SessionLimit, o.RoleLimits = 2, map[string]int{"editor": 3, "service": 5, "admin": 0, "guest": 1}
		})
		live := func(roles []string, granted ...string) int {
			t.Helper()
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), roles, asOperator)
			must(t, err)
			var g session.Grant
			for range 7 {
				in := w.login(alice, laptop)
				in.Granted = granted
				g, err = w.Create(ctx, in)
				must(t, err)
			}
			return len(w.stored(g).Live)
		}
		for _, c := range []struct {
			roles, granted []string
			want           int
		}{
			{nil, nil, 2}, {[]string{"unknown"}, nil, 2}, {[]string{"editor"}, nil, 3}, {[]string{"editor", "service"}, nil, 5},
			{[]string{"service", "editor"}, nil, 5}, {[]string{"guest"}, nil, 1}, {nil, []string{"editor"}, 3}, {nil, nil, 2},
			{nil, []string{"admin"}, 9}, // all that fit: two, and seven more
		} {
			if got := live(c.roles, c.granted...); got != c.want {
				t.Errorf("with %q and %q %d live, want %d", c.roles, c.granted, got, c.want)
			}
		}
	})
}

// Erasing leaves a block, and the marks by which the holders of tokens are told. Nothing else of the account remains.
func TestErase(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		before := w.signIn(alice, laptop)
		_, err := w.Revoke(ctx, before.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		g := w.signIn(alice, laptop)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		_, err = w.SetPreferences(ctx, a, p, []byte(`{"theme":"dark"}`), laptop.Actor())
		must(t, err)
		_, err = w.PutState(ctx, a, "draft", []byte(`"text"`), 0, session.StateCondition{})
		must(t, err)

		user := g.User.ID
		must(t, w.Erase(ctx, user, session.Change{Actor: laptop.Actor()}))
		w.dead(g)
		_, err = w.Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.AccountErased)
		s := w.stored(g)
		if len(s.Roles) != 0 || len(s.Live) != 0 || len(s.Ended) != 2 {
			t.Errorf("the record is %+v", s)
		}
		for key := range w.dump() {
			rest := strings.TrimPrefix(key, w.opts.Prefix+":")
			if strings.Contains(rest, string(user[:])) && key != w.RecordKey(g.Session.ID) || strings.Contains(rest, string(g.Session.ID.Session[:])) {
				t.Errorf("%q remains", key)
			}
		}
		if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl <= 0 || ttl > w.opts.Absolute+session.Day {
			t.Errorf("the marks are kept for %v", ttl)
		}
		again := w.signIn(alice, laptop)
		if again.User.ID != user || !again.User.CreatedAt.Equal(w.clock.now()) {
			t.Errorf("signed in again as %+v", again.User)
		}

		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, w.Erase(ctx, user, asOperator))
		_, err = w.Create(ctx, w.login(alice, laptop))
		wants(t, err, session.ErrBlocked)
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		if _, err := w.Account(ctx, w.UserOf(token.KeyAccount(bob))); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("erasing nobody left %v", err)
		}
	})
}

// A login that takes effect while an erasure is under way is erased too, or comes wholly after it.
func TestErase_loginInBetween(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		var between session.Grant
		s := w.on(w.beforeScript(func() { between = w.signIn(alice, phone) }), w.clock)
		must(t, s.Erase(ctx, g.User.ID, session.Change{Actor: laptop.Actor()}))
		w.dead(g)
		w.dead(between)
		if n := w.rdb.Exists(ctx, w.PayloadKey(between.Session.ID)).Val(); n != 0 {
			t.Error("its payload remains")
		}
	})
}

// Invariant 5: what took effect before a block, a revoke-all or a logout everywhere is dead after it, and after a block
// nothing takes effect. Logins and refreshes race them. Attack cases 38 and 50.
func TestEndings_race(t *testing.T) {
	for name, ending := range map[string]func(*world, session.Grant) error{
		"block": func(w *world, _ session.Grant) error {
			return w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator)
		},
		"revoke all": func(w *world, g session.Grant) error {
			return second(w.RevokeAllOf(ctx, g.User.ID, session.RevokedByAdmin, asOperator))
		},
		"logout everywhere": func(w *world, g session.Grant) error {
			return second(w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, laptop.Actor()))
		},
		"erasure": func(w *world, g session.Grant) error {
			return w.Erase(ctx, g.User.ID, session.Change{Actor: laptop.Actor()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) { raceEnding(t, newWorld(t, r), name == "block", ending) })
		})
	}
}

func second(_ int, err error) error { return err }

func raceEnding(t *testing.T, w *world, blocks bool, ending func(*world, session.Grant) error) {
	t.Helper()
	for range 8 {
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		first := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		var sent, done atomic.Bool
		type made struct {
			grant         session.Grant
			before, after bool // answered before the ending was sent; asked after it was answered
		}
		results := make([]made, 24)
		together(len(results)+1, func(i int) {
			if i == len(results) {
				sent.Store(true)
				if err := ending(w, first); err != nil {
					t.Error(err)
				}
				done.Store(true)
				return
			}
			after := done.Load()
			var g session.Grant
			var err error
			if i%3 == 0 {
				g, err = w.Refresh(ctx, first.RefreshToken, laptop)
			} else {
				g, err = w.Create(ctx, w.login(alice, laptop))
			}
			if err == nil {
				results[i] = made{g, !sent.Load(), after}
			}
		})
		w.dead(first)
		for _, m := range results {
			if m.grant.AccessToken == "" {
				continue
			}
			_, err := w.Validate(ctx, m.grant.AccessToken, laptop)
			if m.before && err == nil {
				t.Error("a session that was answered before lives on")
			}
			if blocks && (err == nil || m.after) {
				t.Errorf("after a block a session is answered with %v", err)
			}
		}
		if blocks && len(w.stored(first).Live) != 0 {
			t.Error("the record of a blocked account lists a session")
		}
	}
}

// Blocking somebody who could administer is like taking the role away: the last one stays. Nobody stands on the list of
// those who could, whom the record does not say so of, however roles and blocks race.
func TestBlock_lastAdmin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		give := func(address common.Address, roles ...string) error {
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(address)), roles, keepsAdmin)
			return err
		}
		must(t, give(alice, "admin"))
		wants(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), keepsAdmin), session.ErrLastAdmin)
		must(t, give(bob, "admin"))
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), keepsAdmin))
		wants(t, give(alice), session.ErrLastAdmin) // the other admin is blocked
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		must(t, give(alice))
		wants(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), keepsAdmin), session.ErrLastAdmin)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), keepsAdmin))
		must(t, give(alice, "admin")) // blocked, so not one who could
		wants(t, give(bob), session.ErrLastAdmin)

		for range 30 {
			together(2, func(i int) {
				roles := [][]string{{"admin"}, nil}[i]
				if _, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), roles, asOperator); err != nil {
					t.Error(err)
				}
			})
			must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
			a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice)))
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				t.Fatal(err)
			}
			listed := w.rdb.SIsMember(ctx, w.AdminsKey(), string(a.User.ID[:])).Val()
			if listed && !slices.Contains(a.User.Roles, "admin") {
				t.Fatal("on the list without the role")
			}
		}
	})
}

// A second erasure changes nothing, and says nothing.
func TestErase_twice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		must(t, w.Erase(ctx, g.User.ID, session.Change{Actor: laptop.Actor()}))
		must(t, w.Erase(ctx, g.User.ID, session.Change{Actor: laptop.Actor()}))
		if n := count(emitted, session.EventErased); n != 1 {
			t.Errorf("%d events of one erasure", n)
		}
		_, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice)))
		wants(t, err, session.ErrNotFound)
	})
}
