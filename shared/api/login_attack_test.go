package api_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

// codes and their statuses at login.
const (
	badRequest = "invalid_request"
	badMessage = "invalid_message"
	refused    = "login_failed"
)

func status(code string) int {
	if code == refused {
		return 401
	}
	return 400
}

// clients runs a test as a browser and as a script, on both engines.
func clients(t *testing.T, test func(t *testing.T, c *client)) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		one, other := r.Under(t, r.Prefix+"b"), r.Under(t, r.Prefix+"s")
		t.Run("browser", func(t *testing.T) { test(t, newWorld(t, one).browser()) })
		t.Run("script", func(t *testing.T) { test(t, newWorld(t, other).script()) })
	})
}

// untouched asserts that nobody was signed in: no cookie, and no account in the store.
func (a answer) untouched(w *world) {
	a.t.Helper()
	if set := a.header["Set-Cookie"]; len(set) > 0 {
		a.t.Errorf("set %v", set)
	}
	if keys, err := w.redis.Client().Keys(ctx, w.redis.Prefix+":{???}:*").Result(); err != nil || len(keys) > 0 {
		a.t.Errorf("stored %q, %v", keys, err)
	}
}

func TestLogin_replay(t *testing.T) { // attack cases 1 and 2
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		body := c.body(alice, c.message(alice).String())
		c.login(body).wants(200, "")
		if set := c.login(body).wants(401, refused).cookies(); len(set) > 0 {
			t.Errorf("a replay set %v", set)
		}
		equal(t, "reason", c.w.last("login")["reason"], "nonce_reused")

		body = c.body(alice, c.message(alice).String())
		var mu sync.Mutex
		var together sync.WaitGroup
		count := map[int]int{}
		for range 50 {
			together.Go(func() {
				got := c.login(body)
				mu.Lock()
				defer mu.Unlock()
				count[got.status]++
			})
		}
		together.Wait()
		if count[200] != 1 || count[401] != 49 {
			t.Errorf("50 equal logins were answered %v", count)
		}
	})
}

// last is the last event of a type.
func (w *world) last(kind string) map[string]any {
	w.t.Helper()
	var found map[string]any
	for _, e := range w.lines("event") {
		if e["type"] == kind {
			found = e
		}
	}
	if found == nil {
		w.t.Fatalf("no event %s in %s", kind, w.log.text())
	}
	return found
}

func TestLogin_nonce(t *testing.T) { // attack case 3
	clients(t, func(t *testing.T, c *client) {
		alice, w := newAccount(t), c.w
		try := func(nonce, reason string) {
			t.Helper()
			m := c.message(alice)
			m.Nonce = nonce
			c.login(c.body(alice, m.String())).wants(401, refused).untouched(w)
			equal(t, "reason", w.last("login")["reason"], reason)
		}
		try("neverIssued0123456789a", "nonce_unknown")
		try("tooshort", "nonce_unknown")
		expired := c.nonce()
		w.clock.add(5 * time.Minute)
		try(expired, "nonce_expired")
		try(c.otherTransport().nonce(), "nonce_unknown")
		if c.transport == "cookie" {
			try(w.browser().nonce(), "nonce_unknown") // another browser's
			alone := c.nonce()
			c.http.Jar = nil
			try(alone, "nonce_unknown") // without the pre-login cookie
		}
	})
}

func (c *client) otherTransport() *client {
	other := *c
	other.transport = map[string]string{"cookie": "bearer", "bearer": "cookie"}[c.transport]
	return &other
}

// A nonce that was refused is used up, also for its rightful holder.
func TestLogin_refusalCostsTheNonce(t *testing.T) {
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		m := c.message(alice)
		good := c.body(alice, m.String())
		c.login(c.body(newAccount(t), m.String())).wants(401, refused)
		c.login(good).wants(401, refused)
		equal(t, "reason", c.w.last("login")["reason"], "nonce_reused")

		// What the bytes alone decide costs nothing.
		m = c.message(alice)
		good = c.body(alice, m.String())
		c.login(map[string]any{"message": m.String(), "signature": "0xabc", "transport": c.transport}).wants(400, badRequest)
		c.login(map[string]any{"message": m.String() + "\n", "signature": good["signature"], "transport": c.transport}).wants(400, badMessage)
		c.login(good).wants(200, "")
	})
}

