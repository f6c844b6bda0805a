package faults_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/local/test/redistest"
)

// A server that dies: every act is unavailable in its time, nothing else, and the very client is served by the first call
// once a server is there again. One that keeps nothing on disk comes back empty, which signs everybody out and lets nobody
// in.
func TestServerKilled(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w := newWorld(t, own.Redis, nil)
		w.rehearse()
		g := w.signIn(w.stranger())
		trials := w.trials()
		own.Stop()
		w.refuses(trials)
		own.Restart()
		_, err := w.Check(ctx)
		must(t, err)
		w.dead(g)
		w.rehearse()
	})
}

// A server that hangs: every act is unavailable in its time. What it was asked lies in its sockets, and it does that when
// it goes on; so an act has happened wholly or not at all, and whoever asks again gets the right answer.
func TestServerFrozen(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		t.Parallel()
		own := e.ServerWith(t)
		first := newWorld(t, own.Redis, nil)
		first.rehearse()
		var trials []*trial
		for _, a := range slices.Backward(acts) {
			w := newWorld(t, own.Redis, nil)
			w.clock, w.Store = first.clock, w.at(first.clock)
			trials = append(trials, w.try(a))
		}
		own.Freeze()
		var asking sync.WaitGroup
		for _, tr := range trials {
			asking.Go(func() {
				unavailable(t, tr.name, func(context.Context) error { _, err := tr.ask(); return err })
			})
		}
		asking.Wait()
		own.Thaw()
		for _, tr := range trials {
			tr.settled("frozen", true)
		}
		first.checkComplete()
	})
}

// Connections that died in silence while a function was frozen, be it by a proxy between that forgot them: the first
// request waits for an answer that never comes, and is served over another connection in its time (attack case 64; what
// the process sees is in shared/boot).
func TestDeadConnections(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := between(t, r)
		g := w.signIn(w.stranger())
		struck := w.strike(redistest.Swallow, 1, 1) // the connection that is open; another one is sound
		w.opens(g)
		if struck() != 1 {
			t.Error("no connection was dead")
		}
		w.proxies.Decide(nil)
		w.proxies.Cut() // now they are closed, which the client is told
		w.opens(g)
		w.rehearse()
	})
}

// Scripts that Redis has forgotten are told it again: after a restart, a failover, or SCRIPT FLUSH (attack case 63).
func TestScriptsForgotten(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		own := e.ServerWith(t)
		w := newWorld(t, own.Redis, nil)
		for _, a := range acts {
			tr := w.try(a)
			must(t, own.Client().ScriptFlush(ctx).Err())
			got, err := tr.ask()
			tr.right("with no script known", got, err)
		}
		w.checkComplete()
		if known := own.Client().InfoMap(ctx, "memory").Val()["Memory"]["number_of_cached_scripts"]; strings.TrimSpace(known) == "0" {
			t.Error("nothing was asked by its name")
		}
	})
}
