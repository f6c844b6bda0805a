package session_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// looked is that bob looked at an account, or did something to it.
func (w *world) looked(kind session.EventType, at token.Account) session.Action {
	return session.Action{
		Type: kind, Actor: w.UserOf(token.KeyAccount(bob)), ActorAccount: token.KeyAccount(bob), User: w.UserOf(at), Account: at,
	}
}

func (w *world) added(a session.Action) {
	w.t.Helper()
	must(w.t, w.AddAction(ctx, a))
}

// actions are all entries of the audit list, newest first, from its pages.
func (w *world) actions(limit int) (all []session.Action) {
	w.t.Helper()
	for after, pages := "", 0; after != "" || pages == 0; pages++ {
		page, next, err := w.Actions(ctx, after, limit)
		must(w.t, err)
		if len(page) > limit || next != "" && len(page) != limit {
			w.t.Fatalf("a page of %d has %d entries", limit, len(page))
		}
		all, after = append(all, page...), next
	}
	return all
}

// An entry is read as it was added, newest first, whatever of its names is known.
func TestActions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		contract := token.Account{Address: carol, Chain: 8453}
		if got := w.actions(10); len(got) != 0 {
			t.Errorf("at first there are %v", got)
		}
		var want []session.Action
		for i, a := range []session.Action{
			w.looked(session.EventAccountViewed, token.KeyAccount(alice)), w.looked(session.EventBlocked, contract),
			{Type: session.EventAccountsListed, Actor: w.UserOf(contract), ActorAccount: contract},
			{Type: session.EventRoles, Actor: w.UserOf(contract), User: w.UserOf(token.KeyAccount(alice)), Failed: true},
			{Type: session.EventAuditViewed},
		} {
			w.clock.add(time.Duration(i) * time.Millisecond)
			w.added(a)
			a.Time = w.clock.now().UTC()
			want = append([]session.Action{a}, want...)
		}
		got, seen := w.actions(2), map[string]bool{}
		for i := range got {
			seen[got[i].ID], got[i].ID = true, ""
		}
		if !slices.Equal(got, want) || len(seen) != len(want) || seen[""] {
			t.Errorf("read %+v, want %+v, with %d ids", got, want, len(seen))
		}
		w.keeps("added", w.AuditKey(), w.opts.ActivityKeep)
		for _, account := range []token.Account{token.KeyAccount(alice), token.KeyAccount(bob), contract} {
			if contains(w.dump(), account.Address[:]) {
				t.Errorf("Redis can read the name %v", account)
			}
		}
		for _, cursor := range []string{"x", " ", strings.Repeat("A", 16)} {
			_, _, err := w.Actions(ctx, cursor, 10)
			wants(t, err, session.ErrNotFound)
		}
	})
}

// The list has the newest 1,000 entries. Its pages have each of them once, also while others arrive between two pages.
func TestActions_pages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for i := range session.AuditMax + 5 {
			w.clock.add(time.Millisecond)
			w.added(session.Action{Type: session.EventBlocked, Actor: token.UserID{byte(i >> 8), byte(i)}})
		}
		if n := w.rdb.LLen(ctx, w.AuditKey()).Val(); n != session.AuditMax {
			t.Errorf("the list has %d entries", n)
		}
		var seen []string
		after := ""
		for pages := 0; after != "" || pages == 0; pages++ {
			page, next, err := w.Actions(ctx, after, 100)
			must(t, err)
			for _, a := range page {
				seen = append(seen, fmt.Sprint(int(a.Actor[0])<<8|int(a.Actor[1])))
			}
			after = next
			w.added(session.Action{Type: session.EventAuditViewed, Actor: token.UserID{255, byte(pages)}})
		}
		// Nine entries arrived until the last page was read, and pushed out as many.
		if len(seen) != session.AuditMax-9 {
			t.Errorf("%d entries on all pages", len(seen))
		}
		for i, name := range seen {
			if name != fmt.Sprint(session.AuditMax+4-i) {
				t.Fatalf("entry %d is %s", i, name)
			}
		}
		_, _, err := w.Actions(ctx, w.actions(session.AuditMax)[session.AuditMax-1].ID, 10)
		must(t, err)
	})
}

