package boot_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/shared/authorizer"
	"latchkey/shared/lambdahttp"
)

// One process serves a hundred events of a function at once, as a Lambda on
// managed instances may. Each answer, and each line of the log, is that of its
// own request. The race detector watches.
func TestInvoke_concurrent(t *testing.T) {
	callers, targets := newCallers(t), newCallers(t)
	w := newCrowd(t, callers)
	for n, c := range callers {
		c.target = targets[n]
	}
	w.signIn(callers)
	w.signIn(targets)
	w.changeData(callers)
	w.read(callers)
	w.renew(callers)
	w.authorize(callers)
	w.connect(callers)
	w.administer(callers, targets)
	w.end(callers)
	w.sweep()
	w.checkLog()
	w.used["get-openapi"] = true      // it has no state
	w.used["serve-console"] = true    // nor has it
	w.used["publish-events"] = true   // in TestPublisher_two of shared/events
	w.used["rotate-keys"] = true      // in TestRotation_concurrent
	w.used["verify-signature"] = true // in TestVerifier_concurrent
	for _, folder := range folders(t) {
		if !w.used[folder] {
			t.Errorf("functions/%s was not called", folder)
		}
	}
}

func mark(what string) func(*caller) string {
	return func(c *caller) string { return c.mark(what) }
}

func marked(what string) func(*caller) []string {
	return func(c *caller) []string { return []string{c.mark(what)} }
}

func (c *caller) ownSession() []string { return []string{c.session} }

func (c *caller) targetAddress() string { return c.target.address() }

func (c *caller) targetNames() []string {
	return []string{c.target.address(), c.target.user, c.target.session}
}

// changeData gives every caller preferences and state of its own.
func (w *crowd) changeData(callers []*caller) {
	w.t.Helper()
	w.all(callers, call{
		function: "change-preferences", status: http.StatusOK, tells: marked("theme"),
		body: func(c *caller) string { return object("theme", c.mark("theme")) },
	})
	w.all(callers, call{
		function: "put-state", status: http.StatusNoContent, value: mark("form"),
		body: func(c *caller) string { return object("step", c.mark("step")) },
	})
}

// reads are requests that change nothing.
var reads = []call{
	{function: "check-health", status: http.StatusOK},
	{function: "get-profile", status: http.StatusOK, tells: func(c *caller) []string {
		return []string{c.address(), c.user, c.session, c.mark("device"), c.mark("theme")}
	}},
	{function: "validate-session", status: http.StatusOK, service: true, body: (*caller).validateBody,
		tells: func(c *caller) []string { return []string{`"active":true`, c.address(), c.user, c.session} }},
	{function: "get-preferences", status: http.StatusOK, tells: marked("theme")},
	{function: "get-state", status: http.StatusOK, value: mark("form"), tells: marked("step")},
	{function: "list-state", status: http.StatusOK, tells: marked("form")},
	{function: "list-sessions", status: http.StatusOK, tells: (*caller).ownSession},
	{function: "list-activity", status: http.StatusOK, tells: (*caller).ownSession},
	{function: "get-user", status: http.StatusOK,
		value: (*caller).targetAddress, tells: (*caller).targetNames},
	{function: "list-users", status: http.StatusOK,
		query: func(c *caller) string { return "status=live&limit=1&cursor=" + beforeUser(c.target.user) },
		tells: func(c *caller) []string { return []string{c.target.address(), c.target.user} }},
	{function: "list-user-activity", status: http.StatusOK,
		query: func(c *caller) string { return "address=" + c.target.address() },
		tells: func(c *caller) []string { return []string{c.target.session} }},
}

// beforeUser is the cursor of the page of live accounts that begins with a user.
func beforeUser(user string) string {
	raw, err := base64.RawURLEncoding.DecodeString(user)
	if err != nil {
		panic(err)
	}
	head := []byte{1, raw[0] >> 4, raw[0]<<4 | raw[1]>>4, 0}
	for i := len(raw) - 1; i >= 0; i-- {
		if raw[i]--; raw[i] != 0xff { // nothing to borrow from the byte before
			break
		}
	}
	return base64.RawURLEncoding.EncodeToString(append(head, raw...))
}

// count reads the counters of every partition, so only some callers make it at
// once.
var count = call{function: "count-sessions", status: http.StatusOK, tells: func(*caller) []string {
	return []string{fmt.Sprintf(`"active":%d,"users":%[1]d`, 2*concurrency)}
}}

