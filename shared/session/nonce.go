package session

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"time"

	"latchkey/shared/seal"
)

// NonceLife is how long a nonce may be spent.
const NonceLife = 5 * time.Minute

// nonceSlack is how much longer Redis keeps a nonce, so that clocks that disagree a little see "expired" rather than
// nothing. Either is refused.
const nonceSlack = time.Minute

// Purpose is what a nonce may be spent on. The numbers are stored.
type Purpose byte

// ForLogin is a nonce for signing in.
const ForLogin Purpose = 1

// NonceTerms are what a nonce was issued for and must be spent with.
type NonceTerms struct {
	Transport Transport
	Purpose   Purpose
	// Browser is the pre-login cookie of the browser that asked; empty for transports without one.
	Browser string
}

// The alphabet of EIP-4361's nonce. 22 of 62 characters are 130 bits.
const (
	nonceAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	nonceLength   = 22
)

// IssueNonce makes a nonce for those terms and tells when it expires. One trip.
func (s *Store) IssueNonce(ctx context.Context, terms NonceTerms) (string, time.Time, error) {
	nonce, expires := newNonce(), s.now().Add(NonceLife)
	value := append([]byte{'i'}, s.stored(terms, expires)...)
	err := again(ctx, func() error {
		return s.rdb.Set(ctx, s.nonceKey(nonce), value, NonceLife+nonceSlack).Err()
	})
	return nonce, expires, err
}

// SpendNonce uses a nonce up. Whoever asks first has it; a nonce that is refused for its terms is used up too. It fails
// with ErrNonceUnknown, ErrNonceExpired or ErrNonceSpent. One trip.
func (s *Store) SpendNonce(ctx context.Context, nonce string, terms NonceTerms) error {
	op := newOperation()
	r, err := s.run(ctx, spendScript, []string{s.nonceKey(nonce)}, op[:])
	if err != nil {
		return err
	}
	switch r.outcome() {
	case outcomeDone:
		return s.checkTerms(r.text(1), terms)
	case outcomeSpent:
		return ErrNonceSpent
	case outcomeUnknown:
		return ErrNonceUnknown
	}
	return ErrDamaged
}

// stored is what Redis keeps of a nonce's terms: transport 1, purpose 1, expiry 6, a keyed hash of the browser 16.
func (s *Store) stored(terms NonceTerms, expires time.Time) []byte {
	b := appendTimes([]byte{byte(terms.Transport), byte(terms.Purpose)}, expires)
	return append(b, s.keys.Lookup(seal.PreLogin, []byte(terms.Browser))[:16]...)
}

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

// newNonce draws characters of the alphabet without bias: bytes beyond its largest multiple are thrown away.
func newNonce() string {
	nonce := make([]byte, 0, nonceLength)
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
