package authorizer_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"latchkey/local/test/redistest"
	"latchkey/shared/authorizer"
	"latchkey/shared/session"
)

// No event makes a panic, an answer that is none, or an allowed request without
// a valid token in it.
func FuzzInvoke(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f), func(s *settings) { s.rules = rules(f, "GET /orders*=orders:read") })
	g := w.signIn(alice, session.Bearer)
	for _, s := range shapes {
		text, err := os.ReadFile(filepath.Join("testdata", string(s)+".json"))
		must(f, err)
		f.Add(text)
		f.Add(newEvent(f, s).bearer("TOKEN").payload())
		f.Add(newEvent(f, s).bearer("TOKEN").set("1.0", "version").payload())
		if s != restToken {
			f.Add(newEvent(f, s).cookie("__Host-session=TOKEN").header("Origin", origin).payload())
			f.Add(newEvent(f, s).header("Sec-WebSocket-Protocol", "latchkey, TOKEN").payload())
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, token := range []string{g.RefreshToken, g.AccessToken} {
			payload := bytes.ReplaceAll(text, []byte("TOKEN"), []byte(token))
			got := read(t, func() ([]byte, error) { return w.Invoke(ctx, payload) })
			switch got.outcome {
			case "deny":
			case "Unauthorized":
				if got.text != "" {
					t.Errorf("Unauthorized with %s", got.text)
				}
			case "allow":
				if token != g.AccessToken || !holds(payload, token) || got.context["sessionId"] != g.Session.ID.String() {
					t.Errorf("allowed %s", payload)
				}
			default:
				t.Errorf("error %s", got.outcome)
			}
		}
		if strings.Contains(w.log.text(), `"stack"`) || strings.Contains(w.log.text(), g.AccessToken) {
			t.Errorf("logged %s", w.log.text())
		}
		w.forget()
	})
}

// forget drops what was logged so far.
func (w *world) forget() {
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	w.log.Reset()
}

// FuzzParseRule holds that what is taken for a rule is written out byte for
// byte, and has a method in capitals and a path that a request can have.
func FuzzParseRule(f *testing.F) {
	for _, text := range []string{
		"GET /orders*=orders:read", "* /*=a", "* /=a=b", "DELETE /a.b/c_d/~e-f=x", "GET /orders", "get /a=a", "GET /a/../b=a", "GET /a//b=a",
		"GET /a%20b=a", "GET /{id}=a", "GET /caf\u00e9*=a", " /a=a", "GET /a*b=a", "GET /a\n=a", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := authorizer.ParseRule(text)
		if err != nil {
			if r != (authorizer.Rule{}) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %+v, %v", text, r, err)
			}
			return
		}
		end := ""
		if r.Prefix {
			end = "*"
		}
		if r.Method+" "+r.Path+end+"="+r.Permission != text {
			t.Errorf("%q is taken for %+v", text, r)
		}
		if r.Method != "*" && (r.Method == "" || strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") || r.Permission == "" {
			t.Errorf("%q is taken for %+v", text, r)
		}
		complete := r.Path
		if r.Prefix {
			complete += "x"
		}
		if complete != path.Clean("/"+complete) || strings.ContainsAny(r.Path, "*{}%\\;?#") || strings.ContainsFunc(r.Path, unicode.IsControl) {
			t.Errorf("%q has the path %q", text, r.Path)
		}
	})
}

