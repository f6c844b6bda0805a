package boot_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/token"
)

// hot is a function without the process around it: an event in, a response out,
// on a real redis-server.
type hot struct {
	b       testing.TB
	service *boot.Service
	key     string // of a backend
}

func newHot(b testing.TB, variables ...string) hot {
	b.Helper()
	key := token.NewServiceKey()
	hash, err := token.ServiceKeyHash(key)
	if err != nil {
		b.Fatal(err)
	}
	env := map[string]string{
		"RATE_LIMIT_NONCE_PER_MINUTE": "0", "RATE_LIMIT_LOGIN_PER_MINUTE": "0", "RATE_LIMIT_REFRESH_PER_MINUTE": "0",
	}
	for _, pair := range variables {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	for _, pair := range environment(b, redistest.Server(b)) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	env["SERVICE_KEYS"] = fmt.Sprintf("orders=%x", hash)
	cfg, err := config.Load(func(name string) string { return env[name] })
	if err != nil {
		b.Fatal(err)
	}
	service, err := boot.New(cfg, boot.NewLogger(io.Discard))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = service.Close() })
	return hot{b, service, key}
}

// serves is the function of a route.
func (h hot) serves(route func(*api.API) http.Handler) lambda.Handler {
	return h.service.WithKeyRefresh(lambdahttp.NewHandler(route(h.service.API), host))
}

// authorizes is the authorizer.
func (h hot) authorizes() lambda.Handler {
	return h.service.WithKeyRefresh(authorizer.New(h.service.API, nil))
}

// ask hands over an event and returns the response, whose status must be that.
func (h hot) ask(f lambda.Handler, event []byte, status int) lambdatest.Response {
	h.b.Helper()
	payload, err := f.Invoke(context.Background(), event)
	if err != nil {
		h.b.Fatal(err)
	}
	r := lambdatest.DecodeResponse(h.b, payload)
	if r.StatusCode != status {
		h.b.Fatalf("answered %d %s", r.StatusCode, r.Body)
	}
	return r
}

// browserHeaders are what a page's request brings along.
func browserHeaders(more ...string) map[string]string {
	headers := map[string]string{
		"accept": "*/*", "accept-encoding": "gzip, deflate, br", "accept-language": "en-US,en;q=0.9", "host": host,
		"user-agent":      "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
		"x-amzn-trace-id": "Root=1-67000000-0123456789abcdef01234567", "x-forwarded-for": "203.0.113.7", "x-forwarded-port": "443", "x-forwarded-proto": "https",
	}
	for i := 0; i < len(more); i += 2 {
		headers[more[i]] = more[i+1]
	}
	return headers
}

func posted(path string, body any) lambdatest.Event {
	e := lambdatest.NewEvent("POST", path)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	e.Headers, e.Body = browserHeaders("content-type", "application/json"), string(text)
	return e
}

// logins are events of logins over fresh nonces, by wallets that take turns.
func (h hot) logins(n, wallets int) [][]byte {
	h.b.Helper()
	keys := make([]*ecdsa.PrivateKey, wallets)
	for i := range keys {
		key, err := crypto.GenerateKey()
		if err != nil {
			h.b.Fatal(err)
		}
		keys[i] = key
	}
	nonces := h.serves((*api.API).Nonce)
	return repeat(n, func(i int) []byte {
		return posted("/auth/login", signedBy(h.b, keys[i%wallets], func(query string) lambdatest.Response {
			return h.ask(nonces, nonceEvent(query).JSON(h.b), http.StatusOK)
		})).JSON(h.b)
	})
}

func nonceEvent(query string) lambdatest.Event {
	e := lambdatest.NewEvent("GET", "/auth/nonce")
	e.Headers, e.RawQueryString = browserHeaders(), "transport=bearer"+query
	return e
}

// repeat makes n events.
func repeat(n int, one func(i int) []byte) [][]byte {
	events := make([][]byte, n)
	for i := range events {
		events[i] = one(i)
	}
	return events
}

// same is the same event over and over.
func (h hot) same(e lambdatest.Event) func(n int) [][]byte {
	payload := e.JSON(h.b)
	return func(n int) [][]byte { return slices.Repeat([][]byte{payload}, n) }
}

