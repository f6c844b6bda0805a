package session_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// listAll walks all pages of a list, and asserts that no account is on two of them and no page is over its limit.
func (w *world) listAll(q session.ListQuery, limit int) map[token.UserID]session.ListEntry {
	w.t.Helper()
	all, cursor := map[token.UserID]session.ListEntry{}, ""
	for range 10000 {
		page, next, err := w.List(ctx, q, cursor, limit)
		must(w.t, err)
		if len(page) > limit {
			w.t.Fatalf("%d accounts on a page of %d", len(page), limit)
		}
		for _, l := range page {
			if _, twice := all[l.User.ID]; twice {
				w.t.Errorf("%v is listed twice", l.User.ID)
			}
			all[l.User.ID] = l
		}
		if cursor = next; cursor == "" {
			return all
		}
	}
	w.t.Fatal("the list has no end")
	return nil
}

// Each list has the accounts that belong in it, once, on pages of any size, also if many are in one partition.
func TestList(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.settled()
		people := append(w.neighbours(140), persons(12)...)
		want := map[session.ListQuery]map[token.UserID]bool{
			{}: {}, {Live: true}: {}, {Blocked: true}: {}, {Role: "*"}: {}, {Role: "editor"}: {},
			{Live: true, Role: "editor"}: {}, {Blocked: true, Role: "editor"}: {}, {Role: "support"}: {},
			{Live: true, Blocked: true}: {},
		}
		add := func(user token.UserID, queries ...session.ListQuery) {
			for _, q := range queries {
				want[q][user] = true
			}
		}
		for i, address := range people {
			account := token.KeyAccount(address)
			user := w.UserOf(account)
			if i%5 != 4 {
				w.create(string(rune('a'+i)), address, laptop)
			}
			if i%5 == 1 || i%5 == 3 || i%5 == 4 {
				_, err := w.SetRoles(ctx, user, []string{"editor", "other"}, asAdmin(account, ""))
				must(t, err)
				add(user, session.ListQuery{}, session.ListQuery{Role: "*"}, session.ListQuery{Role: "editor"})
			}
			if i%5 == 2 || i%5 == 3 {
				must(t, w.Block(ctx, user, asAdmin(account, "note")))
				add(user, session.ListQuery{}, session.ListQuery{Blocked: true})
			}
			switch i % 5 {
			case 0:
				add(user, session.ListQuery{Live: true})
			case 1:
				add(user, session.ListQuery{Live: true}, session.ListQuery{Live: true, Role: "editor"})
			case 3:
				add(user, session.ListQuery{Blocked: true, Role: "editor"})
			}
		}
		for q, users := range want {
			for _, limit := range []int{1, 7, 100} {
				if limit == 1 && len(users) > 50 {
					continue
				}
				got := w.listAll(q, limit)
				if !slices.Equal(sorted(maps.Keys(got)), sorted(maps.Keys(users))) {
					t.Errorf("%+v in pages of %d has %d accounts, want %d", q, limit, len(got), len(users))
				}
				for user, l := range got {
					if l.User.Account == (token.Account{}) || w.UserOf(l.User.Account) != user {
						t.Errorf("%+v: %v is named %v", q, user, l.User.Account)
					}
					if l.BlockedAt.IsZero() != (l.Note == "") || (l.Sessions > 0) == l.LastSeenAt.IsZero() {
						t.Errorf("%+v: %+v", q, l)
					}
				}
			}
		}
	})
}

func sorted(users func(func(token.UserID) bool)) (all []string) {
	for user := range users {
		all = append(all, user.String())
	}
	slices.Sort(all)
	return all
}

// A list shows what is true now: a session that has timed out is not live, and an account is not listed if an earlier
// version took its last role.
func TestList_now(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		user := w.UserOf(token.KeyAccount(alice))
		w.signIn(alice, laptop)
		w.signIn(alice, phone)
		if got := w.listAll(session.ListQuery{Live: true}, 10); got[user].Sessions != 2 {
			t.Errorf("live are %+v", got)
		}
		w.clock.add(w.opts.Idle)
		if got := w.listAll(session.ListQuery{Live: true}, 10); len(got) != 0 {
			t.Errorf("after the idle end live are %+v", got)
		}
		must(t, w.Block(ctx, user, asOperator)) // who knows the id alone
		got := w.listAll(session.ListQuery{}, 10)
		if len(got) != 1 || got[user].User.Account != (token.Account{}) || got[user].Sessions != 0 {
			t.Errorf("registered are %+v", got)
		}
		must(t, w.rdb.Del(ctx, w.RecordKeyOf(user)).Err())
		if got := w.listAll(session.ListQuery{}, 10); len(got) != 0 {
			t.Errorf("without a record registered are %+v", got)
		}
		other := w.signIn(bob, laptop).User.ID
		registry, _ := w.RegistryKeys(other)
		must(t, w.rdb.ZAdd(ctx, registry, redis.Z{Member: string(other[:])}).Err())
		if got := w.listAll(session.ListQuery{}, 10); len(got) != 0 {
			t.Errorf("without roles and block registered are %+v", got)
		}
	})
}

