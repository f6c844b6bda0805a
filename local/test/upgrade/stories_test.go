package upgrade_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// pair is two servers of different versions on one Redis, and who uses them.
type pair struct {
	from, to  *server
	admin     *member // signed in, and recently
	transport string  // of new members
}

func (p pair) newMember(t *testing.T) *member {
	t.Helper()
	return newMember(t, p.transport)
}

// stories are what people do, one part at the server from and the next at the
// server to. Each runs in both directions: with the release first, as during an
// upgrade, and with this version first, as during a rollback.
var stories = []struct {
	name string
	run  func(t *testing.T, p pair)
}{
	{"sign in", storySignIn},
	{"devices", storyDevices},
	{"refresh", storyRefresh},
	{"reuse", storyReuse},
	{"step up", storyStepUp},
	{"network", storyNetwork},
	{"state", storyState},
	{"preferences", storyPreferences},
	{"limit", storyLimit},
	{"endings", storyEndings},
	{"roles", storyRoles},
	{"block", storyBlock},
	{"erase", storyErase},
	{"erase blocked", storyEraseBlocked},
}

// agree reads a path from both servers, and ends the test unless the newer
// version shows everything that the older one does. It reads again if the first
// server shows something else afterwards, such as after a sweep.
func (p pair) agree(t *testing.T, m *member, path string) answer {
	t.Helper()
	first := m.ask(t, p.from, "GET", path, nil)
	for {
		second, again := m.ask(t, p.to, "GET", path, nil), m.ask(t, p.from, "GET", path, nil)
		old, current := first, second
		if p.to.old {
			old, current = second, first
		}
		difference := missing(old, current)
		if difference == "" {
			return first
		}
		if missing(first, again) == "" {
			t.Fatalf("%s: %s\n%s: %s\n%s: %s",
				path, difference, p.from.name, first.text, p.to.name, second.text)
		}
		first = again
	}
}

// A login's nonce may come from the other version, and so may its session's
// every request.
func storySignIn(t *testing.T, p pair) {
	m := p.newMember(t)
	body := m.nonce(t, p.from, "login")
	m.logIn(t, p.to, body).ok(t)
	m.again().logIn(t, p.from, body).want(t, http.StatusUnauthorized, "login_failed")
	m.again().logIn(t, p.to, body).want(t, http.StatusUnauthorized, "login_failed")
	n := p.newMember(t).signIn(t, p.from)
	for _, m := range []*member{m, n} {
		for _, path := range []string{
			"/api/profile", "/api/preferences", "/api/state", "/api/sessions", "/api/activity",
		} {
			p.agree(t, m, path).ok(t)
		}
		for _, s := range []*server{p.from, p.to} {
			// The example's authorizer is asked about bearer tokens only.
			if m.Transport == "bearer" {
				m.ask(t, s, "GET", "/protected/orders", nil).ok(t)
			}
		}
	}
}

// agents are clients that a session is bound to, each of another kind.
var agents = []string{
	firefox, "",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36 MetaMaskMobile",
	"Mozilla/5.0 (Linux; Android 16; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
	"curl/8.14.1", "okhttp/5.1.0", "MyWallet/7 (build 3)",
}

// Each version takes a device for the one that the other has seen, with and
// without a device id.
func storyDevices(t *testing.T, p pair) {
	for _, agent := range agents {
		for _, id := range []string{"", "a-device"} {
			m := p.newMember(t).on(agent)
			m.DeviceID = id
			m.signIn(t, p.from)
			p.agree(t, m, "/api/profile").ok(t)
			m.take(m.refresh(t, p.to).ok(t))
			p.agree(t, m, "/api/profile").ok(t)
		}
	}
}

// Both versions compute the same successor, also at the same moment. Meanwhile
// the session stays valid.
func storyRefresh(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	before := m.copy()
	answers, validations := make([]answer, 8), make([]answer, 8)
	var all sync.WaitGroup
	for i := range answers {
		s := []*server{p.from, p.to}[i%2]
		all.Go(func() { answers[i], _ = before.try(s, "POST", "/auth/refresh", before.refreshBody()) })
		all.Go(func() { validations[i], _ = before.try(s, "GET", "/api/profile", nil) })
	}
	all.Wait()
	for _, a := range validations {
		a.ok(t)
	}
	m.take(answers[0].ok(t))
	for _, a := range append(answers, before.refresh(t, p.from), m.refresh(t, p.to)) {
		if tokens := a.ok(t).tokens(); tokens != answers[0].tokens() {
			t.Fatalf("another successor: %s, want %s", tokens, answers[0].tokens())
		}
	}
	p.agree(t, m, "/api/profile").ok(t)
	p.agree(t, before, "/api/profile").ok(t) // until the end of the grace
}

// A superseded token from another device ends the session for both versions.
func storyReuse(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	stolen := m.on("curl/8.14.1")
	m.take(m.refresh(t, p.from).ok(t))
	stolen.refresh(t, p.to).want(t, http.StatusUnauthorized, "refresh_reused")
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "refresh_reused")
	m.refresh(t, p.from).want(t, http.StatusUnauthorized, "refresh_reused")
}

