package boot_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/redistest"
	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/boot"
)

// hot is a function without the process around it: an event in, a response out, on a real redis-server.
type hot struct {
	b       testing.TB
	service *boot.Service
}

func newHot(b testing.TB) hot {
	b.Helper()
	env := map[string]string{
		"RATE_LIMIT_NONCE_PER_MINUTE": "0", "RATE_LIMIT_LOGIN_PER_MINUTE": "0", "RATE_LIMIT_REFRESH_PER_MINUTE": "0",
	}
	for _, pair := range environment(b, redistest.Server(b)) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	cfg, err := boot.Load(func(name string) string { return env[name] })
	if err != nil {
		b.Fatal(err)
	}
	service, err := boot.New(cfg, boot.NewLogger(io.Discard))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = service.Close() })
	return hot{b, service}
}

// serves is the function of a route.
func (h hot) serves(route func(*api.API) http.Handler) lambda.Handler {
	return h.service.Keep(boot.NewLambda(route(h.service.API), host))
}

// authorizes is the authorizer.
func (h hot) authorizes() lambda.Handler { return h.service.Keep(authorizer.New(h.service.API, nil)) }

// ask hands over an event and returns the response, whose status must be that.
func (h hot) ask(f lambda.Handler, e event, status int) response {
	h.b.Helper()
	payload, err := f.Invoke(context.Background(), e.json(h.b))
	if err != nil {
		h.b.Fatal(err)
	}
	r := decodeResponse(h.b, payload)
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

func posted(path string, body any) event {
	e := newEvent("POST", path)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	e.Headers, e.Body = browserHeaders("content-type", "application/json"), string(text)
	return e
}

// login is the event of a login over a fresh nonce.
func (h hot) login(nonces lambda.Handler) event {
	key, err := crypto.GenerateKey()
	if err != nil {
		h.b.Fatal(err)
	}
	return posted("/auth/login", signedBy(h.b, key, func(query string) response {
		e := newEvent("GET", "/auth/nonce")
		e.RawQueryString = "transport=bearer" + query
		return h.ask(nonces, e, http.StatusOK)
	}))
}

// session is somebody who has signed in.
func (h hot) session() tokens {
	return tokensOf(h.b, h.ask(h.serves((*api.API).Login), h.login(h.serves((*api.API).Nonce)), http.StatusOK))
}

func (h hot) profile() []byte {
	e := newEvent("GET", "/api/profile")
	e.Headers = browserHeaders("authorization", "Bearer "+h.session().AccessToken)
	return e.json(h.b)
}

// asks is the event of an authorizer of an HTTP API, payload format 2.0.
func (h hot) asks() []byte {
	e := newEvent("GET", "/orders")
	e.Headers = browserHeaders("authorization", "Bearer "+h.session().AccessToken)
	text := strings.Replace(string(e.json(h.b)), "{", `{"type":"REQUEST","routeArn":"arn:aws:execute-api:eu-central-1:123456789012:abcdef1234/prod/GET/orders",`, 1)
	return []byte(text)
}

// BenchmarkInvoke is what a function does with an event, without the process and the loop around it.
func BenchmarkInvoke(b *testing.B) {
	h := newHot(b)
	for name, one := range map[string]struct {
		function lambda.Handler
		event    []byte
		wants    string
	}{
		"authorizer": {h.authorizes(), h.asks(), `"isAuthorized":true`},
		"profile":    {h.serves((*api.API).Profile), h.profile(), `"statusCode":200`},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				got, err := one.function.Invoke(context.Background(), one.event)
				if err != nil || !strings.Contains(string(got), one.wants) {
					b.Fatalf("%s, %v", got, err)
				}
			}
		})
	}
}

// What a function allocates for an event is bounded. The race detector, which throws pooled memory away, makes it a quarter
// more than it is otherwise; the bound is a tenth above that.
func TestInvoke_allocations(t *testing.T) {
	h := newHot(t)
	for name, one := range map[string]struct {
		function lambda.Handler
		event    []byte
		most     float64
	}{
		"authorizer": {h.authorizes(), h.asks(), 146},
		"profile":    {h.serves((*api.API).Profile), h.profile(), 203},
	} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := one.function.Invoke(context.Background(), one.event); err != nil {
				t.Fatal(err)
			}
		})
		if got > one.most || got < one.most/2 {
			t.Errorf("%s: %.0f allocations, want at most %.0f", name, got, one.most)
		}
	}
}