// folded is one spelling for all that differ in case only.
func folded(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// decodedToTheEnd is a path without any encoding.
func decodedToTheEnd(text string) string {
	for {
		decoded, err := url.PathUnescape(text)
		if err != nil || decoded == text {
			return text
		}
		text = decoded
	}
}

// cleanReading is what a backend makes of a decoded path that it cleans, in one
// case.
func cleanReading(text string) string {
	return folded(path.Clean(strings.ReplaceAll("/"+text, `\`, "/")))
}

// without returns the compatibility form of a text without some characters.
func without(text string, dropped func(rune) bool) string {
	return strings.Map(func(r rune) rune {
		if dropped(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(text))
}

// bestFit is part of what servers make of characters that their code page does
// not have.
var bestFit = strings.NewReplacer("\u00f8", "o", "\u00df", "ss", "\u00e6", "ae", "\u0111", "d", "\u2013", "-", "\u2019", "'", "\u03b1", "a", "\u03b5", "e", "\u2044", "/")

// everyReading is what backends could make of a path: decoded to the end, in
// Unicode's compatibility form, without accents, in another code page, or
// without what is not ASCII; then without parameters and without spaces and dots
// around its segments, cleaned, and in one case.
func everyReading(text string) []string {
	text = decodedToTheEnd(text)
	texts := []string{
		text, norm.NFKC.String(text), bestFit.Replace(text), bestFit.Replace(strings.ToLower(text)),
		without(text, func(r rune) bool { return unicode.Is(unicode.Mn, r) }),
	}
	ascii := without(text, func(r rune) bool { return r > unicode.MaxASCII })
	if !slices.Contains(strings.Split(ascii, "/")[1:], "") {
		texts = append(texts, ascii)
	}
	for i, text := range texts {
		segments := strings.Split(strings.ReplaceAll(text, `\`, "/"), "/")
		for j, segment := range segments {
			segment, _, _ = strings.Cut(segment, ";")
			segments[j] = strings.TrimRight(strings.Trim(segment, " +"), " +.")
		}
		texts[i] = cleanReading(strings.Join(segments, "/"))
	}
	return texts
}

// guardedBy says that a rule of FuzzRules applies to a reading, with what may
// stand in front of it: a stage or a base path, or nothing.
var guardedBy = map[bool]*regexp.Regexp{
	true: regexp.MustCompile(`/secret|/admin/x( *\.[^/]*)?$`), false: regexp.MustCompile(`^/secret|^/admin/x( *\.[^/]*)?$`),
}

// FuzzRules holds that no spelling of a path, under whatever stage or base
// path, gets past a rule: whoever lacks the permission is let through to no
// path that a backend could read as a guarded one, nor to one of which two
// servers could read other segments.
func FuzzRules(f *testing.F) {
	f.Add("GET", "/orders/7")
	f.Add("GET", "/prod/secret/7")
	f.Add("POST", "/SECRET")
	f.Add("GET", "/%73ecret")
	f.Add("GET", "/%2573ecret")
	f.Add("GET", "/orders/../secret")
	f.Add("GET", "/orders//secret")
	f.Add("get", "/orders/%2e%2e/secret")
	f.Add("HEAD", `/orders\secret`)
	f.Add("GET", "/orders;/secret")
	f.Add("GET", "/\u017fecret")
	f.Add("GET", "/admin/x%20")
	f.Add("GET", "/admin./x.")
	f.Add("GET", "/\uff41dmin/x")
	f.Add("GET", "/admin/x.json")
	f.Add("GET", "/admin\uff0fx")
	f.Add("GET", "/\u00e1dm\u0131n/x")
	f.Add("GET", "/s\u03b5cr\u00e9t/5")
	f.Add("GET", "/ad\u65e5min/x+")
	f.Add("*", "/*")
	f.Add("GET", "")
	w := newWorld(f, redistest.Embedded(f), func(s *settings) {
		s.rules = rules(f, "* /secret*=secret:read", "* /secrets=a", "GET /orders/secret=a", "* /admin/x=admin:read")
	})
	g := w.signIn(alice, session.Bearer)
	f.Fuzz(func(t *testing.T, method, target string) {
		w.forget()
		if !utf8.ValidString(method + target) {
			return // no event says that
		}
		for _, s := range byPath {
			got := w.decide(newEvent(t, s).request(method, target, "/{proxy+}").bearer(g.AccessToken))
			if got.outcome != "allow" {
				continue
			}
			if s == restToken {
				if strings.Contains(method, "/") || !strings.HasPrefix(target, "/") {
					continue // an ARN in which the path begins elsewhere
				}
				if strings.ContainsAny(got.resource, "*?") || !strings.HasSuffix(got.resource, "/"+method+target) {
					t.Errorf("%s %q is allowed as %s", method, target, got.resource)
				}
			}
			if slices.ContainsFunc(everyReading(target), guardedBy[s != restToken].MatchString) {
				t.Errorf("%s: %s %q is allowed, and reads as %q", s, method, target, everyReading(target))
			}
			reading := cleanReading(decodedToTheEnd(target))
			if strings.ContainsAny(norm.NFKC.String(reading), `%;\?#`) || reading != folded(decodedOnce(target)) {
				t.Errorf("%s: %s %q is allowed", s, method, target)
			}
		}
	})
}

func decodedOnce(text string) string {
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return decoded
}

