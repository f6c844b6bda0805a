package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

// guarded is a template as a user writes it, with the identity sources to be filled in.
const guarded = `
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Latchkey
        Authorizers:
          Latchkey:
            FunctionArn: !ImportValue latchkey-prod-AuthorizerArn
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            EnableFunctionDefaultPermissions: true
            Identity: {ReauthorizeEvery: 0}
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        Read: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: '/orders/{id}'}}
        Write: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: POST, Path: /orders, Auth: {Authorizer: Latchkey}}}
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /open, Auth: {Authorizer: NONE}}}
`

// withSources is that template with these identity sources.
func withSources(sources string) string {
	return strings.Replace(guarded, "{ReauthorizeEvery: 0}", "{"+sources+", ReauthorizeEvery: 0}", 1)
}

// askGuarded sends a request to a guarded API whose function echoes its event.
func askGuarded(t *testing.T, text string, authorizer lambda.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	g, err := gateway.New(parse(t, text), map[string]lambda.Handler{"EchoFunction": echo},
		gateway.Options{Log: slog.New(slog.DiscardHandler), Authorizer: authorizer})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, r)
	return recorder
}

func TestAuthorizer_event(t *testing.T) {
	var event events.APIGatewayV2CustomAuthorizerV2Request
	var raw map[string]any
	authorizer := fake(func(_ context.Context, payload []byte) ([]byte, error) {
		if err := errors.Join(json.Unmarshal(payload, &event), json.Unmarshal(payload, &raw)); err != nil {
			t.Error(err)
		}
		return []byte(`{"isAuthorized":true,"context":{"userId":"u1","roles":"user clerk"}}`), nil
	})
	r := httptest.NewRequest("GET", "/orders/a%20b?q=x&q=y", nil)
	r.Header.Set("Authorization", "Bearer t")
	r.Header.Set("User-Agent", "test/1")
	r.Header.Set("Cookie", "a=1; b=2")
	r.RemoteAddr = "203.0.113.7:4711"
	answer := askGuarded(t, withSources("Headers: [Authorization], QueryStrings: [q], Context: [routeKey]"), authorizer, r)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"version", event.Version, "2.0"},
		{"type", event.Type, "REQUEST"},
		{"routeArn", event.RouteArn, "arn:aws:execute-api:us-east-1:123456789012:local/$default/GET/orders/a b"},
		{"identitySource", event.IdentitySource, []string{"Bearer t", "x,y", "GET /orders/{id}"}},
		{"routeKey", event.RouteKey, "GET /orders/{id}"},
		{"rawPath", event.RawPath, "/orders/a b"},
		{"rawQueryString", event.RawQueryString, "q=x&q=y"},
		{"cookies", event.Cookies, []string{"a=1", "b=2"}},
		{"authorization", event.Headers["authorization"], "Bearer t"},
		{"query", event.QueryStringParameters, map[string]string{"q": "x,y"}},
		{"path parameters", event.PathParameters, map[string]string{"id": "a b"}},
		{"stage", event.RequestContext.Stage, "$default"},
		{"method", event.RequestContext.HTTP.Method, "GET"},
		{"sourceIp", event.RequestContext.HTTP.SourceIP, "203.0.113.7"},
		{"userAgent", event.RequestContext.HTTP.UserAgent, "test/1"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
	for _, absent := range []string{"body", "isBase64Encoded"} {
		if _, ok := raw[absent]; ok {
			t.Errorf("the event has %s", absent)
		}
	}

	var behind events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(answer.Body.Bytes(), &behind); err != nil || answer.Code != 200 {
		t.Fatalf("%v: %d %s", err, answer.Code, answer.Body)
	}
	want := map[string]any{"userId": "u1", "roles": "user clerk"}
	if behind.RequestContext.Authorizer == nil || !reflect.DeepEqual(behind.RequestContext.Authorizer.Lambda, want) {
		t.Errorf("the function is told %+v", behind.RequestContext.Authorizer)
	}
	if behind.RequestContext.RequestID != event.RequestContext.RequestID {
		t.Error("the two events are of two requests")
	}
}

