package lambdahttp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// FuzzResponse holds that a response says what the handler said, read by
// another reader as the type of AWS' own package.
func FuzzResponse(f *testing.F) {
	f.Add(200, "Content-Type", "application/json", "a=1; Path=/", `{"a":"<&>\u2028é"}`)
	f.Add(204, "X-Odd", "a\"b\\c\x00\x7f\xff", "", "")
	f.Add(503, "Retry-After", "1", "a=\xff", "\x00\xff\xfe binary")
	f.Fuzz(func(t *testing.T, status int, name, value, cookie, body string) {
		if status == 0 {
			status = http.StatusOK // none was given
		}
		name = "X-" + strings.ToValidUTF8(name, "") // never Set-Cookie, which has a list of its own
		a := newResponseWriter()
		a.header[name] = []string{value, "second"}
		a.header["Set-Cookie"] = []string{cookie, "last=1"}
		a.WriteHeader(status)
		_, _ = a.Write([]byte(body[:len(body)/2]))
		_, _ = a.Write([]byte(body[len(body)/2:]))
		a.WriteHeader(status + 1) // too late
		raw, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		var r events.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		got := r.Body
		if r.IsBase64Encoded {
			decoded, err := base64.StdEncoding.DecodeString(got)
			if err != nil || utf8.ValidString(body) {
				t.Errorf("%q as base64 of %q", got, body)
			}
			got = string(decoded)
		}
		readable := func(s string) string { return string([]rune(s)) } // U+FFFD for what is not UTF-8
		if got != body || r.StatusCode != status || len(r.Headers) != 1 || r.Headers[name] != readable(value+",second") ||
			strings.Join(r.Cookies, "|") != readable(cookie)+"|last=1" {
			t.Errorf("%q became %+v", []string{name, value, cookie, body}, r)
		}
	})
}

func TestResponse_silence(t *testing.T) {
	if raw, err := newResponseWriter().encode(); err == nil {
		t.Errorf("a handler that says nothing answered %s", raw)
	}
	a := newResponseWriter()
	_, _ = a.Write([]byte("x"))
	if raw, err := a.encode(); err != nil || !strings.Contains(string(raw), `"statusCode":200,`) {
		t.Errorf("%s, %v", raw, err)
	}
	var _ http.ResponseWriter = a
}
