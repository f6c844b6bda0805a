package session

import (
	"context"
	"errors"
	"slices"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Change says who changes an account, and when the change is refused.
type Change struct {
	Actor Actor
	// Account is the account that is changed, or zero if the caller knows only
	// its user id.
	Account token.Account
	// Condition decides from the account's roles whether it may be changed. Its
	// error refuses the change and is returned. The change takes effect only if
	// the account still has exactly those roles, so the decision holds at that
	// moment. Condition may be called several times. Nil refuses nothing.
	Condition func(roles []string) error
	// Note is the note of a block, for other admins to read; or empty. Other
	// changes ignore it.
	Note string
	// KeepAdmin refuses to demote, block or erase an account if no other could
	// administer, with [ErrLastAdmin]. Other changes ignore it.
	KeepAdmin bool
}

// SetRoles replaces the roles of an account, which may have never signed in. It
// returns [ErrTooLarge] if the roles have more than [MaxRoles] bytes.
func (s *Store) SetRoles(
	ctx context.Context, user token.UserID, roles []string, change Change,
) (User, error) {
	text, admin := strings.Join(roles, ","), slices.Contains(roles, RoleAdmin)
	if len(text) > MaxRoles {
		return User{}, ErrTooLarge
	}
	c := s.newAccountTransaction(user, change)
	name, err := s.nameArgument(c, noSession)
	if err != nil {
		return User{}, err
	}
	c.args = []any{text, name}
	c.roles = &rolesChange{after: roles}
	r, err := s.changeAccount(ctx, c, change,
		edit{script: rolesScript, demotes: !admin, names: true})
	if err == nil && admin {
		err = s.reconcileAdmin(ctx, user)
	}
	if err != nil {
		return User{}, err
	}
	rec, err := decodeRecord(r.Text(1))
	return rec.user(user, change.Account), err
}

// Block ends every session of an account and refuses its logins from then on.
// An account that has never signed in can be blocked, too. With a note, an
// account that is blocked gets the new one; without, it keeps its own. Block
// returns [ErrTooLarge] if the note has more than [MaxNote] bytes.
func (s *Store) Block(ctx context.Context, user token.UserID, change Change) error {
	if len(change.Note) > MaxNote {
		return ErrTooLarge
	}
	c := s.newAccountTransaction(user, change)
	name, err := s.nameArgument(c, noSession)
	if err != nil {
		return err
	}
	sealed, err := s.sealNote(c, change.Note)
	if err != nil {
		return err
	}
	c.args = []any{1, name, sealed}
	_, err = s.changeAccount(ctx, c, change, edit{script: blockScript, demotes: true, names: true})
	return err
}

// Unblock lets an account sign in again. It is not an error if the account is
// not blocked.
func (s *Store) Unblock(ctx context.Context, user token.UserID, change Change) error {
	c := s.newAccountTransaction(user, change)
	name, err := s.nameArgument(c, noSession)
	if err != nil {
		return err
	}
	c.args = []any{0, name, ""}
	r, err := s.commitIf(ctx, blockScript, c, change)
	switch {
	case err != nil:
		return err
	case r.Outcome() != outcomeDone:
		return ErrDamaged
	case slices.Contains(strings.Split(r.Text(1), ","), RoleAdmin):
		return s.reconcileAdmin(ctx, user)
	}
	return nil
}

// Erase ends every session of an account, and deletes its preferences,
// activity, state and roles, its name and note in the registry, and its name in
// the audit list. What remains is a block, and the list of ended sessions until
// they would have expired. It is not an error if nothing is stored of the
// account.
func (s *Store) Erase(ctx context.Context, user token.UserID, change Change) error {
	c := s.newAccountTransaction(user, change)
	_, err := s.changeAccount(ctx, c, change,
		edit{script: eraseScript, demotes: true, erases: true})
	return err
}

// edit is what a change of an account does.
type edit struct {
	script *script.Script
	// demotes says that the account cannot administer afterwards.
	demotes bool
	// names says that the second argument is the account's name, which is read
	// if the caller does not know it.
	names bool
	// erases says that the script takes the keys of all sessions.
	erases bool
}

// changeAccount commits a change, and updates the list of admins if the account
// was removed from it.
func (s *Store) changeAccount(
	ctx context.Context, c transaction, change Change, e edit,
) (script.Reply, error) {
	r, dropped, err := s.commitChange(ctx, c, change, e)
	if err == nil && r.Outcome() != outcomeDone {
		err = ErrDamaged
	}
	if dropped {
		// Also if the change was refused in the end: the account may still be
		// an admin.
		err = errors.Join(err, s.reconcileAdmin(ctx, c.user))
	}
	return r, err
}

// commitIf commits a transaction under the condition of a change. Without a
// condition it does not read the record.
func (s *Store) commitIf(
	ctx context.Context, lua *script.Script, c transaction, change Change,
) (script.Reply, error) {
	if change.Condition == nil {
		c.args = append(c.args, anyRoles)
		return s.commit(ctx, lua, c)
	}
	r, _, err := s.commitChange(ctx, c, change, edit{script: lua})
	return r, err
}

// staleReads is how many times a change is attempted if what it depends on
// keeps changing between the read and the write.
const staleReads = 5

// commitChange reads the record, checks the conditions, removes the account
// from the list of admins if the change demotes it, and commits the script. It
// starts again if the account's roles or sessions changed after they were read.
// It reports whether it removed the account from the list.
func (s *Store) commitChange(
	ctx context.Context, c transaction, change Change, e edit,
) (script.Reply, bool, error) {
	dropped := false
	for attempt := range staleReads {
		rec, err := s.record(ctx, c.user)
		if err == nil && change.Condition != nil {
			err = change.Condition(rec.roles)
		}
		if err == nil && e.demotes && rec.administers() {
			err = s.dropAdmin(ctx, c.user, change)
			dropped = dropped || err == nil
		}
		if err == nil && e.erases && attempt == 0 {
			err = s.eraseNames(ctx, c.user)
		}
		if err != nil {
			return nil, dropped, err
		}
		run := c
		if e.names && c.account == (token.Account{}) {
			if run, err = s.named(ctx, c, rec); err != nil {
				return nil, dropped, err
			}
		}
		run.args = append(run.args, expectRoles(rec.roles))
		if c.roles != nil {
			run.roles = &rolesChange{before: append([]string{}, rec.roles...), after: c.roles.after}
		}
		if e.erases {
			run = s.erasing(c, rec, attempt)
		}
		r, err := s.commit(ctx, e.script, run)
		if err != nil || r.Outcome() != outcomeStale {
			return r, dropped, err
		}
	}
	return nil, dropped, ErrUnavailable
}

// anyRoles is the last argument of a script whose change does not depend on the
// account's roles.
const anyRoles = ""

// expectRoles returns the roles on which the caller based its decision, as
// scripts take them; see rolesChanged in lua/lib/roles.lua.
func expectRoles(roles []string) string { return "=" + strings.Join(roles, ",") }

// erasing returns a transaction with the keys and arguments of the erase
// script, for all sessions that the record lists, live and ended. From the
// third attempt on other sessions do not stop the script: concurrent logins
// must not prevent an erasure.
func (s *Store) erasing(c transaction, rec record, attempt int) transaction {
	sessions := []byte{}
	for _, e := range rec.live {
		sessions = append(sessions, e.session[:]...)
	}
	for _, e := range rec.ended {
		sessions = append(sessions, e.session[:]...)
	}
	c.keys = append(c.keys, s.preferencesKey(c.user))
	for session := range slices.Chunk(sessions, 16) {
		id := token.ID{User: c.user, Session: [16]byte(session)}
		c.keys = append(c.keys, s.ownKeys(id)...)
	}
	c.args = []any{sessions, expectRoles(rec.roles), bit(attempt > 1)}
	return c
}
