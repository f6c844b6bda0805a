package authorizer

import (
	"cmp"
	v1 "encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey/shared/api"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/strictjson"
)

// event has the members that a decision needs, of every shape, by the names of
// API Gateway's documentation. identitySource is not one of them. A client
// cannot forge any: the names of its headers and parameters are keys of maps.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
type event struct {
	Version *string `json:"version"` // only of HTTP APIs
	Type    string  `json:"type"`

	RouteARN  string `json:"routeArn"` // format 2.0
	MethodARN string `json:"methodArn"`

	Token string `json:"authorizationToken"` // TOKEN; others repeat the identity source here

	RouteKey   string `json:"routeKey"` // format 2.0, as is the path
	RawPath    string `json:"rawPath"`
	Resource   string `json:"resource"`
	Path       string `json:"path"`
	HTTPMethod string `json:"httpMethod"`

	Headers      headers             `json:"headers"`
	MultiHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies      []string            `json:"cookies"`
	Query        map[string]string   `json:"queryStringParameters"`
	MultiQuery   map[string][]string `json:"multiValueQueryStringParameters"`

	Context *struct {
		RequestID    string `json:"requestId"`
		EventType    string `json:"eventType"`    // WebSocket
		ConnectionID string `json:"connectionId"` // WebSocket
		HTTP         struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"` // format 2.0
		Identity struct {
			SourceIP string `json:"sourceIp"`
		} `json:"identity"`
	} `json:"requestContext"`
}

// shape is the kind of authorizer that an event is for.
type shape int

const (
	unknown     shape = iota // not documented; denied
	unknownHTTP              // not documented, from an HTTP API with simple responses
	http2
	http1
	restRequest
	restToken
	webSocket
)

// decode reads an event. An event that differs from the documentation in any
// way is of an unknown shape. So is one with a name twice in an object, since
// two readers could read it as two different events. Of the headers it reads
// readHeaders and those that also names.
func decode(payload []byte, also []string) (*event, shape) {
	e := &event{Headers: headers{also: also}}
	err := json.Unmarshal(payload, e, strictjson.AnyText)
	if s := e.shape(); err == nil && s != unknown && e.arn().valid() {
		return e, s
	}
	if err != nil {
		// The members that say how to deny may follow the error: this decoder
		// goes on after a wrong type.
		e = new(event)
		_ = v1.Unmarshal(payload, e)
	}
	if e.RouteARN != "" || e.MethodARN == "" {
		return e, unknownHTTP
	}
	return e, unknown
}

func (e *event) shape() shape {
	isRequest, version := e.Type == "REQUEST", ""
	if e.Version != nil {
		version = *e.Version
	}
	connects := e.arn().route == connectRoute
	switch {
	case e.Version == nil && e.Type == "TOKEN" && !connects:
		return restToken
	case !isRequest || e.Context == nil:
		return unknown
	case version == "2.0" && e.Context.HTTP.Method != "":
		return http2
	case version == "1.0" && e.HTTPMethod != "":
		return http1
	case e.Version != nil:
		return unknown
	case connects && e.Context.EventType == "CONNECT":
		return webSocket
	case !connects && e.Context.EventType == "" && e.HTTPMethod != "":
		return restRequest
	}
	return unknown
}

// throws reports whether the API answers 401 to the error Unauthorized. An HTTP
// API would answer 500.
func (s shape) throws() bool { return s == restRequest || s == restToken || s == webSocket }

// simple reports whether the API takes simple responses.
func (s shape) simple() bool { return s == http2 || s == unknownHTTP }

// The reasons for which an event is malformed, as they are logged. Those of a
// source IP are in [lambdahttp.SourceIP].
var (
	errEvent = errors.New("the event is not as API Gateway documents it")
	errOffer = errors.New("Sec-WebSocket-Protocol offers the subprotocol " + subprotocol + " twice")
	errPath  = errors.New("the path has more than one reading or does not fit its route," +
		" so it cannot be compared with AUTHORIZER_PERMISSIONS")
)

// guarded returns what the decision is made on. Parts that contradict each
// other make it malformed.
func (e *event) guarded(s shape, rules []Rule) api.Guarded {
	g := api.Guarded{Info: api.RequestInfo{RequestID: e.requestID()}}
	if s == unknown || s == unknownHTTP {
		g.Info.Malformed, g.Info.Detail = true, errEvent.Error()
		return g
	}
	var errAddress, errOffered error
	g.Method, g.Handshake, g.Bare = e.method(s), s == webSocket, s == restToken
	if g.Bare {
		g.Header = http.Header{"Authorization": {e.Token}}
	} else {
		g.Header, g.Query = e.header(s), e.query()
		g.Info.SourceIP, errAddress = e.sourceIP(s)
	}
	if g.Handshake {
		g.Offered, errOffered = offered(g.Header["Sec-Websocket-Protocol"])
		g.Connection = e.Context.ConnectionID
	}
	permissions, errWanted := e.wanted(s, rules)
	g.Permissions = permissions
	if err := cmp.Or(errAddress, errOffered, errWanted); err != nil {
		g.Info.Malformed, g.Info.Detail = true, err.Error()
	}
	return g
}

