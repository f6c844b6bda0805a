package session

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"latchkey/shared/seal"
)

// A token is its prefix and base64url of
//
//	format 1 | key id 4 | user id 16 | session random 16 | generation 4 | secret 32 | gate 16
//
// The gate is a MAC over the prefix and all that stands before it: a forged or mangled token costs no trip to Redis.
const (
	tokenFormat = 1
	accessKind  = "lka_"
	refreshKind = "lkr_"
	gateAt      = 1 + seal.IDLength + 16 + 16 + 4 + 32
	tokenSize   = gateAt + 16
)

// HoldsToken tells whether text holds what looks like a token of ours, authentic or not: its kind, and behind it more than
// words like polka_dots have.
func HoldsToken(text string) bool {
	for _, kind := range []string{accessKind, refreshKind} {
		for rest, found := text, true; found; {
			if _, rest, found = strings.Cut(rest, kind); found && looksEncoded(rest) {
				return true
			}
		}
	}
	return false
}

// looksEncoded tells whether text begins with as much base64url as half a secret has.
func looksEncoded(text string) bool {
	const enough = 22
	outside := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	return len(text) >= enough && strings.IndexFunc(text[:enough], outside) < 0
}

// token is an authentic token, taken apart. Authentic says that we made it, not that it is still good.
type token struct {
	kind       string
	key        seal.KeyID
	id         ID
	generation uint32
	secret     [32]byte
}

// parseToken reads a token of the given kind and checks its gate. It fails with ErrInvalidToken, and with errUnknownKey,
// which is one, and the key, where the ring does not have that.
func parseToken(keys *seal.Ring, kind, text string) (token, error) {
	body, ok := strings.CutPrefix(text, kind)
	if !ok {
		return token{}, ErrInvalidToken
	}
	raw, ok := decode(body, tokenSize)
	if !ok || raw[0] != tokenFormat {
		return token{}, ErrInvalidToken
	}
	t := token{kind: kind, key: seal.KeyID(raw[1:])}
	gate, err := keys.MAC(t.key, seal.Gate, []byte(kind), raw[:gateAt])
	if err != nil {
		return t, errUnknownKey
	}
	if !hmac.Equal(gate[:16], raw[gateAt:]) {
		return token{}, ErrInvalidToken
	}
	t.id = ID{User: UserID(raw[5:]), Random: [16]byte(raw[21:])}
	t.generation = binary.BigEndian.Uint32(raw[37:])
	t.secret = [32]byte(raw[41:])
	return t, nil
}

// text is the token as its holder sees it. The key must be in the ring.
func (t token) text(keys *seal.Ring) (string, error) {
	raw := make([]byte, 0, tokenSize)
	raw = append(raw, tokenFormat)
	raw = append(raw, t.key[:]...)
	raw = append(raw, t.id.User[:]...)
	raw = append(raw, t.id.Random[:]...)
	raw = binary.BigEndian.AppendUint32(raw, t.generation)
	raw = append(raw, t.secret[:]...)
	gate, err := keys.MAC(t.key, seal.Gate, []byte(t.kind), raw)
	if err != nil {
		return "", err
	}
	return t.kind + base64.RawURLEncoding.EncodeToString(append(raw, gate[:16]...)), nil
}

// hash is what Redis holds of a token: it recognises the token and cannot be turned back into it.
func (t token) hash(keys *seal.Ring) ([]byte, error) {
	sum, err := keys.MAC(t.key, seal.TokenHash, t.place(t.kind), t.secret[:])
	if err != nil {
		return nil, err
	}
	return sum[:hashSize], nil
}

// pair is the tokens of one generation. The access secret is derived from the refresh secret, and a refresh token from
// its predecessor. So every caller that presents the same refresh token computes the same successor, and nothing that
// opens needs to be stored to answer the second of them.
type pair struct{ access, refresh token }

// pairOf is the pair that a refresh token belongs to.
func pairOf(keys *seal.Ring, refresh token) (pair, error) {
	secret, err := keys.MAC(refresh.key, seal.AccessSecret, refresh.place(accessKind), refresh.secret[:])
	if err != nil {
		return pair{}, err
	}
	access := refresh
	access.kind, access.secret = accessKind, [32]byte(secret)
	return pair{access: access, refresh: refresh}, nil
}

// successor is the pair of the next generation.
func successor(keys *seal.Ring, refresh token) (pair, error) {
	next := refresh
	next.generation++
	secret, err := keys.MAC(refresh.key, seal.RefreshSecret, next.place(refreshKind), refresh.secret[:])
	if err != nil {
		return pair{}, err
	}
	next.secret = [32]byte(secret)
	return pairOf(keys, next)
}

// place is what binds a derivation to one kind of token, session and generation.
func (t token) place(kind string) []byte {
	b := make([]byte, 0, len(kind)+len(t.id.User)+len(t.id.Random)+4)
	b = append(b, kind...)
	b = append(b, t.id.User[:]...)
	b = append(b, t.id.Random[:]...)
	return binary.BigEndian.AppendUint32(b, t.generation)
}

// texts writes out both tokens.
func (p pair) texts(keys *seal.Ring) (access, refresh string, err error) {
	if access, err = p.access.text(keys); err != nil {
		return "", "", err
	}
	refresh, err = p.refresh.text(keys)
	return access, refresh, err
}

// hashes are what Redis holds of both tokens.
func (p pair) hashes(keys *seal.Ring) (access, refresh []byte, err error) {
	if access, err = p.access.hash(keys); err != nil {
		return nil, nil, err
	}
	refresh, err = p.refresh.hash(keys)
	return access, refresh, err
}
