package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/chain"
	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

// bodies are what no route takes, with what the answer's detail must name.
var bodies = []struct{ name, body, names string }{
	{"duplicate", `{"refreshToken":"a","refreshToken":"b"}`, "refreshToken"},
	{"duplicate, escaped", `{"refreshToken":"a","refresh\u0054oken":"b"}`, "refreshToken"},
	{"other case", `{"REFRESHTOKEN":"a"}`, "REFRESHTOKEN"},
	{"folding", "{\"refreshTo\u212aen\":\"a\"}", "unknown"},
	{"unknown", `{"refreshToken":"a","role":"admin"}`, "role"},
	{"empty name", `{"":"a"}`, "unknown"},
	{"trailing object", `{"refreshToken":"a"}{}`, ""},
	{"trailing text", `{"refreshToken":"a"} x`, ""},
	{"trailing comma", `{"refreshToken":"a",}`, ""},
	{"array", `["refreshToken"]`, "object"},
	{"string", `"refreshToken"`, "object"},
	{"null", `null`, "object"},
	{"number", `7`, "object"},
	{"spaces alone", "  \n", ""},
	{"cut", `{"refreshToken":"a`, ""},
	{"number for a string", `{"refreshToken":7}`, "refreshToken"},
	{"null for a string", `{"refreshToken":null}`, "refreshToken"},
	{"bool for a string", `{"refreshToken":true}`, "refreshToken"},
	{"array for a string", `{"refreshToken":["a"]}`, "refreshToken"},
	{"object for a string", `{"refreshToken":{"a":1}}`, "refreshToken"},
	{"huge number", `{"refreshToken":1e999999}`, ""},
	{"invalid UTF-8", "{\"refreshToken\":\"\xff\"}", "JSON"},
	{"invalid UTF-8 in a name", "{\"refreshToken\xff\":\"a\"}", ""},
	{"overlong", "{\"refreshToken\":\"\xc0\x80\"}", ""},
	{"lone surrogate", `{"refreshToken":"a\ud800b"}`, "refreshToken"},
	{"surrogates the wrong way round", `{"refreshToken":"\udc00\ud800"}`, "refreshToken"},
	{"replacement character", "{\"refreshToken\":\"\ufffd\"}", "refreshToken"},
	{"raw control character", "{\"refreshToken\":\"a\nb\"}", ""},
	{"BOM", "\ufeff{}", ""},
	{"comment", `{/**/}`, ""},
	{"single quotes", `{'refreshToken':'a'}`, ""},
	{"deep arrays", strings.Repeat("[", 16000), ""},
	{"deep arrays, closed", strings.Repeat("[", 8000) + strings.Repeat("]", 8000), ""},
	{"deep within a field", `{"refreshToken":` + strings.Repeat(`[`, 7000) + strings.Repeat(`]`, 7000) + `}`, "refreshToken"},
	{"deep objects", strings.Repeat(`{"a":`, 3000), ""},
	{"many unknown", "{" + strings.Repeat(`"a":1,`, 2500) + `"a":1}`, ""},
	{"form", `refreshToken=a`, ""},
}

func TestBody_malformed(t *testing.T) { // attack case 22
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			started := time.Now()
			for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/logout"} {
				got := c.send("POST", path, tt.body, bearer(c.access)).wants(400, badRequest)
				if path == "/auth/refresh" && !strings.Contains(got.text("detail"), tt.names) {
					t.Errorf("detail is %q", got.text("detail"))
				}
			}
			if took := time.Since(started); took > time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	c.profile().wants(200, "")
}

