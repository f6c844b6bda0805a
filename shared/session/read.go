package session

import (
	"context"
	"crypto/hmac"
	"net/netip"
	"time"

	"latchkey/shared/seal"
)

// day is by how much TTLs outlast deadlines.
const day = 24 * time.Hour

// Access is what a valid access token opens.
type Access struct {
	Session Session
	User    User
}

// Read validates an access token. It fails with ErrInvalidToken, ErrTokenExpired, EndedError, ErrUnavailable, or
// ErrDamaged where the record itself cannot be read. A forged token costs no trip, a good one costs one, and a second
// where activity is due to be recorded.
func (s *Store) Read(ctx context.Context, text string, client Client) (Access, error) {
	t, err := parseToken(s.keys, accessKind, text)
	if err != nil {
		return Access{}, err
	}
	rec, sealed, err := s.load(ctx, t.id)
	if err != nil {
		return Access{}, err
	}
	now := s.now()
	e, err := rec.opens(t.id, now)
	if err != nil {
		return Access{}, err
	}
	if t.generation > e.generation {
		return Access{}, s.reset(ctx, t)
	}
	if err := s.checkAccess(*e, t, client.Transport, now); err != nil {
		return Access{}, err
	}
	p, err := s.openPayload(t.id, *e, sealed)
	if err != nil {
		return Access{}, err
	}
	if !e.seen.Add(s.opts.Touch).After(now) {
		if *e, err = s.touch(ctx, t.id, now); err != nil {
			return Access{}, err
		}
	}
	return Access{Session: e.session(t.id.User, p), User: rec.user(t.id.User, p.address)}, nil
}

// load reads record and payload: the one trip of a validation. No record means that nothing is open.
func (s *Store) load(ctx context.Context, id ID) (record, string, error) {
	var values []any
	err := again(ctx, func() (err error) {
		values, err = s.rdb.MGet(ctx, s.sessionKeys(id)...).Result()
		return err
	})
	if err != nil {
		return record{}, "", err
	}
	got := reply(values)
	if len(got) != 2 || got[0] == nil {
		return record{}, "", ErrInvalidToken
	}
	rec, err := decodeRecord(got.text(0))
	return rec, got.text(1), err
}

// opens finds the session while it lives: listed, and within both deadlines. A deadline that has passed is told and not
// written down: a reader does not write.
func (rec *record) opens(id ID, now time.Time) (*entry, error) {
	if gone := rec.remembered(id.Random); gone != nil {
		if !now.Before(gone.forget) {
			return nil, ErrInvalidToken
		}
		return nil, &EndedError{Reason: gone.reason, At: gone.at, Session: id}
	}
	e := rec.find(id.Random)
	if e == nil {
		return nil, ErrInvalidToken
	}
	if reason, at, due := e.due(now); due {
		return nil, &EndedError{Reason: reason, At: at, Session: id}
	}
	return e, nil
}

// checkAccess judges an access token whose session lives. One that a refresh has superseded lives to the end of the
// grace, then it is expired: never theft, since a client may have several requests under way.
func (s *Store) checkAccess(e entry, t token, transport Transport, now time.Time) error {
	want, end := e.access, e.accessEnd
	switch e.generation - t.generation {
	case 0:
	case 1:
		want, end = e.formerAccess, earlier(e.formerAccessEnd, e.rotated.Add(s.opts.Grace))
	default:
		return ErrTokenExpired
	}
	hash, err := t.hash(s.keys)
	if err != nil || !hmac.Equal(hash, want[:]) || e.transport != transport {
		return ErrInvalidToken
	}
	if !now.Before(end) {
		return ErrTokenExpired
	}
	return nil
}

// touch records activity; the script looks again, so a session that ended meanwhile stays ended.
func (s *Store) touch(ctx context.Context, id ID, now time.Time) (entry, error) {
	r, err := s.run(ctx, touchScript, []string{s.recordKey(id.User)},
		id.Random[:], millis(now), s.opts.Touch.Milliseconds(), s.opts.Idle.Milliseconds())
	if err != nil {
		return entry{}, err
	}
	if r.outcome() != outcomeDone {
		return entry{}, r.fault(id)
	}
	return decodeEntry(r.text(1))
}

// reset ends a session whose record is older than a token that we made: Redis has lost a write, most likely by promoting
// a replica. It is told as what it is and not as theft.
func (s *Store) reset(ctx context.Context, t token) error {
	r, err := s.end(ctx, t.id, StoreReset, int64(t.generation))
	if err != nil {
		return err
	}
	if r.outcome() == outcomeDone {
		return ErrUnavailable // the record has caught up since: what was read came from a replica that lags
	}
	return r.fault(t.id)
}

// networkHash is what the record keeps of a network: IPv4 at /24, IPv6 at /64.
func (s *Store) networkHash(t token, ip netip.Addr) ([traitSize]byte, error) {
	bits := 64
	if ip = ip.Unmap(); ip.Is4() {
		bits = 24
	}
	network, err := ip.Prefix(bits) // which drops a zone
	if err != nil {
		network = netip.Prefix{} // no address is a network of its own
	}
	sum, err := s.keys.MAC(t.key, seal.Network, t.id.User[:], t.id.Random[:], []byte(network.String()))
	if err != nil {
		return [traitSize]byte{}, err
	}
	return [traitSize]byte(sum), nil
}