// read makes every request that changes nothing, and then all of them at once.
// The first of them find that the keys are old: one fetches the secret.
func (w *crowd) read(callers []*caller) {
	w.t.Helper()
	w.keys.Calls()
	w.keys.Set(awstest.TwoKeys)
	w.clock.Add(10 * time.Minute)
	for _, of := range reads {
		w.all(callers, of)
	}
	w.keys.Expect(w.t, "a hundred events with old keys", 1)
	w.each(callers, func(c *caller) call {
		if c.number%10 == 0 {
			return count
		}
		return reads[c.number%len(reads)]
	})
}

// renew rotates each caller's tokens twice, and deletes the state.
func (w *crowd) renew(callers []*caller) {
	w.t.Helper()
	w.take(callers, call{
		function: "refresh-session", status: http.StatusOK, body: (*caller).refreshBody,
		tells: (*caller).ownSession,
	})
	w.take(callers, call{
		function: "issue-nonce", status: http.StatusOK,
		query: func(*caller) string { return "purpose=step_up" },
		tells: func(c *caller) []string { return []string{c.address()} },
	})
	w.take(callers, call{
		function: "step-up", status: http.StatusOK, body: (*caller).stepUpBody,
		tells: (*caller).ownSession,
	})
	w.all(callers, call{
		function: "delete-state", status: http.StatusNoContent, value: mark("form"),
	})
}

// administer changes each target, by the caller that administers it.
func (w *crowd) administer(callers, targets []*caller) {
	w.t.Helper()
	of := func(function string, status int, tells ...string) call {
		return call{
			function: function, status: status, value: (*caller).targetAddress,
			tells: func(*caller) []string { return tells },
		}
	}
	role := func(c *caller) string { return fmt.Sprintf(`"role-%d"]`, c.number%10) }
	give := of("set-roles", http.StatusOK)
	give.body = func(c *caller) string { return `{"roles":[` + role(c) + `}` }
	give.tells = func(c *caller) []string { return []string{c.target.user, role(c)} }
	w.all(callers, give)
	look := of("get-user", http.StatusOK)
	look.tells = func(c *caller) []string { return append(c.targetNames(), role(c)) }
	w.all(callers, look)
	revoke := of("revoke-session", http.StatusNoContent)
	revoke.value = func(c *caller) string { return c.target.session }
	w.all(callers, revoke)
	w.ended(targets, "revoked_by_admin")
	w.all(callers, of("erase-user", http.StatusNoContent))
	w.all(callers, of("get-user", http.StatusNotFound, `"not_found"`))
	w.signIn(targets)
	w.all(callers, of("end-user-sessions", http.StatusOK, `{"ended":1}`))
	w.all(callers, of("block-user", http.StatusNoContent))
	w.all(callers, of("get-user", http.StatusOK, `"blocked":true`))
	w.all(callers, of("unblock-user", http.StatusNoContent))
}

// end ends sessions of every caller in each way that users have. It leaves one
// session of each.
func (w *crowd) end(callers []*caller) {
	w.t.Helper()
	second, third := again(callers), again(callers)
	w.signIn(second)
	w.all(callers, call{
		function: "end-other-sessions", status: http.StatusOK,
		tells: func(*caller) []string { return []string{`{"ended":1}`} },
	})
	w.ended(second, "revoked")
	w.signIn(third)
	w.all(third, call{
		function: "end-session", status: http.StatusNoContent,
		value: func(c *caller) string { return callers[c.number].session },
	})
	w.ended(callers, "revoked")
	w.all(third, call{function: "log-out", status: http.StatusNoContent})
	w.ended(third, "logged_out")
	w.signIn(second)
	w.all(second, call{function: "erase-profile", status: http.StatusNoContent})
	w.ended(second, "account_erased")
	w.signIn(third)
}

// shapes are the kinds of authorizer events, each with its members beside those
// that carry the credential.
var shapes = []map[string]any{
	{"version": "2.0", "type": "REQUEST", "routeArn": guardedARN + "GET/orders"},
	{"version": "1.0", "type": "REQUEST", "methodArn": guardedARN + "GET/orders", "httpMethod": "GET"},
	{"type": "REQUEST", "methodArn": guardedARN + "GET/orders", "httpMethod": "GET"},
	{"type": "TOKEN", "methodArn": guardedARN + "GET/orders"},
	{"type": "REQUEST", "methodArn": guardedARN + "$connect"},
}

const guardedARN = "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/"

// authorize asks the authorizer about each caller in every shape. Each round
// has all shapes at once, and the tokens of some callers are forged.
func (w *crowd) authorize(callers []*caller) {
	w.t.Helper()
	w.used["authorizer"] = true
	f := w.service.WithKeyRefresh(authorizer.New(w.service.API, nil))
	for shift := range shapes {
		events := make([][]byte, len(callers))
		for i, c := range callers {
			events[i] = w.guarded(c, shapes[(i+shift)%len(shapes)], forged(i))
		}
		answers := atOnce(w.t, len(callers), func(i int) ([]byte, error) {
			return f.Invoke(context.Background(), events[i])
		})
		for i, c := range callers {
			w.checkDecision(c, string(answers[i]), forged(i))
		}
	}
}