// ofSessions makes an event of each of n sessions, of as many accounts.
func (h hot) ofSessions(one func(tokens) lambdatest.Event) func(n int) [][]byte {
	return func(n int) [][]byte {
		logins, f := h.logins(n, n), h.serves((*api.API).Login)
		return repeat(n, func(i int) []byte { return one(tokensOf(h.b, h.ask(f, logins[i], http.StatusOK))).JSON(h.b) })
	}
}

// session is somebody who has signed in.
func (h hot) session() tokens {
	return tokensOf(h.b, h.ask(h.serves((*api.API).Login), h.logins(1, 1)[0], http.StatusOK))
}

// browses is the event of a profile that a page asks for, with the cookies of
// its session.
func (h hot) browses() lambdatest.Event {
	nonces, logins := h.serves((*api.API).Nonce), h.serves((*api.API).Login)
	key, err := crypto.GenerateKey()
	if err != nil {
		h.b.Fatal(err)
	}
	var jar []string
	ask := func(f lambda.Handler, e lambdatest.Event) lambdatest.Response {
		e.Cookies, e.Headers["origin"] = jar, "https://"+host
		r := h.ask(f, e.JSON(h.b), http.StatusOK)
		for _, line := range r.Cookies {
			pair, _, _ := strings.Cut(line, ";")
			jar = append(jar, pair)
		}
		return r
	}
	login := signedBy(h.b, key, func(query string) lambdatest.Response {
		e := nonceEvent(query)
		e.RawQueryString = "transport=cookie" + query
		return ask(nonces, e)
	})
	login["transport"] = "cookie"
	ask(logins, posted("/auth/login", login))
	e := lambdatest.NewEvent("GET", "/api/profile")
	e.Headers = browserHeaders("origin", "https://"+host, "sec-fetch-site", "same-origin")
	e.Cookies = jar
	return e
}

// bearing is the event of a request with an access token.
func bearing(method, path, token string) lambdatest.Event {
	e := lambdatest.NewEvent(method, path)
	e.Headers = browserHeaders("authorization", "Bearer "+token)
	return e
}

// asked is the event of a backend's question about a request with an access token.
func (h hot) asked(accessToken string) lambdatest.Event {
	of := browserHeaders()
	e := posted("/auth/validate", map[string]any{"token": accessToken, "userAgent": of["user-agent"], "ip": "203.0.113.7"})
	e.Headers = map[string]string{"content-type": "application/json", "authorization": "Bearer " + h.key, "user-agent": "Go-http-client/2.0"}
	return e
}

// connects is the event of a WebSocket that is opened with a ticket.
func (h hot) connects(of tokens) []byte {
	h.b.Helper()
	var issued struct{ Ticket string }
	answer := h.ask(h.serves((*api.API).Ticket), bearing("POST", "/auth/ticket", of.AccessToken).JSON(h.b), http.StatusOK)
	if err := json.Unmarshal([]byte(answer.Body), &issued); err != nil {
		h.b.Fatal(err)
	}
	headers := browserHeaders("sec-websocket-protocol", "latchkey, "+issued.Ticket)
	event, err := json.Marshal(map[string]any{
		"type": "REQUEST", "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/$connect", "headers": headers,
		"requestContext": map[string]any{
			"eventType": "CONNECT", "requestId": "r=", "connectionId": issued.Ticket[4:20], "identity": map[string]any{"sourceIp": "203.0.113.7"},
		},
	})
	if err != nil {
		h.b.Fatal(err)
	}
	return event
}

// asks is the event of an authorizer of an HTTP API, payload format 2.0.
func (h hot) asks(n int) [][]byte {
	text := string(bearing("GET", "/orders", h.session().AccessToken).JSON(h.b))
	const more = `{"type":"REQUEST","routeArn":"arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/GET/orders",`
	return slices.Repeat([][]byte{[]byte(more + text[1:])}, n)
}

