// Package echo is an example of a WebSocket API that Latchkey's authorizer
// guards. Like the package orders, it could be anybody's, and knows about the
// caller only what API Gateway passes on from the authorizer.
package echo

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// The subprotocol of Latchkey, and the header that offers it.
const (
	subprotocol    = "latchkey"
	protocolHeader = "Sec-WebSocket-Protocol"
)

// Message is the answer to a message of the client.
type Message struct {
	// UserID and Account are the signed-in user's, as of the handshake.
	UserID  string `json:"userId"`
	Account string `json:"account"`
	// Message is what the client has sent.
	Message string `json:"message"`
}

// Handler serves $connect and $default behind a WebSocket API whose $default
// route has a route response.
func Handler() lambda.Handler { return lambda.NewHandler(serve) }

func serve(
	_ context.Context, event events.APIGatewayWebsocketProxyRequest,
) (events.APIGatewayProxyResponse, error) {
	allowed, _ := event.RequestContext.Authorizer.(map[string]any)
	userID, _ := allowed["userId"].(string)
	account, _ := allowed["account"].(string)
	if userID == "" || account == "" {
		// The API was deployed without the authorizer.
		return events.APIGatewayProxyResponse{StatusCode: http.StatusInternalServerError}, nil
	}
	if event.RequestContext.EventType == "CONNECT" {
		return connect(event), nil
	}
	body, err := json.Marshal(Message{UserID: userID, Account: account, Message: event.Body})
	return events.APIGatewayProxyResponse{StatusCode: http.StatusOK, Body: string(body)}, err
}

// connect answers the handshake. Of what the client offers it answers the
// subprotocol of Latchkey, and never the ticket or token beside it. A browser
// refuses an answer that was not offered.
func connect(event events.APIGatewayWebsocketProxyRequest) events.APIGatewayProxyResponse {
	answer := events.APIGatewayProxyResponse{StatusCode: http.StatusOK}
	for name, lines := range event.MultiValueHeaders {
		if strings.EqualFold(name, protocolHeader) && slices.ContainsFunc(lines, offersOurs) {
			answer.Headers = map[string]string{protocolHeader: subprotocol}
		}
	}
	return answer
}

// offersOurs reports whether a list of subprotocols has that of Latchkey.
func offersOurs(line string) bool {
	for item := range strings.SplitSeq(line, ",") {
		if strings.TrimSpace(item) == subprotocol {
			return true
		}
	}
	return false
}
