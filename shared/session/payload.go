package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// A session's payload is what only its holder's requests need: it is sealed, and bound to the session and to the facts
// that must never change.
//
//	format 1 | kind of subject 1 | address 20 | ip | last ip | browser | os | device name
//
// The last five are each a length byte and that many bytes. What follows from the others is left out, since there are
// many payloads: a last ip that is the first, and the name that a device has by default.
const (
	payloadFormat = 1
	subjectEOA    = 1
)

type payload struct {
	address    common.Address
	ip, lastIP netip.Addr
	device     Device // name, browser and OS
}

func (p payload) encode() []byte {
	b := append([]byte{payloadFormat, subjectEOA}, p.address[:]...)
	lastIP, name := string(p.lastIP.AsSlice()), p.device.Name
	if p.lastIP == p.ip {
		lastIP = ""
	}
	if name == p.device.DefaultName() {
		name = ""
	}
	for _, field := range []string{string(p.ip.AsSlice()), lastIP, p.device.Browser, p.device.OS, name} {
		field = field[:min(len(field), 255)]
		b = append(b, byte(len(field)))
		b = append(b, field...)
	}
	return b
}

// decodePayload fails with ErrDamaged on anything that is not exactly one payload.
func decodePayload(raw []byte) (payload, error) {
	if len(raw) < 22 || raw[0] != payloadFormat || raw[1] != subjectEOA {
		return payload{}, ErrDamaged
	}
	p := payload{address: common.Address(raw[2:22])}
	rest := raw[22:]
	var fields [5]string
	for i := range fields {
		value, after, ok := field(rest)
		if !ok {
			return payload{}, ErrDamaged
		}
		fields[i], rest = string(value), after
	}
	if len(rest) > 0 {
		return payload{}, ErrDamaged
	}
	for i, ip := range []*netip.Addr{&p.ip, &p.lastIP} {
		var ok bool
		if *ip, ok = netip.AddrFromSlice([]byte(fields[i])); !ok && fields[i] != "" {
			return payload{}, ErrDamaged
		}
	}
	p.device = Device{Browser: fields[2], OS: fields[3], Name: fields[4]}
	name := p.device.DefaultName()
	if fields[1] != "" && p.lastIP == p.ip || fields[4] == name {
		return payload{}, ErrDamaged // written out what is left out
	}
	if fields[1] == "" {
		p.lastIP = p.ip
	}
	if fields[4] == "" {
		p.device.Name = name
	}
	return p, nil
}

// sealedAs names the record for the seal. Sealed bytes that belong to another session, or to this one with another
// beginning or end, do not open: a crossed reply and a swapped value both fail closed.
func sealedAs(id token.ID, e entry) seal.Record {
	return seal.Record{
		Kind:  "session",
		Owner: append(id.User[:], id.Session[:]...),
		Facts: appendTimes(nil, e.created, e.absolute),
	}
}

// openPayload fails with ErrInvalidToken, and ErrDamaged for those who log, where the payload is missing, damaged, or
// sealed for something else: the session does not open, and that is worth an alarm. It fails with ErrUnavailable where it
// cannot be told.
func (s *Store) openPayload(ctx context.Context, id token.ID, e entry, sealed string) (payload, error) {
	raw, err := s.open(ctx, sealedAs(id, e), []byte(sealed))
	if errors.Is(err, ErrUnavailable) {
		return payload{}, err
	}
	if err != nil {
		return payload{}, fmt.Errorf("%w: opening payload: %w: %w", token.ErrInvalid, ErrDamaged, err)
	}
	p, err := decodePayload(raw)
	if err != nil {
		return payload{}, fmt.Errorf("%w: reading payload: %w", token.ErrInvalid, err)
	}
	return p, nil
}

// describe is what an entry and its payload tell.
func (e entry) describe(u token.UserID, p payload) Session {
	device := p.device
	device.Class = e.class
	return Session{
		ID: token.ID{User: u, Session: e.session}, Address: p.address, ChainID: e.chain, Transport: e.transport, Device: device,
		IP: p.ip, LastIP: p.lastIP, CreatedAt: e.created, LastSeenAt: e.seen, IdleEnd: e.idle, AbsoluteEnd: e.absolute,
		ElevatedUntil: e.elevated, StepUpRequired: e.flags&flagStepUpRequired != 0,
	}
}

// user is what a record tells of its subject.
func (rec record) user(u token.UserID, address common.Address) User {
	return User{ID: u, Address: address, Roles: rec.roles, CreatedAt: rec.created, LastLoginAt: rec.lastLogin}
}
