package boot_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/boot"
	"latchkey/shared/lambdahttp"
)

// concurrency is how many events of a function are under way at once.
const concurrency = 100

// crowd is one process with one instance of every function that has a route,
// and those who call them at once.
type crowd struct {
	t       *testing.T
	service *boot.Service
	keys    *awstest.SecretsManager
	clock   *awstest.Clock
	output  *bytes.Buffer // of log and metrics

	functions map[string]lambda.Handler // by the names of their folders
	routes    map[string]string
	used      map[string]bool
	owners    owners
	sent      map[string]sentEvent // by request id
}

// sentEvent is an event that was sent: by which caller, for which route if any,
// and the status of the answer.
type sentEvent struct {
	number int
	route  string
	status int
}

// newCrowd starts a process whose keys are in Secrets Manager. Its admins are
// these callers, and it has roles from role-0 to role-9.
func newCrowd(t *testing.T, admins []*caller) *crowd {
	t.Helper()
	var addresses, roles []string
	for _, c := range admins {
		addresses = append(addresses, c.address())
	}
	for n := range 10 {
		roles = append(roles, fmt.Sprintf(`"role-%d":{}`, n))
	}
	w := &crowd{
		t: t, keys: awstest.NewSecretsManager(t, awstest.OneKey), output: new(bytes.Buffer),
		clock: awstest.NewClock(awstest.Start), functions: map[string]lambda.Handler{},
		routes: map[string]string{}, used: map[string]bool{}, owners: owners{},
		sent: map[string]sentEvent{},
	}
	embedded := redistest.Embedded(t)
	embedded.Mini.ClockTTL(false) // it would look at every key at each command
	cfg := keyedConfig(t, embedded.Addr, "STEP_UP_MINUTES", "60",
		"ADMIN_ADDRESSES", strings.Join(addresses, ","), "ROLES", "{"+strings.Join(roles, ",")+"}",
		"RATE_LIMIT_NONCE_PER_MINUTE", "0", "RATE_LIMIT_LOGIN_PER_MINUTE", "0",
		"SERVICE_KEYS", "orders="+serviceKeyHash(t))
	cfg.Redis.PoolSize = concurrency
	out := boot.NewLines(w.output)
	cfg.API.Metric = lambdahttp.NewMetric(out, "function", w.clock.Now)
	env := w.keys.Environment(w.clock, out)
	var err error
	if w.service, err = boot.NewService(context.Background(), cfg, env, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.service.Close() })
	w.service.WaitLonger()
	w.build()
	return w
}

// routedMain matches the main of a function that has a route.
var routedMain = regexp.MustCompile(`serves (\S+ \S+)(?: and HEAD \S+)?\.\n(?s:.*)boot\.Run(?:WithVerifier)?\(\(\*api\.API\)\.(\w+)[,)]`)

// build makes each function that has a route, as its main does.
func (w *crowd) build() {
	w.t.Helper()
	for _, folder := range folders(w.t) {
		text, err := os.ReadFile(filepath.Join("../../functions", folder, "main.go"))
		if err != nil {
			w.t.Fatal(err)
		}
		if m := routedMain.FindStringSubmatch(string(text)); m != nil {
			route := reflect.ValueOf(w.service.API).MethodByName(m[2])
			handler := route.Call(nil)[0].Interface().(http.Handler)
			w.functions[folder] = w.service.WithKeyRefresh(newHandler(handler, host))
			w.routes[folder] = m[1]
		}
	}
}

