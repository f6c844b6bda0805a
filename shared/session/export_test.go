package session

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"latchkey/shared/token"
)

// What tests look at that callers have no use for.

// IsDetail reports whether an entry of an activity is a detail of its events.
func IsDetail(entry string) bool { return isDetail(entry) }

// LiveSession is a live session as the record lists it.
type LiveSession struct {
	ID              token.ID
	Generation      uint32
	Device, Network [bindingHashSize]byte
}

// EndedSession is an ended session as the record remembers it.
type EndedSession struct {
	ID     token.ID
	Reason Reason
}

// Stored is a subject's record.
type Stored struct {
	Live  []LiveSession
	Ended []EndedSession
	Epoch uint32
	Roles []string
}

// Stored reads a subject's record as it stands in Redis.
func (s *Store) Stored(ctx context.Context, u token.UserID) (Stored, error) {
	raw, err := s.rdb.Get(ctx, s.recordKey(u)).Result()
	if err != nil {
		return Stored{}, err
	}
	rec, err := decodeRecord(raw)
	out := Stored{Epoch: rec.epoch, Roles: rec.roles}
	for _, e := range rec.live {
		id := token.ID{User: u, Session: e.session}
		out.Live = append(out.Live, LiveSession{ID: id, Generation: e.generation, Device: e.device, Network: e.network})
	}
	for _, e := range rec.ended {
		out.Ended = append(out.Ended, EndedSession{ID: token.ID{User: u, Session: e.session}, Reason: e.reason})
	}
	return out, err
}

// RecordKey and PayloadKey name a session's two keys, NonceKey and AttemptsKey a nonce's, SummaryKey what health reads.
func (s *Store) RecordKey(id token.ID) string    { return s.recordKey(id.User) }
func (s *Store) TicketsKey(id token.ID) string   { return s.ticketsKey(id) }
func (s *Store) PayloadKey(id token.ID) string   { return s.payloadKey(id) }
func (s *Store) NonceKey(nonce string) string    { return s.nonceKey(nonce) }
func (s *Store) AttemptsKey(nonce string) string { return s.attemptsKey(nonce) }
func (s *Store) AdminsKey() string               { return s.adminsKey() }
func (s *Store) SummaryKey() string              { return s.summaryKey() }
func (s *Store) AuditKey() string                { return s.auditKey() }

// ErasedKey and NoopsKey name what is kept beside an account's record: with those of its partition, and of its own.
func (s *Store) ErasedKey(u token.UserID) string { return s.erasedKey(partitionOf(u)) }
func (s *Store) NoopsKey(u token.UserID) string  { return s.noopsKey(u) }

// RegistryKeys are the keys of the registry of a user's partition, and of what is sealed of its accounts.
func (s *Store) RegistryKeys(u token.UserID) (registry, text string) {
	keys := s.registryKeys(partitionOf(u))
	return keys[0], keys[1]
}

// The layout's sizes and places.
const (
	HeadSize   = headSize
	EntrySize  = entrySize
	EndedSize  = endedSize
	FlagByte   = 1
	CreatedAt  = headSize + 16 // of the first session, where there are no roles
	AbsoluteAt = headSize + 34

	CountersSize       = countersSize
	ChainSize          = chainSize
	HourlyCountSize    = hourlyCountSize
	HourlyLogins       = hourlyLogins
	HourlyRenewals     = hourlyRenewals
	HourlyKept         = hourlyKept
	FlagStepUpRequired = flagStepUpRequired
	FlagDeviceID       = flagDeviceID
	EventHead          = eventHeadSize
	ActionHead         = actionHeadSize
	AuditMax           = auditMax
)

// PreferencesKey and StateKey name what is kept of an account and of a session beside them.
func (s *Store) PreferencesKey(u token.UserID) string { return s.preferencesKey(u) }
func (s *Store) StateKey(id token.ID) string          { return s.stateKey(id) }

// Day is by how much records outlast deadlines, Outlasts by how much payload and state do.
const (
	Day      time.Duration = 24 * time.Hour
	Outlasts time.Duration = outlasts
)

// Binding are what the record keeps of a client: of its device without and with the id it sent, and of its network.
type Binding struct{ Bare, Full, Network [bindingHashSize]byte }

