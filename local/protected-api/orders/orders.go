// Package orders is an example of an API that Latchkey's authorizer guards: somebody else's, in a stack of its own. It
// imports nothing of Latchkey. All it knows of the caller is what API Gateway hands on from the authorizer.
package orders

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// writePermission is what ordering takes. It is a word of this API's own, which a role grants in Latchkey's ROLES.
const writePermission = "orders:write"

// Caller is who asks, as the authorizer says.
type Caller struct {
	// UserID is what to store things under. It never changes, and says nothing about the address.
	UserID string
	// Address is the wallet's, EIP-55 checksummed.
	Address string
	// Permissions of the caller's roles, as of this request.
	Permissions []string
}

// Handler serves GET /orders and POST /orders behind an HTTP API, payload format 2.0.
func Handler() lambda.Handler { return lambda.NewHandler(serve) }

func serve(_ context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	caller, ok := callerOf(event)
	if !ok {
		// Not 401: no client can do anything about it. Somebody deployed a route without the authorizer, or runs it where
		// there is none, as sam local may. Whoever serves such a request serves everybody.
		return answer(http.StatusInternalServerError, message{"this route has no authorizer in front of it, so nobody is let in"}), nil
	}
	switch event.RouteKey {
	case "GET /orders":
		return list(caller), nil
	case "POST /orders":
		return createOrder(caller, event), nil
	}
	return answer(http.StatusNotFound, message{"no such route"}), nil
}

// callerOf reads the context that the authorizer gave. Nothing that a client can write is looked at: a header such as
// X-User-Id is the client's word.
func callerOf(event events.APIGatewayV2HTTPRequest) (Caller, bool) {
	if event.RequestContext.Authorizer == nil {
		return Caller{}, false
	}
	text := func(name string) string {
		value, _ := event.RequestContext.Authorizer.Lambda[name].(string)
		return value
	}
	c := Caller{UserID: text("userId"), Address: text("address"), Permissions: strings.Fields(text("permissions"))}
	return c, c.UserID != "" && c.Address != ""
}

// Order is one of the caller's.
type Order struct {
	Item string `json:"item"`
	// Buyer is the address of whoever is signed in, whatever the body says.
	Buyer string `json:"buyer"`
}

func list(c Caller) events.APIGatewayV2HTTPResponse {
	return answer(http.StatusOK, struct {
		UserID string  `json:"userId"`
		Orders []Order `json:"orders"`
	}{c.UserID, []Order{{Item: "a first order, made up by the example", Buyer: c.Address}}})
}

func createOrder(c Caller, event events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	if !slices.Contains(c.Permissions, writePermission) {
		return answer(http.StatusForbidden, message{"this takes the permission " + writePermission})
	}
	var in struct {
		Item string `json:"item"`
	}
	if err := json.Unmarshal([]byte(event.Body), &in); err != nil || in.Item == "" {
		return answer(http.StatusBadRequest, message{`the body is to be {"item":"..."}`})
	}
	return answer(http.StatusCreated, Order{Item: in.Item, Buyer: c.Address})
}

type message struct {
	Message string `json:"message"`
}

// answer is the response with what as its body, which always encodes.
func answer(status int, what any) events.APIGatewayV2HTTPResponse {
	body, _ := json.Marshal(what)
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers:    map[string]string{"content-type": "application/json", "cache-control": "no-store"},
		Body:       string(body),
	}
}
