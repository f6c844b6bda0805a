package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"latchkey/local/protected-api/echo"
)

// ticketOf asks for a ticket with an access token.
func ticketOf(t *testing.T, s *server, token string) string {
	t.Helper()
	status, answer := exchange(t, "POST", s.url+"/auth/ticket", token, "")
	ticket, _ := answer["ticket"].(string)
	if status != http.StatusOK || !strings.HasPrefix(ticket, "lkt_") {
		t.Fatalf("asking for a ticket: %d %v", status, answer)
	}
	return ticket
}

// dial opens a socket of the example, or returns the status of the refusal.
func (s *server) dial(t *testing.T, path string, subprotocols []string, headers ...string) (*websocket.Conn, int) {
	t.Helper()
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	conn, response, err := websocket.Dial(t.Context(), s.url+path, &websocket.DialOptions{Subprotocols: subprotocols, HTTPHeader: header})
	if response == nil {
		t.Fatal(err)
	}
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, response.StatusCode
}

// The socket is opened with a ticket, once, or with the token, and says who is connected.
func TestMain_websocket(t *testing.T) {
	w, s := newWallet(t), start(t)
	if !strings.Contains(s.ready, "a WebSocket at /protected/ws") {
		t.Errorf("%q does not name the WebSocket", s.ready)
	}
	token := w.login(s, "?transport=bearer")
	_, profile := exchange(t, "GET", s.url+"/api/profile", token, "")
	user, _ := profile["user"].(map[string]any)
	ticket, foreign := ticketOf(t, s, token), []string{"Origin", "https://evil.example"}
	conn, status := s.dial(t, "/protected/ws", []string{"latchkey", ticket}, foreign...)
	if status != http.StatusSwitchingProtocols || conn.Subprotocol() != "latchkey" {
		t.Fatalf("with a ticket: %d", status)
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	var answer echo.Message
	_, text, err := conn.Read(t.Context())
	if err != nil || json.Unmarshal(text, &answer) != nil || answer != (echo.Message{UserID: user["id"].(string), Account: w.address, Message: "hello"}) {
		t.Errorf("%v: answered %s", err, text)
	}
	unused := ticketOf(t, s, token)
	for name, c := range map[string]struct {
		path         string
		subprotocols []string
		headers      []string
		status       int
	}{
		"the same ticket":       {"/protected/ws", []string{"latchkey", ticket}, nil, 403},
		"nothing":               {"/protected/ws", nil, nil, 401},
		"the subprotocol alone": {"/protected/ws", []string{"latchkey"}, nil, 401},
		"in the query":          {"/protected/ws?ticket=" + unused, []string{"latchkey"}, nil, 403},
		"in a header":           {"/protected/ws", nil, []string{"Authorization", "Bearer " + unused}, 403},
		"a forged ticket":       {"/protected/ws", []string{"latchkey", "lkt_" + strings.Repeat("A", len(unused)-4)}, nil, 403},
		"another path":          {"/protected/ws/", []string{"latchkey", unused}, nil, 404},
		"in the path":           {"/protected/ws/" + unused, []string{"latchkey", unused}, nil, 404},
		"no such host":          {"/protected/ws", []string{"latchkey", unused}, []string{"Host", "rebound.example"}, 421},
		"the token":             {"/protected/ws", []string{"latchkey", token}, foreign, 101},
	} {
		if _, status := s.dialWithHost(t, c.path, c.subprotocols, c.headers); status != c.status {
			t.Errorf("%s: %d, want %d", name, status, c.status)
		}
	}
	if _, status := s.dial(t, "/protected/ws", []string{"latchkey", unused}); status != http.StatusSwitchingProtocols {
		t.Errorf("none of these has used the ticket up, and with it: %d", status)
	}
	late := ticketOf(t, s, token)
	if status, answer := exchange(t, "POST", s.url+"/auth/logout", token, ""); status != http.StatusNoContent {
		t.Fatalf("logout: %d %v", status, answer)
	}
	if _, status := s.dial(t, "/protected/ws", []string{"latchkey", late}); status != http.StatusForbidden {
		t.Errorf("after the logout: %d", status)
	}
	// What is open stays open, until the server stops.
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.Read(t.Context()); err != nil || !strings.Contains(string(text), "still here") {
		t.Errorf("%v: answered %s", err, text)
	}
	closed := make(chan error, 1)
	go func() {
		_, _, err := conn.Read(t.Context())
		closed <- err
	}()
	if rest, err := s.stop(t, os.Interrupt); err != nil || rest != "" {
		t.Errorf("after Ctrl-C: %v, printed %q", err, rest)
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the socket ended with %v", err)
	}
	log := s.errs.String()
	if n := strings.Count(log, `"type":"ticket.reused"`); n != 1 {
		t.Errorf("%d events of a second use in %s", n, log)
	}
	if strings.Contains(log, "lkt_") || strings.Contains(log, token) {
		t.Errorf("a ticket or token is in the log: %s", log)
	}
}

// dialWithHost is dial with a Host among the headers.
func (s *server) dialWithHost(t *testing.T, path string, subprotocols, headers []string) (*websocket.Conn, int) {
	t.Helper()
	if len(headers) != 2 || headers[0] != "Host" {
		return s.dial(t, path, subprotocols, headers...)
	}
	_, response, err := websocket.Dial(t.Context(), s.url+path, &websocket.DialOptions{Subprotocols: subprotocols, Host: headers[1]})
	if response == nil {
		t.Fatal(err)
	}
	return nil, response.StatusCode
}
