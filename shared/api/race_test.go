package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// A client that lost the answer to a refresh asks again: inside the grace it gets the same successor, after it the token
// is taken for a stolen one.
func TestRefresh_lostAnswer(t *testing.T) { // attack case 35
	clients(t, func(t *testing.T, c *client) {
		w := c.w
		c.signIn(newAccount(t))
		w.clock.add(time.Minute)
		lost := c.copyOf()
		first := lost.renew().wants(200, "")
		w.clock.add(45*time.Second - time.Millisecond)
		w.events()
		again := lost.renew().wants(200, "")
		w.wantsEvents("asked again", "refresh success repeated=true")
		equal(t, "the successor", lost.holding(again).tokens(), lost.holding(first).tokens())
		lost.holding(again).profile().wants(200, "")
		w.clock.add(time.Millisecond)
		equal(t, "reason", lost.renew().wants(401, "session_ended").at("reason"), "refresh_reused")
		w.wantsEvents("asked too late", "session.ended success reason=refresh_reused")
		lost.holding(again).profile().wants(401, "session_ended")
	})
}

// tokens are those of a copy.
func (c *client) tokens() string { return c.access + c.refresh + c.header.Get("Cookie") }

// A thief who refreshes first loses the session as soon as its owner refreshes, and so does the owner.
func TestRefresh_stolenFirst(t *testing.T) { // attack case 36
	clients(t, func(t *testing.T, c *client) {
		w := c.w
		c.signIn(newAccount(t))
		w.clock.add(time.Minute)
		victim, thief := c.copyOf(), c.copyOf()
		thief = thief.holding(thief.renew().wants(200, ""))
		w.clock.add(45 * time.Second)
		equal(t, "reason", victim.renew().wants(401, "session_ended").at("reason"), "refresh_reused")
		for _, holder := range []*client{victim, thief} {
			holder.profile().wants(401, "session_ended")
			holder.renew().wants(401, "session_ended")
		}

		// Once its successor was used, a token is stolen even inside the grace of that use.
		c.signIn(newAccount(t))
		w.clock.add(time.Minute)
		old := c.copyOf()
		second := old.holding(old.renew().wants(200, ""))
		w.clock.add(45 * time.Second)
		third := second.holding(second.renew().wants(200, ""))
		w.clock.add(time.Millisecond)
		second.renew().wants(200, "")
		equal(t, "reason", old.renew().wants(401, "session_ended").at("reason"), "refresh_reused")
		third.profile().wants(401, "session_ended")
	})
}

// Within the grace the former token is good on the session's own device, wherever that is.
func TestRefresh_graceOnAnotherDevice(t *testing.T) { // attack case 37
	asBoth(t, policies(session.PolicyStepUp, session.PolicyLog), func(t *testing.T, c *client) {
		w := c.w
		c.signIn(newAccount(t))
		w.clock.add(time.Minute)
		former := c.copyOf()
		current := former.holding(former.renew().wants(200, ""))
		w.from("198.51.100.9")
		equal(t, "from elsewhere", former.holding(former.renew().wants(200, "")).tokens(), current.tokens())
		current.profile().wants(200, "")
		w.from(clientIP)
		equal(t, "reason", former.renew(with("User-Agent", firefox)).wants(401, "session_ended").at("reason"), "refresh_reused")
		current.profile().wants(401, "session_ended")
	})
}

