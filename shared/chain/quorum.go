package chain

import (
	"context"
	"errors"
)

// answerCounts counts the answers of a chain's URLs.
type answerCounts struct {
	accepted, refused int
	refusal           error // the last one
	faults            []fault
}

// count adds an answer.
func (t *answerCounts) count(err error) {
	var f fault
	switch {
	case err == nil:
		t.accepted++
	case errors.As(err, &f):
		t.faults = append(t.faults, f)
	default:
		t.refused, t.refusal = t.refused+1, err
	}
}

// decide puts a question to as many URLs as must agree, and to the next ones
// while they do not. It returns nil, an error that wraps [ErrRefused], or a
// [*TroubleError], and the faults of the URLs that did not answer.
//
// Refusing needs as many answers as accepting: one URL that lies cannot end a
// session where two must agree to begin one. If all answered and too few agree,
// the error is [ErrDisagree].
func (n *network) decide(ctx context.Context, c call) ([]fault, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // those that are still asked when the answer is known
	var t answerCounts
	answers := make(chan error, len(n.endpoints))
	for asked, pending := 0, 0; ; pending-- {
		for asked < len(n.endpoints) && max(t.accepted, t.refused)+pending < n.quorum {
			go func(e *endpoint) { answers <- e.ask(ctx, c, n.gas) }(n.endpoints[asked])
			asked, pending = asked+1, pending+1
		}
		if pending == 0 {
			return t.faults, n.undecided(t.faults)
		}
		t.count(<-answers)
		if t.accepted == n.quorum {
			return t.faults, nil
		}
		if t.refused == n.quorum {
			return t.faults, t.refusal
		}
	}
}

// undecided returns what it means that all URLs were asked and too few agree.
// If one did not answer, it could have decided.
func (n *network) undecided(faults []fault) error {
	if len(faults) == 0 {
		return ErrDisagree
	}
	return &TroubleError{Chain: n.id, RetryAfter: retryAfter, Reasons: reasonsOf(faults)}
}

// reasonsOf returns the texts of faults.
func reasonsOf(faults []fault) []string {
	var reasons []string
	for _, f := range faults {
		reasons = append(reasons, f.Error())
	}
	return reasons
}
