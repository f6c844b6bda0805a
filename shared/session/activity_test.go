package session_test

import (
	"slices"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// kinds are the types of events, oldest first.
func kinds(events []session.Event) []string {
	var all []string
	for _, e := range slices.Backward(events) {
		name := e.Type.String()
		if e.Type == session.EventEnded {
			name += " " + e.Reason.String()
		}
		all = append(all, name)
	}
	return all
}

// Invariant 9: every change has one event, written in its own step, and told once.
func TestActivity(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.SessionLimit = 2 })
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		w.opens(g) // a touch is none
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		_, err = w.Refresh(ctx, g.RefreshToken, laptop) // nor is a repeat
		must(t, err)
		_, err = w.Validate(ctx, next.AccessToken, phone)
		wants(t, err, session.ErrStepUp)
		a, err := w.Inspect(ctx, next.AccessToken, session.Cookie)
		must(t, err)
		_, err = w.StepUp(ctx, a, phone, nil)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator) // no change, no event
		must(t, err)
		w.clock.add(time.Second)
		w.signIn(alice, laptop)
		w.clock.add(time.Second)
		last := w.signIn(alice, laptop) // evicts
		_, err = w.Revoke(ctx, last.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		_, err = w.Revoke(ctx, last.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.clock.add(time.Second)
		w.signIn(alice, laptop)
		w.clock.add(w.opts.Idle)
		w.signIn(alice, laptop)

		want := []string{
			"login", "refresh", "device.changed", "network.changed", "step_up", "roles.changed", "login", "session.ended evicted", "login",
			"session.ended logged_out", "session.ended account_blocked", "account.blocked", "account.unblocked", "login",
			"session.ended idle_timeout", "login",
		}
		events, more, err := w.Activity(ctx, g.User.ID, "", 100)
		must(t, err)
		if got := kinds(events); !slices.Equal(got, want) || more != "" {
			t.Errorf("the activity is %q, want %q", got, want)
		}
		slices.Reverse(emitted)
		if got := kinds(emitted); !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		for i, e := range events {
			switch e.Type {
			case session.EventRoles, session.EventBlocked, session.EventUnblocked:
				if e.Actor != operator {
					t.Errorf("%v was by %+v", e.Type, e.Actor)
				}
			case session.EventLogin:
				if e.Actor.IP != laptop.IP || e.Actor.Device != laptop.Device.Name {
					t.Errorf("a login by %+v", e.Actor)
				}
			}
			if e.Reason == session.IdleTimeout && e.Actor != (session.Actor{}) {
				t.Errorf("a timeout is somebody's doing: %+v", e.Actor)
			}
			if e.ID != emitted[i].ID || e.Actor != emitted[i].Actor || e.Time != emitted[i].Time {
				t.Errorf("told %+v, stored %+v", emitted[i], e)
			}
		}
	})
}

func TestActivity_pages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.ActivityMax, o.ActivityKeep = 7, time.Hour })
		var g session.Grant
		for range 9 {
			g = w.signIn(alice, laptop)
			w.clock.add(time.Minute)
		}
		var seen []string
		after := ""
		for {
			events, next, err := w.Activity(ctx, g.User.ID, after, 3)
			must(t, err)
			for _, e := range events {
				seen = append(seen, e.ID)
			}
			if after = next; next == "" {
				break
			}
		}
		if slices.Sort(seen); len(seen) != 7 || len(slices.Compact(seen)) != 7 {
			t.Errorf("pages hold %q", seen)
		}
		_, _, err := w.Activity(ctx, g.User.ID, "nonsense", 3)
		wants(t, err, session.ErrNotFound)
		if events, _, err := w.Activity(ctx, w.UserOf(token.KeyAccount(bob)), "", 3); err != nil || len(events) != 0 {
			t.Errorf("nobody's activity is %v, %v", events, err)
		}
		w.clock.add(w.opts.ActivityKeep)
		if events, _, err := w.Activity(ctx, g.User.ID, "", 3); err != nil || len(events) != 0 {
			t.Errorf("after its time the activity is %v, %v", events, err)
		}
		if ttl := w.rdb.PTTL(ctx, w.ActivityKey(g.User.ID)).Val(); ttl <= 0 || ttl > w.opts.ActivityKeep {
			t.Errorf("kept for %v", ttl)
		}
	})
}

// Who asked cannot be moved to another event or another account.
func TestActivity_bound(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	w.signIn(alice, phone)
	h := w.signIn(bob, phone)
	stored := w.rdb.LRange(ctx, w.ActivityKey(g.User.ID), 0, -1).Val()
	other := w.rdb.LRange(ctx, w.ActivityKey(h.User.ID), 0, -1).Val()
	swapped := stored[1][:session.EventHead] + stored[0][session.EventHead:]
	foreign := stored[1][:session.EventHead] + other[0][session.EventHead:]
	must(t, w.rdb.LPush(ctx, w.ActivityKey(g.User.ID), swapped, foreign, "damaged").Err())
	events, _, err := w.Activity(ctx, g.User.ID, "", 10)
	must(t, err)
	if len(events) != 4 || events[0].Actor != (session.Actor{}) || events[1].Actor != (session.Actor{}) || events[2].Actor.IP != phone.IP {
		t.Errorf("read %+v", events)
	}
}

// A damaged entry stands in nobody's way.
func TestActivity_damagedTail(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		must(t, w.rdb.RPush(ctx, w.ActivityKey(g.User.ID), "dam", "").Err())
		w.signIn(alice, phone)
		if n := w.rdb.LLen(ctx, w.ActivityKey(g.User.ID)).Val(); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestActivity_off(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.ActivityMax = 0 })
		g := w.signIn(alice, laptop)
		if n := w.rdb.Exists(ctx, w.ActivityKey(g.User.ID)).Val(); n != 0 || len(emitted) != 1 {
			t.Errorf("%d lists, %d told", n, len(emitted))
		}
	})
}
