package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"latchkey/local/protected-api/echo"
	"latchkey/shared/events"
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
	wantsEnd(t, "after the logout", conn)
	token = w.login(s, "?transport=bearer")
	conn, _ = s.dial(t, "/protected/ws", []string{"latchkey", token})
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

// wantsEnd waits until the server closes a socket.
func wantsEnd(t *testing.T, when string, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pagePatience)
	defer cancel()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("%s the socket ended with %v", when, err)
	}
}

// However a session ends, its sockets are closed, with a ticket or a token, and no others.
func TestMain_websocketEnds(t *testing.T) {
	admin := newWallet(t)
	for reason, c := range map[string]struct {
		variables []string
		end       func(s *server, w *wallet, token string)
	}{
		"logged_out": {nil, func(s *server, w *wallet, token string) {
			exchange(t, "POST", s.url+"/auth/logout", token, "")
		}},
		"evicted": {[]string{"MAX_CONCURRENT_SESSIONS=1"}, func(s *server, w *wallet, _ string) {
			w.login(s, "?transport=bearer")
		}},
		"account_blocked": {[]string{"ADMIN_ADDRESSES=" + admin.address}, func(s *server, w *wallet, _ string) {
			status, answer := exchange(t, "POST", s.url+"/api/admin/users/"+w.address+"/block", admin.login(s, "?transport=bearer"), "{}")
			if status != http.StatusNoContent {
				t.Errorf("block: %d %v", status, answer)
			}
		}},
		"account_erased": {nil, func(s *server, w *wallet, token string) {
			if status, answer := exchange(t, "DELETE", s.url+"/api/profile", token, ""); status != http.StatusNoContent {
				t.Errorf("erase: %d %v", status, answer)
			}
		}},
		// A login finds that the account has a session whose time is over.
		"idle_timeout": {[]string{"SESSION_TIMEOUT_MINUTES=0.02", "SESSION_TOUCH_SECONDS=0.5", "MAX_CONCURRENT_SESSIONS=0", "STEP_UP_MINUTES=0.02"}, func(s *server, w *wallet, _ string) {
			for n := 0; n < 100; n++ {
				w.login(s, "?transport=bearer")
				if all, _ := s.askFeed(t, 0); slices.ContainsFunc(all.Events, func(e events.Envelope) bool { return e.DetailType == ended }) {
					return
				}
			}
		}},
	} {
		t.Run(reason, func(t *testing.T) {
			w, other, s := newWallet(t), newWallet(t), start(t, c.variables...)
			token := w.login(s, "?transport=bearer")
			first, _ := s.dial(t, "/protected/ws", []string{"latchkey", ticketOf(t, s, token)})
			second, _ := s.dial(t, "/protected/ws", []string{"latchkey", token})
			bystander, status := s.dial(t, "/protected/ws", []string{"latchkey", other.login(s, "?transport=bearer")})
			if status != http.StatusSwitchingProtocols {
				t.Fatalf("the other account's socket: %d", status)
			}
			c.end(s, w, token)
			wantsEnd(t, "opened with a ticket,", first)
			wantsEnd(t, "opened with the token,", second)
			if e := s.awaitEvent(t, ended); e.Detail.Reason != reason || e.Detail.UserID == "" {
				t.Errorf("the session ended for %q", e.Detail.Reason)
			}
			if err := bystander.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
				t.Error(err)
			}
			if _, text, err := bystander.Read(t.Context()); err != nil || !strings.Contains(string(text), "hello") {
				t.Errorf("the other account's socket: %v, %s", err, text)
			}
		})
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

// openingOf is a script that opens a socket of the example from the page that the browser shows, sends a message and
// returns the answer with the subprotocol, or "refused".
const openingOf = `new Promise(resolve => {
	const socket = new WebSocket(%q, %s)
	socket.onopen = () => socket.send('hello')
	socket.onmessage = ({ data }) => { resolve({ protocol: socket.protocol, ...JSON.parse(data) }); socket.close() }
	socket.onerror = () => resolve({ message: 'refused' })
})`

// opened is what a page got of a socket.
type opened struct{ Protocol, UserID, Account, Message string }

// openIn opens a socket in the page that the browser shows, with these subprotocols.
func openIn(t *testing.T, tab context.Context, s *server, subprotocols ...string) opened {
	t.Helper()
	list, err := json.Marshal(append([]string{}, subprotocols...))
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(openingOf, strings.Replace(s.url, "http", "ws", 1)+"/protected/ws", list)
	got, err := chromedp.Run(tab, chromedp.Evaluate[opened](script, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// signInFrom signs in with cookies from the page that the browser shows, and returns its user.
func signInFrom(t *testing.T, tab context.Context, w *wallet, s *server) opened {
	t.Helper()
	nonce := fetchIn(t, tab, s.url+"/auth/nonce?chainId=1&address="+w.address, "{}")
	offer, err := json.Marshal(nonce.Body)
	if err != nil {
		t.Fatal(err)
	}
	body := w.run(string(offer), "login", "-transport", "cookie")
	login := fetchIn(t, tab, s.url+"/auth/login", fmt.Sprintf("{method: 'POST', headers: {'content-type': 'application/json'}, body: %q}", body))
	user, _ := login.Body["user"].(map[string]any)
	id, _ := user["id"].(string)
	if login.Status != http.StatusOK || id == "" || login.Body["accessToken"] != nil {
		t.Fatalf("signing in: %+v", login)
	}
	return opened{UserID: id, Account: w.address, Message: "hello"}
}

// ticketIn asks for a ticket from the page that the browser shows.
func ticketIn(t *testing.T, tab context.Context, s *server) string {
	t.Helper()
	got := fetchIn(t, tab, s.url+"/auth/ticket", "{method: 'POST'}")
	ticket, _ := got.Body["ticket"].(string)
	if got.Status != http.StatusOK || ticket == "" {
		t.Fatalf("asking for a ticket: %+v", got)
	}
	return ticket
}

// A page whose token no script can read opens a WebSocket with a ticket, once, and not after the logout. The ticket is the
// credential: a page of another origin that was given one opens the WebSocket, and cannot with the cookies alone.
func TestBrowser_websocket(t *testing.T) {
	tab, w, own, other := browser(t), newWallet(t), frontend(t), frontend(t)
	s := start(t, "SIWE_DOMAINS=localhost:"+own)
	page, foreign := "http://localhost:"+own, "http://localhost:"+other
	open(t, tab, page)
	want := signInFrom(t, tab, w, s)
	refused := opened{Message: "refused"}
	withTicket := want
	withTicket.Protocol = "latchkey"

	one, two := ticketIn(t, tab, s), ticketIn(t, tab, s)
	if got := openIn(t, tab, s, "latchkey", one); got != withTicket {
		t.Errorf("with a ticket: %+v, want %+v", got, withTicket)
	}
	if got := openIn(t, tab, s, "latchkey", one); got != refused {
		t.Errorf("with the same ticket: %+v", got)
	}
	if got := openIn(t, tab, s); got != want {
		t.Errorf("with the cookie: %+v, want %+v", got, want)
	}

	open(t, tab, foreign)
	for _, subprotocols := range [][]string{nil, {"latchkey"}, {"latchkey", one}} {
		if got := openIn(t, tab, s, subprotocols...); got != refused {
			t.Errorf("a foreign page with the subprotocols %q: %+v", subprotocols, got)
		}
	}
	if got := fetchIn(t, tab, s.url+"/auth/ticket", "{method: 'POST'}"); got.Status == http.StatusOK || got.Body["ticket"] != nil {
		t.Errorf("a foreign page that asks for a ticket: %+v", got)
	}
	if got := openIn(t, tab, s, "latchkey", two); got != withTicket {
		t.Errorf("a foreign page that was given a ticket: %+v, want %+v", got, withTicket)
	}

	open(t, tab, page)
	late := ticketIn(t, tab, s)
	if got := fetchIn(t, tab, s.url+"/auth/logout", "{method: 'POST'}"); got.Status != http.StatusNoContent {
		t.Fatalf("logout: %+v", got)
	}
	if got := openIn(t, tab, s, "latchkey", late); got != refused {
		t.Errorf("after the logout: %+v", got)
	}
	if _, err := s.stop(t, os.Interrupt); err != nil {
		t.Error(err)
	}
	log := s.errs.String()
	if n := strings.Count(log, `"type":"ticket.reused"`); n != 1 {
		t.Errorf("%d events of a ticket that was used again", n)
	}
	for _, reason := range []string{"origin_not_allowed", "logged_out"} {
		if !strings.Contains(log, reason) {
			t.Errorf("nothing was refused with %s", reason)
		}
	}
	if strings.Contains(log, "lkt_") {
		t.Error("a ticket is in the log")
	}
}

// A page opens a WebSocket with the client, in three lines.
func TestBrowser_openSocket(t *testing.T) {
	tab, w, s, own := browser(t), newWallet(t), start(t), frontend(t)
	open(t, tab, "http://localhost:"+own)
	want := signInFrom(t, tab, w, s)
	script := fmt.Sprintf(`(async () => {
		const { createLatchkey } = await import('%[1]s/latchkey.js')
		const { openSocket } = await import('%[1]s/client/socket.js')
		const socket = await openSocket(createLatchkey({ url: '%[1]s' }), 'ws' + '%[1]s'.slice(4) + '/protected/ws')
		return new Promise(resolve => {
			socket.onmessage = ({ data }) => { resolve({ protocol: socket.protocol, ...JSON.parse(data) }); socket.close() }
			socket.send('hello')
		})
	})()`, s.url)
	got, err := chromedp.Run(tab, chromedp.Evaluate[opened](script, chromedp.EvalAwaitPromise))
	if want.Protocol = "latchkey"; err != nil || got != want {
		t.Errorf("%v: %+v, want %+v", err, got, want)
	}
}
