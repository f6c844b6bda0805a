package session_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// registered is what the registry has of an account: whether it is listed, and which sealed texts there are of it.
func (w *world) registered(user token.UserID) string {
	w.t.Helper()
	registry, text := w.RegistryKeys(user)
	var found []string
	if _, err := w.rdb.ZScore(ctx, registry, string(user[:])).Result(); err == nil {
		found = append(found, "listed")
	}
	for kind, name := range map[string]string{"a": "named", "n": "noted"} {
		if w.rdb.HExists(ctx, text, kind+string(user[:])).Val() {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return strings.Join(found, " ")
}

func (w *world) wantsRegistered(when string, user token.UserID, want string) {
	w.t.Helper()
	if got := w.registered(user); got != want {
		w.t.Errorf("%s the registry has %q of it, want %q", when, got, want)
	}
}

// asAdmin is a change of an admin who knows the account, with a note.
func asAdmin(account token.Account, note string) session.Change {
	return session.Change{Actor: asOperator.Actor, Account: account, Note: note}
}

// Whoever blocks an account by its id names it, too, if it has a live session: afterwards nothing else would tell whom the
// block is about. The name does not count if that session has ended since, as by an erasure.
func TestRegistry_namedByItsSession(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		user, byID := w.UserOf(token.KeyAccount(alice)), asAdmin(token.Account{}, "a note")
		w.signIn(alice, laptop)
		must(t, w.Block(ctx, user, byID))
		w.wantsRegistered("after a block by id", user, "listed named noted")
		list, _, err := w.List(ctx, session.ListQuery{Blocked: true}, "", 100)
		must(t, err)
		if len(list) != 1 || list[0].User.Account != token.KeyAccount(alice) {
			t.Errorf("listed %+v", list)
		}
		must(t, w.Erase(ctx, user, asOperator))
		must(t, w.Unblock(ctx, user, byID))
		w.signIn(alice, laptop)
		_, err = w.SetRoles(ctx, user, []string{"editor"}, byID)
		must(t, err)
		w.wantsRegistered("after roles by id", user, "listed named")
		_, err = w.SetRoles(ctx, user, nil, byID) // or the erasure changes its roles, which the block notices
		must(t, err)

		racing := w.on(w.beforeScript(func() { must(t, w.Erase(ctx, user, asOperator)) }), w.clock)
		must(t, racing.Block(ctx, user, byID))
		w.wantsRegistered("after a block that an erasure overtook", user, "listed noted")
	})
}

// The registry has the accounts that hold roles or a block, from the change on, and no others.
func TestRegistry(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		account := token.KeyAccount(alice)
		user, known, unknown := w.UserOf(account), asAdmin(account, ""), asAdmin(token.Account{}, "")
		roles := func(how session.Change, roles ...string) {
			t.Helper()
			_, err := w.SetRoles(ctx, user, roles, how)
			must(t, err)
		}
		roles(unknown, "editor")
		w.wantsRegistered("by its id", user, "listed")
		roles(unknown)
		w.signIn(alice, laptop)
		w.wantsRegistered("after a login", user, "")
		roles(unknown, "editor")
		w.wantsRegistered("by its id, with a live session", user, "listed named")
		roles(known, "editor")
		w.wantsRegistered("named, without another change", user, "listed named")
		roles(unknown, "support")
		w.wantsRegistered("its name stays", user, "listed named")
		must(t, w.Block(ctx, user, asAdmin(token.Account{}, "spam")))
		roles(unknown)
		w.wantsRegistered("with a block", user, "listed named noted")
		got, err := w.Account(ctx, user)
		must(t, err)
		if got.User.Account != account || got.Note != "spam" {
			t.Errorf("it is %+v", got)
		}
		must(t, w.Unblock(ctx, user, unknown))
		w.wantsRegistered("unblocked", user, "")

		must(t, w.Block(ctx, user, asAdmin(account, "again")))
		roles(unknown, "editor")
		must(t, w.Unblock(ctx, user, unknown))
		w.wantsRegistered("unblocked, with roles", user, "listed named")
		must(t, w.Block(ctx, user, asAdmin(account, "again")))
		must(t, w.Erase(ctx, user, unknown))
		w.wantsRegistered("erased, with its block", user, "listed")
		must(t, w.Unblock(ctx, user, unknown))
		w.wantsRegistered("in the end", user, "")
		roles(known, "editor")
		must(t, w.Erase(ctx, user, unknown))
		w.wantsRegistered("erased", user, "")
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(bob)), unknown))
		w.wantsRegistered("never seen and erased", w.UserOf(token.KeyAccount(bob)), "")
		if keys := w.redis.Keys(t, w.opts.Prefix+":*}:[rm]"); len(keys) > 0 {
			t.Errorf("what is left: %q", keys)
		}
	})
}

