package gateway

import (
	"encoding/base64"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"latchkey/shared/strictjson"
)

// event is an HTTP API event of payload format 2.0, as API Gateway sends it. To
// a function, an absent member and a null one are the same. Members that API
// Gateway leaves out are left out here too.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type event struct {
	request
	Body            string `json:"body,omitempty"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

// request is the part of an event that an authorizer gets too.
type request struct {
	Version               string            `json:"version"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
}

type requestContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         httpContext `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"` // milliseconds

	Authorizer *authorizerContext `json:"authorizer,omitempty"`
}

// authorizerContext holds what the authorizer passes on to the function.
type authorizerContext struct {
	Lambda map[string]any `json:"lambda"`
}

type httpContext struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// arrival is a request, with what the gateway found out about it.
type arrival struct {
	*http.Request
	route      Route
	parameters map[string]string // of the path, decoded
	body       []byte
	requestID  string
	traceID    string
	now        time.Time
	authorized *authorizerContext // nil if the route has no authorizer
}

// marshalEvent returns the event of a request. It returns false if the path
// cannot be decoded.
func marshalEvent(a arrival) ([]byte, bool) {
	r, ok := newRequest(a)
	if !ok {
		return nil, false
	}
	e := event{request: r}
	e.Body, e.IsBase64Encoded = eventBody(a.Header.Get("Content-Type"), a.body)
	payload, err := json.Marshal(e, strictjson.AnyText)
	return payload, err == nil
}

// newRequest returns the event without a body.
func newRequest(a arrival) (request, bool) {
	path, ok := decodePath(rawPath(a.Request))
	if !ok {
		return request{}, false
	}
	host, port := hostPort(a.Host)
	prefix, _, _ := strings.Cut(host, ".")
	return request{
		Version:               "2.0",
		RouteKey:              a.route.Key(),
		RawPath:               path,
		RawQueryString:        a.URL.RawQuery,
		Cookies:               cookies(a.Header),
		Headers:               eventHeaders(a, port),
		QueryStringParameters: queryParameters(a.URL.RawQuery),
		PathParameters:        a.parameters,
		RequestContext: requestContext{
			AccountID:    "123456789012",
			APIID:        "local",
			DomainName:   host,
			DomainPrefix: prefix,
			HTTP: httpContext{
				Method:    a.Method,
				Path:      path,
				Protocol:  a.Proto,
				SourceIP:  sourceIP(a.Request),
				UserAgent: a.UserAgent(),
			},
			RequestID: a.requestID,
			RouteKey:  a.route.Key(),
			Stage:     "$default",
			Time:      a.now.UTC().Format("02/Jan/2006:15:04:05 +0000"),
			TimeEpoch: a.now.UnixMilli(),

			Authorizer: a.authorized,
		},
	}, true
}

// decodePath changes a path as API Gateway was observed to do for rawPath: it
// unescapes it, cuts it at a question mark, and unescapes it again. It returns
// false if the path cannot be unescaped twice.
func decodePath(path string) (string, bool) {
	once, err := url.PathUnescape(path)
	if err != nil {
		return "", false
	}
	once, _, _ = strings.Cut(once, "?")
	twice, err := url.PathUnescape(once)
	return twice, err == nil
}

// hopByHop has the headers that concern one connection (RFC 9110, section
// 7.6.1). The gateway removes them, because it ends the client's connection and
// opens its own.
var hopByHop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Expect": true,
}

// eventHeaders returns the headers by lower-case name. Values of one name are
// joined by commas. Cookies are left out, and the headers that the gateway adds
// are added.
func eventHeaders(a arrival, port string) map[string]string {
	headers := map[string]string{}
	for name, values := range a.Header {
		if name != "Cookie" && !hopByHop[name] {
			headers[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	headers["host"] = a.Host
	headers["content-length"] = strconv.Itoa(len(a.body))
	headers["x-amzn-trace-id"] = a.traceID
	headers["x-forwarded-port"] = port
	headers["x-forwarded-proto"] = "http"
	// The address is appended to what the client sent, which can be forged.
	// Functions should trust sourceIp instead.
	forwarded := append(a.Header.Values("X-Forwarded-For"), sourceIP(a.Request))
	headers["x-forwarded-for"] = strings.Join(forwarded, ", ")
	return headers
}

// cookies splits the Cookie headers into pairs, which are not changed.
func cookies(header http.Header) []string {
	var pairs []string
	for _, line := range header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			// No other space is trimmed: a cookie whose name begins with one is
			// not ours, and must not become ours here.
			if pair = strings.Trim(pair, " \t"); pair != "" {
				pairs = append(pairs, pair)
			}
		}
	}
	return pairs
}

// queryParameters returns the decoded parameters. Values of one name are joined
// by commas. A pair that cannot be decoded is only in rawQueryString.
func queryParameters(raw string) map[string]string {
	values, _ := url.ParseQuery(raw)
	if len(values) == 0 {
		return nil
	}
	parameters := map[string]string{}
	for name, all := range values {
		parameters[name] = strings.Join(all, ",")
	}
	return parameters
}

// eventBody returns the body as text if its content type is one that API
// Gateway was observed to pass as text, and as base64 otherwise. Forms, types
// such as application/merge-patch+json, and bodies without a type are base64.
// So is text that is not UTF-8, because JSON cannot hold it.
func eventBody(contentType string, body []byte) (text string, isBase64 bool) {
	if len(body) == 0 {
		return "", false
	}
	if isText(contentType) && utf8.Valid(body) {
		return string(body), false
	}
	return base64.StdEncoding.EncodeToString(body), true
}

func isText(contentType string) bool {
	mediaType, _, _ := mime.ParseMediaType(contentType)
	switch mediaType {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(mediaType, "text/")
}

// sourceIP returns the address of the TCP connection. No header changes it.
func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// hostPort splits a Host header. The port may be missing.
func hostPort(host string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return host, "80"
	}
	return name, port
}
