package session

import (
	"context"
	"errors"
	"time"

	"latchkey/shared/script"
)

// A contract's signature can only be checked by asking its chain, which may not
// answer. So a nonce is not spent before there is an answer: if there is none,
// the client sends the same signed message again. Attempts are counted instead,
// since each costs a call.
const (
	// nonceAttempts is how many attempts a nonce may have.
	nonceAttempts = 5
	// attemptUnderWay is how long an attempt may take: longer than a function
	// runs.
	attemptUnderWay = 30 * time.Second
)

// ErrNonceBusy says that another attempt with the same nonce is under way.
var ErrNonceBusy = errors.New("another attempt with this nonce is under way: retry in a second")

// Attempt is a use of a nonce that is under way.
type Attempt struct {
	nonce string
	idem  script.IdempotencyKey
}

// BeginAttempt begins an attempt to use a nonce, and does not spend it. It
// counts the attempt against the rate limit of logins. The caller must end the
// attempt by [Store.FinishAttempt] or [Store.AbandonAttempt]. BeginAttempt
// returns the errors of [Store.SpendNonce], [ErrNonceSpent] also after five
// attempts, and [ErrNonceBusy] if another attempt is under way. A nonce that is
// refused for its terms is spent. It takes one round trip, and one more for
// such a nonce.
func (s *Store) BeginAttempt(ctx context.Context, nonce string, terms NonceTerms) (Attempt, error) {
	if nonceTag(nonce) == "" { // no nonce: its two keys would be in two slots
		return Attempt{}, s.SpendNonce(ctx, nonce, terms)
	}
	try := Attempt{nonce: nonce, idem: script.NewIdempotencyKey()}
	r, err := s.countAndRun(ctx, s.networkRate(loginRate, s.opts.LoginRate, terms.From), script.Call{
		Script: beginAttemptScript, Keys: []string{s.nonceKey(nonce), s.attemptsKey(nonce)},
		Args: []any{
			millis(s.now()), try.idem[:], nonceAttempts, attemptUnderWay.Milliseconds(),
			ceilMillis(MaxNonceLife + nonceSlack), // another function may have issued it for longer
		},
	})
	if _, limited := errors.AsType[*RateError](err); limited {
		s.AbandonAttempt(ctx, try)
	}
	if err != nil {
		return Attempt{}, err
	}
	err = s.attemptFault(r, terms)
	if errors.Is(err, ErrNonceUnknown) && r.Outcome() == outcomeDone { // for its terms
		if fault := s.FinishAttempt(ctx, try); fault != nil {
			return Attempt{}, fault
		}
	}
	return try, err
}

// attemptFault returns the error of the reply to beginning an attempt.
func (s *Store) attemptFault(r script.Reply, terms NonceTerms) error {
	switch r.Outcome() {
	case outcomeLimited:
		return ErrNonceBusy
	case outcomeFull:
		return ErrNonceSpent
	}
	return s.spent(r, terms)
}

// FinishAttempt spends the nonce of an attempt that came to an answer. It
// returns [ErrNonceSpent] if another caller has spent it. It takes one round
// trip.
func (s *Store) FinishAttempt(ctx context.Context, try Attempt) error {
	r, err := s.run(ctx, spendNonceScript, []string{s.nonceKey(try.nonce)}, try.idem[:])
	switch {
	case err != nil:
		return err
	case r.Outcome() == outcomeDone:
		return nil
	case r.Outcome() == outcomeSpent:
		return ErrNonceSpent
	}
	return ErrNonceUnknown
}

// AbandonAttempt ends an attempt that came to no answer. The nonce can be used
// again. It takes one round trip. If that fails, the nonce can be used again
// when the attempt must be over.
func (s *Store) AbandonAttempt(ctx context.Context, try Attempt) {
	_, _ = s.run(ctx, abandonAttemptScript, []string{s.attemptsKey(try.nonce)}, try.idem[:])
}
