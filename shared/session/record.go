package session

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// A subject's record is the authority over its sessions. All numbers are big
// endian. Times are Unix milliseconds in six bytes. The number after a field is
// its size in bytes. layout.go has the same layout for scripts, and a test
// compares the two.
//
//	head   format 1 | flags 1 | created 6 | last login 6 | epoch 4
//	       | blocked at 6 | idempotency key 6 | its count 1
//	       | length of roles 1 | live sessions 1 | ended sessions 1
//	roles  names, comma separated
//	live   see entry
//	ended  session 16 | reason 1 | ended at 6 | keep until 6
//	       | idempotency key 6
//
// Flags of the record: 1 blocked, 2 has preferences. Flags of a session: 1
// step-up required, 2 bound to a device id.
const (
	recordFormat = 1
	headSize     = 34
	entrySize    = 185
	endedSize    = 35
	// bindingHashSize is the size of a device or network hash: 64 bits of a
	// keyed hash, which is compared and never searched for.
	bindingHashSize = 8
)

// Flags of a session.
const (
	flagStepUpRequired = 1 << 0 // cleared by a fresh signature
	flagDeviceID       = 1 << 1 // bound to a device id, which later requests must send
)

// ofContract is added to the transport of a contract's session as it is stored.
// Versions before contract wallets know no such transport. They refuse the
// session's tokens before they write anything, also before they rotate them, so
// a rollback does not end the session.
const ofContract = 1 << 7

// entry is a live session as the record lists it. The number after a field is
// its size in bytes.
//
//	session 16 | created 6 | seen 6 | idle end 6 | absolute end 6
//	| generation 4 | key id 4 | access hash 16 | refresh hash 16
//	| access and refresh hash of the generation before 16, 16
//	| access end 6 | access end of the generation before 6 | rotated at 6
//	| idempotency key 6 | device 8 | network 8 | last device 8
//	| last network 8 | elevated until 6 | flags 1 | chain 8 | transport 1
//	| class 1
type entry struct {
	session                       [16]byte
	created, seen, idle, absolute time.Time
	generation                    uint32
	key                           seal.KeyID
	access, refresh               [token.HashSize]byte
	formerAccess, formerRefresh   [token.HashSize]byte
	accessEnd, formerAccessEnd    time.Time
	rotated                       time.Time             // zero if never
	idem                          script.IdempotencyKey // of the login or the last rotation
	device, network               [bindingHashSize]byte
	lastDevice, lastNetwork       [bindingHashSize]byte // as the binding check last recorded them
	elevated                      time.Time
	flags                         byte
	chain                         uint64
	transport                     Transport
	contract                      bool // of a contract's account: has a proof
	class                         DeviceClass
}

// ended is an ended session. The record keeps it until forget, so that a client
// that still presents its token is told why the session ended.
type ended struct {
	session   [16]byte
	reason    Reason
	at        time.Time
	keepUntil time.Time
	idem      script.IdempotencyKey
}

type record struct {
	flags              byte
	created, lastLogin time.Time
	epoch              uint32
	blockedAt          time.Time
	// idem is the idempotency key of the last change of the account, or of many
	// sessions at once. idemCount is how many sessions that change ended.
	idem      script.IdempotencyKey
	idemCount int
	roles     []string
	live      []entry
	ended     []ended
}

// decodeRecord decodes a stored record. It returns [ErrDamaged] unless raw is
// exactly one record.
func decodeRecord(raw string) (record, error) {
	rec, live, err := decodeAccount(raw)
	if err != nil {
		return record{}, err
	}
	rec.live = slices.Grow(rec.live, len(live)/entrySize)
	for r := (reader{live}); r.rest != ""; {
		rec.live = append(rec.live, r.entry())
	}
	return rec, nil
}

// decodeAccount is decodeRecord, but returns the live sessions as they are
// stored. They make up most of a record.
func decodeAccount(raw string) (rec record, live string, err error) {
	if len(raw) < headSize || raw[0] != recordFormat {
		return record{}, "", ErrDamaged
	}
	roles, entries, gone := int(raw[31]), int(raw[32]), int(raw[33])
	if len(raw) != headSize+roles+entries*entrySize+gone*endedSize {
		return record{}, "", ErrDamaged
	}
	r := reader{raw}
	r.skip(1)
	rec = record{
		flags: r.byte(), created: r.time(), lastLogin: r.time(),
		epoch: r.uint32(), blockedAt: r.time(),
	}
	r.into(rec.idem[:])
	rec.idemCount = int(r.byte())
	r.skip(3)
	if roles > 0 {
		rec.roles = strings.Split(r.text(roles), ",")
	}
	live = r.text(entries * entrySize)
	rec.ended = slices.Grow(rec.ended, gone)
	for range gone {
		rec.ended = append(rec.ended, r.ended())
	}
	return rec, live, nil
}

