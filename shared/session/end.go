package session

import (
	"context"
	"errors"
)

// SessionOf tells which session an authentic token belongs to, whether or not that session lives, without a trip. Both
// kinds of token are taken. It fails with ErrInvalidToken.
func (s *Store) SessionOf(text string) (ID, error) {
	t, err := parseToken(s.keys, accessKind, text)
	if err != nil {
		t, err = parseToken(s.keys, refreshKind, text)
	}
	return t.id, err
}

// End ends one session. An ended session is not an error: what is returned says why and when it ended, and by whom. It
// fails with ErrInvalidToken where no such session is known or remembered. One trip.
func (s *Store) End(ctx context.Context, id ID, reason Reason) (*EndedError, error) {
	r, err := s.end(ctx, id, reason, "")
	if err != nil {
		return nil, err
	}
	err = r.fault(id)
	var over *EndedError
	if errors.As(err, &over) {
		return over, nil
	}
	return nil, err
}

func (s *Store) end(ctx context.Context, id ID, reason Reason, ahead any) (reply, error) {
	op := newOperation()
	return s.run(ctx, endScript, s.sessionKeys(id), id.Random[:], millis(s.now()), int(reason), op[:], ahead)
}

// EndAll ends every session of the account that a session belongs to, and tells how many were live. The session itself
// need not live, but it must be known or remembered: else it fails with ErrInvalidToken. One trip.
func (s *Store) EndAll(ctx context.Context, witness ID, reason Reason) (int, error) {
	op := newOperation()
	r, err := s.run(ctx, endAllScript, []string{s.recordKey(witness.User)}, millis(s.now()), int(reason), op[:], witness.Random[:])
	if err != nil {
		return 0, err
	}
	if r.outcome() != outcomeDone {
		return 0, r.fault(witness)
	}
	return int(r.int(1)), nil
}