// Names and notes are sealed, each for its account and as what it is.
func TestRegistry_sealed(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	account, other := token.KeyAccount(alice), token.Account{Address: bob, Chain: 8453}
	user, them := w.UserOf(account), w.UserOf(other)
	must(t, w.Block(ctx, user, asAdmin(account, "a note")))
	must(t, w.Block(ctx, them, asAdmin(other, "")))
	_, from := w.RegistryKeys(user)
	_, to := w.RegistryKeys(them)
	for field, value := range w.rdb.HGetAll(ctx, from).Val() {
		if strings.Contains(value, string(alice[:])) || strings.Contains(value, "a note") {
			t.Errorf("%q shows %q", field, value)
		}
		must(t, w.rdb.HSet(ctx, to, field[:1]+string(them[:]), value).Err())
	}
	got, err := w.Account(ctx, them)
	must(t, err)
	if got.User.Account != (token.Account{}) || got.Note != "" {
		t.Errorf("what was sealed of another opens as %+v", got)
	}
	must(t, w.rdb.HSet(ctx, from, "n"+string(user[:]), w.rdb.HGet(ctx, from, "a"+string(user[:])).Val()).Err())
	if got, err = w.Account(ctx, user); err != nil || got.Note != "" || got.User.Account != account {
		t.Errorf("a name in the place of a note: %+v, %v", got, err)
	}
}

// A block of a blocked account replaces the note if it has one, with an event, and keeps when the account was blocked.
func TestBlock_note(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		account := token.KeyAccount(alice)
		user, start := w.UserOf(account), w.clock.now()
		for i, c := range []struct {
			note, want string
			events     int
		}{{"", "", 1}, {"first", "first", 2}, {"", "first", 2}, {"second", "second", 3}} {
			must(t, w.Block(ctx, user, asAdmin(account, c.note)))
			w.clock.add(time.Second)
			got, err := w.Account(ctx, user)
			must(t, err)
			events, _, err := w.Activity(ctx, user, "", 10)
			must(t, err)
			if got.Note != c.want || len(events) != c.events || !got.BlockedAt.Equal(start.UTC().Truncate(1e6)) {
				t.Errorf("block %d: %+v and %d events", i, got, len(events))
			}
		}
		must(t, w.Unblock(ctx, user, asOperator))
		must(t, w.Block(ctx, user, asOperator))
		if got, err := w.Account(ctx, user); err != nil || got.Note != "" {
			t.Errorf("another block has the note of the one before: %+v, %v", got, err)
		}
		long := asAdmin(account, strings.Repeat("x", session.MaxNote+1))
		wants(t, w.Block(ctx, user, long), session.ErrTooLarge)
	})
}