// A step-up that one version requires is required by the other, which also
// accepts it.
func storyStepUp(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	m.on("curl/8.14.1").ask(t, p.to, "GET", "/api/profile", nil).
		want(t, http.StatusUnauthorized, "step_up_required")
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "step_up_required")
	before := m.copy()
	m.stepUp(t, p.from, p.to)
	p.agree(t, m, "/api/profile").ok(t)
	p.agree(t, m, "/api/activity").ok(t)
	p.agree(t, before, "/api/profile").want(t, http.StatusUnauthorized, "token_expired")
	before.refresh(t, p.from).want(t, http.StatusUnauthorized, "invalid_token")
	m.stepUp(t, p.to, p.from)
	p.agree(t, m, "/api/profile").ok(t)
}

// A changed network is recorded once, with its address.
func storyNetwork(t *testing.T, p pair) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have one loopback address")
	}
	m := p.newMember(t).signIn(t, p.from)
	m.From = "127.1.0.1"
	m.ask(t, p.to, "GET", "/api/profile", nil).ok(t)
	if ip := p.agree(t, m, "/api/profile").get("session.lastIp"); ip != m.From {
		t.Errorf("the last address is %v", ip)
	}
	p.agree(t, m, "/api/activity").ok(t)
}

// State that one version stores is read, changed and deleted by the other.
func storyState(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	const key = "/api/state/form.1"
	stored := m.ask(t, p.from, "PUT", key, map[string]int{"step": 1}).ok(t)
	if a := p.agree(t, m, key).ok(t); a.header.Get("ETag") != stored.header.Get("ETag") {
		t.Errorf("the version is %s, want %s", a.header, stored.header)
	}
	m.ask(t, p.to, "PUT", key, 2, "If-None-Match", "*").
		want(t, http.StatusPreconditionFailed, "precondition_failed")
	m.ask(t, p.to, "PUT", key, 2, "If-Match", stored.header.Get("ETag")).ok(t)
	p.agree(t, m, key).ok(t)
	m.ask(t, p.from, "PUT", "/api/state/other?ttl=60", "text").ok(t)
	p.agree(t, m, "/api/state").ok(t)
	m.ask(t, p.to, "DELETE", "/api/state/other", nil).ok(t)
	p.agree(t, m, "/api/state/other").want(t, http.StatusNotFound, "not_found")
}

// Preferences are the same for both versions, and outlive the session.
func storyPreferences(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	const path = "/api/preferences"
	first := m.ask(t, p.from, "PATCH", path, map[string]any{"a": 1, "b": 1}, "If-Match", "*").ok(t)
	second := m.ask(t, p.to, "PATCH", path, map[string]any{"b": nil, "c": 2},
		"If-Match", first.header.Get("ETag")).ok(t)
	m.ask(t, p.from, "PATCH", path, map[string]any{"d": 3}, "If-Match", first.header.Get("ETag")).
		want(t, http.StatusPreconditionFailed, "precondition_failed")
	m.ask(t, p.from, "POST", "/auth/logout", nil).ok(t)
	n := m.again().signIn(t, p.to)
	a := p.agree(t, n, path).ok(t)
	if a.text != second.text || a.header.Get("ETag") != second.header.Get("ETag") {
		t.Errorf("read %s, want %s", a.text, second.text)
	}
}

// sessionLimit is that of accounts without a role. roleLimit is that of the
// role editor.
const (
	sessionLimit = 3
	roleLimit    = 5
)

// The session limit counts the sessions of both versions. A login ends the one
// that was seen longest ago.
func storyLimit(t *testing.T, p pair) {
	first := p.newMember(t).signIn(t, p.from)
	for i := range 2 * sessionLimit {
		s := []*server{p.to, p.from}[i%2]
		n := first.again()
		a := n.logIn(t, s, n.nonce(t, s, "login")).ok(t)
		if evicted, _ := a.get("evicted").([]any); len(evicted) != min(1, max(0, i+2-sessionLimit)) {
			t.Errorf("login %d: %s", i+2, a.text)
		}
		all, _ := p.agree(t, n, "/api/sessions").ok(t).get("sessions").([]any)
		if len(all) != min(i+2, sessionLimit) {
			t.Errorf("after login %d there are %d sessions", i+2, len(all))
		}
	}
	p.agree(t, first, "/api/profile").want(t, http.StatusUnauthorized, "evicted")
}

