package console_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"testing"

	"latchkey/shared/console"
	"latchkey/shared/secureheaders"
)

// answer is a response of payload format 2.0.
type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// requestID is that of every request of these tests.
const requestID = "hyxWz2Mu7H5REDA="

// ask sends a request as API Gateway does. file is the parameter of the path;
// "" asks for the page.
func ask(t *testing.T, h *console.Handler, method, file string, headers map[string]string) answer {
	t.Helper()
	event := map[string]any{
		"version": "2.0", "routeKey": method + " /console", "headers": headers,
		"requestContext": map[string]any{"requestId": requestID, "http": map[string]string{"method": method}},
	}
	if file != "" {
		event["routeKey"], event["pathParameters"] = method+" /console/{file}", map[string]string{"file": file}
	}
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	output, err := h.Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var got answer
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// valid is a configuration with which the console can sign in.
var valid = console.Config{
	Origin: "https://api.example.com", Domains: []string{"app.example.com", "api.example.com"},
	AllowedOrigins: []string{"https://app.example.com", "https://api.example.com"},
}

func newConsole() *console.Handler {
	return console.New(valid, slog.New(slog.NewJSONHandler(io.Discard, nil)))
}

// withHeaders returns all headers of an answer of the console.
func withHeaders(own map[string]string) map[string]string {
	all := maps.Clone(secureheaders.Values)
	all["Content-Security-Policy"] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	all["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
	all["X-Request-Id"] = requestID
	maps.Copy(all, own)
	return all
}

func TestHandler(t *testing.T) {
	h := newConsole()
	for name, c := range map[string]struct{ file, contentType string }{
		"page":       {"", "text/html; charset=utf-8"},
		"script":     {"app.js", "text/javascript; charset=utf-8"},
		"style":      {"console.css", "text/css; charset=utf-8"},
		"the client": {"latchkey.js", "text/javascript; charset=utf-8"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, h, "GET", c.file, nil)
			tag := got.Headers["Etag"] + got.Headers["ETag"]
			if len(tag) != 34 {
				t.Errorf("the entity tag is %s", tag)
			}
			headers := withHeaders(map[string]string{"Content-Type": c.contentType, "Cache-Control": "no-cache", "ETag": tag})
			if got.StatusCode != 200 || got.Body == "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("GET: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
			got = ask(t, h, "HEAD", c.file, nil)
			if got.StatusCode != 200 || got.Body != "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("HEAD: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
			delete(headers, "Content-Type")
			got = ask(t, h, "GET", c.file, map[string]string{"if-none-match": tag})
			if got.StatusCode != 304 || got.Body != "" || !maps.Equal(got.Headers, headers) {
				t.Errorf("If-None-Match: %d, %d bytes, %v", got.StatusCode, len(got.Body), got.Headers)
			}
		})
	}
}
