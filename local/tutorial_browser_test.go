package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The code of the tutorial does in a real browser what the tutorial says.
func TestTutorial_browser(t *testing.T) {
	chromium, w := browser(t), newWallet(t)
	for name, test := range map[string]func(*testing.T, func(...string) *dapp){
		"sign-in and reload":       testSignInAndReload,
		"declined signature":       testDeclined,
		"late wallet":              testLateWallet,
		"expiry":                   testExpiry,
		"two tabs refresh at once": testTwoTabsRefresh,
		"step-up":                  testStepUp,
		"step-up after a reload":   testStepUpAfterReload,
		"sign-out in another tab":  testSignOutInAnotherTab,
		"account switch":           testAccountSwitch,
		"back/forward cache":       testBackForwardCache,
		"page of another name":     testAnotherName,
		"page of another site":     testAnotherSite,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(variables ...string) *dapp { return newDapp(t, chromium, w, variables...) })
		})
	}
}

func testSignInAndReload(t *testing.T, start func(...string) *dapp) {
	d := start()
	p := d.openSignedIn(t)
	p.press(t, "Profile")
	p.shows(t, "result", d.wallet.address, `"preferences"`)
	if err := chromedp.Do(p, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	p.shows(t, "who", `"status": "signedIn"`, d.wallet.address)
	d.served(t, map[string]int{"GET /auth/nonce 200": 1, "POST /auth/login 200": 1, "POST /auth": 1})
	if n := len(d.signatures()); n != 1 {
		t.Errorf("the wallet was asked for %d signatures, want 1", n)
	}
	p.press(t, "Sign out")
	p.shows(t, "who", `"status": "signedOut"`, "logged_out")
	p.press(t, "Profile")
	p.shows(t, "result", "no_credentials")
	d.served(t, map[string]int{"POST /auth/logout 204": 1})
}

// After a signature that the user declined, the next click signs in, with the
// same nonce.
func testDeclined(t *testing.T, start func(...string) *dapp) {
	d := start()
	d.declineOnce()
	p := d.open(t)
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "result", "User rejected the request.")
	p.shows(t, "who", `"status": "signedOut"`)
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "who", `"status": "signedIn"`)
	d.served(t, map[string]int{"GET /auth/nonce": 1, "POST /auth/login": 1})
	if asked := d.signatures(); len(asked) != 2 || !asked[1].IsInClick {
		t.Errorf("the wallet got %+v, want two calls, and the second in the click", asked)
	}
}

func testLateWallet(t *testing.T, start func(...string) *dapp) {
	d := start()
	p := d.open(t)
	p.shows(t, "who", `"status": "signedOut"`)
	if got := evaluate[string](t, p, "wallets.textContent"); got != "Sign in with Test Wallet" {
		t.Errorf("before the late wallet it shows %q", got)
	}
	evaluate[bool](t, p, "!!test.makeWallet('Late Wallet')")
	p.press(t, "Sign in with Late Wallet")
	p.shows(t, "who", `"status": "signedIn"`)
	if got := evaluate[string](t, p, "wallets.textContent"); got != "Sign in with Test WalletSign in with Late Wallet" {
		t.Errorf("with the late wallet it shows %q", got)
	}
}

// A call with an expired token is refreshed once and repeated once.
func testExpiry(t *testing.T, start func(...string) *dapp) {
	d := start("ACCESS_TOKEN_MINUTES=0.05", "REFRESH_GRACE_SECONDS=1")
	p := d.openSignedIn(t)
	p.callUntil(t, "token_expired")
	before := d.log.read(t, d.api)
	p.press(t, "Profile")
	p.shows(t, "result", d.wallet.address)
	p.shows(t, "who", `"status": "signedIn"`)
	after := d.log.read(t, d.api)[len(before):]
	want := []string{"GET /api/profile 401 token_expired", "POST /auth/refresh 200", "GET /api/profile 200", lastRequest}
	if !slices.Equal(after, want) {
		t.Errorf("the click has led to %q, want %q", after, want)
	}
}

