// Package token creates, reads and recognises the tokens that clients hold, and
// the ids of accounts and sessions in them. It does not know Redis.
//
// A token is a random or derived secret with the name of its session. Reading a
// token proves that it was made with our keys. Only the session's record says
// whether it is still valid.
package token

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"latchkey/shared/seal"
)

// Kind is what a token is for. It is written as the token's prefix, by which
// secret scanners find leaked tokens.
type Kind string

// The kinds of tokens.
const (
	Access  Kind = "lka_"
	Refresh Kind = "lkr_"
	Ticket  Kind = "lkt_" // opens a session once
)

// A token is written as its kind and base64url of
//
//	format 1 | key id 4 | user id 16 | session 16 | generation 4 |
//	secret 32 | gate 16
//
// with the size of each field in bytes. The gate is a MAC over the kind and all
// fields before it, so that a forged or mangled token is refused without a
// round trip to Redis.
const (
	format = 1
	gateAt = 1 + seal.IDLength + 16 + 16 + 4 + 32
	size   = gateAt + 16
)

// HashSize is the size of what Redis stores of a token, in bytes.
const HashSize = 16

// ErrInvalid says that a text is not a token made with our keys, or that its
// session is unknown. The token is malformed, forged, of another kind, or older
// than the records of ended sessions.
var ErrInvalid = errors.New("invalid token")

// ErrUnknownKey says that a token names a key that the key ring does not have.
// It wraps [ErrInvalid] and [seal.ErrUnknownKey].
var ErrUnknownKey = fmt.Errorf("%w: %w", ErrInvalid, seal.ErrUnknownKey)

// Token is an authentic token, parsed: it was made with our keys, but need not
// be valid any more. It prints as its kind alone, with every verb of package
// fmt, as text and in JSON. Package fmt calls no methods in an unexported field
// of a struct, so a token must not be kept in one.
type Token struct {
	kind       Kind
	key        seal.KeyID
	id         ID
	generation uint32
	secret     [32]byte
}

// NewRefresh returns a refresh token of a session's given generation, with a
// random secret.
func NewRefresh(key seal.KeyID, id ID, generation uint32) Token {
	t := Token{kind: Refresh, key: key, id: id, generation: generation}
	rand.Read(t.secret[:]) // never fails: crypto/rand ends the process rather than return less
	return t
}

// Parse reads a token of the given kind and checks its gate. It returns
// [ErrInvalid] if it is not one. If the key id is unknown it returns
// [ErrUnknownKey], and a token with only [Token.KeyID] set.
func Parse(keys *seal.Ring, kind Kind, text string) (Token, error) {
	body, ok := strings.CutPrefix(text, string(kind))
	if !ok {
		return Token{}, ErrInvalid
	}
	raw, ok := DecodeBase64URL(body, size)
	if !ok || raw[0] != format {
		return Token{}, ErrInvalid
	}
	t := Token{kind: kind, key: seal.KeyID(raw[1:])}
	gate, err := keys.MAC(t.key, seal.Gate, []byte(kind), raw[:gateAt])
	if err != nil {
		return t, ErrUnknownKey
	}
	if !hmac.Equal(gate[:16], raw[gateAt:]) {
		return Token{}, ErrInvalid
	}
	t.id = ID{User: UserID(raw[5:]), Session: [16]byte(raw[21:])}
	t.generation = binary.BigEndian.Uint32(raw[37:])
	t.secret = [32]byte(raw[41:])
	return t, nil
}

// ID returns the id of the session that the token belongs to.
func (t Token) ID() ID { return t.id }

// KeyID returns the id of the key that made the token.
func (t Token) KeyID() seal.KeyID { return t.key }

// Generation returns how many times the session's tokens had been rotated when
// the token was made.
func (t Token) Generation() uint32 { return t.generation }

// Format implements [fmt.Formatter]: a token prints as its kind.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, string(t.kind)) }

// MarshalText implements [encoding.TextMarshaler], and with that JSON: a token
// is written as its kind.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.kind), nil }

// Encode returns the token as clients hold it. It returns [seal.ErrUnknownKey]
// if the key is not in the ring.
func (t Token) Encode(keys *seal.Ring) (string, error) {
	raw := make([]byte, 0, size)
	raw = append(raw, format)
	raw = append(raw, t.key[:]...)
	raw = append(raw, t.id.User[:]...)
	raw = append(raw, t.id.Session[:]...)
	raw = binary.BigEndian.AppendUint32(raw, t.generation)
	raw = append(raw, t.secret[:]...)
	gate, err := keys.MAC(t.key, seal.Gate, []byte(t.kind), raw)
	if err != nil {
		return "", err
	}
	return string(t.kind) + base64.RawURLEncoding.EncodeToString(append(raw, gate[:16]...)), nil
}

// Hash returns what Redis stores of a token, [HashSize] bytes. It recognises
// the token but does not reveal it. It returns [seal.ErrUnknownKey] if the key
// is not in the ring.
func (t Token) Hash(keys *seal.Ring) ([]byte, error) {
	sum, err := keys.MAC(t.key, seal.TokenHash, t.context(t.kind), t.secret[:])
	if err != nil {
		return nil, err
	}
	return sum[:HashSize], nil
}

// context returns what binds a derivation to one kind of token, session and
// generation.
func (t Token) context(kind Kind) []byte {
	b := make([]byte, 0, len(kind)+len(t.id.User)+len(t.id.Session)+4)
	b = append(b, kind...)
	b = append(b, t.id.User[:]...)
	b = append(b, t.id.Session[:]...)
	return binary.BigEndian.AppendUint32(b, t.generation)
}

// HasKind reports whether text begins like a token of any kind.
func HasKind(text string) bool {
	return strings.HasPrefix(text, string(Access)) || strings.HasPrefix(text, string(Refresh)) ||
		strings.HasPrefix(text, string(Ticket))
}

// ContainedIn reports whether text contains something that looks like a token or
// a service key, authentic or not: a prefix, followed by more than is found in
// words such as polka_dots. It keeps them out of logs.
func ContainedIn(text string) bool {
	return contains(text, string(Access), halfSecret) ||
		contains(text, string(Refresh), halfSecret) ||
		contains(text, string(Ticket), halfSecret) ||
		contains(text, ServiceKeyPrefix, fullSecret)
}

// How many characters of base64url after a prefix make a text look like a token.
// Many words end with the prefix of service keys, such as talks_, so a complete
// secret must follow it.
const (
	halfSecret = 22
	fullSecret = 43
)

// contains reports whether a prefix in text is followed by at least enough
// characters of base64url.
func contains(text, prefix string, enough int) bool {
	for rest, found := text, true; found; {
		if _, rest, found = strings.Cut(rest, prefix); found && looksEncoded(rest, enough) {
			return true
		}
	}
	return false
}

// looksEncoded reports whether text begins with at least enough characters of
// base64url.
func looksEncoded(text string, enough int) bool {
	outside := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			r == '-' || r == '_')
	}
	return len(text) >= enough && strings.IndexFunc(text[:enough], outside) < 0
}
