package boot_test

import (
	"encoding/json"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey/local/test/redistest"
)

// authorizerEvent is one of payload format 2.0, to the protected API of
// somebody else.
func authorizerEvent(t *testing.T, accessToken string) []byte {
	t.Helper()
	headers := map[string]string{"host": "orders.example.com"}
	if accessToken != "" {
		headers["authorization"] = "Bearer " + accessToken
	}
	payload, err := json.Marshal(map[string]any{
		"version": "2.0", "type": "REQUEST", "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:abcdef123/$default/GET/orders",
		"identitySource": nil, "routeKey": "GET /orders", "rawPath": "/orders", "rawQueryString": "", "headers": headers,
		"requestContext": map[string]any{
			"requestId": "JKJaXmPLvHcESHA=", "http": map[string]any{"method": "GET", "path": "/orders", "sourceIp": "203.0.113.7"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// tokenEvent is one of a REST API's TOKEN authorizer.
func tokenEvent(t *testing.T, value string) []byte {
	t.Helper()
	payload, err := json.Marshal(map[string]string{
		"type": "TOKEN", "authorizationToken": value, "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:abcdef123/prod/GET/orders",
	})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// authorized asks the authorizer, which must answer in time, and reports
// whether it allows.
func (s system) authorized(t *testing.T, payload []byte) bool {
	t.Helper()
	began := time.Now()
	result := s["authorizer"].Invoke(t, payload)
	if took := time.Since(began); result.Failed || took > 4*time.Second {
		t.Fatalf("failed %v, %s after %v", result.Failed, result.Payload, took)
	}
	var answer struct {
		IsAuthorized bool `json:"isAuthorized"`
	}
	if err := json.Unmarshal(result.Payload, &answer); err != nil {
		t.Fatalf("%v in %s", err, result.Payload)
	}
	return answer.IsAuthorized || strings.Contains(string(result.Payload), `"Effect":"Allow"`)
}

// The authorizer as a process lets in who is signed in, and nobody else: not
// after the end, not with Redis away or silent.
func testAuthorizer(t *testing.T, binaries string) {
	server := redistest.ServerWith(t)
	s := system{}
	for _, name := range []string{"authorizer", "issue-nonce", "log-in", "log-out"} {
		env := append(environment(t, server.Redis), "AWS_LAMBDA_FUNCTION_NAME=stack-"+name)
		s[name] = startFunction(t, filepath.Join(binaries, name), env...)
	}
	session := s.login(t)
	if !s.authorized(t, authorizerEvent(t, session.AccessToken)) || !s.authorized(t, tokenEvent(t, "Bearer "+session.AccessToken)) {
		t.Error("a live session is denied")
	}
	for name, payload := range map[string][]byte{
		"no token": authorizerEvent(t, ""), "refresh token": authorizerEvent(t, session.RefreshToken), "no event": []byte(`{}`), "a list": []byte(`[]`),
		"refresh token, REST": tokenEvent(t, "Bearer "+session.RefreshToken),
	} {
		if s.authorized(t, payload) {
			t.Errorf("%s is allowed", name)
		}
	}
	// REST APIs answer 401 to this very error.
	var failure struct {
		Message string `json:"errorMessage"`
	}
	if got := s["authorizer"].Invoke(t, tokenEvent(t, "")); !got.Failed || json.Unmarshal(got.Payload, &failure) != nil || failure.Message != "Unauthorized" {
		t.Errorf("no token, REST: failed %v, %s", got.Failed, got.Payload)
	}

	server.Stop()
	for range 10 { // more often than a pool has places
		if s.authorized(t, authorizerEvent(t, session.AccessToken)) {
			t.Error("allowed with Redis away")
		}
	}
	silent, err := net.Listen("tcp", server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if s.authorized(t, authorizerEvent(t, session.AccessToken)) {
		t.Error("allowed with Redis silent")
	}
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	server.Restart() // empty
	if s.authorized(t, authorizerEvent(t, session.AccessToken)) {
		t.Error("a session that is gone is allowed")
	}
	session = s.login(t)
	if !s.authorized(t, authorizerEvent(t, session.AccessToken)) {
		t.Error("once Redis is back a live session is denied")
	}
	s.logout(t, session.AccessToken)
	if s.authorized(t, authorizerEvent(t, session.AccessToken)) {
		t.Error("allowed after the logout")
	}

	s["authorizer"].Registered(t)
	s["authorizer"].Signal(t, syscall.SIGTERM)
	s["authorizer"].ExitStatus(t) // all that it wrote is there
	entries, err := s["authorizer"].Output.Entries()
	if err != nil || strings.Contains(s["authorizer"].Output.String(), "lka_") {
		t.Errorf("%v, or a token in %s", err, s["authorizer"].Output)
	}
	counted := map[string]int{}
	for _, e := range entries {
		if e["_aws"] != nil {
			for _, name := range []string{"Faults", "Denied", "Unauthorized"} {
				if value, ok := e[name].(float64); ok && e["FunctionName"] == "stack-authorizer" {
					counted[name] += int(value)
				}
			}
		}
	}
	got := []int{counted["Faults"], counted["Denied"], counted["Unauthorized"]}
	if want := []int{11, 7, 1}; !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
