package api_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// names asserts exactly which members an object has, in any order.
func names(t testing.TB, what string, object any, want ...string) {
	t.Helper()
	members, _ := object.(map[string]any)
	got := slices.Sorted(maps.Keys(members))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", what, got, want)
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

var sessionMembers = []string{
	"id", "current", "createdAt", "lastSeenAt", "idleExpiresAt", "expiresAt", "ip", "lastIp", "chainId", "transport", "device",
}

// checkSession holds a session's members to those of a login at 10:00 with seen as its last activity.
func checkSession(t testing.TB, got any, transport, name, browser, os, class, seen, idle string) {
	t.Helper()
	members, _ := got.(map[string]any)
	expected := sessionMembers
	if seen == "2026-11-23T10:00:00.000Z" { // a login is as good as a step-up, for a while
		expected = append(slices.Clone(expected), "elevatedUntil")
		equal(t, "session.elevatedUntil", members["elevatedUntil"], "2026-11-23T10:05:00.000Z")
	}
	names(t, "session", got, expected...)
	for member, want := range map[string]any{
		"current": true, "createdAt": "2026-11-23T10:00:00.000Z", "lastSeenAt": seen, "idleExpiresAt": idle,
		"expiresAt": "2026-11-23T22:00:00.000Z", "ip": clientIP, "lastIp": clientIP, "chainId": 1.0, "transport": transport,
		"device": map[string]any{"name": name, "browser": browser, "os": os, "type": class},
	} {
		equal(t, "session."+member, members[member], want)
	}
	if _, err := token.ParseID(fmt.Sprint(members["id"])); err != nil {
		t.Errorf("session.id is %v", members["id"])
	}
}

func TestFlow_browser(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c, alice := w.browser(), newAccount(t)
		c.profile().wants(401, "no_credentials")
		c.renew().wants(401, "no_credentials")
		c.logout(nil).wants(401, "no_credentials")

		login := c.signIn(alice)
		names(t, "login", login.object(), "tokenType", "expiresIn", "refreshExpiresIn", "session", "user")
		checkSession(t, login.at("session"), "cookie", "Chrome on macOS", "Chrome", "macOS", "desktop",
			"2026-11-23T10:00:00.000Z", "2026-11-23T10:30:00.000Z")
		profile := c.profile().wants(200, "")
		names(t, "profile", profile.object(), "user", "session", "preferences")
		equal(t, "the profile's session", profile.at("session"), login.at("session"))
		equal(t, "the profile's user", profile.at("user"), login.at("user"))
		equal(t, "preferences", profile.at("preferences"), map[string]any{})

		w.clock.add(15 * time.Minute)
		c.profile().wants(401, "token_expired")
		before := c.cookie("refresh")
		renewed := c.renew().wants(200, "")
		names(t, "refresh", renewed.object(), "tokenType", "expiresIn", "refreshExpiresIn", "session")
		checkSession(t, renewed.at("session"), "cookie", "Chrome on macOS", "Chrome", "macOS", "desktop",
			"2026-11-23T10:15:00.000Z", "2026-11-23T10:45:00.000Z")
		if c.cookie("refresh") == before || len(renewed.cookies()) != 2 {
			t.Errorf("refresh set %v", renewed.header["Set-Cookie"])
		}
		c.profile().wants(200, "")

		stepUp := c.cookie("session")
		out := c.logout(nil).wants(204, "")
		if out.body != "" || c.cookie("session") != "" || c.cookie("refresh") != "" {
			t.Errorf("logout answered %q and left the cookies %v", out.body, c.http.Jar)
		}
		c.profile().wants(401, "no_credentials")
		ended := c.profile(with("Cookie", "__Host-session="+stepUp)).wants(401, "session_ended")
		names(t, "the problem", ended.object(), "type", "title", "status", "code", "detail", "requestId", "reason", "endedAt")
		equal(t, "reason", ended.at("reason"), "logged_out")
		equal(t, "endedAt", ended.at("endedAt"), "2026-11-23T10:15:00.000Z")
		c.logout(nil, with("Cookie", "__Host-session="+stepUp)).wants(204, "")
	})
}

