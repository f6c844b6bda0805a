package upgrade_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestUpgrade runs each release and this version side by side on one Redis.
func TestUpgrade(t *testing.T) {
	for _, r := range releases {
		t.Run(r.version, func(t *testing.T) {
			old, current := r.build(t)
			both := [][2]version{{old, current}, {current, old}}
			t.Run("bearer", func(t *testing.T) { testStories(t, old, current, "bearer") })
			t.Run("cookie", func(t *testing.T) {
				// Only outside local the cookies have the names that browsers see.
				testStories(t, old, current, "cookie", "APP_ENV=production",
					"SESSION_SECRET="+rand.Text()+rand.Text(),
					"SESSION_ENCRYPTION_KEY="+(rand.Text() + rand.Text())[:32])
			})
			t.Run("rate limits", func(t *testing.T) {
				for _, v := range both {
					testRateLimits(t, v[0], v[1])
				}
			})
			t.Run("sweeps", func(t *testing.T) {
				for _, v := range both {
					testSweeps(t, v[0], v[1])
				}
			})
			t.Run("contracts", func(t *testing.T) {
				for _, transport := range []string{"bearer", "cookie"} {
					t.Run(transport, func(t *testing.T) { testContracts(t, old, current, transport) })
				}
			})
			t.Run("tickets", func(t *testing.T) {
				for _, transport := range []string{"bearer", "cookie"} {
					t.Run(transport, func(t *testing.T) { testTickets(t, old, current, transport) })
				}
			})
			t.Run("registry", func(t *testing.T) { testRegistry(t, old, current) })
			t.Run("registry rollback", func(t *testing.T) { testRegistryRollback(t, old, current) })
			t.Run("details", func(t *testing.T) { testDetails(t, old, current) })
			t.Run("events", func(t *testing.T) { testEvents(t, old, current) })
			t.Run("hours", func(t *testing.T) { testHours(t, old, current) })
			t.Run("soak", func(t *testing.T) { testSoak(t, old, current) })
		})
	}
}

// administered are the variables of a deployment with an admin, roles, and
// limits.
func administered(admin *member) []string {
	return []string{
		"ADMIN_ADDRESSES=" + admin.address(),
		fmt.Sprintf(`ROLES={"editor":{"permissions":["posts:write"],"maxSessions":%d}}`, roleLimit),
		fmt.Sprint("MAX_CONCURRENT_SESSIONS=", sessionLimit),
	}
}

// testStories runs every story in both directions.
func testStories(t *testing.T, old, current version, transport string, variables ...string) {
	admin := newMember(t, transport)
	d := newDeployment(t, append(administered(admin), variables...)...)
	first, second := d.start(t, old), d.start(t, current)
	admin.signIn(t, first)
	upgrade := pair{first, second, admin, transport}
	rollback := pair{second, first, admin, transport}
	for name, p := range map[string]pair{"upgrade": upgrade, "rollback": rollback} {
		t.Run(name, func(t *testing.T) {
			for _, story := range stories {
				t.Run(story.name, func(t *testing.T) { story.run(t, p) })
			}
		})
	}
	upgrade.agree(t, admin, "/api/admin/sessions").ok(t)
	first.stop(t)
	second.stop(t)
	checkFormats(t, d.redis)
}

// testRateLimits uses limits up at one version. The other one refuses then.
func testRateLimits(t *testing.T, v, other version) {
	d := newDeployment(t, "RATE_LIMIT_NONCE_PER_MINUTE=1", "RATE_LIMIT_LOGIN_PER_MINUTE=1",
		"RATE_LIMIT_REFRESH_PER_MINUTE=1")
	from, to := d.start(t, v), d.start(t, other)
	m := newMember(t, "bearer").signIn(t, from)
	m.ask(t, to, "GET", "/auth/nonce", nil).want(t, http.StatusTooManyRequests, "rate_limited")
	m.take(m.refresh(t, from).ok(t))
	m.refresh(t, to).want(t, http.StatusTooManyRequests, "rate_limited")
	if runtime.GOOS == "linux" { // from another network, only the account's limit is used up
		n := m.again()
		n.From = "127.1.0.1"
		n.logIn(t, to, n.nonce(t, to, "login")).
			want(t, http.StatusTooManyRequests, "rate_limited")
	}
	from.stop(t)
	to.stop(t)
}

// testSweeps lets sessions of one version time out. The sweeper of the other
// ends them.
func testSweeps(t *testing.T, v, other version) {
	admin := newMember(t, "bearer")
	d := newDeployment(t, administered(admin)...)
	members := timedOut(t, d, v)
	to := d.start(t, other)
	first := to.swept(t)
	from := d.start(t, v)
	if second := from.swept(t); first != len(members) || second != 0 {
		t.Errorf("the sweeps ended %d and %d sessions, want %d and 0", first, second, len(members))
	}
	p := pair{from: from, to: to, admin: admin.signIn(t, to)}
	for _, m := range members {
		p.agree(t, m, "/api/profile").want(t, http.StatusUnauthorized, "idle_timeout")
		a := p.agree(t, admin, "/api/admin/activity?address="+m.address()).ok(t)
		if n := strings.Count(a.text, `"idle_timeout"`); n != 1 {
			t.Errorf("%d ends in %s", n, a.text)
		}
	}
	a := p.agree(t, admin, "/api/admin/sessions").ok(t)
	if a.get("active") != 1.0 || a.get("last24h.ended.idle_timeout") != float64(len(members)) {
		t.Error(a.text)
	}
	from.stop(t)
	to.stop(t)
}

// timedOut returns members whose sessions have passed their idle end, and are
// not swept yet.
func timedOut(t *testing.T, d deployment, v version) (members []*member) {
	t.Helper()
	d.variables = slices.Concat(d.variables,
		[]string{"SESSION_TIMEOUT_MINUTES=0.01", "SESSION_TOUCH_SECONDS=0.1"})
	s := d.start(t, v)
	s.swept(t) // the next sweep is a minute later
	var end time.Time
	for range 6 {
		m := newMember(t, "bearer")
		a := m.logIn(t, s, m.nonce(t, s, "login")).ok(t)
		var err error
		if end, err = time.Parse(time.RFC3339, fmt.Sprint(a.get("session.idleExpiresAt"))); err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	s.stop(t)
	<-time.After(time.Until(end)) // the clock of another process cannot be set
	return members
}
