package session_test

import (
	"slices"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// allEventTypes are all types of events that scripts write.
func allEventTypes() (all []session.EventType) {
	for t := session.EventLogin; t <= session.EventTicketReused; t++ {
		all = append(all, t)
	}
	return all
}

func withOutbox(o *session.Options) { o.Outbox.Types = allEventTypes() }

// outboxes returns the events of all outboxes, oldest first.
func (w *world) outboxes() map[int][]session.Outgoing {
	w.t.Helper()
	var of []int
	for n := range session.OutboxPartitions {
		of = append(of, n)
	}
	all, err := w.Outgoing(ctx, of, 2000)
	must(w.t, err)
	return all
}

// outbox returns the events of an account's outbox, oldest first.
func (w *world) outbox(user token.UserID) []session.Outgoing {
	w.t.Helper()
	partition := int(user[0])<<4 | int(user[1])>>4
	all, err := w.Outgoing(ctx, []int{partition}, 2000)
	must(w.t, err)
	return all[partition]
}

// wantsPublished checks that the outboxes have these events, and no event twice.
func (w *world) wantsPublished(told []session.Event) {
	w.t.Helper()
	count := map[string]int{}
	for _, sent := range w.outboxes() {
		for _, o := range sent {
			if count[o.ID]++; count[o.ID] > 1 {
				w.t.Errorf("the outbox has twice %+v", o)
			}
		}
	}
	for _, e := range told {
		if count[e.ID] == 0 {
			w.t.Errorf("no outbox has %+v", e)
		}
	}
}

// The outbox has every event with who did what, in order, and each once.
func TestOutbox(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, max := range []int{0, 50} {
			w := newWorld(t, r, withOutbox, func(o *session.Options) { o.ActivityMax = max })
			g := w.signIn(alice, laptop)
			user, asAdmin := w.UserOf(token.KeyAccount(alice)), asOperator
			asAdmin.Account, asAdmin.Actor.Account = token.KeyAccount(alice), token.KeyAccount(bob)
			_, err := w.SetRoles(ctx, user, []string{"editor"}, asAdmin)
			must(t, err)
			must(t, w.Erase(ctx, user, asAdmin))
			sent := w.outbox(user)
			var types []session.EventType
			var last uint64
			for _, o := range sent {
				types = append(types, o.Type)
				if o.Sequence <= last || o.Account != token.KeyAccount(alice) || o.User != user {
					t.Errorf("after %d came %+v", last, o)
				}
				last = o.Sequence
			}
			want := []session.EventType{session.EventLogin, session.EventRoles, session.EventEnded, session.EventErased}
			if !slices.Equal(types, want) {
				t.Fatalf("sent %v, want %v", types, want)
			}
			login, roles, end := sent[0], sent[1], sent[2]
			if login.ChainID != g.Session.ChainID || login.Transport != g.Session.Transport || login.Session != g.Session.ID || login.Actor.IP != laptop.IP {
				t.Errorf("the login is %+v", login)
			}
			if !slices.Equal(roles.RolesAfter, []string{"editor"}) || len(roles.RolesBefore) != 0 || roles.Actor != asAdmin.Actor || roles.ChainID != 0 {
				t.Errorf("the roles are %+v", roles)
			}
			if end.Reason != session.AccountErased || end.Transport != g.Session.Transport || end.Actor != asAdmin.Actor {
				t.Errorf("the end is %+v", end)
			}
		}
	})
}