func TestBody_loginFields(t *testing.T) { // attack cases 22 and 47
	w, alice := newWorld(t, redistest.Embedded(t)), newAccount(t)
	c := w.script()
	good := c.body(alice, c.message(alice).String())
	for name, change := range map[string]func(map[string]any){
		"message: is missing":   func(b map[string]any) { delete(b, "message") },
		"signature: is missing": func(b map[string]any) { delete(b, "signature") },
		"role":                  func(b map[string]any) { b["role"] = "admin" },
		"roles":                 func(b map[string]any) { b["roles"] = []string{"admin"} },
		"MESSAGE":               func(b map[string]any) { b["MESSAGE"] = b["message"] },
		"transport":             func(b map[string]any) { b["transport"] = "Cookie" },
		"transport must be":     func(b map[string]any) { b["transport"] = "" },
		"transport: must be":    func(b map[string]any) { b["transport"] = nil },
		"signature: must be":    func(b map[string]any) { b["signature"] = []int{1} },
		"message: must be":      func(b map[string]any) { b["message"] = 1 },
	} {
		body := map[string]any{}
		for k, v := range good {
			body[k] = v
		}
		change(body)
		if detail := c.login(body).wants(400, badRequest).text("detail"); !strings.Contains(detail, name) {
			t.Errorf("%s: detail is %q", name, detail)
		}
	}
	c.login(nil).wants(400, badRequest)
	c.login(good).wants(200, "") // none of that cost the nonce
	c.signIn(alice)
	c.logout(map[string]any{"everywhere": "true"}).wants(400, badRequest)
	c.logout(map[string]any{"everywhere": 1}).wants(400, badRequest)
	c.logout(map[string]any{"everywhere": nil}).wants(400, badRequest)
	c.profile().wants(200, "")
}

// A field that is a list holds strings and nothing else, and must be there like any other.
func TestBody_list(t *testing.T) { // attack case 22
	for body, want := range map[string][]string{
		`{"list":[]}`: {}, `{"list":["a"]}`: {"a"}, ` { "list" : [ "a" , "b" , "a" ] } `: {"a", "b", "a"},
	} {
		if got, err := api.List(body); err != nil || got == nil || !slices.Equal(got, want) {
			t.Errorf("%s is %q, %v", body, got, err)
		}
	}
	for _, body := range []string{
		`{}`, `{"list":null}`, `{"list":"a"}`, `{"list":{"0":"a"}}`, `{"list":[1]}`, `{"list":[null]}`, `{"list":[["a"]]}`, `{"list":[{}]}`,
		`{"list":["a",true]}`, `{"list":["a\ud800"]}`, `{"list":["a"],"list":["b"]}`, `{"list":["a"]]}`, `{"list":["a",]}`, `{"list":["a"}`,
		`{"list":` + strings.Repeat("[", 7000) + strings.Repeat("]", 7000) + `}`,
	} {
		if got, err := api.List(body); err == nil {
			t.Errorf("%.60s is %q", body, got)
		}
	}
}

// A name that may be a token in the wrong place is not repeated.
func TestBody_longNames(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	got := c.send("POST", "/auth/refresh", map[string]any{c.refresh: "x"}).wants(400, badRequest)
	if strings.Contains(got.body, "lkr_") || strings.Contains(w.log.text(), "lkr_") {
		t.Errorf("the answer repeats the token: %s", got.body)
	}
}

func TestBody_types(t *testing.T) { // attack cases 21 and 22
	w := newWorld(t, redistest.Embedded(t))
	c := w.script()
	c.signIn(newAccount(t))
	body := `{"refreshToken":"` + c.refresh + `"}`
	kind := func(value string) answer {
		return c.send("POST", "/auth/refresh", body, with("Content-Type", value))
	}
	for _, good := range []string{
		"application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON", `application/json; charset="utf-8"`,
		"application/json; profile=x",
	} {
		kind(good).wants(200, "")
	}
	for _, bad := range []string{
		"", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
		"application/json; charset=utf-16", "application/json; charset=iso-8859-1", "application/json; charset=", "application/json, text/plain",
		"application/json;;charset", "application/problem+json", "application/merge-patch+json", "application/*", "json",
	} {
		kind(bad).wants(415, "unsupported_media_type")
	}
	c.send("POST", "/auth/refresh", body, without("Content-Type")).wants(415, "unsupported_media_type")
	c.send("POST", "/auth/refresh", body, more("Content-Type", "text/plain")).wants(415, "unsupported_media_type")
	for _, encoding := range []string{"gzip", "br", "identity", ""} {
		c.send("POST", "/auth/refresh", body, with("Content-Encoding", encoding)).wants(415, "unsupported_media_type")
		c.send("POST", "/auth/logout", nil, with("Content-Encoding", encoding)).wants(415, "unsupported_media_type")
	}
	c.renew().wants(200, "")
	// No body needs no type, and an empty object is as good.
	c.send("POST", "/auth/logout", "", bearer(c.access), without("Content-Type")).wants(204, "")
	c.send("POST", "/auth/logout", "{}", bearer(c.access)).wants(204, "")
	b := w.browser()
	b.signIn(newAccount(t))
	b.send("POST", "/auth/refresh", "{}").wants(200, "")
	b.send("POST", "/auth/refresh", " { } ").wants(200, "")
}

