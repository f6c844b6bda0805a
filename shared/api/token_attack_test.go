package api_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// mangled are tokens that nobody made: each bit flipped, cut, extended, in other alphabets, with the other prefix.
func mangled(t testing.TB, text string) []string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text[4:])
	must(t, err)
	var all []string
	for bit := range 8 * len(raw) {
		raw[bit/8] ^= 1 << (bit % 8)
		all = append(all, text[:4]+base64.RawURLEncoding.EncodeToString(raw))
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for _, n := range []int{0, 3, 4, 5, len(text) / 2, len(text) - 1} {
		all = append(all, text[:n])
	}
	swapped := map[string]string{"lka_": "lkr_", "lkr_": "lka_"}[text[:4]] + text[4:]
	return append(all[1:], text+"A", text+"=", text+text, "A"+text, swapped, strings.ToUpper(text[:4])+text[4:], strings.ToUpper(text),
		text[:4]+base64.RawURLEncoding.EncodeToString(make([]byte, len(raw))), text[:4]+base64.StdEncoding.EncodeToString(raw),
		text[:4]+strings.Repeat("A", 5000), "eyJhbGciOiJub25lIn0.e30.", "null", "undefined")
}

func TestTokens_mangled(t *testing.T) { // attack case 25
	r := redistest.Embedded(t) // none is asked
	counting := redistest.Counting(t, r)
	w := newWorldOn(t, r, counting)
	c := w.script()
	c.signIn(newAccount(t))
	counting.Reset()
	shapes := map[string]bool{}
	note := func(got answer, text string) {
		t.Helper()
		if got.status != 401 || got.code() != "invalid_token" {
			if text != "" && text != "lka" && text != "lkr" {
				t.Errorf("%.80q was answered %d %s", text, got.status, got.body)
			}
		}
		shapes[requestID.ReplaceAllString(got.body, "")] = true
	}
	// A cookie that does not begin like a token is another program's.
	noteCookie := func(got answer, text string) {
		t.Helper()
		if !strings.HasPrefix(text, "lka_") && !strings.HasPrefix(text, "lkr_") {
			got.wants(401, "no_credentials")
			return
		}
		note(got, text)
	}
	for _, text := range mangled(t, c.access) {
		if text != "" {
			note(c.send("GET", "/api/profile", nil, bearer(text)), text)
			noteCookie(c.send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+text)), text)
			note(c.send("POST", "/auth/logout", nil, bearer(text)), text)
		}
	}
	for _, text := range mangled(t, c.refresh) {
		note(c.send("POST", "/auth/refresh", map[string]any{"refreshToken": text}), text)
		if text != "" {
			noteCookie(c.send("POST", "/auth/refresh", nil, with("Cookie", "__Host-refresh="+text), with("Origin", origin)), text)
		}
	}
	if len(shapes) != 1 {
		t.Errorf("%d kinds of answer: %v", len(shapes), shapes)
	}
	if roundTrips := counting.RoundTrips(); roundTrips != 0 {
		t.Errorf("mangled tokens cost %d trips", roundTrips)
	}
	c.profile().wants(200, "")
}

// One kind of token does nothing in the place of the other, nor one transport's in the other.
func TestTokens_wrongPlace(t *testing.T) { // attack case 26
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		s, b := w.script(), w.browser()
		s.signIn(newAccount(t))
		b.signIn(newAccount(t))
		access, refresh := b.cookie("session"), b.cookie("refresh")
		raw := w.script()
		cookie := func(name, value string) change { return with("Cookie", "__Host-"+name+"="+value) }
		page := with("Origin", origin)
		body := func(text string) any { return map[string]any{"refreshToken": text} }
		for name, got := range map[string]answer{
			"refresh token as access token":   raw.send("GET", "/api/profile", nil, bearer(s.refresh)),
			"refresh cookie as session":       raw.send("GET", "/api/profile", nil, cookie("session", refresh)),
			"access token as refresh token":   raw.send("POST", "/auth/refresh", body(s.access)),
			"session cookie as refresh":       raw.send("POST", "/auth/refresh", nil, cookie("refresh", access), page),
			"cookie's access token as bearer": raw.send("GET", "/api/profile", nil, bearer(access)),
			"bearer's access token as cookie": raw.send("GET", "/api/profile", nil, cookie("session", s.access)),
			"cookie's refresh in the body":    raw.send("POST", "/auth/refresh", body(refresh)),
			"bearer's refresh as cookie":      raw.send("POST", "/auth/refresh", nil, cookie("refresh", s.refresh), page),
			"session id as token":             raw.send("GET", "/api/profile", nil, bearer(s.profile().text("session", "id"))),
		} {
			if got.status != 401 || got.code() != "invalid_token" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		raw.send("GET", "/api/profile", nil, cookie("refresh", refresh)).wants(401, "no_credentials")
		raw.send("POST", "/auth/refresh", nil, bearer(s.access)).wants(401, "no_credentials")
		raw.send("POST", "/auth/refresh", nil, cookie("session", access), page).wants(401, "no_credentials")
		s.profile().wants(200, "")
		b.profile().wants(200, "")

		// Tokens of another deployment over the same Redis are forged ones here.
		other := newWorld(t, r).script()
		other.signIn(newAccount(t))
		raw.send("GET", "/api/profile", nil, bearer(other.access)).wants(401, "invalid_token")
	})
}

