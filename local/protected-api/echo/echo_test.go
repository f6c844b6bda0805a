package echo_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"latchkey/local/protected-api/echo"
)

// ask invokes the handler as Lambda does, with the event as JSON.
func ask(t *testing.T, event events.APIGatewayWebsocketProxyRequest) events.APIGatewayProxyResponse {
	t.Helper()
	payload, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	output, err := echo.Handler().Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var response events.APIGatewayProxyResponse
	if err := json.Unmarshal(output, &response); err != nil {
		t.Fatal(err)
	}
	return response
}

func eventOf(kind string, authorizer any) events.APIGatewayWebsocketProxyRequest {
	event := events.APIGatewayWebsocketProxyRequest{Body: "hello"}
	event.RequestContext.EventType, event.RequestContext.Authorizer = kind, authorizer
	return event
}

func member() map[string]any { return map[string]any{"userId": "u1", "account": "0x1"} }

// The subprotocol is answered if it was offered, and what was offered beside it never.
func TestHandler_connect(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		lines  []string
		want   string
	}{
		"a ticket":           {"Sec-WebSocket-Protocol", []string{"latchkey, lkt_x"}, "latchkey"},
		"as Go spells it":    {"Sec-Websocket-Protocol", []string{"latchkey,lkt_x"}, "latchkey"},
		"in another order":   {"sec-websocket-protocol", []string{"chat, latchkey, lkt_x"}, "latchkey"},
		"in several lines":   {"Sec-WebSocket-Protocol", []string{"chat", "latchkey", "lkt_x"}, "latchkey"},
		"not ours":           {"Sec-WebSocket-Protocol", []string{"chat, lkt_x"}, ""},
		"only alike":         {"Sec-WebSocket-Protocol", []string{"latchkey2, Latchkey"}, ""},
		"another header":     {"X-Protocol", []string{"latchkey"}, ""},
		"nothing is offered": {"", nil, ""},
	} {
		event := eventOf("CONNECT", member())
		event.MultiValueHeaders = map[string][]string{c.header: c.lines}
		answer := ask(t, event)
		if got := answer.Headers["Sec-WebSocket-Protocol"]; answer.StatusCode != http.StatusOK || got != c.want || answer.Body != "" {
			t.Errorf("%s: %+v", name, answer)
		}
	}
}

func TestHandler_message(t *testing.T) {
	const want = `{"userId":"u1","account":"0x1","message":"hello"}`
	if answer := ask(t, eventOf("MESSAGE", member())); answer.StatusCode != http.StatusOK || answer.Body != want {
		t.Errorf("%+v", answer)
	}
}

func TestHandler_refusesWithoutAuthorizer(t *testing.T) {
	for name, context := range map[string]any{
		"no authorizer": nil, "empty": map[string]any{}, "a text": "u1", "no user": map[string]any{"account": "0x1"},
		"no account": map[string]any{"userId": "u1"}, "not text": map[string]any{"userId": 1, "account": true},
	} {
		for _, kind := range []string{"CONNECT", "MESSAGE"} {
			if answer := ask(t, eventOf(kind, context)); answer.StatusCode != http.StatusInternalServerError || answer.Body != "" {
				t.Errorf("%s, %s: %+v", name, kind, answer)
			}
		}
	}
}
