package session_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// life is the whole of what the product asks of Redis, once each, by a person that it knows. It ends at the first failure.
func life(w *world, s *session.Store, n int) error {
	var g, spare, next session.Grant
	var a session.Access
	var p session.Preferences
	me := s.UserOf(token.KeyAccount(person(n)))
	admin, keepAdmin := session.Change{Actor: session.Actor{User: me}}, session.Change{Actor: session.Actor{User: me}, KeepAdmin: true}
	steps := []struct {
		name string
		step func() error
	}{
		{"health", func() (err error) { _, err = s.Check(ctx); return }},
		{"nonce", func() error {
			nonce, _, err := s.IssueNonce(ctx, terms)
			return errors.Join(err, s.SpendNonce(ctx, nonce, terms))
		}},
		{"failed login", func() error { return s.CountFailure(ctx) }},
		{"login", func() (err error) { g, err = s.Create(ctx, w.as(n, "a")); return }},
		{"second login", func() (err error) { spare, err = s.Create(ctx, w.as(n, "b")); return }},
		{"validation", func() (err error) { a, err = s.Validate(ctx, g.AccessToken, laptop); return }},
		{"touch", func() (err error) {
			w.clock.add(time.Minute)
			a, err = s.Validate(ctx, g.AccessToken, laptop)
			return
		}},
		{"refresh", func() (err error) { next, err = s.Refresh(ctx, g.RefreshToken, laptop); return }},
		{"refresh again", func() (err error) { _, err = s.Refresh(ctx, g.RefreshToken, laptop); return }},
		{"step-up", func() (err error) {
			if a, err = s.Inspect(ctx, next.AccessToken, session.Cookie); err == nil {
				g, err = s.StepUp(ctx, a, laptop, nil)
			}
			return
		}},
		{"preferences", func() (err error) { a, p, err = s.ValidateWithPreferences(ctx, g.AccessToken, laptop); return }},
		{"new preferences", func() (err error) {
			_, err = s.SetPreferences(ctx, a, p, []byte(`{"theme":"dark"}`), laptop.Actor())
			return
		}},
		{"new state", func() (err error) {
			_, err = s.PutState(ctx, a, "form", []byte(`{"step":1}`), time.Minute, session.StateCondition{})
			return
		}},
		{"state", func() (err error) { _, err = s.State(ctx, a, "form"); return }},
		{"state list", func() (err error) { _, err = s.ListState(ctx, a); return }},
		{"state deleted", func() error { return s.DeleteState(ctx, a, "form", session.StateCondition{}) }},
		{"sessions", func() (err error) { _, err = s.Sessions(ctx, a); return }},
		{"account", func() (err error) { _, err = s.Account(ctx, me); return }},
		{"activity", func() (err error) { _, _, err = s.Activity(ctx, g.User.ID, "", 50); return }},
		{"audit list", func() error {
			look := session.Action{Type: session.EventAccountViewed, Actor: me, ActorAccount: token.KeyAccount(person(n))}
			err := s.AddAction(ctx, look)
			_, _, errRead := s.Actions(ctx, "", 50)
			return errors.Join(err, errRead)
		}},
		{"role given", func() (err error) { _, err = s.SetRoles(ctx, me, []string{"admin"}, keepAdmin); return }},
		{"role taken while another has it", func() error {
			other := s.UserOf(token.KeyAccount(person(n + 1000)))
			_, err := s.SetRoles(ctx, other, []string{"admin"}, keepAdmin)
			if err == nil {
				_, err = s.SetRoles(ctx, me, nil, keepAdmin)
			}
			if err == nil {
				_, err = s.SetRoles(ctx, other, nil, admin)
			}
			return err
		}},
		{"block", func() error { return errors.Join(s.Block(ctx, me, admin), s.Unblock(ctx, me, admin)) }},
		{"login after it", func() (err error) { spare, err = s.Create(ctx, w.as(n, "c")); return }},
		{"logout", func() (err error) {
			_, err = s.Revoke(ctx, spare.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
			return
		}},
		{"login when the activity is old", func() (err error) {
			w.clock.add(w.opts.ActivityKeep + time.Hour)
			spare, err = s.Create(ctx, w.as(n, "d"))
			return
		}},
		{"logout everywhere", func() (err error) {
			_, err = s.RevokeAll(ctx, spare.Session.ID, session.LoggedOut, laptop.Actor())
			return
		}},
		{"erasure", func() error { return s.Erase(ctx, g.User.ID, admin) }},
		{"login that is left alone", func() (err error) { _, err = s.Create(ctx, w.as(n, "e")); return }},
		{"sweep", func() (err error) { w.clock.add(time.Hour); _, err = s.Sweep(ctx); return }},
		{"statistics", func() (err error) { _, err = s.Statistics(ctx); return }},
		{"publishing", func() error { return publish(s, me) }},
	}
	for _, s := range steps {
		if err := s.step(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// publish does what a publisher does: it takes the hints, reads all outboxes, and removes what a person's has: one as refused, the
// others as accepted.
func publish(s *session.Store, user token.UserID) error {
	hints, err := s.Hints(ctx)
	if err != nil {
		return err
	}
	of := make([]int, session.OutboxPartitions)
	for n := range of {
		of[n] = n
	}
	all, err := s.Outgoing(ctx, of, 100)
	if err != nil {
		return err
	}
	partition := int(user[0])<<4 | int(user[1])>>4
	events := all[partition]
	if len(events) < 10 || !slices.Contains(hints, partition) {
		return fmt.Errorf("%d events, and hints for %d", len(events), hints)
	}
	removed, _, err := s.Published(ctx, partition, events[1:], events[:1])
	if err == nil && removed != len(events) {
		err = fmt.Errorf("%d of %d events were removed", removed, len(events))
	}
	return err
}

// as is a login of a person, whose signature was over a nonce that nobody issued here.
func (w *world) as(n int, nonce string) session.Login {
	return session.Login{Nonce: fmt.Sprint("nonce of ", n, nonce), Account: token.KeyAccount(person(n)), ChainID: 1, Client: laptop}
}

// unneeded are the commands without which a life goes on where there is no cluster, and why they are allowed.
var unneeded = map[string]string{
	"cluster|slots": "a cluster's client asks where the slots are",
	"command":       "a cluster's client asks, once a process, what each command is; refused, it asks before every one",
	"asking":        "a cluster's client says it to the node that a slot moves to",
}

// The access string has no command too much: without any one of them something fails, and it fails closed.
func TestAccess_tight(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w := newWorld(t, own.Redis, withOutbox)
		must(t, life(w, w.Store, 0))
		commands := commandsOf(t, own.Redis)
		for i, command := range commands {
			t.Run(command, func(t *testing.T) {
				w.flushScripts() // else no script has to be sent
				w.allow(t, "-"+command)
				defer w.allow(t, "+"+command)
				err := life(w, w.Store, i+1)
				if unneeded[command] != "" {
					must(t, err)
				} else {
					wants(t, err, session.ErrUnavailable)
				}
			})
		}
		for command := range unneeded {
			if !slices.Contains(commands, command) {
				t.Errorf("%q is not allowed", command)
			}
		}
	})
}

// commandsOf are the commands that the product's user is allowed.
func commandsOf(t *testing.T, r redistest.Redis) []string {
	t.Helper()
	var commands []string
	for _, rule := range r.Access(t) {
		if command, ok := strings.CutPrefix(rule, "+"); ok {
			commands = append(commands, command)
		}
	}
	return commands
}

// allow changes what the product's user may do.
func (w *world) allow(t *testing.T, rules ...string) {
	t.Helper()
	must(t, w.rdb.ACLSetUser(ctx, w.redis.Username, rules...).Err())
}

// deniedInScript is how an ACL refuses a command inside a script: as Redis 7.0 says it, and as Valkey does.
var deniedInScript = regexp.MustCompile(`The user executing the script can't|ACL failure in script: User \S+ has no permissions to run the 'setrange' command`)

// What the access string refuses inside a script, and a key outside the prefix, is an outage like any other.
func TestAccess_refused(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		r := e.Server(t)
		w := newWorld(t, r, withOutbox)
		elsewhere := newWorld(t, r, withOutbox, func(o *session.Options) { o.Prefix = r.Prefix + "2" })
		wants(t, life(elsewhere, elsewhere.Store, 0), session.ErrUnavailable)
		if _, err := elsewhere.Create(ctx, w.as(0, "a")); !errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("another prefix: %v", err)
		}

		g := w.create("a", alice, laptop)
		w.clock.add(time.Minute)
		w.allow(t, "-setrange")
		_, err := w.Refresh(ctx, g.RefreshToken, laptop)
		if !errors.Is(err, session.ErrUnavailable) || !deniedInScript.MatchString(err.Error()) {
			t.Errorf("a command in a script: %v", err)
		}
		_, err = w.Validate(ctx, g.AccessToken, laptop) // a touch, whose script looks at the refusal itself
		wants(t, err, session.ErrUnavailable)
		w.allow(t, "+setrange")
		w.opens(g)
	})
}

