package gateway_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

// refusals sends a request and returns the code and the problem of the line that
// it causes in the log, or nothing.
func refusals(t *testing.T, r *http.Request) (code, problem string) {
	t.Helper()
	var log bytes.Buffer
	g, err := gateway.New(parse(t, template), map[string]lambda.Handler{"EchoFunction": echo, "SlowFunction": echo},
		gateway.Options{AllowOrigins: []string{origin}, AllowOrigin: isLocal, AllowHeaders: []string{"traceparent"}, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	g.ServeHTTP(httptest.NewRecorder(), r)
	if log.Len() == 0 {
		return "", ""
	}
	var line struct{ Level, Msg, Method, Path, Code, Problem string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, &log)
	}
	if line.Level != "WARN" || line.Msg != "request refused" || line.Method != r.Method || !strings.HasPrefix(r.RequestURI, line.Path) || strings.Contains(line.Path, "?") {
		t.Errorf("logged %s", &log)
	}
	return line.Code, line.Problem
}

func isLocal(origin string) bool { return origin == "http://localhost:8080" }

// A request that reaches no function, or whose page does not get the answer, has
// a line that says what to do.
func TestServe_logsRefusals(t *testing.T) {
	const elsewhere = `the origin "http://localhost:5173" is not allowed: add its host to SIWE_DOMAINS, or the origin to ALLOWED_ORIGINS if that is set`
	for name, c := range map[string]struct {
		method, path  string
		headers       []string
		code, problem string
	}{
		"served":                   {"GET", "/state/mine", nil, "", ""},
		"no such path":             {"GET", "/no/such?token=x", nil, "no_route", "no route of the template has this path"},
		"another method":           {"DELETE", "/state/mine", nil, "no_route", "the routes of this path have GET"},
		"an allowed page":          {"GET", "/state/mine", []string{"Origin", origin}, "", ""},
		"the API's own page":       {"GET", "/state/mine", []string{"Origin", "http://example.com"}, "", ""},
		"a page by the rule":       {"GET", "/state/mine", []string{"Origin", "http://localhost:8080"}, "", ""},
		"its preflight":            {"OPTIONS", "/state/mine", []string{"Origin", "http://localhost:8080", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "traceparent"}, "", ""},
		"another page":             {"GET", "/state/mine", []string{"Origin", "http://localhost:5173"}, "origin_refused", "the page cannot read the answer: " + elsewhere},
		"a preflight":              {"OPTIONS", "/state/mine", []string{"Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type, Authorization"}, "", ""},
		"another page's preflight": {"OPTIONS", "/state/mine", []string{"Origin", "http://localhost:5173", "Access-Control-Request-Method", "POST"}, "preflight_refused", elsewhere},
		"of another method":        {"OPTIONS", "/state/mine", []string{"Origin", origin, "Access-Control-Request-Method", "TRACE"}, "preflight_refused", `no route has the method "TRACE"`},
		"of other headers": {"OPTIONS", "/state/mine", []string{"Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "baggage,content-type,X-Trace"},
			"preflight_refused", `the headers "baggage,x-trace" are not allowed: do not send them, or add them to CORS_ALLOW_HEADERS`},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			if code, problem := refusals(t, r); code != c.code || problem != c.problem {
				t.Errorf("got  %s, %s\nwant %s, %s", code, problem, c.code, c.problem)
			}
		})
	}
	long := httptest.NewRequest("GET", "/"+strings.Repeat("a", 5000), nil)
	if code, _ := refusals(t, long); code != "no_route" {
		t.Errorf("a long path: %s", code)
	}
}

// A token or a ticket that a client puts into the path or a header is not logged.
func TestServe_logsNoToken(t *testing.T) {
	for _, prefix := range []string{"lka_", "lkr_", "lkt_"} {
		token := prefix + strings.Repeat("A", 120)
		var log bytes.Buffer
		g, err := gateway.New(parse(t, template), map[string]lambda.Handler{"EchoFunction": echo, "SlowFunction": echo},
			gateway.Options{AllowOrigins: []string{origin}, Log: slog.New(slog.NewJSONHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/protected/ws/"+token+"?"+token, nil)
		r.Header.Set("Origin", "https://"+token)
		g.ServeHTTP(httptest.NewRecorder(), r)
		if n := strings.Count(log.String(), "request refused"); n != 2 || strings.Contains(log.String(), token[:20]) {
			t.Errorf("%d lines: %s", n, &log)
		}
	}
}
