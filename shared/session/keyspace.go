package session

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
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

// partitions is how many there are.
const partitions = 1 << 12

// indexSegments is how many sorted sets a bucket's index has at most: x0, which is filled first, and one of the others for
// each subject, so that all stay small.
const indexSegments = 8

func (s *Store) partition(u token.UserID) string { return s.partitionPrefix(partitionOf(u)) }

func (s *Store) partitionPrefix(n int) string {
	return s.opts.Prefix + ":{" + hex.EncodeToString([]byte{byte(n >> 4), byte(n << 4)})[:3] + "}:"
}

func partitionOf(u token.UserID) int { return int(u[0])<<4 | int(u[1])>>4 }

// segmentOf is the subject's own part of the index, 1 to 7: by the bits behind the bucket's.
func segmentOf(u token.UserID) int { return 1 + int(u[1]&15)*(indexSegments-1)/16 }

func (s *Store) indexKey(partition, segment int) string {
	return s.partitionPrefix(partition) + "x" + strconv.Itoa(segment)
}

func (s *Store) countersKey(partition int) string { return s.partitionPrefix(partition) + "c" }

func (s *Store) recordKey(u token.UserID) string {
	return s.memberRecordKey(partitionOf(u), string(u[:]))
}
func (s *Store) activityKey(u token.UserID) string {
	return s.memberActivityKey(partitionOf(u), string(u[:]))
}
func (s *Store) preferencesKey(u token.UserID) string { return s.partition(u) + "p" + string(u[:]) }

// memberRecordKey and memberActivityKey are those of a member of a bucket's index. It should be a user id; what is none
// names keys that do not exist.
func (s *Store) memberRecordKey(partition int, member string) string {
	return s.partitionPrefix(partition) + "u" + member
}

func (s *Store) memberActivityKey(partition int, member string) string {
	return s.partitionPrefix(partition) + "a" + member
}

// replyCacheKey holds an operation's answer for as long as it may be asked for again.
func (s *Store) replyCacheKey(u token.UserID, idem script.IdempotencyKey) string {
	return s.partition(u) + "o" + string(idem[:])
}

func (s *Store) payloadKey(id token.ID) string {
	return s.partition(id.User) + "s" + string(id.Session[:])
}
func (s *Store) stateKey(id token.ID) string {
	return s.partition(id.User) + "d" + string(id.Session[:])
}

// sessionKeys are what a validation reads.
func (s *Store) sessionKeys(id token.ID) []string {
	return []string{s.recordKey(id.User), s.payloadKey(id)}
}

// subjectKeys are the keys that every script begins with which changes a record; see lua/lib/subject.lua.
func (s *Store) subjectKeys(u token.UserID) []string {
	partition := partitionOf(u)
	return []string{
		s.recordKey(u), s.countersKey(partition), s.indexKey(partition, 0), s.indexKey(partition, segmentOf(u)), s.activityKey(u),
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

func (s *Store) failuresKey(segment, hour int64) string {
	return fmt.Sprintf("%s:f%d:%d", s.opts.Prefix, segment, hour)
}

func (s *Store) adminsKey() string { return s.opts.Prefix + ":admins" }

func (s *Store) summaryKey() string { return s.opts.Prefix + ":sum" }