func TestAuthorizer_answers(t *testing.T) {
	for name, c := range map[string]struct {
		authorizer fake
		status     int
		message    string
	}{
		"allowed":         {returning(`{"isAuthorized":true}`), 200, ""},
		"denied":          {returning(`{"isAuthorized":false}`), 403, "Forbidden"},
		"denied and more": {returning(`{"isAuthorized":false,"context":{"userId":"u1"}}`), 403, "Forbidden"},
		"no answer":       {returning(``), 500, "Internal Server Error"},
		"null":            {returning(`null`), 500, "Internal Server Error"},
		"another answer":  {returning(`{"principalId":"u1","policyDocument":{"Statement":[{"Effect":"Allow"}]}}`), 500, "Internal Server Error"},
		"a text":          {returning(`{"isAuthorized":"true"}`), 500, "Internal Server Error"},
		"an error":        {fake(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("Unauthorized: no") }), 500, "Internal Server Error"},
		"a panic":         {fake(func(context.Context, []byte) ([]byte, error) { panic("out of cheese") }), 500, "Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*http.Request{httptest.NewRequest("GET", "/orders/5", nil), httptest.NewRequest("POST", "/orders", strings.NewReader("{}"))} {
				answer := askGuarded(t, guarded, c.authorizer, r)
				if answer.Code != c.status || c.message != "" && answer.Body.String() != fmt.Sprintf(`{"message":%q}`, c.message) {
					t.Errorf("%s: %d %s", r.URL, answer.Code, answer.Body)
				}
			}
			// What wants no authorizer is served, whatever it says, and the function is told nothing.
			if answer := askGuarded(t, guarded, c.authorizer, httptest.NewRequest("GET", "/open", nil)); answer.Code != 200 || strings.Contains(answer.Body.String(), `"authorizer"`) {
				t.Errorf("open: %d %s", answer.Code, answer.Body)
			}
			if answer := askGuarded(t, guarded, c.authorizer, httptest.NewRequest("GET", "/nothing", nil)); answer.Code != 404 {
				t.Errorf("no route: %d", answer.Code)
			}
		})
	}
}

func TestAuthorizer_slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		never := fake(func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		if answer := askGuarded(t, guarded, never, httptest.NewRequest("GET", "/orders/5", nil)); answer.Code != 500 || time.Since(began) != 10*time.Second {
			t.Errorf("%d after %v", answer.Code, time.Since(began))
		}
	})
}

// A request that lacks an identity source is answered without asking.
func TestAuthorizer_missingSource(t *testing.T) {
	never := fake(func(context.Context, []byte) ([]byte, error) { panic("the authorizer was asked") })
	const both = "Headers: [authorization, X-Key], QueryStrings: [k]"
	for name, change := range map[string]func(r *http.Request){
		"nothing":      func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Del("X-Key") },
		"one of two":   func(r *http.Request) { r.Header.Del("X-Key") },
		"empty":        func(r *http.Request) { r.Header.Set("Authorization", "") },
		"no parameter": func(r *http.Request) { r.URL.RawQuery = "" },
	} {
		r := httptest.NewRequest("GET", "/orders/5?k=v", nil)
		r.Header.Set("Authorization", "Bearer t")
		r.Header.Set("X-Key", "x")
		if answer := askGuarded(t, withSources(both), returning(`{"isAuthorized":true}`), r); answer.Code != 200 {
			t.Errorf("all there: %d %s", answer.Code, answer.Body)
		}
		change(r)
		if answer := askGuarded(t, withSources(both), never, r); answer.Code != 401 || answer.Body.String() != `{"message":"Unauthorized"}` {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestParse_authorizers(t *testing.T) {
	got := parse(t, withSources("Headers: [Authorization], Context: [routeKey]"))
	want := map[string]gateway.Authorizer{"Latchkey": {Sources: []string{"$request.header.Authorization", "$context.routeKey"}}}
	if got.DefaultAuthorizer != "Latchkey" || !reflect.DeepEqual(got.Authorizers, want) {
		t.Errorf("%s %+v", got.DefaultAuthorizer, got.Authorizers)
	}
	for name, text := range map[string]string{
		"payload 1.0":      strings.Replace(guarded, "'2.0'", "'1.0'", 1),
		"IAM policies":     strings.Replace(guarded, "EnableSimpleResponses: true", "EnableSimpleResponses: false", 1),
		"no such default":  strings.Replace(guarded, "DefaultAuthorizer: Latchkey", "DefaultAuthorizer: Latchkye", 1),
		"no such on route": strings.Replace(guarded, "Authorizer: Latchkey}", "Authorizer: Latchkye}", 1),
		"stage variables":  withSources("StageVariables: [x]"),
		"another context":  withSources("Context: [identity.sourceIp]"),
		"default NONE":     strings.Replace(guarded, "DefaultAuthorizer: Latchkey", "DefaultAuthorizer: NONE", 1),
		"no authorizers":   strings.Replace(guarded, "        Authorizers:", "        Others:", 1),
	} {
		if _, err := gateway.Parse([]byte(text)); err == nil {
			t.Errorf("%s is served", name)
		}
	}
	if _, err := gateway.New(got, map[string]lambda.Handler{"EchoFunction": echo}, gateway.Options{}); err == nil {
		t.Error("without a handler for the authorizer it is served")
	}
}
