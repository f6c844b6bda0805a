package session

import (
	"encoding/hex"

	"latchkey/shared/seal"
)

// Every key in Redis is built here. What belongs to a subject shares the hash tag of its bucket, the first twelve bits
// of its user id, and so one cluster slot: a script may touch all of it. Raw bytes rather than text keep keys short; a
// brace among them does no harm, since the first braces of a key are the tag's.
//
//	prefix:{b3f}:u<user id>          the subject's record
//	prefix:{b3f}:s<session random>   a session's sealed payload
//	prefix:n:<hash of the nonce>     a nonce, in a slot of its own
//	prefix:sum                       what health reads

func (s *Store) bucket(u UserID) string {
	return s.opts.Prefix + ":{" + hex.EncodeToString(u[:2])[:3] + "}:"
}

func (s *Store) recordKey(u UserID) string { return s.bucket(u) + "u" + string(u[:]) }

func (s *Store) payloadKey(id ID) string { return s.bucket(id.User) + "s" + string(id.Random[:]) }

func (s *Store) sessionKeys(id ID) []string {
	return []string{s.recordKey(id.User), s.payloadKey(id)}
}

// nonceKey is found from the nonce alone, since a caller's network may change between asking for it and spending it.
func (s *Store) nonceKey(nonce string) string {
	return s.opts.Prefix + ":n:" + string(s.keys.Lookup(seal.NonceName, []byte(nonce))[:16])
}

func (s *Store) sumKey() string { return s.opts.Prefix + ":sum" }