func TestBody_size(t *testing.T) { // attack case 22
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		c := w.script()
		c.signIn(newAccount(t))
		padded := func(n int) string {
			body := `{"refreshToken":"` + c.refresh + `"}`
			return body + strings.Repeat(" ", n-len(body))
		}
		c.send("POST", "/auth/refresh", padded(16<<10)).wants(200, "")
		c.send("POST", "/auth/refresh", padded(16<<10+1)).wants(413, "too_large")
		c.send("POST", "/auth/refresh", padded(100_000)).wants(413, "too_large")
		// What is too long is not read to its end.
		read := new(endless)
		long := request("POST", "/auth/login", "")
		long.Body = read
		serve(t, w.api.Login(), long).wants(413, "too_large")
		if read.n > 64<<10 {
			t.Errorf("%d bytes were read", read.n)
		}
		c.profile().wants(200, "")
	})
}

// A signed message has more room: the longest message and the longest signature fit, and one byte over 32 KiB does not.
func TestBody_sizeOfASignedMessage(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		chains := &asked{answer: func(q chain.Question) error {
			if len(q.Signature) != wallet.MaxSignature {
				t.Errorf("the signature has %d bytes", len(q.Signature))
			}
			return nil
		}}
		w := newWorld(t, r, chains.world)
		c, safe := w.script(), contractOf(t, owner)
		longest := func(text string) map[string]any {
			const resource = "\n- https://"
			text += "\nResources:" + resource + strings.Repeat("x", 2000) + resource
			text += strings.Repeat("y", siwe.MaxLength-len(text))
			if len(text) != siwe.MaxLength {
				t.Fatalf("the message has %d bytes", len(text))
			}
			return map[string]any{"message": text, "signature": "0x" + strings.Repeat("ab", wallet.MaxSignature)}
		}
		padded := func(body map[string]any, n int) string {
			text, err := json.Marshal(body)
			must(t, err)
			return string(text) + strings.Repeat(" ", n-len(text))
		}
		login := longest(c.message(safe).String())
		login["transport"] = "bearer"
		c.login(padded(login, 32<<10+1)).wants(413, "too_large")
		c.take(c.login(padded(login, 32<<10)).wants(200, ""))
		up := longest(c.stepUpMessage().String())
		c.stepUp(padded(up, 32<<10+1)).wants(413, "too_large")
		c.take(c.stepUp(padded(up, 32<<10)).wants(200, ""))
		if n := chains.calls.Load(); n != 2 {
			t.Errorf("the chain was asked %d times", n)
		}
	})
}

// endless is a body of spaces without end.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.n += len(p)
	return len(p), nil
}

func (e *endless) Close() error { return nil }

// helmetHeaders are those that helmet 8 sends for an API that serves no page.
var helmetHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
	"Cache-Control":           "no-store", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	"Origin-Agent-Cluster": "?1", "Referrer-Policy": "no-referrer", "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
	"X-Content-Type-Options": "nosniff", "X-Dns-Prefetch-Control": "off", "X-Download-Options": "noopen", "X-Frame-Options": "DENY",
	"X-Permitted-Cross-Domain-Policies": "none", "X-Xss-Protection": "0",
}