// After many changes of a few accounts at once, the registry agrees with their records.
func TestRegistry_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		people := persons(4)
		together(8, func(n int) {
			random := rand.New(rand.NewPCG(uint64(n), 23))
			for i := range 12 {
				address := people[random.IntN(len(people))]
				user, how := w.UserOf(token.KeyAccount(address)), asAdmin(token.KeyAccount(address), "note")
				switch random.IntN(6) {
				case 0:
					_, _ = w.SetRoles(ctx, user, []string{fmt.Sprint("r", i)}, how)
				case 1:
					_, _ = w.SetRoles(ctx, user, nil, how)
				case 2:
					_ = w.Block(ctx, user, how)
				case 3:
					_ = w.Unblock(ctx, user, how)
				case 4:
					_ = w.Erase(ctx, user, how)
				default:
					_, _ = w.Create(ctx, session.Login{
						Nonce: fmt.Sprint(n, " ", i), Account: token.KeyAccount(address), ChainID: 1, Client: laptop,
					})
				}
			}
		})
		for _, address := range people {
			w.agreesWithRecord(w.UserOf(token.KeyAccount(address)))
		}
	})
}

// agreesWithRecord asserts that an account is registered if its record holds roles or a block, and only then.
func (w *world) agreesWithRecord(user token.UserID) {
	w.t.Helper()
	got, err := w.Account(ctx, user)
	holds := err == nil && (len(got.User.Roles) > 0 || !got.BlockedAt.IsZero())
	state := w.registered(user)
	isWrong := holds != strings.Contains(state, "listed") || !holds && state != ""
	if isWrong || got.BlockedAt.IsZero() && strings.Contains(state, "noted") {
		w.t.Errorf("the registry has %q of %+v, %v", state, got, err)
	}
}

// A lost answer changes nothing: neither of what is registered, nor of what another has done since.
func TestRegistry_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		account := token.KeyAccount(alice)
		user, how := w.UserOf(account), asAdmin(account, "note")
		must(t, w.overtaken(func() { must(t, w.Unblock(ctx, user, how)) }).Block(ctx, user, how))
		w.wantsRegistered("blocked, then unblocked", user, "")
		_, err := w.overtaken(func() { must(t, w.Erase(ctx, user, how)) }).SetRoles(ctx, user, []string{"editor"}, how)
		must(t, err)
		w.wantsRegistered("given roles, then erased", user, "")
		must(t, w.overtaken(func() { must(t, w.Block(ctx, user, how)) }).Unblock(ctx, user, how))
		w.wantsRegistered("unblocked, then blocked", user, "listed named noted")
	})
}

// An account that got its roles by its id gets its name at its next login, and one without roles costs nothing there.
func TestRegistry_namedAtLogin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		user := w.UserOf(token.KeyAccount(alice))
		_, err := w.SetRoles(ctx, user, []string{"editor"}, asOperator)
		must(t, err)
		registry, _ := w.RegistryKeys(user)
		must(t, w.rdb.Del(ctx, registry).Err()) // as an earlier version leaves it
		w.signIn(alice, laptop)
		w.wantsRegistered("after the login", user, "listed named")
		w.signIn(bob, laptop)
		w.wantsRegistered("without roles", w.UserOf(token.KeyAccount(bob)), "")
	})
}

// The sweeper repairs a registry that lacks a live account, or has one that holds nothing any more.
func TestSweep_repairsRegistry(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		account := token.KeyAccount(alice)
		user := w.UserOf(account)
		registry, text := w.RegistryKeys(user)
		w.toTurnOf(user, 0)
		w.create("a", alice, laptop)
		_, err := w.SetRoles(ctx, user, []string{"editor"}, asAdmin(account, ""))
		must(t, err)
		gone, neighbour := session.NeighbourOf(user, 1), session.NeighbourOf(user, 2)
		must(t, w.Block(ctx, neighbour, asOperator))
		for name, c := range map[string]struct {
			spoil func()
			want  int
		}{
			"as it should be": {func() {}, 0},
			"one is missing":  {func() { must(t, w.rdb.ZRem(ctx, registry, string(user[:])).Err()) }, 1},
			"one too many": {func() {
				must(t, w.rdb.ZAdd(ctx, registry, redis.Z{Member: string(gone[:])}).Err())
				must(t, w.rdb.HSet(ctx, text, "a"+string(gone[:]), "x", "n"+string(gone[:]), "x").Err())
			}, 1},
			"gone": {func() { must(t, w.rdb.Del(ctx, registry).Err()) }, 1},
		} {
			c.spoil()
			for i, want := range []int{c.want, 0} {
				if done := w.sweepOf(alice); done.Repaired != want || done.Recounted != 1 {
					t.Errorf("%s: sweep %d: %+v", name, i, done)
				}
			}
			w.wantsRegistered(name, user, "listed named")
			w.wantsRegistered(name, gone, "")
			must(t, w.Block(ctx, neighbour, asOperator)) // lists it again
		}
	})
}