// messageAttacks change a message that is then signed by its own account.
func messageAttacks() []struct {
	name, code string
	change     func(m *siwe.Message)
} {
	in := func(m *siwe.Message, d time.Duration) *siwe.Time {
		x := siwe.NewTime(m.IssuedAt.Instant().Add(d))
		return &x
	}
	set := func(field *string, value string) { *field = value }
	return []struct {
		name, code string
		change     func(m *siwe.Message)
	}{
		{"case 5: evil domain", refused, func(m *siwe.Message) { set(&m.Domain, "evil.com") }},
		{"case 5: evil domain and URI", refused, func(m *siwe.Message) { m.Domain, m.URI = "evil.com", "https://evil.com" }},
		{"case 5: suffix", refused, func(m *siwe.Message) { set(&m.Domain, domain+".evil.com") }},
		{"case 5: upper case", refused, func(m *siwe.Message) { set(&m.Domain, "APP.example.com") }},
		{"case 5: port", refused, func(m *siwe.Message) { set(&m.Domain, domain+":443") }},
		{"case 5: userinfo", badMessage, func(m *siwe.Message) { set(&m.Domain, domain+"@evil.com") }},
		{"case 5: cyrillic", badMessage, func(m *siwe.Message) { set(&m.Domain, "аpp.example.com") }},
		{"case 5: trailing dot", refused, func(m *siwe.Message) { set(&m.Domain, domain+".") }},
		{"case 5: empty", badMessage, func(m *siwe.Message) { set(&m.Domain, "") }},
		{"case 6: http", refused, func(m *siwe.Message) { set(&m.Scheme, "http") }},
		{"case 6: javascript", refused, func(m *siwe.Message) { set(&m.Scheme, "javascript") }},
		{"case 7: other origin", refused, func(m *siwe.Message) { set(&m.URI, "https://evil.com/") }},
		{"case 7: origin continued", refused, func(m *siwe.Message) { set(&m.URI, origin+".evil.com") }},
		{"case 7: another of our domains", refused, func(m *siwe.Message) { set(&m.URI, "https://admin.example.com") }},
		{"case 7: http", refused, func(m *siwe.Message) { set(&m.URI, "http://app.example.com") }},
		{"case 7: relative", badMessage, func(m *siwe.Message) { set(&m.URI, "/login") }},
		{"case 7: line feed", badMessage, func(m *siwe.Message) { set(&m.URI, origin+"\nVersion: 1") }},
		{"case 7: 3 kB", badMessage, func(m *siwe.Message) { set(&m.URI, origin+"/"+strings.Repeat("x", 3000)) }},
		{"case 8: unlisted", refused, func(m *siwe.Message) { m.ChainID = 2 }},
		{"case 8: 99999999", refused, func(m *siwe.Message) { m.ChainID = 99999999 }},
		{"case 10: issued in an hour", refused, func(m *siwe.Message) { m.IssuedAt = *in(m, time.Hour) }},
		{"case 10: issued a day ago", refused, func(m *siwe.Message) { m.IssuedAt = *in(m, -24*time.Hour) }},
		{"case 10: expires now", refused, func(m *siwe.Message) { m.ExpirationTime = in(m, 0) }},
		{"case 10: expired", refused, func(m *siwe.Message) { m.ExpirationTime = in(m, -time.Second) }},
		{"case 10: expired, with not-before", refused, func(m *siwe.Message) {
			m.ExpirationTime, m.NotBefore = in(m, -time.Second), in(m, -time.Minute)
		}},
		{"case 10: not before a minute and a second", refused, func(m *siwe.Message) { m.NotBefore = in(m, time.Minute+time.Second) }},
		{"case 11: field injection", badMessage, func(m *siwe.Message) {
			injected := "Sign in.\n\nURI: https://evil\nVersion: 1"
			m.Statement = &injected
		}},
		{"another statement", refused, func(m *siwe.Message) { other := "Sign out."; m.Statement = &other }},
		{"no statement", refused, func(m *siwe.Message) { m.Statement = nil }},
		{"case 13: nonce in the request id alone", refused, func(m *siwe.Message) {
			real := m.Nonce
			m.Nonce, m.RequestID = "neverIssued0123456789a", &real
		}},
		{"case 13: nonce in a resource alone", refused, func(m *siwe.Message) {
			m.Resources = []string{"https://app.example.com/" + m.Nonce}
			m.Nonce = "neverIssued0123456789a"
		}},
		{"case 14: zero address", badMessage, func(m *siwe.Message) { m.AddressText = "0x" + strings.Repeat("0", 40) }},
		{"case 14: 0X", badMessage, func(m *siwe.Message) { m.AddressText = "0X" + m.Address.Hex()[2:] }},
		{"case 14: 39 digits", badMessage, func(m *siwe.Message) { m.AddressText = strings.ToLower(m.Address.Hex()[:41]) }},
		{"case 14: 41 digits", badMessage, func(m *siwe.Message) { m.AddressText = strings.ToLower(m.Address.Hex()) + "0" }},
		{"case 14: checksum", badMessage, func(m *siwe.Message) { m.AddressText = flipCase(m.Address.Hex()) }},
		{"eleven resources", badMessage, func(m *siwe.Message) {
			m.Resources = strings.Fields(strings.Repeat("https://app.example.com/ ", 11))
		}},
	}
}

