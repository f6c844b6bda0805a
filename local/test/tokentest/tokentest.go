// Package tokentest makes tokens that no server hands out: fixed ones, and
// forged ones such as only somebody with the keys could make.
//
// It writes the bytes of a token by itself, so that a test which uses it also
// holds the layout that shared/token documents.
package tokentest

import (
	"encoding/base64"
	"encoding/binary"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Where the fields of a token stand, and how long it is; see [token.Token].
const (
	kindSize     = 4
	keyAt        = 1
	idAt         = keyAt + seal.IDLength
	generationAt = idAt + 32
	secretAt     = generationAt + 4
	gateAt       = secretAt + 32
	size         = gateAt + 16
)

// Mint makes the same token every time. Kind is "lka_" or "lkr_".
func Mint(keys *seal.Ring, key seal.KeyID, kind string) string {
	raw := make([]byte, gateAt)
	raw[0] = 1
	copy(raw[keyAt:], key[:])
	copy(raw[idAt:], []byte{1, 2, 3})
	copy(raw[idAt+16:], []byte{4, 5, 6})
	binary.BigEndian.PutUint32(raw[generationAt:], 7)
	copy(raw[secretAt:], []byte{8, 9})
	return write(keys, kind, raw)
}

// Forge makes a token from an honest one, changed, and with the gate that the
// keys of another ring give it: as only somebody with those keys could. It
// panics if the text is not a token of the honest ring.
func Forge(
	honest *seal.Ring, text string, with *seal.Ring,
	change func(generation *uint32, secret *[32]byte),
) string {
	kind := text[:kindSize]
	if _, err := token.Parse(honest, token.Kind(kind), text); err != nil {
		panic(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(text[kindSize:])
	if err != nil || len(raw) != size {
		panic("tokentest: a token of another layout")
	}
	generation, secret := binary.BigEndian.Uint32(raw[generationAt:]), [32]byte(raw[secretAt:])
	change(&generation, &secret)
	binary.BigEndian.PutUint32(raw[generationAt:], generation)
	copy(raw[secretAt:], secret[:])
	return write(with, kind, raw[:gateAt])
}

// write appends the gate and encodes.
func write(keys *seal.Ring, kind string, raw []byte) string {
	gate, err := keys.MAC(seal.KeyID(raw[keyAt:]), seal.Gate, []byte(kind), raw)
	if err != nil {
		panic(err)
	}
	return kind + base64.RawURLEncoding.EncodeToString(append(raw[:gateAt:gateAt], gate[:16]...))
}
