package upgrade_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
)

const (
	soakAccounts = 3
	soakClients  = 4  // of each account, one more than the session limit
	soakSteps    = 60 // of each client
	soakChanges  = 40 // by the admin
)

// population is accounts with their sessions, and what must hold for them.
type population struct {
	random   *rand.Rand // of the admin
	admin    *member
	accounts []*account
	clients  []*soakClient

	mu    sync.Mutex
	ended []ended
}

// account is what an admin has set for an account.
type account struct {
	wallet  *member // without a session
	roles   rolesBody
	blocked bool
}

// ended is a session that has ended, and how that was answered first.
type ended struct {
	*member
	answer
}

// testSoak lets clients use both versions at once, while an admin changes roles
// and blocks accounts. Then this version replaces the release, and the release
// replaces this version. Each time everything still holds and can be changed.
func testSoak(t *testing.T, old, current version) {
	p := newPopulation(t)
	d := newDeployment(t, administered(p.admin)...)
	first := d.start(t, old)
	p.admin.signIn(t, first)
	second := d.start(t, current)
	p.soak(t, []*server{first, second})
	p.prepare(t, first)
	p.holds(t, first, second)

	first.stop(t) // upgraded
	p.holds(t, second, second)
	p.use(t, second)
	first = d.start(t, old)
	p.holds(t, second, first)

	second.stop(t) // rolled back
	p.holds(t, first, first)
	p.use(t, first)
	second = d.start(t, current)
	p.holds(t, first, second)
	first.stop(t)
	second.stop(t)
	checkFormats(t, d.redis)
}

// prepare leaves accounts with sessions and roles, and one that is blocked.
func (p *population) prepare(t *testing.T, s *server) {
	t.Helper()
	p.settle(t, s)
	for _, c := range p.clients {
		if c.live == nil {
			c.signIn(t, [2]*server{s, s})
		}
	}
	p.accounts[0].blocked, p.accounts[1].roles = true, rolesBody{"editor"}
	p.admin.ask(t, s, "POST", p.accounts[0].wallet.adminPath()+"/block", nil).ok(t)
	p.admin.ask(t, s, "PUT", p.accounts[1].wallet.adminPath()+"/roles", rolesBody{"editor"}).ok(t)
	p.settle(t, s)
	live := 0
	for _, c := range p.clients {
		if c.live != nil {
			live++
		}
	}
	t.Logf("%d sessions have ended, and %d are live", len(p.ended), live)
	if len(p.ended) < soakClients || live < soakClients {
		t.Error("these are too few to show anything")
	}
}

// newPopulation generates accounts and clients without sessions.
func newPopulation(t *testing.T) *population {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := &population{random: rand.New(rand.NewPCG(seed, 0)), admin: newMember(t, "bearer")}
	for range soakAccounts {
		a := &account{wallet: newMember(t, "bearer")}
		p.accounts = append(p.accounts, a)
		for range soakClients {
			n := len(p.clients)
			p.clients = append(p.clients, &soakClient{
				population: p, account: a, name: fmt.Sprint("client ", n),
				random: rand.New(rand.NewPCG(seed, uint64(1+n))), theme: -1,
			})
		}
	}
	return p
}

// soak makes the clients and the admin work at the same time.
func (p *population) soak(t *testing.T, servers []*server) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range p.clients {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				for range soakSteps {
					c.step(t, draw(c.random, servers))
				}
			})
		})
	}
	all.Go(func() {
		t.Run("admin", func(t *testing.T) {
			for i := range soakChanges {
				s := draw(p.random, servers)
				p.change(t, p.accounts[i%len(p.accounts)], s[0], s[1])
			}
		})
	})
	all.Wait()
}

// draw returns two servers in random order.
func draw(random *rand.Rand, servers []*server) [2]*server {
	i := random.IntN(2)
	return [2]*server{servers[i], servers[1-i]}
}

