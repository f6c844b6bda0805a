package session

import "context"

// Refresh exchanges a refresh token for its successor. Callers that present the same token within the grace, on the same
// device, get the same successor, and within the grace of a rotation the current token answers with what is current. A
// token that was superseded before that is stolen, by or from the caller: it ends the session. Fails with
// ErrInvalidToken, EndedError, ErrUnavailable or ErrDamaged. A forged token costs no trip, any other one.
func (s *Store) Refresh(ctx context.Context, text string, client Client) (Grant, error) {
	t, err := parseToken(s.keys, refreshKind, text)
	if err != nil {
		return Grant{}, err
	}
	op := newOperation()
	next, err := successor(s.keys, t)
	if err != nil {
		return Grant{}, err
	}
	args, err := s.refreshArguments(t, next, client, op)
	if err != nil {
		return Grant{}, err
	}
	r, err := s.run(ctx, refreshScript, s.sessionKeys(t.id), args...)
	if err != nil {
		return Grant{}, err
	}
	if r.outcome() != outcomeDone {
		return Grant{}, r.fault(t.id)
	}
	return s.refreshed(r, t, next, op)
}

func (s *Store) refreshArguments(t token, next pair, client Client, op operation) ([]any, error) {
	hash, err := t.hash(s.keys)
	if err != nil {
		return nil, err
	}
	access, refresh, err := next.hashes(s.keys)
	if err != nil {
		return nil, err
	}
	bare, full, err := s.deviceHashes(t, client.Device)
	if err != nil {
		return nil, err
	}
	return []any{
		t.id.Random[:], t.generation, hash, millis(s.now()), op[:],
		s.opts.Grace.Milliseconds(), s.opts.Access.Milliseconds(), s.opts.Idle.Milliseconds(),
		append(access, refresh...), append(bare[:], full[:]...), []byte{byte(client.Transport)},
	}, nil
}

// refreshed hands out what is current: the presented generation's own pair, or the next.
func (s *Store) refreshed(r reply, t token, next pair, op operation) (Grant, error) {
	e, err := decodeEntry(r.text(1))
	if err != nil {
		return Grant{}, err
	}
	p, err := s.openPayload(t.id, e, r.text(2))
	if err != nil {
		return Grant{}, err
	}
	tokens := next
	if e.generation == t.generation {
		if tokens, err = pairOf(s.keys, t); err != nil {
			return Grant{}, err
		}
	}
	g, err := s.grant(tokens, e, p)
	g.Repeated = e.op != op
	return g, err
}
