package faults_test

import (
	"context"
	"slices"
	"strings"

	"latchkey/shared/token"
)

// trial is an act that is about to be asked for.
type trial struct {
	act
	plan
	w      *world
	user   token.UserID
	logged int
	stored []string
}

// try prepares an act, for a stranger.
func (w *world) try(a act) *trial {
	w.t.Helper()
	who := w.stranger()
	tr := &trial{act: a, plan: a.prepare(w, who), w: w, user: w.UserOf(token.KeyAccount(who))}
	tr.logged, tr.stored = w.size(), w.kinds(tr.user)
	return tr
}

// trials prepares each act.
func (w *world) trials() (all []*trial) {
	w.t.Helper()
	for _, a := range acts {
		all = append(all, w.try(a))
	}
	return all
}

// refuses asserts that what is asked of a Redis that serves nobody is unavailable in time, act by act.
func (w *world) refuses(trials []*trial) {
	w.t.Helper()
	for _, tr := range trials {
		unavailable(w.t, tr.name, func(context.Context) error { _, err := tr.ask(); return err })
	}
}

// right asserts that an answer is the one of the call that took effect, that it did, and that its events are told once and
// written once.
func (tr *trial) right(what, got string, err error) {
	tr.w.t.Helper()
	if err != nil || got != tr.answers[0] {
		tr.w.t.Errorf("%s, %s: answered %q, %v, want %q", tr.name, what, got, err, tr.answers[0])
		return
	}
	if logged := tr.w.of(tr.user, tr.logged); !slices.Equal(logged, tr.events) {
		tr.w.t.Errorf("%s, %s: told %q, want %q", tr.name, what, logged, tr.events)
	}
	tr.happened(what)
}

// happened asserts that the act has taken effect once, with its events.
func (tr *trial) happened(what string) {
	tr.w.t.Helper()
	want := slices.Sorted(slices.Values(append(slices.Clone(tr.stored), tr.events...)))
	if strings.HasPrefix(tr.name, "erasure") {
		want = nil // of the activity nothing remains
	}
	got := tr.w.kinds(tr.user)
	if tr.repeats && len(got) == len(want)+1 { // the act itself is the last change of all that write such an event
		i := slices.Index(got, tr.events[0])
		got = slices.Delete(got, i, i+1)
	}
	if !slices.Equal(got, want) {
		tr.w.t.Errorf("%s, %s: the activity has %q, want %q", tr.name, what, got, want)
	}
	if !tr.done() {
		tr.w.t.Errorf("%s, %s: it has not taken effect", tr.name, what)
	}
}

// settled asserts that after an answer that was unavailable the act has happened wholly or not at all, and that whoever
// asks again gets the right answer.
func (tr *trial) settled(what string, happened bool) {
	tr.w.t.Helper()
	got, err := tr.ask()
	if err != nil || !slices.Contains(tr.answers, got) || !happened && got != tr.answers[0] {
		tr.w.t.Errorf("%s, %s: asked again, answered %q, %v, want one of %q", tr.name, what, got, err, tr.answers)
	}
	if tr.name == "nonce" || tr.name == "activity" {
		return
	}
	tr.happened(what + ", asked again")
}
