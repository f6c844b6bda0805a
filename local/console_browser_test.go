package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// consoleRoles are the roles of these tests. Each part of the console needs another permission.
const consoleRoles = `ROLES={"support":{"permissions":["users:read","sessions:read"]},` +
	`"auditor":{"permissions":["audit:read"]},"ender":{"permissions":["sessions:write"]},` +
	`"editor":{"permissions":["posts:write"]}}`

// aConsole is the admin console of a server in a browser of its own, with the wallet of somebody.
type aConsole struct {
	context.Context
	server     *server
	log        *requestLog
	complaints *complaints

	mu       sync.Mutex
	wallet   *wallet
	signed   int // how many signatures the wallet has given
	declines int // how many signatures the user declines
}

// consoleTest is a server with one admin, and the browser for its consoles.
type consoleTest struct {
	*testing.T
	browser context.Context
	server  *server
	log     *requestLog
	admin   *wallet
	token   string // of the admin, for what a test prepares
}

func newConsoleTest(t *testing.T, browser context.Context, variables ...string) *consoleTest {
	t.Helper()
	c := &consoleTest{T: t, browser: browser, admin: newWallet(t), log: newRequestLog()}
	c.server = startWithLog(t, c.log, append([]string{consoleRoles, "ADMIN_ADDRESSES=" + c.admin.address}, variables...)...)
	c.token = c.admin.login(c.server, "?transport=bearer")
	return c
}

// call makes a call of the admin and returns what it answers.
func (c *consoleTest) call(method, path, body string) map[string]any {
	c.Helper()
	status, answer := exchange(c.T, method, c.server.url+path, c.token, body)
	if status/100 != 2 {
		c.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func (c *consoleTest) setRoles(account string, roles ...string) {
	c.Helper()
	body, err := json.Marshal(map[string]any{"roles": append([]string{}, roles...)})
	if err != nil {
		c.Fatal(err)
	}
	c.call("PUT", "/api/admin/users/"+account+"/roles", string(body))
}

// user is a new wallet with roles.
func (c *consoleTest) user(roles ...string) *wallet {
	c.Helper()
	w := newWallet(c.T)
	if len(roles) > 0 {
		c.setRoles(w.address, roles...)
	}
	return w
}

// isBlocked reports whether an account is blocked.
func (c *consoleTest) isBlocked(account string) bool {
	c.Helper()
	status, answer := exchange(c.T, "GET", c.server.url+"/api/admin/users/"+account, c.token, "")
	if status != 200 && status != 404 {
		c.Fatalf("%s: %d %v", account, status, answer)
	}
	return answer["blocked"] == true
}

// userID returns the id of an account.
func (c *consoleTest) userID(account string) string {
	c.Helper()
	return c.call("GET", "/api/admin/users/"+account, "")["user"].(map[string]any)["id"].(string)
}

// open opens the console in a browser that shares nothing with the others. Nothing may break its policy.
func (c *consoleTest) open(w *wallet, fragment string) *aConsole {
	c.Helper()
	p := &aConsole{Context: otherContext(c.T, c.browser), server: c.server, log: c.log, wallet: w}
	p.complaints = watchConsole(p)
	if err := chromedp.Do(p, chromedp.ExposeFunc("askTestWallet", p.answer(c.T))); err != nil {
		c.Fatal(err)
	}
	addWallet(c.T, p, "Test Wallet", `async call => {
		const { result, error } = await askTestWallet(call)
		if (error) throw Object.assign(new Error(error.message), error)
		return result
	}`)
	addScript(c.T, p, `window.violations = []
		addEventListener('securitypolicyviolation', event => violations.push(event.violatedDirective + ' ' + event.blockedURI))`)
	open(c.T, p, c.server.url+"/console"+fragment)
	return p
}

// signIn opens the console and signs in.
func (c *consoleTest) signIn(w *wallet, fragment string) *aConsole {
	c.Helper()
	p := c.open(w, fragment)
	press(c.T, p, "#wallets button")
	p.await(c.T, "!document.querySelector('#me').hidden")
	return p
}

// injectedCall is a call of an injected wallet.
type injectedCall struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
}

type walletAnswer struct {
	Result any          `json:"result"`
	Error  *walletError `json:"error"`
}

// answer returns the function that answers the calls of the injected wallet.
func (p *aConsole) answer(t *testing.T) func(context.Context, injectedCall) (walletAnswer, error) {
	return func(_ context.Context, call injectedCall) (walletAnswer, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch call.Method {
		case "eth_requestAccounts":
			return walletAnswer{Result: []string{p.wallet.address}}, nil
		case "eth_chainId":
			return walletAnswer{Result: "0x1"}, nil
		case "personal_sign":
			if p.declines > 0 {
				p.declines--
				return walletAnswer{Error: &walletError{4001, "User rejected the request."}}, nil
			}
			p.signed++
			message, err := hex.DecodeString(strings.TrimPrefix(call.Params[0], "0x"))
			if err != nil {
				t.Errorf("the message is not in hex: %v", err)
			}
			return walletAnswer{Result: p.wallet.run(string(message), "message")}, nil
		}
		return walletAnswer{Error: &walletError{4200, "no such method: " + call.Method}}, nil
	}
}

func (p *aConsole) signatures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signed
}