// forgets asserts that the answer deletes our cookies, with the attributes they were set with.
func (a answer) forgets() {
	a.t.Helper()
	for _, name := range []string{"session", "refresh", "prelogin"} {
		site := "Lax"
		if name == "refresh" {
			site = "Strict"
		}
		want := "__Host-" + name + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=" + site
		if !strings.Contains(strings.Join(a.header["Set-Cookie"], "\n")+"\n", want+"\n") {
			a.t.Errorf("%d %s sets %q, not %q", a.status, a.body, a.header["Set-Cookie"], want)
		}
	}
}

func TestCredentials_ambiguous(t *testing.T) { // attack cases 27 and 28
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		s, b := w.script(), w.browser()
		s.signIn(newAccount(t))
		b.signIn(newAccount(t))
		stepUp := b.copyOf()
		session, refresh := b.cookie("session"), b.cookie("refresh")
		for name, got := range map[string]answer{
			"two headers":            s.send("GET", "/api/profile", nil, bearer(s.access), more("Authorization", "Bearer "+s.access)),
			"bearer and basic":       s.send("GET", "/api/profile", nil, bearer(s.access), more("Authorization", "Basic eDp5")),
			"list":                   s.send("GET", "/api/profile", nil, bearer(s.access+","+s.access)),
			"list with a space":      s.send("GET", "/api/profile", nil, bearer(s.access+", Bearer "+s.access)),
			"two tokens":             s.send("GET", "/api/profile", nil, bearer(s.access+" "+s.access)),
			"bearer and cookie":      stepUp.send("GET", "/api/profile", nil, bearer(s.access)),
			"the same in both":       stepUp.send("GET", "/api/profile", nil, bearer(session)),
			"session cookie twice":   s.send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+session+"; __Host-session="+session)),
			"in two headers":         s.send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+session), more("Cookie", "__Host-session=lka_x")),
			"a refresh token's too":  s.send("GET", "/api/profile", nil, with("Cookie", "__Host-session=lkr_x;__Host-session="+session)),
			"refresh cookie twice":   s.send("POST", "/auth/refresh", nil, with("Cookie", "__Host-refresh="+refresh+"; __Host-refresh=lkr_x")),
			"prelogin twice":         s.send("GET", "/auth/nonce", nil, with("Cookie", "__Host-prelogin="+strings.Repeat("a", 32)+"; __Host-prelogin="+strings.Repeat("b", 32))),
			"body and cookie":        stepUp.send("POST", "/auth/refresh", map[string]any{"refreshToken": s.refresh}),
			"empty body and cookie":  stepUp.send("POST", "/auth/refresh", map[string]any{"refreshToken": ""}),
			"logout by both":         s.send("POST", "/auth/logout", nil, bearer(s.access), with("Cookie", "__Host-refresh="+refresh)),
			"logout body and cookie": stepUp.send("POST", "/auth/logout", map[string]any{"refreshToken": s.refresh}),
			"login with both":        stepUp.login(map[string]any{"message": "", "signature": ""}, bearer(s.access)),
			"access_token":           s.send("GET", "/api/profile?access_token="+s.access, nil),
			"token, with a good one": s.send("GET", "/api/profile?token=1", nil, bearer(s.access)),
			"any name":               s.send("GET", "/api/profile?x="+s.access, nil),
			"refreshToken":           s.send("POST", "/auth/refresh?refreshToken="+s.refresh, nil),
			"refresh_token":          s.send("POST", "/auth/logout?refresh_token=x", nil, bearer(s.access)),
			"at login":               s.send("POST", "/auth/login?y="+s.refresh, nil),
			"at nonce":               s.send("GET", "/auth/nonce?transport="+s.access, nil),
			"at health":              s.send("GET", "/health?token="+s.access, nil),
		} {
			if got.status != 400 || got.code() != "invalid_request" {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			got.forgets()
			if strings.Contains(got.body, s.access) || strings.Contains(got.body, session) {
				t.Errorf("%s: the answer repeats the token", name)
			}
		}
		for _, log := range []string{s.access, s.refresh, session, refresh} {
			if strings.Contains(w.log.text(), log) {
				t.Error("a token is in the log")
			}
		}
		s.profile().wants(200, "")
		stepUp.profile().wants(200, "")
	})
}

