package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

// FuzzParse holds that a template which is read can be served: every function has a time, every route a method and a path,
// every authorizer that is named is there, and each route is found by its own key.
func FuzzParse(f *testing.F) {
	f.Add(template)
	f.Add(guarded)
	f.Add(withSources("Headers: [Authorization], QueryStrings: [a], Context: [routeKey]"))
	for _, properties := range []string{
		"&p {Timeout: 5, Events: {E: {Type: HttpApi, Properties: {Method: any, Path: '/{a+}'}}}}, B: *p", "!If [x, {Timeout: 0}, y]",
		"{Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(0 days)}}}}", "{Events: {E: {Type: HttpApi, Properties: {Path: a}}}}",
	} {
		f.Add("Resources: {A: {Type: AWS::Serverless::Function, Properties: " + properties + "}}")
	}
	f.Add("- a")
	f.Add("")
	own, err := os.ReadFile("../protected-api/template.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(own))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := gateway.Parse([]byte(text))
		if err != nil {
			if parsed != nil || !strings.HasPrefix(err.Error(), "reading the template: ") {
				t.Errorf("%q: %+v, %v", text, parsed, err)
			}
			return
		}
		functions := map[string]lambda.Handler{}
		for id, fn := range parsed.Functions {
			functions[id] = echo
			if fn.Timeout <= 0 || fn.Schedule < 0 {
				t.Errorf("%q has %s with %+v", text, id, fn)
			}
		}
		g, err := gateway.New(parsed, functions, gateway.Options{Log: slog.New(slog.DiscardHandler), Authorizer: refusing})
		if len(functions) == 0 || err != nil {
			t.Fatalf("%q is served by %d functions: %v", text, len(functions), err)
		}
		for id, fn := range parsed.Functions {
			for _, route := range fn.Routes {
				checkRoute(t, g, id, route, guards(parsed, route))
			}
		}
	})
}

// refusing is an authorizer that lets nobody in.
var refusing = returning(`{"isAuthorized":false}`)

func guards(t *gateway.Template, route gateway.Route) bool {
	name := route.Authorizer
	if name == "" {
		name = t.DefaultAuthorizer
	}
	_, known := t.Authorizers[name]
	return known
}

var literal = regexp.MustCompile(`^[A-Z]{1,100} [/a-z]{1,1000}$`)

// checkRoute asks for a route that is literal, and holds that it is refused where an authorizer guards it.
func checkRoute(t *testing.T, g http.Handler, id string, route gateway.Route, guarded bool) {
	t.Helper()
	if route.Method == "" || route.Method != strings.ToUpper(route.Method) || !strings.HasPrefix(route.Path, "/") {
		t.Errorf("%s has the route %+v", id, route)
	}
	if !literal.MatchString(route.Key()) {
		return
	}
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, &http.Request{
		Method: route.Method, RequestURI: route.Path, URL: new(url.URL), Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:999",
	})
	if got := recorder.Code; !guarded && got != 200 || guarded && got != 403 && got != 401 {
		t.Errorf("%s %+v, guarded %v: answered %d", id, route, guarded, got)
	}
}

// FuzzRoute holds that a request gets to a route only where its path is the route's, segment by segment as it was sent,
// and that parameters are the segments decoded once.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{
		"/state/a", "/state/mine", "/state/a%20b", "/state/a%2Fb", "/state/a%252Fb", "/state/%zz", "/state/", "/state/a/b",
		"/files/7/a/b", "/files/7/..%2Fa", "/files//x", "/files/7/", "/health", "/health/", "/HEALTH", "/%68ealth", "/health?x",
		"/state/a%3Fb", "/state/%", "//health",
	} {
		f.Add("GET", path)
	}
	f.Add("POST", "/auth/login")
	f.Add("ANY", "/files/1/2")
	f.Add("get", "/health")
	var got events.APIGatewayV2HTTPRequest
	g := newGateway(f, fake(func(_ context.Context, payload []byte) ([]byte, error) {
		got = events.APIGatewayV2HTTPRequest{}
		return []byte(`{"statusCode":204}`), json.Unmarshal(payload, &got)
	}))
	f.Fuzz(func(t *testing.T, method, target string) {
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, &http.Request{
			Method: method, RequestURI: target, URL: new(url.URL), Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:999",
		})
		path, _, _ := strings.Cut(target, "?")
		if recorder.Code != 204 {
			if got := recorder.Code; got != 404 && !(got == 400 && strings.Contains(path, "%")) && !(got == 431 && len(method)+len(target) > 10000) {
				t.Errorf("%s %q: answered %d", method, target, got)
			}
			return
		}
		key, pattern, _ := strings.Cut(got.RouteKey, " ")
		if key != "ANY" && key != method || !fits(strings.Split(path, "/"), strings.Split(pattern, "/"), got.PathParameters) {
			t.Errorf("%s %q is routed to %s with %q", method, target, got.RouteKey, got.PathParameters)
		}
		if pattern == "/state/{key}" && path == "/state/mine" {
			t.Errorf("%s %q is routed to %s", method, target, got.RouteKey)
		}
	})
}