func TestFlow_script(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c, alice := w.script(), newAccount(t)
		login := c.signIn(alice)
		names(t, "login", login.object(),
			"tokenType", "accessToken", "refreshToken", "expiresIn", "refreshExpiresIn", "session", "user")
		equal(t, "tokenType", login.at("tokenType"), "Bearer")
		equal(t, "expiresIn", login.at("expiresIn"), 900.0)
		equal(t, "refreshExpiresIn", login.at("refreshExpiresIn"), 1800.0)
		checkSession(t, login.at("session"), "bearer", "curl", "curl", "", "other", "2026-11-23T10:00:00.000Z", "2026-11-23T10:30:00.000Z")
		user := login.at("user")
		names(t, "user", user, "id", "address", "account", "wallet", "roles", "permissions", "createdAt", "lastLoginAt")
		equal(t, "address", login.at("user", "address"), alice.address.Hex())
		equal(t, "roles", login.at("user", "roles"), []any{"user"})
		equal(t, "permissions", login.at("user", "permissions"), []any{})
		equal(t, "createdAt", login.at("user", "createdAt"), "2026-11-23T10:00:00.000Z")
		equal(t, "account", login.at("user", "account"), login.at("user", "address"))
		equal(t, "wallet", login.at("user", "wallet"), "eoa")
		equal(t, "lastLoginAt", login.at("user", "lastLoginAt"), "2026-11-23T10:00:00.000Z")
		if len(login.cookies()) != 0 {
			t.Errorf("a bearer login set %v", login.header["Set-Cookie"])
		}
		c.profile().wants(200, "")

		w.clock.add(15*time.Minute + 400*time.Millisecond)
		c.profile().wants(401, "token_expired")
		first := *c
		renewed := c.renew().wants(200, "")
		names(t, "refresh", renewed.object(), "tokenType", "accessToken", "refreshToken", "expiresIn", "refreshExpiresIn", "session")
		c.take(renewed)
		c.profile().wants(200, "")
		w.clock.add(20 * time.Second)
		again := first.renew().wants(200, "")
		equal(t, "the repeated successor", again.at("refreshToken"), renewed.at("refreshToken"))
		equal(t, "expiresIn of a repeat", again.at("expiresIn"), 880.0)
		equal(t, "refreshExpiresIn of a repeat", again.at("refreshExpiresIn"), 1780.0)

		c.logout(nil).wants(204, "")
		c.logout(nil).wants(204, "")
		c.send("POST", "/auth/logout", map[string]any{"refreshToken": c.refresh}).wants(204, "")
		c.profile().wants(401, "session_ended")
		equal(t, "reason at refresh", c.renew().wants(401, "session_ended").at("reason"), "logged_out")
	})
}

// The message that the server writes can be signed as it is.
func TestNonce_message(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, c := range []*client{w.browser(), w.script()} {
			alice := newAccount(t)
			offer := c.send("GET", "/auth/nonce?transport="+c.transport+"&chainId=8453&address="+alice.address.Hex(), nil).wants(200, "")
			names(t, "nonce", offer.object(), "nonce", "expiresAt", "domain", "uri", "version", "statement", "chainIds", "message")
			want := "app.example.com wants you to sign in with your Ethereum account:\n" + alice.address.Hex() +
				"\n\nSign in.\n\nURI: https://app.example.com\nVersion: 1\nChain ID: 8453\nNonce: " + offer.text("nonce") +
				"\nIssued At: 2026-11-23T10:00:00.000Z\nExpiration Time: 2026-11-23T10:05:00.000Z"
			equal(t, "message", offer.text("message"), want)
			login := c.login(c.body(alice, offer.text("message"))).wants(200, "")
			equal(t, "chainId", login.at("session", "chainId"), 8453.0)
		}
	})
}

func TestNonce_offer(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	offer := c.send("GET", "/auth/nonce", nil, with("Origin", "https://admin.example.com")).wants(200, "")
	names(t, "nonce", offer.object(), "nonce", "expiresAt", "domain", "uri", "version", "statement", "chainIds")
	for member, want := range map[string]any{
		"expiresAt": "2026-11-23T10:05:00.000Z", "domain": "admin.example.com", "uri": "https://admin.example.com", "version": "1",
		"statement": "Sign in.", "chainIds": []any{1.0, 8453.0},
	} {
		equal(t, member, offer.at(member), want)
	}
	for _, from := range []string{"", "null", "https://evil.example", "https://admin.example.com.evil.example", "http://admin.example.com"} {
		equal(t, "domain for "+from, c.send("GET", "/auth/nonce", nil, with("Origin", from)).text("domain"), domain)
	}
	for _, address := range []string{"0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77"} {
		c.send("GET", "/auth/nonce?chainId=1&address="+address, nil).wants(200, "")
		if c.send("GET", "/auth/nonce?address="+address, nil).wants(200, "").at("message") != nil {
			t.Error("a message without a chain")
		}
	}
}

