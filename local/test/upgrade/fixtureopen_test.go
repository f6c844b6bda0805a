package upgrade_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/answers"
	"latchkey/local/gateway"
	"latchkey/local/test/awstest"
	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/console"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/openapi"
)

// opened is what a release has stored, and this version in this process on it.
type opened struct {
	fixture
	t       *testing.T
	service *boot.Service
	server  *server
	clock   *awstest.Clock
}

// open starts this version on a fixture, at the time at which it was written.
func open(t *testing.T, f fixture, commands []command, on redistest.Redis) *opened {
	t.Helper()
	load(t, on, commands)
	o := &opened{
		fixture: f, t: t, clock: awstest.NewClock(f.WrittenAt), server: &server{name: thisVersion},
	}
	cfg, err := config.Load(func(name string) string { return f.Variables[name] })
	if err != nil {
		t.Fatal(err)
	}
	cfg.Redis.Addr, cfg.Redis.PoolSize = on.Addr, 0
	cfg.Redis.Username, cfg.Redis.Password = on.Username, config.Secret(on.Password)
	env := awsenv.Environment{
		Getenv: os.Getenv, Now: o.clock.Now, Log: boot.NewLogger(&o.server.log),
	}
	if o.service, err = boot.NewService(context.Background(), cfg, env, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.service.Close() })
	server := httptest.NewServer(o.gateway())
	t.Cleanup(server.Close)
	o.server.url = server.URL
	return o
}

// routedMain matches the main of a function that has a route.
var routedMain = regexp.MustCompile(`boot\.Run(?:WithVerifier)?\(\(\*api\.API\)\.(\w+)[,)]`)

// gateway serves every route of the template, with the function that it names.
func (o *opened) gateway() http.Handler {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		o.t.Fatal(err)
	}
	template, err := gateway.Parse(text)
	if err != nil {
		o.t.Fatal(err)
	}
	functions := map[string]lambda.Handler{}
	for id, f := range template.Functions {
		functions[id] = lambdahttp.Sweep(o.service.API.Sweep) // the one without a route
		switch {
		case id == "GetOpenapiFunction":
			functions[id] = openapi.Handler{}
		case id == "ServeConsoleFunction":
			functions[id] = console.New(console.Config{}, slog.New(slog.DiscardHandler))
		case len(f.Routes) > 0:
			functions[id] = lambdahttp.NewHandler(o.handler(id), domain)
		}
	}
	g, err := gateway.New(template, functions, gateway.Options{Now: o.clock.Now})
	if err != nil {
		o.t.Fatal(err)
	}
	return answers.Record(g)
}

var capital = regexp.MustCompile(`\B[A-Z]`)

// handler returns the handler that the main of a function names.
func (o *opened) handler(id string) http.Handler {
	o.t.Helper()
	folder := strings.ToLower(capital.ReplaceAllString(strings.TrimSuffix(id, "Function"), "-$0"))
	text, err := os.ReadFile(filepath.Join(root, "functions", folder, "main.go"))
	if err != nil {
		o.t.Fatal(err)
	}
	m := routedMain.FindSubmatch(text)
	if m == nil {
		o.t.Fatalf("%s has no route", folder)
	}
	route := reflect.ValueOf(o.service.API).MethodByName(string(m[1]))
	return route.Call(nil)[0].Interface().(http.Handler)
}

// testOpens shows and uses what a release has stored.
func testOpens(t *testing.T, f fixture, commands []command, on redistest.Redis) {
	o := open(t, f, commands, on)
	o.shows()
	o.renews()
	o.changes()
	o.sweeps()
	checkFormats(t, on)
	for _, line := range defects.FindAllString(o.server.log.String(), -1) {
		t.Errorf("logged %s", line)
	}
}

// member returns a copy of a member, whose tokens may change.
func (o *opened) member(name string) *member {
	o.t.Helper()
	if o.Members[name] == nil {
		o.t.Fatalf("the fixture has no member %q", name)
	}
	return o.Members[name].copy()
}

// ask sends a request that must succeed.
func (o *opened) ask(m *member, method, path string, body any, headers ...string) answer {
	o.t.Helper()
	return m.ask(o.t, o.server, method, path, body, headers...).ok(o.t)
}

// shows compares every answer that the release gave with that of this version.
func (o *opened) shows() {
	o.t.Helper()
	for _, recorded := range o.Answers {
		m := o.member(recorded.Member)
		if m.From != "127.0.0.1" && runtime.GOOS != "linux" {
			continue // other systems have one loopback address
		}
		a := m.ask(o.t, o.server, "GET", recorded.Path, nil)
		if difference := missing(recorded.answer(), a); difference != "" {
			o.t.Errorf("%s, %s: %s\n%s answered %.500s\nnow it is %.500s",
				recorded.Member, recorded.Path, difference, o.Version, recorded.Body, a.text)
		}
	}
}