// findListed returns the listed session with that session part of the id, or nil.
// A deadline of it may have passed.
func (rec *record) findListed(session [16]byte) *entry {
	i := slices.IndexFunc(rec.live, func(e entry) bool { return e.session == session })
	if i < 0 {
		return nil
	}
	return &rec.live[i]
}

// findEnded returns the ended session with that session part of the id, or nil.
func (rec *record) findEnded(session [16]byte) *ended {
	i := slices.IndexFunc(rec.ended, func(e ended) bool { return e.session == session })
	if i < 0 {
		return nil
	}
	return &rec.ended[i]
}

// encode returns the entry as the record stores it.
func (e entry) encode() []byte {
	b := make([]byte, 0, entrySize)
	b = append(b, e.session[:]...)
	b = appendTimes(b, e.created, e.seen, e.idle, e.absolute)
	b = binary.BigEndian.AppendUint32(b, e.generation)
	b = append(b, e.key[:]...)
	for _, hash := range [][token.HashSize]byte{
		e.access, e.refresh, e.formerAccess, e.formerRefresh,
	} {
		b = append(b, hash[:]...)
	}
	b = appendTimes(b, e.accessEnd, e.formerAccessEnd, e.rotated)
	b = append(b, e.idem[:]...)
	for _, hash := range [][bindingHashSize]byte{e.device, e.network, e.lastDevice, e.lastNetwork} {
		b = append(b, hash[:]...)
	}
	b = appendTimes(b, e.elevated)
	b = append(b, e.flags)
	b = binary.BigEndian.AppendUint64(b, e.chain)
	return append(b, e.storedTransport(), byte(e.class))
}

// storedTransport returns the transport as the record stores it.
func (e entry) storedTransport() byte {
	if e.contract {
		return byte(e.transport) | ofContract
	}
	return byte(e.transport)
}

func decodeEntry(raw string) (entry, error) {
	if len(raw) != entrySize {
		return entry{}, ErrDamaged
	}
	r := reader{raw}
	return r.entry(), nil
}

// expiry reports whether a deadline has passed, and if so which one and when.
// The idle end is never later than the absolute end.
func (e entry) expiry(now time.Time) (Reason, time.Time, bool) {
	switch {
	case now.Before(e.idle) && now.Before(e.absolute):
		return 0, time.Time{}, false
	case e.idle.Before(e.absolute):
		return IdleTimeout, e.idle, true
	}
	return AbsoluteTimeout, e.absolute, true
}

func appendTimes(b []byte, times ...time.Time) []byte {
	for _, t := range times {
		b = append(b, encodeTime(t)...)
	}
	return b
}

// encodeTime returns the milliseconds since 1970 in six bytes, which suffices
// until the year 10889. The zero time is encoded as 0.
func encodeTime(t time.Time) []byte {
	var b [8]byte
	if !t.IsZero() {
		binary.BigEndian.PutUint64(b[:], uint64(t.UnixMilli()))
	}
	return b[2:]
}

// reader takes fixed-width fields off the front. The caller must have checked
// the total length.
type reader struct{ rest string }

func (r *reader) text(n int) string {
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) skip(n int)      { r.rest = r.rest[n:] }
func (r *reader) into(dst []byte) { copy(dst, r.text(len(dst))) }
func (r *reader) byte() byte      { return r.text(1)[0] }
func (r *reader) uint32() uint32  { return binary.BigEndian.Uint32([]byte(r.text(4))) }
func (r *reader) uint64() uint64  { return binary.BigEndian.Uint64([]byte(r.text(8))) }
func (r *reader) times(dst ...*time.Time) {
	for _, t := range dst {
		*t = r.time()
	}
}

func (r *reader) time() time.Time {
	var ms int64
	for _, b := range []byte(r.text(6)) {
		ms = ms<<8 | int64(b)
	}
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (r *reader) entry() entry {
	var e entry
	r.into(e.session[:])
	r.times(&e.created, &e.seen, &e.idle, &e.absolute)
	e.generation = r.uint32()
	r.into(e.key[:])
	for _, hash := range []*[token.HashSize]byte{
		&e.access, &e.refresh, &e.formerAccess, &e.formerRefresh,
	} {
		r.into(hash[:])
	}
	r.times(&e.accessEnd, &e.formerAccessEnd, &e.rotated)
	r.into(e.idem[:])
	for _, hash := range []*[bindingHashSize]byte{
		&e.device, &e.network, &e.lastDevice, &e.lastNetwork,
	} {
		r.into(hash[:])
	}
	r.times(&e.elevated)
	e.flags, e.chain = r.byte(), r.uint64()
	transport := r.byte()
	e.transport, e.contract = Transport(transport&^ofContract), transport&ofContract != 0
	e.class = DeviceClass(r.byte())
	return e
}

func (r *reader) ended() ended {
	var e ended
	r.into(e.session[:])
	e.reason = Reason(r.byte())
	r.times(&e.at, &e.keepUntil)
	r.into(e.idem[:])
	return e
}