// Both requests for a refresh are under way before one is answered.
func testTwoTabsRefresh(t *testing.T, start func(...string) *dapp) {
	d := start("ACCESS_TOKEN_MINUTES=0.1", "REFRESH_GRACE_SECONDS=5")
	one := d.openSignedIn(t)
	other := d.open(t)
	other.shows(t, "who", `"status": "signedIn"`)
	one.callUntil(t, "token_expired")
	awaitOne, awaitOther := one.hold(t, "*/auth/refresh"), other.hold(t, "*/auth/refresh")
	one.press(t, "Profile")
	other.press(t, "Profile")
	releaseOne, releaseOther := awaitOne(), awaitOther()
	releaseOne()
	releaseOther()
	for _, p := range []*browserTab{one, other} {
		p.shows(t, "result", d.wallet.address)
		p.shows(t, "who", `"status": "signedIn"`)
	}
	d.served(t, map[string]int{
		"POST /auth/refresh 200": 2, "POST /auth/refresh": 2, "GET /api/profile 401 session_ended": 0,
	})
	// The session was not revoked, and both tabs have its cookies.
	for _, p := range []*browserTab{one, other} {
		if got := fetchIn(t, p, d.api.url+"/auth/refresh", "{method: 'POST'}"); got.Status != http.StatusOK {
			t.Errorf("the next refresh got %+v", got)
		}
	}
}

const otherBrowser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// beAnotherDevice makes the session look stolen.
func (p *browserTab) beAnotherDevice(t *testing.T) {
	t.Helper()
	send(t, p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: otherBrowser})
}

func testStepUp(t *testing.T, start func(...string) *dapp) {
	d := start()
	p := d.openSignedIn(t)
	p.beAnotherDevice(t)
	p.press(t, "Profile")
	p.press(t, "Not now")
	p.shows(t, "result", "step_up_required")
	p.await(t, "ask.childElementCount === 0")
	p.press(t, "Profile")
	p.shows(t, "ask", "Confirm with Test Wallet", "Not now")
	if n := len(d.signatures()); n != 1 {
		t.Errorf("without a click the wallet was asked for %d signatures", n-1)
	}
	d.declineOnce()
	p.press(t, "Confirm with Test Wallet")
	p.shows(t, "result", "User rejected the request.")
	p.press(t, "Confirm with Test Wallet")
	p.shows(t, "result", d.wallet.address)
	p.shows(t, "who", `"status": "signedIn"`)
	p.await(t, "ask.childElementCount === 0")
	d.served(t, map[string]int{
		"GET /api/profile 401 step_up_required": 2, "POST /auth/step-up 200": 1,
		"POST /auth/step-up": 1, "POST /auth/refresh": 0, "POST /auth/login": 1,
	})
	if asked := d.signatures(); len(asked) != 3 || !asked[1].IsInClick {
		t.Errorf("the wallet got %+v, want three calls, and the second in the click", asked)
	}
}

