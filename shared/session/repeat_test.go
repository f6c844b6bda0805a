package session_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Invariant 8: a change whose reply was lost is not made again over one that came in between, and its caller gets the
// answer of the first run.
func TestState_overtakenRepeat(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, err := w.Validate(ctx, g.AccessToken, laptop)
		must(t, err)
		none := session.StateCondition{}
		put := func(s *session.Store, value string, want session.StateCondition) session.StateItem {
			t.Helper()
			item, err := s.PutState(ctx, a, "k", []byte(value), 0, want)
			must(t, err)
			return item
		}
		holds := func(want string) {
			t.Helper()
			item, err := w.State(ctx, a, "k")
			must(t, err)
			if string(item.Value) != want {
				t.Errorf("the state is %s, want %s", item.Value, want)
			}
		}

		first := put(w.Store, `0`, none)
		put(w.overtaken(func() {
			item, err := w.State(ctx, a, "k")
			must(t, err)
			put(w.Store, `2`, session.StateCondition{Versions: []string{item.Version}})
		}), `1`, session.StateCondition{Versions: []string{first.Version}})
		holds(`2`)

		put(w.overtaken(func() { put(w.Store, `"later"`, none) }), `"earlier"`, none)
		holds(`"later"`)

		s := w.overtaken(func() { put(w.Store, `"acknowledged"`, session.StateCondition{Absent: true}) })
		must(t, s.DeleteState(ctx, a, "k", none))
		holds(`"acknowledged"`)

		_, err = w.PutState(ctx, a, "other", []byte(`1`), 0, none)
		must(t, err)
		must(t, w.overtaken(func() { must(t, w.DeleteState(ctx, a, "other", none)) }).DeleteState(ctx, a, "k", none))
	})
}

// Invariant 8, for changes of an account, with an activity and without one.
func TestAccount_overtakenRepeat(t *testing.T) {
	for name, events := range map[string]int{"activity": 50, "no activity": 0} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				testOvertaken(t, newWorld(t, r, func(o *session.Options) { o.ActivityMax = events }))
			})
		})
	}
}

func testOvertaken(t *testing.T, w *world) {
	user := w.UserOf(token.KeyAccount(alice))
	roles := func(s *session.Store, roles ...string) {
		t.Helper()
		_, err := s.SetRoles(ctx, s.UserOf(token.KeyAccount(alice)), roles, asOperator)
		must(t, err)
	}
	is := func(blocked bool, roles ...string) {
		t.Helper()
		a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice)))
		if errors.Is(err, session.ErrNotFound) && !blocked && len(roles) == 0 {
			return
		}
		must(t, err)
		if !a.BlockedAt.IsZero() != blocked || len(a.User.Roles) != len(roles) {
			t.Errorf("blocked %v with roles %q, want %v %q", a.BlockedAt, a.User.Roles, blocked, roles)
		}
	}
	block := func(s *session.Store) {
		t.Helper()
		must(t, s.Block(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
	}
	unblock := func(s *session.Store) {
		t.Helper()
		must(t, s.Unblock(ctx, s.UserOf(token.KeyAccount(alice)), asOperator))
	}

	unblock(w.overtaken(func() { block(w.Store) })) // of nobody yet
	is(true)
	unblock(w.Store)
	block(w.overtaken(func() { unblock(w.Store) }))
	is(false)
	roles(w.overtaken(func() { roles(w.Store) }), "admin")
	is(false)

	w.signIn(alice, laptop)
	var after session.Grant
	s := w.overtaken(func() { after = w.signIn(alice, laptop); roles(w.Store, "editor") })
	if n, err := s.RevokeAllOf(ctx, user, session.Revoked, asOperator); n != 1 || err != nil {
		t.Errorf("ended %d, %v; want the one that there was", n, err)
	}
	w.opens(after)
	w.revokeAll(t, user)
	s = w.overtaken(func() { after = w.signIn(alice, laptop) }) // where there was nothing to end
	if n, err := s.RevokeAllOf(ctx, user, session.Revoked, asOperator); n != 0 || err != nil {
		t.Errorf("ended %d, %v; want none", n, err)
	}
	w.opens(after)

	must(t, w.overtaken(func() { after = w.signIn(alice, laptop); roles(w.Store, "editor") }).Erase(ctx, user, asOperator))
	w.opens(after)
	is(false, "editor")

	a, p, err := w.ValidateWithPreferences(ctx, after.AccessToken, laptop)
	must(t, err)
	_, err = w.overtaken(func() {
		_, q, err := w.ValidateWithPreferences(ctx, after.AccessToken, laptop)
		must(t, err)
		_, err = w.SetPreferences(ctx, a, q, []byte(`{"b":2}`), operator)
		must(t, err)
	}).SetPreferences(ctx, a, p, []byte(`{"a":1}`), operator)
	must(t, err)
	if _, p, err = w.ValidateWithPreferences(ctx, after.AccessToken, laptop); string(p.JSON) != `{"b":2}` {
		t.Errorf("preferences are %s, %v", p.JSON, err)
	}
}

func (w *world) revokeAll(t *testing.T, user token.UserID) {
	t.Helper()
	_, err := w.RevokeAllOf(ctx, user, session.Revoked, asOperator)
	must(t, err)
}

// Invariants 8 and 9: a login whose reply was lost and whose session ended before it was asked for again is told as one.
func TestCreate_endedBeforeItsRepeat(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, end := range map[string]func(w *world){
			"revoked": func(w *world) { w.revokeAll(t, w.UserOf(token.KeyAccount(alice))) },
			"blocked": func(w *world) { must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator)) },
			"evicted": func(w *world) { w.signIn(alice, phone) },
		} {
			t.Run(name, func(t *testing.T) {
				var emitted []session.Event
				r := r.Under(t, r.Prefix+name[:1])
				w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.SessionLimit = 1 })
				want := 1
				if name == "evicted" {
					want = 2
				}
				g, err := w.overtaken(func() { end(w) }).Create(ctx, w.login(alice, laptop))
				must(t, err)
				var over *session.EndedError
				if _, err := w.Validate(ctx, g.AccessToken, laptop); !errors.As(err, &over) {
					t.Errorf("its token: %v", err)
				}
				if n := count(emitted, session.EventLogin); n != want {
					t.Errorf("%d logins were told, want %d", n, want)
				}
			})
		}
	})
}

