package token

import (
	"errors"
	"strings"
)

// Reference is what an operator names an account by: the account itself, or an
// id that a log line has. One of Account and User is zero: an account's user id
// follows from the lookup key, and an id does not show its account.
type Reference struct {
	Account Account
	User    UserID
	// text is the id as it was read; empty if that was an account.
	text string
}

// String returns what [ParseReference] read, an account with its checksum.
func (r Reference) String() string {
	if r.text == "" {
		return r.Account.String()
	}
	return r.text
}

// errReference does not have the text: it may be anything, even a token.
var errReference = errors.New("address must be an address, a CAIP-10 account, " +
	"a user id of 22 characters or a session id of 43")

// ParseReference reads an account in one of four forms. Prefix and length tell
// them apart: an address begins with "0x" and has 42 characters, the account of
// a contract begins with "eip155:", a [UserID] has 22 characters of base64url,
// and an [ID] of a session has 43. A session id names the account of the
// session, whether or not that session ever existed.
//
// An address with a digit too many or too few is never taken for an id, of
// which one in 4,096 begins with "0x", too.
func ParseReference(text string) (Reference, error) {
	if isHex(text) {
		account, err := ParseAccount(text)
		return Reference{Account: account}, err
	}
	if user, ok := userOf(text); ok {
		if user == (UserID{}) {
			return Reference{}, errReference
		}
		return Reference{User: user, text: text}, nil
	}
	account, err := ParseAccount(text)
	if err != nil && !strings.HasPrefix(text, caip10) {
		err = errReference
	}
	return Reference{Account: account}, err
}

// userOf reads a user id, or that of a session id. It reports whether text is
// one of them.
func userOf(text string) (UserID, bool) {
	if raw, ok := DecodeBase64URL(text, len(UserID{})); ok {
		return UserID(raw), true
	}
	id, err := ParseID(text)
	return id.User, err == nil
}

// isHex reports whether a text is 0x and hexadecimal digits.
func isHex(text string) bool {
	digits, ok := strings.CutPrefix(text, "0x")
	return ok && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