func TestNonce_refusesQueries(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	address := "&address=0xde709f2102306220921060314715629080e2fb77"
	for _, query := range []string{
		"transport=", "transport=Cookie", "transport=cookie&transport=cookie", "transport=bearer&transport=cookie",
		"purpose=", "purpose=stepup", "purpose=step_up&purpose=login", "purpose=Login", "unknown=1", "Transport=cookie", "transport=cookie;purpose=login", "transport=%zz",
		"chainId=0" + address, "chainId=01" + address, "chainId=%2B1" + address, "chainId=2" + address, "chainId=18446744073709551617" + address,
		"chainId=1.0" + address, "chainId=１" + address, "chainId=1&address=0", "chainId=1&address=0x0000000000000000000000000000000000000000",
		"chainId=1&address=0Xde709f2102306220921060314715629080e2fb77", "chainId=1&address=0xDe709f2102306220921060314715629080e2fb77",
	} {
		w.script().send("GET", "/auth/nonce?"+query, nil).wants(400, "invalid_request")
	}
}

// A refused parameter is named, and whether it is unknown or appears twice. Of several it is always the same one.
func TestNonce_namesTheParameter(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	for query, want := range map[string]string{
		"_=1732890000":                          `the query has an unknown parameter: "_"`,
		"Transport=cookie":                      `the query has an unknown parameter: "Transport"`,
		"purpose=login&purpose=login":           `the query has a parameter twice: "purpose"`,
		"b=1&c=1&a=1&a=2&purpose=login":         `the query has an unknown parameter: "a"`,
		"transport=x&transport=x&x=1":           `the query has a parameter twice: "transport"`,
		"=1":                                    `the query has an unknown parameter`,
		"a%0d%0ab=1":                            `the query has an unknown parameter`,
		"%D1%85=1":                              `the query has an unknown parameter`,
		strings.Repeat("a", 33) + "=1&purpose=": `the query has an unknown parameter`,
	} {
		for range 5 { // a map has no order
			equal(t, query, w.script().send("GET", "/auth/nonce?"+query, nil).wants(400, "invalid_request").text("detail"), want)
		}
	}
}

// A login that carries a session ends it, once its own has come into being.
func TestLogin_replacesPresentedSession(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.opts.SessionLimit = 1 })
		for _, make := range []func() *client{w.browser, w.script} {
			for _, sameAccount := range []bool{true, false} {
				c, alice := make(), newAccount(t)
				c.signIn(alice)
				before := c.copyOf()
				next := alice
				if !sameAccount {
					next = newAccount(t)
				}
				// In the login's own transport: a browser sends its cookies anyway.
				second := c.signIn(next, c.credential()...)
				if evicted := second.at("evicted"); evicted != nil {
					t.Errorf("replaced and evicted: %v", evicted)
				}
				c.profile().wants(200, "")
				equal(t, "reason", before.profile().wants(401, "session_ended").at("reason"), "logged_out")
			}
		}
	})
}

// copyOf is a script that holds what the client holds now, whatever its transport.
func (c *client) copyOf() *client {
	stepUp := *c
	if c.transport == "cookie" {
		stepUp.http = c.w.server.Client()
		stepUp.header = c.header.Clone()
		stepUp.header.Set("Cookie", "__Host-session="+c.cookie("session")+"; __Host-refresh="+c.cookie("refresh"))
	}
	return &stepUp
}

func TestLogin_limit(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r, func(w *world) { w.opts.SessionLimit = 2 }), newAccount(t)
		var ids []any
		clients := []*client{w.script(), w.browser(), w.script()}
		for i, c := range clients {
			got := c.signIn(alice)
			ids = append(ids, got.at("session", "id"))
			if i < 2 && got.at("evicted") != nil {
				t.Errorf("login %d evicted %v", i, got.at("evicted"))
			}
			if i == 2 {
				equal(t, "evicted", got.at("evicted"), []any{ids[0]})
			}
			w.clock.add(time.Second)
		}
		equal(t, "reason", clients[0].profile().wants(401, "session_ended").at("reason"), "evicted")

		deny := newWorld(t, redistest.Embedded(t), func(w *world) { w.opts.SessionLimit, w.opts.LimitPolicy = 1, session.Deny })
		deny.script().signIn(alice)
		c := deny.script()
		c.login(c.body(alice, c.message(alice).String())).wants(403, "session_limit")
	})
}