func (p *aConsole) declineOnce() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.declines++
}

func (p *aConsole) await(t *testing.T, expression string) {
	t.Helper()
	await(t, p, expression)
}

// shows awaits that an element is visible and has these texts.
func (p *aConsole) shows(t *testing.T, selector string, texts ...string) {
	t.Helper()
	says(t, p, selector, texts...)
}

// has reports whether the page has a visible element for a selector.
func (p *aConsole) has(t *testing.T, selector string) bool {
	t.Helper()
	return evaluate[bool](t, p, fmt.Sprintf("!!document.querySelector(%q)?.checkVisibility()", selector))
}

// goTo goes to a screen by its fragment, and awaits its heading.
func (p *aConsole) goTo(t *testing.T, fragment, heading string) {
	t.Helper()
	evaluate[string](t, p, fmt.Sprintf("location.hash = %q", fragment))
	p.shows(t, "main h1", heading)
}

// find types into the field and sends it with the keyboard.
func (p *aConsole) find(t *testing.T, text string) {
	t.Helper()
	p.typeInto(t, "#search-text", text)
	p.key(t, kb.Enter)
	p.shows(t, "main h1", "Account")
	p.shows(t, ".subject", text)
}

func (p *aConsole) typeInto(t *testing.T, selector, text string) {
	t.Helper()
	p.await(t, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector))
	evaluate[bool](t, p, fmt.Sprintf("(n => { n.value = ''; n.focus(); return true })(document.querySelector(%q))", selector))
	if err := chromedp.Do(p, chromedp.KeyEvent(text)); err != nil {
		t.Fatalf("typing %q: %v", text, err)
	}
}

func (p *aConsole) key(t *testing.T, key string) {
	t.Helper()
	if err := chromedp.Do(p, chromedp.KeyEvent(key)); err != nil {
		t.Fatalf("pressing a key: %v", err)
	}
}

// escape closes the dialog with the keyboard.
func (p *aConsole) escape(t *testing.T) {
	t.Helper()
	p.key(t, kb.Escape)
	p.await(t, "!document.querySelector('dialog')")
}

// confirm presses the button of the dialog that makes the change, and awaits what the console says then.
func (p *aConsole) confirm(t *testing.T, said string) {
	t.Helper()
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "#toast", said)
	p.await(t, "!document.querySelector('dialog')")
}

