// Package seal holds the key ring. It authenticates (HMAC-SHA-256), derives
// (HKDF, RFC 5869) and seals (AES-256-GCM, NIST SP 800-38D) everything that
// this project puts into a token or into Redis.
//
// A ring has two kinds of keys. The lookup key names things: it turns a subject
// or a nonce into the name of a Redis key. It can never change, or every
// account would get another name. All other keys rotate. Each has an id that is
// stored with whatever the key made, so that old work can be read while new
// work uses the newest active key.
//
// A ring's keys come from the environment ([EnvironmentKey]) or from a
// [Document], and can be replaced while others use the ring ([Ring.Replace]). A
// key is removed only by hand, from the document. That ends the sessions that
// began under it and loses what it sealed. The lookup key must not be removed.
//
// The package fetches no secrets, writes no log and knows nothing of sessions.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Lengths in bytes.
const (
	// MinSecret is the minimum length of a secret.
	MinSecret = 32
	// EncryptionKey is the exact length of an encryption key.
	EncryptionKey = 32
	// IDLength is the length of a key id.
	IDLength = 4
)

// Errors of this package.
var (
	// ErrUnknownKey says that the ring has no key with that id: it was removed,
	// or is not ours.
	ErrUnknownKey = errors.New("unknown key id")
	// ErrOpen says that sealed bytes did not open: truncated, altered, or bound
	// to another record. It never says which.
	ErrOpen = errors.New("sealed record does not open")
)

// KeyID names a key inside tokens and sealed records. It is not secret.
type KeyID [IDLength]byte

// Key is one generation of secrets.
type Key struct {
	ID KeyID
	// Secret is what every MAC key is derived from; at least [MinSecret] bytes.
	Secret []byte
	// Encryption is what the sealing keys are derived from; exactly
	// [EncryptionKey] bytes.
	Encryption []byte
	// ActiveFrom is when the key begins to be used for new work; it is accepted
	// for reading before that. Zero means always.
	ActiveFrom time.Time
}

// EnvironmentKey returns the one key of a configuration without rotation. Its
// id is derived from both secrets, one way. So a changed secret changes the id,
// and what the former secret made is refused as unknown rather than as forged.
func EnvironmentKey(secret, encryption []byte) Key {
	root := extract(append(slices.Clone(secret), encryption...))
	sum := expand(root, "latchkey/1|key-id", IDLength)
	return Key{ID: KeyID(sum), Secret: secret, Encryption: encryption}
}

// Purpose separates the uses of a key. Each has a derived key of its own, so
// that a value made for one is worthless for another.
type Purpose string

// The purposes of the rotating keys.
const (
	Gate          Purpose = "token gate"
	TokenHash     Purpose = "token hash"
	AccessSecret  Purpose = "access secret"
	RefreshSecret Purpose = "refresh secret"
	Device        Purpose = "device"
	Network       Purpose = "network"
)

// The purposes of the lookup key.
const (
	UserID      Purpose = "user id"
	NonceName   Purpose = "nonce name"
	PreLogin    Purpose = "pre-login binding"
	SessionPart Purpose = "session random"
	RateLimit   Purpose = "rate limit"
	StateName   Purpose = "state name"
)

var (
	rotating  = []Purpose{Gate, TokenHash, AccessSecret, RefreshSecret, Device, Network}
	permanent = []Purpose{UserID, NonceName, PreLogin, SessionPart, RateLimit, StateName}
)

// Ring is a set of keys. It is safe for concurrent use, including
// [Ring.Replace].
type Ring struct{ set atomic.Pointer[set] }

// set is the content of a ring at one time. It never changes.
type set struct {
	lookup map[Purpose]*macKey
	keys   map[KeyID]derived
	order  []Key // by ActiveFrom, oldest first; without secrets
}

type derived struct {
	macs map[Purpose]*macKey
	seal *macKey // root of the per-record encryption keys
}

