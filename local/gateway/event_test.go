package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// capture sends a request to the echo function and returns the event it got, decoded
// by Lambda's own types, and as it stood in JSON.
func capture(t testing.TB, request string) (events.APIGatewayV2HTTPRequest, map[string]any) {
	t.Helper()
	response, body := send(t, echo, request)
	if response.StatusCode != 200 {
		t.Fatalf("%s: %s", response.Status, body)
	}
	var e events.APIGatewayV2HTTPRequest
	var raw map[string]any
	if err := errors.Join(json.Unmarshal([]byte(body), &e), json.Unmarshal([]byte(body), &raw)); err != nil {
		t.Fatal(err)
	}
	return e, raw
}

func TestEvent(t *testing.T) {
	e, raw := capture(t, `POST /auth/login?b=two&a=x%20y&b=t%2Cr&c HTTP/1.1
Host: localhost:3000
Content-Type: application/json
User-Agent: test/1
X-Twice: one
x-twice: two
Cookie: session=a=b; theme="dark"
Cookie: third=3
X-Forwarded-For: 203.0.113.9
Content-Length: 9

{"a":"b"}`)
	headers := map[string]string{
		"host": "localhost:3000", "content-type": "application/json", "user-agent": "test/1",
		"x-twice": "one,two", "content-length": "9", "x-forwarded-port": "3000",
		"x-forwarded-proto": "http", "x-forwarded-for": "203.0.113.9, 127.0.0.1",
		"x-amzn-trace-id": e.Headers["x-amzn-trace-id"],
	}
	http := e.RequestContext.HTTP
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"version", e.Version, "2.0"},
		{"routeKey", e.RouteKey, "POST /auth/login"},
		{"rawPath", e.RawPath, "/auth/login"},
		{"rawQueryString", e.RawQueryString, "b=two&a=x%20y&b=t%2Cr&c"},
		{"cookies", e.Cookies, []string{"session=a=b", `theme="dark"`, "third=3"}},
		{"headers", e.Headers, headers},
		{"queryStringParameters", e.QueryStringParameters, map[string]string{"a": "x y", "b": "two,t,r", "c": ""}},
		{"body", e.Body, `{"a":"b"}`},
		{"isBase64Encoded", e.IsBase64Encoded, false},
		{"accountId", e.RequestContext.AccountID, "123456789012"},
		{"stage", e.RequestContext.Stage, "$default"},
		{"context routeKey", e.RequestContext.RouteKey, "POST /auth/login"},
		{"domainName", e.RequestContext.DomainName, "localhost"},
		{"domainPrefix", e.RequestContext.DomainPrefix, "localhost"},
		{"http", []string{http.Method, http.Path, http.Protocol, http.SourceIP, http.UserAgent},
			[]string{"POST", "/auth/login", "HTTP/1.1", "127.0.0.1", "test/1"}},
		{"id length", len(e.RequestContext.RequestID), 16},
	} {
		if fmt.Sprint(c.got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	if _, ok := raw["pathParameters"]; ok {
		t.Error("a route without parameters has pathParameters")
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", e.RequestContext.Time)
	if err != nil || at.Unix() != e.RequestContext.TimeEpoch/1000 {
		t.Errorf("time %q, timeEpoch %d: %v", e.RequestContext.Time, e.RequestContext.TimeEpoch, err)
	}
}

func TestEvent_leavesOutWhatIsNotThere(t *testing.T) {
	_, raw := capture(t, "GET /health HTTP/1.1\nHost: localhost\n\n")
	for _, name := range []string{"body", "cookies", "queryStringParameters", "pathParameters"} {
		if _, ok := raw[name]; ok {
			t.Errorf("%s is there", name)
		}
	}
}

func TestEvent_sourceIPIsTheConnections(t *testing.T) {
	e, _ := capture(t, "GET /health HTTP/1.1\nHost: localhost\nX-Forwarded-For: 1.2.3.4\nX-Real-Ip: 1.2.3.4\n"+
		"Forwarded: for=1.2.3.4\nCf-Connecting-Ip: 1.2.3.4\n\n")
	if got := e.RequestContext.HTTP.SourceIP; got != "127.0.0.1" {
		t.Errorf("got %s", got)
	}
}

func TestEvent_body(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		isBase64          bool
	}{
		{"application/json", `{"a":1}`, false},
		{"Application/JSON; charset=utf-8", `{"a":1}`, false},
		{"application/xml", "<a/>", false},
		{"application/javascript", "a()", false},
		{"text/plain", "λ", false},
		{"application/merge-patch+json", `{"a":1}`, true},
		{"application/x-www-form-urlencoded", "a=b", true},
		{"application/octet-stream", "\x00\xff", true},
		{"", `{"a":1}`, true},
		{"application/json", "\"\xff\"", true},
	} {
		t.Run(c.contentType, func(t *testing.T) {
			header := ""
			if c.contentType != "" {
				header = "Content-Type: " + c.contentType + "\n"
			}
			e, _ := capture(t, fmt.Sprintf("POST /auth/login HTTP/1.1\nHost: localhost\n%sContent-Length: %d\n\n%s",
				header, len(c.body), c.body))
			body := e.Body
			if e.IsBase64Encoded {
				decoded, err := base64.StdEncoding.DecodeString(body)
				if err != nil {
					t.Fatal(err)
				}
				body = string(decoded)
			}
			if e.IsBase64Encoded != c.isBase64 || body != c.body {
				t.Errorf("got base64 %v, body %q", e.IsBase64Encoded, body)
			}
		})
	}
}

func TestEvent_path(t *testing.T) {
	for path, want := range map[string]struct {
		rawPath, routeKey, parameters string
	}{
		"/state/a":            {"/state/a", "GET /state/{key}", "map[key:a]"},
		"/state/mine":         {"/state/mine", "GET /state/mine", "map[]"},
		"/state/a%20b":        {"/state/a b", "GET /state/{key}", "map[key:a b]"},
		"/state/a%2Fb":        {"/state/a/b", "GET /state/{key}", "map[key:a/b]"},
		"/state/a%3Fb":        {"/state/a", "GET /state/{key}", "map[key:a?b]"},
		"/state/a%252Fb":      {"/state/a/b", "GET /state/{key}", "map[key:a%2Fb]"},
		"/files/7/a/b":        {"/files/7/a/b", "ANY /files/{id}/{proxy+}", "map[id:7 proxy:a/b]"},
		"/files/7/..%2Fa?b=c": {"/files/7/../a", "ANY /files/{id}/{proxy+}", "map[id:7 proxy:../a]"},
	} {
		e, _ := capture(t, "GET "+path+" HTTP/1.1\nHost: localhost\n\n")
		got := [3]string{e.RawPath, e.RouteKey, fmt.Sprint(e.PathParameters)}
		if got != [3]string{want.rawPath, want.routeKey, want.parameters} {
			t.Errorf("%s: got %q", path, got)
		}
	}
}

// FuzzEvent holds that whatever net/http takes for a request becomes an event that
// Lambda's types decode, with the body intact and no cookie among the headers, or is
// refused in the gateway's own words.
func FuzzEvent(f *testing.F) {
	f.Add("POST", "/auth/login?a=b", "Cookie: a=b; c", "application/json", []byte("{}"))
	f.Add("GET", "/state/%2525", "X-A: \xff", "", []byte("\xff"))
	f.Add("GET", "/files/1/a%3Fb", "Origin: "+origin, "text/plain; x", []byte("x"))
	f.Fuzz(func(t *testing.T, method, target, header, contentType string, body []byte) {
		text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s",
			method, target, contentType, len(body), header, body)
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			t.Skip()
		}
		r.RemoteAddr = "192.0.2.1:999"
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Skip()
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		check := fake(func(_ context.Context, payload []byte) ([]byte, error) {
			checkEvent(t, payload, sent)
			return []byte(`{"statusCode":200}`), nil
		})
		recorder := httptest.NewRecorder()
		newGateway(t, check).ServeHTTP(recorder, r)
		if recorder.Code == 500 {
			t.Errorf("%q: %d", text, recorder.Code)
		}
	})
}

