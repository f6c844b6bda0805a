package faults_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"latchkey/local/test/redistest"
)

// mischief is what befalls the cluster of a soak, and is over when it returns.
type mischief struct {
	name string
	do   func(s *soak)
}

var mischiefs = []mischief{
	{"connections cut", func(s *soak) { s.proxies.Cut() }},
	{"requests cut", func(s *soak) { s.share(redistest.CutBefore) }},
	{"replies cut", func(s *soak) { s.share(redistest.CutAfter) }},
	{"replies kept", func(s *soak) { s.share(redistest.Silence) }},
	{"packets lost", func(s *soak) { s.share(redistest.Swallow) }},
	{"requests late", (*soak).late},
	{"scripts forgotten", (*soak).forget},
	{"user locked out", (*soak).lockOut},
	{"primary frozen", (*soak).freeze},
	{"primary replaced", func(s *soak) { s.cluster.FailOver(s.cluster.Replica(s.primary()), "") }},
	{"primary killed", (*soak).kill},
	{"replica killed", (*soak).killReplica},
	{"slot moved", (*soak).move},
}

// strike does mischief every second or two, each kind once before any comes again, and leaves a cluster that is well.
func (s *soak) strike(over context.Context) {
	var left []mischief
	for {
		select {
		case <-over.Done():
			return
		case <-time.After(time.Duration(300+s.random.IntN(1200)) * time.Millisecond):
		}
		if len(left) == 0 {
			left = slices.Clone(mischiefs)
			s.random.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		}
		next := left[0]
		left = left[1:]
		next.do(s)
		s.cluster.Await()
		s.mu.Lock()
		s.struck[next.name]++
		s.mu.Unlock()
	}
}

// share strikes a third of the scripts for a moment.
func (s *soak) share(fault redistest.Fault) {
	s.inject(fault)
	s.proxies.Cut() // what is silent stays so
}

func (s *soak) inject(fault redistest.Fault) {
	s.proxies.Decide(func(request []byte) redistest.Fault {
		if redistest.Script(request) && rand.IntN(3) == 0 {
			return fault
		}
		return redistest.None
	})
	s.moment()
	s.proxies.Decide(nil)
}

// late has some scripts arrive when who sent them has given up, and has asked again.
func (s *soak) late() {
	s.inject(redistest.Late)
	time.Sleep(1500 * time.Millisecond) // nearly twice what a client waits for a reply
	for _, proxy := range s.proxies {
		s.delivered += proxy.Deliver()
	}
	s.proxies.Cut()
}

func (s *soak) moment() { time.Sleep(time.Duration(200+s.random.IntN(600)) * time.Millisecond) }

func (s *soak) forget() {
	for _, node := range s.cluster.Nodes {
		if node.IsPrimary() {
			must(s.t, node.Client().ScriptFlush(ctx).Err())
		}
	}
}

// lockOut takes the product's user its password, and lets it in again.
func (s *soak) lockOut() {
	node := s.primary()
	must(s.t, node.Client().ACLSetUser(ctx, s.cluster.Username, "off").Err())
	must(s.t, node.Client().ClientKillByFilter(ctx, "USER", s.cluster.Username).Err())
	s.moment()
	must(s.t, node.Client().ACLSetUser(ctx, s.cluster.Username, "on").Err())
}

// primary is one of the primaries.
func (s *soak) primary() *redistest.Own {
	var all []*redistest.Own
	for _, node := range s.cluster.Nodes {
		if node.IsPrimary() {
			all = append(all, node)
		}
	}
	return all[s.random.IntN(len(all))]
}

func (s *soak) freeze() {
	node := s.primary()
	node.Freeze()
	s.moment()
	node.Thaw()
}

// kill ends a primary at a moment when its replica has all that it acknowledged, and makes that the primary.
func (s *soak) kill() {
	dying := s.primary()
	replica := s.cluster.Replica(dying)
	must(s.t, dying.Client().Do(ctx, "client", "pause", 60000, "write").Err())
	replica.CatchUp(dying)
	dying.Stop()
	s.moment()
	s.cluster.FailOver(replica, "TAKEOVER")
	dying.Restart()
}

func (s *soak) killReplica() {
	node := s.cluster.Replica(s.primary())
	node.Stop()
	s.moment()
	node.Restart()
}

// move moves a slot that is in use, key by key.
func (s *soak) move() {
	from := s.primary()
	key, err := from.Client().RandomKey(ctx).Result()
	if err != nil {
		return // it holds nothing yet
	}
	to := s.primary()
	for to == from {
		to = s.primary()
	}
	m := s.cluster.Migrate(s.cluster.Slot(key), from, to)
	for _, key := range m.Keys(50) {
		m.Move(key)
		time.Sleep(10 * time.Millisecond)
	}
	m.Complete()
}
