package boot

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey/shared/api"
)

// errNotHTTP does not say what was wrong: the event may hold a token, and Lambda logs the error.
var errNotHTTP = errors.New("the event is not one of an API Gateway HTTP API, payload format 2.0")

// answerReserve is kept back from a function's deadline, so that a handler that waited for Redis to the last can still
// say 503 itself, and a sweep can log what it did.
const answerReserve = 500 * time.Millisecond

// httpEvent has the members of an event that are read. What API Gateway says twice is read in one place: the query is the
// raw one.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type httpEvent struct {
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies"`
	Headers         sentHeaders       `json:"headers"`
	PathParameters  map[string]string `json:"pathParameters"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`

	Context struct {
		RequestID string `json:"requestId"`
		HTTP      struct {
			Method   string `json:"method"`
			Path     string `json:"path"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
}

// anyText puts U+FFFD in the place of what is not UTF-8: clients may have sent it.
var anyText = jsontext.AllowInvalidUTF8(true)

// Lambda serves a handler behind API Gateway HTTP APIs, payload format 2.0. It implements lambda.Handler.
//
// The adapter makes a request of an event; what is done around it keeps three things that the adapter does not. Requests
// arrive with the header values that were sent: the adapter splits most of them at commas. What cannot be a request is
// answered as one, with 400: the adapter would print it and fail. And what only the gateway knows reaches the handler as an
// api.Call in the context, out of reach of any header, and as the request's path values.
type Lambda struct {
	handler http.Handler
	host    string
	adapter core.RequestAccessorV2
}

// NewLambda serves handler, whose requests are all taken to be for host (as host or host:port): the Host header is the
// client's word and does not count.
func NewLambda(handler http.Handler, host string) *Lambda {
	return &Lambda{handler: handler, host: host}
}

// Invoke implements lambda.Handler: one event in, one response out, both JSON. An event that is not of an HTTP API is an
// error, which the gateway answers with 500.
func (l *Lambda) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	event := new(httpEvent)
	if err := json.Unmarshal(payload, event, anyText); err != nil || event.Context.HTTP.Method == "" {
		return nil, errNotHTTP
	}
	ctx, cancel := inTime(ctx)
	defer cancel()
	call := event.call()
	if call.Malformed = !event.wellFormed(); call.Malformed {
		event.empty()
	}
	request, err := l.request(event)
	if err != nil {
		return nil, err
	}
	a := newAnswer()
	l.handler.ServeHTTP(a, request.WithContext(api.WithRequestInfo(ctx, call)))
	return a.encode()
}

// request is the event as a request.
func (l *Lambda) request(event *httpEvent) (*http.Request, error) {
	// Without headers and cookies, which the adapter would take apart.
	of := events.APIGatewayV2HTTPRequest{
		RawPath: event.RawPath, RawQueryString: event.RawQueryString, Body: event.Body, IsBase64Encoded: event.IsBase64Encoded,
	}
	of.RequestContext.DomainName = l.host
	of.RequestContext.HTTP.Method, of.RequestContext.HTTP.Path = event.Context.HTTP.Method, event.Context.HTTP.Path
	of.RequestContext.HTTP.SourceIP = event.Context.HTTP.SourceIP
	r, err := l.adapter.EventToRequest(of)
	if err != nil {
		return nil, err
	}
	r.Host, r.Header = l.host, event.header()
	// Decoded by the gateway, once. What is in them does not have to be in the path again: its raw form is decoded twice.
	for name, value := range event.PathParameters {
		r.SetPathValue(name, value)
	}
	return r, nil
}

// inTime is ctx with a deadline that leaves the reserve; without a deadline it is ctx.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-answerReserve))
}

// sentHeaders are the headers of an event, by canonical name. Names in several spellings are one header, with its values in
// the order of the event.
type sentHeaders http.Header

var errHeaders = errors.New("headers that are no object")

// UnmarshalJSONFrom implements json.UnmarshalerFrom. Decoded as what they become, headers are not put into a map twice.
func (h *sentHeaders) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	start, err := d.ReadToken()
	if err != nil || start.Kind() == 'n' {
		return err
	}
	if start.Kind() != '{' {
		return errHeaders
	}
	const usual = 16
	*h = make(sentHeaders, usual)
	values := make([]string, 0, usual)
	for d.PeekKind() != '}' {
		name, err := readName(d)
		if err != nil {
			return err
		}
		value, err := d.ReadToken()
		if err != nil {
			return err
		}
		switch value.Kind() {
		case '"':
			values = append(values, value.String())
		case 'n':
			values = append(values, "")
		default:
			return errHeaders
		}
		if last := len(values); (*h)[name] == nil {
			(*h)[name] = values[last-1 : last : last]
		} else {
			(*h)[name] = append((*h)[name], values[last-1])
		}
	}
	_, err = d.ReadToken()
	return err
}

// readName reads the name of a header, in its canonical form.
func readName(d *jsontext.Decoder) (string, error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	if name := usualNames[string(quoted)]; name != "" {
		return name, nil
	}
	name, _ := jsontext.AppendUnquote(nil, quoted) // fails on what is not UTF-8, which becomes U+FFFD
	return http.CanonicalHeaderKey(string(name)), nil
}

// usualNames has, as they stand in events, the names that API Gateway adds or nearly every client sends: no text is made of
// them.
var usualNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"accept", "accept-encoding", "accept-language", "authorization", "content-length", "content-type", "cookie", "host", "origin",
		"priority", "referer", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
		"sec-fetch-site", "user-agent", "x-amzn-trace-id", "x-device-id", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto",
	} {
		names[strconv.Quote(name)] = http.CanonicalHeaderKey(name)
	}
	return names
}()

// header has the headers as they were sent. Cookies come in a list of their own; a cookie header beside it repeats them
// and does not count.
func (e *httpEvent) header() http.Header {
	header := http.Header(e.Headers)
	if header == nil {
		header = http.Header{}
	}
	delete(header, "Host") // as net/http's server has it: Request.Host is the only place
	if len(e.Cookies) > 0 {
		header["Cookie"] = []string{strings.Join(e.Cookies, "; ")}
	}
	return header
}

// wellFormed tells whether the adapter can make a request of the event.
func (e *httpEvent) wellFormed() bool {
	if e.IsBase64Encoded {
		if _, err := base64.StdEncoding.DecodeString(e.Body); err != nil {
			return false
		}
	}
	// A gateway's path ends before ? and holds no #; with either, path and query would not be the ones it routed by.
	path := cmp.Or(e.RawPath, e.Context.HTTP.Path)
	if strings.ContainsAny(path, "?#") || strings.Contains(e.RawQueryString, "#") {
		return false
	}
	if _, err := url.ParseQuery(e.RawQueryString); err != nil {
		return false
	}
	if e.RawQueryString == "" && e.Context.HTTP.Method == http.MethodGet && strings.IndexFunc(path, unusual) < 0 {
		return true
	}
	// What the adapter will do.
	_, err := http.NewRequest(e.Context.HTTP.Method, "https://host/"+strings.TrimPrefix(path, "/")+"?"+e.RawQueryString, nil)
	return err == nil
}

// unusual is what the paths of most requests do not have.
func unusual(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '/' || r == '-' || r == '_')
}

// empty leaves nothing in the event that could be malformed.
func (e *httpEvent) empty() {
	e.Context.HTTP.Method = http.MethodGet
	e.RawPath, e.RawQueryString = "/", ""
	e.Body, e.IsBase64Encoded = "", false
}

// call is what the gateway itself says of a request. An address that is none is the zero one.
func (e *httpEvent) call() api.RequestInfo {
	// Each address in one spelling, or one client would have several: IPv4 within IPv6, and zones.
	source, _ := netip.ParseAddr(e.Context.HTTP.SourceIP)
	return api.RequestInfo{SourceIP: source.Unmap().WithZone(""), RequestID: e.Context.RequestID, Route: e.RouteKey}
}
