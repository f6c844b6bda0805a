package lambdatest

import (
	"encoding/json"
	"testing"
)

// Event is an event of an API Gateway HTTP API, payload format 2.0, with the
// members that tests set.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
type Event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryStringParameters,omitempty"`
	PathParameters  map[string]string `json:"pathParameters,omitempty"`
	RequestContext  RequestContext    `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// RequestContext is the part of an event that the gateway fills in.
type RequestContext struct {
	DomainName string `json:"domainName"`
	HTTP       HTTP   `json:"http"`
	RequestID  string `json:"requestId"`
	RouteKey   string `json:"routeKey"`
}

// HTTP describes a request.
type HTTP struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// NewEvent returns the event of a request without headers.
func NewEvent(method, path string) Event {
	return Event{
		Version: "2.0", RouteKey: method + " " + path, RawPath: path, Headers: map[string]string{},
		RequestContext: RequestContext{
			DomainName: "abc123.execute-api.eu-central-1.amazonaws.com",
			RequestID:  "JKJaXmPLvHcESHA=", RouteKey: method + " " + path,
			HTTP: HTTP{
				Method: method, Path: path, Protocol: "HTTP/1.1", SourceIP: "203.0.113.7",
				UserAgent: "test",
			},
		},
	}
}

// JSON returns the event in the form that a function gets.
func (e Event) JSON(t testing.TB) []byte {
	t.Helper()
	payload, err := json.Marshal(e)
	must(t, err)
	return payload
}

// Response is what a function returns for such an event.
type Response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// DecodeResponse reads what a function returned.
func DecodeResponse(t testing.TB, payload []byte) Response {
	t.Helper()
	var r Response
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("%v in %s", err, payload)
	}
	return r
}
