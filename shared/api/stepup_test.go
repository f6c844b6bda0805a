package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/siwe"
)

const stepUpStatement = "Sign in. Confirm that it is you."

// challenge asks for a nonce to step up with.
func (c *client) challenge(changes ...change) answer {
	c.w.t.Helper()
	return c.ask("GET", "/auth/nonce?purpose=step_up", nil, changes...)
}

// stepUpMessage is one that would be accepted, signed by the session's own account.
func (c *client) stepUpMessage(changes ...change) *siwe.Message {
	c.w.t.Helper()
	m, err := siwe.Parse([]byte(c.challenge(changes...).wants(200, "").text("message")))
	must(c.w.t, err)
	return m
}

// confirmation is a step-up's body, over a text that the account signs.
func confirmation(a account, text string) map[string]any {
	return map[string]any{"message": text, "signature": a.sign(text)}
}

func (c *client) stepUp(body any, changes ...change) answer {
	c.w.t.Helper()
	return c.ask("POST", "/auth/step-up", body, changes...)
}

// confirm is a whole step-up, which must succeed. The client holds what it is given.
func (c *client) confirm(a account, changes ...change) answer {
	c.w.t.Helper()
	got := c.stepUp(confirmation(a, c.stepUpMessage(changes...).String()), changes...)
	if got.status != 200 {
		c.w.t.Fatalf("step-up answered %d %s", got.status, got.body)
	}
	c.take(got)
	return got
}

func TestStepUp_flow(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		login := c.signIn(alice)
		w.clock.add(6 * time.Minute)
		equal(t, "elevatedUntil", c.profile().wants(200, "").at("session", "elevatedUntil"), nil)

		offer := c.challenge().wants(200, "")
		names(t, "nonce", offer.object(), "nonce", "expiresAt", "domain", "uri", "version", "statement", "chainIds", "message")
		equal(t, "statement", offer.at("statement"), stepUpStatement)
		equal(t, "message", offer.text("message"), "app.example.com wants you to sign in with your Ethereum account:\n"+alice.address.Hex()+
			"\n\n"+stepUpStatement+"\n\nURI: https://app.example.com\nVersion: 1\nChain ID: 1\nNonce: "+offer.text("nonce")+
			"\nIssued At: 2026-11-23T10:06:00.000Z\nExpiration Time: 2026-11-23T10:11:00.000Z")
		if set := offer.header["Set-Cookie"]; set != nil {
			t.Errorf("a nonce for a step-up set %v", set)
		}

		before := c.copyOf()
		w.events()
		got := c.stepUp(confirmation(alice, offer.text("message"))).wants(200, "")
		w.wantsEvents("step-up", "step_up success")
		c.take(got)
		members := []string{"tokenType", "expiresIn", "refreshExpiresIn", "session"}
		if c.transport == "bearer" {
			members = append(members, "accessToken", "refreshToken")
		} else if len(got.cookies()) != 2 {
			t.Errorf("set %v", got.header["Set-Cookie"])
		}
		names(t, "step-up", got.object(), members...)
		equal(t, "expiresIn", got.at("expiresIn"), 900.0)
		equal(t, "refreshExpiresIn", got.at("refreshExpiresIn"), 1800.0)
		equal(t, "session.id", got.at("session", "id"), login.at("session", "id"))
		equal(t, "elevatedUntil", got.at("session", "elevatedUntil"), "2026-11-23T10:11:00.000Z")
		equal(t, "expiresAt", got.at("session", "expiresAt"), "2026-11-23T22:00:00.000Z")
		equal(t, "first in the activity", c.ask("GET", "/api/activity", nil).types()[0], "step_up")

		// The old tokens are over at once, and not called theft.
		before.profile().wants(401, "token_expired")
		before.renew().wants(401, "invalid_token")
		before.stepUp(confirmation(alice, "x")).wants(400, badMessage)
		c.profile().wants(200, "")
	})
}

