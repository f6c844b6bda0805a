package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

func testConsoleAccount(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := newWallet(t)
	w.login(c.server, "?transport=bearer")
	w.login(c.server, "?transport=bearer")
	p := c.signIn(c.admin, "")
	p.find(t, strings.ToLower(w.address)) // its own spelling is shown
	p.shows(t, "#who-card", w.address, c.userID(w.address), "key (EOA)", "user")
	p.shows(t, "#sessions", "2 live sessions", "Ethereum (1)", "127.0.0.1", "bearer")
	p.shows(t, "#activity", "Signed in", "itself")

	press(t, p, "#sessions tbody tr:last-child button")
	p.shows(t, "dialog", "End one session")
	p.confirm(t, "Ended the session.")
	p.shows(t, "#sessions", "1 live session")
	p.shows(t, "#activity", "Session ended: ended by an admin")
	p.await(t, fmt.Sprintf("document.querySelector('#activity a')?.title === %q", c.admin.address))

	press(t, p, "#block")
	p.await(t, "document.activeElement.id === 'note'")
	p.typeInto(t, "#note", "spam, ticket 7")
	p.confirm(t, "Blocked.")
	p.shows(t, "#blocked", "Blocked since", "spam, ticket 7")
	p.shows(t, "#sessions", "No session is live.")
	p.await(t, "document.activeElement === document.querySelector('main h1')")
	if p.has(t, "#end-all") {
		t.Error("it offers to end sessions of an account without a live session")
	}
	press(t, p, "#block") // another note
	p.typeInto(t, "#note", "it was <b>worse</b>")
	p.confirm(t, "Blocked.")
	p.shows(t, "#blocked", "it was <b>worse</b>")
	press(t, p, "#unblock")
	p.confirm(t, "Unblocked.")
	p.await(t, "!document.querySelector('#blocked') && document.querySelector('#block')")

	w.login(c.server, "?transport=bearer")
	w.login(c.server, "?transport=bearer")
	p.goTo(t, "#/accounts", "Accounts")
	p.find(t, w.address)
	press(t, p, "#end-all")
	p.confirm(t, "Ended 2 sessions.")
	p.shows(t, "#sessions", "No session is live.")
	p.checkPolicy(t)
}

// From a log line with a userId to a block: one search and two clicks.
func testConsoleFromALogLine(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := newWallet(t)
	w.login(c.server, "?transport=bearer")
	id := c.userID(w.address)
	p := c.signIn(c.admin, "")
	p.shows(t, "main h1", "Overview")
	evaluate[bool](t, p, "(window.clicks = 0, addEventListener('pointerdown', () => { clicks++ }, true), true)")
	p.find(t, id)
	press(t, p, "#block")
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "#toast", "Blocked.")
	if n := evaluate[int](t, p, "clicks"); n != 2 {
		t.Errorf("it took %d clicks, want 2", n)
	}
	if !c.isBlocked(id) {
		t.Error("the account is not blocked")
	}
	// What is not a reference, and what is a secret.
	p.find(t, "0x12")
	p.shows(t, "#account [role=alert]", "Address")
	p.typeInto(t, "#search-text", c.token)
	p.key(t, kb.Enter)
	p.shows(t, "#toast", "That is a token")
	if hash := evaluate[string](t, p, "location.hash"); strings.Contains(hash, "lk") {
		t.Errorf("the token is in the address: %s", hash)
	}
	p.checkPolicy(t)
}

func testConsoleRoles(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	c.user("support") // the name is in use then
	w := c.user("editor")
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	press(t, p, "#roles")
	p.await(t, "document.querySelector('#role-editor')?.checked && !document.querySelector('#role-support').checked && !document.querySelector('#role-admin').checked")
	press(t, p, "#role-support")
	press(t, p, "#role-editor")
	p.typeInto(t, "#other-roles", "auditor")
	p.confirm(t, "Set the roles.")
	p.shows(t, "#who-card", "auditor", "support")
	p.await(t, "!document.querySelector('#who-card .tags').textContent.includes('editor')")
	p.shows(t, "#activity", "Roles changed: editor → auditor, support")

	press(t, p, "#roles")
	p.typeInto(t, "#other-roles", "nonsense")
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "dialog [role=alert]", "not configured")
	p.escape(t)
	p.await(t, "document.activeElement.id === 'roles'")

	// The configuration makes this one an admin, and the role is not stored by the way.
	p.find(t, c.admin.address)
	press(t, p, "#roles")
	p.shows(t, "dialog", "ADMIN_ADDRESSES makes this account an admin")
	p.await(t, "document.querySelector('#role-admin')?.checked === false")
	press(t, p, "#role-support")
	p.confirm(t, "Set the roles.")
	p.shows(t, "#who-card .tags", "admin", "support")
	if got := fmt.Sprint(c.call("GET", "/api/admin/users?role=admin", "")["users"]); got != "[]" {
		t.Errorf("the role admin is stored: %s", got)
	}

	// A stored admin can lose the role.
	other := c.user("admin")
	p.find(t, other.address)
	press(t, p, "#roles")
	p.await(t, "document.querySelector('#role-admin')?.checked")
	press(t, p, "#role-admin")
	p.confirm(t, "Set the roles.")
	p.shows(t, "#unknown", "Nothing is stored of this account") // that was all there was
	p.checkPolicy(t)
}

