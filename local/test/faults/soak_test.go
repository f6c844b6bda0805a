package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/history"
	"latchkey/local/test/redistest"
	"latchkey/local/test/report"
	"latchkey/shared/session"
)

var (
	soakFor  = flag.Duration("soak", 20*time.Second, "how long TestSoak goes on, half of it on each engine")
	soakSeed = flag.Uint64("seed", 0, "what TestSoak's faults and operations follow from; 0 draws one")
)

const soakDrivers = 4 // each with clients, a connection pool, and accounts of its own, as so many functions

// soak is load on a cluster to which something happens every second or two.
type soak struct {
	t       *testing.T
	cluster *redistest.OwnCluster
	proxies redistest.Proxies
	random  *rand.Rand
	worlds  []*world
	drivers []*history.Driver

	mu         sync.Mutex
	struck     map[string]int
	delivered  int // requests that came late, and ran
	violations int
	received   int // events, without repeats
	waiting    int // what sessions left that waits for its TTL
}

// TestSoak has clients sign in, validate, refresh, log out, revoke, block, erase and change roles on a few addresses of a
// cluster, and list them, while a random fault strikes every second or two. Each history is held against the model, its accounts' activity included:
// every change has one event, which arrives at least once, in order: publishers run beside, and die at any step. In the end all that Redis holds is recounted. No fault here loses what was acknowledged: what
// comes of that is in TestLostWrites.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) { newSoak(t, e, seed).run(*soakFor/2, seed) })
}

// run soaks for a time, and checks and reports what came of it.
func (s *soak) run(spell time.Duration, seed uint64) {
	s.t.Helper()
	s.t.Logf("seed %d", seed)
	var all sync.WaitGroup
	defer all.Wait() // also where the faults end the test
	over, cancel := context.WithTimeout(ctx, spell)
	defer cancel()
	for i := range s.drivers {
		all.Go(func() { s.drive(over, i, seed) })
		all.Go(func() { s.worlds[i].box.publish(over, s.drivers[i].Store(0)) })
	}
	s.strike(over)
	all.Wait()
	s.recount()
	for i, w := range s.worlds {
		w.box.drain(s.t, s.drivers[i].Store(0))
		w.received(w.all)
		s.received += len(w.box.all)
	}
	s.report(spell, seed)
}

func newSoak(t *testing.T, e redistest.Engine, seed uint64) *soak {
	t.Helper()
	c := e.ClusterWith(t)
	s := &soak{
		t: t, cluster: c, proxies: redistest.NewProxies(t, c.Redis.Nodes...), random: rand.New(rand.NewPCG(seed, 1)), struck: map[string]int{},
	}
	for i := range soakDrivers {
		w := newWorld(t, c.Redis, s.proxies)
		w.redis.Prefix += fmt.Sprint(":", i) // which the product's user may touch as well
		w.box = newReceiver(seed + uint64(i))
		w.opts.ActivityMax = 5000 // as histories have it
		d, err := history.NewDriver(w.client, history.Config{
			Rules: session.Options{
				Prefix: w.redis.Prefix, Idle: 4 * time.Minute, Absolute: 12 * time.Minute, Access: 100 * time.Second, Grace: 45 * time.Second,
				Touch: 30 * time.Second, StepUp: 5 * time.Minute, StateQuota: 1 << 10, SessionLimit: 2, RoleLimits: map[string]int{"editor": 3},
				Audit: w.write, Outbox: session.OutboxOptions{Types: allEventTypes()},
			},
			Clients: 3, Accounts: 3, Operations: 30, Step: 40 * time.Second, Skew: 30 * time.Second, Faults: 0.02,
			Sweeping: i == 0, Listing: i == 1, Patience: 8 * time.Second, Unheard: 4, State: true,
		})
		must(t, err)
		w.ring = d.Ring()
		s.worlds, s.drivers = append(s.worlds, w), append(s.drivers, d)
	}
	return s
}

// drive runs histories and checks them, until it is over. The last one ends when the faults are.
func (s *soak) drive(over context.Context, i int, seed uint64) {
	for n := uint64(0); over.Err() == nil; n++ {
		err := s.drivers[i].Run(ctx, seed+n*soakDrivers+uint64(i)).Check(2 * time.Minute)
		if err == nil {
			continue
		}
		s.mu.Lock()
		s.violations++
		s.mu.Unlock()
		s.t.Error(err)
		var wrong *history.Violation
		if errors.As(err, &wrong) {
			path := filepath.Join(s.t.ArtifactDir(), fmt.Sprint("history-", i, "-", n, ".html"))
			if err := wrong.Draw(path); err != nil {
				s.t.Error(err)
			}
			s.t.Logf("picture: %s", path)
		}
	}
}

// recount holds everything that is stored together: records, payloads, index, counters, registry. Then it is later than any
// deadline, and the sweeper passes: nothing is live, nothing is counted, and of no session is anything left but what the
// store could not know of. Each list has each account that it selects once.
func (s *soak) recount() {
	s.t.Helper()
	for _, w := range s.worlds {
		w.checkComplete()
	}
	for i, d := range s.drivers {
		store := d.Store(24 * time.Hour)
		if done, err := store.Sweep(ctx); err != nil || !done.Complete || done.Active != 0 || done.Damaged != 0 {
			s.t.Errorf("sweeping what driver %d left: %+v, %v", i, done, err)
		}
		s.worlds[i].checkComplete()
		s.waiting += s.worlds[i].leavesNothing()
		s.worlds[i].listsAgree(store)
	}
}

// report writes down what was done, for make to print.
func (s *soak) report(spell time.Duration, seed uint64) {
	s.t.Helper()
	var did history.Progress
	for _, d := range s.drivers {
		did.Add(d.Progress())
	}
	var faults []string
	total := 0
	for _, name := range slices.Sorted(maps.Keys(s.struck)) {
		faults = append(faults, fmt.Sprintf("%s %d", name, s.struck[name]))
		total += s.struck[name]
	}
	text := fmt.Sprintf("soak of %v on a %s, seed %d: %v, faults %d (%s), late requests that ran %d, "+
		"keys left to their TTL by lost replies %d, events received %d, violations %d",
		spell, s.cluster.Name, seed, did, total, strings.Join(faults, ", "), s.delivered, s.waiting, s.received, s.violations)
	s.t.Log(text)
	must(s.t, report.Write("soak-"+s.cluster.Name, text))
	if s.struck["requests late"] > 2 && s.delivered == 0 {
		s.t.Error("no request came late")
	}
	if did.Histories == 0 || total == 0 || did.Operations[history.LogIn] == 0 {
		s.t.Error("there was nothing to check")
	}
}
