package main

import (
	"io"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"latchkey/client"
)

// ask sends a request with these headers and returns the answer, whose body is read.
func ask(t *testing.T, method, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// sameHeaders compares the headers that want names. An empty value means that it is not there.
func sameHeaders(t *testing.T, of string, got http.Header, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got.Get(name) != value {
			t.Errorf("%s has the %s %q, want %q", of, name, got.Get(name), value)
		}
	}
}

// moduleNames returns the files of the client.
func moduleNames(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(client.Modules(), "*.js")
	if err != nil || len(names) < 10 {
		t.Fatalf("the client has the modules %q: %v", names, err)
	}
	return names
}

// Pages of every origin import the client from the local server.
func TestStatic_client(t *testing.T) {
	s := start(t)
	want := map[string]string{"/latchkey.js": "export * from './client/latchkey.js'\n"}
	for _, name := range moduleNames(t) {
		want["/client/"+name] = read(t, "client/"+name)
	}
	for path, text := range want {
		got, body := ask(t, "GET", s.url+path, "Origin", "http://localhost:5173")
		if got.StatusCode != http.StatusOK || body != text {
			t.Errorf("%s: %d, %q", path, got.StatusCode, body)
		}
		sameHeaders(t, path, got.Header, map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Access-Control-Allow-Origin": "*",
			"Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "no-cache",
			"X-Content-Type-Options": "nosniff",
		})
		etag := got.Header.Get("ETag")
		again, body := ask(t, "GET", s.url+path, "If-None-Match", etag)
		if again.StatusCode != http.StatusNotModified || body != "" || len(etag) < 10 {
			t.Errorf("%s with the ETag %s: %d, %q", path, etag, again.StatusCode, body)
		}
		head, body := ask(t, "HEAD", s.url+path)
		if head.StatusCode != http.StatusOK || body != "" || head.Header.Get("ETag") != etag {
			t.Errorf("HEAD %s: %d, %q", path, head.StatusCode, body)
		}
	}
}

// Everything else is API Gateway's, and no other name leads to the files.
func TestStatic_nothingElse(t *testing.T) {
	s := start(t)
	for _, at := range []string{
		"POST /latchkey.js", "DELETE /client/latchkey.js", "OPTIONS /client/latchkey.js",
		"GET /client", "GET /client/", "GET /client/nothing.js", "GET /client/README.md", "GET /client/package.json",
		"GET /client/embed.go", "GET /client/test/harness.js", "GET /client/../latchkey.js", "GET //latchkey.js",
		"GET /latchkey.js/", "GET /LATCHKEY.js", "GET /client/..%2fsession.js",
	} {
		method, path, _ := strings.Cut(at, " ")
		got, body := ask(t, method, s.url+path)
		if got.StatusCode != http.StatusNotFound || body != `{"message":"Not Found"}` {
			t.Errorf("%s: %d, %q", at, got.StatusCode, body)
		}
	}
	got, body := ask(t, "GET", s.url+"/latchkey.js", "Host", "rebound.example")
	if got.StatusCode != http.StatusMisdirectedRequest || strings.Contains(body, "export") {
		t.Errorf("by another name: %d, %q", got.StatusCode, body)
	}
}