func (e *event) requestID() string {
	if e.Context == nil {
		return ""
	}
	return e.Context.RequestID
}

// sourceIP returns the client's address on its connection to the gateway. The
// gateway always knows it. So if it is not an IP address, the event is not that
// of a request: the network of its session cannot be compared.
func (e *event) sourceIP(s shape) (netip.Addr, error) {
	text := e.Context.Identity.SourceIP
	if s == http2 {
		text = e.Context.HTTP.SourceIP
	}
	return lambdahttp.SourceIP(text)
}

// method returns the method of the request. A handshake is a GET (RFC 6455,
// section 4.1).
func (e *event) method(s shape) string {
	switch s {
	case http2:
		return e.Context.HTTP.Method
	case restToken:
		return e.arn().method()
	case webSocket:
		return http.MethodGet
	}
	return e.HTTPMethod
}

// readHeaders has the canonical names of the headers that a decision needs.
var readHeaders = []string{
	"Authorization", "Cookie", "Origin", "Sec-Fetch-Mode", "Sec-Fetch-Site",
	"Sec-Websocket-Protocol", "User-Agent", "X-Device-Id",
}

// headers has the headers of a request that are read, by their names as sent.
type headers struct {
	values map[string]string
	also   []string // canonical names that are read besides readHeaders
}

// canonical returns the canonical name of a header that is read, from any
// spelling. It returns "" for every other header.
func (h *headers) canonical(name string) string {
	for _, names := range [...][]string{readHeaders, h.also} {
		for _, own := range names {
			if len(own) == len(name) && strings.EqualFold(own, name) {
				return own
			}
		}
	}
	return ""
}

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (h *headers) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	h.values = make(map[string]string, len(readHeaders))
	return strictjson.Members(d, h.readMember)
}

var errValue = errors.New("the value of a header is not a string")

// readMember reads the name and the value of a header.
func (h *headers) readMember(d *jsontext.Decoder) error {
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	if h.canonical(token.String()) == "" {
		if kind := d.PeekKind(); kind != '"' && kind != 'n' {
			return errValue
		}
		return d.SkipValue()
	}
	name := token.String() // before the next token, which takes its place
	var value string
	if err := json.UnmarshalDecode(d, &value); err != nil {
		return err
	}
	h.values[name] = value
	return nil
}

// header returns the headers that are read. Two spellings of one name are two
// values. multiValueHeaders has all values, and headers has the last of each
// name. A value that only headers has counts too.
func (e *event) header(s shape) http.Header {
	header := make(http.Header, len(readHeaders))
	for name, values := range e.MultiHeaders {
		if own := e.Headers.canonical(name); own != "" {
			header[own] = append(header[own], values...)
		}
	}
	for name, value := range e.Headers.values {
		if !slices.Contains(e.MultiHeaders[name], value) {
			own := e.Headers.canonical(name)
			header[own] = append(header[own], value)
		}
	}
	for _, values := range header {
		slices.Sort(values) // a map has no order, and a decision must not depend on it
	}
	// Format 2.0 has cookies in a list of their own; a header beside it repeats
	// them.
	if s == http2 && len(e.Cookies) > 0 {
		header["Cookie"] = e.Cookies
	}
	return header
}

// query returns all names and values of the query.
func (e *event) query() []string {
	var texts []string
	for name, value := range e.Query {
		texts = append(texts, name, value)
	}
	for name, values := range e.MultiQuery {
		texts = append(append(texts, name), values...)
	}
	return texts
}

// subprotocol is offered by a client that sends its token in
// Sec-WebSocket-Protocol, the one header of a handshake that a browser lets a
// page set. The token follows it: "latchkey, lka_…". The $connect function must
// answer with the subprotocol, and never with the token.
const subprotocol = "latchkey"

// offered returns the token of a handshake, which may be empty. It returns
// errOffer if the client offers the subprotocol twice.
func offered(lines []string) (token string, err error) {
	items := strings.Split(strings.Join(lines, ","), ",")
	for i, item := range items {
		items[i] = strings.Trim(item, " \t")
	}
	at := slices.Index(items, subprotocol)
	if at < 0 || at+1 == len(items) {
		return "", nil
	}
	if slices.Contains(items[at+1:], subprotocol) {
		return "", errOffer
	}
	return items[at+1], nil
}