// answerWith answers the calls of a path instead of the server.
func (p *aConsole) answerWith(t *testing.T, pattern string, status int, headers map[string]string, body string) (stop func()) {
	t.Helper()
	all := []*fetch.HeaderEntry{{Name: "Content-Type", Value: "application/json"}}
	for name, value := range headers {
		all = append(all, &fetch.HeaderEntry{Name: name, Value: value})
	}
	listening, stopListening := context.WithCancel(p)
	if err := chromedp.Listen(listening, func(event any) {
		if request, ok := event.(*fetch.EventRequestPaused); ok {
			go func() {
				_, _ = chromedp.Call(p, fetch.FulfillRequest, fetch.FulfillRequestParams{
					RequestID: request.RequestID, ResponseCode: int64(status), ResponseHeaders: all, Body: []byte(body),
				})
			}()
		}
	}); err != nil {
		t.Fatal(err)
	}
	send(t, p, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern}}})
	return func() {
		send(t, p, fetch.Disable, cdp.Empty{})
		stopListening()
	}
}

// checkPolicy fails if anything has broken the page's policy, or was written to the browser's console.
func (p *aConsole) checkPolicy(t *testing.T) {
	t.Helper()
	if got := evaluate[[]string](t, p, "violations"); len(got) > 0 {
		t.Errorf("the page has broken its policy: %q", got)
	}
	p.complaints.checkNone(t, p)
}

// consoleTests are the tests of one browser, by name.
type consoleTests map[string]func(*testing.T, func(...string) *consoleTest)

func (tests consoleTests) run(t *testing.T) {
	chromium := browser(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test(t, func(variables ...string) *consoleTest { return newConsoleTest(t, chromium, variables...) })
		})
	}
}

// Who sees what of the admin console, in a real browser.
func TestConsole_signIn(t *testing.T) {
	consoleTests{
		"sign in": testConsoleSignIn, "throw-away admin": testConsoleThrowAway, "nobody": testConsoleNobody,
		"some permissions": testConsoleSomePermissions, "from a log line": testConsoleFromALogLine,
	}.run(t)
}

func TestConsole_account(t *testing.T) {
	consoleTests{
		"account": testConsoleAccount, "roles": testConsoleRoles, "erase": testConsoleErase, "hostile": testConsoleHostile,
		"step-up": testConsoleStepUp,
	}.run(t)
}

func TestConsole_lists(t *testing.T) {
	consoleTests{
		"overview": testConsoleOverview, "charts": testConsoleCharts, "pages": testConsolePages, "audit": testConsoleAudit,
		"backup": testConsoleBackup, "restore and step-up": testConsoleRestoreAndStepUp,
	}.run(t)
}

func TestConsole_failures(t *testing.T) {
	consoleTests{
		"expiry": testConsoleExpiry, "demoted": testConsoleDemoted, "ended": testConsoleEnded, "failures": testConsoleFailures,
		"without Redis": testConsoleWithoutRedis,
	}.run(t)
}

func TestConsole_races(t *testing.T) {
	consoleTests{
		"closed dialog": testConsoleClosedDialog, "left dialog": testConsoleLeftDialog, "Enter twice": testConsoleEnterTwice,
		"unknown admin": testConsoleUnknownAdmin, "restore is shown": testConsoleRestoreShown, "health and list": testConsoleSmallScreens,
	}.run(t)
}

func TestConsole_everybody(t *testing.T) {
	consoleTests{"accessibility": testConsoleAccessibility, "keyboard": testConsoleKeyboard}.run(t)
}

func testConsoleSignIn(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.open(c.admin, "#/accounts/"+c.admin.address)
	p.shows(t, "#sign-in", "Sign in to the console", "a reload signs you out")
	p.await(t, "document.querySelector('#wallets img').naturalWidth === 1 && document.querySelector('#no-wallets').hidden")
	if p.has(t, "#nav") || p.has(t, "#search") || p.has(t, "#me") {
		t.Error("before the sign-in it offers screens")
	}
	p.declineOnce()
	press(t, p, "#wallets button")
	p.shows(t, "#sign-in-result", "You declined in the wallet.", "Nothing has changed.")
	press(t, p, "#wallets button")
	// It goes where the link led.
	p.shows(t, "main h1", "Account")
	p.shows(t, "#who-card", c.admin.address, "admin")
	p.shows(t, "#sessions", "yours, now", "2 live sessions")
	p.await(t, "document.activeElement === document.querySelector('main h1')")
	if got := evaluate[int](t, p, "localStorage.length + sessionStorage.length + document.cookie.length"); got != 0 {
		t.Error("the page has stored something")
	}
	press(t, p, "#sign-out")
	p.shows(t, "#ended", "You signed out.")
	p.checkPolicy(t)
}