// On a cluster the same rules are enough, also while a slot moves, and there the other three count.
func TestAccess_cluster(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		from, to := clusterNode(t, e), clusterNode(t, e)
		join(t, from, to)
		must(t, to.Client().ACLSetUser(ctx, from.Username, append(from.Access(t), ">"+from.Password)...).Err())
		w := newWorld(t, from.Redis, withOutbox)
		client := clusterClient(t, from)
		s := w.on(client, w.clock)
		must(t, life(w, s, 0))

		slot := from.Client().ClusterKeySlot(ctx, w.SummaryKey()).Val()
		must(t, to.Client().Do(ctx, "cluster", "setslot", slot, "importing", nodeID(t, from)).Err())
		must(t, from.Client().Do(ctx, "cluster", "setslot", slot, "migrating", nodeID(t, to)).Err())
		must(t, w.rdb.Del(ctx, w.SummaryKey()).Err()) // what is not here any more is asked for there
		_, err := s.Check(ctx)
		must(t, err)
		must(t, to.Client().ACLSetUser(ctx, from.Username, "-asking").Err())
		_, err = s.Check(ctx)
		wants(t, err, session.ErrUnavailable)

		w.allow(t, "-command")
		s = w.on(clusterClient(t, from), w.clock)
		for _, nonce := range []string{"x", "y", "z"} {
			_, err = s.Create(ctx, w.as(1, nonce))
			must(t, err)
		}
		if stats := w.rdb.Info(ctx, "commandstats").Val(); !regexp.MustCompile(`cmdstat_command:.*rejected_calls=[3-9]`).MatchString(stats) {
			t.Errorf("COMMAND is not asked for again: %s", stats)
		}

		w.allow(t, "-cluster|slots")
		_, err = w.on(clusterClient(t, from), w.clock).Check(ctx)
		wants(t, err, session.ErrUnavailable)
	})
}