func TestCredentials_authorization(t *testing.T) { // attack case 27
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	for value, code := range map[string]string{
		"bearer " + c.access: "", "BEARER   " + c.access: "", "Bearer " + c.access + " ": "",
		"Bearer": badRequest, "Bearer ": badRequest, "bearer    ": badRequest,
		"": "no_credentials", "Basic " + c.access: "no_credentials", "BearerX " + c.access: "no_credentials", c.access: "no_credentials",
		"Digest username=\"a\", realm=\"b\"": "no_credentials", "DPoP " + c.access: "no_credentials", "Bearer:" + c.access: "no_credentials",
		"Bearer \"" + c.access + "\"": "invalid_token", "Bearer token=" + c.access: "invalid_token",
	} {
		want := map[string]int{"": 200, badRequest: 400}[code]
		if want == 0 {
			want = 401
		}
		if got := c.send("GET", "/api/profile", nil, with("Authorization", value)); got.status != want || got.code() != code {
			t.Errorf("%.20q was answered %d %s, want %d %s", value, got.status, got.body, want, code)
		}
	}
	// A form's token is no credential (RFC 6750, section 2.2).
	c.send("POST", "/auth/logout", "access_token="+c.access, with("Content-Type", "application/x-www-form-urlencoded")).
		wants(415, "unsupported_media_type")
}

func TestCredentials_challenges(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	challenge := func(got answer, code, want string) {
		t.Helper()
		got.wants(401, code)
		if all := got.header["Www-Authenticate"]; len(all) != 1 || all[0] != want {
			t.Errorf("%s: %q, want %q", code, all, want)
		}
	}
	challenge(c.send("GET", "/api/profile", nil), "no_credentials", "Bearer")
	challenge(c.send("GET", "/api/profile", nil, bearer("x")), "invalid_token", `Bearer error="invalid_token"`)
	challenge(c.send("POST", "/auth/refresh", nil), "no_credentials", "Bearer")
	w.clock.add(15 * time.Minute)
	challenge(c.profile(), "token_expired", `Bearer error="invalid_token"`)
	c.logout(nil)
	challenge(c.profile(), "session_ended", `Bearer error="invalid_token"`)
	if got := c.profile(bearer("a,b")).wants(400, badRequest).header["Www-Authenticate"]; got != nil {
		t.Errorf("400 with %q", got)
	}
}

func TestCookies_spellings(t *testing.T) { // attack case 28
	w := newWorld(t, redistest.Embedded(t))
	b := w.browser()
	b.signIn(newAccount(t))
	text := b.cookie("session")
	c := w.script()
	for value, code := range map[string]string{
		"session=" + text: "no_credentials", "__host-session=" + text: "no_credentials", "__HOST-SESSION=" + text: "no_credentials",
		"__Secure-session=" + text: "no_credentials", "__Host-session": "no_credentials", "__Host-session=": "no_credentials",
		"$Version=1; __Host-sessions=" + text: "no_credentials", "a=b,__Host-session=" + text: "no_credentials",
		`__Host-session="` + text + `"`: "no_credentials", "__Host-session=" + text + ",x": "invalid_token",
		"__Host-session=" + strings.Repeat("x", 5000): "no_credentials", "__Host-session==" + text: "no_credentials", "__Host-session=lka_" + strings.Repeat("x", 5000): "invalid_token",
		"__Host-session=" + text[:60] + "%5F" + text[60:]:  "invalid_token",
		"$Version=1; __Host-session=" + text + "; $Path=/": "", "a=b;__Host-session=" + text + ";": "", "session=x; __Host-session=" + text: "",
	} {
		want := map[string]int{"": 200}[code]
		if want == 0 {
			want = 401
		}
		if got := c.send("GET", "/api/profile", nil, with("Cookie", value)); got.status != want || got.code() != code {
			t.Errorf("%.40q was answered %d %s, want %d %s", value, got.status, got.body, want, code)
		}
	}
}

