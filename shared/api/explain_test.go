package api_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/siwe"
)

// changed returns a message with one change.
func changed(m *siwe.Message, change func(*siwe.Message)) *siwe.Message {
	change(m)
	return m
}

func textOf(text string) *string { return &text }

// Locally a failed login says what was wanted and what came, in the answer and
// in the log.
func TestLogin_explainsLocally(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.Local = true }), newAccount(t)
	c := w.script()
	for want, change := range map[string]func(*siwe.Message){
		`domain: wanted "app.example.com" or "admin.example.com", got "evil.example"`:                                        func(m *siwe.Message) { m.Domain = "evil.example" },
		`scheme: wanted "https", got "http"`:                                                                                 func(m *siwe.Message) { m.Scheme = "http" },
		`uri: wanted "https://app.example.com" or a URI there, got "https://evil.example"`:                                   func(m *siwe.Message) { m.URI = "https://evil.example" },
		`chain: wanted 1 or 8453, got 5`:                                                                                     func(m *siwe.Message) { m.ChainID = 5 },
		`statement: wanted "Sign in.", got "Sign in with Ethereum to the app."`:                                              func(m *siwe.Message) { m.Statement = textOf("Sign in with Ethereum to the app.") },
		`statement: wanted "Sign in.", got none`:                                                                             func(m *siwe.Message) { m.Statement = nil },
		`resources: wanted at most one "urn:recap:" resource, the last one, as in ERC-5573, got "urn:recap:x"`:               func(m *siwe.Message) { m.Resources = []string{"urn:recap:x"} },
		`nonce unknown: it was never issued, has expired, or was issued for another transport or browser: request a new one`: func(m *siwe.Message) { m.Nonce = "aaaaaaaaaaaaaaaaaaaaaa" },
	} {
		m := changed(c.message(alice), change)
		detail := c.login(c.body(alice, m.String())).wants(401, refused).text("detail")
		equal(t, "detail", detail, "the login was not accepted: "+want)
		equal(t, "in the log", w.lastRequest()["problem"], want)
	}
	past, ahead := siwe.NewTime(w.clock.now().Add(-time.Hour)), siwe.NewTime(w.clock.now().Add(time.Hour))
	for name, tt := range map[string]struct {
		change func(*siwe.Message)
		got    siwe.Time
	}{
		"issued-at":     {func(m *siwe.Message) { m.IssuedAt = past }, past},
		"expired":       {func(m *siwe.Message) { m.ExpirationTime = &past }, past},
		"not-yet-valid": {func(m *siwe.Message) { m.NotBefore = &ahead }, ahead},
	} {
		m := changed(c.message(alice), tt.change)
		detail := c.login(c.body(alice, m.String())).wants(401, refused).text("detail")
		if !strings.HasPrefix(detail, "the login was not accepted: "+name+": wanted ") || !strings.HasSuffix(detail, ", got "+tt.got.String()) {
			t.Errorf("%s: %q", name, detail)
		}
	}
}

// lastRequest is the last line of the access log.
func (w *world) lastRequest() map[string]any {
	lines := w.lines("request")
	return lines[len(lines)-1]
}

// A nonce that is unknown because its cookie was not kept is the first thing
// that goes wrong in a page.
func TestLogin_explainsAnUnknownNonce(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.Local = true }), newAccount(t)
	const include = "or the nonce was requested without credentials: 'include'"
	page, other := w.browser(), w.browser()
	body := page.body(alice, page.message(alice).String())
	other.nonce() // so it has a cookie, but not that of the nonce
	if detail := other.login(body).wants(401, refused).text("detail"); !strings.Contains(detail, "nonce unknown") || !strings.HasSuffix(detail, include) {
		t.Errorf("cookie: %q", detail)
	}
	c := w.script()
	body = c.body(alice, page.message(alice).String())
	if detail := c.login(body).wants(401, refused).text("detail"); !strings.Contains(detail, "nonce unknown") || strings.Contains(detail, "include") {
		t.Errorf("bearer: %q", detail)
	}
}

