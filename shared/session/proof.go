package session

import (
	"context"
	"fmt"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Proof is what a contract accepted: the digest of a message, and the signature
// as it was sent, which may be empty. It is stored, sealed, as long as the
// session lives, because a contract may change its mind (ERC-4361,
// "Invalidating sessions").
type Proof struct {
	Digest    [32]byte
	Signature []byte
}

// Check is a check of a session's proof that this caller has claimed. Nobody
// else claims it for a minute.
type Check struct {
	Proof Proof
	// Err says why the proof could not be opened, or is nil. That is no reason
	// to end the session: the contract could not be asked.
	Err  error
	id   token.ID
	idem script.IdempotencyKey
}

// proofField is the field of a session's state that holds its proof. It cannot
// be the name of a key of the state, which has another size.
const proofField = "w"

// proofLost is what a refresh returns in place of a contract's proof that is not
// stored any more. It is no sealed text.
const proofLost = "-"

// sealProof seals a proof for its session. It returns "" for no proof.
func (s *Store) sealProof(id token.ID, e entry, proof *Proof) (string, error) {
	if proof == nil {
		return "", nil
	}
	plain := append(proof.Digest[:], proof.Signature...)
	sealed, err := s.keys.Seal(e.key, proofSeal(id, e), plain)
	if err != nil {
		return "", fmt.Errorf("sealing the proof: %w", err)
	}
	return string(sealed), nil
}

// proofSeal returns what a proof is bound to: its session, with its beginning
// and its end.
func proofSeal(id token.ID, e entry) seal.Record {
	r := sealedAs(id, e)
	r.Kind = "proof"
	return r
}

// claimed opens the proof of a check that this refresh has claimed.
func (s *Store) claimed(
	ctx context.Context, id token.ID, e entry, sealed string, idem script.IdempotencyKey,
) *Check {
	c := &Check{id: id, idem: idem}
	if sealed == proofLost {
		c.Err = fmt.Errorf("%w: the proof of a contract is lost", ErrDamaged)
		return c
	}
	plain, err := s.open(ctx, proofSeal(id, e), []byte(sealed))
	switch {
	case err != nil:
		c.Err = fmt.Errorf("opening the proof of a contract: %w", err)
	case len(plain) < len(c.Proof.Digest):
		c.Err = fmt.Errorf("%w: the proof of a contract is too short", ErrDamaged)
	default:
		c.Proof.Signature = plain[copy(c.Proof.Digest[:], plain):]
	}
	return c
}

// Checked records that the contract was asked, and whether it answered: if it
// accepted the signature, it is asked again after Options.WalletRecheck; if it
// could not be asked, after five minutes. If the contract refused the
// signature, call [Store.RevokeUnproven] instead. Checked takes one round trip.
// It does nothing if the session has ended, or has been stepped up since.
func (s *Store) Checked(ctx context.Context, c *Check, accepted bool) error {
	_, err := s.run(ctx, proofScript, []string{s.stateKey(c.id)},
		millis(s.now()), c.idem[:], bit(accepted))
	return err
}

// RevokeUnproven ends a session with [WalletChanged], because its contract
// refused the proof of a check. It does nothing and returns nil if that proof is
// no longer the one that counts: if the session was stepped up since, or if
// another caller has claimed the check because this one took over a minute.
// Otherwise the result and the errors are those of [Store.Revoke]. It takes one
// round trip.
func (s *Store) RevokeUnproven(ctx context.Context, c *Check) (*EndedError, error) {
	r, err := s.revoke(ctx, c.id, WalletChanged, revokeIf{claim: c.idem[:]}, Change{})
	if err != nil || r.Outcome() == outcomeDone {
		return nil, err
	}
	return endedBy(r, c.id)
}
