package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The routes of a WebSocket API.
const (
	connectRoute    = "$connect"
	defaultRoute    = "$default"
	disconnectRoute = "$disconnect"
)

// connection is a WebSocket, from its handshake on.
type connection struct {
	*WebSocket
	id        string
	since     time.Time
	handshake *http.Request
	allowed   map[string]any // the authorizer's context and principalId
}

// socketEvent is an event of a WebSocket API, for its authorizer and its
// functions. Only a handshake has headers and query.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html
type socketEvent struct {
	Type         string              `json:"type,omitempty"`      // only for the authorizer
	MethodARN    string              `json:"methodArn,omitempty"` // only for the authorizer
	Headers      map[string]string   `json:"headers,omitempty"`
	MultiHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Query        map[string]string   `json:"queryStringParameters,omitempty"`
	MultiQuery   map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	Context      socketContext       `json:"requestContext"`

	Body            string `json:"body,omitempty"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

type socketContext struct {
	RouteKey         string         `json:"routeKey"`
	EventType        string         `json:"eventType"`
	MessageID        string         `json:"messageId,omitempty"`
	MessageDirection string         `json:"messageDirection"`
	RequestID        string         `json:"requestId"`
	RequestTimeEpoch int64          `json:"requestTimeEpoch"` // milliseconds
	ConnectedAt      int64          `json:"connectedAt"`      // milliseconds
	ConnectionID     string         `json:"connectionId"`
	APIID            string         `json:"apiId"`
	Stage            string         `json:"stage"`
	DomainName       string         `json:"domainName"`
	Identity         socketIdentity `json:"identity"`
	Authorizer       map[string]any `json:"authorizer,omitempty"`
}

type socketIdentity struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// event returns an event without headers.
func (c *connection) event(route, kind string) socketEvent {
	host, _ := hostPort(c.handshake.Host)
	return socketEvent{Context: socketContext{
		RouteKey: route, EventType: kind, MessageDirection: "IN",
		RequestID: newRequestID(), RequestTimeEpoch: c.now().UnixMilli(),
		ConnectedAt: c.since.UnixMilli(), ConnectionID: c.id,
		APIID: "local", Stage: "local", DomainName: host,
		Identity:   socketIdentity{sourceIP(c.handshake), c.handshake.UserAgent()},
		Authorizer: c.allowed,
	}}
}

// connectEvent returns the event of the handshake. Its headers are as they were
// sent, cookies included. Of several values, only the map of lists has all.
func (c *connection) connectEvent() socketEvent {
	e := c.event(connectRoute, "CONNECT")
	_, port := hostPort(c.handshake.Host)
	e.MultiHeaders = maps.Clone(map[string][]string(c.handshake.Header))
	e.MultiHeaders["Host"] = []string{c.handshake.Host}
	e.MultiHeaders["X-Amzn-Trace-Id"] = []string{newTraceID(c.since)}
	e.MultiHeaders["X-Forwarded-Port"] = []string{port}
	e.MultiHeaders["X-Forwarded-Proto"] = []string{"http"}
	forwarded := append(c.handshake.Header.Values("X-Forwarded-For"), sourceIP(c.handshake))
	e.MultiHeaders["X-Forwarded-For"] = []string{strings.Join(forwarded, ", ")}
	e.Headers = lastValues(e.MultiHeaders)
	// A pair that cannot be decoded is left out.
	query, _ := url.ParseQuery(c.handshake.URL.RawQuery)
	e.MultiQuery, e.Query = query, lastValues(query)
	return e
}

func lastValues(lists map[string][]string) map[string]string {
	values := map[string]string{}
	for name, list := range lists {
		values[name] = list[len(list)-1]
	}
	return values
}

// authorize calls the authorizer. It returns 0 if the handshake is allowed, and
// the status of the refusal otherwise.
func (c *connection) authorize(ctx context.Context) int {
	e := c.connectEvent()
	e.Type = "REQUEST"
	e.MethodARN = "arn:aws:execute-api:us-east-1:123456789012:local/local/" + connectRoute
	var p socketPolicy
	err := call(ctx, c.authorizer, e, &p)
	switch {
	case err != nil && err.Error() == unauthorized:
		return http.StatusUnauthorized
	case err == nil && p.Document == nil:
		err = errors.New("the response has no policyDocument")
	case err == nil && !p.allows(e.MethodARN):
		return http.StatusForbidden
	}
	if err != nil {
		c.logFailure(c.authorizer, e, err)
		return http.StatusInternalServerError
	}
	c.allowed = map[string]any{}
	maps.Copy(c.allowed, p.Context)
	c.allowed["principalId"] = p.PrincipalID
	return 0
}

// connect calls the function for $connect. It returns the subprotocol that the
// function chooses, or the status of its refusal.
func (c *connection) connect(ctx context.Context) (subprotocol string, status int) {
	var answer socketAnswer
	e := c.connectEvent()
	if err := call(ctx, c.function, e, &answer); err != nil {
		c.logFailure(c.function, e, err)
		return "", http.StatusInternalServerError
	}
	if answer.StatusCode < 200 || answer.StatusCode >= 300 {
		return "", max(answer.StatusCode, http.StatusBadRequest)
	}
	for name, value := range answer.Headers {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			subprotocol = value
		}
	}
	return subprotocol, 0
}

// message calls the function for a message of the client. It returns what to
// send back, which may be empty.
func (c *connection) message(ctx context.Context, text string) string {
	var answer socketAnswer
	e := c.event(defaultRoute, "MESSAGE")
	e.Context.MessageID, e.Body = newRequestID(), text
	if err := call(ctx, c.function, e, &answer); err != nil {
		c.logFailure(c.function, e, err)
		return internalError
	}
	return answer.Body
}

// disconnect calls the function for $disconnect, after the connection has ended.
// Nobody gets its response.
func (c *connection) disconnect() {
	var answer socketAnswer
	e := c.event(disconnectRoute, "DISCONNECT")
	if err := call(context.Background(), c.function, e, &answer); err != nil {
		c.logFailure(c.function, e, err)
	}
}

// socketAnswer is the response of a function behind a WebSocket API.
type socketAnswer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

// call calls a function with an event, and decodes its response.
func call(ctx context.Context, f *function, e socketEvent, response any) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	output, err := f.call(ctx, payload, socketPatience)
	if err != nil {
		return err
	}
	return json.Unmarshal(output, response)
}

// logFailure says why a function failed, which no client gets.
func (c *connection) logFailure(f *function, e socketEvent, err error) {
	c.log.Error("function failed", "function", f.name, "requestId", e.Context.RequestID,
		"error", err.Error())
}

// internalError is sent to a client if the function fails for its message.
const internalError = `{"message":"Internal server error"}`

// unauthorized is the error of an authorizer that API Gateway answers with 401.
const unauthorized = "Unauthorized"

// socketPolicy is the response of an authorizer with an IAM policy.
type socketPolicy struct {
	PrincipalID string         `json:"principalId"`
	Context     map[string]any `json:"context"`
	Document    *struct {
		Statement []struct{ Action, Effect, Resource string }
	} `json:"policyDocument"`
}

// allows reports whether the policy allows to invoke a resource. Of IAM's
// patterns it knows those that end with a star. Any others match nothing.
func (p socketPolicy) allows(resource string) bool {
	allowed := false
	for _, s := range p.Document.Statement {
		prefix, isPrefix := strings.CutSuffix(s.Resource, "*")
		matches := s.Resource == resource || isPrefix && strings.HasPrefix(resource, prefix)
		switch {
		case s.Effect != "Allow": // a denial counts, whatever it is about
			return false
		case matches && s.Action == "execute-api:Invoke":
			allowed = true
		}
	}
	return allowed
}