// Binding makes them for a session.
func (s *Store) Binding(id token.ID, c Client) (Binding, error) {
	got, err := s.bindingOf(s.keys.Current(s.now()), id, c)
	return Binding{Bare: got.bare, Full: got.full, Network: got.network}, err
}

// Payload is a live session's payload as it was before it was sealed.
func (s *Store) Payload(ctx context.Context, id token.ID) ([]byte, error) {
	rec, values, err := s.load(ctx, s.sessionKeys(id))
	if err != nil {
		return nil, err
	}
	return s.keys.Open(sealedAs(id, *rec.findListed(id.Session)), []byte(values.Text(1)))
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
	b = append(b, rec.idem[:]...)
	b = append(b, byte(rec.idemCount), byte(len(roles)), byte(len(rec.live)), byte(len(rec.ended)))
	b = append(b, roles...)
	for _, e := range rec.live {
		b = append(b, e.encode()...)
	}
	for _, e := range rec.ended {
		b = append(b, e.session[:]...)
		b = appendTimes(append(b, byte(e.reason)), e.at, e.keepUntil)
		b = append(b, e.idem[:]...)
	}
	return b
}

// SweepOf is Sweep for the buckets of some accounts alone: a whole one walks 4096.
func (s *Store) SweepOf(ctx context.Context, users ...token.UserID) (Swept, error) {
	var some []int
	for _, u := range users {
		if partition := partitionOf(u); !slices.Contains(some, partition) {
			some = append(some, partition)
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
	Actor       Actor

	PayloadErr, ItemErr, PreferencesErr error
}

// Opens reads it.
func (s *Store) Opens(ctx context.Context, id token.ID, field, idem, stored string) (o Opened) {
	_, o.PayloadErr = s.openPayload(ctx, id, entry{}, stored)
	o.Item, o.ItemErr = s.openItem(ctx, id, field, stored)
	o.Preferences, o.PreferencesErr = s.openPreferences(ctx, id.User, stored)
	o.Actor = s.openActor(ctx, id.User, idem, stored)
	return o
}

// SealedItem and SealedBy are what stands in Redis of a plain text, whatever it is, as a key of state that expires then,
// and as who asked for an event.
func (s *Store) SealedItem(id token.ID, field, plain string, expires time.Time) (string, error) {
	sealed, err := s.keys.Seal(s.keys.Current(s.now()), itemSeal(id, field, expires), []byte(plain))
	return string(append(append(encodeTime(expires), 0, 0, 0, 0), sealed...)), err
}

// SealedActor is the other of the two.
func (s *Store) SealedActor(user token.UserID, idem, plain string) (string, error) {
	sealed, err := s.keys.Seal(s.keys.Current(s.now()), activityOf(user, idem), []byte(plain))
	return string(sealed), err
}

// Events reads stored events of an account.
func (s *Store) Events(ctx context.Context, user token.UserID, stored ...string) []Event {
	return s.events(ctx, user, stored)
}

// Emitted reads the events that a script tells of, as the audit log gets them.
func Emitted(emitted string) (events []Event, err error) {
	s := &Store{opts: Options{Audit: func(_ context.Context, e Event) { events = append(events, e) }}}
	return events, s.audit(context.Background(), emitted, transaction{})
}

// StoredTerms and CheckTerms are what Redis keeps of a nonce's terms, and their check as it is spent.
func (s *Store) StoredTerms(terms NonceTerms, expires time.Time) string {
	return string(s.stored(terms, expires))
}

// CheckTerms is the check.
func (s *Store) CheckTerms(stored string, terms NonceTerms) error { return s.checkTerms(stored, terms) }

// AgainSummary reads the sweeper's sum and writes it out again.
func AgainSummary(raw string) (string, error) {
	text, err := json.Marshal(decodeSummary(raw))
	return string(text), err
}

// AccountOf is the account that a key is of, as a migration finds it.
func (s *Store) AccountOf(key string) (token.UserID, bool) { return s.accountOf(key) }

// NeighbourOf is another user of the same partition.
func NeighbourOf(u token.UserID, n byte) token.UserID {
	u[15] ^= n
	return u
}

// PositionOf reads a cursor of a list, and writes it again.
func PositionOf(text string, indexed bool) (partition, segment int, again string, ok bool) {
	p, ok := parsePosition(text, indexed)
	return p.partition, p.segment, p.cursor(), ok
}
