package faults_test

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// opening is what a client asks that opens a connection, or looks for the nodes of a cluster, and not for the store.
var opening = regexp.MustCompile(`^\*\d+\r\n\$\d+\r\n(hello|cluster|asking)\r\n`)

// strike strikes what the store asks, from the request with that number on, and as many in all as times says. It returns
// how many were struck so far.
func (w *world) strike(fault redistest.Fault, first, times int) (struck func() int) {
	var asked, n atomic.Int64
	w.proxies.Decide(func(request []byte) redistest.Fault {
		if opening.Match(request) {
			return redistest.None
		}
		if number := int(asked.Add(1)); number < first || number >= first+times {
			return redistest.None
		}
		n.Add(1)
		return fault
	})
	return func() int { return int(n.Load()) }
}

var cuts = map[string]redistest.Fault{"before it ran": redistest.CutBefore, "after it ran": redistest.CutAfter}

// Invariant 8: a connection that is cut under a request, whichever of an act's it is, before Redis has run it or after, is
// noticed by nobody: the store asks again, and the answer, the state and the one event are those of a call without a fault.
func TestCut(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := between(t, r)
		w.rehearse()
		for _, a := range acts {
			for when, fault := range cuts {
				for number := 1; ; number++ {
					tr := w.try(a)
					struck := w.strike(fault, number, 1)
					got, err := tr.ask()
					w.proxies.Decide(nil)
					if struck() == 0 {
						if number == 1 {
							t.Errorf("%s asks for nothing", a.name)
						}
						break
					}
					tr.right(when, got, err)
				}
			}
		}
		w.checkComplete()
	})
}

// A connection that is cut under a request and under its repeat is told as that, and the act has happened wholly or not at
// all; so whoever asks again gets the right answer.
func TestCut_twice(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := between(t, r)
		w.rehearse()
		for _, a := range acts {
			for when, fault := range cuts {
				logged := false
				for number := 1; ; number++ {
					tr := w.try(a)
					before := w.dump("")
					struck := w.strike(fault, number, 4) // a pipeline in a cluster is asked up to four times
					got, err := tr.ask()
					w.proxies.Decide(nil)
					if struck() == 0 {
						break
					}
					if err == nil { // what was cut is not needed for an answer
						tr.right(when+", in vain", got, err)
						continue
					}
					logged = true
					wants(t, a.name, err, session.ErrUnavailable)
					unchanged := maps.Equal(before, w.dump(""))
					if number == 1 && fault == redistest.CutBefore && !unchanged {
						t.Errorf("%s: never arrived, and changed something", a.name)
					}
					tr.settled(when, !unchanged)
					w.checkComplete()
					w.clear()
				}
				if !logged {
					t.Errorf("%s, %s: nobody was told", a.name, when)
				}
			}
		}
	})
}

// asked is one act in a world of its own, behind proxies of its own.
type asked struct {
	*trial
	answer string
	err    error
	struck int
}

// atOnce asks for each act at the same time, with a fault under its first request; so their deadlines pass together.
func atOnce(t *testing.T, r redistest.Redis, fault redistest.Fault, times int) []asked {
	t.Helper()
	first := newWorld(t, r, nil)
	first.rehearse()
	var all []asked
	for _, a := range slices.Backward(acts) { // nonces last, which the others' time would spoil
		w := between(t, r)
		w.clock, w.Store = first.clock, w.at(first.clock) // one time for all: else the limits would count what is to come
		all = append(all, asked{trial: w.try(a)})
	}
	var waiting sync.WaitGroup
	for i := range all {
		waiting.Go(func() {
			one := &all[i]
			struck := one.w.strike(fault, 1, times)
			one.answer, one.err = one.ask()
			one.w.proxies.Decide(nil)
			one.struck = struck()
		})
	}
	waiting.Wait()
	return all
}

// A reply that does not come in time is asked for again, on another connection, whether it is the request that got lost or
// the answer. Nobody notices, but for the wait.
func TestDelay(t *testing.T) {
	t.Parallel() // it mostly waits
	for name, fault := range map[string]redistest.Fault{"request lost": redistest.Swallow, "answer lost": redistest.Silence} {
		t.Run(name, func(t *testing.T) {
			redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
				for _, one := range atOnce(t, r, fault, 1) {
					one.right(name, one.answer, one.err)
					if one.struck != 1 {
						t.Errorf("%s: %d requests were struck", one.name, one.struck)
					}
				}
				newWorld(t, r, nil).checkComplete()
			})
		})
	}
}

// A request that is under way so long that its repeat is answered before it arrives does no harm when it does.
func TestDelay_late(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		for _, one := range atOnce(t, r, redistest.Late, 1) {
			tr, late := one.trial, 0
			if one.err != nil || one.answer != tr.answers[0] {
				t.Errorf("%s: answered %q, %v", tr.name, one.answer, one.err)
			}
			before := tr.w.dump(tag(tr.user))
			for _, proxy := range tr.w.proxies {
				late += proxy.Deliver()
			}
			if late != 1 || !maps.Equal(before, tr.w.dump(tag(tr.user))) {
				t.Errorf("%s: %d requests came late, and changed something", tr.name, late)
			}
			tr.right("late", one.answer, one.err)
		}
		newWorld(t, r, nil).checkComplete()
	})
}

// Where nothing is answered at all, every act is unavailable in its time, and has happened wholly or not at all.
func TestDelay_forGood(t *testing.T) {
	t.Parallel() // it mostly waits
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		t.Parallel()
		for name, fault := range map[string]redistest.Fault{"requests lost": redistest.Swallow, "answers lost": redistest.Silence} {
			t.Run(name, func(t *testing.T) {
				r := e.Server(t)
				for _, one := range atOnce(t, r, fault, 2) {
					if one.err != nil && !errors.Is(one.err, session.ErrUnavailable) || one.err == nil && one.name != "another network" {
						t.Errorf("%s: answered %q, %v", one.name, one.answer, one.err)
					}
					one.settled(name, fault == redistest.Silence)
				}
				newWorld(t, r, nil).checkComplete()
			})
		}
	})
}

// A deadline of the caller's own that is nearer than the client's is kept.
func TestDelay_nearDeadline(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := between(t, e.Server(t))
		g := w.signIn(w.stranger())
		w.strike(redistest.Swallow, 1, 2)
		unavailable(t, "a request without an answer", func(limited context.Context) error {
			near, cancel := context.WithTimeout(limited, 50*time.Millisecond)
			defer cancel()
			_, err := w.Validate(near, g.AccessToken, laptop)
			return err
		})
		w.proxies.Decide(nil)
		w.opens(g)
	})
}
