package session

import (
	"context"
	"errors"
	"fmt"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// parse parses a token of the given kind. If the key ring does not have the
// token's key, it fetches the key and tries again: another instance may have
// learned of a rotation earlier. It returns [token.ErrInvalid], or
// [ErrUnavailable] if the key could not be fetched. It takes no round trip to
// Redis.
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

// open opens sealed bytes, and fetches their key first if the key ring does not
// have it. It returns the errors of [seal.Ring.Open], or [ErrUnavailable] if
// the key could not be fetched. In that case the data must not be treated as
// lost.
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

// fetchKey fetches a key that the key ring does not have. It returns
// [token.ErrUnknownKey] if there is no such key, or [ErrUnavailable].
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
	return fmt.Errorf("%w: fetching a key: %w", ErrUnavailable, err)
}
