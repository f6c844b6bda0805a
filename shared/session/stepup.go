package session

import (
	"context"
	"crypto/hmac"
	"errors"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Inspect returns the live session of an access token, for a step-up. It
// accepts a session that requires one. Otherwise the token must be as valid as
// for [Store.Validate], and Inspect returns the same errors. It does not record
// activity, and takes one round trip.
func (s *Store) Inspect(ctx context.Context, text string, transport Transport) (Access, error) {
	return s.inspect(ctx, token.Access, text, transport, s.checkAccess)
}

// InspectRefresh is [Store.Inspect] for a refresh token. The token must be the
// current one, or one that was superseded within the grace. It returns
// [token.ErrInvalid] for any other token, and does not treat it as stolen.
func (s *Store) InspectRefresh(
	ctx context.Context, text string, transport Transport,
) (Access, error) {
	return s.inspect(ctx, token.Refresh, text, transport, s.checkRefresh)
}

func (s *Store) inspect(
	ctx context.Context, kind token.Kind, text string, transport Transport,
	check func(entry, token.Token, Transport, time.Time) error,
) (Access, error) {
	t, err := s.parse(ctx, kind, text)
	if err != nil {
		return Access{}, err
	}
	rec, values, err := s.load(ctx, s.sessionKeys(t.ID()))
	if err != nil {
		return Access{}, err
	}
	now := s.now()
	e, err := rec.liveSession(t.ID(), now)
	if err != nil {
		return Access{}, err
	}
	if t.Generation() > e.generation {
		return Access{}, s.reset(ctx, t, Client{})
	}
	if err := check(*e, t, transport, now); err != nil {
		return Access{}, err
	}
	p, err := s.openPayload(ctx, t.ID(), *e, values.Text(1))
	if err != nil {
		return Access{}, err
	}
	return rec.access(t.ID().User, *e, p), nil
}

// checkRefresh checks a refresh token that is presented but not exchanged.
func (s *Store) checkRefresh(e entry, t token.Token, transport Transport, now time.Time) error {
	hash, err := t.Hash(s.keys)
	want := e.refresh
	if e.generation-t.Generation() == 1 && now.Before(e.rotated.Add(s.opts.Grace)) {
		want = e.formerRefresh
	} else if e.generation != t.Generation() {
		return token.ErrInvalid
	}
	if err != nil || !hmac.Equal(hash, want[:]) || e.transport != transport {
		return token.ErrInvalid
	}
	return nil
}

// StepUp renews a live session after a fresh signature by its own address, over
// a nonce that was issued for this session. The session gets new tokens,
// without a grace for the old ones, is elevated, no longer requires a step-up,
// and is bound to this device and network. It takes one round trip after
// [Store.Inspect], which read the session. If a refresh came in between it
// reads the session again. It returns [ErrUnavailable] if that happens again
// and again.
// proof is what a contract accepted, which replaces the proof of the session;
// it is nil for a key's account.
func (s *Store) StepUp(
	ctx context.Context, a Access, client Client, proof *Proof,
) (Grant, error) {
	c := s.newTransaction(a.User.ID, client.Actor())
	c.account = a.payload.account
	for range staleReads {
		g, err := s.stepUp(ctx, c, a, client, proof)
		if !errors.Is(err, errStale) {
			return g, err
		}
		// The previous run may have taken effect although its reply was lost.
		// Its event has that idempotency key.
		c.idem = script.NewIdempotencyKey()
		rec, values, err := s.load(ctx, s.sessionKeys(a.Session.ID))
		if err != nil {
			return Grant{}, err
		}
		e, err := rec.liveSession(a.Session.ID, c.now)
		if err != nil {
			return Grant{}, err
		}
		p, err := s.openPayload(ctx, a.Session.ID, *e, values.Text(1))
		if err != nil {
			return Grant{}, err
		}
		a = rec.access(a.User.ID, *e, p)
	}
	return Grant{}, ErrUnavailable
}

// stepUp makes one attempt. It returns errStale if the session was rotated
// since a was read.
func (s *Store) stepUp(
	ctx context.Context, c transaction, a Access, client Client, proof *Proof,
) (Grant, error) {
	tokens, err := token.PairOf(s.keys,
		token.NewRefresh(a.entry.key, a.Session.ID, a.entry.generation+1))
	if err != nil {
		return Grant{}, err
	}
	p := payload{
		account: a.payload.account, ip: a.payload.ip, lastIP: client.IP, device: client.Device,
	}
	if err := s.askStepUp(&c, a.entry, tokens, p, client, proof); err != nil {
		return Grant{}, err
	}
	r, err := s.commit(ctx, stepUpScript, c)
	if err != nil {
		return Grant{}, err
	}
	switch r.Outcome() {
	case outcomeDone:
	case outcomeStale:
		return Grant{}, errStale
	default:
		return Grant{}, fault(r, a.Session.ID)
	}
	e, err := decodeEntry(r.Text(1))
	if err != nil {
		return Grant{}, err
	}
	return s.grant(tokens, e, p)
}

// askStepUp sets the script's keys and arguments.
func (s *Store) askStepUp(
	c *transaction, e entry, tokens token.Pair, p payload, client Client, proof *Proof,
) error {
	id := tokens.Access.ID()
	access, refresh, err := tokens.Hashes(s.keys)
	if err != nil {
		return err
	}
	caller, err := s.bindingOf(e.key, id, client)
	if err != nil {
		return err
	}
	flags := boundWith(client.Device)
	device := caller.device(flags)
	sealed, err := s.keys.Seal(e.key, sealedAs(id, e), p.encode())
	if err != nil {
		return err
	}
	sealedProof, err := s.sealProof(id, e, proof)
	if err != nil {
		return err
	}
	c.keys = s.ownKeys(id)
	c.args = []any{
		id.Session[:], e.generation, append(access, refresh...),
		s.opts.Access.Milliseconds(), s.opts.Idle.Milliseconds(), millis(c.now.Add(s.opts.StepUp)),
		append(device[:], caller.network[:]...), int(flags),
		[]byte{byte(client.Device.Class)}, sealed, sealedProof,
	}
	return nil
}