// After a reload the page does not know the wallet, and the user chooses it.
func testStepUpAfterReload(t *testing.T, start func(...string) *dapp) {
	d := start()
	p := d.openSignedIn(t)
	p.beAnotherDevice(t)
	if err := chromedp.Do(p, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	p.press(t, "Confirm with Test Wallet")
	p.shows(t, "who", `"status": "signedIn"`, d.wallet.address)
	d.served(t, map[string]int{"POST /auth/step-up 200": 1, "POST /auth/login": 1})
}

func testSignOutInAnotherTab(t *testing.T, start func(...string) *dapp) {
	d := start()
	one := d.openSignedIn(t)
	other := d.open(t)
	other.shows(t, "who", `"status": "signedIn"`)
	before := len(d.log.read(t, d.api))
	one.press(t, "Sign out")
	other.shows(t, "who", `"status": "signedOut"`, "logged_out")
	after := d.log.read(t, d.api)[before:]
	if !slices.Equal(after, []string{"POST /auth/logout 204", lastRequest}) {
		t.Errorf("the sign-out has led to %q", after)
	}
	if got := evaluate[int](t, other, "restored.length"); got != 1 {
		t.Error("the other tab was loaded again")
	}
}

func testAccountSwitch(t *testing.T, start func(...string) *dapp) {
	const otherAccount = "0x000000000000000000000000000000000000dEaD"
	d := start()
	p := d.openSignedIn(t)
	before := len(d.log.read(t, d.api))
	signedIn := evaluate[string](t, p, "who.textContent")
	evaluate[bool](t, p, "test.wallet.emit('chainChanged', '0x2105'), true")
	if got := evaluate[string](t, p, "who.textContent"); got != signedIn {
		t.Errorf("after another chain it shows %s, want %s", got, signedIn)
	}
	evaluate[bool](t, p, fmt.Sprintf("test.wallet.emit('accountsChanged', [%q]), true", otherAccount))
	p.shows(t, "who", `"status": "signedIn"`, d.wallet.address, `"otherAccount": "`+otherAccount)
	evaluate[bool](t, p, fmt.Sprintf("test.wallet.emit('accountsChanged', [%q]), true", strings.ToLower(d.wallet.address)))
	p.await(t, "!who.textContent.includes('otherAccount')")
	if got := evaluate[string](t, p, "who.textContent"); got != signedIn {
		t.Errorf("after its own account it shows %s, want %s", got, signedIn)
	}
	if after := d.log.read(t, d.api)[before:]; !slices.Equal(after, []string{lastRequest}) {
		t.Errorf("the switch has led to %q", after)
	}
	p.press(t, "Profile")
	p.shows(t, "result", d.wallet.address)
}

// A page that is restored from the back/forward cache asks the server who is
// signed in.
func testBackForwardCache(t *testing.T, start func(...string) *dapp) {
	d := start()
	one := d.openSignedIn(t)
	other := d.open(t)
	other.shows(t, "who", `"status": "signedIn"`)

	one.leaveAndReturn(t, func() {})
	one.shows(t, "who", `"status": "signedIn"`)
	d.served(t, map[string]int{"POST /auth/login 200": 1, "POST /auth": 1})

	one.leaveAndReturn(t, func() {
		other.press(t, "Sign out")
		other.shows(t, "who", `"status": "signedOut"`)
		d.served(t, map[string]int{"POST /auth/logout 204": 1, "GET /api/profile 401": 1}) // of the first visit
	})
	one.shows(t, "who", `"status": "signedOut"`)
	d.served(t, map[string]int{"GET /api/profile 401": 2})
	one.press(t, "Sign in with Test Wallet")
	other.shows(t, "who", `"status": "signedIn"`) // the restored page speaks to other tabs again, and they to it
	other.press(t, "Sign out")
	one.shows(t, "who", `"status": "signedOut"`, "logged_out")
	if got := evaluate[[]bool](t, one, "restored"); !slices.Equal(got, []bool{false, true, true}) {
		t.Errorf("the page was shown with persisted %v: the browser did not restore it", got)
	}
}

func testAnotherName(t *testing.T, start func(...string) *dapp) {
	d := start()
	p := d.openAt(t, "127.0.0.1")
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "result", "browsers keep the cookies back", "open the page at http://localhost:"+d.port)
	p.shows(t, "who", `"status": "signedOut"`)
	if n := len(d.signatures()); n != 0 {
		t.Errorf("the wallet was asked for %d signatures for nothing", n)
	}
}

// A page of another site than the API's, which is allowed to call it.
func testAnotherSite(t *testing.T, start func(...string) *dapp) {
	d := start("SIWE_DOMAINS=127.0.0.1:"+pagePort, "ALLOWED_ORIGINS=http://127.0.0.1:"+pagePort)
	p := d.openAt(t, "127.0.0.1")
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "result", "origin_not_allowed: ")
	p.shows(t, "who", `"status": "signedOut"`)
	d.served(t, map[string]int{"POST /auth/login 403 origin_not_allowed": 1})
}

// A user whose browser keeps no cookies is told so.
func TestTutorial_noCookies(t *testing.T) {
	folder := t.TempDir()
	settings := filepath.Join(folder, "Default")
	if err := os.Mkdir(settings, 0o700); err != nil {
		t.Fatal(err)
	}
	const blocked = `{"profile": {"default_content_setting_values": {"cookies": 2}}}`
	if err := os.WriteFile(filepath.Join(settings, "Preferences"), []byte(blocked), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDapp(t, browserOf(t, folder), newWallet(t))
	p := d.open(t)
	p.press(t, "Sign in with Test Wallet")
	p.shows(t, "result", "cookies_blocked: no cookie was kept")
	p.shows(t, "who", `"status": "signedOut"`)
	d.served(t, map[string]int{"POST /auth/login 401 login_failed": 1})
}