// Without an admin of its own, the local server offers one.
func testConsoleThrowAway(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.open(c.admin, "")
	p.shows(t, "#sign-in", "Wallets of this browser")
	if p.has(t, "#throw-away") {
		t.Error("a server with an admin offers a throw-away admin")
	}
	c.server = startIn(t, "")
	p = c.open(c.admin, "")
	press(t, p, "#throw-away")
	p.shows(t, "main h1", "Overview")
	victim := newWallet(t)
	p.find(t, victim.address)
	press(t, p, "#block")
	p.confirm(t, "Blocked.")
	p.shows(t, "#blocked", "Blocked since")
	p.checkPolicy(t)
}

func testConsoleNobody(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := c.user("editor")
	p := c.signIn(w, "#/audit")
	p.shows(t, "#nobody", w.address, "Its roles are user, editor.", "What to do", "users:read")
	if p.has(t, "#nav") || p.has(t, "#search") {
		t.Error("nobody is offered screens")
	}
	before := len(p.log.read(t, p.server))
	p.goTo(t, "#/accounts/"+c.admin.address, "This account may see nothing here")
	for _, line := range p.log.read(t, p.server)[before:] {
		if strings.Contains(line, "/api/admin") {
			t.Errorf("nobody has called %s", line)
		}
	}
	press(t, p, "#nobody .primary")
	p.shows(t, "#ended", "You signed out.")
	p.checkPolicy(t)
}

// Each role sees what its permissions allow, and its calls are all answered.
func testConsoleSomePermissions(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	victim := newWallet(t)
	victim.login(c.server, "?transport=bearer")
	id := c.userID(victim.address)
	session := c.call("GET", "/api/admin/users/"+victim.address, "")["sessions"].([]any)[0].(map[string]any)["id"].(string)
	for _, want := range []struct {
		role               string
		nav, shown, hidden []string
		subject            string
	}{
		{"support", []string{"Overview", "Accounts"}, []string{"#who-card .facts", "#sessions table"},
			[]string{"#block", "#erase", "#roles", "#end-all", "#activity", "#sessions button", "#to-restore"}, id},
		{"auditor", []string{"Audit log"}, []string{"#activity table"}, []string{"#block", "#end-all", "#sessions"}, id},
		{"ender", nil, []string{"#end-all", "#end-one"}, []string{"#block", "#activity", "#sessions", "#nav li"}, session},
	} {
		role := want.role
		p := c.signIn(c.user(role), "#/accounts/"+want.subject)
		for _, selector := range want.shown {
			p.await(t, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector))
		}
		for _, selector := range want.hidden {
			if p.has(t, selector) {
				t.Errorf("%s is offered %s", role, selector)
			}
		}
		nav := evaluate[[]string](t, p, "[...document.querySelectorAll('#nav a')].map(a => a.textContent)")
		if strings.Join(nav, ",") != strings.Join(want.nav, ",") {
			t.Errorf("%s has the screens %q, want %q", role, nav, want.nav)
		}
		if role == "ender" {
			press(t, p, "#end-one")
			p.confirm(t, "Ended the session.")
		}
		p.checkPolicy(t)
	}
	for _, line := range c.log.read(t, c.server) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("the console has made a call that its permissions do not allow: %s", line)
		}
	}
	if status, answer := exchange(t, "GET", c.server.url+"/api/admin/users/"+victim.address, c.token, ""); status != 200 || len(answer["sessions"].([]any)) != 0 {
		t.Errorf("the session was not ended: %v", answer)
	}
}

// waitFor repeats a question to the server until it is answered with true.
func waitFor(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(pagePatience); !isSo(); {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
