package session

import (
	"encoding/base64"
	"encoding/hex"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
)

// Subject names an account. An externally owned account is one account on all chains.
type Subject string

// EOA is the subject of a key's own signature.
func EOA(address common.Address) Subject {
	return Subject("eoa:0x" + hex.EncodeToString(address[:]))
}

// UserID is the opaque name of a subject: a keyed hash of it, 128 bits. It is the same for as long as the lookup key is.
type UserID [16]byte

// String is the id as clients see it.
func (u UserID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// ID is the public handle of a session. It opens nothing.
type ID struct {
	User   UserID
	Random [16]byte
}

// String is the id as clients see it: 43 characters of base64url.
func (id ID) String() string {
	return base64.RawURLEncoding.EncodeToString(append(id.User[:], id.Random[:]...))
}

// ParseID reads what String wrote. It fails on everything else, without a trip to Redis.
func ParseID(text string) (ID, error) {
	raw, ok := decode(text, 32)
	if !ok {
		return ID{}, errors.New("no session id")
	}
	return ID{User: UserID(raw[:16]), Random: [16]byte(raw[16:])}, nil
}

// decode reads unpadded base64url of exactly size bytes in its one canonical spelling. The lengths are compared on both
// sides because encoding/base64 skips line breaks.
func decode(text string, size int) ([]byte, bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == size
}

func userID(keys *seal.Ring, subject Subject) UserID {
	return UserID(keys.Lookup(seal.UserID, []byte(subject)))
}

// sessionRandom derives a session's random part from the nonce that its login spends. So the same login run twice makes
// one session, and a nonce that a failover gave back meets the session it already made, or the mark that it ended.
func sessionRandom(keys *seal.Ring, nonce string, subject Subject) [16]byte {
	return [16]byte(keys.Lookup(seal.SessionRandom, []byte(nonce), []byte(subject)))
}
