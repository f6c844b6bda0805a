package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"
)

// The roles that are always there.
const (
	// RoleAdmin has every permission.
	RoleAdmin = "admin"
	// RoleUser is everybody's. It is never stored.
	RoleUser = "user"
)

// MaxRoles is how many bytes an account's roles may have, with a comma between each two.
const MaxRoles = 255

// SetRoles gives an account these roles and no others, also one that was never seen; together they have MaxRoles bytes at
// most, or it fails with ErrTooLarge. It fails with ErrLastAdmin where keepAdmin is set and nobody else could administer.
func (s *Store) SetRoles(ctx context.Context, address common.Address, roles []string, keepAdmin bool, by By) (User, error) {
	user, text := s.UserOf(address), strings.Join(roles, ",")
	if len(text) > MaxRoles {
		return User{}, ErrTooLarge
	}
	c := s.newChange(user, by)
	stays, left := slices.Contains(roles, RoleAdmin), 0
	r, err := s.unlessStale(ctx, rolesScript, &c, func(rec record) error {
		resigned, err := 0, error(nil)
		if !stays {
			resigned, err = s.resign(ctx, user, rec.roles, keepAdmin)
		}
		left |= resigned
		c.args = []any{text, resigned}
		return err
	})
	if err != nil {
		return User{}, err
	}
	rec, err := decodeRecord(r.text(1))
	if err == nil && (stays || left == 1) {
		err = s.settle(ctx, user)
	}
	return rec.user(user, address), err
}

// unlessStale runs a script that was prepared for a record as it was read, and again where that has changed since.
func (s *Store) unlessStale(ctx context.Context, script *redis.Script, c *change, prepare func(record) error) (reply, error) {
	for range staleReads {
		rec, err := s.record(ctx, c.user)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err := prepare(rec); err != nil {
			return nil, err
		}
		r, err := s.change(ctx, script, *c)
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

// The list of admins holds those who have the role stored and are not blocked: who could give it to somebody else. It
// lives in a slot of its own, so it and a record cannot change in one step. Who leaves is taken off before the record
// changes, and after every change the list is made to say what the record says. Where that is cut off in between, the list
// lacks an admin until their role is set again, which refuses too much. What it does not withstand is somebody who puts an
// admin back at the very moment in which two others leave.

// resign takes an account with these roles off the list, before its record changes, and tells whether there was anything
// to do. It fails with ErrLastAdmin where keepAdmin is set and the list has nobody else.
func (s *Store) resign(ctx context.Context, user UserID, roles []string, keepAdmin bool) (resigned int, err error) {
	if !slices.Contains(roles, RoleAdmin) {
		return 0, nil
	}
	keep := 0
	if keepAdmin {
		keep = 1
	}
	r, err := s.run(ctx, resignScript, []string{s.adminsKey()}, user[:], keep)
	if err == nil && r.outcome() == outcomeLast {
		return 0, ErrLastAdmin
	}
	return 1, err
}

// settle makes the list say of an account what its record says: after every change of either. What was written is held
// against the record once more, so of two that settle at once the last agrees with it.
func (s *Store) settle(ctx context.Context, user UserID) error {
	can, err := s.canAdminister(ctx, user)
	for range staleReads {
		if err != nil {
			return err
		}
		write := s.rdb.SRem
		if can {
			write = s.rdb.SAdd
		}
		if err := again(ctx, func() error { return write(ctx, s.adminsKey(), user[:]).Err() }); err != nil {
			return err
		}
		wrote := can
		if can, err = s.canAdminister(ctx, user); err == nil && can == wrote {
			return nil
		}
	}
	return ErrUnavailable
}

func (s *Store) canAdminister(ctx context.Context, user UserID) (bool, error) {
	rec, err := s.record(ctx, user)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return slices.Contains(rec.roles, RoleAdmin) && rec.blockedAt.IsZero(), err
}