func clusterNode(t *testing.T, e redistest.Engine) *redistest.Own {
	t.Helper()
	return e.ServerWith(t, "--cluster-enabled", "yes", "--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"))
}

func clusterClient(t *testing.T, node *redistest.Own) *redis.ClusterClient {
	t.Helper()
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{node.Addr}, Username: node.Username, Password: node.Password, MaxRetries: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func nodeID(t *testing.T, node *redistest.Own) string {
	t.Helper()
	id, err := node.Client().Do(ctx, "cluster", "myid").Text()
	must(t, err)
	return id
}

// join makes two nodes one cluster, whose slots are all the first one's.
func join(t *testing.T, from, to *redistest.Own) {
	t.Helper()
	must(t, from.Client().Do(ctx, "cluster", "addslotsrange", 0, 16383).Err())
	host, port, _ := strings.Cut(from.Addr, ":")
	must(t, to.Client().ClusterMeet(ctx, host, port).Err())
	for _, node := range []*redistest.Own{from, to} {
		awaitCluster(t, node)
	}
}

// awaitCluster returns when a node knows both, and who has each slot. WAIT, which waits for replicas that there are not,
// lets the server do the waiting in between.
func awaitCluster(t *testing.T, node *redistest.Own) {
	t.Helper()
	for range 300 {
		info, err := node.Client().ClusterInfo(ctx).Result()
		must(t, err)
		if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2") {
			return
		}
		must(t, node.Client().Wait(ctx, 1, 50*time.Millisecond).Err())
	}
	t.Fatal("the cluster does not come up")
}
