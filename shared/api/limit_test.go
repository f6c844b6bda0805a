package api_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// rates makes a world that has them.
func rates(nonce, login, refresh int) func(*world) {
	return func(w *world) { w.opts.NonceRate, w.opts.LoginRate, w.opts.RefreshRate = nonce, login, refresh }
}

// limited asserts a refusal for asking too often, and when to come again.
func (a answer) limited(name string, quota, seconds int) {
	a.t.Helper()
	a.wants(429, "rate_limited")
	for header, want := range map[string]string{
		"Retry-After":      fmt.Sprint(seconds),
		"RateLimit-Policy": fmt.Sprintf("%q;q=%d;w=60", name, quota),
		"RateLimit":        fmt.Sprintf("%q;r=0;t=%d", name, seconds),
	} {
		if got := a.header.Get(header); got != want {
			a.t.Errorf("%s is %q, want %q", header, got, want)
		}
	}
	if set := a.header["Set-Cookie"]; set != nil {
		a.t.Errorf("set %v", set)
	}
}

// Images on another site's page cannot use up the nonces of the network that its visitors share. Clients without Fetch
// Metadata, and allowed pages, get theirs.
func TestLimit_nonceForAnotherSitesPage(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rates(6, 4, 3))
		c := w.browser()
		ask := func(changes ...change) answer { return c.send("GET", "/auth/nonce", nil, changes...) }
		image := []change{without("Origin"), with("Sec-Fetch-Site", "cross-site"), with("Sec-Fetch-Mode", "no-cors")}
		for range 60 {
			checkProblem(t, ask(image...).wants(403, "origin_not_allowed"))
			ask(append(image, with("Origin", "https://evil.example"))...).wants(403, "origin_not_allowed")
			ask(append(image, with("Origin", "null"), with("Sec-Fetch-Site", "Cross-Site"))...).wants(403, "origin_not_allowed")
			ask(without("Origin"), with("Sec-Fetch-Site", "same-site"), more("Sec-Fetch-Site", "cross-site")).wants(403, "origin_not_allowed")
			c.send("GET", "/auth/nonce?transport=bearer&purpose=step_up", nil, image...).wants(403, "origin_not_allowed")
		}
		for _, own := range [][]change{
			nil, {with("Sec-Fetch-Site", "cross-site")}, {without("Origin"), without("Sec-Fetch-Site")}, {without("Origin"), with("Sec-Fetch-Site", "none")},
			{without("Origin"), with("Sec-Fetch-Site", "same-origin")}, {with("Origin", "https://evil.example"), without("Sec-Fetch-Site")},
		} {
			ask(own...).wants(200, "")
		}
		ask().limited("nonce", 6, 10)
	})
}

func TestLimit_headers(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rates(6, 4, 3))
		c := w.browser()
		ask := func() answer { return c.send("GET", "/auth/nonce", nil) }
		for range 6 {
			ask().wants(200, "")
		}
		w.events()
		refused := ask()
		checkProblem(t, refused)
		refused.limited("nonce", 6, 10)
		w.wantsEvents("a nonce too many", "request failure reason=rate_limited")
		w.clock.add(3500 * time.Millisecond)
		ask().limited("nonce", 6, 7) // rounded up
		w.clock.add(6499 * time.Millisecond)
		ask().limited("nonce", 6, 1)
		w.clock.add(time.Millisecond)
		ask().wants(200, "")
		ask().limited("nonce", 6, 10)
		w.clock.add(time.Minute)
		for range 6 {
			ask().wants(200, "")
		}
	})
}

// A refresh that came too soon has harmed nothing: the same token is good a little later.
func TestLimit_refresh(t *testing.T) {
	asBoth(t, rates(0, 0, 3), func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		w.clock.add(time.Minute)
		stepUp := c.copyOf()
		for range 3 {
			stepUp.renew().wants(200, "")
		}
		w.events()
		stepUp.renew().limited("refresh", 3, 20)
		w.wantsEvents("a refresh too many", "refresh failure reason=rate_limited")
		c.profile().wants(200, "") // which is not limited

		other := w.script()
		other.signIn(newAccount(t))
		other.renew().wants(200, "") // another account in the same network
		w.from("198.51.100.9")
		stepUp.renew().wants(200, "") // the same account from another
		w.from(clientIP)
		w.clock.add(20 * time.Second)
		stepUp.renew().wants(200, "")
	})
}

// Logins and step-ups share a limit. What came too soon has cost its nonce.
func TestLimit_login(t *testing.T) {
	asBoth(t, rates(0, 3, 0), func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		body := confirmation(alice, c.stepUpMessage().String())
		another := c.body(alice, c.message(alice).String())
		for range 2 {
			c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, refused)
		}
		w.events()
		c.stepUp(body).limited("login", 3, 20)
		w.wantsEvents("a step-up too many", "step_up failure reason=rate_limited")
		c.login(another).limited("login", 3, 20)
		w.wantsEvents("a login too many", "login failure reason=rate_limited")
		c.profile().wants(200, "")
		w.clock.add(20 * time.Second)
		c.stepUp(body).wants(401, refused)
		equal(t, "reason", w.last("step_up")["reason"], "nonce_reused")
		w.clock.add(20 * time.Second)
		c.confirm(alice)
	})
}

