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

// Account is what an admin sees of an account.
type Account struct {
	User User
	// Sessions are the live ones, newest first.
	Sessions []Session
	// BlockedAt is when it was blocked; the zero time where it is not.
	BlockedAt time.Time
}

// UserOf is the id of an address's account, without a trip. Every address has one, also where nobody ever signed in.
func (s *Store) UserOf(address common.Address) token.UserID {
	return token.UserIDOf(s.keys, token.EOA(address))
}

// Account reads an account. It fails with ErrNotFound where nothing is stored of it. Two trips, one where no session
// lives.
func (s *Store) Account(ctx context.Context, address common.Address) (Account, error) {
	user := s.UserOf(address)
	rec, err := s.record(ctx, user)
	if err != nil {
		return Account{}, err
	}
	if rec.created.IsZero() && rec.blockedAt.IsZero() && len(rec.roles) == 0 {
		return Account{}, ErrNotFound // erased, or unblocked and never seen
	}
	sessions, err := s.sessions(ctx, user, rec)
	return Account{User: rec.user(user, address), Sessions: sessions, BlockedAt: rec.blockedAt}, err
}

// record reads an account's record alone. It fails with ErrNotFound where there is none.
func (s *Store) record(ctx context.Context, user token.UserID) (record, error) {
	rec, _, err := s.load(ctx, []string{s.recordKey(user)})
	if errors.Is(err, token.ErrInvalid) {
		return record{}, ErrNotFound
	}
	return rec, err
}

// Sessions lists the live sessions of the account that an access was opened for, newest first. One trip.
func (s *Store) Sessions(ctx context.Context, a Access) ([]Session, error) {
	return s.sessions(ctx, a.Session.ID.User, a.rec)
}

// sessions reads the payloads of a record's live sessions. One whose payload is gone or does not open is none.
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

// Block ends every session of an account and lets no login take effect, also of one that was never seen. It fails with
// ErrLastAdmin where keepAdmin is set and nobody else could administer.
func (s *Store) Block(ctx context.Context, address common.Address, keepAdmin bool, actor Actor, only ...Condition) error {
	_, err := s.changeAccount(ctx, s.newTransaction(s.UserOf(address), actor), accountChange{
		script: blockScript, dropsAdmin: true, keepAdmin: keepAdmin, only: only,
		ask: func(c *transaction, _ record, roles string) { c.args = []any{1, roles} },
	})
	return err
}

// Unblock lets an account sign in again. One that was never blocked stays as it is.
func (s *Store) Unblock(ctx context.Context, address common.Address, actor Actor, only ...Condition) error {
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

// Erase ends every session of an account and deletes preferences, activity, state and roles. What remains is a block, and
// until they would have expired the marks of sessions that ended. It fails with ErrLastAdmin as SetRoles does. An account
// of which nothing is stored is erased. What the sessions that nobody remembers any more, or that raced the erasure, have
// left sealed dies by its TTL.
func (s *Store) Erase(ctx context.Context, user token.UserID, keepAdmin bool, actor Actor, only ...Condition) error {
	tries := 0
	_, err := s.changeAccount(ctx, s.newTransaction(user, actor), accountChange{
		script: eraseScript, dropsAdmin: true, keepAdmin: keepAdmin, only: only,
		ask: func(c *transaction, rec record, roles string) {
			tries++
			s.askErase(c, rec, roles, tries > 2) // logins that race it must not keep it from taking effect
		},
	})
	return err
}

// askErase names all that is known of the account's sessions, live and remembered.
func (s *Store) askErase(c *transaction, rec record, roles string, anyway bool) {
	var randoms [][16]byte
	for _, e := range rec.live {
		randoms = append(randoms, e.session)
	}
	for _, e := range rec.ended {
		randoms = append(randoms, e.session)
	}
	c.keys = append(c.keys, s.preferencesKey(c.user))
	all := []byte{}
	for _, random := range randoms {
		id := token.ID{User: c.user, Session: random}
		c.keys = append(c.keys, s.payloadKey(id), s.stateKey(id))
		all = append(all, random[:]...)
	}
	c.args = []any{all, roles, bit(anyway)}
}
