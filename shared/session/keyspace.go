package session

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Every Redis key is built here. All keys of a subject share the hash tag of
// its partition, and so one cluster slot, which lets one script use all of
// them. The partition is the first twelve bits of the user id. Keys hold raw
// bytes rather than text, which keeps them short. A brace among those bytes
// does no harm, because Redis takes the first braces of a key for the hash tag.
//
//	prefix:{b3f}:u<user id>          the subject's record
//	prefix:{b3f}:s<session>          a session's sealed payload
//	prefix:{b3f}:d<session>          a session's state
//	prefix:{b3f}:k<session>          a session's tickets, kept for two minutes
//	prefix:{b3f}:p<user id>          the subject's preferences
//	prefix:{b3f}:a<user id>          the subject's activity
//	prefix:{b3f}:o<idempotency key>  a reply, kept for five minutes
//	prefix:{b3f}:i<user id>          the subject's no-ops, kept as long
//	prefix:{b3f}:c                   the partition's counters
//	prefix:{b3f}:x0 … x7             the partition's index segments
//	prefix:{b3f}:e                   the partition's erased accounts
//	prefix:{b3f}:r                   the partition's registry
//	prefix:{b3f}:m                   names and notes of the registry
//	prefix:{b3f}:q                   the partition's outbox
//	prefix:{b3f}:v                   its state
//	prefix:{b3f}:z                   its events that cannot be published
//	prefix:{b3f}:l<hash>             a rate limit within the partition
//	prefix:{Kq}:n<hash of the nonce> a nonce, which begins with the tag
//	prefix:{Kq}:t<hash of the nonce> the attempts to use it
//	prefix:{Kq}:l<hash>              a network's rate limit, beside its nonces
//	prefix:f<0-7>:<hour>             failed logins of an hour
//	prefix:admins                    the list of admins
//	prefix:audit                     the audit list: what admins did
//	prefix:hints                     partitions whose outbox has events
//	prefix:sum                       the sweeper's summary
//	prefix:health                    what the health check writes
//	prefix:{b3f}:start               what a check at the start writes
//
// Here <session> is the session part of the id.

// partitions is the number of partitions.
const partitions = 1 << 12

// indexSegments is the number of sorted sets that a partition's index may have.
// x0 is filled first. Of x1 to x7 each subject uses one, which keeps all of
// them small.
const indexSegments = 8

// partition returns the beginning of all keys of a subject.
func (s *Store) partition(u token.UserID) string { return s.partitionPrefix(partitionOf(u)) }

// partitionPrefix returns the beginning of all keys of partition n.
func (s *Store) partitionPrefix(n int) string {
	return s.opts.Prefix + ":{" + hex.EncodeToString([]byte{byte(n >> 4), byte(n << 4)})[:3] + "}:"
}

func partitionOf(u token.UserID) int { return int(u[0])<<4 | int(u[1])>>4 }

// segmentOf returns the index segment, 1 to 7, that a subject uses if segment 0
// is full. It follows from the bits after those of the partition.
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

// memberRecordKey and memberActivityKey return the keys of a member of a
// partition's index. A member should be a user id. Any other member yields keys
// that do not exist.
func (s *Store) memberRecordKey(partition int, member string) string {
	return s.partitionPrefix(partition) + "u" + member
}

func (s *Store) memberActivityKey(partition int, member string) string {
	return s.partitionPrefix(partition) + "a" + member
}

// accountPattern matches all records and preferences, and little else.
func (s *Store) accountPattern() string { return s.opts.Prefix + ":{???}:[pu]*" }

// accountOf returns the account whose record or preferences have that key, or
// false if the key is of neither.
func (s *Store) accountOf(key string) (user token.UserID, ok bool) {
	if len(key) < len(user) {
		return user, false
	}
	user = token.UserID([]byte(key[len(key)-len(user):]))
	return user, key == s.recordKey(user) || key == s.preferencesKey(user)
}

// replyCacheKey returns the key of the reply to one change, which is stored for
// as long as the change may be retried.
func (s *Store) replyCacheKey(u token.UserID, idem script.IdempotencyKey) string {
	return s.partition(u) + "o" + string(idem[:])
}

// noopsKey returns the key of the changes of an account that found nothing to
// change, which is stored for as long as one of them may be retried.
func (s *Store) noopsKey(u token.UserID) string { return s.partition(u) + "i" + string(u[:]) }

// erasedKey returns the key of the erased accounts of a partition whose record
// has no TTL, because they are blocked or were given roles since. Their scores
// are when the last of their ended sessions is to be forgotten.
func (s *Store) erasedKey(partition int) string { return s.partitionPrefix(partition) + "e" }

// registryKey returns the key of a partition's registry: the accounts with a
// block or roles, by user id. registryTextKey returns the key of what is sealed
// of them; see registry.go.
func (s *Store) registryKey(partition int) string { return s.partitionPrefix(partition) + "r" }