// folders returns the names of the folders of all functions.
func folders(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("../../functions")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// call is a request to a function, as each caller makes it. Functions that are
// nil return nothing.
type call struct {
	function string                   // the name of its folder
	service  bool                     // whether a backend makes it, with its key
	value    func(c *caller) string   // of the parameter in the path
	query    func(c *caller) string   // without the question mark
	body     func(c *caller) string   // JSON
	status   int                      // of the answer
	tells    func(c *caller) []string // what the answer must contain
}

func text(f func(*caller) string, c *caller) string {
	if f == nil {
		return ""
	}
	return f(c)
}

// event returns the event of a caller's request.
func (w *crowd) event(c *caller, of call) lambdatest.Event {
	route := w.routes[of.function]
	if query := text(of.query, c); query != "" {
		route += "?" + query
	}
	e := c.request(route, text(of.value, c), text(of.body, c))
	if strings.HasPrefix(route, http.MethodPatch) {
		e.Headers["if-match"] = "*"
	}
	if of.service {
		e.Headers["authorization"], e.Cookies = "Bearer "+serviceKey, nil
	}
	e.RequestContext.RequestID = w.register(sentEvent{c.number, e.RouteKey, of.status})
	w.used[of.function] = true
	return e
}

// register returns a new request id for an event.
func (w *crowd) register(e sentEvent) string {
	id := fmt.Sprintf("request-%d", len(w.sent))
	w.sent[id] = e
	return id
}

// all makes the same call for every caller, all at once.
func (w *crowd) all(callers []*caller, of call) []lambdatest.Response {
	w.t.Helper()
	return w.each(callers, func(*caller) call { return of })
}

// each makes a call for every caller, all at once. It checks that each answer
// is that of its own request, and returns the answers.
func (w *crowd) each(callers []*caller, choose func(*caller) call) []lambdatest.Response {
	w.t.Helper()
	var calls []call
	var events []lambdatest.Event
	for _, c := range callers {
		w.owners.add(c)
		calls = append(calls, choose(c))
		events = append(events, w.event(c, calls[len(calls)-1]))
	}
	payloads := atOnce(w.t, len(callers), func(i int) ([]byte, error) {
		return w.functions[calls[i].function].Invoke(context.Background(), events[i].JSON(w.t))
	})
	answers := make([]lambdatest.Response, len(callers))
	for i, c := range callers {
		answers[i] = lambdatest.DecodeResponse(w.t, payloads[i])
		if id := events[i].RequestContext.RequestID; answers[i].Headers["X-Request-Id"] != id {
			w.t.Errorf("%s: request %s has the answer %s", calls[i].function, id, payloads[i])
		}
		w.check(c, calls[i], answers[i], string(payloads[i]))
	}
	return answers
}

// atOnce invokes functions at once, each for a number below n.
func atOnce(t *testing.T, n int, invoke func(i int) ([]byte, error)) [][]byte {
	t.Helper()
	payloads, errs, begin := make([][]byte, n), make([]error, n), make(chan struct{})
	var under sync.WaitGroup
	for i := range n {
		under.Go(func() {
			<-begin
			payloads[i], errs[i] = invoke(i)
		})
	}
	close(begin)
	under.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return payloads
}

// check reports an answer that is not that of the caller's request.
func (w *crowd) check(c *caller, of call, r lambdatest.Response, payload string) {
	w.t.Helper()
	if r.StatusCode != of.status {
		w.t.Errorf("%s of caller %d: %d %s, want %d",
			of.function, c.number, r.StatusCode, r.Body, of.status)
	}
	if word := w.owners.foreign(c.number, payload); word != "" {
		w.t.Errorf("%s of caller %d: %s is another's in %s",
			of.function, c.number, word, payload)
	}
	if of.tells == nil {
		return
	}
	for _, want := range of.tells(c) {
		if want == "" || !strings.Contains(r.Body, want) {
			w.t.Errorf("%s of caller %d: no %q in %s", of.function, c.number, want, r.Body)
		}
	}
}

// take makes the same call for every caller, and gives each what its answer has
// for later requests.
func (w *crowd) take(callers []*caller, of call) {
	w.t.Helper()
	for i, r := range w.all(callers, of) {
		callers[i].take(w.t, r)
		given := strings.Join(callers[i].names(), " ")
		if word := w.owners.foreign(callers[i].number, given); word != "" {
			w.t.Errorf("%s gives caller %d what another has: %s", of.function, i, word)
		}
		w.owners.add(callers[i])
	}
}

// signIn makes a session for each caller.
func (w *crowd) signIn(callers []*caller) {
	w.t.Helper()
	address := func(c *caller) []string { return []string{c.address()} }
	w.take(callers, call{
		function: "issue-nonce", status: http.StatusOK, tells: address,
		query: func(c *caller) string {
			return "transport=" + c.transport + "&chainId=1&address=" + c.address()
		},
	})
	w.take(callers, call{
		function: "log-in", status: http.StatusOK, body: (*caller).loginBody, tells: address,
	})
}

// ended checks that each caller's session has ended for that reason.
func (w *crowd) ended(callers []*caller, reason string) {
	w.t.Helper()
	w.all(callers, call{
		function: "get-profile", status: http.StatusUnauthorized,
		tells: func(*caller) []string { return []string{`"session_ended"`, `"` + reason + `"`} },
	})
}

// checkLog checks that every event with a route has one line in the log that
// says how it was answered, and that no line of a request tells of another
// caller.
func (w *crowd) checkLog() {
	w.t.Helper()
	var log lambdatest.Output
	_, _ = log.Write(w.output.Bytes())
	entries, err := log.Entries()
	if err != nil {
		w.t.Fatal(err)
	}
	logged := map[string]int{}
	for i, line := range strings.Split(strings.TrimSuffix(w.output.String(), "\n"), "\n") {
		id, _ := entries[i]["requestId"].(string)
		sent, known := w.sent[id]
		if !known {
			continue
		}
		if word := w.owners.foreign(sent.number, line); word != "" {
			w.t.Errorf("caller %d: %s is another's in %s", sent.number, word, line)
		}
		if entries[i]["msg"] == "request" {
			logged[id]++
			if entries[i]["route"] != sent.route || entries[i]["status"] != float64(sent.status) {
				w.t.Errorf("%s was answered %d, and logged %s", sent.route, sent.status, line)
			}
		}
	}
	for id, sent := range w.sent {
		if sent.route != "" && logged[id] != 1 {
			w.t.Errorf("%s is logged %d times", sent.route, logged[id])
		}
	}
}
