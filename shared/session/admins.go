package session

import (
	"cmp"
	"context"
	"slices"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// The list of admins holds those who have the role stored and are not blocked: who could give it to somebody else. It
// lives in a slot of its own, so it and a record cannot change in one step. Who leaves is taken off before the record
// changes, and after every change the list is made to say what the record says. Where that is cut off in between, the list
// lacks an admin until their role is set again, which refuses too much. Who stands there and can administer no more, since a
// failover lost one of the two changes or one of them came late, is taken off before anybody leaves whom the list must keep.
// What it does not withstand is somebody who puts an admin back at the very moment in which two others leave.

// dropAdmin takes an account off the list, before its record changes. It fails with ErrLastAdmin where keepAdmin is set and
// the list has nobody else.
func (s *Store) dropAdmin(ctx context.Context, user token.UserID, keepAdmin bool) error {
	if keepAdmin {
		if err := s.pruneAdmins(ctx); err != nil {
			return err
		}
	}
	r, err := s.run(ctx, dropAdminScript, []string{s.adminsKey()}, user[:], bit(keepAdmin))
	if err == nil && r.Outcome() == outcomeLast {
		return ErrLastAdmin
	}
	return err
}

// pruneAdmins takes off the list whoever cannot administer.
func (s *Store) pruneAdmins(ctx context.Context) error {
	var list []string
	err := script.Retry(ctx, func() (err error) {
		list, err = s.rdb.SMembers(ctx, s.adminsKey()).Result()
		return err
	})
	if err != nil {
		return err
	}
	for _, member := range list {
		var user token.UserID
		copy(user[:], member)
		can, err := s.canAdminister(ctx, user)
		if err == nil && !can {
			err = s.reconcileAdmin(ctx, user)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reconcileAdmin makes the list say of an account what its record says: after every change of either. What was written is held
// against the record once more, so of two that settle at once the last agrees with it.
func (s *Store) reconcileAdmin(ctx context.Context, user token.UserID) error {
	can, err := s.canAdminister(ctx, user)
	for pass := 0; pass < staleReads && err == nil; pass++ {
		write := s.rdb.SRem
		if can {
			write = s.rdb.SAdd
		}
		if err := script.Retry(ctx, func() error { return write(ctx, s.adminsKey(), user[:]).Err() }); err != nil {
			return err
		}
		wrote := can
		if can, err = s.canAdminister(ctx, user); err == nil && can == wrote {
			return nil
		}
	}
	return cmp.Or(err, ErrUnavailable)
}

func (s *Store) canAdminister(ctx context.Context, user token.UserID) (bool, error) {
	rec, err := s.recordOrNone(ctx, user)
	return rec.administers() && rec.blockedAt.IsZero(), err
}

// administers tells whether the role of an admin is stored.
func (rec record) administers() bool { return slices.Contains(rec.roles, RoleAdmin) }
