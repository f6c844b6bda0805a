package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/local/test/report"
)

// look sets the size and the theme of the window. Colours change at once, since no motion is wanted.
func (p *aConsole) look(t *testing.T, width int64, theme string) {
	t.Helper()
	send(t, p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
	send(t, p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// axe returns axe-core, with which a page checks itself.
func axe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "client", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		report.Missing(t, "no axe-core found: run npm ci in client")
	}
	return string(text)
}

// checkAccess fails if axe finds something in the page, or if it is wider than the window.
func (p *aConsole) checkAccess(t *testing.T, screen string) {
	t.Helper()
	found := evaluate[[]string](t, p, `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
		violations.filter(one => one.impact !== 'minor').flatMap(one =>
			one.nodes.map(node => one.impact + ' ' + one.id + ': ' + node.target + ': ' + node.failureSummary)))`)
	if len(found) > 0 {
		t.Errorf("%s: axe finds\n%s", screen, strings.Join(found, "\n"))
	}
	if evaluate[bool](t, p, "document.documentElement.scrollWidth > innerWidth") {
		t.Errorf("%s is wider than the window", screen)
	}
}

// Every screen and dialog can be used by everybody, in both themes, wide and narrow.
func testConsoleAccessibility(t *testing.T, start func(...string) *consoleTest) {
	script := axe(t)
	c := start()
	w, blocked := c.user("editor", "support"), newWallet(t)
	w.login(c.server, "?transport=bearer")
	c.call("POST", "/api/admin/users/"+blocked.address+"/block", `{"note":"spam"}`)
	p := c.open(c.admin, "")
	evaluate[string](t, p, script+"; axe.version")
	looks := func(check func(look string)) {
		for _, width := range []int64{1280, 390} {
			for _, theme := range []string{"light", "dark"} {
				p.look(t, width, theme)
				check(fmt.Sprintf("%d %s", width, theme))
			}
		}
	}
	p.shows(t, "#sign-in", "Test Wallet")
	looks(func(look string) { p.checkAccess(t, "sign-in "+look) })
	p.answerWith(t, "*/api/admin/sessions", 200, nil, statistics(t, knownHours()))
	press(t, p, "#wallets button")
	p.await(t, "document.querySelectorAll('.plot svg').length === 3")
	evaluate[bool](t, p, "document.querySelectorAll('details').forEach(details => { details.open = true }), true")
	looks(func(look string) { p.checkAccess(t, "overview "+look) })
	p.goTo(t, "#/accounts", "Accounts")
	p.shows(t, "#list", "spam")
	looks(func(look string) { p.checkAccess(t, "accounts "+look) })
	p.find(t, w.address)
	p.shows(t, "#activity", "Signed in")
	looks(func(look string) { p.checkAccess(t, "account "+look) })
	for _, action := range []string{"block", "roles", "end-all", "erase"} {
		press(t, p, "#"+action)
		p.await(t, "document.querySelector('dialog')")
		looks(func(look string) { p.checkAccess(t, action+" "+look) })
		p.escape(t)
	}
	p.find(t, blocked.address)
	p.shows(t, "#blocked", "spam")
	looks(func(look string) { p.checkAccess(t, "blocked account "+look) })
	p.find(t, "0x12")
	p.shows(t, "#account [role=alert]", "must be 0x and 40")
	looks(func(look string) { p.checkAccess(t, "failure "+look) })
	p.goTo(t, "#/audit", "Audit log")
	p.shows(t, "#deeds table", "Blocked")
	looks(func(look string) { p.checkAccess(t, "audit "+look) })
	p.goTo(t, "#/restore", "Restore accounts")
	p.upload(t, exportOf(2, "nonsense"))
	press(t, p, "#start")
	p.shows(t, ".refusals", "not configured")
	looks(func(look string) { p.checkAccess(t, "restore "+look) })
	p.checkPolicy(t)
}

// From the sign-in to a block without a mouse.
func testConsoleKeyboard(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := newWallet(t)
	p := c.open(c.admin, "")
	tabTo := func(selector string) {
		t.Helper()
		for range 40 {
			if evaluate[bool](t, p, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
				return
			}
			p.key(t, kb.Tab)
		}
		t.Fatalf("the keyboard does not lead to %s", selector)
	}
	p.shows(t, "#sign-in", "Test Wallet")
	p.key(t, kb.Tab)
	tabTo("#wallets button")
	p.key(t, kb.Enter)
	p.shows(t, "main h1", "Overview")
	p.await(t, "document.activeElement.matches('h1')")
	p.shows(t, "#numbers", "Live sessions")
	evaluate[bool](t, p, "(document.activeElement.blur(), true)")
	p.key(t, kb.Tab)
	tabTo("#skip")
	p.key(t, kb.Enter)
	p.await(t, "document.activeElement.id === 'main'")
	evaluate[bool](t, p, "(document.activeElement.blur(), document.querySelector('.brand').focus(), true)")
	tabTo("#search-text")
	if err := chromedp.Do(p, chromedp.KeyEvent(w.address+kb.Enter)); err != nil {
		t.Fatal(err)
	}
	p.shows(t, "#unknown", "it never signed in")
	p.await(t, "document.activeElement.matches('h1')")
	tabTo("#block")
	p.key(t, kb.Enter)
	p.await(t, "document.activeElement.id === 'note'")
	p.escape(t)
	p.await(t, "document.activeElement.id === 'block'")
	p.key(t, kb.Enter)
	p.await(t, "document.activeElement.id === 'note'")
	tabTo("dialog button[type=submit]")
	p.key(t, kb.Enter)
	p.shows(t, "#toast", "Blocked.")
	p.await(t, "document.activeElement.matches('h1')")
	p.checkPolicy(t)
}
