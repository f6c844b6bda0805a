package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Login is a verified login: the signature was checked and the nonce was spent.
type Login struct {
	// Nonce is the nonce that was spent. The session's id is derived from it.
	Nonce   string
	Account token.Account
	// ChainID is the chain of the message. It must be that of a contract.
	ChainID uint64
	Client  Client
	// Presented is a token of either kind that came with the login, or empty.
	// If it belongs to a session of the same account, the login replaces that
	// session before it counts the others. Any other token has no effect.
	Presented string
	// Proof is what a contract accepted; nil for a key's account.
	Proof *Proof
	// Granted are roles that the configuration gives to the account. They count
	// for the session limit only.
	Granted []string
}

// Create creates a session within the session limit. It returns [ErrBlocked],
// [ErrSessionLimit], [*RateError], or [ErrNonceSpent] if this login already
// created a session. It takes one round trip.
func (s *Store) Create(ctx context.Context, in Login) (Grant, error) {
	subject := token.SubjectOf(in.Account)
	id := token.ID{
		User:    token.UserIDOf(s.keys, subject),
		Session: token.SessionPart(s.keys, in.Nonce, subject),
	}
	c := s.newTransaction(id.User, in.Client.Actor())
	c.account = in.Account
	tokens, err := token.PairOf(s.keys, token.NewRefresh(s.keys.Current(c.now), id, 0))
	if err != nil {
		return Grant{}, err
	}
	e, err := s.newEntry(tokens, in, c.now, c.idem)
	if err != nil {
		return Grant{}, err
	}
	p := payload{
		account: in.Account, ip: in.Client.IP, lastIP: in.Client.IP, device: in.Client.Device,
	}
	sealed, err := s.keys.Seal(e.key, sealedAs(id, e), p.encode())
	if err != nil {
		return Grant{}, err
	}
	proof, err := s.sealProof(id, e, in.Proof)
	if err != nil {
		return Grant{}, err
	}
	rate := s.accountRate(loginRate, s.opts.LoginRate, id.User)
	presented, own := s.presentedSession(ctx, in.Presented, id.User)
	if in.Proof != nil {
		own = append(own, s.stateKey(id))
	}
	name, err := s.sealName(c)
	if err != nil {
		return Grant{}, err
	}
	c.keys = slices.Concat([]string{s.payloadKey(id), s.preferencesKey(id.User)},
		s.registryKeys(partitionOf(id.User)), own, rate.keys)
	c.args = []any{
		e.encode(), sealed, ceilMillis(e.absolute.Sub(c.now) + outlasts),
		presented,
		EffectiveLimit(s.opts.SessionLimit), s.opts.LimitPolicy.String(), s.roleLimits(),
		strings.Join(append([]string{RoleUser}, in.Granted...), ","),
		rate.arg(), proof, name,
	}
	r, err := s.commit(ctx, createScript, c)
	if err != nil {
		return Grant{}, err
	}
	if r.Outcome() == outcomeLimited {
		return Grant{}, rate.refusal(r.Int(1))
	}
	return s.created(r, tokens, e, p, c.idem)
}

// created returns the grant for the script's reply.
func (s *Store) created(
	r script.Reply, tokens token.Pair, e entry, p payload, idem script.IdempotencyKey,
) (Grant, error) {
	switch r.Outcome() {
	case outcomeSpent:
		return Grant{}, ErrNonceSpent
	case outcomeBlocked:
		return Grant{}, ErrBlocked
	case outcomeFull:
		return Grant{}, ErrSessionLimit
	case outcomeDone:
	default:
		return Grant{}, ErrDamaged
	}
	rec, _, err := decodeAccount(r.Text(1))
	if err != nil {
		return Grant{}, err
	}
	user := tokens.Access.ID().User
	g, err := s.grant(tokens, e, p)
	g.User = rec.user(user, p.account)
	for _, gone := range rec.ended {
		if gone.idem == idem && gone.reason == Evicted {
			g.Evicted = append(g.Evicted, token.ID{User: user, Session: gone.session})
		}
	}
	return g, err
}

// newEntry returns the entry that the record will list.
func (s *Store) newEntry(
	tokens token.Pair, in Login, now time.Time, idem script.IdempotencyKey,
) (entry, error) {
	absolute := now.Add(s.opts.Absolute)
	e := entry{
		session: tokens.Access.ID().Session, key: tokens.Access.KeyID(), idem: idem,
		created: now, seen: now, absolute: absolute, elevated: now.Add(s.opts.StepUp),
		idle:      earlier(now.Add(s.opts.Idle), absolute),
		accessEnd: earlier(now.Add(s.opts.Access), absolute),
		chain:     in.ChainID, transport: in.Client.Transport, contract: in.Proof != nil,
		class: in.Client.Device.Class,
	}
	access, refresh, err := tokens.Hashes(s.keys)
	if err != nil {
		return entry{}, err
	}
	e.access, e.refresh = [token.HashSize]byte(access), [token.HashSize]byte(refresh)
	caller, err := s.bindingOf(e.key, tokens.Access.ID(), in.Client)
	if err != nil {
		return entry{}, err
	}
	e.flags = boundWith(in.Client.Device)
	e.device, e.network = caller.device(e.flags), caller.network
	e.lastDevice, e.lastNetwork = e.device, e.network
	return e, nil
}

// grant returns the tokens as text, and their session.
func (s *Store) grant(tokens token.Pair, e entry, p payload) (Grant, error) {
	access, refresh, err := tokens.Encode(s.keys)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		AccessToken: access, RefreshToken: refresh, AccessEnd: e.accessEnd,
		Session: e.describe(tokens.Access.ID().User, p),
	}, nil
}

// presentedSession returns the session part of the id that a token belongs to,
// and the keys of what belongs to that session. It returns nothing if the token
// is not valid or belongs to another account.
func (s *Store) presentedSession(
	ctx context.Context, text string, user token.UserID,
) (part []byte, own []string) {
	id, err := s.SessionOf(ctx, text)
	if err != nil || id.User != user {
		return []byte{}, nil
	}
	return id.Session[:], s.ownKeys(id)
}
