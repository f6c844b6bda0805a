package session

import (
	"context"

	"latchkey/shared/seal"
)

// What tests look at that callers have no use for.

// Listed is a live session as the record lists it.
type Listed struct {
	ID         ID
	Generation uint32
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
}

// Stored reads a subject's record as it stands in Redis.
func (s *Store) Stored(ctx context.Context, u UserID) (Stored, error) {
	raw, err := s.rdb.Get(ctx, s.recordKey(u)).Result()
	if err != nil {
		return Stored{}, err
	}
	rec, err := decodeRecord(raw)
	out := Stored{Epoch: rec.epoch}
	for _, e := range rec.live {
		out.Live = append(out.Live, Listed{ID: ID{User: u, Random: e.random}, Generation: e.generation})
	}
	for _, e := range rec.ended {
		out.Ended = append(out.Ended, Remembered{ID: ID{User: u, Random: e.random}, Reason: e.reason})
	}
	return out, err
}

// RecordKey and PayloadKey name a session's two keys.
func (s *Store) RecordKey(id ID) string  { return s.recordKey(id.User) }
func (s *Store) PayloadKey(id ID) string { return s.payloadKey(id) }

// HeadSize and EntrySize are the layout's.
const (
	HeadSize  = headSize
	EntrySize = entrySize
	FlagByte  = 1
)

// ParseToken takes a token of either kind apart and writes it out again.
func ParseToken(keys *seal.Ring, kind, text string) (string, error) {
	t, err := parseToken(keys, kind, text)
	if err != nil {
		return "", err
	}
	return t.text(keys)
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

// DecodeRecord tells whether a record decodes.
func DecodeRecord(raw string) error {
	_, err := decodeRecord(raw)
	return err
}

// DecodePayload tells whether a payload decodes.
func DecodePayload(raw []byte) error {
	_, err := decodePayload(raw)
	return err
}
