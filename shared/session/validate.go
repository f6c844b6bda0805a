package session

import (
	"context"
	"crypto/hmac"
	"net/netip"
	"strconv"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Access is what a valid token gives access to.
type Access struct {
	Session Session
	User    User

	rec     record
	entry   entry
	payload payload
}

// Validate validates an access token. It returns [token.ErrInvalid],
// [ErrTokenExpired], [*EndedError], [ErrUnavailable], [ErrStepUp] if a step-up
// is required, or [ErrDamaged] if the record cannot be read. A forged token
// takes no round trip. A valid token takes one, and a second if activity or a
// change of device or network must be recorded.
func (s *Store) Validate(ctx context.Context, text string, client Client) (Access, error) {
	a, _, err := s.validate(ctx, text, client)
	return a.unlessStepUpRequired(err)
}

// ValidateStepUp is [Store.Validate], but accepts a session that requires a
// step-up. It returns [ErrStepUp] only as [Client.NoPolicyResult] says.
func (s *Store) ValidateStepUp(ctx context.Context, text string, client Client) (Access, error) {
	a, _, err := s.validate(ctx, text, client)
	return a, err
}

// unlessStepUpRequired returns [ErrStepUp] if the session requires a step-up.
func (a Access) unlessStepUpRequired(err error) (Access, error) {
	if err == nil && a.Session.StepUpRequired {
		return Access{}, ErrStepUp
	}
	return a, err
}

// validate is Validate, but accepts a session that requires a step-up. It also
// reads the keys that the functions more return for the account, in the same
// round trip, and returns their values.
func (s *Store) validate(
	ctx context.Context, text string, client Client, more ...func(token.UserID) string,
) (Access, script.Reply, error) {
	t, err := s.parse(ctx, token.Access, text)
	if err != nil {
		return Access{}, nil, err
	}
	keys := s.sessionKeys(t.ID())
	for _, key := range more {
		keys = append(keys, key(t.ID().User))
	}
	rec, values, err := s.load(ctx, keys)
	if err != nil {
		return Access{}, nil, err
	}
	now := s.now()
	e, err := rec.liveSession(t.ID(), now)
	if err != nil {
		return Access{}, nil, err
	}
	if t.Generation() > e.generation {
		if client.ReadOnly {
			return Access{}, nil, ErrTokenExpired // the refresh will end the session
		}
		return Access{}, nil, s.reset(ctx, t, client)
	}
	if err := s.checkAccess(*e, t, client.Transport, now); err != nil {
		return Access{}, nil, err
	}
	p, err := s.openPayload(ctx, t.ID(), *e, values.Text(1))
	if err != nil {
		return Access{}, nil, err
	}
	// e points into rec, so that a list of all sessions shows this one as it is
	// now.
	by := presenter{token: t, client: client}
	if *e, p, err = s.recordActivity(ctx, by, *e, p, now); err != nil {
		return Access{}, nil, err
	}
	return rec.access(t.ID().User, *e, p), values[2:], nil
}

func (rec record) access(user token.UserID, e entry, p payload) Access {
	return Access{
		Session: e.describe(user, p), User: rec.user(user, p.account),
		rec: rec, entry: e, payload: p,
	}
}

// load reads the record and the values of the other keys, in the one round trip
// of a validation. The record's key must be the first. If there is no record,
// no session is open: load returns [token.ErrInvalid].
func (s *Store) load(ctx context.Context, keys []string) (record, script.Reply, error) {
	values, err := s.mget(ctx, keys)
	if err != nil {
		return record{}, nil, err
	}
	if len(values) != len(keys) || values[0] == nil {
		return record{}, nil, token.ErrInvalid
	}
	rec, err := decodeRecord(values.Text(0))
	return rec, values, err
}

// mget reads keys of one slot in one round trip. The value of a missing key is
// nil.
func (s *Store) mget(ctx context.Context, keys []string) (script.Reply, error) {
	var values []any
	err := script.Retry(ctx, func() (err error) {
		values, err = s.rdb.MGet(ctx, keys...).Result()
		return err
	})
	return values, err
}

// liveSession returns the session if it is live: listed, and before both deadlines.
// It returns an error if a deadline has passed, but does not record that:
// readers do not write.
func (rec *record) liveSession(id token.ID, now time.Time) (*entry, error) {
	if gone := rec.findEnded(id.Session); gone != nil {
		if !now.Before(gone.keepUntil) {
			return nil, token.ErrInvalid
		}
		return nil, &EndedError{Reason: gone.reason, At: gone.at, Session: id}
	}
	e := rec.findListed(id.Session)
	if e == nil {
		return nil, token.ErrInvalid
	}
	if reason, at, due := e.expiry(now); due {
		return nil, &EndedError{Reason: reason, At: at, Session: id}
	}
	return e, nil
}

// checkAccess checks an access token of a live session. A token that a refresh
// has superseded is valid until the end of the grace, and then expired. It is
// never treated as stolen, because a client may have several requests under
// way.
func (s *Store) checkAccess(e entry, t token.Token, transport Transport, now time.Time) error {
	want, end := e.access, e.accessEnd
	switch e.generation - t.Generation() {
	case 0:
	case 1:
		want, end = e.formerAccess, earlier(e.formerAccessEnd, e.rotated.Add(s.opts.Grace))
	default:
		return ErrTokenExpired
	}
	hash, err := t.Hash(s.keys)
	if err != nil || !hmac.Equal(hash, want[:]) || e.transport != transport {
		return token.ErrInvalid
	}
	if !now.Before(end) {
		return ErrTokenExpired
	}
	return nil
}

// presenter is a client with the token that it presents: an access token, or a
// ticket with the hash of the access token that asked for it.
type presenter struct {
	token  token.Token
	access []byte // the hash, for a ticket; nil for an access token
	client Client
}

// accessHash returns the hash of the access token.
func (by presenter) accessHash(s *Store) ([]byte, error) {
	if by.access != nil {
		return by.access, nil
	}
	return by.token.Hash(s.keys)
}

// recordActivity records activity, or a change of device or network, if either
// is due. It returns the session as it is afterwards. It returns [ErrStepUp] if
// a change must not be recorded and must not pass either. For a read-only client
// it records nothing.
func (s *Store) recordActivity(
	ctx context.Context, by presenter, e entry, p payload, now time.Time,
) (entry, payload, error) {
	caller, err := s.bindingOf(by.token.KeyID(), by.token.ID(), by.client)
	if err != nil {
		return e, p, err
	}
	caller = caller.withoutID(e, p.device, by.client.Device)
	if caller.noResult && s.refuses(e, caller) {
		return e, p, ErrStepUp
	}
	quiet := e.seen.Add(s.opts.Touch).After(now) && !s.changed(e, caller)
	if quiet || by.client.ReadOnly {
		return e, p, nil
	}
	return s.touch(ctx, by, e, p, caller)
}

// touch records activity and the result of the binding check. The script checks
// the session again. So a session that has ended meanwhile stays ended. If a
// step-up has superseded the token meanwhile, the token does not gain what the
// signature gave, and its client is not compared with the new binding.
func (s *Store) touch(
	ctx context.Context, by presenter, e entry, p payload, caller clientBinding,
) (entry, payload, error) {
	hash, err := by.accessHash(s)
	if err != nil {
		return e, p, err
	}
	id := by.token.ID()
	c := s.newTransaction(id.User, by.client.Actor())
	c.account = p.account
	c.keys = s.ownKeys(id)
	c.args = []any{
		id.Session[:], s.opts.Touch.Milliseconds(), s.opts.Idle.Milliseconds(),
		s.touchPolicies(caller), caller.devices(), caller.networks(),
		hash, s.opts.Grace.Milliseconds(),
	}
	r, err := s.commit(ctx, touchScript, c)
	if err != nil {
		return e, p, err
	}
	switch r.Outcome() {
	case outcomeDone:
	case outcomeExpired:
		return e, p, ErrTokenExpired
	default:
		return e, p, fault(r, id)
	}
	after, err := decodeEntry(r.Text(1))
	if err == nil && after.lastNetwork != e.lastNetwork {
		p = s.updateLastIP(ctx, id, after, p, by.client.IP)
	}
	return after, p, err
}

// updateLastIP updates the last address in the payload after a change of
// network was recorded. The address is only for people to read, so a failure is
// ignored. A payload that is gone is not written again, and one that has
// changed since is not overwritten.
func (s *Store) updateLastIP(
	ctx context.Context, id token.ID, e entry, p payload, ip netip.Addr,
) payload {
	p.lastIP = ip
	if sealed, err := s.keys.Seal(e.key, sealedAs(id, e), p.encode()); err == nil {
		_, _ = s.run(ctx, lastIPScript, s.sessionKeys(id),
			millis(s.now()), e.idem[:], id.Session[:], e.lastNetwork[:], sealed)
	}
	return p
}

// reset ends a session whose record is older than a token that we issued: Redis
// has lost a write, most likely by promoting a replica. The reason is
// [StoreReset], because nothing suggests that the token was stolen.
func (s *Store) reset(ctx context.Context, t token.Token, client Client) error {
	change := Change{Actor: client.Actor()}
	only := revokeIf{ahead: strconv.Itoa(int(t.Generation()))}
	r, err := s.revoke(ctx, t.ID(), StoreReset, only, change)
	if err != nil {
		return err
	}
	if r.Outcome() == outcomeDone {
		// The record has caught up since: the earlier read was from a replica
		// that lags.
		return ErrUnavailable
	}
	return fault(r, t.ID())
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// networkOf returns the network of an address: its /24 for IPv4, its /64 for
// IPv6. All missing addresses are in one network of their own.
func networkOf(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	network, err := ip.Prefix(bits) // drops a zone
	if err != nil {
		return netip.Prefix{}
	}
	return network
}