// Entries are kept for as long as events are, each counted from its own time.
func TestActions_expire(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.ActivityKeep = time.Hour })
		w.added(w.looked(session.EventBlocked, token.KeyAccount(alice)))
		w.added(w.looked(session.EventUnblocked, token.KeyAccount(alice)))
		must(t, w.rdb.RPush(ctx, w.AuditKey(), "dam", "").Err())
		w.clock.add(time.Hour - time.Millisecond)
		if got := w.actions(10); len(got) != 2 {
			t.Errorf("a millisecond before the end there are %v", got)
		}
		w.clock.add(time.Millisecond)
		if got := w.actions(10); len(got) != 0 {
			t.Errorf("after their time there are %v", got)
		}
		w.added(w.looked(session.EventErased, token.KeyAccount(alice)))
		if n := w.rdb.LLen(ctx, w.AuditKey()).Val(); n != 1 {
			t.Errorf("%d are stored", n)
		}
		w.keeps("added again", w.AuditKey(), time.Hour)
	})
}

// An entry that is added a second time by a retry is there once. The same action an hour later, or by a clock that is
// behind, is another entry.
func TestActions_retry(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		block := w.looked(session.EventBlocked, token.KeyAccount(alice))
		arrived := func() {
			for range 50 {
				w.added(w.looked(session.EventUnblocked, token.KeyAccount(carol)))
			}
		}
		must(t, w.overtaken(arrived).AddAction(ctx, block))
		count := func(want int) {
			t.Helper()
			n := 0
			for _, a := range w.actions(100) {
				if a.Type == session.EventBlocked {
					n++
				}
			}
			if n != want {
				t.Errorf("%d entries, want %d", n, want)
			}
		}
		count(1)
		w.added(block)
		count(2)
		must(t, w.on(w.product, w.clock.behind(time.Minute)).AddAction(ctx, block))
		count(3)
	})
}

// Further pages of a look are the same look for a quarter of an hour. Those of another admin, or of something else, are
// not, and neither are pages without the first.
func TestActions_furtherPages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		look := w.looked(session.EventActivityViewed, token.KeyAccount(alice))
		count := func(what string, want int) {
			t.Helper()
			if got := w.actions(100); len(got) != want {
				t.Errorf("%s: %d entries, want %d", what, len(got), want)
			}
		}
		further := look
		further.Continues = true
		w.added(further)
		count("without a first page", 1)
		w.added(further)
		w.clock.add(15*time.Minute - time.Millisecond)
		w.added(further)
		count("within a quarter of an hour", 1)
		w.added(look)
		count("a first page", 2)
		w.clock.add(15 * time.Minute)
		w.added(further)
		count("later", 3)
		for i, change := range []func(*session.Action){
			func(a *session.Action) { a.Type = session.EventAccountViewed }, func(a *session.Action) { a.Failed = true },
			func(a *session.Action) { a.Actor = w.UserOf(token.KeyAccount(carol)) }, func(a *session.Action) { a.User = token.UserID{} },
		} {
			other := further
			change(&other)
			w.added(other)
			count(fmt.Sprint("another look, ", i), 4+i)
		}
	})
}

// With ACTIVITY_MAX_EVENTS=0 there is no list.
func TestActions_off(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.ActivityMax = 0 })
		w.added(w.looked(session.EventBlocked, token.KeyAccount(alice)))
		if n := w.rdb.Exists(ctx, w.AuditKey()).Val(); n != 0 || len(w.actions(10)) != 0 {
			t.Error("there is a list")
		}
	})
}

