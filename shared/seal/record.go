package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// format is the first byte of everything that is sealed.
const format = 1

// Overhead is how many bytes sealing adds: format, key id, nonce and tag.
const Overhead = 1 + IDLength + 12 + 16

// Record names what is sealed. All of it is bound: sealed bytes open only for
// the record that they were made for.
type Record struct {
	// Kind is the type of record, such as "session".
	Kind string
	// Owner identifies the one record. The encryption key is derived from it.
	// So a key seals only as often as its record is rewritten, and 96-bit
	// random nonces stay far below their bound of 2^32.
	Owner []byte
	// Facts are what must not be changed beside the sealed bytes, such as when
	// a session began and must end.
	Facts []byte
}

// Seal encrypts plain under the given key. The result is [Overhead] bytes
// longer. It returns [ErrUnknownKey] if the ring does not have the key.
func (r *Ring) Seal(id KeyID, rec Record, plain []byte) ([]byte, error) {
	aead, err := r.aead(id, rec)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, Overhead+len(plain))
	out = append(out, format)
	out = append(out, id[:]...)
	return aead.Seal(out, nil, plain, additional(id, rec)), nil
}

// Open returns what [Ring.Seal] was given. It returns [ErrUnknownKey] if the
// ring does not have the key. For everything else that is wrong it returns
// [ErrOpen], without saying what.
func (r *Ring) Open(rec Record, sealed []byte) ([]byte, error) {
	id, ok := KeyOf(sealed)
	if !ok {
		return nil, ErrOpen
	}
	aead, err := r.aead(id, rec)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed[1+IDLength:], additional(id, rec))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// KeyOf returns the id of the key that sealed something, as the sealed bytes
// name it. It returns false for bytes that cannot be sealed ones. It does
// not authenticate them.
func KeyOf(sealed []byte) (KeyID, bool) {
	if len(sealed) < Overhead || sealed[0] != format {
		return KeyID{}, false
	}
	return KeyID(sealed[1:]), true
}

func (r *Ring) aead(id KeyID, rec Record) (cipher.AEAD, error) {
	k, ok := r.set.Load().keys[id]
	if !ok {
		return nil, ErrUnknownKey
	}
	key := k.seal.expand(rec.Kind, "|", string(rec.Owner))
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("preparing cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// additional frames kind, owner and facts by their lengths, so that no two
// records have the same additional data.
func additional(id KeyID, rec Record) []byte {
	out := make([]byte, 0, 1+IDLength+3*4+len(rec.Kind)+len(rec.Owner)+len(rec.Facts))
	out = append(append(out, format), id[:]...)
	for _, part := range [][]byte{[]byte(rec.Kind), rec.Owner, rec.Facts} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}