func testConsoleErase(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := c.user("editor")
	w.login(c.server, "?transport=bearer")
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	press(t, p, "#erase")
	p.typeInto(t, "#erase-text", "0x")
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "dialog [role=alert]", "That is not the account.")
	if got := fmt.Sprint(c.call("GET", "/api/admin/users/"+w.address, "")["user"]); !strings.Contains(got, "editor") {
		t.Errorf("after a wrong confirmation: %s", got)
	}
	p.typeInto(t, "#erase-text", w.address)
	p.confirm(t, "Erased.")
	p.shows(t, "#unknown", "it never signed in")
	if status, answer := exchange(t, "GET", c.server.url+"/api/admin/users/"+w.address, c.token, ""); status != 404 {
		t.Errorf("after the erasure: %d %v", status, answer)
	}
	p.checkPolicy(t)
}

// What others typed or sent is text.
func testConsoleHostile(t *testing.T, start func(...string) *consoleTest) {
	const name, note = `<img src=x onerror=hacked=1>"'`, `<script>hacked=1</script><a href="javascript:hacked=1">`
	c := start()
	w := newWallet(t)
	w.loginAs(c.server, name, `<svg onload=hacked=1> Firefox/140.0`)
	c.call("GET", "/api/admin/users/"+w.address, "")
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	p.shows(t, "#sessions .name", name)
	p.shows(t, "#activity", name)
	press(t, p, "#sessions tbody button")
	p.shows(t, "dialog", name)
	p.escape(t)
	press(t, p, "#block")
	p.typeInto(t, "#note", note)
	p.confirm(t, "Blocked.")
	p.shows(t, "#blocked", note)
	p.goTo(t, "#/accounts?status=blocked", "Accounts")
	p.shows(t, "#list", note)
	p.goTo(t, "#/accounts/"+`<img src=x onerror=hacked=1>`, "Account")
	p.shows(t, ".subject", `<img src=x onerror=hacked=1>`)
	p.goTo(t, "#/accounts?role="+`<img src=x onerror=hacked=1>`, "Accounts")
	p.shows(t, "#list [role=alert]", "Role must be")
	// The wallet's own name, and an icon that would be a request to somebody.
	press(t, p, "#sign-out")
	evaluate[bool](t, p, "!!test.makeWallet('<img src=x onerror=hacked=1>')")
	p.shows(t, "#wallets li:last-child", "<img src=x onerror=hacked=1>")
	if evaluate[bool](t, p, "'hacked' in window || !!document.querySelector('main img[src=x], main script, main svg[onload]')") {
		t.Error("what somebody typed is HTML")
	}
	p.checkPolicy(t)
}

// loginAs signs in under the name of a device, with a User-Agent.
func (w *wallet) loginAs(s *server, device, userAgent string) {
	w.t.Helper()
	_, nonce := exchange(w.t, "GET", s.url+"/auth/nonce?transport=bearer", "", "")
	body := map[string]any{}
	if err := json.Unmarshal([]byte(w.run(encode(w.t, nonce), "login")), &body); err != nil {
		w.t.Fatal(err)
	}
	body["deviceName"] = device
	r, err := http.NewRequest("POST", s.url+"/auth/login", strings.NewReader(encode(w.t, body)))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		w.t.Fatalf("login of %q: %s %s", device, response.Status, text)
	}
}

func encode(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// elevated reports whether one of an account's sessions was begun or stepped up lately.
func (c *consoleTest) elevated(account string) bool {
	c.Helper()
	return strings.Contains(fmt.Sprint(c.call("GET", "/api/admin/users/"+account, "")["sessions"]), "elevatedUntil")
}

// An action that needs a fresh signature asks the wallet, and goes on by itself.
func testConsoleStepUp(t *testing.T, start func(...string) *consoleTest) {
	c := start("STEP_UP_MINUTES=0.1")
	w := newWallet(t)
	other := newWallet(t)
	p := c.signIn(c.admin, "#/accounts/"+w.address)
	p.shows(t, "#unknown", "it never signed in")
	waitFor(t, "the end of the fresh login", func() bool { return !c.elevated(c.admin.address) })

	press(t, p, "#block")
	p.typeInto(t, "#note", "kept")
	p.declineOnce()
	press(t, p, "dialog button[type=submit]")
	// The user declines first, and then signs in the same dialog.
	p.shows(t, "dialog:last-of-type", "Sign to go on", "You declined in the wallet.")
	if n := p.signatures(); n != 1 {
		t.Errorf("before the step-up there were %d signatures, want that of the sign-in", n)
	}
	press(t, p, "dialog:last-of-type .primary")
	p.shows(t, "#toast", "Blocked.")
	p.shows(t, "#blocked", "kept")

	// Without a signature nothing happens, and the dialog says so.
	waitFor(t, "the end of the fresh step-up", func() bool { return !c.elevated(c.admin.address) })
	p.find(t, other.address)
	press(t, p, "#block")
	p.declineOnce()
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "dialog:last-of-type", "You declined in the wallet.")
	press(t, p, "dialog:last-of-type .secondary")
	p.shows(t, "dialog [role=alert]", "This needs a fresh signature, and you did not sign.")
	p.escape(t)
	if c.isBlocked(other.address) {
		t.Error("without a signature it was blocked")
	}
	// With one, in the moment of the click, no further click is needed.
	press(t, p, "#block")
	p.confirm(t, "Blocked.")
	if n := p.signatures(); n != 3 {
		t.Errorf("there were %d signatures, want 3", n)
	}
	evaluate[bool](t, p, fmt.Sprintf("(test.wallet.emit('accountsChanged', [%q]), true)", other.address))
	p.shows(t, "#switched", "Your wallet has switched to "+other.address[:8], "Switch back in the wallet")
	evaluate[bool](t, p, fmt.Sprintf("(test.wallet.emit('accountsChanged', [%q]), true)", c.admin.address))
	p.await(t, "!document.querySelector('#switched').textContent")
	p.checkPolicy(t)
}
