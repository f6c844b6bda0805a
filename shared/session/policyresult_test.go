package session_test

import (
	"context"
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// elsewhere is the laptop in another network.
func elsewhere() session.Client {
	c := laptop
	c.IP = netip.MustParseAddr("198.51.100.9")
	return c
}

// listening collects what the store tells of.
func listening(emitted *[]session.Event) func(*session.Options) {
	return func(o *session.Options) {
		o.Audit = func(_ context.Context, e session.Event) { *emitted = append(*emitted, e) }
	}
}

// count is how many events of a type there were.
func count(events []session.Event, kind session.EventType) int {
	n := 0
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// Attack case 42: what a changed device leads to, by policy; once for each change.
func TestValidate_changedDevice(t *testing.T) {
	for _, c := range []struct {
		policy session.Policy
		want   func(t *testing.T, err error)
		events int // of changed devices, over two changes
	}{
		{session.PolicyOff, func(t *testing.T, err error) { must(t, err) }, 0},
		{session.PolicyLog, func(t *testing.T, err error) { must(t, err) }, 2},
		{session.PolicyStepUp, func(t *testing.T, err error) { wants(t, err, session.ErrStepUp) }, 2},
		{session.PolicyRevoke, func(t *testing.T, err error) { wantsEnded(t, err, session.HijackSuspected) }, 0},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				var emitted []session.Event
				w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy = c.policy })
				g := w.signIn(alice, laptop)
				other := laptop
				other.Device = phone.Device
				for range 3 {
					_, err := w.Validate(ctx, g.AccessToken, other)
					c.want(t, err)
				}
				third := laptop
				third.Device.OS = "Windows"
				for range 2 { // at once it is one change too many; after the touch interval it is written down
					_, err := w.Validate(ctx, g.AccessToken, third)
					c.want(t, err)
					w.clock.add(w.opts.Touch)
				}
				_, err := w.Validate(ctx, g.AccessToken, third)
				c.want(t, err)
				if n := count(emitted, session.EventDevice); n != c.events {
					t.Errorf("%d events of a changed device, want %d", n, c.events)
				}
				ended := 0
				if c.policy == session.PolicyRevoke {
					ended = 1
				}
				if n := count(emitted, session.EventEnded); n != ended {
					t.Errorf("%d ended, want %d", n, ended)
				}
				// Going back to the device of the login changes nothing: the policy result stays.
				_, err = w.Validate(ctx, g.AccessToken, laptop)
				c.want(t, err)
			})
		})
	}
}

func TestValidate_changedNetwork(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		for _, ip := range []string{"203.0.113.1", "203.0.113.254", "::ffff:203.0.113.9"} { // the same /24
			c := laptop
			c.IP = netip.MustParseAddr(ip)
			if a, err := w.Validate(ctx, g.AccessToken, c); err != nil || a.Session.LastIP != laptop.IP {
				t.Errorf("from %s: %v, %v", ip, a.Session.LastIP, err)
			}
		}
		if n := count(emitted, session.EventNetwork); n != 0 {
			t.Errorf("%d changes within one network", n)
		}
		for range 3 {
			a, err := w.Validate(ctx, g.AccessToken, elsewhere())
			must(t, err)
			if a.Session.LastIP != elsewhere().IP || a.Session.IP != laptop.IP {
				t.Errorf("the login was from %v, the last change to %v", a.Session.IP, a.Session.LastIP)
			}
		}
		if a := w.opens(g); a.Session.LastIP != elsewhere().IP {
			t.Errorf("the last recorded change is to %v", a.Session.LastIP)
		}
		if n := count(emitted, session.EventNetwork); n != 1 {
			t.Errorf("%d events of one change", n)
		}
		e := emitted[len(emitted)-1]
		if e.Outcome() != "allowed" || e.Actor.IP != elsewhere().IP || e.Session != g.Session.ID {
			t.Errorf("told %+v", e)
		}
	})
}

// IPv6 privacy addresses change within a /64 and are no change. Attack case 42.
func TestValidate_privacyAddresses(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(o *session.Options) { o.NetworkPolicy = session.PolicyRevoke })
	g := w.signIn(alice, phone)
	rotated := phone
	rotated.IP = netip.MustParseAddr("2001:db8:aa:bb:ffff:1:2:3")
	_, err := w.Validate(ctx, g.AccessToken, rotated)
	must(t, err)
	rotated.IP = netip.MustParseAddr("2001:db8:aa:bc::17")
	_, err = w.Validate(ctx, g.AccessToken, rotated)
	wantsEnded(t, err, session.HijackSuspected)
}

