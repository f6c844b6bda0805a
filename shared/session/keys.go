package session

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"latchkey/shared/seal"
)

// Every key in Redis is built here. What belongs to a subject shares the hash tag of its bucket, the first twelve bits
// of its user id, and so one cluster slot: a script may touch all of it. Raw bytes rather than text keep keys short; a
// brace among them does no harm, since the first braces of a key are the tag's.
//
//	prefix:{b3f}:u<user id>          the subject's record
//	prefix:{b3f}:s<session random>   a session's sealed payload
//	prefix:{b3f}:d<session random>   a session's state
//	prefix:{b3f}:p<user id>          the subject's preferences
//	prefix:{b3f}:a<user id>          the subject's activity
//	prefix:{b3f}:o<operation>        an operation's answer, for five minutes
//	prefix:{b3f}:c                   the bucket's counters
//	prefix:{b3f}:x0 … x7             the bucket's index
//	prefix:{b3f}:l<hash>             a rate limit within the bucket
//	prefix:{Kq}:n<hash of the nonce> a nonce; the tag is its first two characters
//	prefix:{Kq}:l<hash>              a rate limit of a network, where its nonces are
//	prefix:f<0-7>:<hour>             logins that failed in an hour
//	prefix:admins                    who has the role admin
//	prefix:sum                       the sweeper's sum

// buckets is how many there are.
const buckets = 1 << 12

// indexParts is how many sorted sets a bucket's index has at most: x0, which is filled first, and one of the others for
// each subject, so that all stay small.
const indexParts = 8

func (s *Store) bucket(u UserID) string { return s.bucketNumber(bucketOf(u)) }

func (s *Store) bucketNumber(n int) string {
	return s.opts.Prefix + ":{" + hex.EncodeToString([]byte{byte(n >> 4), byte(n << 4)})[:3] + "}:"
}

func bucketOf(u UserID) int { return int(u[0])<<4 | int(u[1])>>4 }

// indexPart is the subject's own part of the index, 1 to 7: by the bits behind the bucket's.
func indexPart(u UserID) int { return 1 + int(u[1]&15)*(indexParts-1)/16 }

func (s *Store) indexKey(bucket, part int) string {
	return s.bucketNumber(bucket) + "x" + strconv.Itoa(part)
}

func (s *Store) countersKey(bucket int) string { return s.bucketNumber(bucket) + "c" }

func (s *Store) recordKey(u UserID) string      { return s.memberRecordKey(bucketOf(u), string(u[:])) }
func (s *Store) activityKey(u UserID) string    { return s.memberActivityKey(bucketOf(u), string(u[:])) }
func (s *Store) preferencesKey(u UserID) string { return s.bucket(u) + "p" + string(u[:]) }

// memberRecordKey and memberActivityKey are those of a member of a bucket's index. It should be a user id; what is none
// names keys that do not exist.
func (s *Store) memberRecordKey(bucket int, member string) string {
	return s.bucketNumber(bucket) + "u" + member
}

func (s *Store) memberActivityKey(bucket int, member string) string {
	return s.bucketNumber(bucket) + "a" + member
}

// memoryKey holds an operation's answer for as long as it may be asked for again.
func (s *Store) memoryKey(u UserID, op operation) string { return s.bucket(u) + "o" + string(op[:]) }

func (s *Store) payloadKey(id ID) string { return s.bucket(id.User) + "s" + string(id.Random[:]) }
func (s *Store) stateKey(id ID) string   { return s.bucket(id.User) + "d" + string(id.Random[:]) }

// sessionKeys are what a validation reads.
func (s *Store) sessionKeys(id ID) []string {
	return []string{s.recordKey(id.User), s.payloadKey(id)}
}

// subjectKeys are the keys that every script begins with which changes a record; see lua/lib/subject.lua.
func (s *Store) subjectKeys(u UserID) []string {
	bucket := bucketOf(u)
	return []string{
		s.recordKey(u), s.countersKey(bucket), s.indexKey(bucket, 0), s.indexKey(bucket, indexPart(u)), s.activityKey(u),
	}
}

// nonceKey is found from the nonce alone, since a caller's network may change between asking for it and spending it.
func (s *Store) nonceKey(nonce string) string {
	return s.nonceSlot(nonceTag(nonce)) + "n" + string(s.keys.Lookup(seal.NonceName, []byte(nonce))[:16])
}

// nonceSlot begins the keys of all networks that share a tag of two characters.
func (s *Store) nonceSlot(tag string) string { return s.opts.Prefix + ":{" + tag + "}:" }

// limitKey is a rate limit's, in the slot that the first part of the key names; who are those that share it.
func (s *Store) limitKey(slot, name string, who ...[]byte) string {
	return slot + "l" + string(s.keys.Lookup(seal.RateLimit, append([][]byte{[]byte(name)}, who...)...)[:16])
}

func (s *Store) failuresKey(part, hour int64) string {
	return fmt.Sprintf("%s:f%d:%d", s.opts.Prefix, part, hour)
}

func (s *Store) adminsKey() string { return s.opts.Prefix + ":admins" }

func (s *Store) sumKey() string { return s.opts.Prefix + ":sum" }