// A refresh that races the end of its session leaves no token that is good.
func TestRefresh_racingTheEnd(t *testing.T) { // attack case 38
	for name, end := range map[string]func(c, admin *client, id string, a account) answer{
		"logout":     func(c, _ *client, _ string, _ account) answer { return c.logout(nil) },
		"everywhere": func(c, _ *client, _ string, _ account) answer { return c.logout(map[string]any{"everywhere": true}) },
		"admin": func(_, admin *client, id string, _ account) answer {
			return admin.ask("DELETE", "/api/admin/sessions/"+id, nil)
		},
		"block": func(_, admin *client, _ string, a account) answer {
			return admin.ask("POST", "/api/admin/users/"+a.address.Hex()+"/block", nil)
		},
		"the absolute end": func(c, _ *client, _ string, _ account) answer {
			c.w.clock.add(2 * time.Millisecond)
			return answer{t: c.w.t, status: 204}
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				for range 5 {
					w, root := adminWorld(t, r, func(w *world) { w.opts.Idle, w.opts.Access = 12*time.Hour, time.Hour })
					c, admin, alice := w.script(), w.script(), newAccount(t)
					id := c.signIn(alice).text("session", "id")
					w.clock.add(12*time.Hour - time.Minute)
					c.take(c.renew().wants(200, ""))
					w.clock.add(time.Minute - time.Millisecond)
					admin.signIn(root)
					var mu sync.Mutex
					var together sync.WaitGroup
					holders := []*client{c.copyOf()}
					for range 8 {
						together.Go(func() {
							if got := c.renew(); got.status == http.StatusOK {
								mu.Lock()
								defer mu.Unlock()
								holders = append(holders, c.holding(got))
							}
						})
					}
					together.Go(func() { end(c, admin, id, alice).wants(204, "") })
					together.Wait()
					for _, holder := range holders {
						holder.profile().wants(401, "session_ended")
						holder.renew().wants(401, "session_ended")
					}
					listEvents := admin.ask("GET", "/api/admin/users/"+alice.address.Hex(), nil).wants(200, "").ids()
					equal(t, "sessions that are listed", len(listEvents), 0)
				}
			})
		})
	}
}

// Whatever a client does, it is over at the absolute end; nothing of it is kept for longer than a day after that.
func TestRefresh_forADay(t *testing.T) { // attack case 40
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		began := w.clock.now()
		end := began.Add(12 * time.Hour)
		for w.clock.now().Before(began.Add(25 * time.Hour)) {
			w.clock.add(14 * time.Minute)
			got := c.renew()
			if !w.clock.now().Before(end) {
				equal(t, "reason", got.wants(401, "session_ended").at("reason"), "absolute_timeout")
				continue
			}
			if got.status != http.StatusOK {
				t.Fatalf("after %v: %d %s", w.clock.now().Sub(began), got.status, got.body)
			}
			c.take(got)
			equal(t, "expiresAt", got.at("session", "expiresAt"), "2026-11-23T22:00:00.000Z")
			if left, _ := got.at("refreshExpiresIn").(float64); left > end.Sub(w.clock.now()).Seconds() {
				t.Fatalf("refreshExpiresIn is %v, %v before the end", left, end.Sub(w.clock.now()))
			}
			keys, err := w.redis.Client().Keys(ctx, w.redis.Prefix+":{???}:s*").Result()
			must(t, err)
			for _, key := range keys {
				if ttl := w.redis.Client().PTTL(ctx, key).Val(); ttl <= 0 || ttl > 36*time.Hour {
					t.Fatalf("the payload is kept for %v", ttl)
				}
			}
		}
		c.profile().wants(401, "session_ended")
	})
}

