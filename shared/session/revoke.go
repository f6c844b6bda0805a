package session

import (
	"context"
	"errors"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// SessionOf returns the id of the session that an authentic token of either
// kind belongs to, whether or not that session is live. It takes no round trip
// to Redis. It returns [token.ErrInvalid], or [ErrUnavailable] if the token's
// key had to be fetched and could not be.
func (s *Store) SessionOf(ctx context.Context, text string) (token.ID, error) {
	t, err := s.parseAny(ctx, text)
	return t.ID(), err
}

// parseAny parses a token of either kind.
func (s *Store) parseAny(ctx context.Context, text string) (token.Token, error) {
	if strings.HasPrefix(text, string(token.Refresh)) {
		return s.parse(ctx, token.Refresh, text)
	}
	return s.parse(ctx, token.Access, text)
}

// Revoke ends one session. A session that has ended is not an error: the result
// says why and when it ended, and whether this call ended it. Revoke returns
// [token.ErrInvalid] if the record does not list the session, live or ended. It
// takes one round trip, and one more if the change has a condition.
func (s *Store) Revoke(
	ctx context.Context, id token.ID, reason Reason, change Change,
) (*EndedError, error) {
	r, err := s.revoke(ctx, id, reason, revokeIf{}, change)
	if err != nil {
		return nil, err
	}
	return endedBy(r, id)
}

// endedBy returns what the reply to a revocation says.
func endedBy(r script.Reply, id token.ID) (*EndedError, error) {
	err := fault(r, id)
	var ended *EndedError
	if errors.As(err, &ended) {
		return ended, nil
	}
	return nil, err
}

// revokeIf are conditions of a revocation. Each is empty if it does not apply.
type revokeIf struct {
	// ahead is a generation: the record must be behind it.
	ahead string
	// claim is who must have claimed the check of the session's proof last.
	claim []byte
}

// revoke runs the script.
func (s *Store) revoke(
	ctx context.Context, id token.ID, reason Reason, only revokeIf, change Change,
) (script.Reply, error) {
	c := s.newTransaction(id.User, change.Actor)
	c.account = change.Account
	c.keys = s.ownKeys(id)
	c.args = []any{id.Session[:], int(reason), only.ahead, only.claim}
	return s.commitIf(ctx, revokeScript, c, change)
}

// RevokeAll ends every session of the account that a session belongs to, and
// returns how many of them were live. Sessions past a deadline are recorded as
// ended, and do not count. The session itself need not be live, but the record
// must list it, live or ended. Otherwise RevokeAll returns [token.ErrInvalid]. It
// takes one round trip.
func (s *Store) RevokeAll(
	ctx context.Context, asking token.ID, reason Reason, actor Actor,
) (int, error) {
	change := Change{Actor: actor}
	return s.revokeAll(ctx, asking.User, reason, asking.Session[:], []byte{}, change)
}

// RevokeOthers ends every session of the account except own, and returns how
// many of them were live. It takes one round trip.
func (s *Store) RevokeOthers(
	ctx context.Context, own token.ID, reason Reason, actor Actor,
) (int, error) {
	change := Change{Actor: actor}
	return s.revokeAll(ctx, own.User, reason, []byte{}, own.Session[:], change)
}

// RevokeAllOf ends every session of an account, and returns how many of them were
// live. An account of which nothing is stored has no sessions, which is not an error.
// It takes one round trip, and one more if the change has a condition.
func (s *Store) RevokeAllOf(
	ctx context.Context, user token.UserID, reason Reason, change Change,
) (int, error) {
	n, err := s.revokeAll(ctx, user, reason, []byte{}, []byte{}, change)
	if errors.Is(err, token.ErrInvalid) {
		return 0, nil
	}
	return n, err
}

// revokeAll runs the script. asking and spared are session parts of ids, or
// empty.
func (s *Store) revokeAll(
	ctx context.Context, user token.UserID, reason Reason, asking, spared []byte, change Change,
) (int, error) {
	c := s.newAccountTransaction(user, change, int(reason), asking, spared)
	r, err := s.commitIf(ctx, revokeAllScript, c, change)
	if err != nil {
		return 0, err
	}
	if r.Outcome() != outcomeDone {
		// The script returns UNKNOWN or DAMAGED here, and never ENDED of one
		// session.
		return 0, fault(r, token.ID{User: user})
	}
	return int(r.Int(1)), nil
}