// NewRing derives all keys of a ring. Scope is the deployment's name for itself
// (the Redis key prefix): two stages that share a secret derive different keys
// and cannot exchange tokens. It returns an error if a secret is short, an
// encryption key has the wrong length, an id appears twice, or there are no
// keys.
func NewRing(scope string, lookup []byte, keys ...Key) (*Ring, error) {
	if len(lookup) < MinSecret {
		return nil, fmt.Errorf("lookup key has %d bytes, at least %d are needed",
			len(lookup), MinSecret)
	}
	if len(keys) == 0 {
		return nil, errors.New("a ring needs at least one key")
	}
	s := &set{lookup: deriveAll(lookup, scope, permanent), keys: map[KeyID]derived{}}
	for _, k := range keys {
		if err := s.add(scope, k); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(s.order, func(a, b Key) int { return a.ActiveFrom.Compare(b.ActiveFrom) })
	r := new(Ring)
	r.set.Store(s)
	return r, nil
}

// ErrLookup says that a ring's keys were not replaced, because the other ring
// has another lookup key.
var ErrLookup = errors.New("the lookup key differs: every account would get another name")

// Replace gives the ring the keys of another, all at once: concurrent users
// work with one set or the other. It returns [ErrLookup] if the lookup keys
// differ, and then changes nothing.
func (r *Ring) Replace(other *Ring) error {
	next := other.set.Load()
	if !bytes.Equal(r.set.Load().lookup[UserID].key, next.lookup[UserID].key) {
		return ErrLookup
	}
	r.set.Store(next)
	return nil
}

// Has reports whether the ring has a key.
func (r *Ring) Has(id KeyID) bool {
	_, ok := r.set.Load().keys[id]
	return ok
}

func (s *set) add(scope string, k Key) error {
	if len(k.Secret) < MinSecret {
		return fmt.Errorf("secret of key %x has %d bytes, at least %d are needed",
			k.ID, len(k.Secret), MinSecret)
	}
	if len(k.Encryption) != EncryptionKey {
		return fmt.Errorf("encryption key %x has %d bytes, exactly %d are needed",
			k.ID, len(k.Encryption), EncryptionKey)
	}
	if _, twice := s.keys[k.ID]; twice {
		return fmt.Errorf("key id %x appears twice: use different keys", k.ID)
	}
	s.keys[k.ID] = derived{
		macs: deriveAll(k.Secret, scope, rotating),
		seal: newMACKey(expand(extract(k.Encryption), info(scope, "seal"), EncryptionKey)),
	}
	s.order = append(s.order, Key{ID: k.ID, ActiveFrom: k.ActiveFrom})
	return nil
}

// Current returns the id of the key that new work uses at that time: the one
// that became active last. If none is active yet, it is the first that will be.
func (r *Ring) Current(now time.Time) KeyID {
	order := r.set.Load().order
	current := order[0].ID
	for _, k := range order {
		if !k.ActiveFrom.After(now) {
			current = k.ID
		}
	}
	return current
}

// MAC returns the HMAC-SHA-256 of the parts under a rotating key, 32 bytes.
// Parts are framed by their length, so that moving a byte from one to the next
// changes the result. It returns [ErrUnknownKey] if the ring does not have the
// key. It panics if the purpose is one of the lookup key.
func (r *Ring) MAC(id KeyID, p Purpose, parts ...[]byte) ([]byte, error) {
	k, ok := r.set.Load().keys[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	return k.macs[p].mac(parts), nil
}

// Lookup returns the HMAC-SHA-256 of the parts under the lookup key, as
// [Ring.MAC] does. It panics if the purpose is one of the rotating keys.
func (r *Ring) Lookup(p Purpose, parts ...[]byte) []byte {
	return r.set.Load().lookup[p].mac(parts)
}

// macKey is a key of HMAC-SHA-256, with hashes that have already processed it:
// that is half of the cost of a short message.
type macKey struct {
	key    []byte
	hashes sync.Pool
}

// keyed is a hash that has processed its key, and a buffer for a message.
type keyed struct {
	hash    hash.Hash
	message []byte
}

func newMACKey(key []byte) *macKey {
	k := &macKey{key: key}
	k.hashes.New = func() any { return &keyed{hash: hmac.New(sha256.New, key)} }
	return k
}

// digest returns the HMAC-SHA-256 of the message.
func (h *keyed) digest() []byte {
	h.hash.Reset()
	h.hash.Write(h.message)
	return h.hash.Sum(make([]byte, 0, sha256.Size))
}

// mac frames the parts and returns their HMAC. A nil key means a purpose of the
// other kind of key. That is a programming error, and an empty key would
// authenticate anything, so it panics.
func (k *macKey) mac(parts [][]byte) []byte {
	if k == nil {
		panic("seal: the purpose belongs to the other kind of key")
	}
	h := k.hashes.Get().(*keyed)
	defer k.hashes.Put(h)
	h.message = h.message[:0]
	for _, part := range parts {
		h.message = binary.BigEndian.AppendUint32(h.message, uint32(len(part)))
		h.message = append(h.message, part...)
	}
	return h.digest()
}

// expand is HKDF-Expand (RFC 5869) of this key, for the length of one hash,
// which is its first block.
func (k *macKey) expand(info ...string) []byte {
	h := k.hashes.Get().(*keyed)
	defer k.hashes.Put(h)
	h.message = h.message[:0]
	for _, part := range info {
		h.message = append(h.message, part...)
	}
	h.message = append(h.message, 1)
	return h.digest()
}

func deriveAll(secret []byte, scope string, purposes []Purpose) map[Purpose]*macKey {
	root := extract(secret)
	keys := make(map[Purpose]*macKey, len(purposes))
	for _, p := range purposes {
		keys[p] = newMACKey(expand(root, info(scope, string(p)), sha256.Size))
	}
	return keys
}

func info(scope, purpose string) string { return "latchkey/1|" + scope + "|" + purpose }

// extract and expand wrap HKDF. Its errors are all about lengths, which are
// constants here.
func extract(secret []byte) []byte {
	root, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		panic(err)
	}
	return root
}

func expand(root []byte, info string, length int) []byte {
	key, err := hkdf.Expand(sha256.New, root, info, length)
	if err != nil {
		panic(err)
	}
	return key
}
