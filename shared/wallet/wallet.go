// Package wallet reports whether an Ethereum address made a signature over a
// message.
//
// It covers externally owned accounts: a secp256k1 key signs the EIP-191 digest
// of the message, and the key that is recovered from the signature must be that
// of the address. It makes no network calls.
//
// The package does not verify the signatures of contract wallets (ERC-1271,
// ERC-6492). It refuses them like any other that does not recover to the
// address. It does not know whether a message may be accepted, and it cannot
// detect a replay. One key can make any number of signatures over one message,
// so a signature must not be used as an identity or as a key to store things
// under. Anything that may happen only once must depend on the nonce in the
// message.
package wallet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// MaxSignature is the maximum length of a signature, in bytes. An account's own
// has 65; contract wallets have longer ones.
const MaxSignature = 8192

// The lengths in bytes of the two accepted encodings.
const (
	fullLength    = 65 // r, s, v
	compactLength = 64 // r, yParity and s (EIP-2098)
)

// Errors of this package.
var (
	// ErrMalformed says that a text is not the encoding of a signature.
	ErrMalformed = errors.New(
		"signature must be 0x and an even number of hexadecimal digits, at most 16384")
	// ErrSignature says that a signature does not prove the address. The
	// wrapping error adds a reason for the audit log, which contains nothing of
	// the signature. The sender must not be told the reason.
	ErrSignature = errors.New("signature not accepted")
)

// ParseSignature reads "0x" in lower case and hexadecimal digits in either
// case, up to [MaxSignature] bytes. It checks the encoding only: "0x" alone is
// well formed and returns no bytes, which [VerifyEOA] then refuses. Its error
// is [ErrMalformed].
func ParseSignature(text string) ([]byte, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok || len(digits) > 2*MaxSignature {
		return nil, ErrMalformed
	}
	signature, err := hex.DecodeString(digits)
	if err != nil {
		return nil, ErrMalformed
	}
	return signature, nil
}

// Digest returns what an account signs for a message: the Keccak-256 of EIP-191
// version 0x45 ("E"), which prefixes the message with its length in bytes, in
// decimal. No transaction begins with that prefix, so a signature over a
// transaction is never accepted here.
func Digest(message []byte) [32]byte {
	prefix := "\x19Ethereum Signed Message:\n" + strconv.Itoa(len(message))
	return keccak256([]byte(prefix), message)
}

// VerifyEOA returns nil if the key of address made signature over message.
// Otherwise it returns an error that wraps [ErrSignature]. The message must be
// the bytes as received, never a rendering of what was parsed from them.
//
// Two encodings are accepted: 65 bytes r, s, v with v one of 0, 1, 27 and 28,
// and the 64 bytes of EIP-2098. In both, r and s are in [1, n-1] and s is in
// the lower half, so that a signature has no second form by negation.
func VerifyEOA(message, signature []byte, address common.Address) error {
	if address == (common.Address{}) {
		return refuse("the zero address")
	}
	e, err := decode(signature)
	if err != nil {
		return err
	}
	signer, ok := e.signer(Digest(message))
	if !ok {
		return refuse("no key can be recovered")
	}
	if signer != address {
		return refuse("made by another key, or over another message")
	}
	return nil
}

// decode reads either encoding, and refuses r, s and v outside their ranges.
func decode(signature []byte) (e ecdsa, err error) {
	var full [fullLength]byte
	copy(full[:], signature)
	switch len(signature) {
	case fullLength:
		var ok bool
		if e.odd, ok = parity(signature[64]); !ok {
			return e, refuse("v is not 0, 1, 27 or 28")
		}
	case compactLength:
		// A low s leaves its top bit free. EIP-2098 puts the parity there.
		e.odd = signature[32]>>7 == 1
		full[32] &= 0x7f
	default:
		return e, refuse("neither 64 nor 65 bytes")
	}
	if !e.set(full[:32], full[32:64]) {
		return e, refuse("r or s out of range, or s in the upper half")
	}
	return e, nil
}

// parity maps v by a list. Arithmetic would also accept 29 to 34, to which
// other chains and libraries give other meanings.
func parity(v byte) (odd, ok bool) {
	switch v {
	case 0, 27:
		return false, true
	case 1, 28:
		return true, true
	}
	return false, false
}

func refuse(reason string) error { return fmt.Errorf("%w: %s", ErrSignature, reason) }
