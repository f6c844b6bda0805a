package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

// Authorizer is a Lambda authorizer of payload format 2.0 with simple responses.
type Authorizer struct {
	// Sources are its identity sources, as $request.header.Authorization. A request that
	// lacks one is not asked about.
	Sources []string
}

// noAuthorizer is the name by which a route wants none.
const noAuthorizer = "NONE"

func (t *Template) parseAuth(auth node) error {
	t.DefaultAuthorizer = auth.at("DefaultAuthorizer").text()
	for name, properties := range auth.at("Authorizers").entries() {
		authorizer, err := parseAuthorizer(properties)
		if err != nil {
			return fmt.Errorf("authorizer %s: %w", name, err)
		}
		if t.Authorizers == nil {
			t.Authorizers = map[string]Authorizer{}
		}
		t.Authorizers[name] = authorizer
	}
	return nil
}

func parseAuthorizer(properties node) (Authorizer, error) {
	if properties.at("AuthorizerPayloadFormatVersion").text() != "2.0" || properties.at("EnableSimpleResponses").text() != "true" {
		return Authorizer{}, errors.New("only AuthorizerPayloadFormatVersion '2.0' with EnableSimpleResponses is served here")
	}
	var a Authorizer
	identity := properties.at("Identity")
	for _, name := range identity.at("Headers").texts() {
		a.Sources = append(a.Sources, headerSource+name)
	}
	for _, name := range identity.at("QueryStrings").texts() {
		a.Sources = append(a.Sources, querySource+name)
	}
	for _, name := range identity.at("Context").texts() {
		if name != "routeKey" {
			return Authorizer{}, fmt.Errorf("of Context only routeKey is served here, not %s", name)
		}
		a.Sources = append(a.Sources, routeSource)
	}
	if len(identity.at("StageVariables").texts()) > 0 {
		return Authorizer{}, errors.New("there are no StageVariables here")
	}
	return a, nil
}

// checkAuth refuses a name that stands for no authorizer: such a route would be served
// to everybody.
func (t *Template) checkAuth() error {
	names := map[string]bool{"": true, noAuthorizer: true}
	for name := range t.Authorizers {
		names[name] = true
	}
	if !names[t.DefaultAuthorizer] || t.DefaultAuthorizer == noAuthorizer {
		return fmt.Errorf("there is no authorizer %s", t.DefaultAuthorizer)
	}
	for id, f := range t.Functions {
		for _, route := range f.Routes {
			if !names[route.Authorizer] {
				return fmt.Errorf("%s: %s: there is no authorizer %s", id, route.Key(), route.Authorizer)
			}
		}
	}
	return nil
}

// guard is an authorizer in front of a route.
type guard struct {
	Authorizer
	function *function
}

// guard returns that of a route, or nil where nobody is asked.
func (t *Template) guard(route Route, handler lambda.Handler) *guard {
	name := route.Authorizer
	if name == "" {
		name = t.DefaultAuthorizer
	}
	if name == "" || name == noAuthorizer {
		return nil
	}
	return &guard{t.Authorizers[name], newFunction(name, handler, authorizerTimeout)}
}

// authorizerEvent is what an authorizer is asked, payload format 2.0.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
type authorizerEvent struct {
	Version               string            `json:"version"`
	Type                  string            `json:"type"`
	RouteARN              string            `json:"routeArn"`
	IdentitySource        []string          `json:"identitySource"`
	RouteKey              string            `json:"routeKey"`
	RawPath               string            `json:"rawPath"`
	RawQueryString        string            `json:"rawQueryString"`
	Cookies               []string          `json:"cookies,omitempty"`
	Headers               map[string]string `json:"headers"`
	QueryStringParameters map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext        requestContext    `json:"requestContext"`
	PathParameters        map[string]string `json:"pathParameters,omitempty"`
}

// ask returns what the authorizer says of the caller, or the status of a refusal.
func (g *Gateway) ask(by *guard, a arrival) (*authorizerContext, int) {
	e, ok := newEvent(a)
	if !ok {
		return nil, http.StatusBadRequest
	}
	identity, ok := by.identity(a, e)
	if !ok {
		return nil, http.StatusUnauthorized
	}
	payload, err := json.Marshal(authorizerEvent{
		Version: "2.0", Type: "REQUEST", IdentitySource: identity,
		RouteARN: "arn:aws:execute-api:us-east-1:" + e.RequestContext.AccountID + ":" + e.RequestContext.APIID + "/" +
			e.RequestContext.Stage + "/" + a.Method + e.RawPath,
		RouteKey: e.RouteKey, RawPath: e.RawPath, RawQueryString: e.RawQueryString, Cookies: e.Cookies, Headers: e.Headers,
		QueryStringParameters: e.QueryStringParameters, RequestContext: e.RequestContext, PathParameters: e.PathParameters,
	})
	var decision struct {
		IsAuthorized *bool          `json:"isAuthorized"`
		Context      map[string]any `json:"context"`
	}
	if err == nil {
		var output []byte
		if output, err = by.function.call(a.Context(), payload, authorizerTimeout); err == nil {
			err = json.Unmarshal(output, &decision)
		}
	}
	switch {
	case err == nil && decision.IsAuthorized == nil:
		err = errors.New("its answer has no isAuthorized")
	case err == nil && !*decision.IsAuthorized:
		return nil, http.StatusForbidden
	}
	if err != nil {
		g.log.Error("authorizer failed", "authorizer", by.function.name, "requestId", a.requestID, "error", err.Error())
		return nil, http.StatusInternalServerError
	}
	return &authorizerContext{decision.Context}, 0
}

// The forms of identity sources.
const (
	headerSource = "$request.header."
	querySource  = "$request.querystring."
	routeSource  = "$context.routeKey"
)

// identity returns the values of the identity sources; not ok where the request lacks
// one.
func (a Authorizer) identity(request arrival, e event) ([]string, bool) {
	var values []string
	for _, source := range a.Sources {
		value := e.RouteKey
		if name, ok := strings.CutPrefix(source, headerSource); ok {
			value = strings.Join(request.Header.Values(textproto.CanonicalMIMEHeaderKey(name)), ",")
		} else if name, ok := strings.CutPrefix(source, querySource); ok {
			value = e.QueryStringParameters[name]
		}
		if value == "" {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}
