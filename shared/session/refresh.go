package session

import (
	"context"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Refresh exchanges a refresh token for its successor.
//
// Callers that present the same token within the grace, on the same device, get
// the same successor. Within the grace of a rotation, the current refresh token
// yields the current tokens, without another rotation. A token that was
// superseded earlier is stolen, by the caller or from the caller, and ends the
// session. A session that requires a step-up rotates, and still requires it.
//
// Refresh returns [token.ErrInvalid], [*EndedError], [*RateError],
// [ErrUnavailable] or [ErrDamaged]. A forged token takes no round trip, any
// other token one.
func (s *Store) Refresh(ctx context.Context, text string, client Client) (Grant, error) {
	t, err := s.parse(ctx, token.Refresh, text)
	if err != nil {
		return Grant{}, err
	}
	next, err := token.Successor(s.keys, t)
	if err != nil {
		return Grant{}, err
	}
	c := s.newTransaction(t.ID().User, client.Actor())
	if err := s.askRefresh(&c, t, next, client); err != nil {
		return Grant{}, err
	}
	r, err := s.commit(ctx, refreshScript, c)
	if err != nil {
		return Grant{}, err
	}
	switch r.Outcome() {
	case outcomeDone:
	case outcomeLimited:
		return Grant{}, s.refreshRate(t.ID().User, client).refusal(r.Int(1))
	default:
		return Grant{}, fault(r, t.ID())
	}
	return s.refreshed(ctx, r, t, next, c.idem, client)
}

// askRefresh sets the script's keys and arguments.
func (s *Store) askRefresh(c *transaction, t token.Token, next token.Pair, client Client) error {
	hash, err := t.Hash(s.keys)
	if err != nil {
		return err
	}
	access, refresh, err := next.Hashes(s.keys)
	if err != nil {
		return err
	}
	caller, err := s.bindingOf(t.KeyID(), t.ID(), client)
	if err != nil {
		return err
	}
	id := t.ID()
	rate := s.refreshRate(id.User, client)
	c.keys = append(s.ownKeys(id), rate.keys...)
	c.args = []any{
		id.Session[:], t.Generation(), hash,
		s.opts.Grace.Milliseconds(), s.opts.Access.Milliseconds(), s.opts.Idle.Milliseconds(),
		append(access, refresh...), s.policies(), caller.devices(), caller.networks(),
		int(client.Transport),
		rate.arg(), s.opts.WalletRecheck.Milliseconds(),
	}
	return nil
}

// refreshRate returns the rate limit of an account's refreshes from a network.
// A limit over all accounts of a network would be in another slot than the
// record, and would take a round trip of its own.
func (s *Store) refreshRate(user token.UserID, client Client) rateLimit {
	return s.accountNetworkRate(refreshRate, s.opts.RefreshRate, user, client.IP)
}

// refreshed returns the tokens that are current: the pair of the presented
// generation, or the next pair.
func (s *Store) refreshed(
	ctx context.Context, r script.Reply, t token.Token, next token.Pair,
	idem script.IdempotencyKey, client Client,
) (Grant, error) {
	e, err := decodeEntry(r.Text(1))
	if err != nil {
		return Grant{}, err
	}
	p, err := s.openPayload(ctx, t.ID(), e, r.Text(2))
	if err != nil {
		return Grant{}, err
	}
	tokens := next
	if e.generation == t.Generation() {
		if tokens, err = token.PairOf(s.keys, t); err != nil {
			return Grant{}, err
		}
	}
	if e.idem == idem && e.network != e.lastNetwork && networkOf(p.lastIP) != networkOf(client.IP) {
		p = s.updateLastIP(ctx, t.ID(), e, p, client.IP)
	}
	g, err := s.grant(tokens, e, p)
	g.Repeated = e.idem != idem
	if err == nil && r.Text(3) != "" {
		g.Check = s.claimed(ctx, t.ID(), e, r.Text(3), idem)
	}
	return g, err
}