// fits tells whether a path is such as a pattern takes, with those parameters.
func fits(path, pattern []string, parameters map[string]string) bool {
	for i, part := range pattern {
		if i >= len(path) {
			return false
		}
		name, variable := strings.CutPrefix(part, "{")
		value := path[i]
		if strings.HasSuffix(part, "+}") {
			value, path = strings.Join(path[i:], "/"), path[:i+1]
		}
		decoded, err := url.PathUnescape(value)
		got, given := parameters[strings.TrimRight(name, "+}")]
		text := string([]rune(decoded)) // as JSON holds what is no UTF-8
		if variable && (err != nil || value == "" || !given || got != text) || !variable && part != value {
			return false
		}
	}
	return len(path) == len(pattern)
}

// FuzzAnswer holds that what a function returns is passed on as it says, or is its failure in the gateway's own words;
// headers of one connection are never passed on.
func FuzzAnswer(f *testing.F) {
	for _, output := range []string{
		`{"statusCode":200,"headers":{"content-type":"text/plain","x-a":"b"},"cookies":["a=b","c=d"],"body":"hello"}`,
		`{"statusCode":200,"body":"aGVsbG8=","isBase64Encoded":true}`, `{"statusCode":200,"body":"?","isBase64Encoded":true}`,
		`{"statusCode":204,"headers":{"Connection":"x","content-length":"7","transfer-encoding":"chunked"}}`,
		`{"statusCode":199}`, `{"statusCode":600}`, `{"statusCode":"200"}`, `{}`, `null`, `"text"`, ``,
		`{"statusCode":302,"headers":{"location":"a\r\nset-cookie: x"}}`,
	} {
		f.Add(output)
	}
	f.Fuzz(func(t *testing.T, output string) {
		recorder := httptest.NewRecorder()
		newGateway(t, returning(output)).ServeHTTP(recorder, httptest.NewRequest("GET", "/health", nil))
		var said struct {
			StatusCode      int
			Headers         map[string]string
			Cookies         []string
			Body            string
			IsBase64Encoded bool
		}
		err := json.Unmarshal([]byte(output), &said)
		body := []byte(said.Body)
		if said.IsBase64Encoded && err == nil {
			body, err = base64.StdEncoding.DecodeString(said.Body)
		}
		if recorder.Body.String() == `{"message":"Internal Server Error"}` && recorder.Code == 500 {
			if err == nil && said.StatusCode >= 200 && said.StatusCode <= 599 && said.Body != recorder.Body.String() {
				t.Errorf("%q is called a failure", output)
			}
			return
		}
		set := recorder.Header()["Set-Cookie"] // one may stand among the headers, too
		if recorder.Code < 200 || recorder.Code > 599 {
			t.Errorf("%q is passed on as %d", output, recorder.Code)
		}
		set = set[max(len(set)-len(said.Cookies), 0):]
		if err != nil || recorder.Code != said.StatusCode || recorder.Body.String() != string(body) || !slices.Equal(set, said.Cookies) {
			t.Errorf("%q is passed on as %d %q, %v", output, recorder.Code, recorder.Body, recorder.Header())
		}
		for _, name := range []string{"Connection", "Transfer-Encoding", "Content-Length", "Upgrade"} {
			if recorder.Header().Get(name) != "" {
				t.Errorf("%q is passed on with %v", output, recorder.Header())
			}
		}
	})
}

// FuzzDecision holds that a guarded function is called only where its authorizer says in so many words that it may be;
// whatever else it returns denies.
func FuzzDecision(f *testing.F) {
	for _, output := range []string{
		`{"isAuthorized":true,"context":{"userId":"u"}}`, `{"isAuthorized":true}`, `{"isAuthorized":false}`, `{"isAuthorized":"true"}`,
		`{"isAuthorized":null}`, `{"isAuthorized":1}`, `{"isAuthorized":true}x`, `{"isAuthorized":true,"isAuthorized":false}`,
		`{"isAuthorized":false,"ISAUTHORIZED":true}`, `{}`, `null`, `true`, `[]`, ``,
	} {
		f.Add(output)
	}
	parsed := parse(f, guarded)
	f.Fuzz(func(t *testing.T, output string) {
		called := false
		behind := fake(func(context.Context, []byte) ([]byte, error) {
			called = true
			return []byte(`{"statusCode":204}`), nil
		})
		g, err := gateway.New(parsed, map[string]lambda.Handler{"EchoFunction": behind},
			gateway.Options{Log: slog.New(slog.DiscardHandler), Authorizer: returning(output)})
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, httptest.NewRequest("GET", "/orders/7", nil))
		var said struct{ IsAuthorized any }
		err = json.Unmarshal([]byte(output), &said)
		if called && (err != nil || said.IsAuthorized != true) || called != (recorder.Code == 204) {
			t.Errorf("%q: answered %d", output, recorder.Code)
		}
		if refused := err == nil && said.IsAuthorized == false; !called && recorder.Code != 500 && !(refused && recorder.Code == 403) {
			t.Errorf("%q: answered %d", output, recorder.Code)
		}
	})
}