// flipCase changes the case of one letter of an address with two letters or more.
func flipCase(address string) string {
	for i := len(address) - 1; i > 1; i-- {
		if address[i] > '9' {
			return address[:i] + string(address[i]^0x20) + address[i+1:]
		}
	}
	return address
}

// textAttacks change the text of a message, which is then signed as it is.
var textAttacks = []struct {
	name, code string
	old, new   string // a regular expression and what takes its place
}{
	{"case 6: no such scheme", badMessage, `^`, "://"},
	{"case 8: chain 0", badMessage, `Chain ID: 1`, "Chain ID: 0"},
	{"case 8: chain 01", badMessage, `Chain ID: 1`, "Chain ID: 01"},
	{"case 8: chain 2^64", badMessage, `Chain ID: 1`, "Chain ID: 18446744073709551616"},
	{"case 8: chain 2^64+1", badMessage, `Chain ID: 1`, "Chain ID: 18446744073709551617"},
	{"case 8: chain +1", badMessage, `Chain ID: 1`, "Chain ID: +1"},
	{"case 8: full-width", badMessage, `Chain ID: 1`, "Chain ID: １"},
	{"case 9: version 2", badMessage, `Version: 1`, "Version: 2"},
	{"case 9: no version", badMessage, `Version: 1\n`, ""},
	{"case 9: version and a space", badMessage, `Version: 1`, "Version: 1 "},
	{"case 10: 30 February", badMessage, `2026-11-23T`, "2026-02-30T"},
	{"case 10: leap second", badMessage, `10:00:00\.000Z`, "10:00:60.000Z"},
	{"case 10: year 99999", badMessage, `2026-11-23T`, "99999-11-23T"},
	{"case 11: CR", badMessage, `Sign in\.`, "Sign\rin."},
	{"case 11: NUL", badMessage, `Sign in\.`, "Sign\x00in."},
	{"case 11: ESC", badMessage, `Sign in\.`, "Sign\x1bin."},
	{"case 11: U+202E", badMessage, `Sign in\.`, "Sign\u202ein."},
	{"case 11: U+2028", badMessage, `Sign in\.`, "Sign\u2028in."},
	{"case 11: DEL", badMessage, `Sign in\.`, "Sign\x7fin."},
	{"case 12: separator not blank", badMessage, `\n\nURI`, "\n \nURI"},
	{"case 12: one more blank line", badMessage, `\n\nURI`, "\n\n\nURI"},
	{"case 12: trailing line feed", badMessage, `$`, "\n"},
	{"case 12: CRLF", badMessage, `\n`, "\r\n"},
	{"case 12: BOM", badMessage, `^`, "\ufeff"},
	{"case 12: tab", badMessage, `URI: `, "URI:\t"},
	{"case 12: two spaces", badMessage, `Nonce: `, "Nonce:  "},
	{"case 13: nonce twice", badMessage, `(Nonce: \w+\n)`, "$1$1"},
	{"case 13: chain twice", badMessage, `(Chain ID: 1\n)`, "$1$1"},
	{"case 13: out of order", badMessage, `(Chain ID: 1\n)(Nonce: \w+\n)`, "$2$1"},
	{"not a message", badMessage, `(?s)^.*$`, "hello"},
	{"empty", badMessage, `(?s)^.*$`, ""},
}

