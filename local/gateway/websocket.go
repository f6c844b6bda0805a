package gateway

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/coder/websocket"
)

// The quotas of WebSocket APIs.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
const (
	maxMessage     = 128 << 10 // bytes
	maxIdle        = 10 * time.Minute
	maxConnection  = 2 * time.Hour
	socketPatience = 29 * time.Second // for a function
)

// WebSocket is a stand-in for a WebSocket API. It asks the authorizer for each
// handshake, and then calls a function: once for $connect, for each message with
// the route $default, and once for $disconnect. The body of the response to a
// message is sent to the client, as with a route response.
//
// It opens a connection only if the authorizer's policy allows it, and only if
// the function answers $connect with a status below 300. The subprotocol is the
// one that the function answers.
//
// A connection ends when [WebSocket.Close] or [WebSocket.Delete] is called, after
// two hours, and ten minutes after its last message. It does not have other
// routes, binary messages, or messages from the backend to a connection.
type WebSocket struct {
	authorizer *function
	function   *function
	log        *slog.Logger
	now        func() time.Time

	mu     sync.Mutex                    // held for open.Add, the call of end, and byID
	byID   map[string]context.CancelFunc // ends a connection that is open
	open   sync.WaitGroup
	ending context.Context // done as soon as Close is called
	end    context.CancelFunc
}

// NewWebSocket returns the WebSocket API of a function. It uses Authorizer, Log
// and Now of the options.
func NewWebSocket(f lambda.Handler, opts Options) *WebSocket {
	s := &WebSocket{
		authorizer: newFunction("authorizer", opts.Authorizer, authorizerTimeout),
		function:   newFunction("WebSocket", f, socketPatience),
		log:        opts.Log,
		now:        opts.Now,
		byID:       map[string]context.CancelFunc{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.ending, s.end = context.WithCancel(context.Background())
	return s
}

// Close ends every connection with the status 1001, and waits for that. It
// refuses later handshakes with 503.
func (s *WebSocket) Close() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.open.Wait()
}

// Delete ends a connection with the status 1001, as DeleteConnection does. It
// reports whether there is one: API Gateway answers 410 if there is not, and
// also before the handshake has ended.
func (s *WebSocket) Delete(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, ok := s.byID[id]
	if ok {
		end()
	}
	return ok
}

// track keeps a connection for [WebSocket.Delete]. If end is nil it forgets it.
func (s *WebSocket) track(id string, end context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end == nil {
		delete(s.byID, id)
	} else {
		s.byID[id] = end
	}
}

// enter reports whether a connection may be opened. If so, the caller must call
// open.Done.
func (s *WebSocket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending.Err() != nil {
		return false
	}
	s.open.Add(1)
	return true
}

// ServeHTTP answers a handshake, and serves the connection until it ends.
func (s *WebSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		refuseHandshake(w, http.StatusServiceUnavailable)
		return
	}
	defer s.open.Done()
	c := &connection{WebSocket: s, id: newRequestID(), since: s.now(), handshake: r}
	subprotocol, status := c.admit(r.Context())
	if status != 0 {
		refuseHandshake(w, status)
		return
	}
	c.accept(w, subprotocol)
	c.disconnect()
}

// admit asks the authorizer and the function. It returns the subprotocol, or
// the status of a refusal. A request that is not a handshake must not use up a
// ticket, so it is refused first.
func (c *connection) admit(ctx context.Context) (subprotocol string, status int) {
	switch {
	case !strings.EqualFold(c.handshake.Header.Get("Upgrade"), "websocket"):
		return "", http.StatusUpgradeRequired
	case !isHandshake(c.handshake):
		return "", http.StatusBadRequest
	case headSize(c.handshake) > maxHead:
		return "", http.StatusRequestHeaderFieldsTooLarge
	}
	if status := c.authorize(ctx); status != 0 {
		return "", status
	}
	return c.connect(ctx)
}

// isHandshake reports whether a request for a WebSocket is a whole handshake
// (RFC 6455, section 4.2.1). The library checks the same, but only after the
// ticket was used.
func isHandshake(r *http.Request) bool {
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(keys[0])
	isUpgrade := func(token string) bool { return strings.EqualFold(strings.TrimSpace(token), "upgrade") }
	tokens := strings.Split(strings.Join(r.Header.Values("Connection"), ","), ",")
	return err == nil && len(key) == 16 && r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		slices.ContainsFunc(tokens, isUpgrade) && r.Header.Get("Sec-WebSocket-Version") == "13"
}

// refuseHandshake answers as the gateway itself. Browsers do not show the page
// any of it.
func refuseHandshake(w http.ResponseWriter, status int) {
	if status == http.StatusUpgradeRequired {
		w.Header().Set("Upgrade", "websocket")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, http.StatusText(status)) // the client may have gone
}

// accept opens the connection and serves it.
func (c *connection) accept(w http.ResponseWriter, subprotocol string) {
	ctx, cancel := context.WithTimeout(c.ending, maxConnection)
	defer cancel()
	c.track(c.id, cancel) // before the client knows that it is open
	defer c.track(c.id, nil)
	conn, err := websocket.Accept(w, c.handshake, &websocket.AcceptOptions{
		Subprotocols: []string{subprotocol},
		// The library would refuse pages of other origins. The authorizer has
		// decided already: with a cookie it requires the Origin of an allowed
		// page, and a ticket or token is not something that a browser adds to
		// the handshake of another page.
		InsecureSkipVerify: true,
	})
	if err != nil {
		return // answered; the text of the error may have what the client sent
	}
	conn.SetReadLimit(maxMessage)
	c.open.Go(func() {
		<-ctx.Done()
		_ = conn.Close(websocket.StatusGoingAway, "Going away") // it may be closed already
	})
	idle := time.AfterFunc(maxIdle, cancel)
	defer idle.Stop()
	for c.answerOne(ctx, conn) {
		idle.Reset(maxIdle)
	}
}

// answerOne reads a message and sends the function's answer to it. It returns
// false if the connection has ended.
func (c *connection) answerOne(ctx context.Context, conn *websocket.Conn) bool {
	// A context that ends would cut the connection. Close is called instead.
	kind, message, err := conn.Read(context.Background())
	if err != nil {
		return false
	}
	if kind != websocket.MessageText {
		_ = conn.Close(websocket.StatusUnsupportedData, "send text")
		return false
	}
	answer := c.message(ctx, string(message))
	return answer == "" || conn.Write(ctx, websocket.MessageText, []byte(answer)) == nil
}