// What could not show a device is not evaluated; what could and did not is another device.
func TestValidate_notEvaluated(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.Validate(ctx, g.AccessToken, session.Client{IP: laptop.IP, Transport: session.Cookie, NotEvaluated: true})
		must(t, err)
		w.clock.add(time.Minute)
		_, err = w.Refresh(ctx, g.RefreshToken, session.Client{IP: laptop.IP, Transport: session.Cookie, NotEvaluated: true})
		must(t, err)
		_, err = w.Validate(ctx, g.AccessToken, session.Client{IP: laptop.IP, Transport: session.Cookie})
		wants(t, err, session.ErrStepUp)
	})
}

// Without an IP the network could not be shown either: no policy takes that for a change, and nothing of it is written.
func TestValidate_notEvaluatedNetwork(t *testing.T) {
	for _, policy := range []session.Policy{session.PolicyLog, session.PolicyStepUp, session.PolicyRevoke} {
		redistest.Each(t, func(t *testing.T, r redistest.Redis) {
			var emitted []session.Event
			w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy, o.NetworkPolicy = policy, policy })
			g := w.signIn(alice, laptop)
			for range 3 { // the second and third are recorded as activity
				a, err := w.Validate(ctx, g.AccessToken, session.Client{Transport: session.Cookie, NotEvaluated: true, NoNetwork: true})
				must(t, err)
				if a.Session.LastIP != laptop.IP || !a.Session.LastSeenAt.Equal(w.clock.now()) && w.clock.now().Sub(a.Session.LastSeenAt) >= w.opts.Touch {
					t.Errorf("last seen %v from %v at %v", a.Session.LastSeenAt, a.Session.LastIP, w.clock.now())
				}
				w.clock.add(time.Minute)
			}
			if n := count(emitted, session.EventNetwork) + count(emitted, session.EventDevice) + count(emitted, session.EventEnded); n > 0 {
				t.Errorf("%v: %d changes were told", policy, n)
			}
			w.opens(g)
			_, err := w.Validate(ctx, g.AccessToken, session.Client{Device: laptop.Device, Transport: session.Cookie})
			if (err != nil) != (policy != session.PolicyLog) { // one that could have shown an address, and did not
				t.Errorf("%v: %v", policy, err)
			}
		})
	}
}

// A held session rotates and stays held, whatever device it is shown from, until a fresh signature.
func TestStepUp(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		w.clock.add(10 * time.Minute)
		stepUpRequired, err := w.Refresh(ctx, g.RefreshToken, phone)
		must(t, err)
		if !stepUpRequired.Session.StepUpRequired {
			t.Error("a refresh from another device does not hold the session")
		}
		for _, client := range []session.Client{phone, laptop} { // a thief who copies the user agent has gained nothing
			_, err = w.Validate(ctx, stepUpRequired.AccessToken, client)
			wants(t, err, session.ErrStepUp)
		}
		a, err := w.ValidateStepUp(ctx, stepUpRequired.AccessToken, laptop)
		must(t, err)
		if !a.Session.StepUpRequired || a.Session.ElevatedUntil.After(w.clock.now()) {
			t.Errorf("held as %+v", a.Session)
		}
		w.clock.add(time.Minute)
		again, err := w.Refresh(ctx, stepUpRequired.RefreshToken, laptop)
		must(t, err)
		if !again.Session.StepUpRequired {
			t.Error("a rotation released the session")
		}

		a, err = w.Inspect(ctx, again.AccessToken, session.Cookie)
		must(t, err)
		up, err := w.StepUp(ctx, a, phone, nil)
		must(t, err)
		if s := up.Session; s.StepUpRequired || !s.ElevatedUntil.Equal(w.clock.now().Add(w.opts.StepUp)) || s.Device.Name != phone.Device.Name {
			t.Errorf("renewed as %+v", s)
		}
		_, err = w.Validate(ctx, up.AccessToken, phone)
		must(t, err)
		_, err = w.Validate(ctx, again.AccessToken, phone)
		wants(t, err, session.ErrTokenExpired) // over at once
		_, err = w.Refresh(ctx, again.RefreshToken, phone)
		wants(t, err, token.ErrInvalid) // and no theft: another tab may have sent it at the same moment
		if !up.Session.AbsoluteEnd.Equal(g.Session.AbsoluteEnd) {
			t.Error("the absolute end moved")
		}
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, up.RefreshToken, phone)
		must(t, err)
		if next.Session.StepUpRequired {
			t.Error("held again on the device that it is bound to")
		}
		if count(emitted, session.EventDevice) != 1 || count(emitted, session.EventStepUp) != 1 {
			t.Errorf("told %+v", emitted)
		}
		_, err = w.Validate(ctx, next.AccessToken, laptop) // the device of the login is another one now
		wants(t, err, session.ErrStepUp)
	})
}

