// Package wallet decides whether a signature over a message was made by an Ethereum address.
//
// It covers externally owned accounts: a secp256k1 key signs the EIP-191 digest of the message, and the key recovered
// from the signature must be the address'. All of it is computed here; no call leaves the process.
//
// What the package does not do: it does not verify the signatures of contract wallets (ERC-1271, ERC-6492). They are
// refused like any other that does not recover to the address. It does not know whether a message may be accepted, and
// it cannot tell a replay: one key can make any number of signatures over one message, so a signature is never an
// identity and never a key to remember things by. What may happen once must hang on the nonce in the message.
package wallet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// MaxSignature is the most bytes that a signature may have. An account's own has 65; the rest is room for those of
// contract wallets.
const MaxSignature = 8192

// The lengths in bytes of the two accepted encodings.
const (
	fullLength    = 65 // r, s, v
	compactLength = 64 // r, yParity and s (EIP-2098)
)

// Errors of this package.
var (
	// ErrMalformed says that a text is no encoding of a signature at all.
	ErrMalformed = errors.New("signature is not 0x and an even number of hexadecimal digits, or too long")
	// ErrSignature says that a signature does not prove the address. The wrapping error adds the reason for an audit
	// log; it holds nothing of the signature. Whoever sent it is told no reason.
	ErrSignature = errors.New("signature not accepted")
)

// ParseSignature reads "0x" in lower case and hexadecimal digits of either case, up to MaxSignature bytes. It looks at the
// encoding only: "0x" alone is well formed and gives no bytes, which VerifyEOA then refuses. Its error is ErrMalformed.
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

// Digest is what an account signs for a message: the Keccak-256 of EIP-191 version 0x45 ("E"), which prefixes the message
// with its length in bytes, in decimal. No transaction begins with that prefix, so no signature over one passes here.
func Digest(message []byte) [32]byte {
	prefix := "\x19Ethereum Signed Message:\n" + strconv.Itoa(len(message))
	return keccak256([]byte(prefix), message)
}

// VerifyEOA returns nil where signature is one over message by the key of address, and an error that wraps ErrSignature
// otherwise. The message must be the bytes as received, never a rendering of what was parsed from them.
//
// Two encodings are accepted: 65 bytes r, s, v with v one of 0, 1, 27 and 28, and the 64 bytes of EIP-2098. In both,
// r and s lie in [1, n-1] and s in the lower half, so that a signature has no second form by negation.
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

// decode reads either encoding, and holds r, s and v to their ranges.
func decode(signature []byte) (e ecdsa, err error) {
	var full [fullLength]byte
	copy(full[:], signature)
	switch len(signature) {
	case fullLength:
		var ok bool
		if e.odd, ok = parity(signature[64]); !ok {
			return e, refuse("v is none of 0, 1, 27 and 28")
		}
	case compactLength:
		// A low s leaves its top bit free; EIP-2098 keeps the parity there.
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

// parity maps v by list. Arithmetic on it would let 29 to 34, which other chains and libraries give a meaning, pass as
// something.
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
