package session

import (
	"context"
	"crypto/hmac"
	"net/netip"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// day is by how much TTLs outlast deadlines.
const day = 24 * time.Hour

// Access is what a valid token opens.
type Access struct {
	Session Session
	User    User

	rec     record
	entry   entry
	payload payload
}

// Validate validates an access token. It fails with ErrInvalidToken, ErrTokenExpired, EndedError, ErrUnavailable, ErrStepUp
// where the session is held, or ErrDamaged where the record itself cannot be read. A forged token costs no trip, a good
// one costs one, and a second where activity or a change of device or network is due to be recorded.
func (s *Store) Validate(ctx context.Context, text string, client Client) (Access, error) {
	a, _, err := s.validate(ctx, text, client)
	return a.unlessStepUpRequired(err)
}

// ValidateStepUp is Validate that also opens a session which is held for a step-up.
func (s *Store) ValidateStepUp(ctx context.Context, text string, client Client) (Access, error) {
	a, _, err := s.validate(ctx, text, client)
	return a, err
}

func (a Access) unlessStepUpRequired(err error) (Access, error) {
	if err == nil && a.Session.StepUpRequired {
		return Access{}, ErrStepUp
	}
	return a, err
}

// validate opens a session, held or not. What more is read of its account, by the given keys, comes in the same trip.
func (s *Store) validate(ctx context.Context, text string, client Client, more ...func(token.UserID) string) (Access, script.Reply, error) {
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
	e, err := rec.opens(t.ID(), now)
	if err != nil {
		return Access{}, nil, err
	}
	if t.Generation() > e.generation {
		return Access{}, nil, s.reset(ctx, t, client)
	}
	if err := s.checkAccess(*e, t, client.Transport, now); err != nil {
		return Access{}, nil, err
	}
	p, err := s.openPayload(ctx, t.ID(), *e, values.Text(1))
	if err != nil {
		return Access{}, nil, err
	}
	// e is in rec: a list of all shows it as it stands now, too.
	if *e, p, err = s.recordActivity(ctx, t, *e, p, client, now); err != nil {
		return Access{}, nil, err
	}
	return rec.access(t.ID().User, *e, p), values[2:], nil
}

func (rec record) access(user token.UserID, e entry, p payload) Access {
	return Access{Session: e.describe(user, p), User: rec.user(user, p.address), rec: rec, entry: e, payload: p}
}

// load reads a record, and what else stands under those keys: the one trip of a validation. No record means that
// nothing is open.
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

// mget reads keys of one slot in one trip; what is not there is nil.
func (s *Store) mget(ctx context.Context, keys []string) (script.Reply, error) {
	var values []any
	err := script.Retry(ctx, func() (err error) {
		values, err = s.rdb.MGet(ctx, keys...).Result()
		return err
	})
	return values, err
}

// opens finds the session while it lives: listed, and within both deadlines. A deadline that has passed is told and not
// written down: a reader does not write.
func (rec *record) opens(id token.ID, now time.Time) (*entry, error) {
	if gone := rec.findEnded(id.Session); gone != nil {
		if !now.Before(gone.forget) {
			return nil, token.ErrInvalid
		}
		return nil, &EndedError{Reason: gone.reason, At: gone.at, Session: id}
	}
	e := rec.findLive(id.Session)
	if e == nil {
		return nil, token.ErrInvalid
	}
	if reason, at, due := e.expiry(now); due {
		return nil, &EndedError{Reason: reason, At: at, Session: id}
	}
	return e, nil
}

// checkAccess judges an access token whose session lives. One that a refresh has superseded lives to the end of the
// grace, then it is expired: never theft, since a client may have several requests under way.
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

// recordActivity records activity, and a device or network that changed, where either is due, and returns the session as it then
// stands.
func (s *Store) recordActivity(ctx context.Context, t token.Token, e entry, p payload, client Client, now time.Time) (entry, payload, error) {
	caller, err := s.bindingOf(t.KeyID(), t.ID(), client)
	if err != nil {
		return e, p, err
	}
	if e.seen.Add(s.opts.Touch).After(now) && !s.changed(e, caller) {
		return e, p, nil
	}
	return s.touch(ctx, t, e, p, client, caller)
}

// touch records what there is to see. The script looks again, so a session that ended meanwhile stays ended, and a token
// that a step-up superseded meanwhile neither gains what the signature gave nor is judged against what it bound.
func (s *Store) touch(ctx context.Context, t token.Token, e entry, p payload, client Client, caller clientBinding) (entry, payload, error) {
	hash, err := t.Hash(s.keys)
	if err != nil {
		return e, p, err
	}
	id := t.ID()
	c := s.newTransaction(id.User, client.Actor())
	c.keys = []string{s.payloadKey(id), s.stateKey(id)}
	c.args = []any{
		id.Session[:], s.opts.Touch.Milliseconds(), s.opts.Idle.Milliseconds(), s.policies(), caller.devices(), caller.networks(),
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
		p = s.updateLastIP(ctx, id, after, p, client.IP)
	}
	return after, p, err
}

// updateLastIP keeps the last address in the payload up to date, once a change of network was recorded. It is for people to
// read: a failure costs only that, and a payload that is gone is not written again, nor one that changed since.
func (s *Store) updateLastIP(ctx context.Context, id token.ID, e entry, p payload, ip netip.Addr) payload {
	p.lastIP = ip
	if sealed, err := s.keys.Seal(e.key, sealedAs(id, e), p.encode()); err == nil {
		_, _ = s.run(ctx, lastIPScript, s.sessionKeys(id), millis(s.now()), e.idem[:], id.Session[:], e.lastNetwork[:], sealed)
	}
	return p
}

// reset ends a session whose record is older than a token that we made: Redis has lost a write, most likely by promoting
// a replica. It is told as what it is and not as theft.
func (s *Store) reset(ctx context.Context, t token.Token, client Client) error {
	r, err := s.revoke(ctx, t.ID(), StoreReset, int64(t.Generation()), anyRoles, client.Actor())
	if err != nil {
		return err
	}
	if r.Outcome() == outcomeDone {
		return ErrUnavailable // the record has caught up since: what was read came from a replica that lags
	}
	return fault(r, t.ID())
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// networkOf is the network that an address is taken for: IPv4 at /24, IPv6 at /64. No address is a network of its own.
func networkOf(ip netip.Addr) netip.Prefix {
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	network, err := ip.Prefix(bits) // which drops a zone
	if err != nil {
		return netip.Prefix{}
	}
	return network
}

// policies are what scripts are told of them.
func (s *Store) policies() []byte {
	return []byte{byte(s.opts.DevicePolicy), byte(s.opts.NetworkPolicy)}
}
