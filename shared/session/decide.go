package session

import (
	"context"
	"errors"
	"strings"
)

// Condition is asked, before another's account is changed, about the roles that the account has: its error refuses the
// change and is returned. The change takes effect only on an account that still has those very roles, so what was decided
// holds at that moment. It may be asked several times.
type Condition func(roles []string) error

// noRoles is for a change that was decided whatever the account's roles are.
const noRoles = ""

// decidedBy is what scripts are told of the roles by which the caller decided; see rolesChanged in lua/lib/roles.lua.
func decidedBy(roles []string) string { return "=" + strings.Join(roles, ",") }

// staleReads is how often something is read again that changed between reading and writing it.
const staleReads = 5

// decided runs a script for an account that meets the conditions, and again where its roles changed after they were asked.
// Without conditions it reads nothing.
func (s *Store) decided(ctx context.Context, user UserID, only []Condition, run func(roles string) (reply, error)) (reply, error) {
	if len(only) == 0 {
		return run(noRoles)
	}
	for range staleReads {
		rec, err := s.recordOrNone(ctx, user)
		if err != nil {
			return nil, err
		}
		if err := rec.meets(only); err != nil {
			return nil, err
		}
		r, err := run(decidedBy(rec.roles))
		if err != nil || r.outcome() != outcomeStale {
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
func (s *Store) recordOrNone(ctx context.Context, user UserID) (record, error) {
	rec, err := s.record(ctx, user)
	if errors.Is(err, ErrNotFound) {
		return record{}, nil
	}
	return rec, err
}

// alteration is a change of an account that is decided by its roles.
type alteration struct {
	script script
	// resigns tells that the account can administer no more afterwards, and keepAdmin that somebody else must be able to.
	resigns, keepAdmin bool
	// joins tells that it may be able to administer afterwards, who could not.
	joins bool
	only  []Condition
	// ask fills in what the script is asked for a record as it was read. roles are for its argument.
	ask func(c *change, rec record, roles string)
}

// alter runs an alteration, and again where the account's roles or sessions changed after it was decided.
func (s *Store) alter(ctx context.Context, c change, a alteration) (reply, error) {
	left := false
	r, err := s.altered(ctx, c, a, &left)
	if left || a.joins && err == nil {
		err = errors.Join(err, s.settle(ctx, c.user)) // also where it was refused in the end: it may be an admin still
	}
	return r, err
}

// altered is alter but for the list of admins, which it tells whether the account was taken off.
func (s *Store) altered(ctx context.Context, c change, a alteration, left *bool) (reply, error) {
	for range staleReads {
		rec, err := s.recordOrNone(ctx, c.user)
		if err != nil {
			return nil, err
		}
		if err := rec.meets(a.only); err != nil {
			return nil, err
		}
		if a.resigns && rec.administers() {
			if err := s.resign(ctx, c.user, a.keepAdmin); err != nil {
				return nil, err
			}
			*left = true
		}
		c.keys = []string{s.memoryKey(c.user, c.op)}
		a.ask(&c, rec, decidedBy(rec.roles))
		r, err := s.change(ctx, a.script, c)
		switch {
		case err != nil:
			return nil, err
		case r.outcome() == outcomeDone:
			return r, nil
		case r.outcome() != outcomeStale:
			return nil, ErrDamaged
		}
	}
	return nil, ErrUnavailable
}
