package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"

	"latchkey/local/test/redistest"
)

// exportOf returns a file with accounts that have never signed in.
func exportOf(n int, role string) (text string) {
	for i := range n {
		account := fmt.Sprintf("0x%040x", 1<<60+i)
		text += fmt.Sprintf(`{"user":{"id":%q,"account":%q,"roles":["user",%q]},"sessions":0,"blocked":false}`+"\n",
			fmt.Sprintf("%022d", i), account, role)
	}
	return text
}

// A restore that takes longer than a login is fresh asks the wallet, and goes on. Without a signature it stops, and
// goes on later where it was.
func testConsoleRestoreAndStepUp(t *testing.T, start func(...string) *consoleTest) {
	c := start("STEP_UP_MINUTES=0.1")
	text := exportOf(3, "editor")
	p := c.signIn(c.admin, "#/restore")
	p.shows(t, "main h1", "Restore accounts")
	waitFor(t, "the end of the fresh login", func() bool { return !c.elevated(c.admin.address) })
	p.upload(t, text)
	p.shows(t, "#preview", "3 accounts")
	p.declineOnce()
	press(t, p, "#start")
	p.shows(t, "dialog", "You declined in the wallet.")
	press(t, p, "dialog .secondary")
	p.shows(t, "#progress", "Restored 0, refused 0, left 3 of 3 accounts.")
	p.shows(t, "#restore-end", "you did not sign", "It goes on with the account at which it stopped.")
	press(t, p, "#go-on")
	p.shows(t, "#progress", "Restored 3, refused 0, left 0 of 3 accounts.")
	if n := p.signatures(); n != 2 {
		t.Errorf("the wallet has signed %d times, want 2", n)
	}
	if got := fmt.Sprint(c.call("GET", "/api/admin/users?role=editor", "")["users"]); strings.Count(got, "editor") != 3 {
		t.Errorf("after the restore: %s", got)
	}
	p.checkPolicy(t)
}

// With an expired access token the console goes on: the client refreshes, with the token in memory.
func testConsoleExpiry(t *testing.T, start func(...string) *consoleTest) {
	c := start("ACCESS_TOKEN_MINUTES=0.05", "REFRESH_GRACE_SECONDS=1")
	p := c.signIn(c.admin, "#/accounts/"+c.admin.address)
	p.shows(t, "#who-card", c.admin.address)
	evaluate[bool](t, p, "new Promise(resolve => setTimeout(resolve, 3500, true))")
	p.goTo(t, "#/accounts", "Accounts")
	p.shows(t, "#list", "No such account.")
	log := strings.Join(p.log.read(t, p.server), "\n")
	if !strings.Contains(log, "POST /auth/refresh 200") || p.signatures() != 1 {
		t.Errorf("after %d signatures the log has\n%s", p.signatures(), log)
	}
	p.checkPolicy(t)
}

// An admin who loses the role is refused at the next call, and the open console says so.
func testConsoleDemoted(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w, victim := c.user("admin"), newWallet(t)
	p := c.signIn(w, "#/accounts/"+victim.address)
	p.shows(t, "#unknown", "it never signed in")
	press(t, p, "#block")
	c.setRoles(w.address, "support")
	press(t, p, "dialog button[type=submit]")
	p.shows(t, "dialog [role=alert]", "Your account lacks the permission users:write")
	p.shows(t, "#demoted", "Your roles have changed.", "users:write", "sessions:write", "audit:read")
	if nav := evaluate[string](t, p, "document.querySelector('#nav').textContent"); nav != "OverviewAccounts" {
		t.Errorf("it still offers %q", nav)
	}
	press(t, p, "dialog .secondary")
	p.goTo(t, "#/accounts", "Accounts")
	c.setRoles(w.address)
	evaluate[string](t, p, "location.hash = '#/overview'")
	p.shows(t, "#nobody", w.address, "no role but user")
	p.shows(t, "#demoted", "Your roles have changed.")
	if c.isBlocked(victim.address) {
		t.Error("the account is blocked")
	}
	p.checkPolicy(t)
}

