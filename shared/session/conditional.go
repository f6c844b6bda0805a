package session

import (
	"context"
	"errors"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Condition is asked, before another's account is changed, about the roles that the account has: its error refuses the
// change and is returned. The change takes effect only on an account that still has those very roles, so what was decided
// holds at that moment. It may be asked several times.
type Condition func(roles []string) error

// anyRoles is for a change that was decided whatever the account's roles are.
const anyRoles = ""

// expectRoles is what scripts are told of the roles by which the caller decided; see rolesChanged in lua/lib/roles.lua.
func expectRoles(roles []string) string { return "=" + strings.Join(roles, ",") }

// staleReads is how often something is read again that changed between reading and writing it.
const staleReads = 5

// runConditional runs a script for an account that meets the conditions, and again where its roles changed after they were asked.
// Without conditions it reads nothing.
func (s *Store) runConditional(ctx context.Context, user token.UserID, only []Condition, run func(roles string) (script.Reply, error)) (script.Reply, error) {
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

func (rec record) meets(only []Condition) error {
	for _, condition := range only {
		if err := condition(rec.roles); err != nil {
			return err
		}
	}
	return nil
}

// recordOrNone is record, with an account of which nothing is stored as an empty one.
func (s *Store) recordOrNone(ctx context.Context, user token.UserID) (record, error) {
	rec, err := s.record(ctx, user)
	if errors.Is(err, ErrNotFound) {
		return record{}, nil
	}
	return rec, err
}

// accountChange is a change of an account that is decided by its roles.
type accountChange struct {
	script *script.Script
	// dropsAdmin tells that the account can administer no more afterwards, and keepAdmin that somebody else must be able to.
	dropsAdmin, keepAdmin bool
	// addsAdmin tells that it may be able to administer afterwards, who could not.
	addsAdmin bool
	only      []Condition
	// ask fills in what the script is asked for a record as it was read. roles are for its argument.
	ask func(c *transaction, rec record, roles string)
}

// changeAccount runs an alteration, and again where the account's roles or sessions changed after it was decided.
func (s *Store) changeAccount(ctx context.Context, c transaction, a accountChange) (script.Reply, error) {
	left := false
	r, err := s.tryChangeAccount(ctx, c, a, &left)
	if left || a.addsAdmin && err == nil {
		err = errors.Join(err, s.reconcileAdmin(ctx, c.user)) // also where it was refused in the end: it may be an admin still
	}
	return r, err
}

// tryChangeAccount is alter but for the list of admins, which it tells whether the account was taken off.
func (s *Store) tryChangeAccount(ctx context.Context, c transaction, a accountChange, left *bool) (script.Reply, error) {
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
