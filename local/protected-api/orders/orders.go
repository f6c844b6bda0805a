// Package orders is an example of an API that Latchkey's authorizer guards. It
// could be anybody's API, in its own stack. It does not import any package of
// Latchkey. All that it knows about the caller is what API Gateway passes on
// from the authorizer.
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

// writePermission is the permission that is needed to order. This API chose the
// word, and a role grants it in Latchkey's variable ROLES.
const writePermission = "orders:write"

// Caller is the signed-in user, as given by the authorizer.
type Caller struct {
	// UserID is the id to store data under. It never changes, and does not
	// reveal the address.
	UserID string
	// Account is the account in a form that people know: the address of a key,
	// or eip155:<chain>:<address> of a contract wallet. The address alone does
	// not say who it is: a key and the contracts of several chains may have the
	// same one, and belong to different people.
	Account string
	// Permissions are the permissions of the caller's roles, as of this
	// request.
	Permissions []string
}

// Handler serves GET /orders, POST /orders and GET /orders/{id} behind an HTTP
// API with payload format 2.0.
func Handler() lambda.Handler { return lambda.NewHandler(serve) }

func serve(
	_ context.Context, event events.APIGatewayV2HTTPRequest,
) (events.APIGatewayV2HTTPResponse, error) {
	caller, ok := callerOf(event)
	if !ok {
		// The status is not 401, because no client can do anything about it.
		// The route was deployed without the authorizer, or it runs
		// without one, as with sam local. If such requests were served, everybody
		// would be let in.
		return answer(http.StatusInternalServerError,
			message{"this route has no authorizer, so every request is refused"}), nil
	}
	switch event.RouteKey {
	case "GET /orders":
		return list(caller), nil
	case "POST /orders":
		return createOrder(caller, event), nil
	case "GET /orders/{id}":
		return find(caller, event.PathParameters["id"]), nil
	}
	return answer(http.StatusNotFound, message{"there is no such route"}), nil
}

// callerOf reads the context that the authorizer gave. It reads nothing that a
// client can set: the client could forge a header such as X-User-Id.
func callerOf(event events.APIGatewayV2HTTPRequest) (Caller, bool) {
	if event.RequestContext.Authorizer == nil {
		return Caller{}, false
	}
	text := func(name string) string {
		value, _ := event.RequestContext.Authorizer.Lambda[name].(string)
		return value
	}
	c := Caller{
		UserID: text("userId"), Account: text("account"),
		Permissions: strings.Fields(text("permissions")),
	}
	return c, c.UserID != "" && c.Account != ""
}

// Order is an order of the caller.
type Order struct {
	Item string `json:"item"`
	// Buyer is the account of the signed-in user, whatever the body says.
	Buyer string `json:"buyer"`
	ID    string `json:"id,omitempty"` // of an order in the list
}

func list(c Caller) events.APIGatewayV2HTTPResponse {
	return answer(http.StatusOK, struct {
		UserID string  `json:"userId"`
		Orders []Order `json:"orders"`
	}{c.UserID, ordersOf(c)})
}

// find answers 404 for somebody else's order too.
func find(c Caller, id string) events.APIGatewayV2HTTPResponse {
	for _, order := range ordersOf(c) {
		if order.ID == id {
			return answer(http.StatusOK, order)
		}
	}
	return answer(http.StatusNotFound, message{"there is no such order"})
}

// ordersOf returns the example orders of the caller.
func ordersOf(c Caller) []Order {
	return []Order{{Item: "an example order", Buyer: c.Account, ID: "1"}}
}

func createOrder(c Caller, event events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	if !slices.Contains(c.Permissions, writePermission) {
		return answer(http.StatusForbidden,
			message{"this requires the permission " + writePermission})
	}
	var in struct {
		Item string `json:"item"`
	}
	if err := json.Unmarshal([]byte(event.Body), &in); err != nil || in.Item == "" {
		return answer(http.StatusBadRequest, message{`the body must be {"item":"..."}`})
	}
	return answer(http.StatusCreated, Order{Item: in.Item, Buyer: c.Account})
}

type message struct {
	Message string `json:"message"`
}

// answer returns a response with what as its body. The value must be one that
// always encodes.
func answer(status int, what any) events.APIGatewayV2HTTPResponse {
	body, _ := json.Marshal(what)
	return events.APIGatewayV2HTTPResponse{
		StatusCode: status,
		Headers: map[string]string{
			"content-type": "application/json", "cache-control": "no-store",
		},
		Body: string(body),
	}
}
