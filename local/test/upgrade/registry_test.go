package upgrade_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/session"
)

// testRegistry lets an admin set roles and blocks at both versions, and lists
// accounts at this one. What 0.1.0 has stored is listed after the migration.
// What it takes away is not listed, and leaves the registry with the sweeper's
// recounts.
func testRegistry(t *testing.T, old, current version) {
	d, l := newLister(t, old, current)
	editor, blocked := newMember(t, "bearer").signIn(t, l.old), newMember(t, "bearer")
	l.sets(t, l.old, editor, "editor")
	l.blocks(t, l.old, blocked, "")
	l.lists(t, "role=editor", nil)
	l.lists(t, "status=blocked", nil)
	l.migrate(t, d, 2)
	l.migrate(t, d, 0)
	l.lists(t, "role=editor", map[*member]string{editor: "named"}) // by its session
	l.lists(t, "status=blocked", map[*member]string{blocked: ""})
	editor.ask(t, l.old, "POST", "/auth/logout", nil).ok(t)
	l.lists(t, "", map[*member]string{editor: "", blocked: ""})
	editor.signIn(t, l.current).ask(t, l.old, "POST", "/auth/logout", nil).ok(t)
	l.lists(t, "role=editor", map[*member]string{editor: "named"})

	// Both at once: what either takes away is gone at once.
	spammer := newMember(t, "bearer").signIn(t, l.old)
	l.blocks(t, l.current, spammer, "spam")
	l.blocks(t, l.current, blocked, "theft")
	l.lists(t, "status=blocked", map[*member]string{blocked: "named theft", spammer: "named spam"})
	l.sets(t, l.old, editor)
	l.admin.ask(t, l.old, "POST", blocked.adminPath()+"/unblock", nil).ok(t)
	l.admin.ask(t, l.old, "DELETE", spammer.adminPath(), nil).ok(t)
	l.lists(t, "", map[*member]string{spammer: ""})
	l.registered(t, d, 3, 5)                                        // nobody has told the registry
	if repaired := l.recount(t, d); repaired == 0 || repaired > 3 { // in as many partitions
		t.Errorf("the sweeper repaired the registry of %d partitions, want 3", repaired)
	}
	l.registered(t, d, 1, 0)
	l.lists(t, "", map[*member]string{spammer: ""})
	l.stop(t)
}

// testRegistryRollback lets this version replace the release, the release this
// version, and again. No role, block, name or note is lost.
func testRegistryRollback(t *testing.T, old, current version) {
	d, l := newLister(t, old, current)
	editor, blocked, other := newMember(t, "bearer"), newMember(t, "bearer"), newMember(t, "bearer")
	l.sets(t, l.current, editor, "editor")
	l.blocks(t, l.current, blocked, "spam")
	want := map[*member]string{editor: "named", blocked: "named spam"}
	l.lists(t, "", want)
	l.current.stop(t) // rolled back
	for m, roles := range map[*member]string{editor: "[user editor]", blocked: "[user]"} {
		a := l.admin.ask(t, l.old, "GET", m.adminPath(), nil).ok(t)
		if fmt.Sprint(a.get("user.roles")) != roles || a.get("blocked") != (m == blocked) {
			t.Error(a.text)
		}
	}
	n := blocked.again()
	n.logIn(t, l.old, n.nonce(t, l.old, "login")).want(t, http.StatusForbidden, "account_blocked")
	editor.signIn(t, l.old).ask(t, l.old, "POST", "/auth/logout", nil).ok(t)
	l.sets(t, l.old, other, "editor")
	l.old.stop(t) // upgraded again
	l.current = d.start(t, current)
	l.lists(t, "", want)
	l.migrate(t, d, 1)
	want[other] = ""
	l.lists(t, "", want)
	l.current.stop(t)
}

// testDetails changes roles and blocks at this version. The release reads the
// activity without the details, and pages through it as this version does.
func testDetails(t *testing.T, old, current version) {
	_, l := newLister(t, old, current)
	m := newMember(t, "bearer").signIn(t, l.old)
	for i, roles := range [][]string{{"editor"}, {"admin", "editor"}, {}, {"admin"}, {}} {
		l.sets(t, []*server{l.current, l.old}[i%2], m, roles...)
	}
	l.blocks(t, l.current, m, "spam")
	l.admin.ask(t, l.old, "POST", m.adminPath()+"/unblock", nil).ok(t)
	both := pair{from: l.old, to: l.current, admin: l.admin}
	path := "/api/admin/activity?limit=2&address=" + m.address()
	pages, cursor := 0, ""
	var types []string
	for ; pages < 20; pages++ {
		a := both.agree(t, l.admin, path+cursor).ok(t)
		all, _ := a.get("events").([]any)
		for _, event := range all {
			types = append(types, fmt.Sprint(event.(map[string]any)["type"]))
		}
		next, _ := a.get("next").(string)
		if next == "" {
			break
		}
		cursor = "&cursor=" + next
	}
	want := []string{"account.blocked", "account.unblocked", "login", "roles.changed",
		"roles.changed", "roles.changed", "roles.changed", "roles.changed", "session.ended"}
	slices.Sort(types)
	if !slices.Equal(types, want) || pages != 4 {
		t.Errorf("%d pages have %q, want %q", pages+1, types, want)
	}
	a := l.admin.ask(t, l.current, "GET", "/api/admin/activity?limit=50&address="+m.address(), nil).ok(t)
	if n := strings.Count(a.text, `"rolesAfter"`); n != 3 {
		t.Errorf("%d changes say which roles they set, want 3: %s", n, a.text)
	}
	l.stop(t)
}