// An elevation lasts as long as it is set for, by the injected clock, whether a login or a step-up gave it.
func TestStepUp_elevation(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w := c.w
		erase := func() answer { return c.ask("DELETE", "/api/profile", nil) }
		for _, elevate := range []func(account){
			func(a account) { c.signIn(a) },
			func(a account) { c.signIn(a); w.clock.add(10 * time.Minute); c.confirm(a) },
		} {
			alice := newAccount(t)
			elevate(alice)
			w.clock.add(5 * time.Minute)
			refused := erase().wants(401, "step_up_required")
			equal(t, "challenge", refused.header.Get("WWW-Authenticate"), `Bearer error="insufficient_user_authentication"`)
			c.profile().wants(200, "") // nothing else wants one
			elevate(alice)
			w.clock.add(5*time.Minute - time.Millisecond)
			erase().wants(204, "")
		}
	})
}

// The credential is the pair's access token or refresh token, in the session's own transport.
func TestStepUp_credentials(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, func(w *world) { w.opts.SessionLimit = 0 }), newAccount(t)
		post := func(body map[string]any, changes ...change) answer {
			t.Helper()
			return w.script().send("POST", "/auth/step-up", body, changes...)
		}
		body := func(c *client, refreshToken ...string) map[string]any {
			t.Helper()
			b := confirmation(alice, c.stepUpMessage().String())
			for _, text := range refreshToken {
				b["refreshToken"] = text
			}
			return b
		}
		script := func() *client { c := w.script(); c.signIn(alice); return c }
		browser := func() *client { c := w.browser(); c.signIn(alice); return c.copyOf() }
		cookie := func(c *client, names ...string) change {
			var kept []string
			for _, pair := range strings.Split(c.header.Get("Cookie"), "; ") {
				name, _, _ := strings.Cut(pair, "=")
				if slices.Contains(names, strings.TrimPrefix(name, "__Host-")) {
					kept = append(kept, pair)
				}
			}
			return with("Cookie", strings.Join(kept, "; "))
		}
		page := with("Origin", origin)

		s := script()
		post(body(s), bearer(s.access)).wants(200, "")
		s = script()
		post(body(s, s.refresh)).wants(200, "")
		s = script()
		post(body(s, s.refresh), bearer(s.access)).wants(200, "")
		for _, names := range [][]string{{"session"}, {"refresh"}, {"session", "refresh"}} {
			b := browser()
			post(body(b), cookie(b, names...), page).wants(200, "")
		}

		s, b, other := script(), browser(), script()
		for name, got := range map[string]answer{
			"bearer and cookie":           post(body(s), bearer(s.access), cookie(b, "session"), page),
			"bearer and refresh cookie":   post(body(s), bearer(s.access), cookie(b, "refresh"), page),
			"body and session cookie":     post(body(s, s.refresh), cookie(b, "session"), page),
			"body and refresh cookie":     post(body(s, s.refresh), cookie(b, "refresh"), page),
			"tokens of two sessions":      post(body(s, other.refresh), bearer(s.access)),
			"cookies of two sessions":     post(body(b), with("Cookie", "__Host-session="+copied(b, "session")+"; __Host-refresh="+copied(browser(), "refresh")), page),
			"a refresh token in the URL":  w.script().send("POST", "/auth/step-up?refreshToken="+s.refresh, body(s)),
			"a refresh token that is 0":   post(map[string]any{"message": "", "signature": "", "refreshToken": 0}),
			"a refresh token that is not": post(map[string]any{"message": "", "signature": "", "refreshToken": nil}),
		} {
			if got.status != 400 || got.code() != badRequest {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		post(body(s)).wants(401, "no_credentials")
		post(body(s), bearer("x")).wants(401, "invalid_token")
		post(body(s, "")).wants(401, "invalid_token")
		post(body(s), with("Cookie", "__Host-session="+s.access), page).wants(401, "invalid_token") // another transport's
		post(body(s, copied(b, "refresh"))).wants(401, "invalid_token")
		post(body(b), cookie(b, "session")).wants(403, "origin_not_allowed")
		post(body(b), cookie(b, "refresh"), with("Origin", "https://evil.example")).wants(403, "origin_not_allowed")
		s.profile().wants(200, "")
		b.profile().wants(200, "")
	})
}

