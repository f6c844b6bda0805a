package wallet

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/ethereum/go-ethereum/common"
)

// What tests look at that callers have no use for.

// Signer recovers the address from a digest and a signature in either encoding; false where it is out of its ranges, or
// of no key.
func Signer(digest [32]byte, signature []byte) (common.Address, bool) {
	e, err := decode(signature)
	if err != nil {
		return common.Address{}, false
	}
	return e.signer(digest)
}

// Combine gives the coordinates of a·G + b·(x, y), and false for infinity.
func Combine(a, b, x, y *big.Int) (sumX, sumY *big.Int, ok bool) {
	var point secp256k1.G1Affine
	point.X.SetBigInt(x)
	point.Y.SetBigInt(y)
	sum := combine(new(fr.Element).SetBigInt(a), new(fr.Element).SetBigInt(b), &point)
	if sum.Z.IsZero() {
		return nil, nil, false
	}
	point.FromJacobian(&sum)
	return point.X.BigInt(new(big.Int)), point.Y.BigInt(new(big.Int)), true
}
