package session_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// A block and its undoing leave the rest of the record as it was, and roles leave the block.
func TestBlock_keepsTheRest(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(bob)), asOperator)) // of one never seen: nothing is written but what the call remembers of itself
		for key := range w.dump() {
			if !strings.Contains(key, "}:o") {
				t.Errorf("an unblock of nobody wrote %q", key)
			}
		}
		g := w.signIn(alice, laptop)
		a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		_, err = w.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		must(t, err)
		stays := func(step string) {
			t.Helper()
			if ttl := w.rdb.PTTL(ctx, w.RecordKey(g.Session.ID)).Val(); ttl != -1 {
				t.Errorf("after %s the record of one that is blocked is kept for %v", step, ttl)
			}
		}
		at := w.clock.now()
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		stays("a block")
		_, err = w.Create(ctx, w.login(alice, laptop))
		wants(t, err, session.ErrBlocked)
		w.clock.add(time.Minute)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, asOperator)
		must(t, err)
		if b, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice))); err != nil || !b.BlockedAt.Equal(at) {
			t.Errorf("after roles it is blocked since %v, %v", b.BlockedAt, err)
		}
		stays("roles")
		must(t, w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		w.keeps("after an unblock", w.RecordKey(g.Session.ID), year-time.Minute)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		at = w.clock.now()
		w.clock.add(time.Minute)
		before := w.stored(g).Epoch
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		if b, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice))); err != nil || !b.BlockedAt.Equal(at) || !b.User.CreatedAt.IsZero() || !b.User.LastLoginAt.IsZero() {
			t.Errorf("erased: %+v, %v", b, err)
		}
		if w.stored(g).Epoch != before+1 {
			t.Error("the epoch stands")
		}
	})
}

// What has outlived the record goes too.
func TestErase_withoutARecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		must(t, w.rdb.Del(ctx, w.RecordKey(g.Session.ID)).Err())
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		if w.rdb.Exists(ctx, w.ActivityKey(g.User.ID)).Val() != 0 {
			t.Error("the activity remains")
		}
	})
}

// Stored times move only forward, and within the grace of a step-up nothing rotates.
func TestStepUp_clockBehindAndGrace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		w.opens(g)
		a, err := w.InspectRefresh(ctx, g.RefreshToken, session.Cookie)
		must(t, err)
		behind := w.clock.behind(20 * time.Second)
		up, err := w.on(w.product, behind).StepUp(ctx, a, laptop, nil)
		must(t, err)
		if s := up.Session; s.LastSeenAt.Before(a.Session.LastSeenAt) || s.IdleEnd.Before(a.Session.IdleEnd) {
			t.Errorf("stored times moved back: %+v", s)
		}
		// No rotation within the grace of a step-up: a second tab is answered with what is current.
		again, err := w.Refresh(ctx, up.RefreshToken, laptop)
		must(t, err)
		if again.RefreshToken != up.RefreshToken || w.generation(up) != 1 {
			t.Error("rotated within the grace of a step-up")
		}
		w.clock.set(g.Session.AbsoluteEnd.Add(-10 * time.Minute))
	})
}

// Nothing that a step-up hands out outlives the session, and it brings back no payload.
func TestStepUp_bounds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.Absolute = 20 * time.Minute })
		g := w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		up, err := w.StepUp(ctx, a, laptop, nil)
		must(t, err)
		if up.AccessEnd.After(g.Session.AbsoluteEnd) || up.Session.IdleEnd.After(g.Session.AbsoluteEnd) {
			t.Errorf("beyond the absolute end: %v, %v", up.AccessEnd, up.Session.IdleEnd)
		}
		a, err = w.Inspect(ctx, up.AccessToken, session.Cookie)
		must(t, err)
		must(t, w.rdb.Del(ctx, w.PayloadKey(g.Session.ID)).Err())
		_, err = w.StepUp(ctx, a, laptop, nil)
		wants(t, err, token.ErrInvalid)
		if w.rdb.Exists(ctx, w.PayloadKey(g.Session.ID)).Val() != 0 {
			t.Error("a payload that was lost is back")
		}
	})
}