// One kind of token renews nothing in the place of the other: a refresh token that leaked into a header, or an access
// token in a body, is refused before the nonce is spent.
func TestStepUp_wrongPlace(t *testing.T) { // attack case 26
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		s, b, raw := w.script(), w.browser(), w.script()
		s.signIn(alice)
		b.signIn(alice)
		page := with("Origin", origin)
		with := func(text string, body map[string]any) map[string]any {
			return map[string]any{"message": body["message"], "signature": body["signature"], "refreshToken": text}
		}
		cookie := func(name, value string) change { return more("Cookie", "__Host-"+name+"="+value) }
		access, refresh, id := b.cookie("session"), b.cookie("refresh"), s.profile().text("session", "id")
		body, ofBrowser := confirmation(alice, s.stepUpMessage().String()), confirmation(alice, b.stepUpMessage().String())
		post := func(body any, changes ...change) answer { return raw.send("POST", "/auth/step-up", body, changes...) }
		for name, got := range map[string]answer{
			"refresh token as bearer":              post(body, bearer(s.refresh)),
			"access token in the body":             post(with(s.access, body)),
			"each in the other's place":            post(with(s.access, body), bearer(s.refresh)),
			"refresh token in both places":         post(with(s.refresh, body), bearer(s.refresh)),
			"refresh cookie as session":            post(ofBrowser, cookie("session", refresh), page),
			"session cookie as refresh":            post(ofBrowser, cookie("refresh", access), page),
			"cookies in each other's place":        post(ofBrowser, cookie("session", refresh), cookie("refresh", access), page),
			"cookie's access token as bearer":      post(ofBrowser, bearer(access)),
			"cookie's refresh token in the body":   post(with(refresh, ofBrowser)),
			"bearer's access token as cookie":      post(body, cookie("session", s.access), page),
			"bearer's refresh token as a cookie":   post(body, cookie("refresh", s.refresh), page),
			"session id as a token":                post(body, bearer(id)),
			"access token under the other's name":  post(body, bearer("lkr_"+s.access[4:])),
			"refresh token under the other's name": post(with("lka_"+s.refresh[4:], body)),
		} {
			if got.status != 401 || got.code() != "invalid_token" {
				t.Errorf("%s: %d %.120s", name, got.status, got.body)
			}
		}
		s.profile().wants(200, "")
		b.profile().wants(200, "")
		s.stepUp(body).wants(200, "")
		b.stepUp(ofBrowser).wants(200, "")
	})
}

// copied is a cookie of a browser's copy.
func copied(c *client, name string) string {
	for _, pair := range strings.Split(c.header.Get("Cookie"), "; ") {
		if value, ok := strings.CutPrefix(pair, "__Host-"+name+"="); ok {
			return value
		}
	}
	return ""
}

// What the credential decides costs no nonce: the client may refresh, and send the same message again.
func TestStepUp_credentialFirst(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		w.clock.add(14 * time.Minute)
		body := confirmation(alice, c.stepUpMessage().String())
		w.clock.add(time.Minute)
		checkProblem(t, c.stepUp(body).wants(401, "token_expired"))
		c.take(c.renew().wants(200, ""))
		before := c.copyOf()
		c.take(c.stepUp(body).wants(200, ""))
		c.stepUp(body).wants(401, refused)

		// A refresh token that a rotation has just superseded is as good, one from before is not, and is not called theft.
		w.clock.add(time.Minute)
		first := c.copyOf()
		c.take(c.renew().wants(200, ""))
		w.clock.add(45 * time.Second)
		body = confirmation(alice, c.stepUpMessage().String())
		first.refreshAlone().stepUp(first.inBody(body)).wants(401, "invalid_token")
		before.refreshAlone().stepUp(before.inBody(body)).wants(401, "invalid_token")
		c.profile().wants(200, "")
		second := c.copyOf()
		c.take(c.renew().wants(200, ""))
		c.profile().wants(200, "")
		second.refreshAlone().stepUp(second.inBody(body)).wants(200, "")

		c.signIn(alice)
		body = confirmation(alice, c.stepUpMessage().String())
		gone := c.copyOf()
		c.logout(nil).wants(204, "")
		equal(t, "reason", gone.stepUp(body).wants(401, "session_ended").at("reason"), "logged_out")
		gone.challenge().wants(401, "session_ended")
	})
}

// refreshAlone is a copy of a client that holds the refresh credential and no other.
func (c *client) refreshAlone() *client {
	stepUp := *c
	stepUp.access = ""
	if c.transport == "cookie" {
		stepUp.header = c.header.Clone()
		stepUp.header.Set("Cookie", "__Host-refresh="+copied(c, "refresh"))
	}
	return &stepUp
}

