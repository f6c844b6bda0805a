package session_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/local/test/tokentest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// rotation is two instances over one Redis: one has the next key already, the other learns it when it asks.
type rotation struct {
	*world // the one that has it

	late     *session.Store
	counting *redistest.CountingClient
	asked    atomic.Int64
	// answer is what the late one is told; nil gives it the key.
	answer error
}

func newRotation(t *testing.T, r redistest.Redis) *rotation {
	t.Helper()
	secret := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	ring := func(names ...byte) *seal.Ring {
		var keys []seal.Key
		for _, name := range names {
			keys = append(keys, seal.Key{ID: seal.KeyID{name}, Secret: secret(name), Encryption: secret(name)})
		}
		ring, err := seal.NewRing(r.Prefix, secret('l'), keys...)
		must(t, err)
		return ring
	}
	x := &rotation{world: newWorld(t, r), counting: redistest.Counting(t, r)}
	former, next := ring(1), ring(1, 2)
	x.ring = next
	x.Store = x.on(x.product, x.clock)
	opts := x.opts
	opts.FetchKey = func(_ context.Context, id seal.KeyID) error {
		x.asked.Add(1)
		if x.answer != nil {
			return x.answer
		}
		if err := former.Replace(next); err != nil || former.Has(id) {
			return err
		}
		return seal.ErrUnknownKey
	}
	x.late = session.NewStore(x.counting, former, opts, x.clock.now)
	return x
}

// expect asserts how often the late instance asked for a key and went to Redis since the last time.
func (x *rotation) expect(what string, asked, roundTrips int) {
	x.t.Helper()
	if got := int(x.asked.Swap(0)); got != asked {
		x.t.Errorf("%s: asked %d times for a key, want %d", what, got, asked)
	}
	if got := x.counting.RoundTrips(); got != roundTrips {
		x.t.Errorf("%s: %d trips, want %d", what, got, roundTrips)
	}
	x.counting.Reset()
}

// An instance that meets a key before it has heard of it takes it up, once, and serves.
func TestFetchKey_takesUpAKey(t *testing.T) {
	calls := map[string]func(x *rotation, g session.Grant) error{
		"read": func(x *rotation, g session.Grant) error {
			_, err := x.late.Validate(ctx, g.AccessToken, laptop)
			return err
		},
		"refresh": func(x *rotation, g session.Grant) error {
			_, err := x.late.Refresh(ctx, g.RefreshToken, laptop)
			return err
		},
		"present": func(x *rotation, g session.Grant) error {
			_, err := x.late.InspectRefresh(ctx, g.RefreshToken, laptop.Transport)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				x := newRotation(t, r)
				g := x.signIn(alice, laptop)
				must(t, session.LoadScripts(ctx, x.rdb))
				x.counting.Reset()
				must(t, call(x, g))
				x.expect("the first call", 1, 1)
				_, err := x.late.Validate(ctx, g.AccessToken, laptop)
				if name != "refresh" {
					must(t, err)
				}
				x.expect("the second call", 0, 1)
			})
		})
	}
	x := newRotation(t, redistest.Embedded(t))
	g := x.signIn(alice, laptop)
	for _, token := range []string{g.AccessToken, g.RefreshToken} {
		if id, err := x.late.SessionOf(ctx, token); err != nil || id != g.Session.ID {
			t.Errorf("%v, %v", id, err)
		}
	}
	x.expect("telling the session of both tokens", 1, 0)
}

