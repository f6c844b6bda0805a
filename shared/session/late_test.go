package session_test

import (
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// late is the same store for one call whose first request arrives once more, minutes after it was answered: by runs in
// between.
func (w *world) late(actor func()) *session.Store {
	return w.overtaken(func() {
		actor()
		w.redis.Mini.FastForward(5*time.Minute - time.Second)
	})
}

// What arrives minutes late undoes nothing that was changed since: its answer is kept for longer than a network keeps what
// it could not deliver.
func TestLate_account(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
	must(t, w.late(func() { must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator)) }).Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
	must(t, w.late(func() { must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator)) }).Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
	g := w.signIn(bob, laptop)
	must(t, w.late(func() {
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		g = w.signIn(bob, laptop)
	}).Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
	w.opens(g)
	_, err := w.late(func() {
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), nil, asOperator)
		must(t, err)
	}).SetRoles(ctx, w.UserOf(token.KeyAccount(bob)), []string{"editor"}, asOperator)
	must(t, err)
	if roles := w.stored(g).Roles; len(roles) != 0 {
		t.Errorf("a promotion came back: %q", roles)
	}
	_, err = w.late(func() { g = w.signIn(bob, laptop) }).RevokeAll(ctx, g.Session.ID, session.LoggedOut, operator)
	must(t, err)
	w.opens(g)
	must(t, w.late(func() { g = w.signIn(bob, laptop) }).Erase(ctx, g.User.ID, asOperator))
	w.opens(g)
}

// Nor does it bring data back.
func TestLate_data(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	stored := func() (session.Access, session.Preferences) {
		t.Helper()
		a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		return a, p
	}
	a, none := stored()
	_, err := w.late(func() {
		_, dark := stored()
		_, err := w.SetPreferences(ctx, a, dark, []byte(session.EmptyPreferences), operator)
		must(t, err)
	}).SetPreferences(ctx, a, none, []byte(`{"theme":"dark"}`), operator)
	must(t, err)
	if _, p := stored(); p.Version != none.Version {
		t.Errorf("deleted preferences came back: %s", p.JSON)
	}

	put := func(s *session.Store, value string) {
		t.Helper()
		_, err := s.PutState(ctx, a, "form", []byte(value), 0, session.StateCondition{})
		must(t, err)
	}
	put(w.late(func() { put(w.Store, "2") }), "1")
	must(t, w.late(func() { put(w.Store, "3") }).DeleteState(ctx, a, "form", session.StateCondition{}))
	if item, err := w.State(ctx, a, "form"); err != nil || string(item.Value) != "3" {
		t.Errorf("it is %s, %v", item.Value, err)
	}
}

// Who stands on the list of admins and can administer no more counts for nothing: what put them there came late, or a
// failover has lost the one change and not the other.
func TestLate_admin(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, keepsAdmin)
		must(t, err)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), keepsAdmin))
		w.signIn(carol, laptop)
		for _, gone := range []token.UserID{w.UserOf(token.KeyAccount(bob)), w.UserOf(token.KeyAccount(carol)), {1}} {
			must(t, w.rdb.SAdd(ctx, w.AdminsKey(), gone[:]).Err())
		}
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, keepsAdmin)
		wants(t, err, session.ErrLastAdmin)
		wants(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), keepsAdmin), session.ErrLastAdmin)
		wants(t, w.Erase(ctx, w.UserOf(token.KeyAccount(alice)), keepsAdmin), session.ErrLastAdmin)
		if n := w.admins(); n != 1 {
			t.Errorf("%d on the list", n)
		}
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(carol)), []string{"admin"}, keepsAdmin)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, keepsAdmin)
		must(t, err)
	})
}
