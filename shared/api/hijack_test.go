package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/session"
)

// from makes every request come from an address, as the gateway saw it.
func (w *world) from(ip string) {
	w.call = func(info *api.RequestInfo) { info.SourceIP = netip.MustParseAddr(ip) }
}

// policies makes a world that has them.
func policies(device, network session.Policy) func(*world) {
	return func(w *world) { w.opts.DevicePolicy, w.opts.NetworkPolicy = device, network }
}

// asBoth runs a test as a browser and as a script, on both engines, in a world that was changed.
func asBoth(t *testing.T, change func(*world), test func(t *testing.T, c *client)) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		one, other := r.Under(t, r.Prefix+"b"), r.Under(t, r.Prefix+"s")
		t.Run("browser", func(t *testing.T) { test(t, newWorld(t, one, change).browser()) })
		t.Run("script", func(t *testing.T) { test(t, newWorld(t, other, change).script()) })
	})
}

const (
	deviceHeld = "device.changed step_up_required"
	refusedFor = "request failure reason=step_up_required"
)

// A stolen token on another device waits for a signature that the thief cannot make, whatever the thief pretends next.
func TestHijack_device(t *testing.T) { // attack case 42
	asBoth(t, policies(session.PolicyStepUp, session.PolicyLog), func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		w.clock.add(6 * time.Minute)
		c.profile(with("User-Agent", strings.Replace(c.header.Get("User-Agent"), "1", "2", 1))).wants(200, "") // an update is no change
		w.events()

		thief := with("User-Agent", firefox)
		got := c.profile(thief).wants(401, "step_up_required")
		checkProblem(t, got)
		equal(t, "challenge", got.header.Get("WWW-Authenticate"), `Bearer error="insufficient_user_authentication"`)
		w.wantsEvents("the change", deviceHeld, refusedFor)
		c.profile(thief).wants(401, "step_up_required")
		c.profile().wants(401, "step_up_required") // with the old user agent copied
		c.profile(thief).wants(401, "step_up_required")
		w.wantsEvents("the same again", refusedFor, refusedFor, refusedFor)
		w.clock.add(w.opts.Touch)
		c.profile(without("User-Agent"), with("User-Agent", "")).wants(401, "step_up_required")
		w.wantsEvents("another change", deviceHeld, refusedFor)
		for _, p := range protectedRoutes {
			checkProblem(t, c.do(p).wants(401, "step_up_required"))
			c.do(p, thief).wants(401, "step_up_required")
		}

		// It can be refreshed, and stays held.
		w.events()
		renewed := c.renew(thief).wants(200, "")
		c.take(renewed)
		equal(t, "stepUpRequired", renewed.at("session", "stepUpRequired"), true)
		w.wantsEvents("refresh", deviceHeld, "refresh success")
		c.profile().wants(401, "step_up_required")
		c.stepUp(confirmation(newAccount(t), c.stepUpMessage(thief).String()), thief).wants(401, refused)
		c.profile().wants(401, "step_up_required")

		// The owner clears it, on the device that it is then bound to.
		w.events()
		confirmed := c.confirm(alice, thief)
		w.wantsEvents("step-up", "step_up success")
		equal(t, "stepUpRequired", confirmed.at("session", "stepUpRequired"), nil)
		equal(t, "device", confirmed.at("session", "device", "name"), "Firefox on Linux")
		profile := c.profile(thief).wants(200, "")
		equal(t, "device", profile.at("session", "device", "name"), "Firefox on Linux")
		equal(t, "elevatedUntil", profile.at("session", "elevatedUntil"), "2026-11-23T10:11:30.000Z")
		w.wantsEvents("after it")
		c.profile().wants(401, "step_up_required")
		w.wantsEvents("the former device", deviceHeld, refusedFor)
		c.logout(nil).wants(204, "")
		w.wantsEvents("logout", "session.ended success reason=logged_out")
	})
}

