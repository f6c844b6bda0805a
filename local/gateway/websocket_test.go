package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/coder/websocket"

	"latchkey/local/gateway"
)

// policyOf is what an authorizer answers about a resource.
func policyOf(effect, resource string) string {
	return fmt.Sprintf(`{"principalId":"u1","policyDocument":{"Version":"2012-10-17","Statement":[{"Action":"execute-api:Invoke","Effect":%q,"Resource":%q}]},`+
		`"context":{"userId":"u1","account":"0x1"}}`, effect, resource)
}

const stageARN = "arn:aws:execute-api:us-east-1:123456789012:local/local/"

var allowing = returning(policyOf("Allow", stageARN+"*"))

// ours answers the subprotocol latchkey, and each message with its event.
var ours = fake(func(_ context.Context, payload []byte) ([]byte, error) {
	return json.Marshal(events.APIGatewayProxyResponse{
		StatusCode: 200, Headers: map[string]string{"sec-websocket-protocol": "latchkey"}, Body: string(payload),
	})
})

// socketServer is a WebSocket API that listens.
type socketServer struct {
	*gateway.WebSocket
	url string
	log *safeBuffer
}

// safeBuffer is a buffer that several goroutines may use.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func serveSockets(t *testing.T, authorizer, f lambda.Handler) socketServer {
	t.Helper()
	s := socketServer{log: new(safeBuffer)}
	s.WebSocket = gateway.NewWebSocket(f, gateway.Options{Authorizer: authorizer, Log: slog.New(slog.NewTextHandler(s.log, nil))})
	server := httptest.NewServer(s.WebSocket)
	t.Cleanup(func() { s.Close(); server.Close() })
	s.url = server.URL
	return s
}

