package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"latchkey/shared/session"
)

// endpoint is one route: its method, who may call it, and what it does with a
// decoded body. What serve returns becomes the JSON body of a 200; nil becomes
// a 204. An error goes through problemOf.
type endpoint[In any] struct {
	method     string
	failed     eventType   // the type of the event of a refusal; empty means request
	session    sessionRule // which session it requires
	permission permission  // required beside a live session; empty means none
	fresh      bool        // whether it requires a recent login or step-up
	parameters []string    // the names that its query may have
	serve      func(x *exchange, in In) (any, error)
}

// nothing is the body of a request without one.
type nothing struct{}

// handler adds what all routes share: request id, security headers, decoding,
// encoding, and one line in the access log. It also answers if the code panics.
func (e endpoint[In]) handler(a *API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			api: a, w: w, info: requestInfoOf(r.Context()),
			id: requestID(requestInfoOf(r.Context())), began: a.now(), failed: e.failed,
		}
		// For the store's events; see Audit.
		x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		defer x.complete()
		x.answer(e.run(x))
	})
}

func (e endpoint[In]) run(x *exchange) (any, error) {
	if x.info.Malformed {
		return nil, invalid("the request is malformed")
	}
	if x.r.Method != e.method {
		return nil, absent()
	}
	var err error
	if x.presented, err = x.findCredentials(); err != nil {
		return nil, err
	}
	if err := x.admit(e.session, e.permission, e.fresh); err != nil {
		return nil, err
	}
	if err := checkParameters(x.r, e.parameters...); err != nil {
		return nil, err
	}
	var in In
	if x.r.Method != http.MethodGet {
		if err := decode(x.r, &in); err != nil {
			return nil, err
		}
	}
	return e.serve(x, in)
}

// exchange is one request and its answer.
type exchange struct {
	api   *API
	w     http.ResponseWriter
	r     *http.Request
	info  RequestInfo
	id    string
	began time.Time

	failed    eventType // see endpoint
	bare      bool      // see Guarded
	handshake bool      // see Guarded
	presented presented

	// Set by open; all zero if the endpoint requires no session.
	access      session.Access
	client      session.Client
	preferences session.Preferences

	status int         // of a success; zero means 200 or 204
	about  []slog.Attr // what the events of this request are about, as far as known
	sent   int         // the status that was sent
	code   code        // of the problem that was sent
}

// answer writes the response. Nothing is written before, so a response is never
// partial.
func (x *exchange) answer(out any, err error) {
	if err != nil {
		x.recordFailure(err)
		x.writeProblem(err)
		return
	}
	if out == nil {
		x.write(http.StatusNoContent, "", nil)
		return
	}
	body, err := json.Marshal(out)
	if err != nil {
		x.writeProblem(err)
		return
	}
	status := http.StatusOK
	if x.status != 0 {
		status = x.status
	}
	x.write(status, "application/json", body)
}

func (x *exchange) write(status int, contentType string, body []byte) {
	x.sent = status
	header := x.w.Header()
	maps.Copy(header, secureHeaders)
	header.Set("X-Request-Id", x.id)
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	x.w.WriteHeader(status)
	if len(body) > 0 { // the adapter adds a content type even to an empty write
		_, _ = x.w.Write(body) // an error means that the client has gone
	}
}

// panicError is a recovered panic, to be logged.
type panicError struct {
	value any
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// complete answers if the code panicked, and writes the access log.
func (x *exchange) complete() {
	if p := recover(); p != nil {
		clear(x.w.Header()) // of a partial answer
		x.answer(nil, &panicError{p, debug.Stack()})
	}
	attrs := []slog.Attr{
		slog.String("requestId", x.id), slog.String("method", bounded(x.r.Method)),
		slog.String("route", x.info.Route),
		slog.Int("status", x.sent),
		slog.Float64("durationMs", milliseconds(x.api.now().Sub(x.began))),
		slog.String("ip", ipText(x.info.SourceIP)),
	}
	if x.code != "" {
		attrs = append(attrs, slog.String("code", string(x.code)))
	}
	attrs = append(attrs, x.info.detail()...)
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "request", attrs...)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// requestID returns the gateway's id of a request: up to 128 characters of
// base64, in either alphabet. Otherwise it returns a random one. It
// never uses a client's header.
func requestID(info RequestInfo) string {
	foreign := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune("+/=_-", r))
	}
	if id := info.RequestID; id != "" && len(id) <= 128 && !strings.ContainsFunc(id, foreign) {
		return id
	}
	return rand.Text()
}

// secureHeaders are the headers that helmet sets for an API, and one that
// forbids all caching. All answers share the values. That is safe because
// [http.Header.Add] copies a value list that is full.
var secureHeaders = http.Header{
	"Cache-Control":                     {"no-store"},
	"Content-Security-Policy":           {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
	"Cross-Origin-Opener-Policy":        {"same-origin"},
	"Cross-Origin-Resource-Policy":      {"same-origin"},
	"Origin-Agent-Cluster":              {"?1"},
	"Referrer-Policy":                   {"no-referrer"},
	"Strict-Transport-Security":         {"max-age=31536000; includeSubDomains"},
	"X-Content-Type-Options":            {"nosniff"},
	"X-Dns-Prefetch-Control":            {"off"},
	"X-Download-Options":                {"noopen"},
	"X-Frame-Options":                   {"DENY"},
	"X-Permitted-Cross-Domain-Policies": {"none"},
	"X-Xss-Protection":                  {"0"},
}