// What the sweeper has read may change before it repairs: it looks again.
func TestSweep_registryWhileChanging(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w, _ := watched(t, r)
		user := w.UserOf(token.KeyAccount(alice))
		registry, _ := w.RegistryKeys(user)
		w.toTurnOf(user, 0)
		must(t, w.rdb.ZAdd(ctx, registry, redis.Z{Member: string(user[:])}).Err())
		change := func() { must(t, w.Block(ctx, user, asAdmin(token.KeyAccount(alice), "note"))) }
		done := w.sweepWith(w.on(w.beforeScript(change), w.clock), alice)
		if done.Repaired != 0 {
			t.Errorf("swept %+v", done)
		}
		w.wantsRegistered("blocked meanwhile", user, "listed named noted")
	})
}

// An earlier version changes records and leaves names and notes: none is shown of an account that it erased or of a block
// that it lifted, and the sweeper deletes them. What it did not touch stays.
func TestRegistry_earlierVersion(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		account := token.KeyAccount(alice)
		how := asAdmin(token.Account{}, "")
		for name, c := range map[string]struct {
			unseen bool
			change func(w *world, user token.UserID)
			want   string
			note   string
		}{
			"nothing": {false, func(w *world, user token.UserID) {}, "listed named noted", "spam"},
			"erased":  {false, func(w *world, user token.UserID) { must(t, w.Erase(ctx, user, how)) }, "listed", ""},
			"erased and never seen": {true, func(w *world, user token.UserID) {
				must(t, w.Erase(ctx, user, how))
			}, "listed", ""},
			"unblocked": {false, func(w *world, user token.UserID) { must(t, w.Unblock(ctx, user, how)) }, "listed named", ""},
			"blocked again": {false, func(w *world, user token.UserID) {
				must(t, w.Unblock(ctx, user, how))
				w.clock.add(time.Millisecond)
				must(t, w.Block(ctx, user, how))
			}, "listed named", ""},
			"signed in": {true, func(w *world, user token.UserID) {
				must(t, w.Unblock(ctx, user, how))
				w.clock.add(time.Millisecond)
				w.create("later", alice, laptop)
			}, "listed named", ""},
		} {
			w, _ := watched(t, r)
			user := w.UserOf(account)
			w.toTurnOf(user, 0)
			if !c.unseen {
				w.create(name, alice, laptop)
			}
			_, err := w.SetRoles(ctx, user, []string{"editor"}, asAdmin(account, ""))
			must(t, err)
			must(t, w.Block(ctx, user, asAdmin(account, "spam")))
			_, key := w.RegistryKeys(user)
			text := w.rdb.HGetAll(ctx, key).Val()
			c.change(w, user)
			must(t, w.rdb.HSet(ctx, key, text).Err()) // which it does not touch
			named := token.Account{}
			if strings.Contains(c.want, "named") {
				named = account
			}
			got, err := w.Account(ctx, user)
			if err != nil || got.User.Account != named || got.Note != c.note {
				t.Errorf("%s: it is shown as %+v, %v", name, got, err)
			}
			if l := w.listAll(session.ListQuery{}, 10)[user]; l.User.Account != named || l.Note != c.note {
				t.Errorf("%s: it is listed as %+v", name, l)
			}
			w.sweepOf(alice)
			w.wantsRegistered(name, user, c.want)
			must(t, w.Unblock(ctx, user, how))
			must(t, w.Erase(ctx, user, how))
		}
	})
}