// A block is told only to who has proven to hold the key.
func TestLogin_blocked(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		c := w.script()
		c.signIn(alice)
		w.block(alice.address)
		refused := c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
		if len(refused.cookies()) > 0 {
			t.Errorf("set %v", refused.header["Set-Cookie"])
		}
		c.login(c.body(newAccount(t), c.message(alice).String())).wants(401, "login_failed")
	})
}

// block sets the flag in the records of all accounts there are, which no route does yet.
func (w *world) block(addresses ...common.Address) {
	w.t.Helper()
	keys, err := w.redis.Client().Keys(ctx, w.redis.Prefix+":{*}:u*").Result()
	must(w.t, err)
	if len(keys) != len(addresses) {
		w.t.Fatalf("%d records, want those of %v alone", len(keys), addresses)
	}
	for _, key := range keys {
		must(w.t, w.redis.Client().SetRange(ctx, key, 1, "\x01").Err())
	}
}

func TestLogin_deviceName(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	name := func(name any) answer {
		c := w.script()
		body := c.body(alice, c.message(alice).String())
		body["deviceName"] = name
		return c.login(body)
	}
	for _, good := range []string{"Büro, 2. Stock", strings.Repeat("x", 64), "工作电脑", "phone 📱", `"quoted" <b>`} {
		equal(t, "name", name(good).wants(200, "").at("session", "device", "name"), good)
	}
	for what, good := range map[string]string{
		"emoji joined by U+200D":               "\U0001F469\u200d\U0001F4BB laptop",
		"emoji with a selector, joined":        "\U0001F3F3\ufe0f\u200d\U0001F308",
		"emoji with a skin tone, joined":       "\U0001F469\U0001F3FD\u200d\U0001F4BB",
		"selector at the end of a word":        "call \u260e\ufe0f me",
		"keycap":                               "1\ufe0f\u20e3",
		"ideograph in a chosen form":           "\u845b\U000E0100\u98fe",
		"Persian with U+200C":                  "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
		"Hindi with U+200D":                    "\u0915\u094d\u200d\u0937",
		"accent as a mark of its own":          "Bu\u0308ro",
		"spaces around text":                   " my\u00a0laptop\u3000",
		"old Hangul with a filler beside text": "\u115f\u1161 \u3164",
		"braille with a blank":                 "\u2813\u2800\u2811",
		"grapheme joiner inside text":          "a\u034fb",
		"Mongolian letter in a form":           "\u182d\u180b",
	} {
		equal(t, what, name(good).wants(200, "").at("session", "device", "name"), good)
	}
	for what, bad := range map[string]string{
		"space": " ", "spaces of many kinds": "\u00a0\u2003\u3000\u1680", "Hangul filler": "\u3164", "Hangul fillers": "\u115f\u1160\uffa0",
		"braille blank": "\u2800\u2800", "grapheme joiner": "\u034f", "Khmer inherent vowel": "\u17b4",
		"joiner alone": "\u200d", "non-joiner alone": "\u200c", "selector alone": "\ufe0f", "supplementary selector alone": "\U000E0100",
		"joiner before text": "\u200dx", "joiner after text": "x\u200d", "joiner after a space": "a \u200db", "joiner before a space": "a\u200d b",
		"two joiners": "a\u200d\u200db", "joiner between fillers": "\u3164\u200d\u3164", "selector before text": "\ufe0fx",
		"selector after a space": "a \ufe0f", "two selectors": "a\ufe0f\ufe0f", "selector after a joiner": "a\u200d\ufe0fb",
		"zero-width space": "a\u200bb", "word joiner": "a\u2060b", "soft hyphen": "a\u00adb", "byte order mark": "a\ufeffb", "tag": "a\U000E0061",
		"right-to-left override": "\u202egpj.exe", "isolate": "a\u2066b", "right-to-left mark": "a\u200fb", "Arabic letter mark": "a\u061cb",
		"Mongolian vowel separator": "a\u180eb", "unassigned": "a\u0378", "private": "a\ue000", "control": "a\u0085b", "line": "a\u2028b",
	} {
		if got := name(bad).wants(400, "invalid_request"); !strings.Contains(got.text("detail"), "visible text") {
			t.Errorf("%s: %s", what, got.body)
		}
	}
	equal(t, "name for none", name("").wants(200, "").at("session", "device", "name"), "curl")
	for _, bad := range []any{
		strings.Repeat("x", 65), strings.Repeat("é", 33), "a\nb", "a\x00b", "\x1b[31m", "\u202eevil", "a\u200bb", "\u2066x", "\u2028", "\ufeff",
		"\u009f", "\ue000", 7, nil, true, []string{"x"},
	} {
		refused := name(bad).wants(400, "invalid_request")
		if !strings.Contains(refused.text("detail"), "deviceName") {
			t.Errorf("%q: %s", bad, refused.body)
		}
	}
}

