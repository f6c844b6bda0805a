package upgrade_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/lambdatest"
	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/config"
	"latchkey/shared/token"
)

// ticketWorld is a release and this version, which issues and takes tickets and
// answers backends. The release does not.
type ticketWorld struct {
	deployment
	key     string // of a backend
	release *server
	current *server
	guard   *api.API // this version's authorizer
}

// testTickets lets a member of both versions use what only this one has. The
// release lists the event that it does not know, and ends what it ends.
func testTickets(t *testing.T, old, current version, transport string) {
	w := ticketWorld{key: token.NewServiceKey()}
	hash, err := token.ServiceKeyHash(w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.deployment = newDeployment(t, fmt.Sprintf("SERVICE_KEYS=orders=%x", hash))
	w.release, w.current = w.start(t, old), w.start(t, current)
	w.guard = w.authorizer(t)
	m := newMember(t, transport).signIn(t, w.release)

	w.uses(t, m)
	w.ends(t, m.again().signIn(t, w.release))
	w.rollsBack(t, m)
	w.release.stop(t)
	checkFormats(t, w.redis)
}

// authorizer is the authorizer of this version in this process, on the same
// Redis.
func (w ticketWorld) authorizer(t *testing.T) *api.API {
	t.Helper()
	cfg, err := config.Load(func(name string) string {
		for _, variable := range slices.Backward(w.variables) {
			if value, ok := strings.CutPrefix(variable, name+"="); ok {
				return value
			}
		}
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	env := awsenv.Environment{
		Getenv: func(string) string { return "" }, Now: time.Now, Log: boot.NewLogger(new(lambdatest.Output)),
	}
	service, err := boot.NewService(context.Background(), cfg, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return service.API
}

// ticket asks this version for a ticket.
func (w ticketWorld) ticket(t *testing.T, m *member) string {
	t.Helper()
	return fmt.Sprint(m.ask(t, w.current, "POST", "/auth/ticket", nil).ok(t).get("ticket"))
}

// connects reports whether a WebSocket with a ticket is allowed.
func (w ticketWorld) connects(m *member, ticket, connection string) bool {
	_, decision := w.guard.Authorize(context.Background(), api.Guarded{
		Info:   api.RequestInfo{SourceIP: netip.MustParseAddr(m.From)},
		Method: "GET", Header: http.Header{"User-Agent": {m.Agent}},
		Handshake: true, Offered: ticket, Connection: connection,
	})
	return decision == api.Allowed
}

// validate asks this version about a member's credential, as a backend.
func (w ticketWorld) validate(t *testing.T, m *member) answer {
	t.Helper()
	body := map[string]string{"token": m.Access}
	if m.Transport == "cookie" {
		_, port, _ := strings.Cut(strings.TrimPrefix(w.current.url, "http://"), ":")
		body = map[string]string{"cookie": "session_" + port + "=" + m.Cookies["session"], "method": "GET"}
	}
	return newMember(t, "bearer").ask(t, w.current, "POST", "/auth/validate", body,
		"Authorization", "Bearer "+w.key).ok(t)
}

// uses spends a ticket of a session of the release, once, and validates the
// tokens that the release issues.
func (w ticketWorld) uses(t *testing.T, m *member) {
	t.Helper()
	ticket := w.ticket(t, m)
	for _, c := range []struct {
		connection string
		opens      bool
	}{{"one", true}, {"one", true}, {"two", false}} {
		if w.connects(m, ticket, c.connection) != c.opens {
			t.Errorf("a ticket does not open one connection: %s", c.connection)
		}
	}
	for _, path := range []string{"/auth/ticket", "/auth/validate"} {
		m.ask(t, w.release, "POST", path, nil).want(t, http.StatusNotFound, "")
	}
	before := m.copy()
	m.take(m.refresh(t, w.release).ok(t))
	for _, one := range []*member{before, m} {
		if a := w.validate(t, one); a.get("active") != true || a.get("sessionId") != m.ID {
			t.Errorf("a token of the release is %s", a.text)
		}
	}
	known := w.types(t, m, w.current)
	if want := []string{"refresh", "ticket.reused", "login"}; !slices.Equal(known, want) {
		t.Errorf("the activity has %v, want %v", known, want)
	}
	if got, want := w.types(t, m, w.release), []string{"refresh", "unknown", "login"}; !slices.Equal(got, want) {
		t.Errorf("0.1.0 lists %v, want %v", got, want)
	}
}

// types returns the types of the events of a member's session, newest first.
func (w ticketWorld) types(t *testing.T, m *member, s *server) (types []string) {
	t.Helper()
	events, _ := m.ask(t, s, "GET", "/api/activity", nil).ok(t).get("events").([]any)
	for _, e := range events {
		if e := e.(map[string]any); e["sessionId"] == m.ID {
			types = append(types, fmt.Sprint(e["type"]))
		}
	}
	return types
}

// ends ends a session at the release: neither its ticket nor its token opens it.
func (w ticketWorld) ends(t *testing.T, m *member) {
	t.Helper()
	ticket := w.ticket(t, m)
	m.ask(t, w.release, "POST", "/auth/logout", nil).ok(t)
	if w.connects(m, ticket, "three") {
		t.Error("a ticket outlives its session")
	}
	if a := w.validate(t, m); a.get("active") != false || a.get("reason") != "logged_out" {
		t.Errorf("an ended session is %s", a.text)
	}
}

// rollsBack stops this version while a ticket is unused. The release serves the
// member, and what it ignores expires.
func (w ticketWorld) rollsBack(t *testing.T, m *member) {
	t.Helper()
	w.ticket(t, m)
	w.current.stop(t)
	m.take(m.refresh(t, w.release).ok(t))
	m.ask(t, w.release, "GET", "/api/profile", nil).ok(t)
	keys := w.redis.Keys(t, w.redis.Prefix+":{???}:k*")
	for _, key := range keys {
		if ttl := w.redis.Client().PTTL(context.Background(), key).Val(); ttl <= 0 || ttl > 2*time.Minute {
			t.Errorf("%q expires in %v", key, ttl)
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d sessions have tickets, want 2", len(keys))
	}
}