// inBody adds the refresh token, where a client keeps it itself.
func (c *client) inBody(body map[string]any) map[string]any {
	if c.transport == "bearer" {
		body["refreshToken"] = c.refresh
	} else {
		delete(body, "refreshToken")
	}
	return body
}

// What the bytes alone decide is told, and costs neither nonce nor trip.
func TestStepUp_malformed(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counting := redistest.Counting(t, r)
		w, alice := newWorldOn(t, r, counting), newAccount(t)
		c := w.script()
		c.signIn(alice)
		good := confirmation(alice, c.stepUpMessage().String())
		altered := func(name string, value any) map[string]any {
			b := map[string]any{"message": good["message"], "signature": good["signature"], name: value}
			if value == nil {
				delete(b, name)
			}
			return b
		}
		counting.Reset()
		for _, tt := range []struct {
			status int
			code   string
			body   any
		}{
			{400, badRequest, nil}, {400, badRequest, "{"}, {400, badRequest, "[]"}, {400, badRequest, altered("message", nil)},
			{400, badRequest, altered("signature", nil)}, {400, badRequest, altered("signature", "0xabc")},
			{400, badRequest, altered("signature", "")}, {400, badRequest, altered("signature", 7)},
			{400, badRequest, altered("transport", "bearer")}, {400, badRequest, altered("deviceName", "x")},
			{400, badMessage, altered("message", "")}, {400, badMessage, altered("message", fmt.Sprint(good["message"], "\n"))},
			{413, "too_large", altered("message", strings.Repeat("x", siwe.MaxLength+1))},
		} {
			checkProblem(t, c.stepUp(tt.body).wants(tt.status, tt.code))
		}
		c.stepUp(good, with("Content-Type", "text/plain")).wants(415, "unsupported_media_type")
		c.stepUp(good, with("X-Device-Id", "a b")).wants(400, badRequest)
		if n := counting.RoundTrips(); n != 0 {
			t.Errorf("malformed step-ups cost %d trips", n)
		}
		c.stepUp(good).wants(200, "")
	})
}

// Whatever rule a well-formed step-up breaks, it costs the nonce, and the answer is the login's to the byte.
func TestStepUp_failuresLookAlike(t *testing.T) { // attack case 67
	clients(t, func(t *testing.T, c *client) {
		w, alice, bob := c.w, newAccount(t), newAccount(t)
		w.opts.SessionLimit = 0
		c.signIn(alice)
		twin, other := w.script(), w.script()
		twin.signIn(alice)
		other.signIn(bob)
		seen := map[string][]string{}
		refusal := func(name, reason string, body map[string]any) {
			t.Helper()
			w.log.Reset()
			got := c.stepUp(body).wants(401, refused)
			e := w.last("step_up")
			equal(t, "outcome of "+name, e["outcome"], "failure")
			if reason != "" {
				equal(t, "reason of "+name, e["reason"], reason)
			}
			seen[got.shape()] = append(seen[got.shape()], name)
		}
		for _, tt := range messageAttacks() {
			if tt.code == refused {
				m := c.stepUpMessage()
				tt.change(m)
				refusal(tt.name, "", confirmation(alice, m.String()))
			}
		}
		for _, tt := range signatureAttacks() {
			if tt.code == refused {
				text := c.stepUpMessage().String()
				refusal(tt.name, "signature", map[string]any{"message": text, "signature": tt.make(alice.signature(text))})
			}
		}
		m := c.stepUpMessage()
		m.Address, m.AddressText = bob.address, ""
		refusal("another account's message", "address", confirmation(bob, m.String()))
		refusal("its nonce again", "nonce_reused", confirmation(alice, m.String()))
		m = c.stepUpMessage()
		refusal("another's signature", "signature", confirmation(bob, m.String()))
		m = c.stepUpMessage()
		login := "Sign in."
		m.Statement = &login
		refusal("the login's statement", "statement", confirmation(alice, m.String()))
		m = c.stepUpMessage()
		m.Nonce = c.nonce()
		refusal("the login's nonce", "nonce_unknown", confirmation(alice, m.String()))
		refusal("another session's nonce", "nonce_unknown", confirmation(alice, twin.stepUpMessage().String()))
		m.Nonce = other.challenge().text("nonce")
		refusal("another account's nonce", "nonce_unknown", confirmation(alice, m.String()))
		m = c.stepUpMessage()
		w.clock.add(5 * time.Minute)
		refusal("expired", "nonce_expired", confirmation(alice, m.String()))

		elsewhere := c.message(alice)
		equal(t, "what a login is answered", c.login(c.body(bob, elsewhere.String())).status, 401)
		if len(seen) != 1 {
			t.Errorf("%d kinds of answer: %v", len(seen), seen)
		}
		login2 := c.message(alice)
		login2.Domain = "evil.com"
		if got := c.login(c.body(alice, login2.String())).shape(); seen[got] == nil {
			t.Errorf("a login is refused as %s, a step-up as %v", got, seen)
		}
		c.confirm(alice) // and none of it has harmed the session
	})
}