// A cursor is one of the same kind of list.
func TestList_cursor(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	for _, address := range persons(3) {
		w.signIn(address, laptop)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(address)), asOperator))
		w.signIn(carol, laptop)
	}
	_, next, err := w.List(ctx, session.ListQuery{}, "", 1)
	must(t, err)
	if _, _, err := w.List(ctx, session.ListQuery{Role: "*"}, next, 1); err != nil {
		t.Errorf("the same list with a filter: %v", err)
	}
	_, _, err = w.List(ctx, session.ListQuery{Live: true}, next, 1)
	wants(t, err, session.ErrNotFound)
	for _, bad := range []string{
		"x", next[1:], next + "A", strings.Repeat("A", 26) + "B", strings.Repeat("_", 26) + "w",
		"AQAACA" + strings.Repeat("A", 21), "AAAAAQ" + strings.Repeat("A", 21), "ABAAAA" + strings.Repeat("A", 21),
	} {
		_, _, err := w.List(ctx, session.ListQuery{}, bad, 1)
		wants(t, err, session.ErrNotFound)
	}
}

// Every cursor that is read goes on at a place that there is, and is written as it was read.
func FuzzListCursor(f *testing.F) {
	f.Add(strings.Repeat("A", 27), true)
	f.Add("AQAABw"+strings.Repeat("A", 21), true)
	f.Add("", false)
	f.Fuzz(func(t *testing.T, text string, indexed bool) {
		partition, segment, again, ok := session.PositionOf(text, indexed)
		if !ok {
			return
		}
		isPlace := 0 <= partition && partition < 4096 && 0 <= segment && segment < session.IndexSegments
		if again != text || !isPlace || !indexed && segment > 0 {
			t.Errorf("%q is partition %d, segment %d, and written as %q", text, partition, segment, again)
		}
	})
}

// While others change, a list has every account that is selected all the time, once, and none that never is.
func TestList_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.settled()
		people := append(w.neighbours(6), persons(6)...)
		blocked, editors, changing := people[:3], people[3:6], people[6:]
		for _, address := range blocked {
			must(t, w.Block(ctx, w.UserOf(token.KeyAccount(address)), asAdmin(token.KeyAccount(address), "note")))
		}
		for _, address := range editors {
			account := token.KeyAccount(address)
			_, err := w.SetRoles(ctx, w.UserOf(account), []string{"editor"}, asAdmin(account, ""))
			must(t, err)
		}
		want := map[session.ListQuery]map[token.UserID]bool{{Blocked: true}: {}, {Role: "editor"}: {}}
		for _, address := range blocked {
			want[session.ListQuery{Blocked: true}][w.UserOf(token.KeyAccount(address))] = true
		}
		for _, address := range editors {
			want[session.ListQuery{Role: "editor"}][w.UserOf(token.KeyAccount(address))] = true
		}
		together(8, func(n int) {
			if n < 2 {
				q := []session.ListQuery{{Blocked: true}, {Role: "editor"}}[n]
				other := want[[]session.ListQuery{{Role: "editor"}, {Blocked: true}}[n]]
				for range 4 {
					got := w.listAll(q, 3)
					for user := range want[q] {
						if l, ok := got[user]; !ok || q.Blocked && l.Note != "note" || w.UserOf(l.User.Account) != user {
							t.Errorf("%+v has %+v of %v, %v", q, l, user, ok)
						}
					}
					for user := range other {
						if _, ok := got[user]; ok {
							t.Errorf("%+v has %v", q, user)
						}
					}
				}
				return
			}
			account := token.KeyAccount(changing[n-2])
			user, how := w.UserOf(account), asAdmin(account, "changing")
			for range 10 {
				_, err := w.SetRoles(ctx, user, []string{"editor"}, how)
				err = errors.Join(err, w.Block(ctx, user, how), w.Unblock(ctx, user, how), w.Erase(ctx, user, how))
				if err != nil {
					t.Error(err)
				}
			}
		})
		for _, address := range changing {
			w.agreesWithRecord(w.UserOf(token.KeyAccount(address)))
		}
	})
}