// Invariant 2's sibling: a request that was read before a step-up and recorded after it has the old token. It neither gains
// what the signature gave, nor is judged against what the signature bound.
func TestTouch_afterAStepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, policy := range []session.Policy{session.PolicyStepUp, session.PolicyRevoke} {
			for name, late := range map[string]session.Client{"same device": laptop, "other device": phone} {
				r := r.Under(t, r.Prefix+policy.String()[:1]+name[:1])
				w := newWorld(t, r, func(o *session.Options) { o.DevicePolicy = policy })
				g := w.signIn(alice, laptop)
				w.clock.add(6 * time.Minute)
				a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
				must(t, err)
				var up session.Grant
				s := w.on(w.beforeScript(func() { up, err = w.StepUp(ctx, a, laptop, nil); must(t, err) }), w.clock)
				_, err = s.Validate(ctx, g.AccessToken, late)
				wants(t, err, session.ErrTokenExpired)
				w.opens(up)
			}
		}
	})
}

// A read that noticed another network before a step-up does not write over what the step-up sealed.
func TestMoved_afterAStepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		var up session.Grant
		done := false
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			err := next(ctx, cmd)
			if isScript(cmd) && err == nil && !done { // it has recorded the network
				done = true
				up, err = w.StepUp(ctx, a, phone, nil)
			}
			return err
		}), w.clock)
		_, err = s.Validate(ctx, g.AccessToken, elsewhere())
		must(t, err)
		got, err := w.Validate(ctx, up.AccessToken, phone)
		must(t, err)
		if d := got.Session.Device; d.OS != phone.Device.OS || got.Session.LastIP != phone.IP {
			t.Errorf("after the step-up on the phone the session shows %+v at %v", d, got.Session.LastIP)
		}
	})
}