// A session that an admin has ended is over at the next call, and after the sign-in it is the same screen.
func testConsoleEnded(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	w := c.user("support")
	p := c.signIn(w, "#/accounts/"+c.admin.address)
	p.shows(t, "#who-card", c.admin.address)
	c.call("DELETE", "/api/admin/users/"+w.address+"/sessions", "")
	p.goTo(t, "#/overview", "Sign in to the console")
	p.shows(t, "#ended", "An admin ended this session.")
	press(t, p, "#wallets button")
	p.shows(t, "main h1", "Overview")
	c.call("POST", "/api/admin/users/"+w.address+"/block", "{}")
	press(t, p, "#reload")
	p.shows(t, "#ended", "An admin blocked your account.")
	press(t, p, "#wallets button")
	p.shows(t, "#sign-in-result", "Your account is blocked.", "Ask another admin")
	p.checkPolicy(t)
}

// Each failure says what happened and what to do, and the next try works.
func testConsoleFailures(t *testing.T, start func(...string) *consoleTest) {
	c := start()
	p := c.signIn(c.admin, "#/accounts")
	p.shows(t, "#list", "No such account.")
	for name, one := range map[string]struct {
		status  int
		headers map[string]string
		body    string
		says    []string
	}{
		"rate limit": {429, map[string]string{"Retry-After": "600"}, `{"code":"rate_limited","detail":"wait"}`,
			[]string{"Too many requests.", "Nothing has changed.", "Try again at "}},
		"gateway's throttle": {429, map[string]string{"Retry-After": "600"}, `{"message":"Too Many Requests"}`,
			[]string{"Too many requests."}},
		"defect": {500, nil, `{"code":"internal","requestId":"abc123"}`, []string{"The server has a defect.", "abc123"}},
		"unavailable": {503, map[string]string{"Retry-After": "600"}, `{"code":"unavailable"}`,
			[]string{"The server cannot reach Redis.", "Try again at "}},
		"forbidden": {403, nil, `{"code":"forbidden","permission":"users:read"}`,
			[]string{"Your account lacks the permission users:read", "Ask an admin"}},
		"HTML": {502, nil, `<html>`, []string{"The server has a defect."}},
	} {
		stop := p.answerWith(t, "*/api/admin/users?*", one.status, one.headers, one.body)
		p.goTo(t, "#/accounts?status=live&name="+strings.ReplaceAll(name, " ", "-"), "Accounts")
		p.shows(t, "#list [role=alert]", one.says...)
		if one.headers != nil {
			p.shows(t, "#waiting", "The server asked to wait until ")
		}
		stop()
		press(t, p, "#list [role=alert] button")
		p.shows(t, "#list table", "admin")
		if t.Failed() {
			t.Fatalf("at %s", name)
		}
	}
	offline := &network.Conditions{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}
	send(t, p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{offline}})
	p.find(t, c.admin.address)
	p.shows(t, "#account [role=alert]", "No answer came from the server.", "Check the network")
	send(t, p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{}})
	press(t, p, "#account [role=alert] button")
	p.shows(t, "#who-card", c.admin.address)
	p.goTo(t, "#/nonsense", "There is no such screen")
	p.goTo(t, "#/accounts/%E0%A4%A", "Account")
	p.shows(t, "#account [role=alert]", "The request is not valid.", "Correct what was typed.")
	p.checkPolicy(t)
}

// Without Redis the console says so, keeps its session, and works once Redis is back.
func testConsoleWithoutRedis(t *testing.T, start func(...string) *consoleTest) {
	r := redistest.ServerWith(t)
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	c := start("REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_KEY_PREFIX="+r.Prefix,
		"REDIS_USERNAME="+r.Username, "REDIS_PASSWORD="+r.Password)
	p := c.signIn(c.admin, "")
	p.shows(t, "#numbers", "Live sessions")
	r.Freeze()
	press(t, p, "#reload")
	p.shows(t, "#health", "Not healthy. The server cannot reach Redis.")
	p.shows(t, "#numbers [role=alert]", "The server cannot reach Redis.", "Try again")
	p.find(t, c.admin.address)
	p.shows(t, "#account [role=alert]", "The server cannot reach Redis.")
	r.Thaw()
	press(t, p, "#account [role=alert] button")
	p.shows(t, "#who-card", c.admin.address)
	if p.signatures() != 1 {
		t.Error("it had to sign in again")
	}
	p.checkPolicy(t)
}