// Invariant 10 over a step-up to another form of device; and the next change is a change again.
func TestStepUp_counts(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy = session.PolicyLog })
		g := w.signIn(alice, laptop)
		_, err := w.Validate(ctx, g.AccessToken, phone)
		must(t, err)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		third := laptop
		third.Device.Class, third.Device.OS = session.Tablet, "Android"
		up, err := w.StepUp(ctx, a, third, nil)
		must(t, err)
		live, hourly, err := w.Counters(ctx, session.Partition(g.User.ID))
		must(t, err)
		if live["active"] != 1 || live["users"] != 1 || live["tablet"] != 1 || live["desktop"] != 0 || live["chain 8453"] != 1 || hourly["login"] != 1 {
			t.Errorf("live %v, flows %v", live, hourly)
		}
		emitted = nil
		_, err = w.Validate(ctx, up.AccessToken, phone)
		must(t, err)
		if n := count(emitted, session.EventDevice); n != 1 {
			t.Errorf("%d changes after a step-up bound another device", n)
		}
	})
}

// A refresh that came too soon writes nothing and tells nothing.
func TestRefresh_refusedEmitsNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy, o.RefreshRate, o.Grace = session.PolicyLog, 1, time.Second })
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.add(2 * time.Second)
		emitted = nil
		other := laptop
		other.Device = phone.Device
		_, err = w.Refresh(ctx, next.RefreshToken, other)
		if _, limited := err.(*session.RateError); !limited || len(emitted) != 0 {
			t.Errorf("%v, told %+v", err, emitted)
		}
	})
}

// A payload that is sealed anew lives as long as before.
func TestStepUp_keepsTheTTL(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		_, err = w.StepUp(ctx, a, phone, nil)
		must(t, err)
		if ttl := w.rdb.PTTL(ctx, w.PayloadKey(g.Session.ID)).Val(); ttl <= 0 || ttl > w.opts.Absolute+session.Day {
			t.Errorf("the payload is kept for %v", ttl)
		}
	})
}

// A session that a changed device ended is told once, also where the reply is lost.
func TestValidate_revokedAndLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy = session.PolicyRevoke })
		g := w.signIn(alice, laptop)
		var lost atomic.Int64
		emitted = nil
		_, err := w.on(w.losing(&lost), w.clock).Validate(ctx, g.AccessToken, phone)
		if !wantsEnded(t, err, session.HijackSuspected).ByThis || count(emitted, session.EventEnded) != 1 || count(emitted, session.EventNetwork) != 1 {
			t.Errorf("%v, told %+v", err, emitted)
		}
	})
}

// What takes away or holds succeeds with memory full, and what is kept for good stays so.
func TestAccount_fullMemory(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w := newWorld(t, own.Redis)
		g := w.signIn(alice, laptop)
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, asOperator)
		must(t, err)
		_, err = w.RevokeAllOf(ctx, g.User.ID, session.Revoked, asOperator)
		must(t, err)
		must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		_, err = w.RevokeAllOf(ctx, g.User.ID, session.Revoked, asOperator)
		must(t, err)
		_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, asOperator)
		must(t, err)
		must(t, w.Erase(ctx, g.User.ID, asOperator))
	})
}

// Where device and network changed, the stricter policy holds.
func TestValidate_strictestPolicy(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, p := range [][2]session.Policy{{session.PolicyRevoke, session.PolicyLog}, {session.PolicyLog, session.PolicyRevoke}, {session.PolicyRevoke, session.PolicyStepUp}} {
			w := newWorld(t, r, func(o *session.Options) { o.DevicePolicy, o.NetworkPolicy = p[0], p[1] })
			g := w.signIn(alice, laptop)
			_, err := w.Validate(ctx, g.AccessToken, phone)
			wantsEnded(t, err, session.HijackSuspected)
		}
		w := newWorld(t, r, func(o *session.Options) { o.DevicePolicy = session.PolicyLog })
		g := w.signIn(alice, laptop)
		_, err := w.Validate(ctx, g.AccessToken, phone)
		must(t, err)
		w.opts.DevicePolicy = session.PolicyStepUp
		_, err = w.on(w.product, w.clock).Validate(ctx, g.AccessToken, phone)
		wants(t, err, session.ErrStepUp)
	})
}