// However many sign in at once, nobody ever sees more sessions than the limit.
func TestLogin_limitHolds(t *testing.T) { // attack case 44
	const limit, logins = 5, 55
	for _, policy := range []session.LimitPolicy{session.Evict, session.Deny} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w, root := adminWorld(t, r, func(w *world) { w.opts.SessionLimit, w.opts.LimitPolicy = limit, policy })
				alice, bystander, admin := newAccount(t), w.script(), w.script()
				admin.signIn(root)
				bystander.signIn(newAccount(t))
				path := "/api/admin/users/" + alice.address.Hex()
				live := func() int { return len(admin.ask("GET", path, nil).ids()) } // none before the first login is stored

				holders, answers := make([]*client, logins), make([]answer, logins)
				bodies := make([]map[string]any, logins)
				for i := range logins {
					holders[i] = w.script()
					bodies[i] = holders[i].body(alice, holders[i].message(alice).String())
				}
				var together sync.WaitGroup
				var ended atomic.Bool
				for i := range logins {
					together.Go(func() { answers[i] = holders[i].login(bodies[i]) })
				}
				watching := make(chan int)
				go func() {
					most := 0
					for !ended.Load() {
						most = max(most, live())
					}
					watching <- most
				}()
				together.Wait()
				ended.Store(true)
				if most := <-watching; most > limit {
					t.Errorf("%d sessions were live at once", most)
				}
				equal(t, "live sessions", live(), limit)

				count := map[string]int{}
				for i, got := range answers {
					if got.status != http.StatusOK {
						count[got.code()]++
						continue
					}
					holders[i].take(got)
					after := holders[i].profile()
					count[strings.TrimSpace(fmt.Sprint(after.status, " ", after.code(), " ", after.text("reason")))]++
				}
				want := map[string]int{"200": limit, "session_limit": logins - limit}
				if policy == session.Evict { // all that ended of late are remembered
					want = map[string]int{"200": limit, "401 session_ended evicted": logins - limit}
				}
				equal(t, "how the logins fared", count, want)

				// Without the key nobody evicts anybody.
				mallory := w.script()
				mallory.login(mallory.body(newAccount(t), mallory.message(alice).String())).wants(401, refused)
				equal(t, "live sessions", live(), limit)
				bystander.profile().wants(200, "")
			})
		})
	}
}

// At the limit it is always the session seen longest ago that goes, whichever began first; of those seen at the same
// moment the one that began first.
func TestLogin_evictsInOrder(t *testing.T) { // attack case 44
	asBoth(t, func(w *world) { w.opts.SessionLimit = 3 }, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		ids := map[string]string{}
		stepUp := map[string]*client{}
		login := func(name string, gone ...string) {
			t.Helper()
			fresh := *c
			if c.transport == "cookie" {
				fresh = *w.browser()
			}
			got := fresh.signIn(alice)
			ids[name], stepUp[name] = got.text("session", "id"), fresh.copyOf()
			evicted, _ := got.at("evicted").([]any)
			if len(evicted) != len(gone) || len(gone) == 1 && evicted[0] != ids[gone[0]] {
				t.Errorf("%s evicted %v of %v, want %v", name, evicted, ids, gone)
			}
			for _, name := range gone {
				equal(t, "reason of "+name, stepUp[name].profile().wants(401, "session_ended").at("reason"), "evicted")
			}
		}
		later := func() { w.clock.add(time.Minute) }
		login("a")
		later()
		login("b")
		later()
		login("c")
		later()
		stepUp["a"].profile().wants(200, "")
		later()
		login("d", "b")
		later()
		stepUp["c"] = stepUp["c"].holding(stepUp["c"].renew().wants(200, ""))
		later()
		login("e", "a")
		login("f", "d") // seen at the second of its login
		login("g", "c")
		login("h", "e") // all at one moment: in their order
		login("i", "f")
		for _, name := range []string{"g", "h", "i"} {
			stepUp[name].profile().wants(200, "")
		}
	})
}

// Without its key nobody evicts anybody of an account, nor takes up its room, however often they try; and whoever has a
// session of it cannot make another of that.
func TestLogin_onlyItselfEvicts(t *testing.T) { // attack case 44
	for _, policy := range []session.LimitPolicy{session.Evict, session.Deny} {
		t.Run(policy.String(), func(t *testing.T) {
			asBoth(t, func(w *world) { w.opts.SessionLimit, w.opts.LimitPolicy = 1, policy }, func(t *testing.T, c *client) {
				w, alice, mallory := c.w, newAccount(t), newAccount(t)
				c.signIn(alice)
				thief := w.script()
				for range 3 {
					thief.login(thief.body(mallory, thief.message(alice).String())).wants(401, refused)
					thief.login(thief.body(mallory, thief.message(alice).String()), c.copyOf().asThief()...).wants(401, refused)
					text := thief.message(mallory).String() // alice's hand under another name
					thief.login(map[string]any{"message": text, "signature": alice.sign(text), "transport": "bearer"}).wants(401, refused)
				}
				c.profile().wants(200, "")
				equal(t, "alice's sessions", c.ask("GET", "/api/sessions", nil).wants(200, "").ids(), []string{c.profile().text("session", "id")})
				thief.signIn(mallory) // evicts mallory's own at the most
				c.profile().wants(200, "")
			})
		})
	}
}