// Plain http on a laptop has cookies without prefix and without Secure; nothing but the configuration switches that.
func TestCookies_local(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) {
		w.cfg.Local, w.cfg.Domains, w.cfg.AllowedOrigins = true, []string{"localhost:3000"}, []string{"http://localhost:3000"}
	})
	c, alice := w.browser(), newAccount(t)
	c.header.Set("Origin", "http://localhost:3000")
	offer := c.send("GET", "/auth/nonce?chainId=1&address="+alice.address.Hex(), nil).wants(200, "")
	equal(t, "uri", offer.at("uri"), "http://localhost:3000")
	login := c.login(c.body(alice, offer.text("message"))).wants(200, "")
	got := strings.Join(append(offer.header["Set-Cookie"], login.header["Set-Cookie"]...), "\n")
	for _, name := range []string{"session=", "refresh=", "prelogin="} {
		if !strings.Contains("\n"+got, "\n"+name) {
			t.Errorf("set %s", got)
		}
	}
	if strings.Contains(got, "Secure") || strings.Contains(got, "__Host-") {
		t.Errorf("set %s", got)
	}
	c.profile().wants(200, "")
	text := login.cookies()["session"].Value
	w.script().send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+text)).wants(401, "no_credentials")
}

func TestCookies_attributes(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c, alice := w.browser(), newAccount(t)
	check := func(got answer, name, attributes string) {
		t.Helper()
		for _, line := range got.header["Set-Cookie"] {
			first, rest, _ := strings.Cut(line, "; ")
			if strings.HasPrefix(first, "__Host-"+name+"=") {
				if rest != attributes {
					t.Errorf("%s has %q, want %q", name, rest, attributes)
				}
				return
			}
		}
		t.Errorf("no %s among %q", name, got.header["Set-Cookie"])
	}
	first := c.send("GET", "/auth/nonce", nil)
	check(first, "prelogin", "Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax")
	login := c.signIn(alice)
	check(login, "session", "Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax")
	check(login, "refresh", "Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Strict")
	if strings.Contains(login.body, "lka_") || strings.Contains(login.body, "lkr_") || len(login.header["Set-Cookie"]) != 2 {
		t.Errorf("login answered %s and set %q", login.body, login.header["Set-Cookie"])
	}
	w.clock.add(10 * time.Minute)
	renewed := c.renew().wants(200, "")
	check(renewed, "session", "Path=/; Max-Age=42600; HttpOnly; Secure; SameSite=Lax")
	check(renewed, "refresh", "Path=/; Max-Age=42600; HttpOnly; Secure; SameSite=Strict")
	if strings.Contains(renewed.body, "lka_") || strings.Contains(renewed.body, "lkr_") {
		t.Errorf("refresh answered %s", renewed.body)
	}
	c.logout(nil).wants(204, "").forgets()

	// The pre-login cookie is kept where one is there, and replaced where it is none of ours.
	kept := c.send("GET", "/auth/nonce", nil).cookies()["__Host-prelogin"].Value
	again := c.send("GET", "/auth/nonce?transport=cookie", nil)
	equal(t, "the pre-login cookie", again.cookies()["__Host-prelogin"].Value, kept)
	check(again, "prelogin", "Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax")
	for _, bad := range []string{"x", strings.Repeat("A", 31), strings.Repeat("A", 33), strings.Repeat("*", 32), strings.Repeat("A", 4000), "", `"` + kept + `"`} {
		fresh := w.script().send("GET", "/auth/nonce", nil, with("Cookie", "__Host-prelogin="+bad)).cookies()["__Host-prelogin"].Value
		if fresh == bad || len(fresh) != 32 {
			t.Errorf("%.20q became %q", bad, fresh)
		}
	}
	if set := c.send("GET", "/auth/nonce?transport=bearer", nil).header["Set-Cookie"]; set != nil {
		t.Errorf("a nonce for bearer set %q", set)
	}
}

