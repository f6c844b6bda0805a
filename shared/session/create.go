package session

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
)

// Login is a verified login: its signature was checked and its nonce was spent.
type Login struct {
	Nonce   string
	Address common.Address
	ChainID uint64
	Client  Client
	// Carried is a token of either kind that came along. A session of the same account that it belongs to is replaced
	// before counting; empty, or any other token, replaces nothing.
	Carried string
}

// Create begins a session, within the limit. It fails with ErrBlocked, ErrLimit, or ErrNonceSpent where this login was
// done before. One trip.
func (s *Store) Create(ctx context.Context, in Login) (Grant, error) {
	now, op, subject := s.now(), newOperation(), EOA(in.Address)
	id := ID{User: userID(s.keys, subject), Random: sessionRandom(s.keys, in.Nonce, subject)}
	first := token{kind: refreshKind, key: s.keys.Current(now), id: id}
	rand.Read(first.secret[:])
	tokens, err := pairOf(s.keys, first)
	if err != nil {
		return Grant{}, err
	}
	e, err := s.newEntry(tokens, in, now, op)
	if err != nil {
		return Grant{}, err
	}
	p := payload{address: in.Address, ip: in.Client.IP, lastIP: in.Client.IP, device: in.Client.Device}
	sealed, err := s.keys.Seal(e.key, sealedAs(id, e), p.encode())
	if err != nil {
		return Grant{}, err
	}
	r, err := s.run(ctx, createScript, s.sessionKeys(id), millis(now), op[:], e.encode(), sealed,
		ceilMillis(e.absolute.Sub(now)+day), s.carried(in.Carried), s.limit(), s.opts.LimitPolicy.String())
	if err != nil {
		return Grant{}, err
	}
	return s.created(r, tokens, e, p, op)
}

// created turns the script's answer into a grant.
func (s *Store) created(r reply, tokens pair, e entry, p payload, op operation) (Grant, error) {
	switch r.outcome() {
	case outcomeSpent:
		return Grant{}, ErrNonceSpent
	case outcomeBlocked:
		return Grant{}, ErrBlocked
	case outcomeFull:
		return Grant{}, ErrLimit
	case outcomeDone:
	default:
		return Grant{}, ErrDamaged
	}
	rec, err := decodeRecord(r.text(1))
	if err != nil {
		return Grant{}, err
	}
	user := tokens.access.id.User
	g, err := s.grant(tokens, e, p)
	g.User = rec.user(user, p.address)
	for _, gone := range rec.ended {
		if gone.op == op && gone.reason == Evicted {
			g.Evicted = append(g.Evicted, ID{User: user, Random: gone.random})
		}
	}
	return g, err
}

// newEntry is what the record will list.
func (s *Store) newEntry(tokens pair, in Login, now time.Time, op operation) (entry, error) {
	absolute := now.Add(s.opts.Absolute)
	e := entry{
		random: tokens.access.id.Random, key: tokens.access.key, op: op,
		created: now, seen: now, absolute: absolute,
		idle: earlier(now.Add(s.opts.Idle), absolute), accessEnd: earlier(now.Add(s.opts.Access), absolute),
		chain: in.ChainID, transport: in.Client.Transport, class: in.Client.Device.Class,
	}
	access, refresh, err := tokens.hashes(s.keys)
	if err != nil {
		return entry{}, err
	}
	e.access, e.refresh = [hashSize]byte(access), [hashSize]byte(refresh)
	bare, full, err := s.deviceHashes(tokens.access, in.Client.Device)
	if err != nil {
		return entry{}, err
	}
	e.device = bare
	if in.Client.Device.ID != "" {
		e.device, e.flags = full, e.flags|flagDeviceID
	}
	e.network, err = s.networkHash(tokens.access, in.Client.IP)
	e.lastDevice, e.lastNetwork = e.device, e.network
	return e, err
}

// grant writes out the tokens of what is current.
func (s *Store) grant(tokens pair, e entry, p payload) (Grant, error) {
	access, refresh, err := tokens.texts(s.keys)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		AccessToken: access, RefreshToken: refresh, AccessEnd: e.accessEnd,
		Session: e.session(tokens.access.id.User, p),
	}, nil
}

// deviceHashes are what the record keeps of a device: without and with the id that the client sent. They are keyed and
// bound to the session, so that equal devices look unlike in Redis.
func (s *Store) deviceHashes(t token, d Device) (bare, full [traitSize]byte, err error) {
	stable := [][]byte{t.id.User[:], t.id.Random[:], []byte(d.Browser), []byte(d.OS), {byte(d.Class)}}
	a, err := s.keys.MAC(t.key, seal.Device, stable...)
	if err != nil {
		return bare, full, err
	}
	b, err := s.keys.MAC(t.key, seal.Device, append(stable, []byte(d.ID))...)
	if err != nil {
		return bare, full, err
	}
	return [traitSize]byte(a), [traitSize]byte(b), nil
}

// carried is the random of the session that a token belongs to; another account's is in no record of this one.
func (s *Store) carried(text string) []byte {
	id, err := s.SessionOf(text)
	if err != nil {
		return []byte{}
	}
	return id.Random[:]
}

func (s *Store) limit() int {
	if s.opts.Limit <= 0 || s.opts.Limit > MaxSessions {
		return MaxSessions
	}
	return s.opts.Limit
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
