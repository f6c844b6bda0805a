package session

import (
	"context"
	"errors"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Condition decides whether another account may be changed, from the roles of
// that account. Its error refuses the change and is returned. The change takes
// effect only if the account still has exactly those roles, so the decision
// holds at that moment. A Condition may be called several times.
type Condition func(roles []string) error

// anyRoles is the argument of a change that does not depend on the account's
// roles.
const anyRoles = ""

// expectRoles returns the roles on which the caller based its decision, as
// scripts take them; see rolesChanged in lua/lib/roles.lua.
func expectRoles(roles []string) string { return "=" + strings.Join(roles, ",") }

// staleReads is how many times a change is attempted if what it depends on
// keeps changing between the read and the write.
const staleReads = 5

// runConditional runs a script for an account that meets the conditions. It
// starts again if the account's roles changed after the conditions were
// checked. Without conditions it reads nothing.
func (s *Store) runConditional(
	ctx context.Context, user token.UserID, only []Condition,
	run func(roles string) (script.Reply, error),
) (script.Reply, error) {
	if len(only) == 0 {
		return run(anyRoles)
	}
	for range staleReads {
		rec, err := s.recordOrNone(ctx, user)
		if err != nil {
			return nil, err
		}
		if err := rec.meets(only); err != nil {
			return nil, err
		}
		r, err := run(expectRoles(rec.roles))
		if err != nil || r.Outcome() != outcomeStale {
			return r, err
		}
	}
	return nil, ErrUnavailable
}

// meets returns the error of the first condition that refuses the record's
// roles.
func (rec record) meets(only []Condition) error {
	for _, condition := range only {
		if err := condition(rec.roles); err != nil {
			return err
		}
	}
	return nil
}

// recordOrNone is record, but returns an empty record if nothing is stored of
// the account.
func (s *Store) recordOrNone(ctx context.Context, user token.UserID) (record, error) {
	rec, err := s.record(ctx, user)
	if errors.Is(err, ErrNotFound) {
		return record{}, nil
	}
	return rec, err
}

// accountChange is a change of an account that depends on its roles.
type accountChange struct {
	script *script.Script
	// dropsAdmin says that the account cannot administer afterwards. keepAdmin
	// says that another account must be able to.
	dropsAdmin, keepAdmin bool
	// addsAdmin says that the account may be able to administer afterwards
	// although it was not able to before.
	addsAdmin bool
	only      []Condition
	// ask sets the script's arguments for the record that was read. roles is
	// one of them; see expectRoles.
	ask func(c *transaction, rec record, roles string)
}

// changeAccount makes a change of an account. It starts again if the account's
// roles or sessions changed after they were read.
func (s *Store) changeAccount(
	ctx context.Context, c transaction, a accountChange,
) (script.Reply, error) {
	left := false
	r, err := s.tryChangeAccount(ctx, c, a, &left)
	if left || a.addsAdmin && err == nil {
		// Also if the change was refused in the end: the account may still be
		// an admin.
		err = errors.Join(err, s.reconcileAdmin(ctx, c.user))
	}
	return r, err
}

// tryChangeAccount is changeAccount without the update of the list of admins.
// It sets left if it removed the account from the list.
func (s *Store) tryChangeAccount(
	ctx context.Context, c transaction, a accountChange, left *bool,
) (script.Reply, error) {
	for range staleReads {
		rec, err := s.recordOrNone(ctx, c.user)
		if err != nil {
			return nil, err
		}
		if err := rec.meets(a.only); err != nil {
			return nil, err
		}
		if a.dropsAdmin && rec.administers() {
			if err := s.dropAdmin(ctx, c.user, a.keepAdmin); err != nil {
				return nil, err
			}
			*left = true
		}
		c.keys = []string{s.replyCacheKey(c.user, c.idem)}
		a.ask(&c, rec, expectRoles(rec.roles))
		r, err := s.commit(ctx, a.script, c)
		switch {
		case err != nil:
			return nil, err
		case r.Outcome() == outcomeDone:
			return r, nil
		case r.Outcome() != outcomeStale:
			return nil, ErrDamaged
		}
	}
	return nil, ErrUnavailable
}
