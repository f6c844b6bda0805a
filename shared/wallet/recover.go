package wallet

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fp"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto/keccak"
)

// ecdsa is a signature with r and s in [1, n-1] and s in the lower half.
type ecdsa struct {
	r, s fr.Element
	odd  bool // whether the point that r was taken from has an odd y
}

// set stores r and s. It reports whether they are in their ranges and s is in
// the lower half.
func (e *ecdsa) set(r, s []byte) bool {
	// Canonical means below the order.
	if e.r.SetBytesCanonical(r) != nil || e.s.SetBytesCanonical(s) != nil {
		return false
	}
	return !e.r.IsZero() && !e.s.IsZero() && !e.s.LexicographicallyLargest()
}

// signer returns the address of the one key that made a signature over a digest
// (SEC 1, version 2, section 4.1.6). It returns false if there is no such key:
// no point of the curve has that x, or the key would be the point at infinity.
//
// It does not call gnark-crypto's own recovery, which computes the square root
// with math/big: a login would take about 11 % longer. docs/performance.md has
// the figures. Tests check that both return the same.
func (e *ecdsa) signer(digest [32]byte) (common.Address, bool) {
	point, ok := e.point()
	if !ok {
		return common.Address{}, false
	}
	// The key is a·G + b·point, with a = -digest/r and b = s/r modulo n. This
	// need not run in constant time: all its numbers are public.
	var a, b, inverse fr.Element
	inverse.Inverse(&e.r)
	a.SetBytes(digest[:]).Mul(&a, &inverse).Neg(&a)
	b.Mul(&e.s, &inverse)
	var sum secp256k1.G1Jac
	sum.JointScalarMultiplicationBase(&point, a.BigInt(new(big.Int)), b.BigInt(new(big.Int)))
	var key secp256k1.G1Affine
	if key.FromJacobian(&sum).IsInfinity() {
		return common.Address{}, false
	}
	xy := key.RawBytes()
	hash := keccak256(xy[:])
	return common.Address(hash[12:]), true
}

// point returns the point that r was taken from, or false if there is none. Its
// x is r itself. An x of n or more would also have this r, but only a v of 2 or
// 3 names that point, and those are not accepted.
func (e *ecdsa) point() (p secp256k1.G1Affine, ok bool) {
	r := e.r.Bytes()
	p.X.SetBytes(r[:])
	seven := fp.NewElement(7)
	var yy fp.Element
	yy.Square(&p.X).Mul(&yy, &p.X).Add(&yy, &seven)
	if p.Y.Sqrt(&yy) == nil {
		return p, false
	}
	if odd := p.Y.Bits()[0]&1 == 1; odd != e.odd {
		p.Y.Neg(&p.Y) // the other point, since no point has a y of 0
	}
	return p, true
}

func keccak256(parts ...[]byte) (sum [32]byte) {
	h := keccak.NewLegacyKeccak256()
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}
