package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// The roles that always exist.
const (
	// RoleAdmin has every permission.
	RoleAdmin = "admin"
	// RoleUser is the role that everybody has. It is never stored.
	RoleUser = "user"
)

// MaxRoles is the most bytes that an account's roles may have, with the commas
// between them.
const MaxRoles = 255

// Account is an account as an admin sees it.
type Account struct {
	User User
	// Sessions are the live sessions, newest first.
	Sessions []Session
	// BlockedAt is when the account was blocked, or the zero time if it is not
	// blocked.
	BlockedAt time.Time
	// Note is what the admin who blocked the account noted, or empty.
	Note string
}

// UserOf returns the user id of an account, without a round trip. Every account
// has one, even if nobody has ever signed in with it.
func (s *Store) UserOf(account token.Account) token.UserID {
	return token.UserIDOf(s.keys, token.SubjectOf(account))
}

// Account reads an account. It returns [ErrNotFound] if nothing is stored of
// it. It takes two round trips, or one if no session is live.
func (s *Store) Account(ctx context.Context, user token.UserID) (Account, error) {
	rec, text, err := s.recordAndText(ctx, user)
	if err != nil {
		return Account{}, err
	}
	if rec.created.IsZero() && rec.blockedAt.IsZero() && len(rec.roles) == 0 {
		return Account{}, ErrNotFound // erased, or unblocked and never signed in
	}
	sessions, err := s.sessions(ctx, user, rec)
	account, note := s.openText(ctx, user, rec, text)
	if len(sessions) > 0 {
		account = sessions[0].Account
	}
	return Account{
		User: rec.user(user, account), Sessions: sessions, BlockedAt: rec.blockedAt, Note: note,
	}, err
}

// recordAndText is record, and reads what the registry has of the account in
// the same round trip.
func (s *Store) recordAndText(
	ctx context.Context, user token.UserID,
) (rec record, text registryText, err error) {
	var raw *redis.SliceCmd
	err = s.pipeline(ctx, func(p redis.Pipeliner) {
		raw = p.MGet(ctx, s.recordKey(user))
		text = s.queueText(ctx, p, partitionOf(user), string(user[:]))
	})
	if err != nil {
		return record{}, registryText{}, err
	}
	if stored := script.Reply(raw.Val()); stored[0] != nil {
		rec, err = decodeRecord(stored.Text(0))
	}
	return rec, text, err
}

// record reads an account's record alone. It returns an empty record if nothing
// is stored of the account.
func (s *Store) record(ctx context.Context, user token.UserID) (record, error) {
	rec, _, err := s.load(ctx, []string{s.recordKey(user)})
	if errors.Is(err, token.ErrInvalid) {
		return record{}, nil
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
