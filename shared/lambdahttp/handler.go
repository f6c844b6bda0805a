// Package lambdahttp serves an [http.Handler] as a Lambda behind an API Gateway
// HTTP API: events become requests and responses are sent back. It also has
// what else a Lambda needs around a handler: the function that a schedule
// calls, the metric format of CloudWatch, and the deadline of an invocation.
package lambdahttp

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey/shared/api"
	"latchkey/shared/strictjson"
)

// errNotHTTP does not say what is wrong: the event may hold a token, and Lambda
// logs the error.
var errNotHTTP = errors.New("the event is not one of an API Gateway HTTP API, payload format 2.0")

// httpEvent has the members of an event that are read. Of members that API
// Gateway sends in two forms it has one: of the query the raw one.
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

// Handler serves an [http.Handler] behind an API Gateway HTTP API with payload
// format 2.0. It implements lambda.Handler.
//
// AWS's adapter makes a request of an event. The code around it does three
// things that the adapter does not. It passes header values on as they were
// sent: the adapter splits most of them at commas. It answers 400 to an event
// that is not a valid request: the adapter would print it and fail. And it
// passes on what only the gateway knows, as an [api.RequestInfo] in the
// context, which no header can forge, and as the request's path values.
type Handler struct {
	handler http.Handler
	host    string
	adapter core.RequestAccessorV2
}

// NewHandler returns a function that serves handler. Every request is taken to
// be for host, which is a host or host:port. The Host header is only passed on
// in [api.RequestInfo], because the client chooses it.
func NewHandler(handler http.Handler, host string) *Handler {
	return &Handler{handler: handler, host: host}
}

// Invoke implements lambda.Handler. It takes one event and returns one
// response, both JSON. It returns an error for an event that is not one of an
// HTTP API, and if the handler wrote nothing; the gateway then answers 500.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	event := new(httpEvent)
	err := json.Unmarshal(payload, event, strictjson.AnyText)
	if err != nil || event.Context.HTTP.Method == "" {
		return nil, errNotHTTP
	}
	ctx, cancel := WithReserve(ctx, 0)
	defer cancel()
	info := event.requestInfo()
	if info.Malformed = !event.wellFormed(); info.Malformed {
		event.empty()
	}
	request, err := h.request(event)
	if err != nil {
		return nil, err
	}
	response := newResponseWriter()
	h.handler.ServeHTTP(response, request.WithContext(api.WithRequestInfo(ctx, info)))
	return response.encode()
}

// request makes a request of an event.
func (h *Handler) request(event *httpEvent) (*http.Request, error) {
	// Without headers and cookies: the adapter would split their values.
	of := events.APIGatewayV2HTTPRequest{
		RawPath: event.RawPath, RawQueryString: event.RawQueryString,
		Body: event.Body, IsBase64Encoded: event.IsBase64Encoded,
	}
	of.RequestContext.DomainName = h.host
	of.RequestContext.HTTP.Method = event.Context.HTTP.Method
	of.RequestContext.HTTP.Path = event.Context.HTTP.Path
	of.RequestContext.HTTP.SourceIP = event.Context.HTTP.SourceIP
	r, err := h.adapter.EventToRequest(of)
	if err != nil {
		return nil, err
	}
	r.Host, r.Header = h.host, event.header()
	// The gateway has decoded them once. The path cannot be matched against the
	// route instead: its raw form would be decoded twice.
	for name, value := range event.PathParameters {
		r.SetPathValue(name, value)
	}
	return r, nil
}

// sentHeaders are the headers of an event, by canonical name. A name in several
// spellings is one header, with its values in the order of the event.
type sentHeaders http.Header

// UnmarshalJSONFrom implements [json.UnmarshalerFrom]. Headers are decoded into
// their final form, so that only one map is made.
func (h *sentHeaders) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	const usual = 16
	*h = make(sentHeaders, usual)
	values := make([]string, 0, usual)
	return strictjson.Members(d, func(d *jsontext.Decoder) error {
		name, err := readName(d)
		if err != nil {
			return err
		}
		value, err := d.ReadToken()
		switch {
		case err != nil:
			return err
		case value.Kind() == '"':
			values = append(values, value.String())
		case value.Kind() == 'n':
			values = append(values, "")
		default:
			return errValue
		}
		if last := len(values); (*h)[name] == nil {
			(*h)[name] = values[last-1 : last : last]
		} else {
			(*h)[name] = append((*h)[name], values[last-1])
		}
		return nil
	})
}

