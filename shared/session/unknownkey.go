package session

import (
	"context"
	"errors"
	"fmt"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// parse reads a token of the given kind. One that names a key which the ring does not have is looked at once more when the
// ring has taken that up: another instance may know of a rotation earlier. It fails with ErrInvalidToken, or with
// ErrUnavailable where nobody can tell. No trip to Redis.
func (s *Store) parse(ctx context.Context, kind token.Kind, text string) (token.Token, error) {
	t, err := token.Parse(s.keys, kind, text)
	if !errors.Is(err, seal.ErrUnknownKey) {
		return t, err
	}
	if err := s.fetchKey(ctx, t.KeyID()); err != nil {
		return token.Token{}, err
	}
	return token.Parse(s.keys, kind, text)
}

// open opens what was sealed, also where its key has to be taken up first. It fails as seal.Ring.Open does, or with
// ErrUnavailable where nobody can tell: then it may not be taken for forgotten.
func (s *Store) open(ctx context.Context, rec seal.Record, sealed []byte) ([]byte, error) {
	plain, err := s.keys.Open(rec, sealed)
	if !errors.Is(err, seal.ErrUnknownKey) {
		return plain, err
	}
	id, _ := seal.KeyOf(sealed)
	if err := s.fetchKey(ctx, id); err != nil {
		return nil, err
	}
	return s.keys.Open(rec, sealed)
}

// fetchKey asks for a key that the ring does not have. It fails with errUnknownKey or ErrUnavailable.
func (s *Store) fetchKey(ctx context.Context, id seal.KeyID) error {
	if s.opts.FetchKey == nil {
		return token.ErrUnknownKey
	}
	err := s.opts.FetchKey(ctx, id)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, seal.ErrUnknownKey):
		return token.ErrUnknownKey
	}
	return fmt.Errorf("%w: asking for a key: %w", ErrUnavailable, err)
}