// Each policy does to a changed device or network what it is called, once a change.
func TestHijack_policies(t *testing.T) { // attack case 42
	type step struct {
		status int
		code   string
		events []string
	}
	for _, what := range []string{"device", "network"} {
		for policy, want := range map[session.Policy]step{
			session.PolicyOff:    {200, "", nil},
			session.PolicyLog:    {200, "", []string{what + ".changed allowed"}},
			session.PolicyStepUp: {401, "step_up_required", []string{what + ".changed step_up_required", refusedFor}},
			session.PolicyRevoke: {401, "session_ended", []string{"session.ended success reason=hijack_suspected"}},
		} {
			t.Run(what+" "+policy.String(), func(t *testing.T) {
				set := policies(policy, session.PolicyOff)
				if what == "network" {
					set = policies(session.PolicyOff, policy)
				}
				asBoth(t, set, func(t *testing.T, c *client) {
					w := c.w
					change := func() { c.header.Set("User-Agent", firefox) }
					if what == "network" {
						change = func() { w.from("198.51.100.9") }
					}
					for _, ask := range []func() answer{
						func() answer { return c.profile() }, func() answer { w.clock.add(time.Minute); return c.renew() },
					} {
						c.header.Set("User-Agent", chrome)
						w.from(clientIP)
						c.signIn(newAccount(t))
						w.events()
						change()
						got := ask()
						events := w.events()
						if strings.HasPrefix(fmt.Sprint(got.at("tokenType")), "Bearer") { // a refresh, which a held session may
							c.take(got)
							got = c.profile()
							events = slices.DeleteFunc(append(events, w.events()...), func(e string) bool { return e == "refresh success" })
						}
						got.wants(want.status, want.code)
						if !slices.Equal(events, want.events) {
							t.Errorf("events %q, want %q", events, want.events)
						}
						if policy == session.PolicyRevoke {
							equal(t, "reason", got.at("reason"), "hijack_suspected")
							c.renew().wants(401, "session_ended")
						}
						w.events()
						c.profile()
						for _, e := range w.events() {
							if strings.Contains(e, "changed") || strings.HasPrefix(e, "session.ended") {
								t.Errorf("told again: %s", e)
							}
						}
					}
				})
			})
		}
	}
}

// A request that could show a device and shows none has changed it; a device id counts where the login sent one.
func TestHijack_whatADeviceIs(t *testing.T) {
	for _, tt := range []struct {
		name     string
		at, then []change
		changed  bool
	}{
		{"the same", nil, nil, false},
		{"another version", nil, []change{with("User-Agent", strings.Replace(chrome, "142", "143", 1))}, false},
		{"another system", nil, []change{with("User-Agent", strings.Replace(chrome, "Macintosh", "Windows NT 10.0", 1))}, true},
		{"another browser", nil, []change{with("User-Agent", strings.Replace(chrome, "Chrome/", "Edg/142 Chrome/", 1))}, true},
		{"no user agent", nil, []change{with("User-Agent", "")}, true},
		{"never one", []change{with("User-Agent", "")}, []change{with("User-Agent", "")}, false},
		{"one at last", []change{with("User-Agent", "")}, nil, true},
		{"id", []change{with("X-Device-Id", "a")}, []change{with("X-Device-Id", "a")}, false},
		{"other id", []change{with("X-Device-Id", "a")}, []change{with("X-Device-Id", "b")}, true},
		{"id in another case", []change{with("X-Device-Id", "a")}, []change{with("X-Device-Id", "A")}, true},
		{"id no more", []change{with("X-Device-Id", "a")}, nil, true},
		{"id that no login sent", nil, []change{with("X-Device-Id", "a")}, false},
		{"hints of another device", nil, []change{with("Sec-Ch-Ua-Platform", "Windows"), with("Accept-Language", "de")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, policies(session.PolicyStepUp, session.PolicyLog))
				c := w.browser()
				c.signIn(newAccount(t), tt.at...)
				if tt.changed {
					c.profile(tt.then...).wants(401, "step_up_required")
				} else {
					c.profile(tt.then...).wants(200, "")
				}
			})
		})
	}
}