var errValue = errors.New("the value of a header is not a string")

// readName reads the name of a header, in its canonical form.
func readName(d *jsontext.Decoder) (string, error) {
	quoted, err := d.ReadValue()
	if err != nil {
		return "", err
	}
	if name := usualNames[string(quoted)]; name != "" {
		return name, nil
	}
	// The error is about bytes that are not UTF-8, which become U+FFFD.
	name, _ := jsontext.AppendUnquote(nil, quoted)
	return http.CanonicalHeaderKey(string(name)), nil
}

// usualNames has the names that API Gateway adds or that nearly every client
// sends, in the form that they have in events. Reading one of them allocates
// nothing.
var usualNames = func() map[string]string {
	names := map[string]string{}
	for _, name := range []string{
		"accept", "accept-encoding", "accept-language", "authorization", "content-length",
		"content-type", "cookie", "host", "origin", "priority", "referer", "sec-ch-ua",
		"sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
		"sec-fetch-site", "user-agent", "x-amzn-trace-id", "x-device-id", "x-forwarded-for",
		"x-forwarded-port", "x-forwarded-proto",
		"cloudfront-viewer-address", "via", "x-amz-cf-id", "x-origin-verify", // of CloudFront
	} {
		names[strconv.Quote(name)] = http.CanonicalHeaderKey(name)
	}
	return names
}()

// header returns the headers as they were sent. Cookies have a list of their
// own; a cookie header beside it repeats them and is ignored.
func (e *httpEvent) header() http.Header {
	header := http.Header(e.Headers)
	if header == nil {
		header = http.Header{}
	}
	delete(header, "Host") // as in net/http's server, which sets Request.Host alone
	if len(e.Cookies) > 0 {
		header["Cookie"] = []string{strings.Join(e.Cookies, "; ")}
	}
	return header
}

// wellFormed reports whether the adapter can make a request of the event.
func (e *httpEvent) wellFormed() bool {
	if e.IsBase64Encoded {
		if _, err := base64.StdEncoding.DecodeString(e.Body); err != nil {
			return false
		}
	}
	// A path from the gateway has no ? or #. With one of them, path and query
	// would not be those that it routed by.
	path := cmp.Or(e.RawPath, e.Context.HTTP.Path)
	if strings.ContainsAny(path, "?#") || strings.Contains(e.RawQueryString, "#") {
		return false
	}
	if _, err := url.ParseQuery(e.RawQueryString); err != nil {
		return false
	}
	method := e.Context.HTTP.Method
	if e.RawQueryString == "" && method == http.MethodGet && strings.IndexFunc(path, unusual) < 0 {
		return true
	}
	// The adapter will do the same.
	target := "https://host/" + strings.TrimPrefix(path, "/") + "?" + e.RawQueryString
	_, err := http.NewRequest(method, target, nil)
	return err == nil
}

// unusual reports whether a character is rare in the paths of requests.
func unusual(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		r == '/' || r == '-' || r == '_')
}

// empty removes everything from the event that could be malformed.
func (e *httpEvent) empty() {
	e.Context.HTTP.Method = http.MethodGet
	e.RawPath, e.RawQueryString = "/", ""
	e.Body, e.IsBase64Encoded = "", false
}

// requestInfo returns what the gateway itself says about a request. A source IP
// that is not an address becomes the zero address.
func (e *httpEvent) requestInfo() api.RequestInfo {
	info := api.RequestInfo{RequestID: e.Context.RequestID, Route: e.RouteKey}
	if hosts := e.Headers["Host"]; len(hosts) == 1 {
		info.Host = hosts[0]
	}
	var err error
	if info.SourceIP, err = SourceIP(e.Context.HTTP.SourceIP); err != nil {
		info.Detail = err.Error()
	}
	return info
}
