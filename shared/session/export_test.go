package session

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"latchkey/shared/seal"
)

// What tests look at that callers have no use for.

// Listed is a live session as the record lists it.
type Listed struct {
	ID              ID
	Generation      uint32
	Device, Network [traitSize]byte
}

// Remembered is an ended session as the record remembers it.
type Remembered struct {
	ID     ID
	Reason Reason
}

// Stored is a subject's record.
type Stored struct {
	Live  []Listed
	Ended []Remembered
	Epoch uint32
	Roles []string
}

// Stored reads a subject's record as it stands in Redis.
func (s *Store) Stored(ctx context.Context, u UserID) (Stored, error) {
	raw, err := s.rdb.Get(ctx, s.recordKey(u)).Result()
	if err != nil {
		return Stored{}, err
	}
	rec, err := decodeRecord(raw)
	out := Stored{Epoch: rec.epoch, Roles: rec.roles}
	for _, e := range rec.live {
		id := ID{User: u, Random: e.random}
		out.Live = append(out.Live, Listed{ID: id, Generation: e.generation, Device: e.device, Network: e.network})
	}
	for _, e := range rec.ended {
		out.Ended = append(out.Ended, Remembered{ID: ID{User: u, Random: e.random}, Reason: e.reason})
	}
	return out, err
}

// RecordKey and PayloadKey name a session's two keys, NonceKey a nonce's, SumKey what health reads.
func (s *Store) RecordKey(id ID) string       { return s.recordKey(id.User) }
func (s *Store) PayloadKey(id ID) string      { return s.payloadKey(id) }
func (s *Store) NonceKey(nonce string) string { return s.nonceKey(nonce) }
func (s *Store) AdminsKey() string            { return s.adminsKey() }
func (s *Store) SumKey() string               { return s.sumKey() }

// The layout's sizes and places.
const (
	HeadSize   = headSize
	EntrySize  = entrySize
	EndedSize  = endedSize
	FlagByte   = 1
	CreatedAt  = headSize + 16 // of the first session, where there are no roles
	AbsoluteAt = headSize + 34

	CountersSize = countersSize
	ChainSize    = chainSize
	FlowSize     = flowSize
	FlowLogins   = flowLogins
	FlowRenewals = flowRenewals
	FlowHours    = flowHours
	FlagHeld     = flagHeld
	FlagDeviceID = flagDeviceID
	EventHead    = eventHead
)

// PreferencesKey and StateKey name what is kept of an account and of a session beside them.
func (s *Store) PreferencesKey(u UserID) string { return s.preferencesKey(u) }
func (s *Store) StateKey(id ID) string          { return s.stateKey(id) }

// Day is by how much what is kept outlasts deadlines.
const Day time.Duration = day

// Traits are what the record keeps of a client: of its device without and with the id it sent, and of its network.
type Traits struct{ Bare, Full, Network [traitSize]byte }

// Traits makes them for a session.
func (s *Store) Traits(id ID, c Client) (Traits, error) {
	t := token{key: s.keys.Current(s.now()), id: id}
	got, err := s.traits(t, c)
	return Traits{Bare: got.bare, Full: got.full, Network: got.network}, err
}

// ParseToken takes a token of either kind apart and writes it out again.
func ParseToken(keys *seal.Ring, kind, text string) (string, error) {
	t, err := parseToken(keys, kind, text)
	if err != nil {
		return "", err
	}
	return t.text(keys)
}

// Mint makes the same token every time.
func Mint(keys *seal.Ring, key seal.KeyID, kind string) string {
	t := token{kind: kind, key: key, id: ID{User: UserID{1, 2, 3}, Random: [16]byte{4, 5, 6}}, generation: 7, secret: [32]byte{8, 9}}
	text, err := t.text(keys)
	if err != nil {
		panic(err)
	}
	return text
}

// Forge makes a token with a good gate, as only somebody with the keys of that ring could, from an honest one.
func Forge(honest *seal.Ring, text string, with *seal.Ring, change func(generation *uint32, secret *[32]byte)) string {
	t, err := parseToken(honest, text[:4], text)
	if err != nil {
		panic(err)
	}
	change(&t.generation, &t.secret)
	forged, err := t.text(with)
	if err != nil {
		panic(err)
	}
	return forged
}

// Payload is a live session's payload as it was before it was sealed.
func (s *Store) Payload(ctx context.Context, id ID) ([]byte, error) {
	rec, values, err := s.load(ctx, s.sessionKeys(id))
	if err != nil {
		return nil, err
	}
	return s.keys.Open(sealedAs(id, *rec.find(id.Random)), []byte(values.text(1)))
}

