package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// dappRequest has the page's server answer the calls of an injected wallet.
const dappRequest = `async call => {
	const isInClick = navigator.userActivation.isActive
	const answer = await fetch('/wallet', { method: 'POST', body: JSON.stringify({ ...call, isInClick }) })
	const { result, error } = await answer.json()
	if (error) throw Object.assign(new Error(error.message), error)
	return result
}`

// pageShowScript records how the page was shown.
const pageShowScript = `window.restored = []
	addEventListener('pageshow', event => { restored.push(event.persisted) })`

// walletCall is a call of the injected wallet.
type walletCall struct {
	Method    string
	Params    []string
	IsInClick bool
}

// walletError is an error as EIP-1193 has it.
type walletError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// pagePort stands for the port of the page in the variables of the API.
const pagePort = "PAGE_PORT"

// dapp is the tutorial's page as a developer serves it, with a wallet and the
// API that it calls.
type dapp struct {
	api     *server
	log     *requestLog
	wallet  *wallet
	port    string
	browser context.Context

	mu       sync.Mutex
	calls    []walletCall
	declines int // how many signatures the user declines
}

// newDapp starts the API and serves the tutorial's code. Only the address of
// the API is replaced.
func newDapp(t *testing.T, browser context.Context, w *wallet, variables ...string) *dapp {
	t.Helper()
	d := &dapp{log: newRequestLog(), wallet: w, browser: browser}
	files := map[string]string{
		"/": codeIn(t, "In a browser", "html"), "/app.js": codeIn(t, "In a browser", "js"),
		"/elsewhere": "<!doctype html>",
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wallet" {
			d.serveWallet(t, w, r)
			return
		}
		kind := "text/html; charset=utf-8"
		if strings.HasSuffix(r.URL.Path, ".js") {
			kind = "text/javascript"
		}
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, strings.ReplaceAll(files[r.URL.Path], "http://localhost:3000", d.api.url))
	}))
	t.Cleanup(s.Close)
	d.port = strconv.Itoa(s.Listener.Addr().(*net.TCPAddr).Port)
	for i, v := range variables {
		variables[i] = strings.ReplaceAll(v, pagePort, d.port)
	}
	d.api = startWithLog(t, d.log, variables...)
	s.Start()
	return d
}

// serveWallet answers a call of the injected wallet.
func (d *dapp) serveWallet(t *testing.T, w http.ResponseWriter, r *http.Request) {
	var call walletCall
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		t.Errorf("a call of the wallet: %v", err)
	}
	result, refusal := d.answer(t, call)
	if err := json.NewEncoder(w).Encode(map[string]any{"result": result, "error": refusal}); err != nil {
		t.Errorf("answering a call of the wallet: %v", err)
	}
}

func (d *dapp) answer(t *testing.T, call walletCall) (any, *walletError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
	switch call.Method {
	case "eth_requestAccounts":
		return []string{d.wallet.address}, nil
	case "eth_chainId":
		return "0x1", nil
	case "personal_sign":
		if d.declines > 0 {
			d.declines--
			return nil, &walletError{4001, "User rejected the request."}
		}
		return d.sign(t, call.Params), nil
	}
	return nil, &walletError{4200, "no such method: " + call.Method}
}

// sign signs as personal_sign does.
func (d *dapp) sign(t *testing.T, params []string) string {
	if len(params) != 2 || params[1] != d.wallet.address {
		t.Errorf("the wallet is to sign %q, and its account is %s", params, d.wallet.address)
		return ""
	}
	message, err := hex.DecodeString(strings.TrimPrefix(params[0], "0x"))
	if err != nil {
		t.Errorf("the message is not in hex: %v", err)
	}
	c := exec.Command(d.wallet.signer, "message", "-key", d.wallet.key)
	c.Stdin = bytes.NewReader(message)
	signature, err := c.Output()
	if err != nil {
		t.Errorf("signing: %v", err)
	}
	return strings.TrimSpace(string(signature))
}

// signatures returns the calls that asked for one.
func (d *dapp) signatures() []walletCall {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.calls), func(c walletCall) bool { return c.Method != "personal_sign" })
}

func (d *dapp) declineOnce() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.declines++
}

// served compares how often the API has answered requests such as "POST
// /auth/login 200", or with an error's code instead of the status, with what is
// wanted since the start.
func (d *dapp) served(t *testing.T, want map[string]int) {
	t.Helper()
	lines := d.log.read(t, d.api)
	for request, n := range want {
		got := 0
		for _, line := range lines {
			if strings.HasPrefix(line, request) {
				got++
			}
		}
		if got != n {
			t.Errorf("the API has answered %q %d times, want %d:\n%s", request, got, n, strings.Join(lines, "\n"))
		}
	}
}

// requestLog has the lines of a server's request log, such as "GET /api/profile
// 401 token_expired".
type requestLog struct {
	mu      sync.Mutex
	rest    []byte
	lines   []string
	changed chan struct{} // closed at the next line
}

func newRequestLog() *requestLog { return &requestLog{changed: make(chan struct{})} }

// Write implements io.Writer. Writes need not end with a line.
func (l *requestLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		l.rest = rest
		var entry struct {
			Msg, Route, Code string
			Status           int
		}
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "request" {
			l.lines = append(l.lines, strings.TrimSpace(fmt.Sprintf("%s %d %s", entry.Route, entry.Status, entry.Code)))
			close(l.changed)
			l.changed = make(chan struct{})
		}
	}
}

