package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"latchkey/shared/secureheaders"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// route says which requests a handler serves and what they need.
type route struct {
	method  string
	head    bool              // whether HEAD is answered like GET, without the body
	session sessionRule       // which session it requires
	service bool              // whether it requires a service key, and no session
	needs   permission        // required beside a live session; empty means none
	fresh   bool              // whether it requires a recent login or step-up
	query   []string          // the names of the parameters that its query may have
	ignores bool              // whether it ignores the query, whatever that has
	failed  eventType         // the type of the event of a refusal; empty means request
	action  session.EventType // what the audit list calls it; zero: it is not listed
	target  reader            // reads what its path names; nil if that is nothing
	most    int               // the maximum size of its body, in bytes; zero means maxBody
}

// reader is a method that reads a part of the request into the exchange.
type reader func(*exchange) error

// nothing is the body of a request or an answer without one. An answer without
// a body is a 204.
type nothing struct{}

// lines are the values of an answer that has one on each line.
type lines []any

// encode returns the lines, each with its end.
func (l lines) encode() (body []byte, err error) {
	for _, value := range l {
		line, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		body = append(append(body, line...), '\n')
	}
	return body, nil
}

// handle returns the handler of a route without a body. What serve returns
// becomes the JSON body of a 200, or a 204 if it is nothing. If serve returns an
// error, that goes through problemOf, and the other result is ignored.
func handle[Out any](a *API, rt route, serve func(*exchange) (Out, error)) http.Handler {
	return handleBody(a, rt, func(x *exchange, _ nothing) (Out, error) { return serve(x) })
}

// handleBody is handle for a route with a body, which serve gets decoded. It
// adds what all routes share: request id, security headers, decoding, encoding,
// and one line in the access log. It also answers if the code panics.
func handleBody[In, Out any](
	a *API, rt route, serve func(*exchange, In) (Out, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, sent := a.store.WithHints(r.Context())
		defer sent()
		x := a.newExchange(ctx, r, requestInfoOf(ctx), rt.failed)
		x.w, x.action = w, rt.action
		defer x.complete()
		var in In
		if err := x.check(&rt, &in); err != nil {
			x.answer(nil, err)
			return
		}
		out, err := serve(x, in)
		x.recordAction(err)
		x.answer(out, err)
	})
}

// check refuses a request that a route does not serve. It reads the rest of the
// request, with its body into in, only after the request has been admitted.
func (x *exchange) check(rt *route, in any) error {
	if !x.passCDN() {
		return errNotCDN
	}
	if x.info.Malformed {
		return invalid("the request is malformed")
	}
	if x.r.Method != rt.method && !(rt.head && x.r.Method == http.MethodHead) {
		return absent()
	}
	if err := x.parseQuery(rt.ignores); err != nil {
		return err
	}
	if err := x.authenticate(rt); err != nil {
		return err
	}
	if !rt.ignores {
		if err := x.readParameters(rt.query); err != nil {
			return err
		}
	}
	if rt.method != http.MethodGet {
		if err := decode(x.r, cmp.Or(rt.most, maxBody), in); err != nil {
			return err
		}
	}
	if rt.target == nil {
		return nil
	}
	return rt.target(x)
}

// authenticate finds the credentials of a request, and checks that they are what
// the route requires. A route for backends ignores cookies: only a service key
// counts.
func (x *exchange) authenticate(rt *route) error {
	if rt.service {
		return x.findService()
	}
	if err := x.findCredentials(); err != nil {
		return err
	}
	return x.admit(rt)
}

// exchange is one request and its answer.
type exchange struct {
	api   *API
	w     http.ResponseWriter
	r     *http.Request
	info  RequestInfo
	id    string
	began time.Time

	failed    eventType         // see route
	action    session.EventType // see route; what serves it may set another
	unknown   unknowns          // of a request to another API
	readOnly  bool              // whether a validation must change nothing
	service   string            // the backend that sends it; empty if none does
	presented presented
	query     url.Values
	page      page   // of a list
	target    target // of the route's path

	// Set by open; zero if the route requires no session, but for client.Device:
	// see device.
	access      session.Access
	client      session.Client
	preferences session.Preferences

	status    int         // of a success; zero means 200 or 204
	about     []slog.Attr // what the events of this request are about, as far as known
	sent      int         // the status that was sent
	code      code        // of the problem that was sent
	explained string      // why, for a developer; empty except locally
}

// target is what the path of a request names; the rest is zero.
type target struct {
	account token.Account // zero if it is not known
	user    token.UserID  // of the same account
	session token.ID
	key     string // of state
}

// newExchange returns the exchange of a request. The request's context holds it,
// for the store's events; see Audit.
func (a *API) newExchange(
	ctx context.Context, r *http.Request, info RequestInfo, failed eventType,
) *exchange {
	x := &exchange{api: a, info: info, id: requestID(info), began: a.now(), failed: failed}
	x.r = r.WithContext(context.WithValue(ctx, exchangeKey{}, x))
	return x
}

// answer writes the response. Nothing is written before, so a response is never
// partial.
func (x *exchange) answer(out any, err error) {
	var body []byte
	_, empty := out.(nothing)
	each, isLines := out.(lines)
	switch {
	case err != nil || empty:
	case isLines:
		body, err = each.encode()
	default:
		body, err = json.Marshal(out)
	}
	switch {
	case err != nil:
		x.writeProblem(x.recordFailure(err), err)
	case empty:
		x.write(http.StatusNoContent, "", nil)
	case isLines:
		x.write(http.StatusOK, linesType, body)
	default:
		x.write(cmp.Or(x.status, http.StatusOK), "application/json", body)
	}
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
	// The adapter adds a content type even to an empty write, and a body to a
	// HEAD.
	if len(body) > 0 && x.r.Method != http.MethodHead {
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
	if x.service != "" {
		attrs = append(attrs, slog.String("service", x.service))
	}
	if x.code != (code{}) {
		attrs = append(attrs, slog.String("code", x.code.name))
	}
	if x.explained != "" {
		attrs = append(attrs, slog.String("problem", x.explained))
	}
	if x.explained != x.info.Detail { // else it is there already
		attrs = append(attrs, x.info.detail()...)
	}
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

// secureHeaders are the headers of every answer, and one that forbids all
// caching. All answers share the values. That is safe because [http.Header.Add]
// copies a value list that is full.
var secureHeaders = func() http.Header {
	header := http.Header{"Cache-Control": {"no-store"}}
	for name, value := range secureheaders.Values {
		header[name] = []string{value}
	}
	return header
}()