// AgainRecord, AgainEntry and AgainPayload read what is stored and write it out again.
func AgainRecord(raw string) (string, error) {
	rec, err := decodeRecord(raw)
	return string(recordBytes(rec)), err
}

// AgainEntry does so for a live session in the list.
func AgainEntry(raw string) (string, error) {
	e, err := decodeEntry(raw)
	return string(e.encode()), err
}

// AgainPayload does so for a payload.
func AgainPayload(raw string) (string, error) {
	p, err := decodePayload([]byte(raw))
	return string(p.encode()), err
}

// recordBytes is a whole record as Redis holds it. Only scripts write records, so nothing but tests needs it in Go.
func recordBytes(rec record) []byte {
	roles := strings.Join(rec.roles, ",")
	b := appendTimes([]byte{recordFormat, rec.flags}, rec.created, rec.lastLogin)
	b = binary.BigEndian.AppendUint32(b, rec.epoch)
	b = appendTimes(b, rec.blockedAt)
	b = append(b, rec.op[:]...)
	b = append(b, byte(rec.opCount), byte(len(roles)), byte(len(rec.live)), byte(len(rec.ended)))
	b = append(b, roles...)
	for _, e := range rec.live {
		b = append(b, e.encode()...)
	}
	for _, e := range rec.ended {
		b = append(b, e.random[:]...)
		b = appendTimes(append(b, byte(e.reason)), e.at, e.forget)
		b = append(b, e.op[:]...)
	}
	return b
}

// SweepOf is Sweep for the buckets of some accounts alone: a whole one walks 4096.
func (s *Store) SweepOf(ctx context.Context, users ...UserID) (Swept, error) {
	var some []int
	for _, u := range users {
		if bucket := bucketOf(u); !slices.Contains(some, bucket) {
			some = append(some, bucket)
		}
	}
	return s.sweep(ctx, some)
}

// Ahead tells whether a sweep that is to visit all buckets within a time would rest now.
func Ahead(elapsed, within time.Duration, visited, all int) bool {
	return pace{within: within, visited: visited, all: all}.ahead(elapsed)
}

// Opened is one stored text read as each thing that a seal keeps: a session's payload, a key of its state, its account's
// preferences, and who asked for an event.
type Opened struct {
	Item        StateItem
	Preferences Preferences
	By          By

	PayloadErr, ItemErr, PreferencesErr error
}

// Opens reads it.
func (s *Store) Opens(ctx context.Context, id ID, field, op, stored string) (o Opened) {
	_, o.PayloadErr = s.openPayload(ctx, id, entry{}, stored)
	o.Item, o.ItemErr = s.openItem(ctx, id, field, stored)
	o.Preferences, o.PreferencesErr = s.openPreferences(ctx, id.User, stored)
	o.By = s.openBy(ctx, id.User, op, stored)
	return o
}

// SealedItem and SealedBy are what stands in Redis of a plain text, whatever it is, as a key of state that expires then,
// and as who asked for an event.
func (s *Store) SealedItem(id ID, field, plain string, expires time.Time) (string, error) {
	sealed, err := s.keys.Seal(s.keys.Current(s.now()), itemSeal(id, field, expires), []byte(plain))
	return string(append(append(encodeTime(expires), 0, 0, 0, 0), sealed...)), err
}

// SealedBy is the other of the two.
func (s *Store) SealedBy(user UserID, op, plain string) (string, error) {
	sealed, err := s.keys.Seal(s.keys.Current(s.now()), activityOf(user, op), []byte(plain))
	return string(sealed), err
}

// Events reads stored events of an account.
func (s *Store) Events(ctx context.Context, user UserID, stored ...string) []Event {
	return s.events(ctx, user, stored)
}

// Told reads the events that a script tells of, as the audit log gets them.
func Told(told string) (events []Event, err error) {
	s := &Store{opts: Options{Audit: func(_ context.Context, e Event) { events = append(events, e) }}}
	return events, s.audit(context.Background(), told, By{})
}

// StoredTerms and CheckTerms are what Redis keeps of a nonce's terms, and their check as it is spent.
func (s *Store) StoredTerms(terms NonceTerms, expires time.Time) string {
	return string(s.stored(terms, expires))
}

// CheckTerms is the check.
func (s *Store) CheckTerms(stored string, terms NonceTerms) error { return s.checkTerms(stored, terms) }

// AgainSum reads the sweeper's sum and writes it out again.
func AgainSum(raw string) (string, error) {
	text, err := json.Marshal(decodeSum(raw))
	return string(text), err
}
