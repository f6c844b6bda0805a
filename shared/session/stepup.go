package session

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"time"
)

// Present finds the live session of an access token, for a step-up: one that is held opens too. The token must be good as
// for Read. One trip, and nothing is recorded.
func (s *Store) Present(ctx context.Context, text string, transport Transport) (Access, error) {
	return s.present(ctx, accessKind, text, transport, s.checkAccess)
}

// PresentRefresh is Present for a refresh token. It must be the current one, or one that a rotation has just superseded;
// any other is ErrInvalidToken here, and not called theft.
func (s *Store) PresentRefresh(ctx context.Context, text string, transport Transport) (Access, error) {
	return s.present(ctx, refreshKind, text, transport, s.checkRefresh)
}

func (s *Store) present(
	ctx context.Context, kind, text string, transport Transport, check func(entry, token, Transport, time.Time) error,
) (Access, error) {
	t, err := s.parse(ctx, kind, text)
	if err != nil {
		return Access{}, err
	}
	rec, values, err := s.load(ctx, s.sessionKeys(t.id))
	if err != nil {
		return Access{}, err
	}
	now := s.now()
	e, err := rec.opens(t.id, now)
	if err != nil {
		return Access{}, err
	}
	if t.generation > e.generation {
		return Access{}, s.reset(ctx, t, Client{})
	}
	if err := check(*e, t, transport, now); err != nil {
		return Access{}, err
	}
	p, err := s.openPayload(ctx, t.id, *e, values.text(1))
	if err != nil {
		return Access{}, err
	}
	return rec.access(t.id.User, *e, p), nil
}

// checkRefresh judges a refresh token that is shown and not exchanged.
func (s *Store) checkRefresh(e entry, t token, transport Transport, now time.Time) error {
	hash, err := t.hash(s.keys)
	want := e.refresh
	if e.generation-t.generation == 1 && now.Before(e.rotated.Add(s.opts.Grace)) {
		want = e.formerRefresh
	} else if e.generation != t.generation {
		return ErrInvalidToken
	}
	if err != nil || !hmac.Equal(hash, want[:]) || e.transport != transport {
		return ErrInvalidToken
	}
	return nil
}

// StepUp renews a live session after a fresh signature of its own address, over a nonce that was issued for it: new
// tokens, at once and without a grace for the old ones, elevated, no longer held, and bound to this device and network.
// One trip after Present, which read the session; it reads again where a refresh came in between.
func (s *Store) StepUp(ctx context.Context, a Access, client Client) (Grant, error) {
	c := s.newChange(a.User.ID, client.By())
	for range staleReads {
		g, err := s.stepUp(ctx, c, a, client)
		if !errors.Is(err, errStale) {
			return g, err
		}
		c.op = newOperation() // the one before may have taken effect, and its event has its id
		rec, values, err := s.load(ctx, s.sessionKeys(a.Session.ID))
		if err != nil {
			return Grant{}, err
		}
		e, err := rec.opens(a.Session.ID, c.now)
		if err != nil {
			return Grant{}, err
		}
		p, err := s.openPayload(ctx, a.Session.ID, *e, values.text(1))
		if err != nil {
			return Grant{}, err
		}
		a = rec.access(a.User.ID, *e, p)
	}
	return Grant{}, ErrUnavailable
}

// stepUp asks once. It fails with errStale where the session was rotated since a was read.
func (s *Store) stepUp(ctx context.Context, c change, a Access, client Client) (Grant, error) {
	next := token{kind: refreshKind, key: a.entry.key, id: a.Session.ID, generation: a.entry.generation + 1}
	rand.Read(next.secret[:])
	tokens, err := pairOf(s.keys, next)
	if err != nil {
		return Grant{}, err
	}
	p := payload{address: a.payload.address, ip: a.payload.ip, lastIP: client.IP, device: client.Device}
	if err := s.askStepUp(&c, a.entry, tokens, p, client); err != nil {
		return Grant{}, err
	}
	r, err := s.change(ctx, stepUpScript, c)
	if err != nil {
		return Grant{}, err
	}
	switch r.outcome() {
	case outcomeDone:
	case outcomeStale:
		return Grant{}, errStale
	default:
		return Grant{}, r.fault(next.id)
	}
	e, err := decodeEntry(r.text(1))
	if err != nil {
		return Grant{}, err
	}
	return s.grant(tokens, e, p)
}

// askStepUp fills in the script's keys and arguments.
func (s *Store) askStepUp(c *change, e entry, tokens pair, p payload, client Client) error {
	id := tokens.access.id
	access, refresh, err := tokens.hashes(s.keys)
	if err != nil {
		return err
	}
	caller, err := s.traits(tokens.access, client)
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
		id.Random[:], e.generation, append(access, refresh...),
		s.opts.Access.Milliseconds(), s.opts.Idle.Milliseconds(), millis(c.now.Add(s.opts.StepUp)),
		append(device[:], caller.network[:]...), int(flags), []byte{byte(client.Device.Class)}, sealed,
	}
	return nil
}