// A login that is refused writes nothing and tells nothing.
func TestCreate_refusedEmitsNothing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.SessionLimit, o.LimitPolicy, o.LoginRate = 1, session.Deny, 2 })
		first := w.signIn(alice, laptop)
		for range 4 {
			_, err := w.Create(ctx, w.login(alice, laptop))
			wants(t, err, session.ErrSessionLimit)
		}
		in := w.login(alice, laptop)
		in.Presented = first.AccessToken
		g, err := w.Create(ctx, in) // the second that counts
		must(t, err)
		emitted = nil
		in = w.login(alice, laptop)
		in.Presented = g.AccessToken
		_, err = w.Create(ctx, in)
		if _, limited := err.(*session.RateError); !limited || len(emitted) != 0 {
			t.Errorf("%v, told %+v", err, emitted)
		}
		w.opens(g)
	})
}

// What a list shows, and what an erasure finds.
func TestAccount_lists(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.PutState(ctx, w.opens(g), "draft", []byte(`1`), 0, session.StateCondition{})
		must(t, err)
		second := w.signIn(alice, laptop)
		_, err = w.RevokeOthers(ctx, second.Session.ID, session.Revoked, operator) // leaves payload and state behind
		must(t, err)
		w.clock.add(w.opts.Idle)
		if a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice))); err != nil || len(a.Sessions) != 0 {
			t.Errorf("%d sessions past their deadline are listed, %v", len(a.Sessions), err)
		}
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		if n := w.rdb.Exists(ctx, w.StateKey(g.Session.ID), w.PayloadKey(g.Session.ID)).Val(); n != 0 {
			t.Errorf("%d keys of an ended session remain", n)
		}
	})
}

// What a step-up keeps, and what shows that a write was lost.
func TestInspect_resets(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		old := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		up, err := w.StepUp(ctx, a, elsewhere(), nil)
		must(t, err)
		if up.Session.IP != laptop.IP || up.Session.LastIP != elsewhere().IP {
			t.Errorf("from %v, last %v", up.Session.IP, up.Session.LastIP)
		}
		must(t, w.rdb.Set(ctx, w.RecordKey(g.Session.ID), old, 0).Err()) // a replica that lacks the step-up
		_, err = w.InspectRefresh(ctx, up.RefreshToken, session.Cookie)
		wantsEnded(t, err, session.StoreReset)
	})
}

// What a refresh does about a changed device, by policy.
func TestRefresh_policies(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		world := func(p session.Policy) (*world, session.Grant) {
			emitted = nil
			w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy, o.RefreshRate = p, 2 })
			g := w.signIn(alice, laptop)
			w.clock.add(time.Minute)
			return w, g
		}
		other := laptop
		other.Device = phone.Device

		w, g := world(session.PolicyRevoke)
		_, err := w.Refresh(ctx, g.RefreshToken, other)
		wantsEnded(t, err, session.HijackSuspected)
		w.dead(g)

		w, g = world(session.PolicyOff)
		for range 2 { // the second one within the grace
			_, err = w.Refresh(ctx, g.RefreshToken, other)
			must(t, err)
		}

		w, g = world(session.PolicyLog)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		unseen := session.Client{IP: laptop.IP, Transport: session.Cookie, NotEvaluated: true}
		_, err = w.Refresh(ctx, g.RefreshToken, unseen) // cannot be another device
		must(t, err)
		emitted = nil
		w.clock.add(time.Second)
		_, err = w.Refresh(ctx, next.RefreshToken, other) // too many: nothing is told or stored
		if _, limited := err.(*session.RateError); !limited || len(emitted) != 0 {
			t.Errorf("%v, told %+v", err, emitted)
		}
		w.clock.add(40 * time.Second)
		_, err = w.Refresh(ctx, next.RefreshToken, other) // within the grace nothing is judged, so nothing told
		must(t, err)
		if len(emitted) != 0 {
			t.Errorf("within the grace %+v", emitted)
		}
	})
}