func TestLogin_messages(t *testing.T) { // attack cases 5 to 14
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		for _, tt := range messageAttacks() {
			t.Run(tt.name, func(t *testing.T) {
				m := c.message(alice)
				tt.change(m)
				c.login(c.body(alice, m.String())).wants(status(tt.code), tt.code).untouched(c.w)
			})
		}
		for _, tt := range textAttacks {
			t.Run(tt.name, func(t *testing.T) {
				text := c.message(alice).String()
				changed := regexp.MustCompile(tt.old).ReplaceAllString(text, tt.new)
				if changed == text {
					t.Fatal("nothing was changed")
				}
				c.login(c.body(alice, changed)).wants(status(tt.code), tt.code).untouched(c.w)
			})
		}
	})
}

func TestLogin_messageNamesTheField(t *testing.T) {
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	text := strings.Replace(c.message(alice).String(), "Version: 1", "Version: 2", 1)
	if detail := c.login(c.body(alice, text)).wants(400, badMessage).text("detail"); !strings.Contains(detail, "version") {
		t.Errorf("detail is %q", detail)
	}
	huge := c.body(alice, c.message(alice).String()+strings.Repeat("x", 4096))
	c.login(huge).wants(413, "too_large").untouched(w)
}

// signatureAttacks are texts in place of a good signature: what they are made of, and the answer.
func signatureAttacks() []struct {
	name, code string
	make       func(good []byte) string
} {
	hexed := func(f func(b []byte) []byte) func([]byte) string {
		return func(good []byte) string { return "0x" + hex.EncodeToString(f(append([]byte(nil), good...))) }
	}
	v := func(v byte) func([]byte) string { return hexed(func(b []byte) []byte { b[64] = v; return b }) }
	part := func(from int, value *big.Int) func([]byte) string {
		return hexed(func(b []byte) []byte { value.FillBytes(b[from : from+32]); return b })
	}
	n := crypto.S256().Params().N
	list := []struct {
		name, code string
		make       func(good []byte) string
	}{
		{"empty", badRequest, func([]byte) string { return "" }},
		{"0x", refused, func([]byte) string { return "0x" }},
		{"odd", badRequest, func(b []byte) string { return "0x" + hex.EncodeToString(b)[1:] }},
		{"no prefix", badRequest, func(b []byte) string { return hex.EncodeToString(b) }},
		{"0X", badRequest, func(b []byte) string { return "0X" + hex.EncodeToString(b) }},
		{"not hex", badRequest, func([]byte) string { return "0x" + strings.Repeat("zz", 65) }},
		{"space", badRequest, func(b []byte) string { return "0x" + hex.EncodeToString(b) + " " }},
		{"64 bytes of a full one", refused, func(b []byte) string { return "0x" + hex.EncodeToString(b[1:]) }},
		{"66 bytes", refused, hexed(func(b []byte) []byte { return append(b, 0) })},
		{"6 kB", refused, func([]byte) string { return "0x" + strings.Repeat("00", 6000) }},
		{"r = 0", refused, part(0, new(big.Int))},
		{"s = 0", refused, part(32, new(big.Int))},
		{"r = n", refused, part(0, n)},
		{"s = n", refused, part(32, n)},
		{"r above n", refused, part(0, new(big.Int).Add(n, big.NewInt(1)))},
		{"high-s twin", refused, hexed(func(b []byte) []byte {
			s := new(big.Int).SetBytes(b[32:64])
			s.Sub(n, s).FillBytes(b[32:64])
			b[64] ^= 1 // 27 and 28 differ in the last bit but one; both ways are tried below
			return b
		})},
		{"high-s twin, other parity", refused, hexed(func(b []byte) []byte {
			s := new(big.Int).SetBytes(b[32:64])
			s.Sub(n, s).FillBytes(b[32:64])
			b[64] = 55 - b[64]
			return b
		})},
		{"case 19: ERC-6492 wrapper", refused, hexed(func(b []byte) []byte {
			magic, _ := hex.DecodeString(strings.Repeat("6492", 16))
			return append(append(make([]byte, 96), b...), magic...)
		})},
	}
	for _, bad := range []byte{2, 26, 29, 31, 54, 255} {
		list = append(list, struct {
			name, code string
			make       func(good []byte) string
		}{fmt.Sprint("v = ", bad), refused, v(bad)})
	}
	return list
}

