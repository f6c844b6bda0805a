package token

import (
	"encoding/base64"
	"encoding/hex"
	"errors"

	"latchkey/shared/seal"
)

// Subject is the text from which the user id of an account is derived.
type Subject string

// SubjectOf returns the subject of an account, with its address in lower case:
// "eoa:" and the address for a key, or the CAIP-10 account id
// "eip155:<chain>:<address>" for a contract.
func SubjectOf(account Account) Subject {
	address := hex.EncodeToString(account.Address[:])
	if account.Wallet() == Contract {
		return Subject(account.id("0x" + address))
	}
	return Subject("eoa:0x" + address)
}

// UserID is the opaque name of an account: 128 bits of a keyed hash of its
// subject. It stays the same as long as the lookup key does.
type UserID [16]byte

// UserIDOf returns the user id of a subject.
func UserIDOf(keys *seal.Ring, subject Subject) UserID {
	return UserID(keys.Lookup(seal.UserID, []byte(subject)))
}

// String returns the id as clients see it: 22 characters of base64url.
func (u UserID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// ID is the public name of a session: its account and a part of its own. It is
// not a credential.
type ID struct {
	User    UserID
	Session [16]byte
}

// SessionPart derives [ID.Session] from the nonce that the login spends and its
// subject. So a login that runs twice creates one session. If a failover loses
// the record that a nonce was spent, a second login with it finds the session
// that it created, or the mark that it ended.
func SessionPart(keys *seal.Ring, nonce string, subject Subject) [16]byte {
	return [16]byte(keys.Lookup(seal.SessionPart, []byte(nonce), []byte(subject)))
}

// String returns the id as clients see it: 43 characters of base64url.
func (id ID) String() string {
	return base64.RawURLEncoding.EncodeToString(append(id.User[:], id.Session[:]...))
}

// ParseID reads what [ID.String] wrote, and returns an error for everything
// else.
func ParseID(text string) (ID, error) {
	raw, ok := DecodeBase64URL(text, 32)
	if !ok {
		return ID{}, errors.New("session id must be 43 characters of base64url")
	}
	return ID{User: UserID(raw[:16]), Session: [16]byte(raw[16:])}, nil
}

// DecodeBase64URL reads unpadded base64url (RFC 4648, section 5) of exactly
// size bytes. It reports whether text is that in its one canonical spelling.
func DecodeBase64URL(text string, size int) ([]byte, bool) {
	// The length of the text counts too: encoding/base64 skips line breaks.
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == size
}
