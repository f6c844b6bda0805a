package upgrade_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// contractChain is the chain of the members that are contracts.
const contractChain = 1337

// chainOf stands in for a chain whose contracts accept every signature, until
// they are told not to.
type chainOf struct {
	url    string
	refuse atomic.Bool
}

func newChain(t *testing.T) *chainOf {
	t.Helper()
	c := new(chainOf)
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

// ServeHTTP implements [http.Handler] with JSON-RPC.
func (c *chainOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ID     any
		Method string
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	result := fmt.Sprintf("0x1626ba7e%056d", 0)
	switch {
	case request.Method == "eth_chainId":
		result = fmt.Sprintf("0x%x", contractChain)
	case c.refuse.Load():
		result = fmt.Sprintf("0x%064d", 0)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": request.ID, "result": result})
}

// newContract is a member whose account is a contract at an address. Its key is
// that of an owner.
func newContract(t *testing.T, transport, address string) *member {
	t.Helper()
	m := newMember(t, transport)
	m.Contract = address
	return m
}

// rollback is a deployment that switched contract wallets on, and is rolled
// back to a release for a while.
type rollback struct {
	deployment
	old, current version
	chain        *chainOf
	admin        *member
	key          *member // of the release, with the same address as holder
	holder       *member // a contract that has everything an account can have
	ends         map[string]*member
}

// testContracts lets contracts sign in at this version, and then runs the
// release, which does not know them. Their sessions are refused there and lose
// nothing: this version opens them again.
func testContracts(t *testing.T, old, current version, transport string) {
	admin, key := newMember(t, "bearer"), newMember(t, transport)
	r := rollback{
		deployment: newDeployment(t, append(administered(admin),
			// A rotation of which nobody learns ends the session at the next refresh.
			"REFRESH_GRACE_SECONDS=0.001", fmt.Sprint("SIWE_CHAIN_IDS=1,", contractChain))...),
		old: old, current: current, chain: newChain(t),
		admin: admin, key: key, holder: newContract(t, transport, key.address()),
		ends: map[string]*member{},
	}
	for _, reason := range []string{"logged_out", "revoked_by_admin", "wallet_changed", "idle_timeout"} {
		r.ends[reason] = newContract(t, transport, newMember(t, transport).address())
	}
	first := r.start(t, old)
	admin.signIn(t, first)
	key.signIn(t, first)
	first.stop(t)
	stored := r.before(t)
	r.during(t)
	r.after(t, stored)
	checkFormats(t, r.redis)
}

// on starts this version with contract wallets switched on.
func (r rollback) on(t *testing.T, variables ...string) *server {
	t.Helper()
	r.variables = slices.Concat(r.variables, []string{
		fmt.Sprintf(`ETHEREUM_RPC={"%d":["%s"]}`, contractChain, r.chain.url),
	}, variables)
	return r.run(t, r.current)
}

// run starts a version. The release takes a contract's cookies for bearer
// tokens, and a recount at either version repairs that.
func (r rollback) run(t *testing.T, v version) *server {
	t.Helper()
	s := r.start(t, v)
	s.repairs = r.holder.Transport == "cookie"
	return s
}

// before is the upgrade. Sessions of the release go on, and contracts sign in.
// It returns what the holder reads.
func (r rollback) before(t *testing.T) (stored map[string]answer) {
	t.Helper()
	brief := r.on(t, "SESSION_TIMEOUT_MINUTES=0.01", "SESSION_TOUCH_SECONDS=0.1")
	late := r.ends["idle_timeout"]
	a := late.logIn(t, brief, late.nonce(t, brief, "login")).ok(t)
	end, err := time.Parse(time.RFC3339, fmt.Sprint(a.get("session.idleExpiresAt")))
	if err != nil {
		t.Fatal(err)
	}
	brief.stop(t)

	s := r.on(t, "WALLET_RECHECK_MINUTES=0.0001")
	r.key.ask(t, s, "GET", "/api/profile", nil).ok(t)
	r.key.take(r.key.refresh(t, s).ok(t))
	r.holder.signIn(t, s)
	for _, reason := range []string{"logged_out", "revoked_by_admin", "wallet_changed"} {
		r.ends[reason].signIn(t, s)
	}
	r.chain.refuse.Store(true)
	<-time.After(10 * time.Millisecond) // until the check is due
	r.ends["wallet_changed"].refresh(t, s).want(t, http.StatusUnauthorized, "wallet_changed")
	r.chain.refuse.Store(false)
	h := r.holder
	h.ask(t, s, "PATCH", "/api/preferences", map[string]int{"a": 1}, "If-Match", "*").ok(t)
	h.ask(t, s, "PUT", "/api/state/form", 1).ok(t)
	r.admin.ask(t, s, "PUT", h.adminPath()+"/roles", rolesBody{"editor"}).ok(t)
	stored = r.read(t, s)
	s.stop(t)
	<-time.After(time.Until(end)) // the clock of another process cannot be set
	return stored
}

// read returns what the holder reads.
func (r rollback) read(t *testing.T, s *server) map[string]answer {
	t.Helper()
	answers := map[string]answer{}
	for _, path := range []string{"/api/profile", "/api/preferences", "/api/state", "/api/state/form"} {
		answers[path] = r.holder.ask(t, s, "GET", path, nil).ok(t)
	}
	return answers
}

// during is the rollback. The release refuses contracts, and what it does to
// the account of the key at the same address is done to that account alone.
func (r rollback) during(t *testing.T) {
	t.Helper()
	s := r.run(t, r.old)
	if n := s.swept(t); n != 1 {
		t.Errorf("the sweep ended %d sessions, want 1: the contract's that timed out", n)
	}
	h := r.holder
	for range 2 {
		h.ask(t, s, "GET", "/api/profile", nil).want(t, http.StatusUnauthorized, "invalid_token")
		h.ask(t, s, "GET", "/api/state/form", nil).want(t, http.StatusUnauthorized, "invalid_token")
		h.ask(t, s, "GET", "/auth/nonce?purpose=step_up", nil).
			want(t, http.StatusUnauthorized, "invalid_token")
		h.refresh(t, s).want(t, http.StatusUnauthorized, "invalid_token")
		h.ask(t, s, "POST", "/auth/step-up", map[string]string{
			"message": "…", "signature": "0x00", "refreshToken": h.Refresh,
		}) // whatever it answers
	}
	again := h.again()
	again.logIn(t, s, again.nonce(t, s, "login")).want(t, http.StatusUnauthorized, "login_failed")
	r.ends["wallet_changed"].ask(t, s, "GET", "/api/profile", nil).
		want(t, http.StatusUnauthorized, "session_ended")
	r.ends["logged_out"].ask(t, s, "POST", "/auth/logout", nil).ok(t)
	r.administer(t, s)
	s.stop(t)
}

// administer ends, blocks and erases at the release, by the only names that it
// has for accounts and sessions.
func (r rollback) administer(t *testing.T, s *server) {
	t.Helper()
	r.key.take(r.key.refresh(t, s).ok(t))
	r.admin.ask(t, s, "DELETE", "/api/admin/sessions/"+r.ends["revoked_by_admin"].ID, nil).ok(t)
	if a := r.admin.ask(t, s, "GET", r.key.adminPath(), nil).ok(t); len(a.get("sessions").([]any)) != 1 {
		t.Errorf("the account of the key has the sessions %s", a.text)
	}
	r.admin.ask(t, s, "DELETE", r.key.adminPath()+"/sessions", nil).ok(t)
	r.key.ask(t, s, "GET", "/api/profile", nil).want(t, http.StatusUnauthorized, "revoked_by_admin")
	r.admin.ask(t, s, "POST", r.key.adminPath()+"/block", nil).ok(t)
	r.admin.ask(t, s, "DELETE", r.key.adminPath(), nil).ok(t)
	r.admin.ask(t, s, "GET", r.holder.adminPath(), nil).want(t, http.StatusBadRequest, "invalid_request")
	if a := r.admin.ask(t, s, "GET", "/api/admin/sessions", nil).ok(t); a.get("active") != 2.0 {
		t.Errorf("the admin's and the holder's session are live, not %s", a.text)
	}
}

// after is the next deployment of this version: everything is as it was, and
// what ended has ended.
func (r rollback) after(t *testing.T, stored map[string]answer) {
	t.Helper()
	s := r.on(t)
	h := r.holder
	for path, now := range r.read(t, s) {
		before := stored[path]
		for _, seen := range []answer{before, now} { // a request is activity
			if session, ok := seen.get("session").(map[string]any); ok {
				delete(session, "lastSeenAt")
				delete(session, "idleExpiresAt")
			}
		}
		if fmt.Sprint(before.body, before.header.Get("ETag")) != fmt.Sprint(now.body, now.header.Get("ETag")) {
			t.Errorf("%s: %s, want %s", path, now.text, before.text)
		}
	}
	h.take(h.refresh(t, s).ok(t))
	h.stepUp(t, s, s)
	if a := h.ask(t, s, "GET", "/api/profile", nil).ok(t); fmt.Sprint(a.get("user.roles")) != "[user editor]" {
		t.Errorf("after a refresh and a step-up: %s", a.text)
	}
	for reason, m := range r.ends {
		m.refresh(t, s).want(t, http.StatusUnauthorized, reason)
	}
	h.again().signIn(t, s)
	r.admin.ask(t, s, "GET", h.adminPath(), nil).ok(t)
	if a := r.admin.ask(t, s, "GET", r.key.adminPath(), nil).ok(t); a.get("blocked") != true {
		t.Errorf("the account of the key is %s", a.text)
	}
	s.stop(t)
}