func TestLogin_signatures(t *testing.T) { // attack cases 4, 15, 17, 19
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		try := func(t *testing.T, code string, sign func(text string) string) {
			t.Helper()
			text := c.message(alice).String()
			body := map[string]any{"message": text, "signature": sign(text), "transport": c.transport}
			c.login(body).wants(status(code), code).untouched(c.w)
		}
		for _, tt := range signatureAttacks() {
			t.Run("case 15: "+tt.name, func(t *testing.T) {
				try(t, tt.code, func(text string) string { return tt.make(alice.signature(text)) })
			})
		}
		t.Run("case 4: another key", func(t *testing.T) { try(t, refused, newAccount(t).sign) })
		digest := func(parts ...string) func(string) string {
			return func(text string) string {
				filled := strings.ReplaceAll(strings.Join(parts, ""), "TEXT", text)
				filled = strings.ReplaceAll(filled, "LENGTH", fmt.Sprint(len(text)))
				signature, err := crypto.Sign(crypto.Keccak256([]byte(filled)), alice.key)
				must(t, err)
				signature[64] += 27
				return "0x" + hex.EncodeToString(signature)
			}
		}
		for name, sign := range map[string]func(string) string{
			"no prefix":    digest("TEXT"),
			"prefix twice": func(text string) string { d := wallet.Digest([]byte(text)); return alice.sign(string(d[:])) },
			"EIP-712":      digest("\x19\x01", strings.Repeat("\x00", 32), "TEXT"),
			"other length": digest("\x19Ethereum Signed Message:\n", "1", "LENGTH", "TEXT"),
			"length as a byte": func(text string) string {
				return digest("\x19Ethereum Signed Message:\n"+string(rune(len(text)%128)), "TEXT")(text)
			},
		} {
			t.Run("case 17: "+name, func(t *testing.T) { try(t, refused, sign) })
		}
		t.Run("case 15: 1 MB", func(t *testing.T) {
			body := `{"message":"","signature":"0x` + strings.Repeat("00", 100_000) + `"}`
			c.login(body).wants(413, "too_large")
		})
		// v of 0 and 1, as hardware wallets write it, and EIP-2098 are signatures like any other.
		c.login(c.with(alice, func(b []byte) []byte { b[64] -= 27; return b })).wants(200, "")
	})
}

// with is a login's body whose good signature was changed.
func (c *client) with(a account, change func([]byte) []byte) map[string]any {
	c.w.t.Helper()
	text := c.message(a).String()
	return map[string]any{"message": text, "signature": "0x" + hex.EncodeToString(change(a.signature(text))), "transport": c.transport}
}

// compact is the 64 bytes of EIP-2098.
func compact(b []byte) []byte {
	b[32] |= (b[64] - 27) << 7
	return b[:64]
}

func TestLogin_compactSignature(t *testing.T) { // attack case 16
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		for range 4 { // both parities are likely among them
			c.login(c.with(alice, compact)).wants(200, "")
		}
		text := c.message(alice).String()
		full := c.body(alice, text)
		c.login(full).wants(200, "")
		full["signature"] = "0x" + hex.EncodeToString(compact(alice.signature(text)))
		c.login(full).wants(401, refused)
	})
}

func TestLogin_submittedIsNotSigned(t *testing.T) { // attack case 18
	clients(t, func(t *testing.T, c *client) {
		alice := newAccount(t)
		for _, tt := range []struct{ old, new, code string }{
			{"URI: https://", "URI: HTTPS://", refused},
			{"Chain ID: 1", "Chain ID: 01", badMessage},
			{"Chain ID: 1", "Chain ID: 8453", refused},
			{"10:00:00.000Z", "10:00:00Z", refused},
			{"10:00:00.000Z", "10:00:00.000+00:00", refused},
			{"app.example.com wants", "https://app.example.com wants", refused},
			{alice.address.Hex(), strings.ToLower(alice.address.Hex()), refused},
		} {
			text := c.message(alice).String()
			body := c.body(alice, text)
			body["message"] = strings.Replace(text, tt.old, tt.new, 1)
			c.login(body).wants(status(tt.code), tt.code).untouched(c.w)
		}
	})
}