// A cookie that somebody planted is never adopted.
func TestCookies_fixation(t *testing.T) { // attack case 29
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		mallory := w.browser()
		mallory.signIn(newAccount(t))
		for _, planted := range []string{"lka_" + strings.Repeat("A", 119), mallory.cookie("session")} {
			victim := w.browser()
			request, err := http.NewRequest("GET", w.server.URL, nil)
			must(t, err)
			victim.http.Jar.SetCookies(request.URL, []*http.Cookie{{Name: "__Host-session", Value: planted, Path: "/", Secure: true}})
			victim.signIn(newAccount(t))
			if victim.cookie("session") == planted {
				t.Error("the planted cookie was adopted")
			}
			victim.profile().wants(200, "")
			if got := w.script().send("GET", "/api/profile", nil, with("Cookie", "__Host-session="+planted)); got.status != 401 {
				t.Errorf("the planted cookie opens: %s", got.body)
			}
		}
	})
}

// csrf is what a browser, or somebody who is none, tells of where a request comes from; and whether it may use cookies.
var csrf = []struct {
	name      string
	origins   []string
	fetchSite []string
	allowed   bool
}{
	{name: "page of ours", origins: []string{origin}, fetchSite: []string{"same-site"}, allowed: true},
	{name: "same origin", origins: []string{origin}, fetchSite: []string{"same-origin"}, allowed: true},
	{name: "old browser", origins: []string{origin}, allowed: true},
	{name: "another of ours", origins: []string{"https://admin.example.com"}, fetchSite: []string{"same-site"}, allowed: true},
	{name: "no Origin, same origin", fetchSite: []string{"same-origin"}, allowed: true},
	{name: "nothing"},
	{name: "no Origin, same site", fetchSite: []string{"same-site"}},
	{name: "no Origin, none", fetchSite: []string{"none"}},
	{name: "no Origin, cross site", fetchSite: []string{"cross-site"}},
	{name: "no Origin, other case", fetchSite: []string{"Same-Origin"}},
	{name: "no Origin, list", fetchSite: []string{"same-origin, cross-site"}},
	{name: "no Origin, two", fetchSite: []string{"same-origin", "cross-site"}},
	{name: "no Origin, twice", fetchSite: []string{"same-origin", "same-origin"}},
	{name: "ours but cross site", origins: []string{origin}, fetchSite: []string{"cross-site"}},
	{name: "ours but Cross-Site", origins: []string{origin}, fetchSite: []string{"Cross-Site"}},
	{name: "ours with a list", origins: []string{origin}, fetchSite: []string{"same-site,cross-site"}},
	{name: "ours with two", origins: []string{origin}, fetchSite: []string{"same-site", "cross-site"}},
	{name: "null, same origin", origins: []string{"null"}, fetchSite: []string{"same-origin"}, allowed: true}, // Referrer-Policy: no-referrer
	{name: "null alone", origins: []string{"null"}},
	{name: "null, same site", origins: []string{"null"}, fetchSite: []string{"same-site"}},
	{name: "null, none", origins: []string{"null"}, fetchSite: []string{"none"}},
	{name: "null, cross site", origins: []string{"null"}, fetchSite: []string{"cross-site"}},
	{name: "null, list", origins: []string{"null"}, fetchSite: []string{"same-origin", "cross-site"}},
	{name: "null in capitals", origins: []string{"NULL"}, fetchSite: []string{"same-origin"}},
	{name: "null twice", origins: []string{"null", "null"}, fetchSite: []string{"same-origin"}},
	{name: "empty", origins: []string{""}, fetchSite: []string{"same-origin"}},
	{name: "evil", origins: []string{"https://evil.example"}, fetchSite: []string{"same-origin"}},
	{name: "suffix", origins: []string{"https://app.example.com.evil.com"}},
	{name: "sibling", origins: []string{"https://other.example.com"}, fetchSite: []string{"same-site"}},
	{name: "http", origins: []string{"http://app.example.com"}},
	{name: "port", origins: []string{"https://app.example.com:443"}},
	{name: "slash", origins: []string{origin + "/"}},
	{name: "upper case", origins: []string{"https://APP.example.com"}},
	{name: "list", origins: []string{origin + "," + origin}},
	{name: "two, ours first", origins: []string{origin, "https://evil.example"}},
	{name: "two, ours last", origins: []string{"https://evil.example", origin}},
	{name: "wildcard", origins: []string{"*"}},
}

