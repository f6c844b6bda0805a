package chain

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
)

// wrapperMagic ends a wrapped signature (ERC-6492).
var wrapperMagic = bytes.Repeat([]byte{0x64, 0x92}, word/2)

// wrapper is what a signature of ERC-6492 holds.
type wrapper struct {
	// factory is called with calldata if the contract is not deployed yet, or
	// cannot verify yet. Both are chosen by whoever sent the signature. Nothing
	// of the call remains, because eth_call changes no state.
	factory   common.Address
	calldata  []byte
	signature []byte // what the contract is asked about
}

// isWrapped reports whether a signature ends with the magic bytes. ERC-6492
// requires that this is checked before anything else.
func isWrapped(signature []byte) bool { return bytes.HasSuffix(signature, wrapperMagic) }

// unwrap reads abi.encode(factory, calldata, signature), followed by the magic
// bytes. Only the canonical encoding is accepted: see abi.go.
func unwrap(signature []byte) (w wrapper, ok bool) {
	const head = 3 * word
	if len(signature) < head {
		return w, false
	}
	w.factory = common.Address(signature[word-common.AddressLength : word])
	calldata, rest, ok := cutBytes(signature[head:])
	if !ok {
		return wrapper{}, false
	}
	inner, _, ok := cutBytes(rest)
	w.calldata, w.signature = calldata, inner
	if !ok || !bytes.Equal(w.encode(), signature) {
		return wrapper{}, false
	}
	return w, true
}

// encode returns the signature that w was read from.
func (w wrapper) encode() []byte {
	b := appendAddress(nil, w.factory)
	b = appendUint(b, 3*word)
	b = appendUint(b, 4*word+padded(len(w.calldata)))
	b = appendBytes(b, w.calldata)
	b = appendBytes(b, w.signature)
	return append(b, wrapperMagic...)
}