// A session that moves to another network goes on, and tells from where.
func TestHijack_network(t *testing.T) { // attack case 42
	asBoth(t, policies(session.PolicyStepUp, session.PolicyLog), func(t *testing.T, c *client) {
		w := c.w
		for _, tt := range []struct{ home, near, away, then string }{
			{clientIP, "203.0.113.1", "198.51.100.9", "198.51.100.9"},
			{clientIP, "::ffff:203.0.113.99", "::ffff:198.51.100.9", "198.51.100.9"},
			// The privacy extensions of IPv6 change the address within its /64.
			{"2001:db8:1:2::a", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:3::a", "2001:db8:1:3::a"},
			{"2001:db8:1:2::a", "2001:db8:1:2::b%eth0", clientIP, clientIP},
		} {
			w.from(tt.home)
			c.signIn(newAccount(t))
			w.events()
			w.from(tt.near)
			profile := c.profile().wants(200, "")
			equal(t, "lastIp within the network", profile.at("session", "lastIp"), tt.home)
			w.wantsEvents("within the network")

			w.from(tt.away)
			w.log.Reset()
			for range 3 {
				profile = c.profile().wants(200, "")
			}
			equal(t, "ip", profile.at("session", "ip"), tt.home)
			equal(t, "lastIp", netip.MustParseAddr(profile.text("session", "lastIp")).Unmap().String(), tt.then)
			e := w.last("network.changed")
			equal(t, "ip in the log", netip.MustParseAddr(fmt.Sprint(e["ip"])).Unmap().String(), tt.then)
			equal(t, "sessionId in the log", e["sessionId"], profile.at("session", "id"))
			w.wantsEvents("another network", "network.changed allowed")
			newest := c.ask("GET", "/api/activity?limit=1", nil).wants(200, "").events()[0]
			equal(t, "activity", newest["type"], "network.changed")
			equal(t, "outcome", newest["outcome"], "allowed")
		}
	})
}

// A device and a network that change at once are two changes, and one hold.
func TestHijack_both(t *testing.T) {
	asBoth(t, policies(session.PolicyStepUp, session.PolicyStepUp), func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		w.events()
		w.from("198.51.100.9")
		thief := with("User-Agent", firefox)
		c.profile(thief).wants(401, "step_up_required")
		w.wantsEvents("both", deviceHeld, "network.changed step_up_required", refusedFor)
		confirmed := c.confirm(alice, thief)
		equal(t, "ip", confirmed.at("session", "ip"), clientIP)
		equal(t, "lastIp", confirmed.at("session", "lastIp"), "198.51.100.9")
		c.profile(thief).wants(200, "")
		w.from(clientIP)
		c.profile(thief).wants(401, "step_up_required")
	})
}

// With every policy at its strictest, what changes nothing is never taken for a change.
func TestHijack_logoutNeverFails(t *testing.T) {
	asBoth(t, policies(session.PolicyRevoke, session.PolicyRevoke), func(t *testing.T, c *client) {
		c.signIn(newAccount(t))
		c.w.events()
		c.w.from("198.51.100.9")
		c.logout(nil, with("User-Agent", firefox)).wants(204, "")
		c.w.wantsEvents("logout from elsewhere", "session.ended success reason=logged_out")
	})
}