// ways are the ways to end the session of a client. Another client has a
// session of the same account.
var ways = []struct {
	reason string
	end    func(t *testing.T, p pair, m, other *member) answer
}{
	{"logged_out", func(t *testing.T, p pair, m, _ *member) answer {
		return m.ask(t, p.to, "POST", "/auth/logout", nil)
	}},
	{"logged_out", func(t *testing.T, p pair, _, other *member) answer {
		return other.ask(t, p.to, "POST", "/auth/logout", map[string]bool{"everywhere": true})
	}},
	{"logged_out", func(t *testing.T, p pair, m, _ *member) answer { // by the next login
		n := m.copy()
		return n.logIn(t, p.to, n.nonce(t, p.from, "login"))
	}},
	{"revoked", func(t *testing.T, p pair, m, other *member) answer {
		return other.ask(t, p.to, "DELETE", "/api/sessions/"+m.ID, nil)
	}},
	{"revoked", func(t *testing.T, p pair, _, other *member) answer {
		return other.ask(t, p.to, "DELETE", "/api/sessions", nil)
	}},
	{"revoked_by_admin", func(t *testing.T, p pair, m, _ *member) answer {
		return p.admin.ask(t, p.to, "DELETE", "/api/admin/sessions/"+m.ID, nil)
	}},
	{"revoked_by_admin", func(t *testing.T, p pair, m, _ *member) answer {
		return p.admin.ask(t, p.to, "DELETE", m.adminPath()+"/sessions", nil)
	}},
}

// However a session ends at one version, it has ended for the other, for the
// same reason and at the same time.
func storyEndings(t *testing.T, p pair) {
	for _, way := range ways {
		m := p.newMember(t).signIn(t, p.from)
		way.end(t, p, m, m.again().signIn(t, p.from)).ok(t)
		p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, way.reason)
		m.refresh(t, p.from).want(t, http.StatusUnauthorized, way.reason)
		m.ask(t, p.from, "POST", "/auth/logout", nil).ok(t)
		p.agree(t, p.admin, "/api/admin/activity?address="+m.address()).ok(t)
	}
}

// A role holds for both versions from the next request on, and is gone as soon.
// The session limit and the permissions follow from it.
func storyRoles(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	for i, roles := range []rolesBody{{"editor"}, {"admin", "editor"}, {"admin"}, {}} {
		s := []*server{p.from, p.to}[i%2]
		p.admin.ask(t, s, "PUT", m.adminPath()+"/roles", roles).ok(t)
		want := fmt.Sprint(append([]string{"user"}, roles...))
		for _, a := range []answer{p.agree(t, m, "/api/profile"), p.agree(t, p.admin, m.adminPath())} {
			if got := fmt.Sprint(a.ok(t).get("user.roles")); got != want {
				t.Errorf("after %v at %s the roles are %s", roles, s.name, got)
			}
		}
		limit, status := float64(sessionLimit), http.StatusForbidden
		if slices.Contains(roles, "editor") {
			limit = roleLimit
		}
		if slices.Contains(roles, "admin") {
			status = http.StatusOK
		}
		if a := p.agree(t, m, "/api/sessions").ok(t); a.get("limit") != limit {
			t.Errorf("with %v: %s", roles, a.text)
		}
		p.agree(t, m, "/api/admin/sessions").want(t, status, "")
	}
}

// A block ends every session and refuses every login, at both versions, until
// either lifts it.
func storyBlock(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	p.admin.ask(t, p.from, "POST", m.adminPath()+"/block", nil).ok(t)
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "account_blocked")
	if a := p.agree(t, p.admin, m.adminPath()).ok(t); a.get("blocked") != true {
		t.Error(a.text)
	}
	for _, s := range []*server{p.to, p.from} {
		n := m.again()
		n.logIn(t, s, n.nonce(t, s, "login")).want(t, http.StatusForbidden, "account_blocked")
	}
	p.admin.ask(t, p.to, "POST", m.adminPath()+"/unblock", nil).ok(t)
	p.agree(t, m.again().signIn(t, p.from), "/api/profile").ok(t)
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "account_blocked")
}

// furnish gives a member's account data and a role, at the server from.
func (p pair) furnish(t *testing.T, m *member) {
	t.Helper()
	m.ask(t, p.from, "PATCH", "/api/preferences", map[string]int{"a": 1}, "If-Match", "*").ok(t)
	m.ask(t, p.from, "PUT", "/api/state/a", 1).ok(t)
	p.admin.ask(t, p.from, "PUT", m.adminPath()+"/roles", rolesBody{"editor"}).ok(t)
}

// An account that its owner erases at one version is a new one to the other.
func storyErase(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	p.furnish(t, m)
	m.ask(t, p.to, "DELETE", "/api/profile", nil).ok(t)
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "account_erased")
	p.agree(t, p.admin, m.adminPath()).want(t, http.StatusNotFound, "not_found")
	a := p.agree(t, m.again().signIn(t, p.from), "/api/profile").ok(t)
	if fmt.Sprint(a.get("user.roles"), a.get("preferences")) != "[user] map[]" {
		t.Error(a.text)
	}
}

// An account that an admin erases stays blocked.
func storyEraseBlocked(t *testing.T, p pair) {
	m := p.newMember(t).signIn(t, p.from)
	p.furnish(t, m)
	p.admin.ask(t, p.from, "POST", m.adminPath()+"/block", nil).ok(t)
	p.admin.ask(t, p.to, "DELETE", m.adminPath(), nil).ok(t)
	p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "account_blocked")
	a := p.agree(t, p.admin, m.adminPath()).ok(t)
	if fmt.Sprint(a.get("blocked"), a.get("user.roles")) != "true [user]" {
		t.Error(a.text)
	}
}