// A read that noticed another network does not write over what a step-up from there has sealed since: the network is the
// same, the idempotency key is not.
func TestMoved_afterAStepUpFromThere(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.DevicePolicy = session.PolicyLog })
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		there := phone
		there.IP = elsewhere().IP
		var up session.Grant
		done := false
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			err := next(ctx, cmd)
			if isScript(cmd) && err == nil && !done { // it has recorded the network
				done = true
				up, err = w.StepUp(ctx, a, there, nil)
			}
			return err
		}), w.clock)
		_, err = s.Validate(ctx, g.AccessToken, elsewhere())
		must(t, err)
		got := w.opensFor(up, there)
		if d := got.Session.Device; !done || d.OS != phone.Device.OS || d.Name != phone.Device.Name {
			t.Errorf("after the step-up on the phone the session shows %+v", d)
		}
	})
}

// What an erasure leaves goes when it was to go, however often somebody logs out with a dead token.
func TestRevokeAll_keepsNothingLonger(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		must(t, w.Erase(ctx, g.User.ID, asOperator))
		key := w.RecordKey(g.Session.ID)
		before := w.rdb.PTTL(ctx, key).Val()
		_, err := w.RevokeAll(ctx, g.Session.ID, session.LoggedOut, operator)
		must(t, err)
		if after := w.rdb.PTTL(ctx, key).Val(); after > before || before <= 0 {
			t.Errorf("kept for %v, and %v after logging out everywhere", before, after)
		}
	})
}

// Who may change an account is decided by the roles that it has at that moment.
func TestCondition_holdsAtTheChange(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		refused := errors.New("refused")
		noAdmin := func(roles []string) error {
			if len(roles) > 0 {
				return refused
			}
			return nil
		}
		for name, change := range map[string]func(*session.Store, session.Grant) error{
			"roles": func(s *session.Store, _ session.Grant) error {
				_, err := s.SetRoles(ctx, s.UserOf(token.KeyAccount(alice)), nil, session.Change{Actor: operator, Condition: noAdmin})
				return err
			},
			"block": func(s *session.Store, _ session.Grant) error {
				return s.Block(ctx, s.UserOf(token.KeyAccount(alice)), session.Change{Actor: operator, Condition: noAdmin})
			},
			"unblock": func(s *session.Store, _ session.Grant) error {
				return s.Unblock(ctx, s.UserOf(token.KeyAccount(alice)), session.Change{Actor: operator, Condition: noAdmin})
			},
			"erase": func(s *session.Store, g session.Grant) error {
				return s.Erase(ctx, g.User.ID, session.Change{Actor: operator, Condition: noAdmin})
			},
			"end": func(s *session.Store, g session.Grant) error {
				_, err := s.Revoke(ctx, g.Session.ID, session.RevokedByAdmin, session.Change{Actor: operator, Condition: noAdmin})
				return err
			},
			"end all": func(s *session.Store, g session.Grant) error {
				_, err := s.RevokeAllOf(ctx, g.User.ID, session.RevokedByAdmin, session.Change{Actor: operator, Condition: noAdmin})
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				r := r.Under(t, r.Prefix+"-"+name[:1]+name[len(name)-1:])
				w := newWorld(t, r)
				g := w.signIn(alice, laptop)
				s := w.on(w.beforeScript(func() {
					_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"admin"}, asOperator)
					must(t, err)
				}), w.clock)
				wants(t, change(s, g), refused)
				w.opens(g)
				a, err := w.Account(ctx, w.UserOf(token.KeyAccount(alice)))
				must(t, err)
				if len(a.User.Roles) != 1 {
					t.Errorf("roles are %q", a.User.Roles)
				}
				_, err = w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), nil, keepsAdmin) // the list of admins has nobody else
				wants(t, err, session.ErrLastAdmin)
			})
		}
	})
}

// However many logins race an erasure, it takes effect, on all that began before it.
func TestErase_amidLogins(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		all := []session.Grant{w.signIn(alice, laptop)}
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if isScript(cmd) { // each time that it has read what there is to erase
				all = append(all, w.signIn(alice, laptop))
			}
			return next(ctx, cmd)
		}), w.clock)
		must(t, s.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		for _, g := range all {
			var over *session.EndedError
			if _, err := w.Validate(ctx, g.AccessToken, laptop); !errors.As(err, &over) && !errors.Is(err, token.ErrInvalid) {
				t.Errorf("a session from before the erasure: %v", err)
			}
		}
		if len(all) < 3 {
			t.Errorf("only %d logins raced", len(all))
		}
	})
}
