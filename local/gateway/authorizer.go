package gateway

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
)

// Authorizer is a Lambda authorizer of payload format 2.0 with simple
// responses.
type Authorizer struct {
	// Sources are its identity sources, such as $request.header.Authorization.
	// If a request lacks one, the gateway answers 401 and does not call the
	// authorizer.
	Sources []string
}

// noAuthorizer is the name that a route gives to have no authorizer.
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
	version := properties.at("AuthorizerPayloadFormatVersion").text()
	if version != "2.0" || properties.at("EnableSimpleResponses").text() != "true" {
		return Authorizer{}, errors.New("only AuthorizerPayloadFormatVersion '2.0'" +
			" with EnableSimpleResponses: true is supported")
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
			return Authorizer{}, fmt.Errorf("the Identity Context %s is not supported:"+
				" use routeKey", name)
		}
		a.Sources = append(a.Sources, routeSource)
	}
	if len(identity.at("StageVariables").texts()) > 0 {
		return Authorizer{}, errors.New("the Identity StageVariables are not supported")
	}
	return a, nil
}

// checkAuth returns an error if the API or a route names an authorizer that the
// template does not define. Such a route would be open to everybody.
func (t *Template) checkAuth() error {
	names := map[string]bool{"": true, noAuthorizer: true}
	for name := range t.Authorizers {
		names[name] = true
	}
	if !names[t.DefaultAuthorizer] || t.DefaultAuthorizer == noAuthorizer {
		return fmt.Errorf("DefaultAuthorizer %s is not defined", t.DefaultAuthorizer)
	}
	for id, f := range t.Functions {
		for _, route := range f.Routes {
			if !names[route.Authorizer] {
				return fmt.Errorf("%s: %s: authorizer %s is not defined",
					id, route.Key(), route.Authorizer)
			}
		}
	}
	return nil
}

// guard is the authorizer of a route, with its function.
type guard struct {
	Authorizer
	function *function
}

// guard returns the guard of a route, or nil if the route has no authorizer.
func (t *Template) guard(route Route, handler lambda.Handler) *guard {
	name := cmp.Or(route.Authorizer, t.DefaultAuthorizer, noAuthorizer)
	if name == noAuthorizer {
		return nil
	}
	return &guard{t.Authorizers[name], newFunction(name, handler, authorizerTimeout)}
}

// authorizerEvent is the event of an authorizer, payload format 2.0.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
type authorizerEvent struct {
	request
	Type           string   `json:"type"`
	RouteARN       string   `json:"routeArn"`
	IdentitySource []string `json:"identitySource"`
}

// ask calls the authorizer. It returns the authorizer's context, or the status
// of a refusal.
func (g *Gateway) ask(by *guard, a arrival) (*authorizerContext, int) {
	r, ok := newRequest(a)
	if !ok {
		return nil, http.StatusBadRequest
	}
	identity, ok := by.identity(a, r)
	if !ok {
		return nil, http.StatusUnauthorized
	}
	payload, err := json.Marshal(authorizerEvent{
		request: r, Type: "REQUEST", IdentitySource: identity,
		RouteARN: "arn:aws:execute-api:us-east-1:" + r.RequestContext.AccountID + ":" +
			r.RequestContext.APIID + "/" + r.RequestContext.Stage + "/" + a.Method + r.RawPath,
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
		err = errors.New("the response has no isAuthorized")
	case err == nil && !*decision.IsAuthorized:
		return nil, http.StatusForbidden
	}
	if err != nil {
		g.log.Error("authorizer failed", "authorizer", by.function.name,
			"requestId", a.requestID, "error", err.Error())
		return nil, http.StatusInternalServerError
	}
	return &authorizerContext{decision.Context}, 0
}

// The prefixes and the name of identity sources.
const (
	headerSource = "$request.header."
	querySource  = "$request.querystring."
	routeSource  = "$context.routeKey"
)

// identity returns the values of the identity sources. It is not ok if the
// request lacks one.
func (a Authorizer) identity(sent arrival, r request) ([]string, bool) {
	var values []string
	for _, source := range a.Sources {
		value := r.RouteKey
		if name, ok := strings.CutPrefix(source, headerSource); ok {
			value = strings.Join(sent.Header.Values(textproto.CanonicalMIMEHeaderKey(name)), ",")
		} else if name, ok := strings.CutPrefix(source, querySource); ok {
			value = r.QueryStringParameters[name]
		}
		if value == "" {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}
