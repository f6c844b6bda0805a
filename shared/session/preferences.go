package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

const outcomePrecondition = 6

// EmptyPreferences are those of an account that stores none.
const EmptyPreferences = "{}"

// Preferences are an account's: a JSON object that outlives its sessions.
type Preferences struct {
	// JSON is the object; EmptyPreferences where nothing is stored.
	JSON []byte
	// Version changes with every change. It is opaque, never empty, and made of letters and digits.
	Version string

	stored string // sealed, as Redis holds it; empty for nothing
}

// Sealed bytes begin with format, key id and a random nonce. The nonce is the version, and so many bytes tell one stored
// value from every other.
const (
	nonceAt  = 1 + seal.IDLength
	nonceEnd = nonceAt + 12
)

// ValidateWithPreferences is Validate with the account's preferences, in the same trip. Those that a key sealed which was taken away
// are forgotten, and read as none. It fails with ErrDamaged where they do not open though the key is there.
func (s *Store) ValidateWithPreferences(ctx context.Context, text string, client Client) (Access, Preferences, error) {
	a, more, err := s.validate(ctx, text, client, s.preferencesKey)
	if a, err = a.unlessStepUpRequired(err); err != nil {
		return Access{}, Preferences{}, err
	}
	p, err := s.openPreferences(ctx, a.Session.ID.User, more.Text(0))
	if err != nil {
		return Access{}, Preferences{}, err
	}
	return a, p, nil
}

// SetPreferences replaces preferences, provided that they are still the old ones and that the session still lives. It
// fails with ErrPrecondition where they are not, and then returns those that are stored instead; and as Validate does where
// the session has ended since. EmptyPreferences delete them. One trip.
func (s *Store) SetPreferences(ctx context.Context, a Access, old Preferences, json []byte, actor Actor) (Preferences, error) {
	user := a.Session.ID.User
	next := Preferences{JSON: []byte(EmptyPreferences), Version: noVersion}
	if string(json) != EmptyPreferences {
		sealed, err := s.keys.Seal(s.keys.Current(s.now()), preferencesSeal(user), json)
		if err != nil {
			return Preferences{}, fmt.Errorf("sealing preferences: %w", err)
		}
		next = preferencesFrom(json, string(sealed))
	} else if old.stored == "" {
		return old, nil
	}
	c := s.newTransaction(user, actor)
	c.keys = []string{s.preferencesKey(user), s.payloadKey(a.Session.ID), s.replyCacheKey(user, c.idem)}
	c.args = []any{a.Session.ID.Session[:], old.stored[:min(len(old.stored), nonceEnd)], next.stored}
	r, err := s.commit(ctx, preferencesScript, c)
	if err != nil {
		return Preferences{}, err
	}
	switch r.Outcome() {
	case outcomeDone:
		return next, nil
	case outcomePrecondition:
		current, err := s.openPreferences(ctx, user, r.Text(1))
		if err != nil {
			return Preferences{}, err
		}
		return current, ErrPrecondition
	}
	return Preferences{}, fault(r, a.Session.ID)
}

// noVersion is the version of what is not stored. No stored one has it: theirs have 24 digits.
const noVersion = "0"

func preferencesFrom(json []byte, stored string) Preferences {
	return Preferences{JSON: json, Version: hex.EncodeToString([]byte(stored[nonceAt:nonceEnd])), stored: stored}
}

func (s *Store) openPreferences(ctx context.Context, user token.UserID, stored string) (Preferences, error) {
	if stored == "" {
		return Preferences{JSON: []byte(EmptyPreferences), Version: noVersion}, nil
	}
	json, err := s.open(ctx, preferencesSeal(user), []byte(stored))
	if errors.Is(err, ErrUnavailable) {
		return Preferences{}, err // and not none, which the next change would write over them
	}
	if errors.Is(err, seal.ErrUnknownKey) {
		// Whoever takes a key away forgets what it sealed. Refusing it for good would shut the account out of its profile.
		return preferencesFrom([]byte(EmptyPreferences), stored), nil
	}
	if err != nil {
		return Preferences{}, fmt.Errorf("%w: opening preferences: %w", ErrDamaged, err)
	}
	return preferencesFrom(json, stored), nil
}

// preferencesSeal binds sealed preferences to their account.
func preferencesSeal(user token.UserID) seal.Record {
	return seal.Record{Kind: "preferences", Owner: user[:]}
}