// A step-up that a refresh overtakes takes effect all the same, on what is current.
func TestStepUp_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, err := w.InspectRefresh(ctx, g.RefreshToken, session.Cookie)
		must(t, err)
		w.clock.add(time.Minute)
		s := w.on(w.beforeScript(func() {
			_, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(t, err)
		}), w.clock)
		up, err := s.StepUp(ctx, a, laptop, nil)
		must(t, err)
		w.opens(up)
		if n := w.generation(up); n != 2 {
			t.Errorf("generation %d, want 2", n)
		}
	})
}

func TestStepUp_overtakenByTheEnd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		_, err = w.Revoke(ctx, g.Session.ID, session.Revoked, session.Change{Actor: laptop.Actor()})
		must(t, err)
		_, err = w.StepUp(ctx, a, laptop, nil)
		wantsEnded(t, err, session.Revoked)
		w.dead(g)
	})
}

func TestInspect(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		for _, grant := range []session.Grant{g, next} {
			_, err := w.Inspect(ctx, grant.AccessToken, session.Cookie)
			must(t, err)
			_, err = w.InspectRefresh(ctx, grant.RefreshToken, session.Cookie)
			must(t, err)
			// Each in its own place: attack case 26.
			_, err = w.Inspect(ctx, grant.RefreshToken, session.Cookie)
			wants(t, err, token.ErrInvalid)
			_, err = w.InspectRefresh(ctx, grant.AccessToken, session.Cookie)
			wants(t, err, token.ErrInvalid)
		}
		_, err = w.Inspect(ctx, next.AccessToken, session.Bearer)
		wants(t, err, token.ErrInvalid)
		_, err = w.InspectRefresh(ctx, next.RefreshToken, session.Bearer)
		wants(t, err, token.ErrInvalid)
		w.clock.add(w.opts.Grace)
		_, err = w.InspectRefresh(ctx, g.RefreshToken, session.Cookie)
		wants(t, err, token.ErrInvalid)
		w.opens(next) // which was not called theft
		_, err = w.Inspect(ctx, "lka_nothing", session.Cookie)
		wants(t, err, token.ErrInvalid)
	})
}

// What holds a session is written also with memory full.
func TestValidate_holdsWithFullMemory(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t, "--maxmemory-policy", "noeviction")
		w := newWorld(t, own.Redis)
		g, second := w.signIn(alice, laptop), w.signIn(bob, laptop)
		must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", "1").Err())
		_, err := w.Validate(ctx, g.AccessToken, phone)
		wants(t, err, session.ErrStepUp)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(bob)), asOperator))
		w.dead(second)
		must(t, w.redis.Client().ConfigSet(ctx, "maxmemory", "0").Err())
		_, err = w.Validate(ctx, g.AccessToken, laptop)
		wants(t, err, session.ErrStepUp)
	})
}

// Many readers that see the same change at once record it once.
func TestValidate_changeRace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var verdicts atomic.Int64
		w := newWorld(t, r, func(o *session.Options) {
			o.Audit = func(_ context.Context, e session.Event) {
				if e.Type == session.EventDevice || e.Type == session.EventNetwork {
					verdicts.Add(1)
				}
			}
		})
		g := w.signIn(alice, laptop)
		together(20, func(int) {
			_, err := w.Validate(ctx, g.AccessToken, phone)
			wants(t, err, session.ErrStepUp)
		})
		if n := verdicts.Load(); n != 2 {
			t.Errorf("%d verdicts, want one of the device and one of the network", n)
		}
	})
}

// A token from before a step-up that another tab sends at the same moment is unknown and no theft, also where a refresh
// came just before, or two step-ups. After the grace it is theft again.
func TestStepUp_lateTokens(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		renew := func(access string) session.Grant {
			t.Helper()
			a, err := w.Inspect(ctx, access, session.Cookie)
			must(t, err)
			g, err := w.StepUp(ctx, a, laptop, nil)
			must(t, err)
			return g
		}
		late := func(refresh string) {
			t.Helper()
			_, err := w.Refresh(ctx, refresh, laptop)
			wants(t, err, token.ErrInvalid)
		}
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		up := renew(next.AccessToken)
		late(g.RefreshToken)
		late(next.RefreshToken)
		again := renew(up.AccessToken)
		late(next.RefreshToken)
		late(up.RefreshToken)
		w.opens(again)
		w.clock.add(w.opts.Grace)
		_, err = w.Refresh(ctx, next.RefreshToken, laptop)
		wantsEnded(t, err, session.RefreshReused)
	})
}