func TestHeaders(t *testing.T) {
	own := redistest.Embedded(t)
	w := newWorld(t, own)
	c := w.script()
	login := c.signIn(newAccount(t))
	answers := map[string]answer{
		"200 health": c.send("GET", "/health", nil).wants(200, ""), "200 nonce": c.send("GET", "/auth/nonce", nil).wants(200, ""),
		"200 login": login, "200 profile": c.profile().wants(200, ""), "200 refresh": c.renew().wants(200, ""),
		"400": c.login("{").wants(400, badRequest), "401": c.profile(bearer("x")).wants(401, "invalid_token"),
		"403": c.login(map[string]any{"message": "", "signature": ""}).wants(403, "origin_not_allowed"), "413": c.login(strings.Repeat(" ", 40000)).wants(413, "too_large"),
		"415": c.login("x", with("Content-Type", "text/plain")).wants(415, "unsupported_media_type"),
		"404": serve(t, w.api.Login(), request("GET", "/auth/login", "")).wants(404, "not_found"),
		"204": c.logout(nil).wants(204, ""),
	}
	r := request("POST", "/auth/login", "")
	r.Body = panicking{}
	answers["500"] = serve(t, w.api.Login(), r).wants(500, "internal")
	own.Mini.Close()
	answers["503"] = c.profile().wants(503, "unavailable")
	answers["503 health"] = c.send("GET", "/health", nil).wants(503, "")
	for name, got := range answers {
		for header, want := range helmetHeaders {
			if all := got.header[header]; len(all) != 1 || all[0] != want {
				t.Errorf("%s: %s is %q, want %q", name, header, all, want)
			}
		}
		if len(got.header["X-Request-Id"]) != 1 || got.header.Get("X-Powered-By")+got.header.Get("Server") != "" {
			t.Errorf("%s: %v", name, got.header)
		}
		contentType := got.header.Get("Content-Type")
		switch {
		case name == "204":
			if contentType != "" || got.body != "" {
				t.Errorf("%s: %q %q", name, contentType, got.body)
			}
		case got.status >= 400 && name != "503 health":
			if contentType != "application/problem+json" {
				t.Errorf("%s: %q", name, contentType)
			}
			checkProblem(t, got)
		case contentType != "application/json":
			t.Errorf("%s: %q", name, contentType)
		}
		if after := got.header.Get("Retry-After"); (after == "1") != (got.status == 503) {
			t.Errorf("%s: Retry-After %q", name, after)
		}
	}
}

// checkProblem holds a problem to RFC 9457 and to the contract, and keeps our insides out of it.
func checkProblem(t testing.TB, got answer) {
	t.Helper()
	more := map[string][]string{"forbidden": {"permission"}, "session_ended": {"reason", "endedAt"}}[got.code()]
	names(t, "problem", got.object(), append(more, "type", "title", "status", "code", "detail", "requestId")...)
	equal(t, "type", got.at("type"), "about:blank")
	equal(t, "title", got.at("title"), http.StatusText(got.status))
	equal(t, "status", got.at("status"), float64(got.status))
	equal(t, "requestId", got.at("requestId"), got.header.Get("X-Request-Id"))
	for _, inside := range []string{"redis", "dial", "127.0.0.1", "goroutine", ".go:", "lk:", "panic", "session."} {
		if strings.Contains(strings.ToLower(got.body), inside) {
			t.Errorf("%s tells of %q", got.body, inside)
		}
	}
	if !json.Valid([]byte(got.body)) {
		t.Errorf("%q", got.body)
	}
}

// panicking is a body that panics when it is read.
type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("injected: \x1b[31m secret") }
func (panicking) Close() error             { return nil }

// What never was a request is answered like one that is wrong, under the gateway's request id.
func TestMalformed(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	w.call = func(c *api.RequestInfo) { c.Malformed, c.RequestID = true, "gateway-1" }
	got := w.script().send("GET", "/api/profile?token=lka_secret", nil)
	checkProblem(t, got.wants(400, badRequest))
	equal(t, "X-Request-Id", got.header.Get("X-Request-Id"), "gateway-1")
	if requests, events := w.lines("request"), w.lines("event"); len(requests) != 1 || len(events) != 1 || events[0]["reason"] != badRequest {
		t.Errorf("logged %v, %v", requests, events)
	}
	for header, want := range helmetHeaders {
		equal(t, header, got.header.Get(header), want)
	}
	if strings.Contains(got.body, "secret") || got.header["Set-Cookie"] != nil {
		t.Errorf("answered %v %s", got.header, got.body)
	}
}