// asThief is what somebody sends who has a copy of a client's tokens.
func (c *client) asThief() []change {
	if c.transport == "bearer" {
		return []change{bearer(c.access)}
	}
	return []change{with("Cookie", c.header.Get("Cookie")), with("Origin", origin)}
}

// Ending all sessions ends those of every login that was answered before it was asked for; a block also those after.
func TestRevokeAll_racingLogins(t *testing.T) { // attack case 50
	for name, end := range map[string]func(c, admin *client, a account) answer{
		"everywhere": func(c, _ *client, _ account) answer { return c.logout(map[string]any{"everywhere": true}) },
		"admin": func(_, admin *client, a account) answer {
			got := admin.ask("DELETE", "/api/admin/users/"+a.address.Hex()+"/sessions", nil)
			if got.status == http.StatusOK {
				got.status = http.StatusNoContent
			}
			return got
		},
		"block": func(_, admin *client, a account) answer {
			return admin.ask("POST", "/api/admin/users/"+a.address.Hex()+"/block", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
				w, root := adminWorld(t, r, func(w *world) { w.opts.SessionLimit = 0 })
				c, admin, alice := w.script(), w.script(), newAccount(t)
				admin.signIn(root)
				c.signIn(alice)
				before, during := w.loginsAround(alice, 30, func() {
					if got := end(c, admin, alice); got.status != http.StatusNoContent {
						t.Errorf("the end: %d %s", got.status, got.body)
					}
				})
				if len(before) < 3 {
					t.Fatalf("only %d logins were answered before", len(before))
				}
				for _, holder := range append(before, c) {
					holder.profile().ended()
					holder.renew().ended()
				}
				alive := 0
				for _, holder := range during {
					if holder.profile().status == http.StatusOK {
						alive++
					}
				}
				listEvents := admin.ask("GET", "/api/admin/users/"+alice.address.Hex(), nil).wants(200, "").ids()
				equal(t, "sessions that are listed", len(listEvents), alive)
				if name == "block" {
					equal(t, "sessions of a blocked account", alive, 0)
					c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
					return
				}
				c.signIn(alice)
				c.profile().wants(200, "")
			})
		})
	}
}

// loginsAround signs an account in many times at once, and calls end once three of the logins have been answered. It
// returns who was answered before end was called, and who after that.
func (w *world) loginsAround(a account, logins int, end func()) (before, during []*client) {
	w.t.Helper()
	bodies := make([]map[string]any, logins)
	for i := range bodies {
		c := w.script()
		bodies[i] = c.body(a, c.message(a).String())
	}
	var together sync.WaitGroup
	var mu sync.Mutex
	var asked bool
	some := make(chan bool, logins)
	for _, body := range bodies {
		together.Go(func() {
			got := w.script().login(body)
			mu.Lock()
			defer mu.Unlock()
			if holder := w.script(); got.status == http.StatusOK {
				holder.take(got)
				if asked {
					during = append(during, holder)
				} else {
					before = append(before, holder)
				}
			}
			some <- true
		})
	}
	together.Go(func() {
		for range 3 {
			<-some
		}
		mu.Lock()
		asked = true
		mu.Unlock()
		end()
	})
	together.Wait()
	return before, during
}

// ended asserts that a token opens nothing, whether or not its session is remembered.
func (a answer) ended() {
	a.t.Helper()
	if a.status != 401 || a.code() != "session_ended" && a.code() != "invalid_token" {
		a.t.Errorf("answered %d %s", a.status, a.body)
	}
}
