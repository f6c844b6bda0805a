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
	// x is the x coordinate of the point which r was taken from. It equals r:
	// hardly any points have an x of n or more, and v cannot name one.
	x fp.Element
	// odd says which of the two points with that x it was.
	odd bool
}

// set stores r and s. It reports whether they are in their ranges and s is in
// the lower half.
func (e *ecdsa) set(r, s []byte) bool {
	// Canonical means below the order, and the order is below that of the
	// field.
	if e.r.SetBytesCanonical(r) != nil || e.s.SetBytesCanonical(s) != nil ||
		e.x.SetBytesCanonical(r) != nil {
		return false
	}
	return !e.r.IsZero() && !e.s.IsZero() && !e.s.LexicographicallyLargest()
}

// signer returns the address of the one key that made a signature over a digest
// (SEC 1, version 2, section 4.1.6). It returns false if there is no such key:
// no point of the curve has that x, or the key would be the point at infinity.
func (e *ecdsa) signer(digest [32]byte) (common.Address, bool) {
	var z, a, b fr.Element
	z.SetBytes(digest[:]) // modulo n
	var point secp256k1.G1Affine
	if !e.point(&point) {
		return common.Address{}, false
	}
	a.Inverse(&e.r)
	b.Mul(&e.s, &a)
	a.Mul(&z, &a).Neg(&a)
	key := combine(&a, &b, &point)
	if key.Z.IsZero() {
		return common.Address{}, false
	}
	point.FromJacobian(&key)
	return addressOf(&point), true
}

// combine returns a·G + b·P, with G the base point. It need not run in constant
// time: all its numbers are public.
func combine(a, b *fr.Element, p *secp256k1.G1Affine) (sum secp256k1.G1Jac) {
	sum.JointScalarMultiplicationBase(p, a.BigInt(new(big.Int)), b.BigInt(new(big.Int)))
	return sum
}

// point stores the point which r was taken from. It returns false if there is
// none.
func (e *ecdsa) point(p *secp256k1.G1Affine) bool {
	var seven, yy fp.Element
	seven.SetUint64(7)
	yy.Square(&e.x).Mul(&yy, &e.x).Add(&yy, &seven)
	p.X = e.x
	if p.Y.Sqrt(&yy) == nil {
		return false
	}
	if odd := p.Y.Bits()[0]&1 == 1; odd != e.odd {
		p.Y.Neg(&p.Y) // the other point, since no point has a y of 0
	}
	return true
}

func addressOf(key *secp256k1.G1Affine) common.Address {
	x, y := key.X.Bytes(), key.Y.Bytes()
	hash := keccak256(x[:], y[:])
	return common.Address(hash[12:])
}

func keccak256(parts ...[]byte) (sum [32]byte) {
	h := keccak.NewLegacyKeccak256()
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}
