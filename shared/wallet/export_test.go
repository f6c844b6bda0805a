package wallet

import "github.com/ethereum/go-ethereum/common"

// What tests look at that callers have no use for.

// Signer recovers the address from a digest and a signature in either encoding.
// It returns false if the signature is out of its ranges, or is of no key.
func Signer(digest [32]byte, signature []byte) (common.Address, bool) {
	e, err := decode(signature)
	if err != nil {
		return common.Address{}, false
	}
	return e.signer(digest)
}