func TestCSRF(t *testing.T) { // attack case 30
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.opts.SessionLimit = 0 })
		for _, tt := range csrf {
			t.Run(tt.name, func(t *testing.T) {
				b, alice := w.browser(), newAccount(t)
				b.signIn(alice)
				from := func(r *http.Request) {
					r.Header.Del("Origin")
					r.Header.Del("Sec-Fetch-Site")
					for _, o := range tt.origins {
						r.Header.Add("Origin", o)
					}
					for _, s := range tt.fetchSite {
						r.Header.Add("Sec-Fetch-Site", s)
					}
				}
				wants := func(got answer, success int) {
					t.Helper()
					if tt.allowed {
						got.wants(success, "")
						return
					}
					got.wants(403, "origin_not_allowed")
					if set := got.header["Set-Cookie"]; set != nil {
						t.Errorf("set %q", set)
					}
				}
				stepUp := b.copyOf()
				stepUp.profile(from).wants(200, "") // reading needs no origin
				draws := from                       // a page of another site without an Origin of ours gets no nonce
				if slices.ContainsFunc(tt.fetchSite, func(s string) bool { return strings.Contains(strings.ToLower(s), "cross-site") }) &&
					!slices.Equal(tt.origins, []string{origin}) {
					b.send("GET", "/auth/nonce", nil, from).wants(403, "origin_not_allowed")
					draws = func(*http.Request) {}
				}
				b.send("GET", "/auth/nonce", nil, draws).wants(200, "")
				wants(stepUp.renew(from), 200)
				wants(stepUp.logout(nil, from, with("Cookie", "__Host-refresh="+b.cookie("refresh"))), 204)
				wants(stepUp.logout(nil, from, with("Cookie", "__Host-session="+b.cookie("session"))), 204)
				if !tt.allowed {
					stepUp.profile().wants(200, "")
				}
				fresh := w.browser()
				wants(fresh.login(fresh.body(alice, fresh.message(alice).String()), from), 200)
				other, bob := w.browser(), newAccount(t)
				other.signIn(bob)
				wants(other.stepUp(confirmation(bob, other.stepUpMessage(draws).String()), from), 200)

				// With a bearer there is nothing that a browser would send by itself.
				s := w.script()
				s.signIn(bob, from)
				s.take(s.stepUp(confirmation(bob, s.stepUpMessage(draws).String()), from).wants(200, ""))
				s.take(s.renew(from).wants(200, ""))
				s.logout(nil, from).wants(204, "")
			})
		}
	})
}

func TestMethods(t *testing.T) { // attack case 31
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/logout", "/auth/step-up"} {
			for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"} {
				if got := c.send(method, path, nil, bearer(c.access)); got.status != 404 {
					t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
				}
			}
		}
		override := []change{with("X-HTTP-Method-Override", "POST"), with("X-Method-Override", "DELETE"), with("X-HTTP-Method", "DELETE")}
		c.profile(override...).wants(200, "")
		if got := c.send("GET", "/auth/logout?_method=POST", nil, append(override, bearer(c.access))...); got.status != 404 {
			t.Errorf("%d %s", got.status, got.body)
		}
		c.profile().wants(200, "")
	})
}

// No function answers a preflight or lets a page of another origin read an answer: that is the gateway's alone.
func TestCORS(t *testing.T) { // attack case 32
	w, root := adminWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(root)
	for route, h := range w.routes() {
		method, path, _ := strings.Cut(route, " ")
		for _, from := range []string{"https://evil.example", "null", origin} {
			for _, method := range []string{method, "OPTIONS"} {
				got := c.past(h, method, path, nil, with("Origin", from), with("Access-Control-Request-Method", method),
					with("Access-Control-Request-Headers", "authorization"), with("Access-Control-Request-Private-Network", "true"))
				for name := range got.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s sets %s", method, path, from, name)
					}
				}
				if method == "OPTIONS" {
					got.wants(404, "not_found")
				}
			}
		}
	}
}