// dial sends a handshake with these subprotocols and headers.
func (s socketServer) dial(t *testing.T, subprotocols []string, headers ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	conn, response, err := websocket.Dial(t.Context(), s.url+"/?q=x&q=y", &websocket.DialOptions{Subprotocols: subprotocols, HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, response, err
}

func (s socketServer) open(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, _, err := s.dial(t, []string{"latchkey", "lkt_x"})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// sends sends a message and returns the answer.
func sends(t *testing.T, conn *websocket.Conn, message string) string {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	_, answer, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// The authorizer gets the members that API Gateway's own event has.
func TestWebSocket_event(t *testing.T) {
	var got map[string]any
	authorizer := fake(func(_ context.Context, payload []byte) ([]byte, error) {
		return []byte(policyOf("Allow", stageARN+"$connect")), json.Unmarshal(payload, &got)
	})
	s := serveSockets(t, authorizer, ours)
	conn, _, err := s.dial(t, []string{"latchkey", "lkt_x"}, "Cookie", "a=1; b=2", "Origin", "https://evil.example", "User-Agent", "test/1", "X-A", "1", "X-A", "2")
	if err != nil || conn.Subprotocol() != "latchkey" {
		t.Fatalf("%v, subprotocol %q", err, conn.Subprotocol())
	}
	sample, err := os.ReadFile("../../shared/authorizer/testdata/websocket.json")
	if err != nil {
		t.Fatal(err)
	}
	var real map[string]any
	if err := json.Unmarshal(sample, &real); err != nil {
		t.Fatal(err)
	}
	// These have values that neither the authorizer nor the example reads.
	delete(real, "stageVariables")
	context, _ := real["requestContext"].(map[string]any)
	delete(context, "extendedRequestId")
	delete(context, "requestTime")
	for path, want := range kinds("", real) {
		if kind, ok := kinds("", got)[path]; !ok || kind != want {
			t.Errorf("%s is of kind %q, and API Gateway's is of kind %q", path, kind, want)
		}
	}
	member := func(path ...string) (value any) {
		value = got
		for _, name := range path {
			inner, _ := value.(map[string]any)
			value = inner[name]
		}
		return value
	}
	for _, c := range []struct{ got, want any }{
		{member("type"), "REQUEST"},
		{member("methodArn"), stageARN + "$connect"},
		{member("headers", "Sec-Websocket-Protocol"), "latchkey,lkt_x"},
		{member("headers", "Cookie"), "a=1; b=2"},
		{member("headers", "Origin"), "https://evil.example"},
		{member("headers", "Host"), strings.TrimPrefix(s.url, "http://")},
		{member("headers", "X-A"), "2"},
		{member("multiValueHeaders", "X-A"), []any{"1", "2"}},
		{member("multiValueQueryStringParameters", "q"), []any{"x", "y"}},
		{member("requestContext", "eventType"), "CONNECT"},
		{member("requestContext", "routeKey"), "$connect"},
		{member("requestContext", "identity", "sourceIp"), "127.0.0.1"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	var message events.APIGatewayWebsocketProxyRequest
	if err := json.Unmarshal([]byte(sends(t, conn, "hello")), &message); err != nil {
		t.Fatal(err)
	}
	about := message.RequestContext
	if message.Body != "hello" || about.EventType != "MESSAGE" || about.RouteKey != "$default" || about.ConnectionID != member("requestContext", "connectionId") || len(message.Headers) > 0 {
		t.Errorf("the event of a message is %+v", message)
	}
	if want := map[string]any{"userId": "u1", "account": "0x1", "principalId": "u1"}; !reflect.DeepEqual(about.Authorizer, any(want)) {
		t.Errorf("the function is told %v", about.Authorizer)
	}
}

// kinds returns the kind of every value by its path. What is in a map of headers or parameters is left out.
func kinds(path string, value any) map[string]string {
	found := map[string]string{path: fmt.Sprintf("%T", value)}
	if object, ok := value.(map[string]any); ok && !strings.HasSuffix(path, "eaders") && !strings.HasSuffix(path, "arameters") {
		for name, inner := range object {
			for p, kind := range kinds(path+"/"+name, inner) {
				found[p] = kind
			}
		}
	}
	return found
}

// A socket is opened only if the policy allows it.
func TestWebSocket_authorizer(t *testing.T) {
	const both = `{"policyDocument":{"Statement":[{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"*"},{"Action":"execute-api:Invoke","Effect":"Deny","Resource":"arn:x"}]}}`
	for name, c := range map[string]struct {
		authorizer fake
		status     int
	}{
		"allowed":          {allowing, 101},
		"the route":        {returning(policyOf("Allow", stageARN+"$connect")), 101},
		"denied":           {returning(policyOf("Deny", stageARN+"*")), 403},
		"another stage":    {returning(policyOf("Allow", strings.Replace(stageARN, "local/local", "local/prod", 1)+"*")), 403},
		"another route":    {returning(policyOf("Allow", stageARN+"$default")), 403},
		"a pattern":        {returning(policyOf("Allow", "*/$connect")), 403},
		"another action":   {returning(strings.Replace(policyOf("Allow", "*"), "Invoke", "Manage", 1)), 403},
		"another effect":   {returning(policyOf("allow", "*")), 403},
		"both":             {returning(both), 403},
		"no statement":     {returning(`{"policyDocument":{}}`), 403},
		"a simple answer":  {returning(`{"isAuthorized":true}`), 500},
		"null":             {returning(`null`), 500},
		"nothing":          {returning(``), 500},
		"Unauthorized":     {fake(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("Unauthorized") }), 401},
		"another error":    {fake(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("Unauthorized: no") }), 500},
		"a policy, failed": {fake(func(context.Context, []byte) ([]byte, error) { return []byte(policyOf("Allow", "*")), errors.New("no") }), 500},
		"a panic":          {fake(func(context.Context, []byte) ([]byte, error) { panic("out of cheese") }), 500},
	} {
		t.Run(name, func(t *testing.T) {
			called := false
			s := serveSockets(t, c.authorizer, fake(func(context.Context, []byte) ([]byte, error) {
				called = true
				return []byte(`{"statusCode":200}`), nil
			}))
			_, response, err := s.dial(t, []string{"latchkey", "lkt_secret"})
			if (err == nil) != (c.status == 101) || response.StatusCode != c.status || called != (c.status == 101) {
				t.Errorf("%v: %d, function called: %t", err, response.StatusCode, called)
			}
			if want := fmt.Sprintf(`{"message":%q}`, http.StatusText(c.status)); err != nil {
				if body, _ := io.ReadAll(response.Body); string(body) != want {
					t.Errorf("answered %s", body)
				}
			}
			if log := s.log.String(); strings.Contains(log, "lkt_") || strings.Contains(log, "function=authorizer") != (c.status == 500) {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// The function chooses the subprotocol among those that the client offers, and may refuse.
func TestWebSocket_function(t *testing.T) {
	for name, c := range map[string]struct {
		offered     []string
		function    fake
		status      int
		subprotocol string
	}{
		"ours":               {[]string{"latchkey", "lkt_x"}, ours, 101, "latchkey"},
		"ours, not first":    {[]string{"chat", "latchkey", "lkt_x"}, ours, 101, "latchkey"},
		"another one":        {[]string{"latchkey", "lkt_x", "chat"}, returning(`{"statusCode":200,"headers":{"Sec-WebSocket-Protocol":"chat"}}`), 101, "chat"},
		"not offered":        {[]string{"chat"}, ours, 101, ""},
		"nothing offered":    {nil, ours, 101, ""},
		"nothing chosen":     {[]string{"latchkey", "lkt_x"}, returning(`{"statusCode":204}`), 101, ""},
		"refused":            {[]string{"latchkey", "lkt_x"}, returning(`{"statusCode":409}`), 409, ""},
		"without a status":   {[]string{"latchkey", "lkt_x"}, returning(`{}`), 400, ""},
		"no JSON":            {[]string{"latchkey", "lkt_x"}, returning(`x`), 500, ""},
		"an error of itself": {[]string{"latchkey", "lkt_x"}, fake(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") }), 500, ""},
	} {
		conn, response, err := serveSockets(t, allowing, c.function).dial(t, c.offered)
		if response.StatusCode != c.status {
			t.Errorf("%s: %v, %d", name, err, response.StatusCode)
		}
		if got := response.Header.Values("Sec-WebSocket-Protocol"); err == nil && conn.Subprotocol() != c.subprotocol || strings.Join(got, ",") != c.subprotocol {
			t.Errorf("%s: the subprotocol is %q", name, got)
		}
	}
}

// A request that is not a handshake does not reach the authorizer, so it uses up no ticket.
func TestWebSocket_noHandshake(t *testing.T) {
	never := fake(func(context.Context, []byte) ([]byte, error) { panic("the authorizer was asked") })
	s := serveSockets(t, never, never)
	for name, c := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"a plain request": {func(r *http.Request) { r.Header.Del("Upgrade") }, 426},
		"another upgrade": {func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426},
		"too long":        {func(r *http.Request) { r.Header.Set("X-A", strings.Repeat("a", 10240)) }, 431},
		"another method":  {func(r *http.Request) { r.Method = "POST" }, 400},
		"HTTP/1.0":        {func(r *http.Request) { r.ProtoMinor = 0 }, 400},
		"no connection":   {func(r *http.Request) { r.Header.Set("Connection", "keep-alive") }, 400},
		"another version": {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 400},
		"no key":          {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		"a short key":     {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAA") }, 400},
		"two keys":        {func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") }, 400},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for name, value := range map[string]string{
			"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": "latchkey, lkt_x",
		} {
			r.Header.Set(name, value)
		}
		c.change(r)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status || (w.Header().Get("Upgrade") == "websocket") != (c.status == 426) {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

func TestWebSocket_messages(t *testing.T) {
	s := serveSockets(t, allowing, fake(func(ctx context.Context, payload []byte) ([]byte, error) {
		var e events.APIGatewayWebsocketProxyRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		if e.Body == "fail" {
			return nil, errors.New("out of cheese")
		}
		if e.Body == "silence" {
			return []byte(`{"statusCode":200}`), nil
		}
		return json.Marshal(events.APIGatewayProxyResponse{StatusCode: 200, Body: fmt.Sprint(len(e.Body))})
	}))
	conn := s.open(t)
	if got := sends(t, conn, strings.Repeat("é", 64<<10)); got != "131072" { // the most
		t.Errorf("the longest message is answered %q", got)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("silence")); err != nil {
		t.Fatal(err)
	}
	if got := sends(t, conn, ""); got != "0" {
		t.Errorf("after a message without an answer, an empty one is answered %q", got)
	}
	if got := sends(t, conn, "fail"); got != `{"message":"Internal server error"}` || !strings.Contains(s.log.String(), "out of cheese") {
		t.Errorf("a failure is answered %q, and logged %s", got, s.log)
	}
	for name, c := range map[string]struct {
		kind    websocket.MessageType
		message []byte
		status  websocket.StatusCode
	}{
		"too long": {websocket.MessageText, slices.Repeat([]byte("a"), 128<<10+1), websocket.StatusMessageTooBig},
		"binary":   {websocket.MessageBinary, []byte("a"), websocket.StatusUnsupportedData},
	} {
		conn := s.open(t)
		if err := conn.Write(t.Context(), c.kind, c.message); err != nil {
			t.Fatal(err)
		}
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != c.status {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Close ends every connection, returns when they have ended, and lets none in any more.
func TestWebSocket_close(t *testing.T) {
	s := serveSockets(t, allowing, ours)
	const n = 5
	ended := make(chan error, n)
	for range n {
		conn := s.open(t)
		go func() {
			_, _, err := conn.Read(context.Background())
			ended <- err
		}()
	}
	gone := s.open(t)
	if err := gone.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for range n {
		if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("a connection ended with %v", err)
		}
	}
	if _, response, err := s.dial(t, nil); err == nil || response.StatusCode != 503 {
		t.Errorf("after Close: %v", err)
	}
	s.Close() // again
}

// Delete ends one connection, not before its handshake has ended, and once. The function hears of each end, as who the
// authorizer said it was.
func TestWebSocket_delete(t *testing.T) {
	var s socketServer
	opening, ended := make(chan string, 2), make(chan string, 2)
	s = serveSockets(t, allowing, fake(func(_ context.Context, payload []byte) ([]byte, error) {
		var e events.APIGatewayWebsocketProxyRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		switch about := e.RequestContext; about.EventType {
		case "CONNECT":
			if s.Delete(about.ConnectionID) {
				t.Error("a connection was deleted before it was open")
			}
			opening <- about.ConnectionID
		case "DISCONNECT":
			allowed, _ := about.Authorizer.(map[string]any)
			ended <- fmt.Sprint(about.RouteKey, " ", about.ConnectionID, " ", allowed["userId"])
			return nil, errors.New("nobody gets this")
		}
		return []byte(`{"statusCode":200,"body":"here"}`), nil
	}))
	first, second := s.open(t), s.open(t)
	id, other := <-opening, <-opening
	if !s.Delete(id) {
		t.Error("an open connection is gone")
	}
	if _, _, err := first.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("it ended with %v", err)
	}
	if got := <-ended; got != "$disconnect "+id+" u1" {
		t.Errorf("the function heard %q", got)
	}
	if s.Delete(id) || s.Delete("unknown") {
		t.Error("a connection that has ended is there")
	}
	if got := sends(t, second, "hello"); got != "here" {
		t.Errorf("the other one is answered %q", got)
	}
	if err := second.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	if got := <-ended; got != "$disconnect "+other+" u1" {
		t.Errorf("the function heard %q", got)
	}
	s.Close()
	if !strings.Contains(s.log.String(), "nobody gets this") {
		t.Errorf("a failure is not logged: %s", s.log)
	}
}

// pipes listens on connections inside of the process, as a test with a clock of its own needs.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p.conns <- far
	return near, nil
}

// A connection ends ten minutes after its last message, and after two hours in any case. Nothing of it is left running, or
// synctest would say so.
func TestWebSocket_ends(t *testing.T) {
	for name, c := range map[string]struct{ every, end time.Duration }{
		"in use":   {9 * time.Minute, 2 * time.Hour},
		"too late": {11 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := gateway.NewWebSocket(ours, gateway.Options{Authorizer: allowing, Log: slog.New(slog.DiscardHandler)})
				p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
				server := &http.Server{Handler: s}
				go server.Serve(p)
				began := time.Now()
				transport := &http.Transport{DialContext: p.dial}
				conn, _, err := websocket.Dial(t.Context(), "http://pipe/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
				if err != nil {
					t.Fatal(err)
				}
				ended := make(chan struct{})
				go func() {
					for {
						select {
						case <-time.After(c.every):
							_ = conn.Write(context.Background(), websocket.MessageText, []byte("x"))
						case <-ended:
							return
						}
					}
				}()
				for err == nil {
					_, _, err = conn.Read(context.Background())
				}
				if after := time.Since(began); websocket.CloseStatus(err) != websocket.StatusGoingAway || after != c.end {
					t.Errorf("%v after %v", err, after)
				}
				close(ended)
				s.Close()
				_ = server.Close()
				transport.CloseIdleConnections()
				_ = conn.CloseNow()
				time.Sleep(2 * time.Minute) // the instance that served $disconnect waits for another event
			})
		})
	}
}