// Outside local development the page is told one thing: that its request has no
// pre-login cookie, and for programs, that its browser keeps none. That is told
// whichever rule the login broke, so the answers are alike.
func TestLogin_withoutPreLoginCookie(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	const plain = "the login was not accepted"
	const cookieless = plain + ": the request has no pre-login cookie: send it, and the request for the nonce, " +
		"with credentials: 'include', from a page on the API's site"
	page := w.browser()
	attempts := map[string]func() map[string]any{
		"another domain": func() map[string]any {
			return page.body(alice, changed(page.message(alice), func(m *siwe.Message) { m.Domain = "evil.example" }).String())
		},
		"another statement": func() map[string]any {
			return page.body(alice, changed(page.message(alice), func(m *siwe.Message) { m.Statement = textOf("x") }).String())
		},
		"another's signature": func() map[string]any { return page.body(newAccount(t), page.message(alice).String()) },
		"unknown nonce": func() map[string]any {
			return page.body(alice, changed(page.message(alice), func(m *siwe.Message) { m.Nonce = "aaaaaaaaaaaaaaaaaaaaaa" }).String())
		},
		"another browser's nonce": func() map[string]any { return page.body(alice, page.message(alice).String()) },
	}
	explains := func(name string, got answer, detail, reason string) {
		t.Helper()
		got.wants(401, refused)
		equal(t, name, got.text("detail"), detail)
		equal(t, name+": the reason", got.text("reason"), reason)
	}
	for name, body := range attempts {
		bare := w.browser() // never asked for a nonce
		explains(name+", no cookie", bare.login(body()), cookieless, "no_prelogin_cookie")
		late := body()
		w.clock.add(w.store.NonceLife() + time.Millisecond)
		explains(name+", late, no cookie", bare.login(late), cookieless, "")
		bare.nonce()
		explains(name+", with a cookie", bare.login(body()), plain, "")
		spoken := body()
		spoken["transport"] = "bearer"
		explains(name+", bearer", w.script().login(spoken), plain, "")
	}
	for _, line := range w.lines("request") {
		if line["problem"] != nil {
			t.Errorf("logged %v", line)
		}
	}
}

// A refused origin is named in the developer's log, with what to set.
func TestOrigin_explainsLocally(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.Local = true })
	for want, change := range map[string]change{
		`; the origin "http://localhost:5173" is not allowed: add its host to SIWE_DOMAINS, or the origin to ALLOWED_ORIGINS if that is set`: with("Origin", "http://localhost:5173"),
		`; it has no Origin header`: func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") },
		`; its Sec-Fetch-Site is "cross-site": page and API must be on one site, such as both on localhost`: with("Sec-Fetch-Site", "cross-site"),
	} {
		w.browser().login(map[string]any{"message": "", "signature": ""}, change).wants(403, "origin_not_allowed")
		if problem, _ := w.lastRequest()["problem"].(string); !strings.HasSuffix(problem, want) {
			t.Errorf("got  %s\nwant %s", problem, want)
		}
	}
}

// Several statements: the first is offered, and each is accepted, also with the
// sentence of a ReCap.
func TestLogin_severalStatements(t *testing.T) {
	const own = "Sign in with Ethereum to the app."
	w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.OtherStatements = []string{"I am in.", own} })
	clients := []*client{w.script(), w.browser()}
	for _, c := range clients {
		alice := newAccount(t)
		equal(t, "offered", c.send("GET", "/auth/nonce?transport="+c.transport, nil).text("statement"), "Sign in.")
		for statement, code := range map[string]string{"Sign in.": "", "I am in.": "", own: "", own + " I am in.": refused, "Sign in.  ": refused} {
			m := changed(c.message(alice), func(m *siwe.Message) { m.Statement = &statement })
			c.login(c.body(alice, m.String())).wants(map[string]int{"": 200, refused: 401}[code], code)
		}
		recap := "urn:recap:" + base64.RawURLEncoding.EncodeToString([]byte(`{"att":{"eip155":{"request/personal_sign":[{"chains":["eip155:1"]}]}}}`))
		const sentence = " I further authorize the stated URI to perform the following actions on my behalf: (1) 'request': 'personal_sign' for 'eip155'."
		for statement, code := range map[string]string{"Sign in." + sentence: "", own + sentence: "", own: refused} {
			m := changed(c.message(alice), func(m *siwe.Message) { m.Statement, m.Resources = &statement, []string{recap} })
			c.login(c.body(alice, m.String())).wants(map[string]int{"": 200, refused: 401}[code], code)
		}
	}
}

// Each statement has its own for a step-up, and none is for both.
func TestStepUp_severalStatements(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.OtherStatements = []string{"I am in."} })
	c, alice := w.script(), newAccount(t)
	c.signIn(alice)
	for statement, code := range map[string]string{
		"I am in. Confirm that it is you.": "", stepUpStatement: "", "I am in.": refused, "Sign in.": refused,
	} {
		m := changed(c.stepUpMessage(), func(m *siwe.Message) { m.Statement = &statement })
		got := c.stepUp(confirmation(alice, m.String())).wants(map[string]int{"": 200, refused: 401}[code], code)
		c.take(got)
	}
	equal(t, "offered", c.challenge().text("statement"), stepUpStatement)
}