func (s *Store) registryTextKey(partition int) string { return s.partitionPrefix(partition) + "m" }

func (s *Store) registryKeys(partition int) []string {
	return []string{s.registryKey(partition), s.registryTextKey(partition)}
}

// outboxKey returns the key of a partition's outbox, outboxStateKey that of its
// state, and refusedKey that of the events that cannot be published; see
// outbox.go.
func (s *Store) outboxKey(partition int) string { return s.partitionPrefix(partition) + "q" }

func (s *Store) outboxStateKey(partition int) string { return s.partitionPrefix(partition) + "v" }

func (s *Store) refusedKey(partition int) string { return s.partitionPrefix(partition) + "z" }

// hintsKey returns the key of the partitions whose outbox has events.
func (s *Store) hintsKey() string { return s.opts.Prefix + ":hints" }

// accountKeys returns the keys that follow those of subjectKeys in every script
// that uses lua/lib/account.lua.
func (s *Store) accountKeys(u token.UserID, idem script.IdempotencyKey) []string {
	return append([]string{s.replyCacheKey(u, idem), s.noopsKey(u), s.erasedKey(partitionOf(u))},
		s.registryKeys(partitionOf(u))...)
}

func (s *Store) payloadKey(id token.ID) string {
	return s.partition(id.User) + "s" + string(id.Session[:])
}
func (s *Store) stateKey(id token.ID) string {
	return s.partition(id.User) + "d" + string(id.Session[:])
}

// ticketsKey returns the key of a session's tickets. A session's end leaves it to
// its TTL: nothing opens with a ticket alone.
func (s *Store) ticketsKey(id token.ID) string {
	return s.partition(id.User) + "k" + string(id.Session[:])
}

// ownKeys returns the keys of what belongs to a session and ends with it:
// payload and state.
func (s *Store) ownKeys(id token.ID) []string { return []string{s.payloadKey(id), s.stateKey(id)} }

// sessionKeys returns the keys that a validation reads: record and payload.
func (s *Store) sessionKeys(id token.ID) []string {
	return []string{s.recordKey(id.User), s.payloadKey(id)}
}

// subjectKeys returns the first keys of every script that uses
// lua/lib/subject.lua.
func (s *Store) subjectKeys(u token.UserID) []string {
	partition := partitionOf(u)
	return []string{
		s.recordKey(u), s.countersKey(partition),
		s.indexKey(partition, 0), s.indexKey(partition, segmentOf(u)), s.activityKey(u),
	}
}

// nonceKey returns the key of a nonce. It follows from the nonce alone, because
// a caller's network may change between requesting the nonce and spending it.
func (s *Store) nonceKey(nonce string) string {
	return s.nonceSlot(nonceTag(nonce)) + "n" + s.nonceName(nonce)
}

// attemptsKey returns the key of the attempts to use a nonce; see BeginAttempt.
func (s *Store) attemptsKey(nonce string) string {
	return s.nonceSlot(nonceTag(nonce)) + "t" + s.nonceName(nonce)
}

// nonceName returns what Redis holds instead of a nonce: a keyed hash.
func (s *Store) nonceName(nonce string) string {
	return string(s.keys.Lookup(seal.NonceName, []byte(nonce))[:16])
}

// nonceSlot returns the beginning of the keys of all networks that share a tag
// of two characters.
func (s *Store) nonceSlot(tag string) string { return s.opts.Prefix + ":{" + tag + "}:" }

// rateLimitKey returns the key of a rate limit. slot is the beginning of the key,
// with the hash tag. who are those that share the limit.
func (s *Store) rateLimitKey(slot, name string, who ...[]byte) string {
	return slot + "l" + string(s.keys.Lookup(seal.RateLimit, append([][]byte{[]byte(name)}, who...)...)[:16])
}

// failuresKey returns a key that counts failed logins of an hour since 1970;
// see failureParts.
func (s *Store) failuresKey(part, hour int64) string {
	return fmt.Sprintf("%s:f%d:%d", s.opts.Prefix, part, hour)
}

func (s *Store) adminsKey() string { return s.opts.Prefix + ":admins" }

func (s *Store) auditKey() string { return s.opts.Prefix + ":audit" }

func (s *Store) summaryKey() string { return s.opts.Prefix + ":sum" }

func (s *Store) healthKey() string { return s.opts.Prefix + ":health" }

// StartKeys returns keys in several slots for a check at the start of a process.
// Nothing else uses them. They do not have the form of a partition's keys.
func StartKeys(prefix string) []string {
	var keys []string
	for n := 0; n < partitions; n += partitions / 16 {
		keys = append(keys, fmt.Sprintf("%s:start:{%03x}", prefix, n))
	}
	return keys
}