// testHours reads the statistics of each version's sweeper at the other.
func testHours(t *testing.T, old, current version) {
	for _, sweeper := range []version{old, current} {
		admin := newMember(t, "bearer")
		d := newDeployment(t, administered(admin)...)
		s := d.start(t, sweeper)
		s.swept(t)
		admin.signIn(t, s)
		other := d.start(t, map[string]version{old.name: current, current.name: old}[sweeper.name])
		p := pair{from: s, to: other, admin: admin}
		if s.old {
			p = pair{from: other, to: s, admin: admin}
		}
		for _, one := range []*server{s, other} {
			a := admin.ask(t, one, "GET", "/api/admin/sessions", nil).ok(t)
			if hours, ok := a.get("hours").([]any); one.old == ok || !one.old && len(hours)%24 != 0 {
				t.Errorf("%s has the hours %v after a sweep of %s", one.name, a.get("hours"), s.name)
			}
		}
		p.agree(t, admin, "/api/admin/sessions").ok(t)
		s.stop(t)
		other.stop(t)
	}
}

// lister is an admin at two servers on one Redis, of which one can list.
type lister struct {
	old, current *server
	admin        *member
}

func newLister(t *testing.T, old, current version) (deployment, *lister) {
	t.Helper()
	l := &lister{admin: newMember(t, "bearer")}
	d := newDeployment(t, administered(l.admin)...)
	l.old, l.current = d.start(t, old), d.start(t, current)
	l.old.repairs, l.current.repairs = true, true // of the registry
	l.admin.signIn(t, l.old)
	return d, l
}

func (l *lister) stop(t *testing.T) {
	t.Helper()
	l.old.stop(t)
	l.current.stop(t)
}

func (l *lister) sets(t *testing.T, s *server, m *member, roles ...string) {
	t.Helper()
	l.admin.ask(t, s, "PUT", m.adminPath()+"/roles", rolesBody(roles)).ok(t)
}

// blocks blocks a member, with a note unless it is empty.
func (l *lister) blocks(t *testing.T, s *server, m *member, note string) {
	t.Helper()
	var body any
	if note != "" {
		body = map[string]string{"note": note}
	}
	l.admin.ask(t, s, "POST", m.adminPath()+"/block", body).ok(t)
}

// lists checks what a list of this version has: "named" if it shows the account,
// and the note. Every other entry is by the user id alone.
func (l *lister) lists(t *testing.T, query string, want map[*member]string) {
	t.Helper()
	a := l.admin.ask(t, l.current, "GET", "/api/admin/users?limit=100&"+query, nil).ok(t)
	ids := map[string]string{}
	for m, shown := range want {
		account := l.admin.ask(t, l.current, "GET", m.adminPath(), nil).ok(t)
		ids[fmt.Sprint(account.get("user.id"))] = strings.ReplaceAll(shown, "named", m.address())
	}
	all, _ := a.get("users").([]any)
	for _, one := range all {
		entry := answer{body: one.(map[string]any)}
		id := fmt.Sprint(entry.get("user.id"))
		var shown []string
		for _, path := range []string{"user.address", "note"} {
			if text, _ := entry.get(path).(string); text != "" {
				shown = append(shown, text)
			}
		}
		got := strings.Join(shown, " ")
		if expected, ok := ids[id]; !ok || !strings.EqualFold(got, expected) {
			t.Errorf("%q lists %s as %q, want %q", query, id, got, expected)
		}
		delete(ids, id)
	}
	if len(ids) > 0 || a.get("next") != nil {
		t.Errorf("%q does not list %v: %s", query, ids, a.text)
	}
}

// store is this version's store with that clock, of what needs no keys.
func (d deployment) store(now time.Time) *session.Store {
	return session.NewStore(d.redis.Product(), nil, session.Options{
		Prefix: d.redis.Prefix, Idle: time.Hour, Absolute: time.Hour, ActivityMax: 50,
		ActivityKeep: 90 * 24 * time.Hour, PreferencesKeep: 365 * 24 * time.Hour,
	}, func() time.Time { return now })
}

// migrate does what local/migrate does, and checks how many accounts it adds to
// the registry.
func (l *lister) migrate(t *testing.T, d deployment, registered int) {
	t.Helper()
	d.redis.EachPrimary(t, func(node *redis.Client) { // as local/migrate needs it
		if err := node.ACLSetUser(t.Context(), d.redis.Username, "+scan", "+pttl").Err(); err != nil {
			t.Fatal(err)
		}
	})
	done, err := d.store(time.Now()).Migrate(context.Background(), session.Migration{})
	if err != nil || done.Registered != registered || done.Damaged != 0 {
		t.Errorf("migrated %+v, %v, want %d added to the registry", done, err, registered)
	}
}

// recount sweeps at each minute of the last hour, so that each partition is
// recounted and no session is due. It returns how many were repaired.
func (l *lister) recount(t *testing.T, d deployment) (repaired int) {
	t.Helper()
	now := time.Now()
	for minute := range 60 {
		at := now.Add(-time.Duration(minute) * time.Minute)
		done, err := d.store(at).Sweep(context.Background())
		if err != nil || !done.Complete || done.Ended != 0 {
			t.Fatalf("swept %+v, %v", done, err)
		}
		repaired += done.Repaired
	}
	return repaired
}

// registered checks how many accounts the registry has, and how many names and
// notes.
func (l *lister) registered(t *testing.T, d deployment, accounts, texts int) {
	t.Helper()
	got := map[string]int{}
	for _, kind := range []string{"r", "m"} {
		for _, key := range d.redis.Keys(t, d.redis.Prefix+":{???}:"+kind) {
			got[kind] += len(valuesOf(t, d.redis, key))
		}
	}
	if got["r"] != accounts || got["m"] != texts {
		t.Errorf("the registry has %d accounts and %d texts, want %d and %d",
			got["r"], got["m"], accounts, texts)
	}
}
