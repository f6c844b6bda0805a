package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Account is an account as an admin sees it.
type Account struct {
	User User
	// Sessions are the live sessions, newest first.
	Sessions []Session
	// BlockedAt is when the account was blocked, or the zero time if it is not
	// blocked.
	BlockedAt time.Time
}

// UserOf returns the id of an address's account, without a round trip. Every
// address has one, even if nobody has ever signed in with it.
func (s *Store) UserOf(address common.Address) token.UserID {
	return token.UserIDOf(s.keys, token.EOA(address))
}

// Account reads an account. It returns [ErrNotFound] if nothing is stored of
// it. It takes two round trips, or one if no session is live.
func (s *Store) Account(ctx context.Context, address common.Address) (Account, error) {
	user := s.UserOf(address)
	rec, err := s.record(ctx, user)
	if err != nil {
		return Account{}, err
	}
	if rec.created.IsZero() && rec.blockedAt.IsZero() && len(rec.roles) == 0 {
		return Account{}, ErrNotFound // erased, or unblocked and never signed in
	}
	sessions, err := s.sessions(ctx, user, rec)
	return Account{User: rec.user(user, address), Sessions: sessions, BlockedAt: rec.blockedAt}, err
}

// record reads an account's record alone. It returns [ErrNotFound] if there is
// none.
func (s *Store) record(ctx context.Context, user token.UserID) (record, error) {
	rec, _, err := s.load(ctx, []string{s.recordKey(user)})
	if errors.Is(err, token.ErrInvalid) {
		return record{}, ErrNotFound
	}
	return rec, err
}

// Sessions returns the live sessions of the account that a belongs to, newest
// first. It takes one round trip.
func (s *Store) Sessions(ctx context.Context, a Access) ([]Session, error) {
	return s.sessions(ctx, a.Session.ID.User, a.rec)
}

// sessions reads the payloads of a record's live sessions. It leaves out a
// session whose payload is missing or does not open.
func (s *Store) sessions(ctx context.Context, user token.UserID, rec record) ([]Session, error) {
	now := s.now()
	live := slices.DeleteFunc(slices.Clone(rec.live), func(e entry) bool {
		_, _, due := e.expiry(now)
		return due
	})
	if len(live) == 0 {
		return nil, nil
	}
	var keys []string
	for _, e := range live {
		keys = append(keys, s.payloadKey(token.ID{User: user, Session: e.session}))
	}
	values, err := s.mget(ctx, keys)
	if err != nil {
		return nil, err
	}
	var list []Session
	for i, e := range live {
		p, err := s.openPayload(ctx, token.ID{User: user, Session: e.session}, e, values.Text(i))
		if err == nil {
			list = append(list, e.describe(user, p))
		}
	}
	slices.SortStableFunc(list, func(a, b Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, nil
}

// Block ends every session of an account and refuses its logins from then on.
// An account that has never signed in can be blocked, too. Block returns
// [ErrLastAdmin] if keepAdmin is set and no other account could administer.
func (s *Store) Block(
	ctx context.Context, address common.Address, keepAdmin bool, actor Actor, only ...Condition,
) error {
	_, err := s.changeAccount(ctx, s.newTransaction(s.UserOf(address), actor), accountChange{
		script: blockScript, dropsAdmin: true, keepAdmin: keepAdmin, only: only,
		ask: func(c *transaction, _ record, roles string) { c.args = []any{1, roles} },
	})
	return err
}

// Unblock lets an account sign in again. It is not an error if the account is
// not blocked.
func (s *Store) Unblock(
	ctx context.Context, address common.Address, actor Actor, only ...Condition,
) error {
	c := s.newTransaction(s.UserOf(address), actor)
	c.keys = []string{s.replyCacheKey(c.user, c.idem)}
	r, err := s.runConditional(ctx, c.user, only, func(roles string) (script.Reply, error) {
		c.args = []any{0, roles}
		return s.commit(ctx, blockScript, c)
	})
	if err == nil && r.Outcome() != outcomeDone {
		return ErrDamaged
	}
	if err == nil && slices.Contains(strings.Split(r.Text(1), ","), RoleAdmin) {
		err = s.reconcileAdmin(ctx, c.user)
	}
	return err
}

// Erase ends every session of an account, and deletes its preferences,
// activity, state and roles. What remains is a block, and the list of ended
// sessions until they would have expired. Erase returns [ErrLastAdmin] as
// [Store.SetRoles] does. It is not an error if nothing is stored of the
// account. Sealed data of sessions that the record no longer lists, or that
// began while the account was erased, expires by its TTL.
func (s *Store) Erase(
	ctx context.Context, user token.UserID, keepAdmin bool, actor Actor, only ...Condition,
) error {
	tries := 0
	_, err := s.changeAccount(ctx, s.newTransaction(user, actor), accountChange{
		script: eraseScript, dropsAdmin: true, keepAdmin: keepAdmin, only: only,
		ask: func(c *transaction, rec record, roles string) {
			tries++
			s.askErase(c, rec, roles, tries > 2) // concurrent logins must not prevent it
		},
	})
	return err
}

// askErase sets the script's keys and arguments, for all sessions that the
// record lists, live and ended. If anyway is set, other sessions do not stop
// the script.
func (s *Store) askErase(c *transaction, rec record, roles string, anyway bool) {
	var sessions [][16]byte
	for _, e := range rec.live {
		sessions = append(sessions, e.session)
	}
	for _, e := range rec.ended {
		sessions = append(sessions, e.session)
	}
	c.keys = append(c.keys, s.preferencesKey(c.user))
	all := []byte{}
	for _, session := range sessions {
		id := token.ID{User: c.user, Session: session}
		c.keys = append(c.keys, s.payloadKey(id), s.stateKey(id))
		all = append(all, session[:]...)
	}
	c.args = []any{all, roles, bit(anyway)}
}
