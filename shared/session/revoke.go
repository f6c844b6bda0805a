package session

import (
	"context"
	"errors"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// SessionOf tells which session an authentic token belongs to, whether or not that session lives, without a trip. Both
// kinds of token are taken. It fails with ErrInvalidToken, or with ErrUnavailable where its key had to be asked for in vain.
func (s *Store) SessionOf(ctx context.Context, text string) (token.ID, error) {
	t, err := s.parseAny(ctx, text)
	return t.ID(), err
}

// parseAny reads a token of either kind.
func (s *Store) parseAny(ctx context.Context, text string) (token.Token, error) {
	if strings.HasPrefix(text, string(token.Refresh)) {
		return s.parse(ctx, token.Refresh, text)
	}
	return s.parse(ctx, token.Access, text)
}

// Revoke ends one session. An ended session is not an error: what is returned says why and when it ended, and by whom. It
// fails with ErrInvalidToken where no such session is known or remembered. One trip; with a condition one more.
func (s *Store) Revoke(ctx context.Context, id token.ID, reason Reason, actor Actor, only ...Condition) (*EndedError, error) {
	r, err := s.runConditional(ctx, id.User, only, func(roles string) (script.Reply, error) { return s.revoke(ctx, id, reason, "", roles, actor) })
	if err != nil {
		return nil, err
	}
	err = fault(r, id)
	var over *EndedError
	if errors.As(err, &over) {
		return over, nil
	}
	return nil, err
}

func (s *Store) revoke(ctx context.Context, id token.ID, reason Reason, ahead any, roles string, actor Actor) (script.Reply, error) {
	c := s.newTransaction(id.User, actor)
	c.keys = []string{s.payloadKey(id), s.stateKey(id)}
	c.args = []any{id.Session[:], int(reason), ahead, roles}
	return s.commit(ctx, revokeScript, c)
}

// RevokeAll ends every session of the account that a session belongs to, and tells how many were live. The session itself
// need not live, but it must be known or remembered: else it fails with ErrInvalidToken. One trip.
func (s *Store) RevokeAll(ctx context.Context, witness token.ID, reason Reason, actor Actor) (int, error) {
	return s.revokeAll(ctx, witness.User, reason, witness.Session[:], []byte{}, actor)
}

// RevokeOthers ends every session of the account but that one, and tells how many. One trip.
func (s *Store) RevokeOthers(ctx context.Context, own token.ID, reason Reason, actor Actor) (int, error) {
	return s.revokeAll(ctx, own.User, reason, []byte{}, own.Session[:], actor)
}

// RevokeAllOf ends every session of an account, and tells how many were live. An account of which nothing is stored has
// none. One trip; with a condition one more.
func (s *Store) RevokeAllOf(ctx context.Context, user token.UserID, reason Reason, actor Actor, only ...Condition) (int, error) {
	n, err := s.revokeAll(ctx, user, reason, []byte{}, []byte{}, actor, only...)
	if errors.Is(err, token.ErrInvalid) {
		return 0, nil
	}
	return n, err
}

func (s *Store) revokeAll(ctx context.Context, user token.UserID, reason Reason, witness, spared []byte, actor Actor, only ...Condition) (int, error) {
	c := s.newTransaction(user, actor)
	c.keys = []string{s.replyCacheKey(user, c.idem)}
	r, err := s.runConditional(ctx, user, only, func(roles string) (script.Reply, error) {
		c.args = []any{int(reason), witness, spared, roles}
		return s.commit(ctx, revokeAllScript, c)
	})
	if err != nil {
		return 0, err
	}
	if r.Outcome() != outcomeDone {
		return 0, fault(r, token.ID{User: user}) // never of one session: the script answers UNKNOWN or DAMAGED
	}
	return int(r.Int(1)), nil
}
