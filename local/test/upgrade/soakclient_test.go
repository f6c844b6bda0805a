package upgrade_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// signIn creates a session with a nonce of the other server.
func (c *soakClient) signIn(t *testing.T, s [2]*server) {
	t.Helper()
	m := c.account.wallet.again()
	a := m.logIn(t, s[1], m.nonce(t, s[0], "login"))
	if a.status == http.StatusForbidden && a.get("code") == "account_blocked" {
		return
	}
	a.ok(t)
	c.live, c.state = m, -1
}

// refresh sends the same token to both servers at once.
func (c *soakClient) refresh(t *testing.T, s [2]*server) {
	t.Helper()
	var answers [2]answer
	var errs [2]error
	var both sync.WaitGroup
	for i := range s {
		both.Go(func() {
			answers[i], errs[i] = c.live.try(s[i], "POST", "/auth/refresh", c.live.refreshBody())
		})
	}
	both.Wait()
	for i, a := range answers {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !c.goesOn(t, a) {
			return
		}
	}
	if answers[0].tokens() != answers[1].tokens() {
		t.Fatalf("two successors: %s and %s", answers[0].text, answers[1].text)
	}
	c.live.take(answers[0])
}

// looks reads what the client has stored, at the other server.
func (c *soakClient) looks(t *testing.T, s *server, path, want string) {
	t.Helper()
	a := c.live.ask(t, s, "GET", path, nil)
	if a.status == http.StatusNotFound && s.old {
		// State ends with its session, and 0.1.0 does not look again why it is
		// missing.
		a = c.live.ask(t, s, "GET", "/api/profile", nil)
		if a.status == http.StatusOK {
			t.Errorf("%s of %s is missing", path, s.name)
		}
	}
	if c.goesOn(t, a) && !strings.Contains(a.text, want) {
		t.Errorf("%s of %s is %s, want %s", path, s.name, a.text, want)
	}
}

// endings are why a session may end during the soak.
var endings = []string{"evicted", "account_blocked", "revoked_by_admin", "logged_out"}

// goesOn reports whether the session is live by an answer. Anything but a
// success or an end that may have happened is an error.
func (c *soakClient) goesOn(t *testing.T, a answer) bool {
	t.Helper()
	reason, _ := a.get("reason").(string)
	if a.get("code") == "session_ended" && slices.Contains(endings, reason) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = append(c.ended, ended{c.live, a})
		c.live = nil
		return false
	}
	a.ok(t)
	return true
}

// settle finds out which sessions are live, once nothing else is under way.
func (p *population) settle(t *testing.T, s *server) {
	t.Helper()
	for _, c := range p.clients {
		if c.live != nil {
			c.goesOn(t, c.live.ask(t, s, "GET", "/api/profile", nil))
		}
	}
}

// holds checks everything that must hold, at both servers.
func (p *population) holds(t *testing.T, from, to *server) {
	t.Helper()
	both := pair{from: from, to: to}
	active := 1 // the admin's
	for _, a := range p.accounts {
		p.shows(t, a, from)
		both.agree(t, p.admin, a.wallet.adminPath())
		both.agree(t, p.admin, "/api/admin/activity?address="+a.wallet.address()).ok(t)
		active += len(p.sessions(t, a, to))
	}
	for _, c := range p.clients {
		if c.live == nil {
			continue
		}
		both.agree(t, c.live, "/api/profile").ok(t)
		both.agree(t, c.live, "/api/state").ok(t)
		for _, s := range []*server{from, to} {
			c.stored(t, s)
		}
	}
	for _, e := range p.ended {
		a := both.agree(t, e.member, "/api/profile")
		if difference := missing(e.answer, a); difference != "" {
			t.Errorf("a session that ended as %s: %s", e.text, difference)
		}
	}
	counted := both.agree(t, p.admin, "/api/admin/sessions").ok(t).get("active")
	if counted != float64(active) {
		t.Errorf("%v sessions are counted, and %d listed", counted, active)
	}
}

// stored checks that a server has what the client stored last.
func (c *soakClient) stored(t *testing.T, s *server) {
	t.Helper()
	if c.state >= 0 {
		c.looks(t, s, "/api/state/step", strconv.Itoa(c.state))
	}
	if c.theme >= 0 {
		c.looks(t, s, "/api/preferences", fmt.Sprintf("%q:%d", c.name, c.theme))
	}
}

// use changes everything that another version has left, at one server. Another
// account is blocked then.
func (p *population) use(t *testing.T, s *server) {
	t.Helper()
	for _, c := range p.clients {
		if c.live == nil {
			continue
		}
		c.live.take(c.live.refresh(t, s).ok(t))
		c.live.stepUp(t, s, s)
		c.state, c.theme = c.state+1, c.theme+1
		c.live.ask(t, s, "PUT", "/api/state/step", c.state).ok(t)
		patch := map[string]int{c.name: c.theme}
		c.live.ask(t, s, "PATCH", "/api/preferences", patch, "If-Match", "*").ok(t)
	}
	i := slices.IndexFunc(p.accounts, func(a *account) bool { return a.blocked })
	free, next := p.accounts[i], p.accounts[(i+1)%len(p.accounts)]
	m := free.wallet.again()
	m.logIn(t, s, m.nonce(t, s, "login")).want(t, http.StatusForbidden, "account_blocked")
	p.admin.ask(t, s, "POST", free.wallet.adminPath()+"/unblock", nil).ok(t)
	p.admin.ask(t, s, "POST", next.wallet.adminPath()+"/block", nil).ok(t)
	free.blocked, next.blocked = false, true
	for _, c := range p.clients {
		if c.account == free {
			c.signIn(t, [2]*server{s, s})
		}
	}
	free.roles = rolesBody{"editor"}
	p.admin.ask(t, s, "PUT", free.wallet.adminPath()+"/roles", free.roles).ok(t)
	p.settle(t, s)
}