// What the next key sealed for an account opens for an instance that is asked with a token of the former key.
func TestFetchKey_opensWhatWasSealed(t *testing.T) {
	sealed := func(t *testing.T) (*rotation, session.Grant, session.Access) {
		x := newRotation(t, redistest.Embedded(t))
		x.answer = errors.New("not now")
		g, err := x.late.Create(ctx, x.login(alice, laptop)) // under the former key, which the other has too
		must(t, err)
		a, p := x.preferences(g)
		_, err = x.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		must(t, err)
		_, err = x.PutState(ctx, a, "k", []byte(`1`), 0, session.StateCondition{})
		must(t, err)
		x.signIn(alice, phone)
		x.asked.Store(0)
		return x, g, a
	}
	calls := map[string]struct {
		call   func(x *rotation, g session.Grant, a session.Access) (bool, error)
		waives bool // what cannot be opened is left out
	}{
		"preferences": {call: func(x *rotation, g session.Grant, _ session.Access) (bool, error) {
			_, p, err := x.late.ValidateWithPreferences(ctx, g.AccessToken, laptop)
			return string(p.JSON) == `{"a":1}`, err
		}},
		"state": {call: func(x *rotation, _ session.Grant, a session.Access) (bool, error) {
			item, err := x.late.State(ctx, a, "k")
			return string(item.Value) == `1`, err
		}},
		"list of state": {call: func(x *rotation, _ session.Grant, a session.Access) (bool, error) {
			list, err := x.late.ListState(ctx, a)
			return len(list.Items) == 1, err
		}},
		"activity": {waives: true, call: func(x *rotation, _ session.Grant, a session.Access) (bool, error) {
			events, _, err := x.late.Activity(ctx, a.User.ID, "", 10)
			return len(events) > 0 && events[0].Actor.Device == "Phone", err
		}},
		"sessions": {waives: true, call: func(x *rotation, g session.Grant, _ session.Access) (bool, error) {
			account, err := x.late.Account(ctx, x.late.UserOf(token.KeyAccount(alice)))
			return len(account.Sessions) == 2, err
		}},
	}
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			x, g, a := sealed(t)
			ok, err := c.call(x, g, a)
			if c.waives && (err != nil || ok) || !c.waives && !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("while nobody can tell: %v, %v", ok, err)
			}
			x.answer = nil
			x.asked.Store(0)
			if ok, err := c.call(x, g, a); !ok || err != nil {
				t.Errorf("opened %v, %v", ok, err)
			}
			if asked := x.asked.Load(); asked != 1 {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// A key that there is not opens nothing, at no cost to Redis, and what it sealed is forgotten.
func TestFetchKey_noSuchKey(t *testing.T) {
	x := newRotation(t, redistest.Embedded(t))
	x.answer = seal.ErrUnknownKey
	g := x.signIn(alice, laptop)
	_, err := x.late.Validate(ctx, g.AccessToken, laptop)
	wants(t, err, token.ErrInvalid)
	_, err = x.late.Refresh(ctx, g.RefreshToken, laptop)
	wants(t, err, token.ErrInvalid)
	_, err = x.late.SessionOf(ctx, g.AccessToken)
	wants(t, err, token.ErrInvalid)
	x.expect("three tokens of that key", 3, 0)

	former, err := x.late.Create(ctx, x.login(alice, laptop))
	must(t, err)
	a, p := x.preferences(former)
	_, err = x.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
	must(t, err)
	_, err = x.PutState(ctx, a, "k", []byte(`1`), 0, session.StateCondition{})
	must(t, err)
	if _, p, err := x.late.ValidateWithPreferences(ctx, former.AccessToken, laptop); err != nil || string(p.JSON) != session.EmptyPreferences {
		t.Errorf("preferences %s, %v", p.JSON, err)
	}
	_, err = x.late.State(ctx, a, "k")
	wants(t, err, session.ErrNotFound)
	if list, err := x.late.ListState(ctx, a); err != nil || len(list.Items) != 0 {
		t.Errorf("state %v, %v", list, err)
	}
	_, err = x.late.PutState(ctx, a, "k", []byte(`2`), 0, session.StateCondition{})
	must(t, err)
}

// Where nobody can tell whether there is such a key, a token is neither taken nor called invalid.
func TestFetchKey_fails(t *testing.T) {
	x := newRotation(t, redistest.Embedded(t))
	g := x.signIn(alice, laptop)
	opts := x.opts
	opts.FetchKey = func(context.Context, seal.KeyID) error { return errors.New("away") }
	late := session.NewStore(x.counting, newRing(t, x.opts.Prefix), opts, x.clock.now)
	_, err := late.Validate(ctx, g.AccessToken, laptop)
	wants(t, err, session.ErrUnavailable)
	if errors.Is(err, token.ErrInvalid) {
		t.Errorf("called invalid: %v", err)
	}
	_, err = late.SessionOf(ctx, g.RefreshToken)
	wants(t, err, session.ErrUnavailable)
	x.expect("two tokens", 0, 0)
}

// Only a key that the ring does not have is asked for: whoever forges a token under one that it has makes nobody ask, and
// neither does what is no token.
func TestFetchKey_isNotAskedForForgeries(t *testing.T) {
	x := newRotation(t, redistest.Embedded(t))
	g, err := x.late.Create(ctx, x.login(alice, laptop))
	must(t, err)
	x.expect("a login", 0, x.counting.RoundTrips())
	forged := tokentest.Forge(x.ring, g.AccessToken, newStranger(t, g.AccessToken), func(*uint32, *[32]byte) {})
	for _, text := range []string{"", "lka_", "lkr_" + g.AccessToken[4:], g.AccessToken[:len(g.AccessToken)-1], forged, strings.ToUpper(g.AccessToken)} {
		_, err := x.late.Validate(ctx, text, laptop)
		wants(t, err, token.ErrInvalid)
		_, err = x.late.SessionOf(ctx, text)
		wants(t, err, token.ErrInvalid)
	}
	x.expect("forgeries", 0, 0)
}
