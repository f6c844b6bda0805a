// Package gateway is a stand-in for an API Gateway HTTP API on a laptop. It
// reads the same SAM template, turns HTTP requests into events of payload
// format 2.0, and calls Lambda handlers with them. It answers as API Gateway does.
// It also answers as API Gateway does if no function runs: for unknown routes,
// exceeded limits, CORS preflights and functions that fail.
//
// It calls Lambda authorizers of payload format 2.0 with simple responses. It
// caches none of their responses.
//
// It does not have throttling, other authorizers, stages, custom domains or
// TLS. A literal path segment is compared as it was sent, since it is not
// documented whether API Gateway unescapes it before it picks a route.
package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// The quotas of HTTP APIs and of Lambda that a request can exceed.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const (
	maxHead            = 10240    // bytes of request line and header values
	maxBody            = 10 << 20 // bytes
	maxEvent           = 6 << 20  // bytes of an event or of a response
	integrationTimeout = 30 * time.Second
	authorizerTimeout  = 10 * time.Second
)

// Options says what a template does not.
type Options struct {
	// AllowOrigins are the exact origins of the CorsConfiguration. If it is
	// empty and AllowOrigin is nil, CORS is off.
	AllowOrigins []string
	// AllowOrigin reports whether another origin is allowed too. API Gateway
	// has nothing like it. Nil allows none.
	AllowOrigin func(origin string) bool
	// AllowHeaders are allowed besides those of the CorsConfiguration.
	AllowHeaders []string
	// Log gets the reason why a function failed, which no client gets, and a
	// line for each request that reaches no function, or whose page the browser
	// does not show the answer.
	Log *slog.Logger
	// Authorizer serves every authorizer of the template. Their FunctionArn is
	// an export of another stack.
	Authorizer lambda.Handler
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
}

// Gateway serves the routes of a template.
type Gateway struct {
	routes table
	cors   corsPolicy
	log    *slog.Logger
	now    func() time.Time
}

// New returns the gateway of a template. The keys of functions are logical ids.
// It returns an error if a function with a route or a schedule has no handler,
// or if a handler has no function.
func New(t *Template, functions map[string]lambda.Handler, opts Options) (*Gateway, error) {
	if err := compare(t, functions); err != nil {
		return nil, err
	}
	if len(t.Authorizers) > 0 && opts.Authorizer == nil {
		return nil, errors.New("the template has an authorizer, but no handler was given for it")
	}
	var endpoints []endpoint
	for id, f := range t.Functions {
		behind := newFunction(id, functions[id], f.Timeout)
		for _, route := range f.Routes {
			endpoints = append(endpoints, endpoint{
				Route: route, function: behind, guard: t.guard(route, opts.Authorizer),
			})
		}
	}
	g := &Gateway{
		routes: newTable(endpoints),
		cors:   newCORSPolicy(t.CORS, opts),
		log:    opts.Log,
		now:    opts.Now,
	}
	if g.now == nil {
		g.now = time.Now
	}
	return g, nil
}

// compare returns an error that names every function without a handler and
// every handler without a function.
func compare(t *Template, functions map[string]lambda.Handler) error {
	var problems []error
	for id, f := range t.Functions {
		if functions[id] == nil && f.called() {
			problems = append(problems, fmt.Errorf("function %s in the template has no handler", id))
		}
	}
	for id := range functions {
		if _, ok := t.Functions[id]; !ok {
			problems = append(problems, fmt.Errorf("handler %s has no function in the template", id))
		}
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(problems...)
}

// ServeHTTP answers one request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newRequestID()
	w.Header().Set("Apigw-Requestid", id)
	if headSize(r) > maxHead {
		g.refuse(w, r, http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	g.logCORS(r)
	if g.cors.isPreflight(r) {
		g.cors.preflight(w, r)
		return
	}
	e, parameters, ok := g.routes.find(r)
	if !ok {
		g.logNoRoute(r)
		g.refuse(w, r, http.StatusNotFound)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		g.refuseBody(w, r, err)
		return
	}
	a := arrival{
		Request: r, route: e.Route, parameters: parameters, body: body,
		requestID: id, traceID: newTraceID(g.now()), now: g.now(),
	}
	if e.guard != nil {
		var status int
		if a.authorized, status = g.ask(e.guard, a); status != 0 {
			g.refuse(w, r, status)
			return
		}
	}
	g.call(w, e.function, a)
}

// call passes the request to its function, and the response to the client.
func (g *Gateway) call(w http.ResponseWriter, f *function, a arrival) {
	payload, ok := marshalEvent(a)
	if !ok {
		g.refuse(w, a.Request, http.StatusBadRequest)
		return
	}
	if len(payload) > maxEvent {
		g.refuse(w, a.Request, http.StatusRequestEntityTooLarge)
		return
	}
	answer, err := f.invoke(a.Context(), payload)
	if err != nil {
		g.log.Error("function failed", "function", f.name, "requestId", a.requestID, "error", err)
		status := http.StatusInternalServerError
		if errors.Is(err, errUnavailable) {
			status = http.StatusServiceUnavailable
		}
		g.refuse(w, a.Request, status)
		return
	}
	answer.header(w.Header())
	g.cors.expose(w.Header(), a.Request)
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(answer.content) // the client may have gone
}

// refuse answers with the body that the gateway itself would send.
func (g *Gateway) refuse(w http.ResponseWriter, r *http.Request, status int) {
	w.Header().Set("Content-Type", "application/json")
	g.cors.expose(w.Header(), r)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, http.StatusText(status))
}

// refuseBody answers a request whose body could not be read. Either it was too
// long, or the client stopped sending it.
func (g *Gateway) refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		g.refuse(w, r, http.StatusRequestEntityTooLarge)
		return
	}
	g.refuse(w, r, http.StatusBadRequest)
}

// headSize returns the size of the request line and the header values.
func headSize(r *http.Request) int {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  ") + len(r.Host)
	for _, values := range r.Header {
		for _, value := range values {
			size += len(value)
		}
	}
	return size
}

// newRequestID returns sixteen characters in the form of API Gateway's ids.
func newRequestID() string {
	var id [11]byte
	_, _ = rand.Read(id[:]) // never fails
	return base64.StdEncoding.EncodeToString(id[:])
}

func newTraceID(now time.Time) string {
	var id [12]byte
	_, _ = rand.Read(id[:]) // never fails
	return "Root=1-" + strconv.FormatInt(now.Unix(), 16) + "-" + hex.EncodeToString(id[:])
}