// Whoever holds the key may sign in as often as one network may, from however many.
func TestLimit_account(t *testing.T) {
	asBoth(t, rates(0, 3, 0), func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		for i := range 3 {
			w.from(fmt.Sprintf("198.51.%d.1", i))
			c.signIn(alice)
		}
		w.from("198.51.9.1")
		c.login(c.body(alice, c.message(alice).String())).limited("login", 3, 20)
		c.copyOf().profile().wants(200, "")
		w.browser().signIn(newAccount(t))
		w.clock.add(20 * time.Second)
		c.signIn(alice)
	})
}

func TestLimit_off(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t), rates(0, 0, 0)), newAccount(t)
	c := w.script()
	for range 100 {
		c.nonce()
	}
	for range 40 {
		c.signIn(alice)
	}
	for range 100 {
		c.renew().wants(200, "")
	}
	for key := range w.dump(t) {
		if strings.Contains(key, "}:l") {
			t.Errorf("a limit that is off stores %q", key)
		}
	}
}

// A flood from one network, under whatever names, is refused, fills nothing, and touches nobody else.
func TestLimit_nonceFlood(t *testing.T) { // attack case 23
	for name, addresses := range map[string][]string{
		"one address": {clientIP},
		"spellings of it": {
			"203.0.113.77", "::ffff:203.0.113.77", "::FFFF:203.0.113.77", "::ffff:cb00:714d", "0:0:0:0:0:ffff:203.0.113.77",
		},
		"one /64": {
			"2001:db8:1:2::1", "2001:DB8:1:2::1", "2001:db8:1:2:ffff::", "2001:db8:1:2::1%eth0", "2001:0db8:0001:0002:0:0:0:2", "2001:db8:1:2:8000::%1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, rates(60, 30, 60))
				c := w.browser()
				count := map[int]int{}
				for i := range 300 {
					w.from(addresses[i%len(addresses)])
					got := c.send("GET", "/auth/nonce", nil)
					if got.status == 429 {
						got.limited("nonce", 60, 1)
					}
					count[got.status]++
				}
				if count[200] != 60 || count[429] != 240 {
					t.Errorf("300 requests were answered %v", count)
				}
				if n := len(w.dump(t)); n > 62 { // sixty nonces and two limits
					t.Errorf("%d keys were stored", n)
				}
				for _, other := range []string{"203.0.113.78", "2001:db8:1:3::1", "198.51.100.1"} {
					w.from(other)
					w.script().nonce()
				}
			})
		})
	}
}

// Whoever has a whole /48 has eight times as much of it, and no more.
func TestLimit_nonceFloodOfASite(t *testing.T) { // attack case 23
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, rates(10, 0, 0))
		c := w.script()
		passed := 0
		for i := range 400 {
			w.from(fmt.Sprintf("2001:db8:1:%x::1", i))
			if got := c.send("GET", "/auth/nonce?transport=bearer", nil); got.status == 200 {
				passed++
			} else {
				got.wants(429, "rate_limited")
			}
		}
		equal(t, "passed", passed, 80)
		w.from("2001:db8:2:1::1")
		c.nonce()
	})
}

// ofAccount is how the key of something of an account begins behind the prefix.
var ofAccount = regexp.MustCompile(`^:\{[0-9a-f]{3}\}:`)

// However many strangers claim a victim's address, the victim signs in.
func TestLimit_badLoginsOfAVictim(t *testing.T) { // attack case 24
	asBoth(t, rates(0, 30, 0), func(t *testing.T, c *client) {
		w, victim, mallory := c.w, newAccount(t), newAccount(t)
		attack := func() answer {
			return c.login(c.body(mallory, c.message(victim).String()))
		}
		count := map[int]int{}
		for range 50 { // from one network
			count[attack().status]++
		}
		if count[401] != 30 || count[429] != 20 {
			t.Errorf("bad logins were answered %v", count)
		}
		for i := range 40 { // from more networks than one of them may make requests
			w.from(fmt.Sprintf("198.51.%d.1", i))
			attack().wants(401, refused)
		}
		for key := range w.dump(t) {
			if ofAccount.MatchString(strings.TrimPrefix(key, w.redis.Prefix)) {
				t.Errorf("strangers have stored %q", key)
			}
		}
		w.from("192.0.2.1")
		c.signIn(victim)
		c.profile().wants(200, "")
		w.from(clientIP)
		stepUp := c.copyOf()
		attack().limited("login", 30, 2)
		stepUp.profile().wants(200, "") // nor are the victim's sessions limited in the attacker's network
	})
}