// A handshake cannot show the id that a session is bound to. Its browser, system and device type are compared all the same,
// with what the payload has of them, which it had from the first version on.
func TestValidate_noDeviceID(t *testing.T) {
	bound := laptop
	bound.Device.ID = "device-1"
	handshake := laptop
	handshake.NoDeviceID = true
	others := map[string]func(*session.Device){
		"browser": func(d *session.Device) { d.Browser = "Safari" }, "system": func(d *session.Device) { d.OS = "macOS" },
		"type": func(d *session.Device) { d.Class = session.Mobile }, "none": func(d *session.Device) { *d = session.Device{} },
	}
	passes := func(t *testing.T, err error) { t.Helper(); must(t, err) }
	for policy, want := range map[session.Policy]func(t *testing.T, err error){
		session.PolicyOff: passes, session.PolicyLog: passes,
		session.PolicyStepUp: func(t *testing.T, err error) { t.Helper(); wants(t, err, session.ErrStepUp) },
		session.PolicyRevoke: func(t *testing.T, err error) { t.Helper(); wantsEnded(t, err, session.HijackSuspected) },
	} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				var emitted []session.Event
				w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy = policy })
				for name, change := range others {
					g := w.signIn(alice, bound)
					emitted = nil
					for range 3 {
						for _, same := range []session.Client{handshake, bound} {
							same.Device.Name = "not compared"
							a, err := w.Validate(ctx, g.AccessToken, same)
							must(t, err)
							if w.clock.now().Sub(a.Session.LastSeenAt) >= w.opts.Touch {
								t.Errorf("last seen %v at %v", a.Session.LastSeenAt, w.clock.now())
							}
						}
						w.clock.add(time.Minute)
					}
					if n := count(emitted, session.EventDevice); n > 0 {
						t.Errorf("%v: %d changes of the same device", policy, n)
					}
					other := handshake
					change(&other.Device)
					for range 2 {
						_, err := w.Validate(ctx, g.AccessToken, other)
						want(t, err)
					}
					recorded := 1
					if policy == session.PolicyOff || policy == session.PolicyRevoke {
						recorded = 0
					}
					if n := count(emitted, session.EventDevice); n != recorded {
						t.Errorf("%v, another %s: %d changes recorded, want %d", policy, name, n, recorded)
					}
				}
			})
		})
	}
}

// What another site's page makes a browser send records no policy result and ends nothing, and passes only where device and
// network match. What the session's own page sends then finds it as it was.
func TestValidate_noPolicyResult(t *testing.T) {
	bound := laptop
	bound.Device.ID = "device-1"
	link := laptop
	link.NoPolicyResult = true
	away := bound
	away.NoPolicyResult, away.IP = true, elsewhere().IP
	for _, policy := range []session.Policy{session.PolicyOff, session.PolicyLog, session.PolicyStepUp, session.PolicyRevoke} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				var emitted []session.Event
				w := newWorld(t, r, listening(&emitted), func(o *session.Options) { o.DevicePolicy, o.NetworkPolicy = policy, policy })
				g := w.signIn(alice, bound)
				refused := policy > session.PolicyLog
				for range 3 {
					emitted = nil
					for _, client := range []session.Client{link, away} {
						before := w.stored(g)
						for _, validate := range []func(context.Context, string, session.Client) (session.Access, error){w.Validate, w.ValidateStepUp} {
							_, err := validate(ctx, g.AccessToken, client)
							if !refused {
								must(t, err)
								continue
							}
							wants(t, err, session.ErrStepUp)
							if after := w.stored(g); !reflect.DeepEqual(before, after) {
								t.Errorf("%v: the record changed from %+v to %+v", policy, before, after)
							}
						}
					}
					if refused && len(emitted) > 0 {
						t.Errorf("%v: emitted %+v", policy, emitted)
					}
					w.clock.add(time.Minute)
					same := bound
					same.NoPolicyResult = true
					for _, client := range []session.Client{same, bound} {
						a, err := w.Validate(ctx, g.AccessToken, client)
						must(t, err)
						if !a.Session.LastSeenAt.Equal(w.clock.now()) {
							t.Errorf("%v: last seen %v at %v", policy, a.Session.LastSeenAt, w.clock.now())
						}
					}
				}
				// A refresh takes no part in this.
				if other := phone; policy == session.PolicyRevoke {
					other.NoPolicyResult = true
					_, err := w.Refresh(ctx, g.RefreshToken, other)
					wantsEnded(t, err, session.HijackSuspected)
				}
			})
		})
	}
}
