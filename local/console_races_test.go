package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// hold has the page's requests of a path wait until release is called in it.
const hold = `(() => {
	const own = fetch
	let held = []
	window.heldCalls = 0
	window.fetch = (input, init) => String(input?.url ?? input).includes(%q)
		? new Promise(resolve => { heldCalls++; held.push(resolve) }).then(() => own(input, init)) : own(input, init)
	window.release = () => { window.fetch = own; held.forEach(resolve => resolve()); return true }
	return true
})()`

// A change that was sent is made, whatever becomes of its dialog, and the console says so.
func testConsoleClosedDialog(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w, other := newWallet(t), newWallet(t)
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	press(t, p, "#block")
	evaluate[bool](t, p, fmt.Sprintf(hold, "/block"))
	press(t, p, "dialog button[type=submit]")
	p.await(t, "heldCalls === 1")
	press(t, p, "dialog .secondary") // Cancel comes too late
	p.await(t, "!document.querySelector('dialog')")
	evaluate[bool](t, p, "release()")
	p.shows(t, "#toast", "Blocked.")
	p.shows(t, "#blocked", "Blocked since")

	// The same if the admin goes on to another account.
	press(t, p, "#unblock")
	evaluate[bool](t, p, fmt.Sprintf(hold, "/unblock"))
	press(t, p, "dialog button[type=submit]")
	p.await(t, "heldCalls === 1")
	p.goTo(t, "#/accounts/"+other.address, "Account")
	p.shows(t, "#unknown", "it never signed in")
	evaluate[bool](t, p, "release()")
	p.shows(t, "#toast", w.address[:8], ": Unblocked.")

	// And if it fails.
	press(t, p, "#block")
	p.typeInto(t, "#note", "spam")
	stop := p.answerWith(t, "*/block", 500, nil, `{"code":"internal","requestId":"abc123"}`)
	evaluate[bool](t, p, fmt.Sprintf(hold, "/block"))
	press(t, p, "dialog button[type=submit]")
	p.await(t, "heldCalls === 1")
	p.escape(t)
	evaluate[bool](t, p, "release()")
	p.shows(t, "#toast", "Block "+other.address[:8], "The server has a defect.", "abc123")
	stop()
	p.checkPolicy(t)
}

// No dialog outlives the screen that it is about, and none comes late.
func testConsoleLeftDialog(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w, other := c.user("editor"), newWallet(t)
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	press(t, p, "#block")
	p.shows(t, "dialog", "Block "+w.address[:8])
	p.goTo(t, "#/accounts/"+other.address, "Account")
	p.shows(t, "#unknown", "it never signed in")
	p.await(t, "!document.querySelector('dialog')")

	p.goTo(t, "#/accounts/"+w.address, "Account")
	p.shows(t, "#who-card", w.address)
	evaluate[bool](t, p, fmt.Sprintf(hold, "role="))
	press(t, p, "#roles")
	p.await(t, "heldCalls > 0")
	evaluate[string](t, p, "location.hash = '#/accounts/"+other.address+"'")
	p.shows(t, "#unknown", "it never signed in")
	evaluate[bool](t, p, "release()")
	p.find(t, w.address)
	p.shows(t, "#who-card", w.address)
	if p.has(t, "dialog") {
		t.Error("a dialog came after its screen was left")
	}
	if c.isBlocked(w.address) || c.isBlocked(other.address) {
		t.Error("an account is blocked")
	}
	p.checkPolicy(t)
}

// Who presses Enter twice confirms nothing that takes something away.
func testConsoleEnterTwice(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := newWallet(t)
	w.login(c.server, "?transport=bearer")
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	for _, selector := range []string{"#end-all", "#sessions tbody button"} {
		p.await(t, fmt.Sprintf("document.querySelector(%q)?.checkVisibility()", selector))
		evaluate[bool](t, p, fmt.Sprintf("(document.querySelector(%q).focus(), true)", selector))
		p.key(t, kb.Enter)
		p.await(t, "document.querySelector('dialog')")
		p.key(t, kb.Enter)
		p.await(t, "!document.querySelector('dialog')")
		p.await(t, fmt.Sprintf("document.activeElement.matches(%q)", selector))
	}
	if got := c.call("GET", "/api/admin/users/"+w.address, "")["sessions"].([]any); len(got) != 1 {
		t.Errorf("after Enter twice the account has %d sessions, want 1", len(got))
	}
	p.checkPolicy(t)
}

// If the console cannot find out where the role admin comes from, it does not store it without a word.
func testConsoleUnknownAdmin(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	const says = "could not find out whether only ADMIN_ADDRESSES"
	p := c.signIn(c.admin, "#/accounts/"+c.admin.address)
	p.shows(t, "#who-card", c.admin.address)
	for _, answer := range []struct {
		status int
		body   string
	}{{500, `{"code":"internal"}`}, {200, `{"users":[],"next":"further"}`}} {
		stop := p.answerWith(t, "*/api/admin/users?role=admin*", answer.status, nil, answer.body)
		press(t, p, "#roles")
		p.shows(t, "dialog", says, "With admin ticked, the role is stored.")
		stop()
		p.escape(t)
	}
	press(t, p, "#roles")
	p.shows(t, "dialog", "ADMIN_ADDRESSES makes this account an admin")
	if text := evaluate[string](t, p, "document.querySelector('dialog').textContent"); strings.Contains(text, says) {
		t.Errorf("it says what is not so: %s", text)
	}
	p.checkPolicy(t)
}

