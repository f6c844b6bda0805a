package lambdahttp_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/lambdatest"
	"latchkey/shared/lambdahttp"
)

const host = "app.example.com"

// seen is the request as the handler behind the bridge got it.
func seen(t *testing.T, e lambdatest.Event) (*http.Request, string) {
	t.Helper()
	var request *http.Request
	var body []byte
	bridge := lambdahttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusNoContent)
	}), host)
	payload, err := bridge.Invoke(context.Background(), e.JSON(t))
	if err != nil {
		t.Fatal(err)
	}
	if r := lambdatest.DecodeResponse(t, payload); r.StatusCode != http.StatusNoContent {
		t.Fatalf("answered %d %s", r.StatusCode, r.Body)
	}
	return request, string(body)
}

func TestInvoke_keepsHeaderValues(t *testing.T) {
	sent := map[string]string{
		"accept-language": "de-CH, de;q=0.9,  en;q=0.8",
		"origin":          "https://a.example,https://b.example",
		"if-match":        `"a,b", "c"`,
		"sec-fetch-site":  "same-origin,cross-site",
		"authorization":   "Bearer a,b",
		"user-agent":      "Mozilla/5.0 (X11, like Gecko)",
		"x-device-id":     " padded ",
		"content-type":    "application/json",
	}
	e := lambdatest.NewEvent("POST", "/auth/login")
	e.Headers = sent
	r, _ := seen(t, e)
	if len(r.Header) != len(sent) {
		t.Errorf("%d headers became %d: %v", len(sent), len(r.Header), r.Header)
	}
	for name, value := range sent {
		if got := r.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s: %q became %q", name, value, got)
		}
	}
}

// Some stand-ins for API Gateway keep the case of header names. Two spellings
// of one name are two values, which the handlers refuse where one is meant;
// they must not be lost or depend on the order of a map.
func TestInvoke_twoSpellingsOfAHeader(t *testing.T) {
	e := lambdatest.NewEvent("GET", "/health")
	e.Headers = map[string]string{"authorization": "Bearer b", "Authorization": "Bearer a", "AUTHORIZATION": "Bearer c"}
	for range 20 {
		r, _ := seen(t, e)
		if got := strings.Join(r.Header.Values("Authorization"), "|"); got != "Bearer c|Bearer a|Bearer b" {
			t.Fatalf("got %q", got)
		}
	}
}

