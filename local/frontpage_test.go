package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/shared/session"
)

// requests returns the log that the page shows, the oldest first, as "GET /path 200 code".
func requests(t *testing.T, tab context.Context) []string {
	t.Helper()
	lines := evaluate[[]string](t, tab, `[...document.querySelectorAll('#log summary')].map(
		line => [...line.children].map(part => part.textContent).join(' '))`)
	slices.Reverse(lines)
	for i, line := range lines {
		lines[i] = regexp.MustCompile(` (· )?\d+ ms$`).ReplaceAllString(line, "")
	}
	return lines
}

// clearLog empties the log, so that requests returns what follows.
func clearLog(t *testing.T, tab context.Context) {
	t.Helper()
	press(t, tab, "#clear")
	await(t, tab, "document.querySelector('#log').children.length === 0")
}

// inOrder fails unless each of want is a request of the log, in this order.
func inOrder(t *testing.T, tab context.Context, want ...string) {
	t.Helper()
	got, rest := requests(t, tab), want
	for _, line := range got {
		if len(rest) > 0 && line == rest[0] {
			rest = rest[1:]
		}
	}
	if len(rest) > 0 {
		t.Errorf("the log has\n%s\nand not, after what comes before, %q", strings.Join(got, "\n"), rest[0])
	}
}

// signInThrowAway opens the page of a server and signs in with the throw-away wallet.
func signInThrowAway(t *testing.T, tab context.Context, s *server) {
	t.Helper()
	open(t, tab, s.url+"/")
	press(t, tab, "#throw-away")
	says(t, tab, "#status", "Signed in as 0x")
	says(t, tab, "#session-list", "this session")
}

// otherContext is a second browser, which shares nothing with the first but the machine.
func otherContext(t *testing.T, tab context.Context) context.Context {
	t.Helper()
	other, closeIt := chromedp.NewContext(tab, chromedp.WithNewBrowserContext())
	t.Cleanup(closeIt)
	if err := chromedp.Do(other); err != nil {
		t.Fatal(err)
	}
	return other
}

// complaints collects what the page writes to the console, without the statuses of answers.
type complaints struct {
	mu    sync.Mutex
	lines []string
}

func watchConsole(tab context.Context) *complaints {
	c := &complaints{}
	messages := chromedp.Console(tab)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Source == "network" {
				continue
			}
			c.mu.Lock()
			c.lines = append(c.lines, fmt.Sprintf("%s: %s", m.Type, m.Text))
			c.mu.Unlock()
		}
	}()
	return c
}

func (c *complaints) read() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines)
}

// checkNone fails if the page has written to the console. At the end it breaks the page's policy, to see that the
// console is heard.
func (c *complaints) checkNone(t *testing.T, tab context.Context) {
	t.Helper()
	evaluate[bool](t, tab, `(document.body.append(
		Object.assign(document.createElement('script'), {textContent: 'window.isInline = true'})), !window.isInline)`)
	for deadline := time.Now().Add(browserPatience); len(c.read()) == 0 && time.Now().Before(deadline); {
		evaluate[bool](t, tab, "new Promise(resolve => setTimeout(resolve, 50, true))")
	}
	lines := c.read()
	if len(lines) != 1 || !strings.Contains(lines[0], "Content Security Policy") {
		t.Errorf("the console has %q", lines)
	}
}