// A handler that is reached with a method it has no meaning for, past the gateway, says so itself.
func TestMethods_pastTheGateway(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	for name, h := range map[string]http.Handler{
		"Health": w.api.Health(), "Nonce": w.api.Nonce(), "Login": w.api.Login(), "Refresh": w.api.Refresh(),
		"Logout": w.api.Logout(), "Profile": w.api.Profile(), "StepUp": w.api.StepUp(),
	} {
		for _, method := range []string{"PUT", "DELETE", "OPTIONS", "TRACE", "get", "M-SEARCH"} {
			if got := serve(t, h, request(method, "/", "")); got.status != 404 || got.code() != "not_found" {
				t.Errorf("%s with %s: %d %s", name, method, got.status, got.body)
			}
		}
	}
	if got := serve(t, w.api.Login(), request("GET", "/auth/login", "")); got.code() != "not_found" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := serve(t, w.api.Profile(), request("POST", "/api/profile", "")); got.code() != "not_found" {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestRequestID(t *testing.T) { // attack case 33
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, tt := range []struct {
			given string
			kept  bool
		}{
			{"JKJaXmPLvHcESHA=", true}, {"a_b-c", true}, {strings.Repeat("x", 128), true},
			{strings.Repeat("x", 129), false}, {"", false}, {"a\r\nSet-Cookie: x=1", false}, {"a b", false}, {"é", false}, {`a"b`, false}, {"a\n", false},
		} {
			sent := request("GET", "/api/profile", "")
			sent.Header.Set("X-Request-Id", "from-the-client")
			got := serveAs(t, w.api.Profile(), sent, tt.given)
			id := got.header.Get("X-Request-Id")
			if (id == tt.given) != tt.kept || id == "" || id == "from-the-client" || strings.ContainsAny(id, "\r\n ") {
				t.Errorf("%q became %q", tt.given, id)
			}
			equal(t, "requestId", got.text("requestId"), id)
		}
		one, other := serveAs(t, w.api.Profile(), request("GET", "/api/profile", ""), ""), serveAs(t, w.api.Profile(), request("GET", "/api/profile", ""), "")
		if one.header.Get("X-Request-Id") == other.header.Get("X-Request-Id") {
			t.Error("two requests have one id")
		}
	})
}

func TestLogout_pairs(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		one, other := w.script(), w.script()
		one.signIn(newAccount(t))
		other.signIn(newAccount(t))
		pair := func(access, refresh string) answer {
			return w.script().send("POST", "/auth/logout", map[string]any{"refreshToken": refresh}, bearer(access))
		}
		pair(one.access, other.refresh).wants(400, badRequest)
		one.profile().wants(200, "")
		other.profile().wants(200, "")
		pair(one.access, one.refresh).wants(204, "")
		// An expired and superseded token is good enough for leaving, and leaving is never theft.
		first := *other
		for range 3 {
			w.clock.add(5 * time.Minute)
			other.take(other.renew().wants(200, ""))
		}
		w.script().send("POST", "/auth/logout", map[string]any{"refreshToken": first.refresh}).wants(204, "")
		equal(t, "reason", other.profile().wants(401, "session_ended").at("reason"), "logged_out")
	})
}

func TestRefresh_theft(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		c.signIn(newAccount(t))
		stolen := c.copyOf()
		c.w.clock.add(time.Minute)
		c.take(c.renew().wants(200, ""))
		c.w.clock.add(45 * time.Second)
		c.profile().wants(200, "")
		equal(t, "reason", stolen.renew().wants(401, "session_ended").at("reason"), "refresh_reused")
		equal(t, "reason", c.profile().wants(401, "session_ended").at("reason"), "refresh_reused")
		equal(t, "reason", c.renew().wants(401, "session_ended").at("reason"), "refresh_reused")
	})
}

// Many tabs refresh at once: one successor, one rotation, no error.
func TestRefresh_together(t *testing.T) { // attack case 34
	clients(t, func(t *testing.T, c *client) {
		c.signIn(newAccount(t))
		c.w.clock.add(time.Minute)
		tab := c.copyOf()
		c.w.log.Reset()
		var mu sync.Mutex
		var together sync.WaitGroup
		successors := map[string]int{}
		for range 100 {
			together.Go(func() {
				got := tab.renew()
				mu.Lock()
				defer mu.Unlock()
				successors[fmt.Sprint(got.status, got.header["Set-Cookie"], got.body[:strings.Index(got.body, `"expiresIn"`)])]++
			})
		}
		together.Wait()
		if len(successors) != 1 {
			t.Errorf("%d successors: %v", len(successors), successors)
		}
		rotations := 0
		for _, e := range c.w.lines("event") {
			if e["type"] == "refresh" && e["repeated"] == nil {
				rotations++
			}
		}
		equal(t, "rotations", rotations, 1)
	})
}
