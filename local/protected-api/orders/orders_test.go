package orders_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"latchkey/local/protected-api/orders"
)

// reader is what the authorizer says of somebody with one permission.
func reader() map[string]any {
	return map[string]any{
		"userId": "u1", "account": "0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B", "address": "0xAb5801a7D398351b8bE11C439e05C5B3259aeC9B", "chainId": "1", "sessionId": "s1",
		"roles": "user", "permissions": "orders:read", "expiresAt": "2026-11-23T10:00:00.000Z",
	}
}

// writer may order.
func writer() map[string]any {
	context := reader()
	context["permissions"] = "orders:read orders:write"
	return context
}

// contractOf is the contract at the same address, on chain 1.
func contractOf(context map[string]any) map[string]any {
	context["account"] = "eip155:1:" + context["address"].(string)
	return context
}

// ask invokes the handler as Lambda does, with the event as JSON. A nil context stands for no authorizer.
func ask(t *testing.T, route string, context map[string]any, headers map[string]string, body string) (int, string) {
	t.Helper()
	event := events.APIGatewayV2HTTPRequest{Version: "2.0", RouteKey: route, Headers: headers, Body: body}
	if strings.HasSuffix(route, "/{id}") { // the body is the id: these have none
		event.PathParameters = map[string]string{"id": body}
	}
	if context != nil {
		event.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: context}
	}
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	output, err := orders.Handler().Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var response events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(output, &response); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Body
}

func TestHandler(t *testing.T) {
	for name, c := range map[string]struct {
		route   string
		context map[string]any
		body    string
		status  int
		want    string
	}{
		"list":                {"GET /orders", reader(), "", http.StatusOK, `"userId":"u1"`},
		"place":               {"POST /orders", writer(), `{"item":"tea"}`, http.StatusCreated, `{"item":"tea","buyer":"0xAb58`},
		"place for another":   {"POST /orders", writer(), `{"item":"tea","buyer":"0x1"}`, http.StatusCreated, `"buyer":"0xAb58`},
		"without permission":  {"POST /orders", reader(), `{"item":"tea"}`, http.StatusForbidden, "orders:write"},
		"half the permission": {"POST /orders", map[string]any{"userId": "u1", "account": "0x1", "permissions": "orders:writer"}, `{"item":"tea"}`, http.StatusForbidden, "orders:write"},
		"no JSON":             {"POST /orders", writer(), `tea`, http.StatusBadRequest, "item"},
		"no item":             {"POST /orders", writer(), `{}`, http.StatusBadRequest, "item"},
		"place by a contract": {"POST /orders", contractOf(writer()), `{"item":"tea"}`, http.StatusCreated, `"buyer":"eip155:1:0xAb58`},
		"find":                {"GET /orders/{id}", reader(), "1", http.StatusOK, `"id":"1"`},
		"find another's":      {"GET /orders/{id}", reader(), "7", http.StatusNotFound, "no such order"},
		"other route":         {"DELETE /orders", writer(), "", http.StatusNotFound, "route"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := ask(t, c.route, c.context, nil, c.body); status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("got %d %s, want %d and %s", status, body, c.status, c.want)
			}
		})
	}
}

func TestHandler_refusesWithoutAuthorizer(t *testing.T) {
	forged := map[string]string{"x-user-id": "u1", "x-address": "0x1", "authorization": "Bearer anything"}
	for name, context := range map[string]map[string]any{
		"no authorizer": nil,
		"empty context": {},
		"no user":       {"account": "0x1", "permissions": "orders:write"},
		"no account":    {"userId": "u1", "address": "0x1", "permissions": "orders:write"},
		"not text":      {"userId": 1, "account": true},
	} {
		for _, route := range []string{"GET /orders", "POST /orders"} {
			if status, body := ask(t, route, context, forged, `{"item":"tea"}`); status != http.StatusInternalServerError || !strings.Contains(body, "authorizer") {
				t.Errorf("%s, %s: %d %s", name, route, status, body)
			}
		}
	}
}

func TestHandler_ignoresWhatAClientSaysOfItself(t *testing.T) {
	status, body := ask(t, "GET /orders", reader(), map[string]string{"x-user-id": "somebody-else", "x-address": "0xelse"}, "")
	if status != http.StatusOK || strings.Contains(body, "else") {
		t.Errorf("got %d %s", status, body)
	}
}

// FuzzHandler holds that nobody is served whom the authorizer did not name, and that an order is the caller's and has what
// the body says, and is placed by those alone who may.
func FuzzHandler(f *testing.F) {
	f.Add("GET /orders", `{"userId":"u1","account":"0x1"}`, "")
	f.Add("POST /orders", `{"userId":"u1","account":"0x1","permissions":"orders:read orders:write"}`, `{"item":"tea","buyer":"0x2"}`)
	f.Add("POST /orders", `{"userId":"u1","account":"0x1","permissions":"orders:writer"}`, `{"item":"tea"}`)
	f.Add("POST /orders", `{"userId":"u1","account":"0x1","permissions":["orders:write"]}`, `{"item":"tea"}`)
	f.Add("POST /orders", `{"userId":"","account":"0x1","permissions":"orders:write"}`, `tea`)
	f.Add("GET /orders", `null`, "")
	f.Fuzz(func(t *testing.T, route, authorizer, body string) {
		var context map[string]any
		if json.Unmarshal([]byte(authorizer), &context) != nil {
			context = nil
		}
		status, answer := ask(t, route, context, map[string]string{"x-user-id": "u1"}, body)
		user, _ := context["userId"].(string)
		account, _ := context["account"].(string)
		permissions, _ := context["permissions"].(string)
		if named := user != "" && account != ""; named == (status == http.StatusInternalServerError) {
			t.Errorf("%s for %s: answered %d %s", route, authorizer, status, answer)
		}
		if status != http.StatusCreated {
			return
		}
		var order orders.Order
		var asked struct{ Item string }
		if err := errors.Join(json.Unmarshal([]byte(answer), &order), json.Unmarshal([]byte(body), &asked)); err != nil {
			t.Fatal(err)
		}
		may := route == "POST /orders" && slices.Contains(strings.Fields(permissions), "orders:write")
		if !may || order.Buyer != account || order.Item != asked.Item || order.Item == "" {
			t.Errorf("%s for %s: %s placed %s", route, authorizer, body, answer)
		}
	})
}
