package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"latchkey/local/test/report"
)

// browserPatience bounds what a test does in a browser, with its start.
const browserPatience = 5 * time.Minute

// pagePatience bounds what a page does next.
const pagePatience = 30 * time.Second

// browser starts Chromium until the test ends. To it, the hosts of the names lead to this machine.
func browser(t *testing.T, names ...string) context.Context {
	t.Helper()
	return browserOf(t, t.TempDir(), names...)
}

// browserOf starts Chromium as browser does, with the settings of a user whose data are in a folder.
func browserOf(t *testing.T, folder string, names ...string) context.Context {
	t.Helper()
	var rules []string
	for _, name := range names {
		rules = append(rules, "MAP "+name+" 127.0.0.1")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(findChromium(t)), chromedp.Flag("host-resolver-rules", strings.Join(rules, ",")),
		chromedp.UserDataDir(folder)) // as root it runs without its sandbox
	patient, cancel := context.WithTimeout(t.Context(), browserPatience)
	t.Cleanup(cancel)
	process, end := chromedp.NewExecAllocator(patient, options...)
	t.Cleanup(end)
	tab, closeTab := chromedp.NewContext(process)
	t.Cleanup(closeTab)
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return tab
}

// findChromium returns the path of Chromium. Without one it skips the test; in CI the test fails.
func findChromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	report.Missing(t, "no chromium found: apt-get install chromium (or brew install chromium)")
	return ""
}

// served is what a page got of a call: its status and body, or why the browser refused it.
type served struct {
	Status int
	Body   map[string]any
	Error  string
}

// fetchIn calls in the page that the browser shows, with cookies.
func fetchIn(t *testing.T, tab context.Context, url, options string) served {
	t.Helper()
	call := fmt.Sprintf(`fetch(%q, {credentials: 'include', ...%s})
		.then(async answer => ({status: answer.status, body: await answer.json().catch(() => null)}),
			fault => ({error: String(fault)}))`, url, options)
	got, err := chromedp.Run(tab, chromedp.Evaluate[served](call, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return got
}

// send sends a command of the DevTools protocol to a tab.
func send[P, R any](t *testing.T, tab context.Context, c cdp.Command[P, R], params P) {
	t.Helper()
	if _, err := chromedp.Call(tab, c, params); err != nil {
		t.Fatalf("%s: %v", c.Method, err)
	}
}

// addScript adds a script to every page that the tab opens. It runs before the page's own.
func addScript(t *testing.T, tab context.Context, source string) {
	t.Helper()
	send(t, tab, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source})
}

// walletScript has a function for the requests of wallets, and the name of the first. In the page, test.wallet is that
// wallet, and test.makeWallet adds another. They announce themselves as EIP-6963 says, and emit events.
const walletScript = `(() => {
	const request = %s
	const makeWallet = name => {
		const listeners = []
		const provider = {
			request,
			on: (event, listener) => { listeners.push({ event, listener }) },
			removeListener(event, listener) {
				const at = listeners.findIndex(one => one.event === event && one.listener === listener)
				if (at >= 0) listeners.splice(at, 1)
			},
		}
		const icon = 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
		const detail = Object.freeze({ info: { uuid: name, name, icon, rdns: name }, provider })
		const announce = () => dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }))
		addEventListener('eip6963:requestProvider', announce)
		announce()
		return { emit: (event, value) => listeners.forEach(one => { if (one.event === event) one.listener(value) }) }
	}
	window.test = { makeWallet, wallet: makeWallet(%q) }
})()`

// addWallet adds a wallet to every page that the tab opens. A JavaScript function answers its requests.
func addWallet(t *testing.T, tab context.Context, name, request string) {
	t.Helper()
	addScript(t, tab, fmt.Sprintf(walletScript, request, name))
}

func open(t *testing.T, tab context.Context, url string) {
	t.Helper()
	if err := chromedp.Do(tab, chromedp.Navigate(url)); err != nil {
		t.Fatalf("opening %s: %v", url, err)
	}
}

// evaluate returns what an expression is in the page.
func evaluate[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	got, err := chromedp.Run(tab, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return got
}

// shownBy returns the text that the page shows.
func shownBy(t *testing.T, tab context.Context) string {
	t.Helper()
	return evaluate[string](t, tab, "document.body.innerText")
}

// await waits until an expression is true in the page. If it stays false, the test fails with what the page shows. It
// does not use [chromedp.Poll], which loses a page that the browser has restored.
func await(t *testing.T, tab context.Context, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, pagePatience)
	defer cancel()
	script := fmt.Sprintf(`(async () => {
		while (!(%s)) await new Promise(resolve => setTimeout(resolve, 50))
		return true
	})()`, expression)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
		t.Errorf("awaiting %s: %v", expression, err)
		t.Fatalf("the page shows:\n%s", shownBy(t, tab))
	}
}

// says waits until the element that a selector finds is visible and has these texts.
func says(t *testing.T, tab context.Context, selector string, texts ...string) {
	t.Helper()
	wanted, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	const isShown = `(node => node?.checkVisibility() && %s.every(text => node.textContent.includes(text)))` +
		`(document.querySelector(%q))`
	await(t, tab, fmt.Sprintf(isShown, wanted, selector))
}

// press clicks on an element as a person does.
func press(t *testing.T, tab context.Context, selector string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, pagePatience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		t.Errorf("pressing %s: %v", selector, err)
		t.Fatalf("the page shows:\n%s", shownBy(t, tab))
	}
}

