package static_test

import (
	"encoding/json"
	"maps"
	"testing"

	"latchkey/shared/secureheaders"
	"latchkey/shared/static"
)

// answer is a response of payload format 2.0.
type answer struct {
	StatusCode int
	Headers    map[string]string
	Body       string
}

// request returns a request with this method and If-None-Match.
func request(t *testing.T, method, tag string) static.Request {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"headers":        map[string]string{"if-none-match": tag},
		"pathParameters": map[string]string{"file": "a b"},
		"requestContext": map[string]any{"http": map[string]string{"method": method}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := static.ParseRequest(payload)
	if err != nil || r.Parameters["file"] != "a b" {
		t.Fatalf("%+v: %v", r, err)
	}
	return r
}

// read decodes a response.
func read(t *testing.T, output []byte, err error) answer {
	t.Helper()
	var a answer
	if err == nil {
		err = json.Unmarshal(output, &a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The headers of a caller take the place of those of every answer, which stay
// what they are.
func TestRequest_headers(t *testing.T) {
	before := maps.Clone(secureheaders.Values)
	file := static.NewFile("text/plain", "ä")
	own := map[string]string{"X-Frame-Options": "SAMEORIGIN", "Cache-Control": "max-age=1"}
	output, err := request(t, "GET", "").Serve(file, own)
	got := read(t, output, err)
	if got.StatusCode != static.StatusOK || got.Body != "ä" || got.Headers["ETag"] != static.Tag([]byte("ä")) {
		t.Errorf("%+v", got)
	}
	for name, value := range own {
		if got.Headers[name] != value {
			t.Errorf("%s is %q", name, got.Headers[name])
		}
	}
	if got.Headers["Referrer-Policy"] != "no-referrer" || !maps.Equal(before, secureheaders.Values) || len(own) != 2 {
		t.Errorf("%v, %v, %v", got.Headers, secureheaders.Values, own)
	}
	output, err = request(t, "GET", file.Tag).Serve(file, nil)
	if got := read(t, output, err); got.StatusCode != static.StatusNotModified || got.Body != "" {
		t.Errorf("%+v", got)
	}
}

// A request without an id gets one, which the problem has too.
func TestRequest_problem(t *testing.T) {
	output, err := request(t, "GET", "*").Problem(404, "Not Found", "not_found", `"`, nil)
	got := read(t, output, err)
	var problem struct {
		Type, Title, Code, Detail, RequestID string
		Status                               int
	}
	if err := json.Unmarshal([]byte(got.Body), &problem); err != nil {
		t.Fatal(err)
	}
	id := got.Headers["X-Request-Id"]
	if id == "" || problem.RequestID != id || problem.Detail != `"` || problem.Status != 404 {
		t.Errorf("%+v, %v", problem, got.Headers)
	}
	contentType, caching := got.Headers["Content-Type"], got.Headers["Cache-Control"]
	if got.StatusCode != 404 || contentType != "application/problem+json" || caching != "no-store" {
		t.Errorf("%+v", got)
	}
	output, err = request(t, "HEAD", "").Problem(404, "Not Found", "not_found", "", nil)
	if got := read(t, output, err); got.Body != "" || got.StatusCode != 404 {
		t.Errorf("HEAD: %+v", got)
	}
}