// A client's own id for its device is bounded and only hashed; a user agent may be anything.
func TestHijack_deviceIDs(t *testing.T) { // attack case 43
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, policies(session.PolicyStepUp, session.PolicyLog)), newAccount(t)
		c := w.script()
		for _, bad := range []string{
			strings.Repeat("x", 100_000), strings.Repeat("x", 257), "a\x00b", "a\nb", "a\r\nX-Evil: 1", "a\tb", "a\x1b[31m", "a\x7f", "\u202e", "é", "\xff",
			`{"a":1,"b":2}`, "a b", " ", "",
		} {
			id := func(text string) change { return more("X-Device-Id", text) }
			c.signIn(alice)
			body := c.body(alice, c.message(alice).String())
			confirm := confirmation(alice, c.stepUpMessage().String())
			w.log.Reset()
			for name, got := range map[string]answer{
				"login":   c.past(w.api.Login(), "POST", "/auth/login", body, id(bad)),
				"profile": c.past(w.api.Profile(), "GET", "/api/profile", nil, id(bad)),
				"refresh": c.past(w.api.Refresh(), "POST", "/auth/refresh", map[string]any{"refreshToken": c.refresh}, id(bad)),
				"step-up": c.past(w.api.StepUp(), "POST", "/auth/step-up", confirm, id(bad)),
				"nonce":   c.past(w.api.Nonce(), "GET", "/auth/nonce?purpose=step_up", nil, id(bad)),
			} {
				if got.status != 400 || got.code() != badRequest || len(got.body) > 1024 {
					t.Errorf("%s with %.20q: %d %.200s", name, bad, got.status, got.body)
				}
			}
			for line := range strings.Lines(w.log.text()) {
				if len(line) > 1024 || len(bad) > 2 && strings.Contains(line, bad) {
					t.Errorf("%.20q made the line %.200q", bad, line)
				}
			}
			c.profile().wants(200, "") // nothing of it was held against the session
			c.login(body).wants(200, "")
		}
		c.signIn(alice, with("X-Device-Id", `{"screen":[1920]}`))
		c.profile(with("X-Device-Id", `{"screen":[1920]}`)).wants(200, "")
		for key, value := range w.dump(t) {
			if strings.Contains(key+value, "screen") {
				t.Errorf("the device id stands in %q", key)
			}
		}

		for _, agent := range []string{strings.Repeat("x", 100_000), "Chrome/1 " + strings.Repeat("Windows ", 12_500), "a\x00\x1b[31m\u202e"} {
			c.access = ""
			agent := with("User-Agent", agent)
			got := c.past(w.api.Login(), "POST", "/auth/login", c.body(alice, c.message(alice).String()), agent).wants(200, "")
			if name := got.text("session", "device", "name"); len(name) > 64 || strings.ContainsAny(name, "\x00\x1b\u202e") {
				t.Errorf("the device is called %.100q", name)
			}
			c.take(got)
			c.past(w.api.Profile(), "GET", "/api/profile", nil, agent).wants(200, "")
		}
	})
}

// past sends a request past a client and a server that would refuse some of it.
func (c *client) past(h http.Handler, method, path string, body any, changes ...change) answer {
	c.w.t.Helper()
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		must(c.w.t, err)
		text = string(encoded)
	}
	r := request(method, path, text)
	r = r.WithContext(api.WithRequestInfo(r.Context(), api.RequestInfo{SourceIP: netip.MustParseAddr(clientIP)}))
	maps.Copy(r.Header, c.header.Clone())
	for _, change := range append(c.credential(), changes...) {
		change(r)
	}
	return serve(c.w.t, h, r)
}

// What a client or a proxy before the gateway writes into a header changes neither what is recorded nor what is limited.
func TestIP_fromTheGatewayAlone(t *testing.T) { // attack case 41
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, policies(session.PolicyStepUp, session.PolicyRevoke), func(w *world) {
			w.opts.NonceRate, w.opts.LoginRate, w.opts.RefreshRate = 20, 8, 3
		}), newAccount(t)
		n := 0
		spoof := func(r *http.Request) {
			n++
			for _, name := range []string{
				"X-Forwarded-For", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip", "X-Originating-Ip",
				"Cloudfront-Viewer-Address", "Fastly-Client-Ip", "X-Cluster-Client-Ip", "X-Amzn-Source-Ip",
			} {
				r.Header.Set(name, fmt.Sprintf("198.51.100.%d", n))
			}
			r.Header.Set("Forwarded", fmt.Sprintf("for=198.51.100.%d", n))
		}
		c := w.script()
		got := c.signIn(alice, spoof)
		equal(t, "ip", got.at("session", "ip"), clientIP)
		profile := c.profile(spoof).wants(200, "") // the network has not changed
		equal(t, "lastIp", profile.at("session", "lastIp"), clientIP)
		events := c.ask("GET", "/api/activity", nil, spoof).wants(200, "").events()
		equal(t, "ip in the activity", events[0]["ip"], clientIP)

		limited := func(what string, most int, ask func() answer) {
			t.Helper()
			passed := 0
			for range most + 1 {
				if got := ask(); got.code() == "rate_limited" {
					break
				}
				passed++
			}
			if passed > most {
				t.Errorf("%s: %d passed", what, passed)
			}
		}
		w.clock.add(time.Minute)
		limited("refresh", 3, func() answer { return c.renew(spoof) })
		body := c.body(newAccount(t), c.message(alice).String())
		limited("login", 8, func() answer { return c.login(body, spoof) })
		limited("nonce", 20, func() answer { return c.send("GET", "/auth/nonce", nil, spoof) })
		if strings.Contains(w.log.text(), "198.51.100") {
			t.Error("a header's address is in the log")
		}
	})
}