// Whoever holds the key of an address in another spelling is the same account.
func TestLogin_oneAccountForAllSpellings(t *testing.T) { // attack case 14
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice := newWorld(t, r), newAccount(t)
		seen := map[string]bool{}
		for _, spelling := range []string{
			alice.address.Hex(), strings.ToLower(alice.address.Hex()), "0x" + strings.ToUpper(alice.address.Hex()[2:]),
		} {
			c := w.script()
			m := c.message(alice)
			m.AddressText = spelling
			got := c.login(c.body(alice, m.String())).wants(200, "")
			equal(t, "address", got.at("user", "address"), alice.address.Hex())
			seen[got.text("user", "id")] = true
		}
		if len(seen) != 1 {
			t.Errorf("%d accounts for one address", len(seen))
		}
	})
}

func TestRefresh_deviceOfTheSession(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.opts.DevicePolicy = session.PolicyStepUp })
		script := func() *client {
			c := w.script()
			c.header.Set("X-Device-Id", "device-1")
			c.signIn(newAccount(t))
			w.clock.add(time.Minute)
			return c
		}
		c := script()
		c.renew().wants(200, "")
		c.renew(with("User-Agent", "curl/9.0")).wants(200, "") // an update of the client ends nothing
		c.renew(with("User-Agent", firefox)).wants(401, "session_ended")
		c = script()
		c.renew(with("X-Device-Id", "device-2")).wants(200, "") // the current token holds the session, no more
		equal(t, "reason", c.renew(without("X-Device-Id")).wants(401, "session_ended").at("reason"), "refresh_reused")
		for _, bad := range []string{"", "a,b", "a b", "é", strings.Repeat("x", 257)} {
			script().renew(with("X-Device-Id", bad)).wants(400, "invalid_request")
		}
		script().renew(more("X-Device-Id", "device-1")).wants(400, "invalid_request")
		script().renew(with("X-Device-Id", strings.Repeat("x", 256))).wants(200, "")
	})
}

func TestLogout_everywhere(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, alice, bob := newWorld(t, r), newAccount(t), newAccount(t)
		phone, tablet, laptop, other := w.script(), w.script(), w.browser(), w.script()
		phone.signIn(alice)
		tablet.signIn(alice)
		laptop.signIn(alice)
		other.signIn(bob)
		phone.logout(map[string]any{"everywhere": false}).wants(204, "")
		laptop.profile().wants(200, "")
		laptop.logout(map[string]any{"everywhere": true}).wants(204, "")
		laptop.renew().wants(401, "no_credentials")
		for _, c := range []*client{phone, tablet} {
			c.profile().wants(401, "session_ended")
		}
		other.profile().wants(200, "")
		w.events()
		phone.logout(map[string]any{"everywhere": true}).wants(204, "") // ended, and remembered
		w.wantsEvents("everywhere, with nothing left to end", "logout success repeated=true")

		// A store that lost everything: nothing can be claimed to have ended.
		keys, err := r.Client().Keys(ctx, r.Prefix+"*").Result()
		must(t, err)
		must(t, r.Client().Unlink(ctx, keys...).Err())
		other.logout(map[string]any{"everywhere": true}).wants(401, "invalid_token")
		other.logout(nil).wants(204, "")
	})
}