// FuzzARN holds that a policy is about the stage that was asked about and
// nothing beside it: what stands in an ARN behind the stage is the client's,
// and what stands before it must be API Gateway's.
func FuzzARN(f *testing.F) {
	for _, arn := range []string{
		"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/orders", "arn:aws-cn:execute-api:cn-north-1:1:a/$default/POST/*/?",
		"arn:aws:execute-api:*:123456789012:abcdef123/test/GET/", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/te*t/GET/",
		"arn:aws:s3:::bucket/a/b",
		"arn:aws:execute-api:us-east-1:123456789012:/test/GET/", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test", "", "*",
		"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/$connect",
	} {
		f.Add(arn)
	}
	w := newWorld(f, redistest.Embedded(f))
	g := w.signIn(alice, session.Bearer)
	f.Fuzz(func(t *testing.T, arn string) {
		w.forget()
		for _, s := range []shape{http1, restRequest, restToken} {
			got := w.decide(newEvent(t, s).set(arn, "methodArn").bearer(g.AccessToken))
			if got.outcome == "deny" && (got.form == "simple") != (arn == "") {
				t.Errorf("%s: %q is denied %s", s, arn, got.text)
			}
			if got.form == "simple" || got.outcome == "deny" && got.resource == "*" {
				continue
			}
			stage, whole := strings.CutSuffix(got.resource, "/*")
			api, name, _ := strings.Cut(stage, "/")
			if !whole || !strings.HasPrefix(arn, stage+"/") || name == "" || strings.Contains(name, "/") || strings.Count(api, ":") != 5 ||
				!strings.HasPrefix(api, "arn:") || strings.ContainsAny(stage, "*?") || len(got.resource) > 512 {
				t.Errorf("%s: %q is answered about %q", s, arn, got.resource)
			}
		}
	})
}

// FuzzSubprotocol holds that a handshake opens by a token only where it comes
// right behind the subprotocol, which is there once; whatever else is made of
// the header denies.
func FuzzSubprotocol(f *testing.F) {
	for _, offered := range []string{
		"latchkey, TOKEN", "chat,latchkey\t,TOKEN , graphql", "latchkey\nTOKEN", "TOKEN, latchkey", "latchkey, latchkey, TOKEN",
		"latchkey, TOKEN, latchkey", "latchkey", "latchkey,,TOKEN", "Latchkey, TOKEN", "latchkey TOKEN", "",
	} {
		f.Add(offered)
	}
	w := newWorld(f, redistest.Embedded(f))
	g := w.signIn(alice, session.Bearer)
	alone := regexp.MustCompile(`^latchkey[ \t]*,[ \t]*TOKEN$`)
	f.Fuzz(func(t *testing.T, offered string) {
		w.forget()
		lines := strings.Split(strings.ReplaceAll(offered, "TOKEN", g.AccessToken), "\n")
		got := w.decide(newEvent(t, webSocket).header("Sec-WebSocket-Protocol", lines...))
		if got.outcome == "allow" && !offers(lines, g.AccessToken) || got.outcome != "allow" && alone.MatchString(offered) {
			t.Errorf("%q: %s", offered, got.outcome)
		}
	})
}

// offers reports whether the subprotocol stands among the items once and the
// token right behind it, in the order that lines have which came as a map's.
func offers(lines []string, token string) bool {
	slices.Sort(lines)
	before, after, _ := strings.Cut(","+strings.Join(lines, ",")+",", token)
	trim := func(text string) []string {
		items := strings.Split(text, ",")
		for i := range items {
			items[i] = strings.Trim(items[i], " \t")
		}
		return items
	}
	front := trim(before)
	return len(front) > 1 && front[len(front)-1] == "" && front[len(front)-2] == "latchkey" &&
		!slices.Contains(front[:len(front)-2], "latchkey") && !slices.Contains(trim(after), "latchkey")
}

// holds reports whether a text stands in JSON, whichever way its letters are
// written.
func holds(payload []byte, text string) bool {
	var any any
	if json.Unmarshal(payload, &any) != nil {
		return false
	}
	plain, err := json.Marshal(any)
	return err == nil && bytes.Contains(plain, []byte(text))
}

// An answer is the same for one event whenever it is asked, whatever order a
// map has.
func TestInvoke_deterministic(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, session.Bearer)
	e := newEvent(t, restRequest).bearer(g.AccessToken).set("Basic eDp5", "headers", "authorization").set("Basic eDp5", "headers", "AUTHORIZATION")
	for range 50 {
		w.refused("three spellings", "invalid_request", e)
	}
}