// change makes one change of an account at a server. The other server shows it
// at once.
func (p *population) change(t *testing.T, a *account, s, other *server) {
	t.Helper()
	switch p.random.IntN(3) {
	case 0:
		a.roles = []rolesBody{{}, {"editor"}}[p.random.IntN(2)]
		p.admin.ask(t, s, "PUT", a.wallet.adminPath()+"/roles", a.roles).ok(t)
		p.shows(t, a, other)
	case 1:
		p.admin.ask(t, s, "POST", a.wallet.adminPath()+"/block", nil).ok(t)
		if all := p.sessions(t, a, other); len(all) > 0 {
			t.Errorf("a blocked account has sessions: %v", all)
		}
		m := a.wallet.again()
		m.logIn(t, other, m.nonce(t, s, "login")).want(t, http.StatusForbidden, "account_blocked")
		p.admin.ask(t, other, "POST", a.wallet.adminPath()+"/unblock", nil).ok(t)
		p.shows(t, a, s)
	case 2:
		before := p.sessions(t, a, other)
		p.admin.ask(t, s, "DELETE", a.wallet.adminPath()+"/sessions", nil).ok(t)
		for _, id := range p.sessions(t, a, other) {
			if slices.Contains(before, id) {
				t.Errorf("session %s has been revoked and is live", id)
			}
		}
	}
}

// shows checks what a server shows of an account.
func (p *population) shows(t *testing.T, a *account, s *server) {
	t.Helper()
	got := p.admin.ask(t, s, "GET", a.wallet.adminPath(), nil)
	if got.status == http.StatusNotFound && len(a.roles) == 0 && !a.blocked {
		return // it has not signed in yet
	}
	roles := fmt.Sprint(slices.Concat([]string{"user"}, a.roles))
	if fmt.Sprint(got.ok(t).get("user.roles")) != roles || got.get("blocked") != a.blocked {
		t.Errorf("%s shows %s, want the roles %s and blocked %t", s.name, got.text, roles, a.blocked)
	}
}

// sessions returns the ids of an account's live sessions.
func (p *population) sessions(t *testing.T, a *account, s *server) (ids []string) {
	t.Helper()
	list, _ := p.admin.ask(t, s, "GET", a.wallet.adminPath(), nil).get("sessions").([]any)
	for _, one := range list {
		ids = append(ids, fmt.Sprint(one.(map[string]any)["id"]))
	}
	return ids
}

// soakClient is a client of an account. It has one session at a time.
type soakClient struct {
	*population
	account *account
	name    string
	random  *rand.Rand
	live    *member // nil without a session
	state   int     // what the session has stored last
	theme   int     // the preference that the client has stored last, or -1
}

// step does something at one server, and looks at it at the other.
func (c *soakClient) step(t *testing.T, s [2]*server) {
	t.Helper()
	if c.live == nil {
		c.signIn(t, s)
		return
	}
	switch c.random.IntN(5) {
	case 0:
		c.goesOn(t, c.live.ask(t, s[0], "GET", "/api/profile", nil))
	case 1:
		c.refresh(t, s)
	case 2:
		n := c.random.IntN(1 << 20)
		if c.goesOn(t, c.live.ask(t, s[0], "PUT", "/api/state/step", n)) {
			c.state = n
			c.looks(t, s[1], "/api/state/step", fmt.Sprint(n))
		}
	case 3:
		n, patch := c.random.IntN(1<<20), map[string]int{}
		patch[c.name] = n
		if c.goesOn(t, c.live.ask(t, s[0], "PATCH", "/api/preferences", patch, "If-Match", "*")) {
			c.theme = n
			c.looks(t, s[1], "/api/preferences", fmt.Sprintf("%q:%d", c.name, n))
		}
	case 4:
		c.live.ask(t, s[0], "POST", "/auth/logout", nil).ok(t)
		if c.goesOn(t, c.live.ask(t, s[1], "GET", "/api/profile", nil)) {
			t.Error("a logout was undone")
		}
	}
}
