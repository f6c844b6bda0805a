package verifier

import (
	"encoding/json"
	"fmt"
	"time"

	"latchkey/shared/chain"
)

// retryAfter is when to try again after an invocation without an answer.
const retryAfter = time.Second

// EncodeQuestion returns the event that asks a question.
func EncodeQuestion(q chain.Question) ([]byte, error) { return json.Marshal(newEvent(q)) }

// ReadAnswer returns what the answer to a question says: nil, or an error of
// [chain.Verifier.Verify]. An answer that is malformed or repeats another
// question is a [*chain.TroubleError].
func ReadAnswer(q chain.Question, payload []byte) error {
	a, ok := parseAnswer(payload)
	e := newEvent(q)
	switch {
	case !ok:
		return Trouble(q, "the verifier's answer is malformed")
	case a.Chain != e.Chain || a.Account != e.Account || a.Digest != e.Digest:
		return Trouble(q, "the verifier answered another question")
	}
	switch a.Result {
	case accepted:
		return nil
	case refused:
		return fmt.Errorf("%w: %s", chain.ErrRefused, a.Reason)
	case disagree:
		return chain.ErrDisagree
	case noChain:
		return chain.ErrNoChain
	case trouble:
		wait := time.Duration(a.RetryAfterSeconds) * time.Second
		return troubleOf(q, max(retryAfter, wait), a.Reason)
	}
	return Trouble(q, "the verifier's answer is malformed")
}

// Trouble returns the [*chain.TroubleError] of a question that got no answer,
// for that reason. It can be asked again a second later.
func Trouble(q chain.Question, reason string) error { return troubleOf(q, retryAfter, reason) }

func troubleOf(q chain.Question, wait time.Duration, reason string) error {
	return &chain.TroubleError{Chain: q.Chain, RetryAfter: wait, Reasons: []string{reason}}
}
