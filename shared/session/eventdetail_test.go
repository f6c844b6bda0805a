package session_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// An event of a change of roles says who made it and what it replaced, when it is emitted and when it is read later.
func TestActivity_rolesBeforeAndAfter(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		user, admin := w.UserOf(token.KeyAccount(alice)), token.Account{Address: bob, Chain: 8453}
		by := session.Change{Actor: session.Actor{IP: laptop.IP, User: w.UserOf(admin), Account: admin}}
		for _, roles := range [][]string{{"editor"}, {"editor", "support"}, {}} {
			_, err := w.SetRoles(ctx, user, roles, by)
			must(t, err)
			w.clock.add(1)
		}
		must(t, w.Block(ctx, user, by))
		events, _, err := w.Activity(ctx, user, "", 10)
		must(t, err)
		slices.Reverse(events)
		if len(events) != 4 || len(emitted) != 4 {
			t.Fatalf("stored %+v, emitted %+v", events, emitted)
		}
		want := [][]string{{}, {"editor"}, {"editor", "support"}, {}}
		for i, e := range events {
			for name, e := range map[string]session.Event{"stored": e, "emitted": emitted[i]} {
				if e.Actor.Account != admin || e.Actor.User != w.UserOf(admin) {
					t.Errorf("%s by %+v", name, e.Actor)
				}
				before, after := e.RolesBefore, e.RolesAfter
				if i < 3 && (before == nil || after == nil ||
					!slices.Equal(before, want[i]) || !slices.Equal(after, want[i+1])) {
					t.Errorf("%s: from %q to %q, want %q to %q", name, e.RolesBefore, e.RolesAfter, want[i], want[i+1])
				}
				if i == 3 && (e.RolesBefore != nil || e.RolesAfter != nil) {
					t.Errorf("%s: a block sets roles %q", name, e.RolesAfter)
				}
			}
		}
	})
}

// A detail takes no event's place at once, never outlives its events, opens nothing elsewhere, and does not show in pages.
func TestActivity_details(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.ActivityMax = 3 })
		user, other := w.UserOf(token.KeyAccount(alice)), w.UserOf(token.KeyAccount(bob))
		by := session.Change{Actor: session.Actor{User: other, Account: token.KeyAccount(bob)}}
		must(t, w.Block(ctx, user, by))
		must(t, w.Unblock(ctx, user, by))
		key := w.ActivityKey(user)
		stored := w.rdb.LRange(ctx, key, 0, -1).Val()
		if len(stored) != 4 {
			t.Fatalf("%d entries", len(stored))
		}
		for i, detail := range stored {
			if isDetail := strings.HasPrefix(detail, strings.Repeat("\x00", 7)); isDetail != (i%2 == 0) {
				t.Errorf("entry %d is %q", i, detail)
			}
			if strings.Contains(detail, string(bob[:])) {
				t.Errorf("entry %d shows who it was", i)
			}
		}
		events, next, err := w.Activity(ctx, user, "", 1)
		must(t, err)
		if len(events) != 1 || events[0].Type != session.EventUnblocked || next == "" {
			t.Errorf("the first page is %+v, next %q", events, next)
		}
		must(t, w.Block(ctx, user, by))
		if last := w.rdb.LIndex(ctx, key, -1).Val(); last[0] == 0 {
			t.Errorf("a detail is left behind its events: %q", last)
		}
		must(t, w.rdb.Del(ctx, w.ActivityKey(other)).Err())
		_, err = w.SetRoles(ctx, user, []string{"editor"}, by)
		must(t, err)
		moved := w.rdb.LRange(ctx, key, 0, 1).Val()
		must(t, w.rdb.RPush(ctx, w.ActivityKey(other), moved[0], moved[1]).Err())
		foreign, _, err := w.Activity(ctx, other, "", 9)
		must(t, err)
		if len(foreign) != 1 || foreign[0].Actor != (session.Actor{}) || foreign[0].RolesAfter != nil {
			t.Errorf("of another account it opens as %+v", foreign)
		}
	})
}
