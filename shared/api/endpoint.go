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

// endpoint is one route: its method, who may call it, and what it does with a decoded body. What serve returns becomes
// the JSON body of a 200, or with nil a 204; an error goes through the one table.
type endpoint[In any] struct {
	method     string
	failed     eventType   // of the event that tells of a refusal; empty: request
	session    sessionRule // which session it wants
	permission permission  // that it wants, besides a live session; empty: none
	fresh      bool        // it wants a login or a step-up that is still fresh
	parameters []string    // that its query may have
	serve      func(x *exchange, in In) (any, error)
}

// nothing is the body of a request that has none.
type nothing struct{}

// handler puts the endpoint into the frame that all have: request id, security headers, decoding, encoding, one line in
// the access log, and an answer even where the code panics.
func (e endpoint[In]) handler(a *API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{api: a, w: w, info: requestInfoOf(r.Context()), id: requestID(requestInfoOf(r.Context())), began: a.now(), failed: e.failed}
		x.r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)) // for the store's events; see Audit
		defer x.complete()
		x.answer(e.run(x))
	})
}

func (e endpoint[In]) run(x *exchange) (any, error) {
	if x.info.Malformed {
		return nil, invalid("the request cannot be read")
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

	// What the session that was opened tells; all zero where the endpoint wants none. See open.
	access      session.Access
	client      session.Client
	preferences session.Preferences

	status int         // of a success that is not the usual one
	about  []slog.Attr // what the events of this request concern, as far as it is known
	sent   int         // the status that was sent
	code   code        // of the problem that was sent
}

// answer writes the response. Nothing is written before, so it is always whole.
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
	if len(body) > 0 { // the adapter gives even an empty write a content type
		_, _ = x.w.Write(body) // whoever does not read it has gone
	}
}

// panicError is a panic, on its way into the log.
type panicError struct {
	value any
	stack []byte
}

// Error implements error.
func (e *panicError) Error() string { return fmt.Sprint("panic: ", e.value) }

// complete answers where the code panicked, and writes the access log.
func (x *exchange) complete() {
	if p := recover(); p != nil {
		clear(x.w.Header()) // of what was half done
		x.answer(nil, &panicError{p, debug.Stack()})
	}
	attrs := []slog.Attr{
		slog.String("requestId", x.id), slog.String("method", bounded(x.r.Method)), slog.String("route", x.info.Route),
		slog.Int("status", x.sent), slog.Float64("durationMs", milliseconds(x.api.now().Sub(x.began))),
		slog.String("ip", ipText(x.info.SourceIP)),
	}
	if x.code != "" {
		attrs = append(attrs, slog.String("code", string(x.code)))
	}
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "request", attrs...)
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}

// requestID is the gateway's own, up to 128 characters of base64 in either alphabet, or one of ours where there is none. A
// client's header is never taken for it.
func requestID(info RequestInfo) string {
	foreign := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("+/=_-", r))
	}
	if id := info.RequestID; id != "" && len(id) <= 128 && !strings.ContainsFunc(id, foreign) {
		return id
	}
	return rand.Text()
}

// secureHeaders are those that helmet sets for an API, and one that forbids every cache. Their values are shared by all
// answers: whoever adds one to a header gets a list of its own.
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
