package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"net/netip"
	"strings"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// How long after it was issued a nonce may be spent: at most [MaxNonceLife], and
// for usualNonceLife if the options do not say.
const (
	usualNonceLife = 5 * time.Minute
	// MaxNonceLife is the longest life of a nonce. Records keep ended sessions
	// for longer than that: otherwise a login that comes once more could create
	// its session again.
	MaxNonceLife = time.Hour
)

// nonceSlack is how much longer than its life Redis keeps a nonce. So if clocks
// differ a little a caller is told "expired" rather than "unknown". The nonce
// is refused either way.
const nonceSlack = time.Minute

// Purpose is what a nonce may be spent on. The numbers are stored.
type Purpose byte

// The purposes.
const (
	// ForLogin is a nonce for signing in.
	ForLogin Purpose = 1
	// ForStepUp is a nonce for renewing a live session. It is bound to that
	// session.
	ForStepUp Purpose = 2
)

// NonceTerms are what a nonce was issued for. It must be spent with the same
// terms.
type NonceTerms struct {
	Transport Transport
	Purpose   Purpose
	// Browser is the pre-login cookie of the browser that asked, or empty for
	// transports without one.
	Browser string
	// Session is the session that a step-up is for, or zero for a login.
	Session token.ID
	// From is who asks, for the rate limit. The nonce is not bound to it: a
	// caller's network may change before the nonce is spent.
	From netip.Addr
}

// A nonce has the alphabet of EIP-4361. The first two characters are the tag of
// the network that asked. The other 22, of 62 possible characters each, are 130
// random bits.
const (
	nonceAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	tagLength     = 2
	nonceLength   = tagLength + 22
)

// NonceLife returns how long after it was issued a nonce may be spent.
func (s *Store) NonceLife() time.Duration {
	return min(cmp.Or(s.opts.NonceLife, usualNonceLife), MaxNonceLife)
}

// IssueNonce issues a nonce for these terms, and returns it and when it
// expires. It returns [*RateError] if the network asks too often, and then
// stores nothing. It takes one round trip.
func (s *Store) IssueNonce(ctx context.Context, terms NonceTerms) (string, time.Time, error) {
	now, life := s.now(), s.NonceLife()
	nonce, expires := newNonce(s.networkTag(terms.From)), now.Add(life)
	limit := s.networkRate(nonceRate, s.opts.NonceRate, terms.From)
	value := append([]byte{'i'}, s.stored(terms, expires)...)
	r, err := s.run(ctx, issueNonceScript, append([]string{s.nonceKey(nonce)}, limit.keys...),
		millis(now), value, ceilMillis(life+nonceSlack), limit.arg())
	if err == nil {
		err = limit.result(r)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return nonce, expires, nil
}

// SpendNonce spends a nonce. The first caller gets it. A nonce that is refused
// for its terms, or because its network asks too often, is spent, too.
// SpendNonce returns [ErrNonceUnknown], [ErrNonceExpired], [ErrNonceSpent] or
// [*RateError]. It takes one round trip.
func (s *Store) SpendNonce(ctx context.Context, nonce string, terms NonceTerms) error {
	idem := script.NewIdempotencyKey()
	r, err := s.countAndRun(ctx, s.networkRate(loginRate, s.opts.LoginRate, terms.From), script.Call{
		Script: spendNonceScript, Keys: []string{s.nonceKey(nonce)}, Args: []any{idem[:]},
	})
	if err != nil {
		return err
	}
	return s.spent(r, terms)
}

// countAndRun runs a script, and counts it against a rate limit in the same
// round trip. The script runs even if the rate limit refuses it.
func (s *Store) countAndRun(
	ctx context.Context, limit rateLimit, call script.Call,
) (script.Reply, error) {
	if len(limit.keys) == 0 {
		return s.run(ctx, call.Script, call.Keys, call.Args...)
	}
	count := limit.count(s.now())
	if err := script.Pipeline(ctx, s.rdb, count, &call); err != nil {
		return nil, err
	}
	return call.Reply, limit.result(count.Reply)
}

// spent returns the error of the reply to spending a nonce.
func (s *Store) spent(r script.Reply, terms NonceTerms) error {
	switch r.Outcome() {
	case outcomeDone:
		return s.checkTerms(r.Text(1), terms)
	case outcomeSpent:
		return ErrNonceSpent
	case outcomeUnknown:
		return ErrNonceUnknown
	}
	return ErrDamaged
}

// stored returns what Redis keeps of a nonce's terms. The sizes in bytes are:
// transport 1, purpose 1, expiry 6, keyed hash of browser and session 16.
func (s *Store) stored(terms NonceTerms, expires time.Time) []byte {
	b := appendTimes([]byte{byte(terms.Transport), byte(terms.Purpose)}, expires)
	bound := s.keys.Lookup(seal.PreLogin,
		[]byte(terms.Browser), terms.Session.User[:], terms.Session.Session[:])
	return append(b, bound[:16]...)
}

// checkTerms returns [ErrNonceUnknown] unless a nonce was issued for these
// terms, and [ErrNonceExpired] if it has expired.
func (s *Store) checkTerms(stored string, terms NonceTerms) error {
	if len(stored) != 24 {
		return ErrDamaged
	}
	r := reader{stored[2:]}
	expires := r.time()
	if subtle.ConstantTimeCompare([]byte(stored), s.stored(terms, expires)) != 1 {
		return ErrNonceUnknown
	}
	if !s.now().Before(expires) {
		return ErrNonceExpired
	}
	return nil
}

// newNonce draws characters of the alphabet without bias: it discards bytes
// that are not below the largest multiple of the alphabet's length.
func newNonce(tag string) string {
	nonce := append(make([]byte, 0, nonceLength), tag...)
	var random [2 * nonceLength]byte
	for len(nonce) < nonceLength {
		rand.Read(random[:])
		for _, b := range random {
			if int(b) < 256-256%len(nonceAlphabet) && len(nonce) < nonceLength {
				nonce = append(nonce, nonceAlphabet[int(b)%len(nonceAlphabet)])
			}
		}
	}
	return string(nonce)
}

// nonceTag returns the tag of a presented nonce. A text that cannot be a nonce
// has an empty tag, under which nothing is ever stored. So such a text is
// unknown like any other, and counts against the rate limits like any other.
func nonceTag(nonce string) string {
	if len(nonce) != nonceLength || strings.Trim(nonce, nonceAlphabet) != "" {
		return ""
	}
	return nonce[:tagLength]
}