// renews uses tokens and nonces at the time at which they were stored, and
// rotates every session after the grace.
func (o *opened) renews() {
	o.t.Helper()
	superseded, rotated := o.member("superseded"), o.member("rotated")
	a := superseded.refresh(o.t, o.server).ok(o.t)
	if a.get("accessToken") != rotated.Access || a.get("refreshToken") != rotated.Refresh {
		o.t.Errorf("the superseded token has another successor: %s", a.text)
	}
	o.member("limited").refresh(o.t, o.server).want(o.t, http.StatusTooManyRequests, "rate_limited")
	newMember(o.t, "bearer").logIn(o.t, o.server, o.Bodies["unspent"]).ok(o.t)
	newMember(o.t, "bearer").logIn(o.t, o.server, o.Bodies["spent"]).
		want(o.t, http.StatusUnauthorized, "login_failed")
	o.ask(o.member("to step up"), "POST", "/auth/step-up", o.Bodies["step-up"])
	required := o.member("step-up required")
	required.stepUp(o.t, o.server, o.server)
	o.ask(required, "GET", "/api/profile", nil)

	o.clock.Add(2 * time.Minute)
	for _, recorded := range o.Answers {
		m := o.member(recorded.Member)
		isOwn := recorded.Path == "/api/profile" && recorded.Status == http.StatusOK
		if isOwn && recorded.Member != "superseded" && recorded.Member != "to step up" {
			before := m.copy()
			m.take(m.refresh(o.t, o.server).ok(o.t))
			if m.Access == before.Access && m.Cookies["session"] == before.Cookies["session"] {
				o.t.Errorf("%s was not rotated", recorded.Member)
			}
			o.ask(m, "GET", "/api/profile", nil)
			o.Members[recorded.Member] = m
		}
	}
}

// etag returns the version that the release gave for a member's path.
func (o *opened) etag(name, path string) string {
	o.t.Helper()
	for _, recorded := range o.Answers {
		if recorded.Member == name && recorded.Path == path && recorded.ETag != "" {
			return recorded.ETag
		}
	}
	o.t.Fatalf("the fixture has no ETag of %s %s", name, path)
	return ""
}

// changes changes what the release has stored.
func (o *opened) changes() {
	o.t.Helper()
	const key = "/api/state/form.1"
	o.ask(o.member("state"), "PUT", key, 3, "If-Match", o.etag("state", key))
	o.ask(o.member("state"), "DELETE", "/api/state/text", nil)
	o.ask(o.member("preferences"), "PATCH", "/api/preferences", map[string]any{"size": 13},
		"If-Match", o.etag("preferences", "/api/preferences"))
	blocked := o.member("blocked").again()
	blocked.logIn(o.t, o.server, blocked.nonce(o.t, o.server, "login")).
		want(o.t, http.StatusForbidden, "account_blocked")
	o.ask(o.member("admin"), "POST", blocked.adminPath()+"/unblock", nil)
	blocked.signIn(o.t, o.server)
	o.member("unblocked").again().signIn(o.t, o.server)
	o.member("erased").again().signIn(o.t, o.server)
	stored := o.member("stored admin")
	o.ask(stored, "GET", "/api/admin/sessions", nil)
	o.ask(o.member("admin"), "PUT", stored.adminPath()+"/roles", rolesBody{})
	stored.ask(o.t, o.server, "GET", "/api/admin/sessions", nil).
		want(o.t, http.StatusForbidden, "forbidden")
	o.member("evicted").again().signIn(o.t, o.server)
	o.member("evicting 0").ask(o.t, o.server, "GET", "/api/profile", nil).
		want(o.t, http.StatusUnauthorized, "evicted")
	o.ask(o.member("rotated"), "DELETE", "/api/profile", nil)
	o.ask(o.member("cookies"), "POST", "/auth/logout", nil)
}

// sweeps lets every session pass its deadline. The sweeper finds all of them.
func (o *opened) sweeps() {
	o.t.Helper()
	o.clock.Add(72 * time.Hour)
	if err := o.service.API.Sweep(context.Background()); err != nil {
		o.t.Error(err)
	}
	a := o.ask(o.member("admin").again().signIn(o.t, o.server), "GET", "/api/admin/sessions", nil)
	if a.get("active") != 1.0 || a.get("users") != 1.0 {
		o.t.Errorf("after the sweep: %s", a.text)
	}
}