func forged(i int) bool { return i%7 == 6 }

// guarded returns an authorizer's event of a shape, with the caller's access
// token. Only bearer tokens fit into the shape TOKEN; for other callers it is
// the first shape.
func (w *crowd) guarded(c *caller, shape map[string]any, forged bool) []byte {
	w.t.Helper()
	token := c.accessToken()
	if forged {
		token = token[:len(token)-4] + "AAAA"
	}
	if shape["type"] == "TOKEN" && c.transport == "cookie" {
		shape = shapes[0]
	}
	e := maps.Clone(shape)
	headers := map[string]string{"user-agent": "curl/8.14.1", "origin": "https://" + host}
	switch {
	case shape["type"] == "TOKEN":
		e["authorizationToken"] = "Bearer " + token
	case c.transport == "cookie":
		headers["cookie"] = "__Host-session=" + token
	default:
		headers["authorization"] = "Bearer " + token
	}
	about := map[string]any{
		"requestId": w.register(sentEvent{number: c.number}),
		"identity":  map[string]string{"sourceIp": "203.0.113.7"},
		"http":      map[string]string{"method": "GET", "sourceIp": "203.0.113.7"},
	}
	if shape["methodArn"] == guardedARN+"$connect" {
		about["eventType"] = "CONNECT"
	}
	e["headers"], e["requestContext"] = headers, about
	payload, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	return payload
}

// connect gives every caller a ticket, and asks the authorizer about a WebSocket
// with it, twice: the gateway may repeat its question.
func (w *crowd) connect(callers []*caller) {
	w.t.Helper()
	f := w.service.WithKeyRefresh(authorizer.New(w.service.API, nil))
	events := make([][]byte, len(callers))
	answers := w.all(callers, call{function: "issue-ticket", status: http.StatusOK})
	for i, r := range answers {
		var issued struct{ Ticket string }
		if err := json.Unmarshal([]byte(r.Body), &issued); err != nil {
			w.t.Fatal(err)
		}
		payload, err := json.Marshal(map[string]any{
			"type": "REQUEST", "methodArn": guardedARN + "$connect",
			"headers": map[string]string{
				"user-agent": "curl/8.14.1", "sec-websocket-protocol": "latchkey, " + issued.Ticket,
			},
			"requestContext": map[string]any{
				"eventType": "CONNECT", "connectionId": fmt.Sprint("connection-", i),
				"requestId": w.register(sentEvent{number: i}),
				"identity":  map[string]string{"sourceIp": "203.0.113.7"},
			},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		events[i] = payload
	}
	decisions := atOnce(w.t, 2*len(events), func(i int) ([]byte, error) {
		return f.Invoke(context.Background(), events[i/2])
	})
	for i, decision := range decisions {
		w.checkDecision(callers[i/2], string(decision), false)
	}
}

// checkDecision reports a decision of the authorizer that is not about the
// caller.
func (w *crowd) checkDecision(c *caller, answer string, forged bool) {
	w.t.Helper()
	allowed := strings.Contains(answer, `"isAuthorized":true`) || strings.Contains(answer, `"Allow"`)
	if allowed == forged || w.owners.foreign(c.number, answer) != "" {
		w.t.Errorf("caller %d, forged %t: %s", c.number, forged, answer)
	}
	for _, name := range []string{c.user, c.session, c.address()} {
		if strings.Contains(answer, `"`+name+`"`) == forged {
			w.t.Errorf("caller %d, forged %t, %s: %s", c.number, forged, name, answer)
		}
	}
}

// sweeps is how many sweeps are under way at once. A schedule calls one a
// minute, and each visits every partition.
const sweeps = 2

// sweep lets every session pass its deadline. Several sweeps end each of them
// once.
func (w *crowd) sweep() {
	w.t.Helper()
	w.used["sweep-sessions"] = true
	w.clock.Add(time.Hour)
	f := w.service.WithKeyRefresh(lambdahttp.Sweep(w.service.API.Sweep))
	atOnce(w.t, sweeps, func(int) ([]byte, error) {
		return f.Invoke(context.Background(), []byte("{}"))
	})
	ended := strings.Count(w.output.String(), `"reason":"idle_timeout"`)
	complete := strings.Count(w.output.String(), `"complete":true`)
	if ended != concurrency || complete != sweeps {
		w.t.Errorf("%d sweeps ended %d sessions, want %d and %d", complete, ended, sweeps, concurrency)
	}
}
