package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// A session's payload holds what only requests of the session need. It is
// sealed, and bound to the session and to the facts that must never change.
//
//	format 1 | kind of account 1 | address 20 | chain 8, of a contract only
//	| ip | last ip | browser | os | device name
//
// The number after a field is its size in bytes. The last five fields are each
// a length byte and that many bytes. Payloads are many, so what follows from
// other fields is left out: a last ip that equals the ip, and a device name
// that is the default name. Versions before contract wallets refuse the kind of
// a contract, and leave its sessions as they are.
const (
	payloadFormat   = 1
	accountKey      = 1
	accountContract = 2
)

type payload struct {
	account    token.Account
	ip, lastIP netip.Addr
	device     Device // name, browser and OS
}

func (p payload) encode() []byte {
	b := encodeAccount(p.account)
	lastIP, name := string(p.lastIP.AsSlice()), p.device.Name
	if p.lastIP == p.ip {
		lastIP = ""
	}
	if name == p.device.DefaultName() {
		name = ""
	}
	for _, field := range []string{
		string(p.ip.AsSlice()), lastIP, p.device.Browser, p.device.OS, name,
	} {
		field = field[:min(len(field), 255)]
		b = append(b, byte(len(field)))
		b = append(b, field...)
	}
	return b
}

// decodePayload decodes a payload. It returns [ErrDamaged] unless raw is
// exactly one payload.
func decodePayload(raw []byte) (payload, error) {
	account, rest, ok := decodeAccountOf(raw)
	if !ok {
		return payload{}, ErrDamaged
	}
	p := payload{account: account}
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
		return payload{}, ErrDamaged // has a field that encode leaves out
	}
	if fields[1] == "" {
		p.lastIP = p.ip
	}
	if fields[4] == "" {
		p.device.Name = name
	}
	return p, nil
}

// encodeAccount encodes an account as the beginning of a payload. Sealed alone,
// it is the name of an account in the registry and in the audit list.
func encodeAccount(account token.Account) []byte {
	b := append([]byte{payloadFormat, accountKey}, account.Address[:]...)
	if account.Wallet() == token.Contract {
		b[1] = accountContract
		b = binary.BigEndian.AppendUint64(b, account.Chain)
	}
	return b
}

// openAccount opens an account that is sealed alone. It returns a zero account
// if that is empty or does not open, for example because its key was removed
// from the key ring.
func (s *Store) openAccount(
	ctx context.Context, rec seal.Record, sealed []byte,
) token.Account {
	if len(sealed) == 0 {
		return token.Account{}
	}
	plain, err := s.open(ctx, rec, sealed)
	account, rest, ok := decodeAccountOf(plain)
	if err != nil || !ok || len(rest) > 0 {
		return token.Account{}
	}
	return account
}

// decodeAccountOf decodes the beginning of a payload, and returns the rest.
func decodeAccountOf(raw []byte) (a token.Account, rest []byte, ok bool) {
	if len(raw) < 22 || raw[0] != payloadFormat {
		return a, nil, false
	}
	a.Address, rest = common.Address(raw[2:22]), raw[22:]
	switch kind := raw[1]; {
	case kind == accountKey:
		return a, rest, true
	case kind == accountContract && len(rest) >= 8:
		a.Chain = binary.BigEndian.Uint64(rest)
		return a, rest[8:], a.Chain != 0
	}
	return a, nil, false
}

// sealedAs returns what a payload is bound to when it is sealed. The sealed
// bytes of another session, or of this session with another beginning or end,
// do not open. So a crossed reply and a swapped value both fail closed.
func sealedAs(id token.ID, e entry) seal.Record {
	return seal.Record{
		Kind:  "session",
		Owner: append(id.User[:], id.Session[:]...),
		Facts: appendTimes(nil, e.created, e.absolute),
	}
}

// openPayload opens and decodes a session's payload. It returns
// [token.ErrInvalid] if the payload is missing, damaged, or sealed for
// something else: the session does not open. That error also wraps
// [ErrDamaged], because it should raise an alarm in the log. openPayload
// returns [ErrUnavailable] if the payload's key could not be fetched.
func (s *Store) openPayload(
	ctx context.Context, id token.ID, e entry, sealed string,
) (payload, error) {
	raw, err := s.open(ctx, sealedAs(id, e), []byte(sealed))
	if errors.Is(err, ErrUnavailable) {
		return payload{}, err
	}
	if err != nil {
		return payload{}, fmt.Errorf("%w: opening payload: %w: %w",
			token.ErrInvalid, ErrDamaged, err)
	}
	p, err := decodePayload(raw)
	if err != nil {
		return payload{}, fmt.Errorf("%w: reading payload: %w", token.ErrInvalid, err)
	}
	return p, nil
}

// describe returns the session of an entry and its payload.
func (e entry) describe(u token.UserID, p payload) Session {
	device := p.device
	device.Class = e.class
	return Session{
		ID: token.ID{User: u, Session: e.session}, Account: p.account, ChainID: e.chain,
		Transport: e.transport, Device: device, IP: p.ip, LastIP: p.lastIP,
		CreatedAt: e.created, LastSeenAt: e.seen, IdleEnd: e.idle, AbsoluteEnd: e.absolute,
		ElevatedUntil: e.elevated, StepUpRequired: e.flags&flagStepUpRequired != 0,
	}
}

// user returns the account of a record.
func (rec record) user(u token.UserID, account token.Account) User {
	return User{
		ID: u, Account: account, Roles: rec.roles,
		CreatedAt: rec.created, LastLoginAt: rec.lastLogin,
	}
}