// A message for a step-up signs nobody in.
func TestStepUp_messageIsNoLogin(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		c.signIn(alice)
		for _, statement := range []string{stepUpStatement, "Sign in."} {
			m := c.stepUpMessage()
			m.Statement = &statement
			c.login(c.body(alice, m.String())).wants(401, refused)
			equal(t, "reason", c.w.last("login")["reason"], "nonce_unknown")
		}
		m := c.message(alice)
		statement := stepUpStatement
		m.Statement = &statement
		c.login(c.body(alice, m.String())).wants(401, refused)
		equal(t, "reason", c.w.last("login")["reason"], "statement")
	})
}

// The statement of a step-up is never the login's, whatever that is.
func TestStepUp_statement(t *testing.T) {
	for _, configured := range []string{"Sign in.", "", " ", "  Hello ", "Confirm that it is you.", strings.Repeat("x", 1024)} {
		w, alice := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.Statement = configured }), newAccount(t)
		c := w.script()
		c.signIn(alice)
		statement := c.challenge().wants(200, "").text("statement")
		if statement == configured || !siwe.ValidStatement(statement) || strings.TrimSpace(statement) != statement {
			t.Errorf("%q for a step-up where %q is for a login", statement, configured)
		}
		c.confirm(alice)
	}
}

func TestStepUp_nonce(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		ask := func(more string, changes ...change) answer {
			t.Helper()
			return c.ask("GET", "/auth/nonce?purpose=step_up"+more, nil, changes...)
		}
		ask("").wants(401, "no_credentials")
		c.signIn(alice)
		other := c.otherTransport().transport
		own := "&transport=" + c.transport + "&address=" + alice.address.Hex()
		ask(own).wants(200, "")
		if got := ask(own+"&chainId=8453").wants(200, "").text("message"); !strings.Contains(got, "Chain ID: 8453") {
			t.Errorf("the message is %s", got)
		}
		for _, bad := range []string{"&transport=" + other, "&address=" + newAccount(t).address.Hex(), "&chainId=2", "&address=0", "&transport=x", "&x=1"} {
			checkProblem(t, ask(bad).wants(400, badRequest))
		}
		if c.transport == "bearer" {
			ask("", bearer("x")).wants(401, "invalid_token")
			ask("", bearer(c.refresh)).wants(401, "invalid_token")
			ask("", with("Cookie", "__Host-session=lka_x")).wants(400, badRequest)
		} else {
			stepUp := c.copyOf().refreshAlone()
			stepUp.challenge().wants(401, "no_credentials") // a refresh cookie opens nothing but refresh, logout and step-up
			stepUp.challenge(without("Origin"), without("Sec-Fetch-Site")).wants(401, "no_credentials")
		}
		w.clock.add(15 * time.Minute)
		ask("").wants(401, "token_expired")
	})
}

// A chain that was accepted at the login and is no more leaves a way to step up.
func TestStepUp_chainNoLongerAccepted(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	m := c.message(alice)
	m.ChainID = 8453
	c.take(c.login(c.body(alice, m.String())).wants(200, ""))
	w.cfg.ChainIDs[1] = 10 // the edge reads the same list
	if text := c.challenge().wants(200, "").text("message"); !strings.Contains(text, "\nChain ID: 1\n") {
		t.Errorf("the message is %s", text)
	}
	c.confirm(alice)
}

