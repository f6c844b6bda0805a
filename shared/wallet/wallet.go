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
	"math/big"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
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
	return crypto.Keccak256Hash([]byte(prefix), message)
}

// VerifyEOA returns nil where signature is one over message by the key of address, and an error that wraps ErrSignature
// otherwise. The message must be the bytes as received, never a rendering of what was parsed from them.
//
// Two encodings are accepted: 65 bytes r, s, v with v one of 0, 1, 27 and 28, and the 64 bytes of EIP-2098. In both,
// r and s lie in [1, n-1] and s in the lower half, so that a signature has no second form by negation. The recovery of
// go-ethereum checks neither the form of v nor the half of s; both are checked before it.
func VerifyEOA(message, signature []byte, address common.Address) error {
	if address == (common.Address{}) {
		return refuse("the zero address")
	}
	canonical, err := canonicalForm(signature)
	if err != nil {
		return err
	}
	digest := Digest(message)
	key, err := crypto.SigToPub(digest[:], canonical)
	if err != nil {
		return refuse("no key can be recovered")
	}
	if crypto.PubkeyToAddress(*key) != address {
		return refuse("made by another key, or over another message")
	}
	return nil
}

// canonicalForm turns either encoding into r, s and a v of 0 or 1, once all three are in their ranges.
func canonicalForm(signature []byte) ([]byte, error) {
	out := make([]byte, fullLength)
	copy(out, signature)
	switch len(signature) {
	case fullLength:
		v, ok := parity(signature[64])
		if !ok {
			return nil, refuse("v is none of 0, 1, 27 and 28")
		}
		out[64] = v
	case compactLength:
		// A low s leaves its top bit free; EIP-2098 keeps the parity there.
		out[64] = signature[32] >> 7
		out[32] &= 0x7f
	default:
		return nil, refuse("neither 64 nor 65 bytes")
	}
	r, s := new(big.Int).SetBytes(out[:32]), new(big.Int).SetBytes(out[32:64])
	if !crypto.ValidateSignatureValues(out[64], r, s, true) {
		return nil, refuse("r or s out of range, or s in the upper half")
	}
	return out, nil
}

// parity maps v by list. Arithmetic on it would let 29 to 34, which other chains and libraries give a meaning, pass as
// something.
func parity(v byte) (byte, bool) {
	switch v {
	case 0, 27:
		return 0, true
	case 1, 28:
		return 1, true
	}
	return 0, false
}

func refuse(reason string) error { return fmt.Errorf("%w: %s", ErrSignature, reason) }