func TestLogout_clearSiteData(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.ClearSiteData = `"cookies","storage"` })
	c := w.browser()
	if got := c.signIn(newAccount(t)); got.header.Get("Clear-Site-Data") != "" {
		t.Error("a login clears the site")
	}
	if _, set := c.logout("{").wants(400, "invalid_request").header["Clear-Site-Data"]; set {
		t.Error("a logout that failed clears the site")
	}
	equal(t, "Clear-Site-Data", c.logout(nil).wants(204, "").header.Get("Clear-Site-Data"), `"cookies","storage"`)
	plain := newWorld(t, redistest.Embedded(t)).browser()
	plain.signIn(newAccount(t))
	if _, set := plain.logout(nil).wants(204, "").header["Clear-Site-Data"]; set {
		t.Error("Clear-Site-Data without having been asked for")
	}
}

func TestDevice(t *testing.T) {
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) "
	tests := []struct{ agent, name, browser, os, class string }{
		{chrome, "Chrome on macOS", "Chrome", "macOS", "desktop"},
		{firefox, "Firefox on Linux", "Firefox", "Linux", "desktop"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge on Windows", "Edge", "Windows", "desktop"},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + "Chrome/142.0.0.0 Safari/537.36 OPR/120.0.0.0", "Opera on Windows", "Opera", "Windows", "desktop"},
		{"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + webkit + "Chrome/142.0.0.0 Safari/537.36", "Chrome on ChromeOS", "Chrome", "ChromeOS", "desktop"},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15", "Safari on macOS", "Safari", "macOS", "desktop"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1", "Safari on iOS", "Safari", "iOS", "mobile"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1", "Chrome on iOS", "Chrome", "iOS", "mobile"},
		{"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/144.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPadOS", "Firefox", "iPadOS", "tablet"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/142.0.0.0 Mobile Safari/537.36", "Chrome on Android", "Chrome", "Android", "mobile"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "Chrome/142.0.0.0 Safari/537.36", "Chrome on Android", "Chrome", "Android", "tablet"},
		{"Mozilla/5.0 (Linux; Android 10; K) " + webkit + "SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "Samsung Internet on Android", "Samsung Internet", "Android", "mobile"},
		{"Mozilla/5.0 (Linux; Android 14; SM-S911B) " + webkit + "Version/4.0 Chrome/142.0.0.0 Mobile Safari/537.36 WebView MetaMaskMobile", "MetaMask on Android", "MetaMask", "Android", "mobile"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Trust/8.0", "Trust Wallet on iOS", "Trust Wallet", "iOS", "mobile"},
		{"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 CoinbaseWallet/29", "Coinbase Wallet on iOS", "Coinbase Wallet", "iOS", "mobile"},
		{"curl/8.14.1", "curl", "curl", "", "other"},
		{"python-requests/2.32", "python-requests", "python-requests", "", "other"},
		{"node", "node", "node", "", "other"},
		{strings.Repeat("x", 70) + "/1", strings.Repeat("x", 32), strings.Repeat("x", 32), "", "other"},
		{"<script>/1", "Unknown device", "", "", "other"},
		{"", "Unknown device", "", "", "other"},
	}
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	for _, tt := range tests {
		got := w.script().signIn(alice, with("User-Agent", tt.agent)).at("session", "device")
		want := map[string]any{"name": tt.name, "browser": tt.browser, "os": tt.os, "type": tt.class}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", tt.agent, got, want)
		}
	}
}

// What the store forgets the client's tokens do not bring back, and no claim is made about it.
func TestProfile_unknownSession(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		keys, err := r.Client().Keys(ctx, r.Prefix+"*").Result()
		must(t, err)
		must(t, r.Client().Unlink(ctx, keys...).Err())
		c.profile().wants(401, "invalid_token")
		c.renew().wants(401, "invalid_token")
	})
}

func TestProfile_timeouts(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		idle, long := w.script(), w.script()
		idle.signIn(newAccount(t))
		long.signIn(newAccount(t))
		for range 48 {
			w.clock.add(15*time.Minute - time.Millisecond)
			long.profile().wants(200, "")
			renewed := long.renew()
			if renewed.status != 200 {
				t.Fatalf("refresh answered %d %s", renewed.status, renewed.body)
			}
			long.take(renewed)
		}
		w.clock.add(time.Second)
		equal(t, "reason", idle.profile().wants(401, "session_ended").at("reason"), "idle_timeout")
		equal(t, "endedAt", idle.profile().at("endedAt"), "2026-11-23T10:30:00.000Z")
		equal(t, "reason", long.renew().wants(401, "session_ended").at("reason"), "absolute_timeout")
		equal(t, "endedAt", long.profile().wants(401, "session_ended").at("endedAt"), "2026-11-23T22:00:00.000Z")
	})
}
