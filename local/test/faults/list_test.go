package faults_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// queries are the kinds of lists.
var queries = map[string]session.ListQuery{
	"registry": {}, "blocked": {Blocked: true}, "editors": {Role: "editor"}, "live": {Live: true},
}

// listsAgree asserts that lists have the accounts whose records say so, each once.
func (w *world) listsAgree(s *session.Store) {
	w.t.Helper()
	want := map[string][]string{"registry": nil, "blocked": nil, "editors": nil, "live": nil}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:u*") {
		rec, err := parseRecord(w.rdb.Get(ctx, key).Val())
		must(w.t, err)
		user := key[len(key)-len(token.UserID{}):]
		for list, is := range map[string]bool{
			"registry": rec.holds(), "blocked": rec.blocked, "editors": slices.Contains(strings.Split(rec.roles, ","), "editor"),
			"live": len(rec.live) > 0,
		} {
			if is {
				want[list] = append(want[list], user)
			}
		}
	}
	for name, q := range queries {
		var got []string
		for cursor := ""; ; {
			page, next, err := s.List(ctx, q, cursor, 100)
			must(w.t, err)
			for _, l := range page {
				got = append(got, string(l.User.ID[:]))
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(want[name])
		if !slices.Equal(got, want[name]) {
			w.t.Errorf("the list of %s has %d accounts, the records have %d", name, len(got), len(want[name]))
		}
	}
}

// walkList walks all pages of a list, and returns the accounts up to the first error. It asserts that none is there twice,
// or with another's name or note.
func (w *world) walkList(q session.ListQuery) (all map[token.UserID]session.ListEntry, err error) {
	w.t.Helper()
	all = map[token.UserID]session.ListEntry{}
	for cursor := ""; ; {
		page, next, err := w.List(ctx, q, cursor, 7)
		if err != nil {
			return all, err
		}
		for _, l := range page {
			if _, twice := all[l.User.ID]; twice {
				w.t.Errorf("%v is listed twice", l.User.ID)
			}
			if l.User.Account == (token.Account{}) || w.UserOf(l.User.Account) != l.User.ID {
				w.t.Errorf("%v is named %v", l.User.ID, l.User.Account)
			}
			if (l.Note == "spam") == l.BlockedAt.IsZero() {
				w.t.Errorf("%v was blocked at %v and has the note %q", l.User.ID, l.BlockedAt, l.Note)
			}
			all[l.User.ID] = l
		}
		if cursor = next; cursor == "" {
			return all, nil
		}
	}
}

// populate makes accounts of each kind, and returns which list has which of them.
func (w *world) populate() map[string]map[token.UserID]bool {
	w.t.Helper()
	want := map[string]map[token.UserID]bool{"registry": {}, "blocked": {}, "editors": {}, "live": {}}
	for range 5 {
		for _, kind := range []struct {
			make func(who common.Address)
			in   []string
		}{
			{func(who common.Address) { w.blocked(who) }, []string{"registry", "blocked"}},
			{func(who common.Address) { w.gives(who, "editor") }, []string{"registry", "editors"}},
			{func(who common.Address) { w.gives(who, "editor"); w.blocked(who) }, []string{"registry", "editors", "blocked"}},
			{func(who common.Address) { w.gives(who, "auditor") }, []string{"registry"}},
			{func(who common.Address) { w.signIn(who) }, []string{"live"}},
			{func(who common.Address) { w.gives(who, "editor"); w.signIn(who) }, []string{"registry", "editors", "live"}},
			{func(who common.Address) {
				w.blocked(who)
				must(w.t, w.Erase(ctx, w.UserOf(token.KeyAccount(who)), session.Change{Actor: operator}))
				w.blocked(who)
			},
				[]string{"registry", "blocked"}},
			{func(who common.Address) { w.gives(who, "editor"); w.gives(who) }, nil},
		} {
			who := w.stranger()
			kind.make(who)
			for _, list := range kind.in {
				want[list][w.UserOf(token.KeyAccount(who))] = true
			}
		}
	}
	return want
}

// A list has each account that belongs in it once and no other, whichever request of it is cut. If that is cut again and
// again, the list is unavailable, and what it had until then is right.
func TestCut_list(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := between(t, r)
		want := w.populate()
		for name, q := range queries {
			for _, number := range []int{1, 2, 40} {
				for _, times := range []int{1, 8} {
					struck := w.strike(redistest.CutAfter, number, times)
					got, err := w.walkList(q)
					w.proxies.Decide(nil)
					if struck() == 0 || (err == nil) != (times == 1) {
						t.Errorf("%s: after %d cuts from request %d on it says %v", name, struck(), number, err)
					}
					if err != nil {
						wants(t, name, err, session.ErrUnavailable)
					} else if len(got) != len(want[name]) {
						t.Errorf("%s has %d accounts, want %d", name, len(got), len(want[name]))
					}
					for u := range got {
						if !want[name][u] {
							t.Errorf("%s has %v", name, u)
						}
					}
				}
			}
		}
		w.checkComplete()
	})
}

// A login of somebody who is blocked changes nothing, whichever request of it is cut.
func TestCut_blockedLogin(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := between(t, r)
		who := w.stranger()
		w.gives(who, "editor")
		w.blocked(who)
		user := w.UserOf(token.KeyAccount(who))
		before := w.dump(tag(user))
		for _, fault := range slices.Sorted(maps.Keys(cuts)) {
			in := w.verified(who)
			struck := w.strike(cuts[fault], 1, 1)
			if _, err := w.Create(ctx, in); !errors.Is(err, session.ErrBlocked) || struck() != 1 {
				t.Errorf("%s: %v, and %d requests were struck", fault, err, struck())
			}
			w.proxies.Decide(nil)
		}
		if !maps.Equal(before, w.dump(tag(user))) {
			t.Error("it has changed something")
		}
		w.checkComplete()
	})
}
