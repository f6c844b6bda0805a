package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// ServiceKeyPrefix begins every service key: the credential of a backend that
// asks about the tokens of others.
const ServiceKeyPrefix = "lks_"

// serviceKeySize is the number of random bytes in a service key.
const serviceKeySize = 32

// NewServiceKey returns a random service key: its prefix and 43 characters of
// base64url.
func NewServiceKey() string {
	var secret [serviceKeySize]byte
	rand.Read(secret[:]) // never fails, see NewRefresh
	return ServiceKeyPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

// ServiceKeyHash returns the SHA-256 of a service key, prefix and all. The hash
// may be known to everybody: a key has 256 random bits. It returns [ErrInvalid]
// if the text does not have the form of a key.
func ServiceKeyHash(text string) (hash [sha256.Size]byte, err error) {
	body, ok := strings.CutPrefix(text, ServiceKeyPrefix)
	if !ok {
		return hash, ErrInvalid
	}
	if _, ok := DecodeBase64URL(body, serviceKeySize); !ok {
		return hash, ErrInvalid
	}
	return sha256.Sum256([]byte(text)), nil
}
