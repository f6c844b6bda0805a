package session

import (
	"context"
	"slices"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// The list of admins holds the accounts that have the role admin stored and are
// not blocked: those that can give the role to others. It is in a slot of its
// own, so the list and a record cannot change in one step.
//
// An account that is to lose the role, or to be blocked or erased, is removed
// from the list before its record changes. After every change the list is
// updated to match the record. If this is interrupted in between, the list
// lacks an admin until the role is set again. Then a change may be refused that
// could be made.
//
// The list may also have an account that can no longer administer, because a
// failover lost one of the two writes, or because one of them came late. Such
// accounts are removed before a change that must leave an admin on the list.
//
// One case is not covered: somebody restores an admin at the very moment at
// which two others leave.

// dropAdmin removes an account from the list, before its record changes. It
// returns [ErrLastAdmin] if the change must leave an admin and the list has no
// other account.
func (s *Store) dropAdmin(ctx context.Context, user token.UserID, change Change) error {
	if change.KeepAdmin {
		if err := s.pruneAdmins(ctx); err != nil {
			return err
		}
	}
	r, err := s.run(ctx, dropAdminScript, []string{s.adminsKey()}, user[:], bit(change.KeepAdmin))
	if err == nil && r.Outcome() == outcomeLast {
		return ErrLastAdmin
	}
	return err
}

// pruneAdmins removes the accounts from the list that cannot administer.
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
		rec, err := s.record(ctx, user)
		if err == nil && !rec.canAdminister() {
			err = s.listAdmin(ctx, user, rec)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reconcileAdmin makes the list match an account's record. It is called after
// every change of either.
func (s *Store) reconcileAdmin(ctx context.Context, user token.UserID) error {
	rec, err := s.record(ctx, user)
	if err != nil {
		return err
	}
	return s.listAdmin(ctx, user, rec)
}

// listAdmin makes the list match a record that was just read. It compares what
// it wrote with the record again, so that of two calls at once the last one
// matches it. It returns [ErrUnavailable] if the record keeps changing.
func (s *Store) listAdmin(ctx context.Context, user token.UserID, rec record) error {
	for range staleReads {
		write := s.rdb.SRem
		if rec.canAdminister() {
			write = s.rdb.SAdd
		}
		if err := script.Retry(ctx, func() error {
			return write(ctx, s.adminsKey(), user[:]).Err()
		}); err != nil {
			return err
		}
		wrote := rec.canAdminister()
		var err error
		if rec, err = s.record(ctx, user); err != nil || rec.canAdminister() == wrote {
			return err
		}
	}
	return ErrUnavailable
}

// administers reports whether the role admin is stored.
func (rec record) administers() bool { return slices.Contains(rec.roles, RoleAdmin) }

// canAdminister reports whether the role admin is stored and the account is not
// blocked.
func (rec record) canAdminister() bool { return rec.administers() && rec.blockedAt.IsZero() }