// A link, an image or a download from any page carries the cookie and cannot carry X-Device-Id. It is refused where it does
// not match, and does no harm: the page of the session goes on. Attack case 42.
func TestHijack_foreignLink(t *testing.T) {
	for policy, passes := range map[session.Policy]bool{
		session.PolicyOff: true, session.PolicyLog: true, session.PolicyStepUp: false, session.PolicyRevoke: false,
	} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, policies(policy, policy))
				c := w.browser()
				c.header.Set("X-Device-Id", "device-1")
				c.signIn(newAccount(t))
				w.events()
				for _, mode := range []string{"navigate", "no-cors"} {
					for _, site := range []string{"cross-site", "same-site", "same-origin", "none"} {
						link := []change{without("Origin"), with("Sec-Fetch-Site", site), with("Sec-Fetch-Mode", mode)}
						for what, got := range map[string]answer{
							"no device id": c.profile(append(link, without("X-Device-Id"))...),
							"another network": func() answer {
								w.from("198.51.100.9")
								defer w.from(clientIP)
								return c.profile(link...)
							}(),
						} {
							if passes {
								got.wants(200, "")
							} else if checkProblem(t, got.wants(401, "step_up_required")); got.header["Set-Cookie"] != nil {
								t.Errorf("%s set %q", what, got.header["Set-Cookie"])
							}
						}
						for _, e := range w.events() {
							if !passes && e != refusedFor {
								t.Errorf("%v: %s", policy, e)
							}
						}
						w.clock.add(time.Minute)
						for _, own := range [][]change{nil, link} { // with the id, activity counts
							equal(t, "lastSeenAt", c.profile(own...).wants(200, "").text("session", "lastSeenAt"), api.Timestamp(w.clock.now()))
						}
					}
				}
				c.renew().wants(200, "")
			})
		})
	}
}

// Whoever stole the cookies gets in nowhere by any value of Sec-Fetch-Mode, and a request that no browser sends by itself
// is recorded as ever. Attack case 42.
func TestHijack_thiefClaimsANavigation(t *testing.T) {
	modes := [][]string{
		{"navigate"}, {"no-cors"}, {"websocket"}, {"cors"}, {"same-origin"}, {"NAVIGATE"}, {"navigate, no-cors"}, {"navigate", "cors"}, {""},
	}
	for _, policy := range []session.Policy{session.PolicyStepUp, session.PolicyRevoke} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, policies(policy, session.PolicyLog), func(w *world) { w.opts.SessionLimit = 0 })
				for _, mode := range modes {
					for _, make := range []func() *client{w.browser, w.script} {
						c := make()
						c.header.Set("X-Device-Id", "device-1")
						c.signIn(newAccount(t))
						thief := []change{without("X-Device-Id"), func(r *http.Request) { r.Header["Sec-Fetch-Mode"] = mode }}
						quiet := c.transport == "cookie" && len(mode) == 1 && (mode[0] == "navigate" || mode[0] == "no-cors")
						for range 2 {
							for _, p := range protectedRoutes {
								if got := c.do(p, thief...); got.status != 401 {
									t.Errorf("%v, %q: %s is answered %d %s", policy, mode, p, got.status, got.body)
								}
							}
						}
						if got := c.challenge(thief...); quiet && got.status != 401 {
							t.Errorf("%v, %q: a nonce is answered %d", policy, mode, got.status)
						}
						if quiet {
							c.profile().wants(200, "")
						} else if got := c.profile(); got.status != 401 {
							t.Errorf("%v, %q by %s: not recorded: %d", policy, mode, c.transport, got.status)
						}
						// A refresh compares as ever.
						fresh := make()
						fresh.header.Set("X-Device-Id", "device-1")
						fresh.signIn(newAccount(t))
						w.clock.add(time.Minute)
						if got := fresh.renew(thief...); policy == session.PolicyRevoke {
							got.wants(401, "session_ended")
						} else {
							equal(t, "stepUpRequired", got.wants(200, "").at("session", "stepUpRequired"), true)
						}
					}
				}
			})
		})
	}
}