func TestInvoke_cookies(t *testing.T) {
	tests := []struct {
		name   string
		list   []string
		header string
		want   string
	}{
		{"none", nil, "", ""},
		{"list", []string{"a=1", "b=2,3"}, "", "a=1; b=2,3"},
		{"header alone", nil, "a=1; b=2,3", "a=1; b=2,3"},
		{"header beside the list", []string{"a=1"}, "a=1; evil=1", "a=1"},
		{"same cookie twice", []string{"a=1", "a=2"}, "", "a=1; a=2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := lambdatest.NewEvent("GET", "/api/profile")
			e.Cookies = tt.list
			if tt.header != "" {
				e.Headers["Cookie"] = tt.header
			}
			r, _ := seen(t, e)
			if got := strings.Join(r.Header.Values("Cookie"), " | "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestInvoke_requestLine(t *testing.T) {
	e := lambdatest.NewEvent("POST", "/stage/auth/login")
	e.RawPath = "/stage/a%2Fb//c;x"
	e.RawQueryString = "transport=bearer&transport=cookie&empty&x=%C3%A4"
	e.QueryParameters = map[string]string{"transport": "forged", "other": "1"}
	e.Headers["host"] = "evil.example"
	e.Headers["x-http-method-override"] = "DELETE"
	e.Body = `{"a":1}`
	r, body := seen(t, e)
	if r.Method != "POST" || r.URL.EscapedPath() != e.RawPath || r.URL.RawQuery != e.RawQueryString {
		t.Errorf("%s %s ? %s", r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	}
	if r.Host != host || r.URL.Host != host || r.Header.Get("Host") != "" {
		t.Errorf("host %q, in the URL %q, in the header %q", r.Host, r.URL.Host, r.Header.Get("Host"))
	}
	if body != e.Body || r.ContentLength != int64(len(body)) {
		t.Errorf("body %q, length %d", body, r.ContentLength)
	}
	// The adapter lets this variable name the host.
	t.Setenv("GO_API_HOST", "https://elsewhere.example")
	if r, _ := seen(t, e); r.Host != host {
		t.Errorf("host %q", r.Host)
	}
	// Without a raw query there is none, whatever the parsed one says.
	e.RawQueryString = ""
	if r, _ := seen(t, e); r.URL.RawQuery != "" {
		t.Errorf("query %q", r.URL.RawQuery)
	}
}

// Path parameters are the gateway's, decoded once; the path, which was decoded
// twice, does not change them.
func TestInvoke_pathParameters(t *testing.T) {
	for _, value := range []string{"k", "a b", "a/b", "a%2Fb", "..", "?x=1", "#", "ä", "", "{key}"} {
		e := lambdatest.NewEvent("GET", "/api/state/{key}")
		e.RawPath, e.PathParameters = "/api/state/other", map[string]string{"key": value}
		if r, _ := seen(t, e); r.PathValue("key") != value || r.PathValue("other") != "" || r.URL.Path != "/api/state/other" {
			t.Errorf("%q became %q at %s", value, r.PathValue("key"), r.URL.Path)
		}
	}
	e := lambdatest.NewEvent("GET", "/api/state/{key}")
	if r, _ := seen(t, e); r.PathValue("key") != "" {
		t.Errorf("%q from a path without parameters", r.PathValue("key"))
	}
}

func TestInvoke_base64Body(t *testing.T) {
	for _, want := range []string{"", "{}", "\x00\xff\xfe binary"} {
		e := lambdatest.NewEvent("POST", "/auth/refresh")
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(want)), true
		if _, body := seen(t, e); body != want {
			t.Errorf("%q became %q", want, body)
		}
	}
}

func TestInvoke_response(t *testing.T) {
	bridge := lambdahttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "a=1; Path=/")
		w.Header().Add("Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"<&>"}`)
	}), host)
	payload, err := bridge.Invoke(context.Background(), lambdatest.NewEvent("GET", "/health").JSON(t))
	if err != nil {
		t.Fatal(err)
	}
	r := lambdatest.DecodeResponse(t, payload)
	if r.StatusCode != 503 || r.Headers["Retry-After"] != "1" || r.Headers["Content-Type"] != "application/problem+json" ||
		r.Body != `{"code":"<&>"}` || r.IsBase64Encoded {
		t.Errorf("%+v", r)
	}
	if len(r.Cookies) != 2 || r.Cookies[1] != "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT" {
		t.Errorf("cookies %q", r.Cookies)
	}
}

// A handler that waits for Redis must have time left to say that it is away.
func TestInvoke_keepsTimeToAnswer(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	bridge := lambdahttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := r.Context().Deadline()
		if left := deadline.Sub(given); !ok || left < 100*time.Millisecond || left > time.Second {
			t.Errorf("%v kept for the answer", left)
		}
		w.WriteHeader(http.StatusNoContent)
	}), host)
	if _, err := bridge.Invoke(ctx, lambdatest.NewEvent("GET", "/health").JSON(t)); err != nil {
		t.Fatal(err)
	}
}

func TestInvoke_notHTTP(t *testing.T) {
	bridge := lambdahttp.NewHandler(http.NotFoundHandler(), host)
	payloads := []string{
		"", "null", "[]", `"lka_secret"`, "{", "{}", `{"requestContext":{}}`, `{"requestContext":{"http":{"method":""}}}`,
		`{"requestContext":{"http":{"method":7}}}`, `{"version":"1.0","httpMethod":"GET","requestContext":{"httpMethod":"GET"}}`,
		`{"headers":"lka_secret","requestContext":{"http":{"method":"GET"}}}`, strings.Repeat("[", 20000), "\xff",
	}
	for _, payload := range payloads {
		answer, err := bridge.Invoke(context.Background(), []byte(payload))
		if err == nil || answer != nil {
			t.Errorf("%.40s: answered %s", payload, answer)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40s: the error repeats it: %v", payload, err)
		}
	}
}

func FuzzInvoke(f *testing.F) {
	e := lambdatest.NewEvent("POST", "/auth/login")
	e.Cookies, e.Headers["origin"], e.Body = []string{"__Host-session=x"}, "https://app.example.com", `{"message":"…"}`
	f.Add(e.JSON(f))
	e.RawQueryString, e.IsBase64Encoded, e.Body = "transport=cookie", true, "e30="
	f.Add(e.JSON(f))
	f.Add([]byte(`{"requestContext":{"http":{"method":"M","sourceIp":"::ffff:1.2.3.4%x"},"domainName":"\u0000"},"rawPath":"@x:y"}`))
	f.Add([]byte(`{}`))
	bridge := lambdahttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, queryErr := url.ParseQuery(r.URL.RawQuery)
		if err != nil || queryErr != nil || r.Host != host || r.URL.Host != host || r.Header.Get("Host") != "" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		for name, values := range r.Header {
			w.Header()[name] = values
		}
		_, _ = w.Write(append([]byte(r.Method+" "+r.URL.String()), body...))
	}), host)
	f.Fuzz(func(t *testing.T, payload []byte) {
		answer, err := bridge.Invoke(context.Background(), payload)
		if err != nil {
			if answer != nil {
				t.Error("an error and an answer")
			}
			return
		}
		if r := lambdatest.DecodeResponse(t, answer); r.StatusCode != http.StatusOK && r.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d", r.StatusCode)
		}
	})
}
