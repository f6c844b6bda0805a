package faults_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// A client that is led to a replica can read there and change nothing: what changes something is unavailable, until the
// name leads to a primary again. Validation goes on, but for activity that is due to be written.
func TestReadOnly(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		t.Parallel()
		primary, replica := e.Replicated(t)
		proxies := redistest.NewProxies(t, primary.Addr)
		w := newWorld(t, primary.Redis, proxies)
		g := w.signIn(w.stranger())
		trials := w.trials()
		fresh := w.signIn(w.stranger())
		replica.CatchUp(primary)
		w.redis, w.rdb = replica.Redis, replica.Client()
		before := w.dump("")
		proxies[primary.Addr].Lead(replica.Addr)
		w.opens(fresh)
		for _, tr := range trials {
			_, err := tr.ask()
			wants(t, tr.name, err, session.ErrUnavailable)
		}
		_, err := w.Validate(ctx, g.AccessToken, laptop) // whose activity is due
		wants(t, "activity", err, session.ErrUnavailable)
		if !maps.Equal(before, w.dump("")) {
			t.Error("a replica took a change")
		}
		w.redis, w.rdb = primary.Redis, primary.Client()
		proxies[primary.Addr].Lead(primary.Addr)
		w.rehearse()
	})
}

// A server that loads its data answers nobody; once it has, the same client is served, and whoever was in is in.
func TestLoading(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		t.Parallel()
		primary := e.ServerWith(t, "--repl-diskless-sync-delay", "0")
		before := newWorld(t, primary.Redis, nil)
		g := before.signIn(before.stranger())
		filler := primary.Client().Pipeline()
		for i := range 2000 { // each long enough for the server to look at its sockets after it
			filler.Set(ctx, primary.Prefix+":filler:"+strings.Repeat("x", i), strings.Repeat("x", 2000), 0)
		}
		_, err := filler.Exec(ctx)
		must(t, err)

		loading := redistest.ReplicaWith(t, primary, "--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
		proxies := redistest.NewProxies(t, primary.Addr)
		proxies[primary.Addr].Lead(loading.Addr)
		w := newWorld(t, primary.Redis, proxies)
		w.clock, w.Store = before.clock, w.at(before.clock)
		for !redis.HasErrorPrefix(loading.Client().Get(ctx, "any").Err(), "LOADING") {
			if loading.Client().InfoMap(ctx, "replication").Val()["Replication"]["master_link_status"] == "up" {
				t.Fatal("it has loaded before it was seen to load")
			}
		}
		unavailable(t, "a validation", func(limited context.Context) error { _, err := w.Validate(limited, g.AccessToken, laptop); return err })
		unavailable(t, "a nonce", func(limited context.Context) error { _, _, err := w.IssueNonce(limited, terms); return err })
		unavailable(t, "a logout", func(limited context.Context) error {
			_, err := w.Revoke(limited, g.Session.ID, session.LoggedOut, laptop.Actor())
			return err
		})
		unavailable(t, "health", func(limited context.Context) error { _, err := w.Check(limited); return err })
		must(t, loading.Client().ConfigSet(ctx, "key-load-delay", "0").Err())
		loading.CatchUp(primary)
		loading.Promote()
		eventually(t, func() error { _, err := w.Validate(ctx, g.AccessToken, laptop); return err })
		w.rdb, w.redis = loading.Client(), loading.Redis
		w.rehearse()
	})
}

// A user that Redis no longer knows, or knows by another password, or that may no longer do what it does: unavailable, and
// served again as soon as it is put right, with nothing restarted.
func TestAccessRevoked(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		for name, revoke := range map[string]func(own *redistest.Own){
			"user deleted":      func(own *redistest.Own) { must(t, own.Client().ACLDelUser(ctx, own.Username).Err()) },
			"user switched off": func(own *redistest.Own) { setUser(t, own, "off") },
			"password changed":  func(own *redistest.Own) { setUser(t, own, "resetpass", ">another") },
			"no commands":       func(own *redistest.Own) { setUser(t, own, "-@all") },
			"no keys":           func(own *redistest.Own) { setUser(t, own, "resetkeys") },
		} {
			t.Run(name, func(t *testing.T) {
				own := e.ServerWith(t)
				w := newWorld(t, own.Redis, nil)
				w.rehearse()
				g, trials := w.signIn(w.stranger()), w.trials()
				before := w.dump("")
				revoke(own)
				_ = own.Client().ClientKillByFilter(ctx, "user", own.Username).Err()
				w.refuses(trials)
				if !maps.Equal(before, w.dump("")) {
					t.Error("a change was made by who may not")
				}
				setUser(t, own, append([]string{"reset", "on", ">" + own.Password}, own.Access(t)...)...)
				w.opens(g)
				w.rehearse()
			})
		}
	})
}

func setUser(t *testing.T, own *redistest.Own, rules ...string) {
	t.Helper()
	must(t, own.Client().ACLSetUser(ctx, own.Username, rules...).Err())
}