// What the restore does is what its screen shows.
func testConsoleRestoreShown(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.signIn(c.admin, "#/restore")
	p.shows(t, "main h1", "Restore accounts")
	p.upload(t, exportOf(2, "admin"))
	p.shows(t, "#preview", "2 accounts", "Accounts by role: admin 2.")
	evaluate[bool](t, p, "(f => { f.value = ''; return f.dispatchEvent(new Event('change')) })(document.querySelector('#file'))") // no file
	p.await(t, "!document.querySelector('#preview') && !document.querySelector('#start')")

	// A file that is read later than the next one is not shown instead of it.
	evaluate[bool](t, p, `(() => {
		const own = File.prototype.text
		window.slow = []
		File.prototype.text = function () {
			return new Promise(resolve => { slow.push(() => resolve(own.call(this))) })
		}
		return true
	})()`)
	p.upload(t, exportOf(2, "admin"))
	p.await(t, "slow.length === 1")
	p.upload(t, exportOf(3, "editor"))
	p.await(t, "slow.length === 2")
	evaluate[bool](t, p, "(slow[1](), true)")
	p.shows(t, "#preview", "3 accounts")
	evaluate[bool](t, p, "(slow[0](), new Promise(resolve => setTimeout(resolve, 200, true)))")
	p.shows(t, "#preview", "3 accounts", "Accounts by role: editor 3.")
	evaluate[bool](t, p, "(File.prototype.text = () => Promise.reject(new Error('gone')), true)")
	p.upload(t, exportOf(1, "editor"))
	p.shows(t, "#restore-part [role=alert]", "The browser cannot read the file (gone).", "Choose it again.")
	evaluate[bool](t, p, "(File.prototype.text = Blob.prototype.text, true)")

	// While it runs no other file can be chosen.
	p.upload(t, exportOf(2, "editor"))
	evaluate[bool](t, p, fmt.Sprintf(hold, "/roles"))
	press(t, p, "#start")
	p.await(t, "heldCalls === 1 && document.querySelector('#file').disabled")
	evaluate[bool](t, p, "release()")
	p.shows(t, "#progress", "Restored 2, refused 0, left 0 of 2 accounts.")
	p.await(t, "!document.querySelector('#file').disabled")

	// One account under two ids, as in files of two lookup keys.
	account := fmt.Sprintf("0x%040x", 0xABCDEF)
	line := `{"user":{"id":%q,"account":%q,"roles":["user"]},"blocked":false}` + "\n"
	p.upload(t, fmt.Sprintf(line, fmt.Sprintf("%022d", 1), account)+
		fmt.Sprintf(line, fmt.Sprintf("%022d", 2), "0x"+strings.ToUpper(account[2:])))
	p.shows(t, "#problems", "Line 2: it is the account of line 1 again")
	// The own account is the last, however it is spelled.
	p.upload(t, fmt.Sprintf(line, fmt.Sprintf("%022d", 1), strings.ToLower(c.admin.address))+exportOf(1, "editor"))
	p.shows(t, "#preview", "2 accounts")
	evaluate[bool](t, p, "(performance.clearResourceTimings(), true)")
	press(t, p, "#start")
	p.shows(t, "#progress", "Restored 2, refused 0")
	restored := p.requested(t, "/roles")
	if len(restored) != 2 || !strings.Contains(restored[1], strings.ToLower(c.admin.address)) {
		t.Errorf("the order is %q", restored)
	}
	p.checkPolicy(t)
}

// requested returns the addresses with a text that the page has requested, in order.
func (p *aConsole) requested(t *testing.T, text string) []string {
	t.Helper()
	return evaluate[[]string](t, p, fmt.Sprintf(
		"performance.getEntriesByType('resource').map(entry => entry.name).filter(name => name.includes(%q))", text))
}

// The health says what a throttle before the server means, the list is not sent by a key that only
// chooses, and a token in the address is not sent.
func testConsoleSmallScreens(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.signIn(c.admin, "")
	p.shows(t, "#health", "Healthy")
	stop := p.answerWith(t, "*/health", 429, nil, `{"message":"Too Many Requests"}`)
	press(t, p, "#reload")
	p.shows(t, "#health .health", "Not known. Too many requests.", "Try again")
	stop()
	p.goTo(t, "#/accounts", "Accounts")
	p.shows(t, "#list", "No such account.")
	evaluate[bool](t, p, "(document.querySelector('#status').focus(), true)")
	p.key(t, kb.ArrowDown)
	p.key(t, kb.ArrowDown)
	p.await(t, "document.querySelector('#status').value === 'blocked'")
	p.await(t, "document.activeElement.id === 'status'")
	press(t, p, ".filters button")
	p.await(t, "location.hash === '#/accounts?status=blocked'")

	p.goTo(t, "#/accounts/"+c.token, "That is a token")
	p.await(t, "location.hash === '#/accounts'")
	if sent := p.requested(t, c.token); len(sent) > 0 {
		t.Errorf("the token was sent: %q", sent)
	}
	p.checkPolicy(t)
}