// An erased account loses its name in every entry, as the admin and as the account that it is about, and no other account
// does. Order, ids and the time for which the list is kept stay.
func TestErase_names(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.signIn(alice, laptop)
		for i := range 250 { // more than one command writes
			w.added(w.looked(session.EventAccountViewed, token.KeyAccount([]common.Address{alice, carol}[i%2])))
			w.clock.add(time.Millisecond)
		}
		byAlice := session.Action{
			Type: session.EventBlocked, Actor: w.UserOf(token.KeyAccount(alice)), ActorAccount: token.KeyAccount(alice),
			User: w.UserOf(token.KeyAccount(carol)), Account: token.KeyAccount(carol),
		}
		w.added(byAlice)
		w.clock.add(time.Hour)
		want := w.actions(1000)
		for i := range want {
			if want[i].ActorAccount == token.KeyAccount(alice) {
				want[i].ActorAccount = token.Account{}
			}
			if want[i].Account == token.KeyAccount(alice) {
				want[i].Account = token.Account{}
			}
		}
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if got := w.actions(1000); !slices.Equal(got, want) {
			t.Errorf("after the erasure %v, want %v", got, want)
		}
		w.keeps("erased", w.AuditKey(), w.opts.ActivityKeep-time.Hour)
		before := w.rdb.LRange(ctx, w.AuditKey(), 0, -1).Val()
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if after := w.rdb.LRange(ctx, w.AuditKey(), 0, -1).Val(); !slices.Equal(before, after) {
			t.Error("erasing again changed the list")
		}
	})
}

// An erasure writes the list only if that has the name.
func TestErase_notNamed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.added(w.looked(session.EventAccountViewed, token.KeyAccount(carol)))
		nameless := w.looked(session.EventErased, token.KeyAccount(alice))
		nameless.Account = token.Account{}
		w.added(nameless)
		s, sent := w.watching()
		must(t, s.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator)) // once for the script to be known
		*sent = traffic{commands: map[string]int{}}
		must(t, s.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		if n := sent.commands["evalsha"] + sent.commands["eval"]; n != 1 {
			t.Errorf("it took %d scripts: %v", n, sent.commands)
		}
		must(t, s.Erase(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		if got := w.actions(10); got[1].Account != (token.Account{}) || got[1].ActorAccount != token.KeyAccount(bob) {
			t.Errorf("the list has %+v", got)
		}
	})
}

// A refused erasure leaves the names, and an erasure that cannot erase them erases nothing: its owner can ask again.
func TestErase_namesFirst(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.added(w.looked(session.EventAccountViewed, token.KeyAccount(alice)))
		_, err := w.SetRoles(ctx, g.User.ID, []string{"admin"}, asOperator)
		must(t, err)
		wants(t, w.Erase(ctx, g.User.ID, session.Change{KeepAdmin: true}), session.ErrLastAdmin)
		refused := session.Change{Condition: func([]string) error { return session.ErrBlocked }}
		wants(t, w.Erase(ctx, g.User.ID, refused), session.ErrBlocked)
		if got := w.actions(1)[0].Account; got != token.KeyAccount(alice) {
			t.Errorf("after refusals the name is %v", got)
		}
		_, err = w.SetRoles(ctx, g.User.ID, nil, asOperator)
		must(t, err)
		failing := w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if slices.Contains(cmd.Args(), any(w.AuditKey())) {
				cmd.SetErr(redis.ErrClosed)
				return cmd.Err()
			}
			return next(ctx, cmd)
		})
		wants(t, w.on(failing, w.clock).Erase(ctx, g.User.ID, asOperator), session.ErrUnavailable)
		w.opens(g)
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		w.dead(g)
		if got := w.actions(1)[0].Account; got != (token.Account{}) {
			t.Errorf("after the erasure the name is %v", got)
		}
	})
}

// A name opens in its own place only: not in another entry, not as the other name, and not beside other words.
func TestActions_bound(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	bobs := w.looked(session.EventAccountViewed, token.KeyAccount(bob)) // who looked at himself
	w.added(bobs)
	w.clock.add(time.Second)
	w.added(bobs)
	stored := w.rdb.LRange(ctx, w.AuditKey(), 0, -1).Val()
	head, size := session.ActionHead, int(stored[0][session.ActionHead-1])
	names := func(entry string) (actor, target string) { return entry[head : head+size], entry[head+size:] }
	actor, target := names(stored[0])
	otherActor, otherTarget := names(stored[1])
	changed := []byte(stored[0])
	changed[1+6+6] = byte(session.EventUnblocked)
	for what, entry := range map[string]string{
		"of another entry": stored[0][:head] + otherActor + otherTarget, "in the other place": stored[0][:head] + target + actor,
		"beside another type": string(changed),
	} {
		must(t, w.rdb.Del(ctx, w.AuditKey()).Err())
		must(t, w.rdb.LPush(ctx, w.AuditKey(), entry).Err())
		got := w.actions(10)
		if len(got) != 1 {
			t.Fatalf("%s: read %+v", what, got)
		}
		if a := got[0]; a.Actor != bobs.Actor || a.ActorAccount != (token.Account{}) || a.Account != (token.Account{}) {
			t.Errorf("%s: read %+v", what, got)
		}
	}
}