func checkEvent(t *testing.T, payload, sent []byte) {
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &e); err != nil {
		t.Errorf("%s: %v", payload, err)
		return
	}
	got := []byte(e.Body)
	if e.IsBase64Encoded {
		decoded, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			t.Errorf("%s: %v", payload, err)
		}
		got = decoded
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("the body %q arrived as %q", sent, got)
	}
	if e.RequestContext.HTTP.SourceIP != "192.0.2.1" {
		t.Errorf("source IP %s", e.RequestContext.HTTP.SourceIP)
	}
	for name := range e.Headers {
		if name == "cookie" || name != strings.ToLower(name) {
			t.Errorf("header %q", name)
		}
	}
}

// FuzzCookies holds that an event has the cookies that were sent, each once and in order, and that Go's reader makes the
// same of them.
func FuzzCookies(f *testing.F) {
	for _, header := range []string{"a=b; c=d", "a=b\nc=d", ";; a ;=; ", "a=\"b;c\"", "session=x; session=y", "a = b", "\xff=\t", ""} {
		f.Add(header)
	}
	var got []string
	g := newGateway(f, fake(func(_ context.Context, payload []byte) ([]byte, error) {
		var e events.APIGatewayV2HTTPRequest
		err := json.Unmarshal(payload, &e)
		got = e.Cookies
		return []byte(`{"statusCode":204}`), err
	}))
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/health", nil)
		r.Header["Cookie"] = strings.Split(strings.ToValidUTF8(header, ""), "\n") // an event is JSON, which has no other text
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, r)
		if len(header) > 9000 && recorder.Code == 431 {
			return
		}
		for _, pair := range got {
			if pair == "" || pair != strings.Trim(pair, " \t") || strings.Contains(pair, ";") {
				t.Errorf("%q has the cookie %q", header, pair)
			}
		}
		between := strings.NewReplacer(";", "", " ", "", "\t", "")
		if recorder.Code != 204 || between.Replace(strings.Join(got, "")) != between.Replace(strings.Join(r.Header["Cookie"], "")) {
			t.Errorf("%q are the cookies %q", header, got)
		}
		arrived := (&http.Request{Header: http.Header{"Cookie": {strings.Join(got, "; ")}}}).Cookies()
		same := func(a, b *http.Cookie) bool { return a.Name == b.Name && a.Value == b.Value }
		if sent := r.Cookies(); !slices.EqualFunc(sent, arrived, same) {
			t.Errorf("%q are %v, and arrive as %v", header, sent, arrived)
		}
	})
}
