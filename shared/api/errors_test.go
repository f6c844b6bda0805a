package api_test

import (
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// Too many requests are told how many there may be and when the next would pass.
func TestRateLimited(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(w *world) { w.opts.NonceRate = 4 })
		c := w.script()
		for range 4 {
			c.nonce()
		}
		w.log.Reset()
		refused := c.send("GET", "/auth/nonce", nil).wants(429, "rate_limited")
		checkProblem(t, refused)
		for name, want := range map[string]string{
			"Retry-After": "15", "RateLimit-Policy": `"nonce";q=4;w=60`, "RateLimit": `"nonce";r=0;t=15`,
		} {
			equal(t, name, refused.header.Get(name), want)
		}
		if refused.header["Set-Cookie"] != nil {
			t.Errorf("set %v", refused.header["Set-Cookie"])
		}
		w.wantsEvents("a refusal", "request failure reason=rate_limited")
		for _, tt := range []struct {
			later time.Duration
			want  string
		}{{12500 * time.Millisecond, "3"}, {1501 * time.Millisecond, "1"}} {
			w.clock.add(tt.later)
			equal(t, "Retry-After, rounded up", c.send("GET", "/auth/nonce", nil).wants(429, "rate_limited").header.Get("Retry-After"), tt.want)
		}
		w.clock.add(999 * time.Millisecond)
		c.nonce()
	})
}

// A message that is refused for a character is answered with its field and
// place, for whoever writes the message in a dapp. Nothing of it is logged.
func TestLogin_namesFieldAndPlace(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	for sent, want := range map[string]string{
		"Sign in f\u00fcr":   "statement: may have letters, digits, spaces and -._~:/?#[]@!$&'()*+,;= only (line 4, column 10: U+00FC)",
		"Sign in.\r\nThanks": "statement: a line must end with a line feed alone, without a carriage return (line 4, column 9: U+000D)",
	} {
		m := c.message(alice)
		m.Statement = &sent
		refused := c.login(c.body(alice, m.String())).wants(400, badMessage)
		equal(t, "detail", refused.text("detail"), want)
	}
	if strings.Contains(w.log.text(), "Sign in") {
		t.Errorf("logged %s", w.log.text())
	}
}