// The name that a device was given stays with that kind of device.
func TestStepUp_deviceName(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		c := w.browser()
		body := c.body(alice, c.message(alice).String())
		body["deviceName"] = "My laptop"
		c.login(body).wants(200, "")
		equal(t, "name", c.confirm(alice).at("session", "device", "name"), "My laptop")
		equal(t, "name on another", c.confirm(alice, with("User-Agent", firefox)).at("session", "device", "name"), "Firefox on Linux")
	})
}

// Of equal step-ups one succeeds; and if they race a refresh, its tokens are the ones that are good afterwards.
func TestStepUp_race(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		w, alice := c.w, newAccount(t)
		c.signIn(alice)
		w.clock.add(time.Minute)
		body := confirmation(alice, c.stepUpMessage().String())
		stepUp := c.copyOf()
		var mu sync.Mutex
		var together sync.WaitGroup
		count := map[string]int{}
		var won *client
		for range 20 {
			together.Go(func() {
				got := stepUp.stepUp(body)
				mu.Lock()
				defer mu.Unlock()
				count[fmt.Sprint(got.status, got.code())]++
				if got.status == 200 {
					won = stepUp.holding(got)
				}
			})
		}
		together.Go(func() { // from another tab
			if got := stepUp.renew(); got.status != 200 && got.code() != "invalid_token" {
				t.Errorf("a refresh that races a step-up: %d %s", got.status, got.body)
			}
		})
		together.Wait()
		if count["200"] != 1 || won == nil {
			t.Fatalf("20 equal step-ups were answered %v", count)
		}
		won.profile().wants(200, "")
		stepUp.profile().wants(401, "token_expired")
		w.clock.add(time.Minute)
		won.renew().wants(200, "")
	})
}

// holding is a copy that has the tokens of an answer.
func (c *client) holding(got answer) *client {
	stepUp := *c
	if c.transport == "bearer" {
		stepUp.take(got)
		return &stepUp
	}
	var pairs []string
	for _, name := range []string{"__Host-session", "__Host-refresh"} {
		pairs = append(pairs, name+"="+got.cookies()[name].Value)
	}
	stepUp.header = c.header.Clone()
	stepUp.header.Set("Cookie", strings.Join(pairs, "; "))
	return &stepUp
}

func TestStepUp_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		counting := redistest.Counting(t, r)
		w, alice := newWorldOn(t, r, counting), newAccount(t)
		c := w.script()
		c.signIn(alice)
		c.confirm(alice) // Redis learns each script once
		counting.Reset()
		text := c.stepUpMessage().String()
		equal(t, "trips for the nonce", counting.RoundTrips(), 2)
		counting.Reset()
		c.stepUp(confirmation(alice, text)).wants(200, "")
		equal(t, "trips for the step-up", counting.RoundTrips(), 3)
	})
}

// The line of a step-up names who, which session and where from, and none of what was sent.
func TestStepUp_event(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	login := c.signIn(alice)
	got := c.confirm(alice)
	e := w.last("step_up")
	for member, want := range map[string]any{
		"outcome": "success", "requestId": got.header.Get("X-Request-Id"), "ip": clientIP, "device": "curl",
		"userId": login.text("user", "id"), "sessionId": login.text("session", "id"), "address": alice.address.Hex(),
	} {
		equal(t, member, e[member], want)
	}
	w.log.Reset()
	c.stepUp(confirmation(newAccount(t), c.stepUpMessage().String())).wants(401, refused)
	e = w.last("step_up")
	equal(t, "reason", e["reason"], "signature")
	equal(t, "sessionId", e["sessionId"], login.text("session", "id"))
	w.uniqueMembers()
}

// A step-up of a session that ends meanwhile brings nothing back.
func TestStepUp_afterTheEnd(t *testing.T) { // attack case 38
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for range 10 {
			w, alice := newWorld(t, r), newAccount(t)
			c := w.script()
			c.signIn(alice)
			body := confirmation(alice, c.stepUpMessage().String())
			var together sync.WaitGroup
			var renewed answer
			together.Go(func() { renewed = c.stepUp(body) })
			together.Go(func() { c.logout(map[string]any{"everywhere": true}).wants(204, "") })
			together.Wait()
			if renewed.status == http.StatusOK {
				c.take(renewed)
			}
			equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "logged_out")
			c.renew().wants(401, "session_ended")
		}
	})
}
