package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

func TestServe_preflight(t *testing.T) { // attack case 32
	request := func(from string) string {
		return "OPTIONS /no/such/route HTTP/1.1\nHost: localhost\nOrigin: " + from + "\nAccess-Control-Request-Method: POST\n\n"
	}
	never := fake(func(context.Context, []byte) ([]byte, error) { panic("a preflight reached the function") })
	response, body := send(t, never, request(origin))
	if response.StatusCode != 204 || body != "" {
		t.Errorf("got %s %q", response.Status, body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":      origin,
		"Access-Control-Allow-Methods":     "GET,POST",
		"Access-Control-Allow-Headers":     "authorization,content-type",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Max-Age":           "600",
		"Vary":                             "Origin",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, from := range []string{"https://evil.example", origin + ".evil.example", strings.ToUpper(origin), "null", origin + ", " + origin} {
		response, _ := send(t, never, request(from))
		if vary := response.Header.Values("Vary"); response.StatusCode != 204 || len(vary) != 1 || vary[0] != "Origin" {
			t.Errorf("%s: got %s, vary %q", from, response.Status, vary)
		}
		for name := range response.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s is told %s", from, name)
			}
		}
	}
}

func TestServe_cors(t *testing.T) { // attack case 32
	f := returning(`{"statusCode":200,"headers":{"Access-Control-Allow-Origin":"*","access-control-max-age":"1","vary":"accept"}}`)
	response, _ := send(t, f, "GET /health HTTP/1.1\nHost: localhost\nOrigin: "+origin+"\n\n")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":      origin,
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers":    "etag,x-request-id",
		"Access-Control-Max-Age":           "",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := fmt.Sprint(response.Header.Values("Vary")); got != "[accept Origin]" {
		t.Errorf("vary %s", got)
	}
	response, _ = send(t, f, "GET /health HTTP/1.1\nHost: localhost\nOrigin: https://evil.example\n\n")
	if got := fmt.Sprint(response.Header.Values("Vary")); got != "[accept Origin]" {
		t.Errorf("a stranger's vary %s", got)
	}
	for name := range response.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("a stranger is told %s", name)
		}
	}
}

// Locally more may be allowed than a template lists: origins by a rule, and headers.
func TestServe_corsBesides(t *testing.T) {
	f := returning(`{"statusCode":200}`)
	ask := func(text string, opts gateway.Options, method, from string) http.Header {
		t.Helper()
		opts.Log = slog.New(slog.DiscardHandler)
		g, err := gateway.New(parse(t, text), map[string]lambda.Handler{"EchoFunction": f, "SlowFunction": f}, opts)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(method, "/health", nil)
		r.Header.Set("Origin", from)
		r.Header.Set("Access-Control-Request-Method", "GET")
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, r)
		return recorder.Header()
	}
	pages := func(from string) bool { return strings.HasPrefix(from, "http://localhost:") }
	for _, origins := range [][]string{nil, {origin}} {
		opts := gateway.Options{AllowOrigins: origins, AllowOrigin: pages, AllowHeaders: []string{"baggage", "traceparent"}}
		header := ask(template, opts, "OPTIONS", "http://localhost:5173")
		if header.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("a page that the rule allows is told %v", header)
		}
		if got := header.Get("Access-Control-Allow-Headers"); got != "authorization,content-type,baggage,traceparent" {
			t.Errorf("allowed headers: %s", got)
		}
		if got := ask(template, opts, "GET", "http://localhost:5173").Get("Access-Control-Allow-Origin"); got != "http://localhost:5173" {
			t.Errorf("to the call itself it is told %q", got)
		}
		if got := ask(template, opts, "GET", origin).Get("Access-Control-Allow-Origin"); got != strings.Join(origins, "") {
			t.Errorf("with %q listed, %s is told %q", origins, origin, got)
		}
		if got := ask(template, opts, "OPTIONS", "https://evil.example").Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("another page is told %q", got)
		}
	}
	without := regexp.MustCompile(`(?m)^      CorsConfiguration: !If\n(?:        .*\n)+`).ReplaceAllString(template, "")
	if got := ask(without, gateway.Options{AllowOrigin: pages}, "GET", "http://localhost:5173").Get("Access-Control-Allow-Origin"); without == template || got != "" {
		t.Errorf("without a CorsConfiguration a page is told %q", got)
	}
}

func TestServe_corsOff(t *testing.T) {
	f := returning(`{"statusCode":200,"headers":{"access-control-allow-origin":"https://own.example"}}`)
	g, err := gateway.New(parse(t, template), map[string]lambda.Handler{"EchoFunction": f, "SlowFunction": f},
		gateway.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, httptest.NewRequest("GET", "/health", nil))
	if got := recorder.Header().Get("Access-Control-Allow-Origin"); got != "https://own.example" {
		t.Errorf("got %q", got)
	}
	preflight := httptest.NewRequest("OPTIONS", "/health", nil)
	preflight.Header.Set("Origin", origin)
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	recorder = httptest.NewRecorder()
	g.ServeHTTP(recorder, preflight)
	if recorder.Code != 404 {
		t.Errorf("a preflight got %d", recorder.Code)
	}
}