// If their key has left the ring, entries are there without names.
func TestActions_keyRemoved(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.added(w.looked(session.EventBlocked, token.KeyAccount(alice)))
		secret := []byte(strings.Repeat("another secret, ", 4))
		ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, secret[:32]))
		must(t, err)
		s := session.NewStore(w.product, ring, w.opts, w.clock.now)
		got, _, err := s.Actions(ctx, "", 10)
		must(t, err)
		want := w.actions(10)[0]
		want.ActorAccount, want.Account = token.Account{}, token.Account{}
		if len(got) != 1 || got[0] != want {
			t.Errorf("read %+v, want %+v", got, want)
		}
	})
}

// Damaged entries are left out, and stop nobody. An erasure drops them: they might have the name.
func TestActions_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.added(w.looked(session.EventBlocked, token.KeyAccount(alice)))
		good := w.rdb.LIndex(ctx, w.AuditKey(), 0).Val()
		cut := good[:session.ActionHead] + good[len(good)-3:]
		must(t, w.rdb.LPush(ctx, w.AuditKey(), "", "dam", good[:session.ActionHead-1], "\x02"+good[1:], cut).Err())
		w.added(w.looked(session.EventUnblocked, token.KeyAccount(alice)))
		var types []string
		for _, a := range w.actions(2) {
			types = append(types, fmt.Sprint(a.Type, " ", a.Account != token.Account{}))
		}
		if want := []string{"account.unblocked true", "account.blocked false", "account.blocked true"}; !slices.Equal(types, want) {
			t.Errorf("read %q, want %q", types, want)
		}
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		if n := w.rdb.LLen(ctx, w.AuditKey()).Val(); n != 3 {
			t.Errorf("after an erasure %d are stored", n)
		}

		must(t, w.rdb.Del(ctx, w.AuditKey()).Err())
		must(t, w.rdb.Set(ctx, w.AuditKey(), "no list", 0).Err())
		must(t, w.Erase(ctx, w.UserOf(token.KeyAccount(carol)), asOperator))
		must(t, w.rdb.Set(ctx, w.AuditKey(), "no list", 0).Err())
		w.added(w.looked(session.EventBlocked, token.KeyAccount(alice)))
		if got := w.actions(10); len(got) != 1 {
			t.Errorf("in place of something else there are %v", got)
		}
	})
}

// Adding and reading take one round trip each.
func TestActions_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		look := w.looked(session.EventAccountViewed, token.KeyAccount(alice))
		w.added(look)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		for name, call := range map[string]func() error{
			"adding":  func() error { return s.AddAction(ctx, look) },
			"reading": func() error { _, _, err := s.Actions(ctx, "", 10); return err },
		} {
			counting.Reset()
			must(t, call())
			if n := counting.RoundTrips(); n != 1 {
				t.Errorf("%s took %d round trips", name, n)
			}
		}
	})
}

// Entries that are added at once are all there, each once.
func TestActions_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		const callers = 20
		together(callers, func(i int) {
			a := session.Action{Type: session.EventBlocked, Actor: token.UserID{byte(i)}}
			if err := w.AddAction(ctx, a); err != nil {
				t.Error(err)
			}
		})
		seen := map[byte]int{}
		for _, a := range w.actions(7) {
			seen[a.Actor[0]]++
		}
		if len(seen) != callers || w.rdb.LLen(ctx, w.AuditKey()).Val() != callers {
			t.Errorf("%d of %d are there: %v", len(seen), callers, seen)
		}
	})
}
