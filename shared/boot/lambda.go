package boot

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"latchkey/shared/api"
)

// errNotHTTP does not say what was wrong: the event may hold a token, and Lambda logs the error.
var errNotHTTP = errors.New("the event is not one of an API Gateway HTTP API, payload format 2.0")

// answerReserve is kept back from a function's deadline, so that a handler that waited for Redis to the last can still
// say 503 itself, and a sweep can log what it did.
const answerReserve = 500 * time.Millisecond

// Lambda serves a handler behind API Gateway HTTP APIs, payload format 2.0. It implements lambda.Handler.
//
// The work is httpadapter's; what is done around it keeps three things that the adapter does not. Requests arrive with
// the header values that were sent: the adapter splits most of them at commas. What cannot be a request is answered as
// one, with 400: the adapter would print it and fail. And what only the gateway knows reaches the handler as an api.Call
// in the context, out of reach of any header, and as the request's path values.
type Lambda struct {
	handler http.Handler
	host    string
}

// NewLambda serves handler, whose requests are all taken to be for host (as host or host:port): the Host header is the
// client's word and does not count.
func NewLambda(handler http.Handler, host string) *Lambda {
	return &Lambda{handler: handler, host: host}
}

// Invoke implements lambda.Handler: one event in, one response out, both JSON. An event that is not of an HTTP API is an
// error, which the gateway answers with 500.
func (l *Lambda) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &event); err != nil || event.RequestContext.HTTP.Method == "" {
		return nil, errNotHTTP
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	call := callOf(event)
	if call.Malformed = !wellFormed(event); call.Malformed {
		event = emptied(event)
	}
	// One place for each fact: the query is the raw one, and the URL's host is ours.
	event.QueryStringParameters = nil
	event.RequestContext.DomainName = l.host

	ctx = api.WithCall(ctx, call)
	handler := l.restoring(l.handler, event)
	event.Headers, event.Cookies = nil, nil // which the adapter would take apart in vain
	response, err := httpadapter.NewV2(handler).ProxyWithContext(ctx, event)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

// inTime is ctx with a deadline that leaves the reserve; without a deadline it is ctx.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-answerReserve))
}

// restoring puts back what the adapter took apart.
func (l *Lambda) restoring(next http.Handler, event events.APIGatewayV2HTTPRequest) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = l.host
		r.Header = headersOf(event)
		// Decoded by the gateway, once. What is in them does not have to be in the path again: its raw form is decoded twice.
		for name, value := range event.PathParameters {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// headersOf are the headers as they were sent. Cookies come in a list of their own; a cookie header beside it repeats
// them and does not count.
func headersOf(event events.APIGatewayV2HTTPRequest) http.Header {
	header, values := make(http.Header, len(event.Headers)+1), make([]string, 0, len(event.Headers))
	for name, value := range event.Headers {
		values = append(values, value)
		header[http.CanonicalHeaderKey(name)] = values[len(values)-1 : len(values) : len(values)]
	}
	if len(header) < len(event.Headers) { // names in several spellings, whose order must not be that of a map
		clear(header)
		for _, name := range slices.Sorted(maps.Keys(event.Headers)) {
			header.Add(name, event.Headers[name])
		}
	}
	header.Del("Host") // as net/http's server has it: Request.Host is the only place
	if len(event.Cookies) > 0 {
		header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
	return header
}

// wellFormed tells whether the adapter can make a request of the event: it does what the adapter will do.
func wellFormed(event events.APIGatewayV2HTTPRequest) bool {
	if event.IsBase64Encoded {
		if _, err := base64.StdEncoding.DecodeString(event.Body); err != nil {
			return false
		}
	}
	// A gateway's path ends before ? and holds no #; with either, path and query would not be the ones it routed by.
	path := cmp.Or(event.RawPath, event.RequestContext.HTTP.Path)
	if strings.ContainsAny(path, "?#") || strings.Contains(event.RawQueryString, "#") {
		return false
	}
	if _, err := url.ParseQuery(event.RawQueryString); err != nil {
		return false
	}
	_, err := http.NewRequest(event.RequestContext.HTTP.Method, "https://host/"+strings.TrimPrefix(path, "/")+"?"+event.RawQueryString, nil)
	return err == nil
}

// emptied is the event with nothing left in it that could be malformed.
func emptied(event events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPRequest {
	event.RequestContext.HTTP.Method = http.MethodGet
	event.RawPath, event.RawQueryString = "/", ""
	event.Body, event.IsBase64Encoded = "", false
	return event
}

// callOf is what the gateway itself says of a request. An address that is none is the zero one.
func callOf(event events.APIGatewayV2HTTPRequest) api.Call {
	// Each address in one spelling, or one client would have several: IPv4 within IPv6, and zones.
	source, _ := netip.ParseAddr(event.RequestContext.HTTP.SourceIP)
	return api.Call{
		SourceIP:  source.Unmap().WithZone(""),
		RequestID: event.RequestContext.RequestID,
		Route:     event.RouteKey,
	}
}