// A person tries everything with the throw-away wallet.
func TestPage_throwAway(t *testing.T) {
	s := start(t)
	tab := browser(t)
	console := watchConsole(tab)
	open(t, tab, s.url+"/")
	says(t, tab, "#status", "Signed out")
	says(t, tab, "#no-wallets", "No wallet has announced itself")
	press(t, tab, "#throw-away")
	says(t, tab, "#signed-in", evaluate[string](t, tab, "document.body.dataset.wallet"))
	says(t, tab, "#session-list", "this session")
	says(t, tab, "#event-list", "Signed in")
	inOrder(t, tab, "GET /api/profile 401 no_credentials", "POST /throw-away-wallet 200", "POST /auth/login 200",
		"GET /api/sessions 200", "GET /api/activity?limit=20 200")

	// The session outlives the page.
	if err := chromedp.Do(tab, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	says(t, tab, "#status", "Signed in as 0x")
	says(t, tab, "#access-left", "unknown until the next refresh")
	inOrder(t, tab, "GET /api/profile 200")

	press(t, tab, "#refresh")
	says(t, tab, "#refresh-result", "new tokens")
	says(t, tab, "#access-left", " min ")
	says(t, tab, "#event-list", "Refreshed")
	inOrder(t, tab, "POST /auth/refresh 200")

	press(t, tab, "#step-up")
	says(t, tab, "#step-up-result", "Stepped up")
	says(t, tab, "#elevated-left", " min ")
	inOrder(t, tab, "GET /auth/nonce?purpose=step_up 200", "POST /throw-away-wallet 200", "POST /auth/step-up 200")

	press(t, tab, "#socket")
	says(t, tab, "#socket-result", `The WebSocket answers "hello" to 0x`)
	inOrder(t, tab, "POST /auth/ticket 200")
	if shown := evaluate[string](t, tab, "document.querySelector('#log').textContent"); !strings.Contains(shown, "lkt_") || regexp.MustCompile(`lkt_[\w.-]{10}`).MatchString(shown) {
		t.Error("the log shows no ticket in short, or one in full")
	}

	clearLog(t, tab)
	press(t, tab, "#guarded")
	says(t, tab, "#guarded-result", "200: the example knows who you are")
	says(t, tab, "#session-list", "Bearer client of the page")
	inOrder(t, tab, "POST /throw-away-wallet 200", "POST /auth/login 200", "GET /protected/orders 200")
	shown := evaluate[string](t, tab, "document.querySelector('#log').textContent")
	if !strings.Contains(shown, "lka_") || regexp.MustCompile(`lk[ar]_[\w.-]{10}`).MatchString(shown) {
		t.Error("the log shows no token in short, or one in full")
	}
	press(t, tab, "#session-list button")
	says(t, tab, "#devices-result", "Ended.")
	await(t, tab, "!document.querySelector('#session-list button') && document.activeElement.id === 'devices-title'")
	press(t, tab, "#guarded")
	says(t, tab, "#guarded-result", "has ended")

	press(t, tab, "#sign-out")
	says(t, tab, "#ended", "You signed out.")
	await(t, tab, "document.activeElement.id === 'signed-out-title'")
	console.checkNone(t, tab)
}

// A call from another device is answered with step_up_required, and repeated once the user has signed.
func TestPage_otherDevice(t *testing.T) {
	s := start(t)
	tab := browser(t)
	signInThrowAway(t, tab, s)
	clearLog(t, tab)
	press(t, tab, "#other-device")
	says(t, tab, "#step-up-dialog", "Sign to go on")
	says(t, tab, "#status", "Signature required")
	await(t, tab, "document.activeElement.textContent === 'Sign with the throw-away wallet'")
	press(t, tab, "#dialog-cancel")
	says(t, tab, "#other-device-result", "step_up_required")
	await(t, tab, "!document.querySelector('dialog').open && document.activeElement.id === 'other-device'")

	// The session still wants the signature, also from this device.
	press(t, tab, "#call")
	says(t, tab, "#step-up-dialog", "Sign to go on")
	press(t, tab, "#dialog-wallets button")
	says(t, tab, "#call-result", "200: you are 0x")
	says(t, tab, "#status", "Signed in as 0x")
	inOrder(t, tab, "GET /api/profile 401 step_up_required", "GET /api/profile 401 step_up_required",
		"POST /auth/step-up 200", "GET /api/profile 200")

	clearLog(t, tab)
	press(t, tab, "#other-device")
	press(t, tab, "#dialog-wallets button")
	says(t, tab, "#other-device-result", "You signed")
	inOrder(t, tab, "GET /api/profile 401 step_up_required", "GET /auth/nonce?purpose=step_up 200",
		"POST /auth/step-up 200", "GET /api/profile 200")
	says(t, tab, "#event-list", "Used from another device: step_up_required")

	// A user who declined can sign later.
	press(t, tab, "#other-device")
	press(t, tab, "#dialog-cancel")
	press(t, tab, "#sign")
	says(t, tab, "#status", "Signed in as 0x")
	await(t, tab, "document.querySelector('#must-sign').hidden && document.activeElement.id === 'signed-in-title'")
}

// A session that began without a device id is not bound to one, and the page says so.
func TestPage_otherPagesSession(t *testing.T) {
	s := start(t)
	tab := browser(t)
	open(t, tab, s.url+"/")
	evaluate[bool](t, tab, `(async () => {
		const { createLatchkey } = await import('/latchkey.js')
		const sign = async message => {
			const answer = await fetch('/throw-away-wallet', {
				method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({message})})
			return (await answer.json()).signature
		}
		await createLatchkey({url: location.origin}).signIn({address: document.body.dataset.wallet, chainId: 1, sign})
		return true
	})()`)
	if err := chromedp.Do(tab, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	press(t, tab, "#other-device")
	says(t, tab, "#other-device-result", "The server let it pass.")
}

// After a reload of a session that must sign, the dialog comes at once, and a signature continues the session.
func TestPage_reloadBeforeStepUp(t *testing.T) {
	s := start(t)
	tab := browser(t)
	signInThrowAway(t, tab, s)
	press(t, tab, "#other-device")
	says(t, tab, "#step-up-dialog", "Sign to go on")
	if err := chromedp.Do(tab, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	says(t, tab, "#step-up-dialog", "Sign to go on")
	press(t, tab, "#dialog-wallets button")
	says(t, tab, "#status", "Signed in as 0x")
}

// What another device does to this session is shown at the next call, with the reason.
func TestPage_otherBrowser(t *testing.T) {
	s := start(t)
	tab := browser(t)
	signInThrowAway(t, tab, s)
	other := otherContext(t, tab)
	signInThrowAway(t, other, s)
	says(t, other, "#session-list", "End")
	press(t, other, "#end-others")
	says(t, other, "#end-others-result", "One other session has ended.")
	press(t, tab, "#call")
	says(t, tab, "#ended", "You ended this session from another device.")
	says(t, tab, "#status", "Signed out")

	press(t, tab, "#throw-away")
	says(t, tab, "#session-list", "this session")
	press(t, tab, "#sign-out-everywhere")
	says(t, tab, "#ended", "You signed out.")
	press(t, other, "#call")
	says(t, other, "#status", "Signed out")
	inOrder(t, other, "GET /api/profile 401 session_ended")
}

// The access token expires before the eyes of the user, and the next call refreshes.
func TestPage_expiry(t *testing.T) {
	s := start(t, "ACCESS_TOKEN_MINUTES=0.05", "REFRESH_GRACE_SECONDS=1")
	tab := browser(t)
	signInThrowAway(t, tab, s)
	says(t, tab, "#access-left", "expired: the next call refreshes")
	clearLog(t, tab)
	press(t, tab, "#call")
	says(t, tab, "#call-result", "200: you are 0x")
	inOrder(t, tab, "POST /auth/refresh 200", "GET /api/profile 200")
}

// throwAwayRequest has an injected wallet sign with the throw-away key, unless it declines.
const throwAwayRequest = `async ({method, params}) => {
	if (method === 'eth_requestAccounts') return [document.body.dataset.wallet]
	if (method === 'eth_chainId') return '0x1'
	if (method !== 'personal_sign') throw Object.assign(new Error('unsupported'), {code: 4200})
	if (window.declines) throw Object.assign(new Error('User rejected.'), {code: 4001})
	const bytes = Uint8Array.from(params[0].slice(2).match(/../g), byte => parseInt(byte, 16))
	const body = JSON.stringify({message: new TextDecoder().decode(bytes)})
	const headers = {'Content-Type': 'application/json'}
	return (await (await fetch('/throw-away-wallet', {method: 'POST', headers, body})).json()).signature
}`

func TestPage_injectedWallet(t *testing.T) {
	s := start(t)
	tab := browser(t)
	console := watchConsole(tab)
	addWallet(t, tab, "Injected <b>Wallet</b>", throwAwayRequest)
	open(t, tab, s.url+"/")
	says(t, tab, "#wallets", "Injected <b>Wallet</b>") // as text
	await(t, tab, "document.querySelector('#no-wallets').hidden && document.querySelector('#wallets img').naturalWidth")
	evaluate[bool](t, tab, "!!test.makeWallet('Late Wallet')")
	says(t, tab, "#wallets li:nth-child(2)", "Late Wallet")

	evaluate[bool](t, tab, "window.declines = true")
	press(t, tab, "#wallets button")
	says(t, tab, "#sign-in-result", "You declined in the wallet.")
	evaluate[bool](t, tab, "(window.declines = false, true)")
	press(t, tab, "#wallets button")
	says(t, tab, "#status", "Signed in as 0x")

	evaluate[bool](t, tab, "window.declines = true")
	press(t, tab, "#other-device")
	press(t, tab, "#dialog-wallets button")
	says(t, tab, "#dialog-result", "You declined in the wallet.")
	evaluate[bool](t, tab, "(window.declines = false, true)")
	press(t, tab, "#dialog-wallets button")
	says(t, tab, "#other-device-result", "You signed")

	// After a reload it is still the wallet of the session.
	if err := chromedp.Do(tab, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	says(t, tab, "#status", "Signed in as 0x")
	press(t, tab, "#step-up")
	says(t, tab, "#step-up-result", "Stepped up")
	evaluate[bool](t, tab, "test.wallet.emit('accountsChanged', ['0x00000000219ab540356cBB839Cbe05303d7705Fa']), true")
	says(t, tab, "#switched", "Your wallet has switched to 0x0000…05Fa")
	says(t, tab, "#status", "Signed in as 0x")
	console.checkNone(t, tab)
}

// tabTo presses Tab until the element has the focus.
func tabTo(t *testing.T, tab context.Context, id string) {
	t.Helper()
	for range 60 {
		if err := chromedp.Do(tab, chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		if evaluate[string](t, tab, "document.activeElement.id") == id {
			return
		}
	}
	t.Fatalf("no number of Tabs leads to %s", id)
}

// hit presses a key.
func hit(t *testing.T, tab context.Context, key string) {
	t.Helper()
	if err := chromedp.Do(tab, chromedp.KeyEvent(key)); err != nil {
		t.Fatal(err)
	}
}

// Everything works with the keyboard alone, and the focus is never lost.
func TestPage_keyboard(t *testing.T) {
	s := start(t)
	tab := browser(t)
	open(t, tab, s.url+"/")
	says(t, tab, "#signed-out", "Sign in with Ethereum")
	tabTo(t, tab, "throw-away")
	hit(t, tab, kb.Enter)
	says(t, tab, "#session-list", "this session")
	await(t, tab, "document.activeElement.id === 'signed-in-title'")
	tabTo(t, tab, "other-device")
	hit(t, tab, kb.Enter)
	await(t, tab, "document.activeElement.textContent === 'Sign with the throw-away wallet'")
	hit(t, tab, kb.Escape)
	says(t, tab, "#other-device-result", "step_up_required")
	await(t, tab, "document.activeElement.id === 'other-device'")
	hit(t, tab, kb.Enter)
	await(t, tab, "document.activeElement.textContent === 'Sign with the throw-away wallet'")
	hit(t, tab, kb.Enter)
	says(t, tab, "#other-device-result", "You signed")
	await(t, tab, "document.activeElement.id === 'other-device'")
	tabTo(t, tab, "sign-out")
	hit(t, tab, kb.Enter)
	says(t, tab, "#ended", "You signed out.")
	await(t, tab, "document.activeElement.id === 'signed-out-title'")
}

// The page scrolls in one direction only, on the narrowest phone too, signed in or not.
func TestPage_narrow(t *testing.T) {
	s := start(t)
	tab := browser(t)
	if err := chromedp.Do(tab, chromedp.EmulateViewport(320, 640)); err != nil {
		t.Fatal(err)
	}
	fits := func(state string) {
		t.Helper()
		if width := evaluate[int](t, tab, "document.documentElement.scrollWidth"); width != 320 {
			t.Errorf("%s the page is %d wide", state, width)
		}
	}
	open(t, tab, s.url+"/")
	says(t, tab, "#signed-out", "Sign in with Ethereum")
	fits("signed out")
	signInThrowAway(t, tab, s)
	evaluate[bool](t, tab, "(document.querySelectorAll('#log details').forEach(entry => { entry.open = true }), true)")
	fits("signed in, with every request open,")
	press(t, tab, "#other-device")
	says(t, tab, "#step-up-dialog", "Sign to go on")
	fits("with the dialog")
}

// A page whose origin may not sign in says so, and what to do.
func TestPage_refused(t *testing.T) {
	s := start(t, "SIWE_DOMAINS=localhost:5173")
	tab := browser(t)
	open(t, tab, s.url+"/")
	says(t, tab, "#refused", "SIWE_DOMAINS=localhost:5173,"+strings.TrimPrefix(s.url, "http://")+" make run")
	press(t, tab, "#throw-away")
	says(t, tab, "#sign-in-result", "the message is for localhost:5173, and this page is at")
}

// The page has words for each reason and each type of event. It shows those of a later version as they are.
func TestPage_words(t *testing.T) {
	s := start(t)
	tab := browser(t)
	open(t, tab, s.url+"/")
	words := func(call string) string {
		t.Helper()
		return evaluate[string](t, tab, "import('/page/words.js').then(words => words."+call+")")
	}
	var reasons, types []string
	for r := session.Reason(1); r.String() != session.Reason(0).String(); r++ {
		reasons = append(reasons, r.String())
	}
	for e := session.EventType(1); !e.IsLook(); e++ { // looks are in no account's activity
		types = append(types, e.String())
	}
	if !slices.Contains(reasons, "wallet_changed") || !slices.Contains(types, "preferences.changed") {
		t.Errorf("the reasons are %q, and the types of events %q", reasons, types)
	}
	for _, reason := range append(reasons, "later_reason") {
		asItIs := "The server says: " + reason + "."
		if got := words(fmt.Sprintf("reasonInWords(%q)", reason)); (got == asItIs) != (reason == "later_reason") {
			t.Errorf("the page shows the reason %s as %q", reason, got)
		}
	}
	for _, kind := range append(types, "later.event") {
		got := words(fmt.Sprintf("eventInWords({type: %q, outcome: 'success'})", kind))
		if (got == kind) != (kind == "later.event") {
			t.Errorf("the page shows the event %s as %q", kind, got)
		}
	}
}

// Only browsers get the page. To everybody else the path does not exist.
func TestPage_accept(t *testing.T) {
	s := start(t)
	if !strings.Contains(s.ready, "Open "+s.url+"/ in a browser") {
		t.Errorf("%q does not say to open the page", s.ready)
	}
	const chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	got, body := ask(t, "GET", s.url+"/", "Accept", chromium)
	if got.StatusCode != http.StatusOK || !strings.Contains(body, "<title>Latchkey on this machine</title>") {
		t.Errorf("a browser gets %d, %q", got.StatusCode, body)
	}
	for _, accept := range []string{"*/*", "", "application/json"} {
		got, body := ask(t, "GET", s.url+"/", "Accept", accept)
		varies := slices.Contains(got.Header.Values("Vary"), "Accept")
		if got.StatusCode != http.StatusNotFound || body != `{"message":"Not Found"}` || !varies {
			t.Errorf("Accept: %s gets %d, %q, %v", accept, got.StatusCode, body, got.Header)
		}
	}
}
