package session

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// EmptyPreferences is the JSON of preferences that are not stored.
const EmptyPreferences = "{}"

// Preferences are the preferences of an account: a JSON object that outlives
// its sessions.
type Preferences struct {
	// JSON is the object, or [EmptyPreferences] if nothing is stored.
	JSON []byte
	// Version changes with every change. It is opaque, not empty, and consists
	// of letters and digits.
	Version string

	stored string // sealed, as Redis holds it; empty if nothing is stored
}

// Sealed bytes begin with format, key id and a random nonce. The nonce is used
// as the version. No two stored values share the bytes up to the end of the
// nonce.
const (
	nonceAt  = 1 + seal.IDLength
	nonceEnd = nonceAt + 12
)

// ValidateWithPreferences is [Store.Validate], and reads the account's
// preferences in the same round trip. Preferences whose key was removed from
// the key ring are lost, and read as empty. It returns [ErrDamaged] if the
// preferences do not open although the ring has their key.
func (s *Store) ValidateWithPreferences(
	ctx context.Context, text string, client Client,
) (Access, Preferences, error) {
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

// SetPreferences replaces the preferences of an account, if they are still the
// old ones and the session is still live. It returns [ErrPrecondition] if other
// preferences are stored, and those preferences with it. It returns the errors
// of [Store.Validate] if the session has ended since. [EmptyPreferences]
// deletes the preferences. It takes one round trip.
func (s *Store) SetPreferences(
	ctx context.Context, a Access, old Preferences, json []byte, actor Actor,
) (Preferences, error) {
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
	c.keys = []string{
		s.preferencesKey(user), s.payloadKey(a.Session.ID), s.replyCacheKey(user, c.idem),
	}
	c.args = []any{
		a.Session.ID.Session[:], old.stored[:min(len(old.stored), nonceEnd)], next.stored,
	}
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

// noVersion is the version of preferences that are not stored. It differs from
// all stored versions, which have 24 digits.
const noVersion = "0"

// preferencesFrom returns stored preferences with their version.
func preferencesFrom(json []byte, stored string) Preferences {
	return Preferences{
		JSON: json, Version: hex.EncodeToString([]byte(stored[nonceAt:nonceEnd])), stored: stored,
	}
}

// openPreferences opens stored preferences.
func (s *Store) openPreferences(
	ctx context.Context, user token.UserID, stored string,
) (Preferences, error) {
	if stored == "" {
		return Preferences{JSON: []byte(EmptyPreferences), Version: noVersion}, nil
	}
	json, err := s.open(ctx, preferencesSeal(user), []byte(stored))
	if errors.Is(err, ErrUnavailable) {
		// Not as empty: the next change would overwrite the stored preferences.
		return Preferences{}, err
	}
	if errors.Is(err, seal.ErrUnknownKey) {
		// Whoever removes a key gives up what it sealed. A permanent error
		// would lock the account out of its profile.
		return preferencesFrom([]byte(EmptyPreferences), stored), nil
	}
	if err != nil {
		return Preferences{}, fmt.Errorf("%w: opening preferences: %w", ErrDamaged, err)
	}
	return preferencesFrom(json, stored), nil
}

// preferencesSeal returns what sealed preferences are bound to: their account.
func preferencesSeal(user token.UserID) seal.Record {
	return seal.Record{Kind: "preferences", Owner: user[:]}
}