// frontend is a developer's page, and returns its port.
func frontend(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>a page</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL[strings.LastIndexByte(s.URL, ':')+1:]
}

// DNS rebinding: a browser takes a page of an attacker's name for one of this server's own, because the name leads
// here. The page can read what the server answers; it gets nothing but the refusal.
func TestBrowser_rebinding(t *testing.T) {
	const attacker = "rebound.example"
	tab := browser(t, attacker)
	s := start(t)
	own := strings.Replace(s.url, "localhost", attacker, 1)
	// The attacker's own page came without our policy, before the name led here.
	send(t, tab, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
	open(t, tab, own+"/health")
	for _, path := range []string{"/auth/nonce", "/health", "/protected/orders"} {
		got := fetchIn(t, tab, own+path, "{}")
		if got.Status != http.StatusMisdirectedRequest || got.Body["code"] != "misdirected_request" {
			t.Errorf("a page of %s got %+v of %s", own, got, path)
		}
	}
	const post = `{method: 'POST', headers: {'content-type': 'application/json'}, body: '{}'}`
	if got := fetchIn(t, tab, own+"/auth/login", post); got.Status != http.StatusMisdirectedRequest {
		t.Errorf("its login got %+v", got)
	}
	// By the server's real name it is a page of another site, which reads nothing.
	if got := fetchIn(t, tab, s.url+"/auth/nonce", "{}"); got.Error == "" {
		t.Errorf("by the real name it got %+v", got)
	}
}

// A page by one name and the API by another are two sites: the browser keeps the cookies back, and the page is told so.
func TestBrowser_twoNames(t *testing.T) {
	s, port := start(t), frontend(t)
	tab := browser(t, "*.localhost")
	_, api, _ := strings.Cut(s.url, "localhost:")
	const openAt = "open the page at http://localhost:"
	for page, says := range map[string]string{
		"http://127.0.0.1:" + port:     openAt + port + ", or call the API at http://127.0.0.1:" + api,
		"http://app.localhost:" + port: openAt + port + ", or call the API at http://app.localhost:" + api,
	} {
		open(t, tab, page)
		for path, status := range map[string]int{
			"/auth/nonce": http.StatusForbidden, "/api/profile": http.StatusUnauthorized,
		} {
			got := fetchIn(t, tab, s.url+path, "{}")
			detail := fmt.Sprint(got.Body["detail"])
			isExplained := strings.Contains(detail, "browsers keep the cookies back") && strings.HasSuffix(detail, says)
			if got.Status != status || !isExplained {
				t.Errorf("%s got %+v of %s, want the words %q", page, got, path, says)
			}
		}
	}
}

// By one name, each page gets the cookies of its own server, which a login needs.
func TestBrowser_signIn(t *testing.T) {
	w, s, port := newWallet(t), start(t), frontend(t)
	tab := browser(t, "*.localhost")
	for _, name := range []string{"localhost", "127.0.0.1", "app.localhost"} {
		page, api := "http://"+name+":"+port, strings.Replace(s.url, "localhost", name, 1)
		open(t, tab, page)
		nonce := fetchIn(t, tab, api+"/auth/nonce?chainId=1&address="+w.address, "{}")
		if nonce.Status != http.StatusOK || nonce.Body["uri"] != page {
			t.Fatalf("%s is offered %+v", page, nonce)
		}
		offer, err := json.Marshal(nonce.Body)
		if err != nil {
			t.Fatal(err)
		}
		body := w.run(string(offer), "login", "-transport", "cookie")
		post := fmt.Sprintf("{method: 'POST', headers: {'content-type': 'application/json'}, body: %q}", body)
		login := fetchIn(t, tab, api+"/auth/login", post)
		if login.Status != http.StatusOK {
			t.Fatalf("%s signs in: %+v", page, login)
		}
		if got := fetchIn(t, tab, api+"/api/profile", "{}"); got.Status != http.StatusOK {
			t.Errorf("%s got %+v of its profile", page, got)
		}
		if got := fetchIn(t, tab, api+"/auth/refresh", "{method: 'POST'}"); got.Status != http.StatusOK {
			t.Errorf("%s refreshes: %+v", page, got)
		}
	}
}

// Without Chromium the tests above are skipped with one line that says how to get it, and in CI they fail.
func TestBrowser_missing(t *testing.T) {
	for ci, want := range map[string]string{"": "--- SKIP", "true": "--- FAIL"} {
		c := exec.Command(os.Args[0], "-test.run=^TestBrowser_rebinding$", "-test.v")
		c.Env = []string{"PATH=" + t.TempDir(), "CI=" + ci, "TMPDIR=" + t.TempDir()}
		out, err := c.CombinedOutput()
		hasWanted := strings.Contains(string(out), want) &&
			strings.Contains(string(out), "no chromium found: apt-get install chromium")
		isReported := strings.Contains(string(out), "; tests that need it are skipped") // on standard error
		if (err != nil) != (ci == "true") || !hasWanted || isReported != (ci == "") {
			t.Errorf("with CI=%q: %v, printed %s", ci, err, out)
		}
	}
	ci, makefile := read(t, ".ci/run"), read(t, "Makefile")
	if !strings.Contains(ci, "\nlacks chromium chromium\n") ||
		!strings.Contains(makefile, "no chromium found: apt-get install chromium") {
		t.Error(".ci/run does not install chromium, or make test does not say that it is missing")
	}
}