// Whatever rule a well-formed login breaks, the answer is the same to the byte.
func TestLogin_failuresLookAlike(t *testing.T) { // attack case 67
	clients(t, func(t *testing.T, c *client) {
		alice, w := newAccount(t), c.w
		known := newAccount(t)
		w.script().signIn(known)
		seen := map[string][]string{}
		note := func(name string, got answer) {
			t.Helper()
			shape := got.wants(401, refused).shape()
			seen[shape] = append(seen[shape], name)
		}
		for _, tt := range messageAttacks() {
			if tt.code == refused {
				m := c.message(alice)
				tt.change(m)
				note(tt.name, c.login(c.body(alice, m.String())))
			}
		}
		for _, tt := range signatureAttacks() {
			if tt.code == refused {
				text := c.message(alice).String()
				note(tt.name, c.login(map[string]any{"message": text, "signature": tt.make(alice.signature(text)), "transport": c.transport}))
			}
		}
		note("a known account", c.login(c.body(alice, c.message(known).String())))
		spent := c.body(alice, c.message(alice).String())
		c.login(spent).wants(200, "")
		note("spent", c.login(spent))
		m := c.message(alice)
		w.clock.add(5 * time.Minute)
		note("expired", c.login(c.body(alice, m.String())))
		w.block(known.address, alice.address)
		note("a blocked account, another key", c.login(c.body(alice, c.message(known).String())))
		if len(seen) != 1 {
			t.Errorf("%d kinds of answer: %v", len(seen), seen)
		}
	})
}

// Only on a laptop does the answer tell why.
func TestLogin_reasonOnlyLocally(t *testing.T) {
	for _, local := range []bool{true, false} {
		w := newWorld(t, redistest.Embedded(t), func(w *world) { w.cfg.Local = local })
		c, alice := w.script(), newAccount(t)
		m := c.message(alice)
		m.Domain = "evil.com"
		detail := c.login(c.body(alice, m.String())).wants(401, refused).text("detail")
		if strings.Contains(detail, "domain") != local {
			t.Errorf("local %v: detail is %q", local, detail)
		}
	}
}

// A browser's nonce belongs to that browser: a message that somebody else signed and slipped in signs nobody in.
func TestLogin_crossSite(t *testing.T) { // attack case 21
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		mallory := newAccount(t)
		evil, victim := w.browser(), w.browser()
		body := evil.body(mallory, evil.message(mallory).String())
		victim.nonce()
		for _, from := range [][]change{
			{with("Origin", "https://evil.example"), with("Sec-Fetch-Site", "cross-site")},
			{with("Origin", "null"), with("Sec-Fetch-Site", "cross-site")},
			{with("Origin", origin), with("Sec-Fetch-Site", "cross-site")},
			{without("Origin"), without("Sec-Fetch-Site")},
		} {
			victim.login(body, from...).wants(403, "origin_not_allowed").untouched(w)
		}
		for _, enctype := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
			victim.login(body, with("Content-Type", enctype), with("Origin", "https://evil.example")).wants(415, "unsupported_media_type").untouched(w)
		}
		victim.login(body).wants(401, refused).untouched(w)
	})
}

// forbidden is a transport that nothing may use.
type forbidden struct{ t *testing.T }

func (f forbidden) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("%s was asked", r.URL)
	return nil, errors.New("forbidden")
}

// forbidCalls lets a test fail where anything asks by HTTP, or asks for a name.
func forbidCalls(t *testing.T) {
	transport, resolver := http.DefaultTransport, net.DefaultResolver
	t.Cleanup(func() { http.DefaultTransport, net.DefaultResolver = transport, resolver })
	http.DefaultTransport = forbidden{t}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		t.Errorf("%s was asked for a name", address)
		return nil, errors.New("forbidden")
	}}
}

// word is a number or an address as a contract's call has it.
func word(b ...byte) []byte { return append(make([]byte, 32-len(b)), b...) }

// contractSignatures are what contract wallets sign with.
func contractSignatures(good []byte) map[string][]byte {
	info := []byte("https://rpc.evil.example/")
	blob := slices.Concat(word(bytes.Repeat([]byte{0xfa}, 20)...), word(96), word(160), word(byte(len(info))), info, make([]byte, 32-len(info)),
		word(65), good, make([]byte, 31))
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	return map[string][]byte{
		"ERC-6492": append(blob, magic...), "ERC-6492 around nothing": magic, "EIP-1271, two owners": append(good, good...),
		"EIP-1271, one word": word(1), "EIP-1271, none": {},
	}
}

