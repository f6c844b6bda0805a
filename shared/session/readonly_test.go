package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// readOnly is a client about which a backend asks.
func readOnly(c session.Client) session.Client {
	c.ReadOnly = true
	return c
}

// What a backend does not know of a caller is not compared: each of device, device id and network on its own, under every
// policy. What it does know is compared as in any request, and nothing is written.
func TestValidate_readOnly(t *testing.T) {
	for _, policy := range []session.Policy{session.PolicyOff, session.PolicyLog, session.PolicyStepUp, session.PolicyRevoke} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) { testReadOnly(t, r, policy) })
		})
	}
}

func testReadOnly(t *testing.T, r redistest.Redis, policy session.Policy) {
	t.Helper()
	var emitted []session.Event
	w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy, o.NetworkPolicy = policy, policy })
	own := laptop
	own.Device.ID = "an id"
	g, err := w.Create(ctx, w.login(alice, own))
	must(t, err)
	w.clock.add(time.Minute) // activity would be due
	emitted = nil
	before := w.dump()
	strict := policy > session.PolicyLog
	for known := range 8 {
		device, id, network := known&1 != 0, known&2 != 0, known&4 != 0
		for _, c := range []struct {
			name     string
			client   session.Client
			compared bool
		}{
			{"own", own, false},
			{"another device", withDevice(own, phone.Device, own.Device.ID), device},
			{"another id", withDevice(own, own.Device, "another"), device && id},
			{"another network", withIP(own, phone), network},
		} {
			got, err := w.Validate(ctx, g.AccessToken, omitting(readOnly(c.client), device, id, network))
			if refused := c.compared && strict; errors.Is(err, session.ErrStepUp) != refused || !refused && err != nil {
				t.Errorf("%v, device %v, id %v, network %v, %s: %v", policy, device, id, network, c.name, err)
			} else if !refused && got.Session.ID != g.Session.ID {
				t.Errorf("it opens %v", got.Session.ID)
			}
		}
	}
	if !same(before, w.dump()) || len(emitted) > 0 {
		t.Errorf("%v: something was written, %+v emitted", policy, emitted)
	}
	_, err = w.Validate(ctx, g.AccessToken, own)
	must(t, err)
}

func withDevice(c session.Client, d session.Device, id string) session.Client {
	c.Device, c.Device.ID = d, id
	return c
}

func withIP(c, other session.Client) session.Client {
	c.IP = other.IP
	return c
}

// omitting leaves out what is not known of a client.
func omitting(c session.Client, device, id, network bool) session.Client {
	if !network {
		c.IP, c.NoNetwork = session.Client{}.IP, true
	}
	if !id {
		c.Device.ID, c.NoDeviceID = "", true
	}
	if !device { // an id without a device is not compared
		c.Device, c.NotEvaluated = session.Device{ID: c.Device.ID}, true
	}
	return c
}

// The same clients without ReadOnly: what is omitted never requires a step-up, also where activity is recorded.
func TestValidate_omitted(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for known := range 8 {
			t.Run(fmt.Sprint(known), func(t *testing.T) {
				w := newWorld(t, r, func(o *session.Options) {
					o.DevicePolicy, o.NetworkPolicy, o.Prefix = session.PolicyRevoke, session.PolicyRevoke, fmt.Sprint(o.Prefix, ":", known)
				})
				own := laptop
				own.Device.ID = "an id"
				g, err := w.Create(ctx, w.login(alice, own))
				must(t, err)
				for range 3 {
					a, err := w.Validate(ctx, g.AccessToken, omitting(own, known&1 != 0, known&2 != 0, known&4 != 0))
					must(t, err)
					if w.clock.now().Sub(a.Session.LastSeenAt) >= w.opts.Touch {
						t.Errorf("last seen %v at %v", a.Session.LastSeenAt, w.clock.now())
					}
					w.clock.add(time.Minute)
				}
			})
		}
	})
}

// A session that requires a step-up, has ended or expired is refused as always, and a read-only validation ends nothing.
func TestValidate_readOnlyRefused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.Validate(ctx, g.AccessToken, phone)
		wants(t, err, session.ErrStepUp)
		_, err = w.Validate(ctx, g.AccessToken, readOnly(laptop))
		wants(t, err, session.ErrStepUp)

		g = w.signIn(bob, laptop)
		old := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		must(t, w.rdb.Set(ctx, w.RecordKey(g.Session.ID), old, 0).Err()) // a replica that lacks the refresh
		_, err = w.Validate(ctx, next.AccessToken, readOnly(laptop))
		wants(t, err, session.ErrTokenExpired)
		w.opens(g) // nothing has ended
		w.clock.add(15 * time.Minute)
		_, err = w.Validate(ctx, g.AccessToken, readOnly(laptop))
		wants(t, err, session.ErrTokenExpired)
		w.clock.add(time.Hour)
		_, err = w.Validate(ctx, g.AccessToken, readOnly(laptop))
		wantsEnded(t, err, session.IdleTimeout)
	})
}

// It takes one round trip however long ago the session was active.
func TestValidate_readOnlyRoundTrip(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		s, sent := w.watching()
		_, err := s.Validate(context.Background(), g.AccessToken, readOnly(elsewhere()))
		must(t, err)
		if n := sent.total(); n != 1 {
			t.Errorf("%d commands were sent: %v", n, sent.commands)
		}
	})
}
