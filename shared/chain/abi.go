package chain

import (
	"bytes"
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
)

// The contract ABI of Solidity puts everything into words of 32 bytes. What is
// read here is read strictly: only the one encoding that every encoder produces
// is accepted, with offsets in order, no gaps and zeros as padding. To check
// that, what was read is encoded again and compared.

// word is the length of a word in bytes.
const word = 32

// appendUint appends a number as a word.
func appendUint(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint64(append(b, make([]byte, word-8)...), uint64(n))
}

// appendAddress appends an address as a word.
func appendAddress(b []byte, a common.Address) []byte {
	return append(append(b, make([]byte, word-common.AddressLength)...), a[:]...)
}

// appendBytes appends a byte string: its length, and its bytes filled up with
// zeros to a multiple of a word.
func appendBytes(b, data []byte) []byte {
	b = append(appendUint(b, len(data)), data...)
	return append(b, make([]byte, padded(len(data))-len(data))...)
}

// padded returns n rounded up to a multiple of a word.
func padded(n int) int { return (n + word - 1) / word * word }

// cutUint reads a number below 2³² from the front of b.
func cutUint(b []byte) (n int, rest []byte, ok bool) {
	if len(b) < word || !isZero(b[:word-4]) {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint32(b[word-4:])), b[word:], true
}

// cutBytes reads a byte string from the front of b.
func cutBytes(b []byte) (data, rest []byte, ok bool) {
	n, b, ok := cutUint(b)
	if !ok || n > len(b) || padded(n) > len(b) {
		return nil, nil, false
	}
	return b[:n], b[padded(n):], true
}

// isZero reports whether all bytes are 0.
func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