// With contract wallets off their signatures are refused like any other, and no call leaves the function: neither for
// them, nor because a chain or a header suggests where to ask.
func TestLogin_contractWallets(t *testing.T) { // attack cases 19 and 20
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		var dials atomic.Int64
		opts := r.ProductOptions()
		opts.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		rdb := redis.NewClient(opts)
		defer rdb.Close()
		w, alice := newWorldOn(t, r, rdb), newAccount(t)
		c := w.script()
		c.signIn(alice)
		forbidCalls(t)
		before := dials.Load()
		for name := range contractSignatures(make([]byte, 65)) {
			for _, chain := range []uint64{1, 8453} {
				m := c.message(alice)
				m.ChainID = chain
				text := m.String()
				for route, body := range map[string]map[string]any{
					"/auth/login":   {"message": text, "transport": "bearer"},
					"/auth/step-up": {"message": c.stepUpMessage().String()},
				} {
					text, _ := body["message"].(string)
					body["signature"] = "0x" + hex.EncodeToString(contractSignatures(alice.signature(text))[name])
					got := c.past(w.routes()["POST "+route], "POST", route, body, with("X-Rpc-Url", "https://rpc.evil.example/"))
					if got.status != 401 || got.code() != refused {
						t.Errorf("%s at %s: %d %s", name, route, got.status, got.body)
					}
				}
			}
		}
		if n := dials.Load() - before; n != 0 {
			t.Errorf("%d connections were opened", n)
		}
	})
}

// uncounted is a Redis that refuses to count.
type uncounted struct{}

func (uncounted) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (uncounted) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (uncounted) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if cmd.Name() == "incr" {
				return errors.New("OOM")
			}
		}
		return next(ctx, cmds)
	}
}

// Every well-formed login that was not accepted is counted, a replay too; the answer is the same where it cannot be.
func TestLogin_failuresAreCounted(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		rdb := redis.NewClient(r.ProductOptions())
		defer rdb.Close()
		w, alice := newWorldOn(t, r, rdb), newAccount(t)
		c := w.script()
		counted := func() (n int) {
			for key, value := range w.dump(t) {
				if strings.HasPrefix(key, w.redis.Prefix+":f") {
					var failures int
					_, err := fmt.Sscan(value, &failures)
					must(t, err)
					n += failures
				}
			}
			return n
		}
		bad := func() answer { return c.login(c.body(newAccount(t), c.message(alice).String())) }
		bad().wants(401, refused)
		m := c.message(alice)
		m.Domain = "evil.com"
		body := c.body(alice, m.String())
		c.login(body).wants(401, refused)
		equal(t, "failures", counted(), 2)

		c.login(body).wants(401, refused) // a replay too
		c.login(nil).wants(400, badRequest)
		c.signIn(alice)
		c.stepUp(confirmation(newAccount(t), c.stepUpMessage().String())).wants(401, refused) // is no login
		w.block(alice.address)
		c.login(c.body(alice, c.message(alice).String())).wants(403, "account_blocked")
		equal(t, "failures", counted(), 3)

		rdb.AddHook(uncounted{})
		bad().wants(401, refused)
		equal(t, "failures", counted(), 3)
		if len(w.lines("failed login not counted")) != 1 {
			t.Errorf("logged %s", w.log.text())
		}
	})
}

// The limit of a role that the configuration gives holds from the first login on.
func TestLogin_limitOfAGrantedRole(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, root := adminWorld(t, r, func(w *world) { w.opts.SessionLimit, w.opts.RoleLimits = 1, map[string]int{"admin": 3} })
		for i := range 4 {
			evicted, _ := w.script().signIn(root).at("evicted").([]any)
			equal(t, fmt.Sprint("evicted by login ", i), len(evicted), max(0, i-2))
		}
		alice := newAccount(t)
		w.script().signIn(alice)
		evicted, _ := w.script().signIn(alice).at("evicted").([]any)
		equal(t, "evicted by a second login", len(evicted), 1)
	})
}
