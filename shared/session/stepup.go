package session

import (
	"context"
	"crypto/hmac"
	"errors"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Inspect finds the live session of an access token, for a step-up: one that is held opens too. The token must be good as
// for Validate. One trip, and nothing is recorded.
func (s *Store) Inspect(ctx context.Context, text string, transport Transport) (Access, error) {
	return s.inspect(ctx, token.Access, text, transport, s.checkAccess)
}

// InspectRefresh is Inspect for a refresh token. It must be the current one, or one that a rotation has just superseded;
// any other is ErrInvalidToken here, and not called theft.
func (s *Store) InspectRefresh(ctx context.Context, text string, transport Transport) (Access, error) {
	return s.inspect(ctx, token.Refresh, text, transport, s.checkRefresh)
}

func (s *Store) inspect(
	ctx context.Context, kind token.Kind, text string, transport Transport, check func(entry, token.Token, Transport, time.Time) error,
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
	e, err := rec.opens(t.ID(), now)
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

// checkRefresh judges a refresh token that is shown and not exchanged.
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

// StepUp renews a live session after a fresh signature of its own address, over a nonce that was issued for it: new
// tokens, at once and without a grace for the old ones, elevated, no longer held, and bound to this device and network.
// One trip after Inspect, which read the session; it reads again where a refresh came in between.
func (s *Store) StepUp(ctx context.Context, a Access, client Client) (Grant, error) {
	c := s.newTransaction(a.User.ID, client.Actor())
	for range staleReads {
		g, err := s.stepUp(ctx, c, a, client)
		if !errors.Is(err, errStale) {
			return g, err
		}
		c.idem = script.NewIdempotencyKey() // the one before may have taken effect, and its event has its id
		rec, values, err := s.load(ctx, s.sessionKeys(a.Session.ID))
		if err != nil {
			return Grant{}, err
		}
		e, err := rec.opens(a.Session.ID, c.now)
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

// stepUp asks once. It fails with errStale where the session was rotated since a was read.
func (s *Store) stepUp(ctx context.Context, c transaction, a Access, client Client) (Grant, error) {
	tokens, err := token.PairOf(s.keys, token.NewRefresh(a.entry.key, a.Session.ID, a.entry.generation+1))
	if err != nil {
		return Grant{}, err
	}
	p := payload{address: a.payload.address, ip: a.payload.ip, lastIP: client.IP, device: client.Device}
	if err := s.askStepUp(&c, a.entry, tokens, p, client); err != nil {
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

// askStepUp fills in the script's keys and arguments.
func (s *Store) askStepUp(c *transaction, e entry, tokens token.Pair, p payload, client Client) error {
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
	c.keys = []string{s.payloadKey(id)}
	c.args = []any{
		id.Session[:], e.generation, append(access, refresh...),
		s.opts.Access.Milliseconds(), s.opts.Idle.Milliseconds(), millis(c.now.Add(s.opts.StepUp)),
		append(device[:], caller.network[:]...), int(flags), []byte{byte(client.Device.Class)}, sealed,
	}
	return nil
}