// lastRequest is the line of the request that read makes.
const lastRequest = "GET /health 200"

// read returns the lines of all requests that were answered so far. A request
// of its own is the last of them.
func (l *requestLog) read(t *testing.T, s *server) []string {
	t.Helper()
	l.mu.Lock()
	before := count(l.lines, lastRequest)
	l.mu.Unlock()
	exchange(t, "GET", s.url+"/health", "", "")
	for {
		l.mu.Lock()
		lines, changed := slices.Clone(l.lines), l.changed
		l.mu.Unlock()
		if count(lines, lastRequest) > before {
			return lines
		}
		select {
		case <-changed:
		case <-time.After(pagePatience):
			t.Fatal("the server's log has no line for GET /health")
		}
	}
}

func count(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// startWithLog runs the program as start does, and its log also goes to a
// writer.
func startWithLog(t *testing.T, log io.Writer, variables ...string) *server {
	t.Helper()
	s := newServer(t, variables...)
	s.command.Stderr = io.MultiWriter(&s.errs, log)
	s.begin(t)
	return s
}

// browserTab is a tab of the browser that shows the page.
type browserTab struct {
	context.Context
	d *dapp
}

// open opens the page in a new tab, with the wallet.
func (d *dapp) open(t *testing.T) *browserTab {
	t.Helper()
	return d.openAt(t, "localhost")
}

func (d *dapp) openAt(t *testing.T, host string) *browserTab {
	t.Helper()
	ctx, end := chromedp.NewContext(d.browser)
	t.Cleanup(end)
	p := &browserTab{ctx, d}
	addScript(t, p, pageShowScript)
	addWallet(t, p, "Test Wallet", dappRequest)
	open(t, p, "http://"+host+":"+d.port+"/")
	return p
}

// openSignedIn opens the page and signs in.
func (d *dapp) openSignedIn(t *testing.T) *browserTab {
	t.Helper()
	p := d.open(t)
	p.shows(t, "who", `"status": "signedOut"`)
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "who", `"status": "signedIn"`, d.wallet.address)
	return p
}

// press presses a button with the keyboard, as soon as the page has it. Unlike
// with the mouse, it may move meanwhile.
func (p *browserTab) press(t *testing.T, text string) {
	t.Helper()
	button := fmt.Sprintf("[...document.querySelectorAll('button')].find(button => button.textContent === %q)", text)
	p.await(t, button)
	send(t, p, page.BringToFront, cdp.Empty{})
	focus := fmt.Sprintf("(b => { b.focus(); return document.activeElement === b })(%s)", button)
	if !evaluate[bool](t, p, focus) {
		t.Fatalf("the button %q takes no focus", text)
	}
	if err := chromedp.Do(p, chromedp.KeyEvent(kb.Enter)); err != nil {
		t.Fatalf("pressing %q: %v", text, err)
	}
}

// shows awaits that the element with an id has these texts.
func (p *browserTab) shows(t *testing.T, id string, texts ...string) {
	t.Helper()
	says(t, p, "#"+id, texts...)
}

func (p *browserTab) await(t *testing.T, expression string) {
	t.Helper()
	await(t, p, expression)
}

// callUntil calls the API past the client until the answer has a code.
func (p *browserTab) callUntil(t *testing.T, code string) {
	t.Helper()
	evaluate[bool](t, p, fmt.Sprintf(`(async () => {
		while ((await (await fetch('%s/api/profile', { credentials: 'include' })).json()).code !== '%s') {
			await new Promise(resolve => setTimeout(resolve, 50))
		}
		return true
	})()`, p.d.api.url, code))
}

// hold pauses requests whose URLs match a pattern. The function that it returns
// awaits the first, and returns what lets it go.
func (p *browserTab) hold(t *testing.T, pattern string) (await func() (release func())) {
	t.Helper()
	paused := make(chan fetch.RequestID, 10)
	if err := chromedp.Listen(p, func(event any) {
		if request, ok := event.(*fetch.EventRequestPaused); ok {
			paused <- request.RequestID
		}
	}); err != nil {
		t.Fatal(err)
	}
	send(t, p, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	return func() func() {
		select {
		case <-paused:
		case <-time.After(pagePatience):
			t.Fatalf("no request for %s\nthe page: %s", pattern, shownBy(t, p))
		}
		return func() { send(t, p, fetch.Disable, cdp.Empty{}) } // which lets all go
	}
}

// leaveAndReturn goes to another page, does something, and goes back. It fails
// if the browser loads the page again.
func (p *browserTab) leaveAndReturn(t *testing.T, meanwhile func()) {
	t.Helper()
	open(t, p, "http://localhost:"+p.d.port+"/elsewhere")
	meanwhile()
	isHere := func(e page.EventFrameNavigated) bool { return e.Frame.ParentID == "" }
	back := chromedp.Evaluate[float64]("setTimeout(() => history.back())")
	returned, err := chromedp.Run(p, chromedp.WaitEvent(page.FrameNavigated, isHere, back))
	if err != nil || returned.Type != page.NavigationTypeBackForwardCacheRestore {
		t.Fatalf("going back: %v, %q: the browser did not restore the page", err, returned.Type)
	}
}