// path is a function that is called often, with n events for it, and what
// stands in its answers.
type path struct {
	name     string
	function lambda.Handler
	events   func(n int) [][]byte
	wants    string
	// most is how many allocations one event may take under the race detector,
	// which throws pooled memory away and makes it a quarter more than it is
	// otherwise: a tenth above what was measured.
	most float64
}

func (h hot) paths() []path {
	ok := `"statusCode":200`
	return []path{
		{"authorizer", h.authorizes(), h.asks, `"isAuthorized":true`, 135},
		{"profile", h.serves((*api.API).Profile), h.same(bearing("GET", "/api/profile", h.session().AccessToken)), ok, 169},
		{"profile-by-cookie", h.serves((*api.API).Profile), h.same(h.browses()), ok, 184},
		{"validate", h.serves((*api.API).Validate), h.same(h.asked(h.session().AccessToken)), `\"active\":true`, 200},
		{"ticket", h.serves((*api.API).Ticket), h.ofSessions(func(of tokens) lambdatest.Event {
			return bearing("POST", "/auth/ticket", of.AccessToken)
		}), ok, 219},
		{"handshake", h.authorizes(), func(n int) [][]byte {
			logins, f := h.logins(n, n), h.serves((*api.API).Login)
			return repeat(n, func(i int) []byte { return h.connects(tokensOf(h.b, h.ask(f, logins[i], http.StatusOK))) })
		}, `"Effect":"Allow"`, 192},
		{"nonce", h.serves((*api.API).Nonce), h.same(nonceEvent("")), ok, 142},
		{"login", h.serves((*api.API).Login), func(n int) [][]byte { return h.logins(n, 1+n/25) }, ok, 427},
		{"refresh", h.serves((*api.API).Refresh), h.ofSessions(func(of tokens) lambdatest.Event {
			return posted("/auth/refresh", map[string]string{"refreshToken": of.RefreshToken})
		}), ok, 318},
		{"logout", h.serves((*api.API).Logout), h.ofSessions(func(of tokens) lambdatest.Event {
			return bearing("POST", "/auth/logout", of.AccessToken)
		}), `"statusCode":204`, 194},
	}
}

func (p path) invoke(b testing.TB, event []byte) {
	got, err := p.function.Invoke(context.Background(), event)
	if err != nil || !strings.Contains(string(got), p.wants) {
		b.Fatalf("%s, %v", got, err)
	}
}

// BenchmarkInvoke is what a function does with an event, without the process
// and the loop around it. Each event is new where it can be taken once only.
func BenchmarkInvoke(b *testing.B) {
	for _, p := range newHot(b).paths() {
		b.Run(p.name, func(b *testing.B) {
			events := p.events(b.N)
			b.ReportAllocs()
			b.ResetTimer()
			for _, e := range events {
				p.invoke(b, e)
			}
		})
	}
}

// What a function allocates for an event is bounded. Trips to Redis are counted
// in shared/api and shared/authorizer.
func TestInvoke_allocations(t *testing.T) {
	const runs = 100
	for _, p := range newHot(t).paths() {
		events := p.events(runs + 1) // one before it counts
		got := testing.AllocsPerRun(runs, func() {
			p.invoke(t, events[0])
			events = events[1:]
		})
		if got > p.most || got < p.most/2 {
			t.Errorf("%s: %.0f allocations, want at most %.0f", p.name, got, p.most)
		}
	}
}

// Where contract wallets are on, the login of a key recovers one key, as
// elsewhere: that is the largest part of a login.
func TestInvoke_keyLoginWithContracts(t *testing.T) {
	const runs = 100
	allocations := func(variables ...string) float64 {
		h := newHot(t, variables...)
		login, events := h.serves((*api.API).Login), h.logins(runs+1, 5)
		return testing.AllocsPerRun(runs, func() {
			if got, err := login.Invoke(t.Context(), events[0]); err != nil || !strings.Contains(string(got), `"statusCode":200`) {
				t.Fatalf("%s, %v", got, err)
			}
			events = events[1:]
		})
	}
	off, on := allocations(), allocations(`ETHEREUM_RPC={"1":["https://rpc.invalid"]}`)
	if on > off+15 {
		t.Errorf("%.0f allocations, and %.0f where contract wallets are on", off, on)
	}
}
