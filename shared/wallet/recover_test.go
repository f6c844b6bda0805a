package wallet_test

import (
	"encoding/binary"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consensys/gnark-crypto/ecc/secp256k1"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/ecdsa"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fp"
	"github.com/consensys/gnark-crypto/ecc/secp256k1/fr"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/wallet"
)

// What is computed here is compared with two other recoveries: gnark-crypto's own,
// and go-ethereum's. With C, the latter is libsecp256k1; without, it is that of
// decred, in Go.

// lambda is the scalar of the endomorphism of the curve, computed as the root of one that it is.
var lambda = func() *big.Int {
	third := new(big.Int).Div(new(big.Int).Sub(order, big.NewInt(1)), big.NewInt(3))
	for base := int64(2); ; base++ {
		root := new(big.Int).Exp(big.NewInt(base), third, order)
		if root.Cmp(big.NewInt(1)) != 0 {
			return root
		}
	}
}()

func mod(k *big.Int) *big.Int { return new(big.Int).Mod(k, order) }

// edges are scalars at which a way to multiply may change: its words, digits or halves, a carry, the range.
func edges() []*big.Int {
	var out []*big.Int
	add := func(around *big.Int) {
		for d := int64(-1); d <= 1; d++ {
			k := new(big.Int).Add(around, big.NewInt(d))
			out = append(out, mod(k), mod(k.Neg(k)))
		}
	}
	for _, power := range []uint{0, 4, 5, 8, 63, 64, 127, 128, 129, 255} {
		add(new(big.Int).Lsh(big.NewInt(1), power))
	}
	for _, k := range []*big.Int{half, lambda, new(big.Int).Mul(lambda, lambda), new(big.Int).Rsh(lambda, 1), new(big.Int).Lsh(lambda, 64)} {
		add(mod(k))
	}
	slices.SortFunc(out, (*big.Int).Cmp)
	return slices.CompactFunc(out, func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
}

// combine gives the coordinates of a·G + b·(x, y), and false for infinity, by the
// multiplication that recovery calls.
func combine(a, b, x, y *big.Int) (sumX, sumY *big.Int, ok bool) {
	var point secp256k1.G1Affine
	point.X.SetBigInt(x)
	point.Y.SetBigInt(y)
	var sum secp256k1.G1Jac
	sum.JointScalarMultiplicationBase(&point, a, b)
	point.FromJacobian(&sum)
	return point.X.BigInt(new(big.Int)), point.Y.BigInt(new(big.Int)), !point.IsInfinity()
}

// wantCombined holds a·G + b·P, where P is k·G, against (a + b·k)·G.
func wantCombined(t *testing.T, a, b, k *big.Int) {
	t.Helper()
	x, y := crypto.S256().ScalarBaseMult(k.Bytes())
	gotX, gotY, ok := combine(a, b, x, y)
	sum := mod(new(big.Int).Add(a, new(big.Int).Mul(b, k)))
	if ok != (sum.Sign() != 0) {
		t.Fatalf("%x G + %x * %x G: infinity is %t", a, b, k, !ok)
	}
	if !ok {
		return
	}
	wantX, wantY := crypto.S256().ScalarBaseMult(sum.Bytes())
	if gotX.Cmp(wantX) != 0 || gotY.Cmp(wantY) != 0 {
		t.Fatalf("%x G + %x * %x G is %x, %x, want %x, %x", a, b, k, gotX, gotY, wantX, wantY)
	}
}

// Points that meet themselves or their opposites on the way, and sums that are infinity.
func TestCombine_small(t *testing.T) {
	for k := int64(-4); k <= 4; k++ {
		for a := int64(-4); a <= 4; a++ {
			for b := int64(-4); b <= 4 && k != 0; b++ {
				wantCombined(t, mod(big.NewInt(a)), mod(big.NewInt(b)), mod(big.NewInt(k)))
			}
		}
	}
}

func TestCombine_edges(t *testing.T) {
	all := edges()
	for i, a := range all {
		for j, b := range all {
			k := all[(7*i+11*j)%len(all)]
			if k.Sign() != 0 && (i+j)%11 == 0 {
				wantCombined(t, a, b, k)
			}
		}
	}
	for _, b := range all { // infinity, from everywhere
		wantCombined(t, mod(new(big.Int).Neg(new(big.Int).Mul(b, lambda))), b, lambda)
	}
}

func randomScalar(r *rand.Rand) *big.Int {
	var raw [40]byte
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return mod(new(big.Int).SetBytes(raw[:]))
}

func TestCombine_random(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		wantCombined(t, randomScalar(r), randomScalar(r), randomScalar(r))
	}
}

// wantSigner compares what is recovered with the two others. All give the same
// address, or all refuse.
func wantSigner(t *testing.T, digest [32]byte, signature []byte) {
	t.Helper()
	got, ok := wallet.Signer(digest, signature)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	inRange := crypto.ValidateSignatureValues(signature[64], r, s, true)
	for name, recovery := range recoveries {
		want, wantOK := recovery(digest, signature)
		if !inRange {
			want, wantOK = common.Address{}, false
		}
		if got != want || ok != wantOK {
			t.Errorf("%x over %x is by %s, %t; %s: %s, %t", signature, digest, got, ok, name, want, wantOK)
		}
	}
}

// recoveries are those of libraries. Their callers check that s is in the lower
// half, and that v is 0 or 1.
var recoveries = map[string]func(digest [32]byte, signature []byte) (common.Address, bool){
	"go-ethereum": func(digest [32]byte, signature []byte) (common.Address, bool) {
		key, err := crypto.Ecrecover(digest[:], signature)
		if err != nil {
			return common.Address{}, false
		}
		return addressOf(key[1:]), true
	},
	"gnark-crypto": func(digest [32]byte, signature []byte) (common.Address, bool) {
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
		var key ecdsa.PublicKey
		// It returns the point at infinity as a key.
		if key.RecoverFrom(digest[:], uint(signature[64]), r, s) != nil || key.A.IsInfinity() {
			return common.Address{}, false
		}
		return addressOf(key.Bytes()), true
	},
}

// addressOf returns the address of a key's coordinates.
func addressOf(xy []byte) common.Address {
	return common.BytesToAddress(crypto.Keccak256(xy)[12:])
}

func TestSigner_random(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for i := range 100 {
		r, s, digest := randomScalar(random), randomScalar(random), common.BigToHash(randomScalar(random))
		if s.Cmp(half) > 0 {
			s.Sub(order, s)
		}
		wantSigner(t, digest, encode(r, s, byte(i%2)))
		key, _ := newKey(t)
		wantSigner(t, digest, sign(t, key, digest))
	}
}

// Pairs of edges are r and s, over digests that are edges or above the order. Few of these r are a point's.
func TestSigner_edges(t *testing.T) {
	top := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	all := append(edges(), order, new(big.Int).Add(order, big.NewInt(1)), top)
	for i, r := range all {
		for j, s := range all {
			if digest := common.BigToHash(all[(5*i+3*j)%len(all)]); (i+j)%7 == 0 {
				wantSigner(t, digest, encode(r, s, byte(i)%2))
			}
		}
	}
}

// A digest of s·k over a point of k·G: the key would be infinity, and there is none.
func TestSigner_infinity(t *testing.T) {
	for _, k := range edges() {
		if k.Sign() == 0 {
			continue
		}
		x, y := crypto.S256().ScalarBaseMult(k.Bytes())
		if x.Cmp(order) >= 0 {
			t.Fatal("a point beyond the order")
		}
		for _, s := range []int64{1, 2, 77777} {
			digest := common.BigToHash(mod(new(big.Int).Mul(k, big.NewInt(s))))
			signature := encode(x, big.NewInt(s), byte(y.Bit(0)))
			if address, ok := wallet.Signer(digest, signature); ok {
				t.Errorf("infinity signs as %s", address)
			}
			wantSigner(t, digest, signature)
			signature[64] ^= 1
			wantSigner(t, digest, signature)
		}
	}
}

// FuzzSigner compares recovery with that of two libraries, over any digest and
// signature.
func FuzzSigner(f *testing.F) {
	key, err := crypto.GenerateKey()
	if err != nil {
		f.Fatal(err)
	}
	digest := wallet.Digest([]byte(message))
	f.Add(digest[:], sign(f, key, digest))
	f.Add(order.Bytes(), encode(big.NewInt(1), half, 1))
	f.Add([]byte{}, encode(lambda, big.NewInt(2), 0))
	f.Fuzz(func(t *testing.T, digest, signature []byte) {
		full := make([]byte, 65)
		copy(full, signature)
		full[64] &= 1
		wantSigner(t, common.BytesToHash(digest), full)
	})
}

// BenchmarkSigner measures what each recovery costs. Functions are built without
// C: run it with CGO_ENABLED=0.
func BenchmarkSigner(b *testing.B) {
	key, address := newKey(b)
	digest := wallet.Digest([]byte(message))
	signature := sign(b, key, digest)
	all := maps.Clone(recoveries)
	all["own"] = func(digest [32]byte, signature []byte) (common.Address, bool) {
		return wallet.Signer(digest, signature)
	}
	for name, recovery := range all {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, ok := recovery(digest, signature); !ok || got != address {
					b.Fatalf("%s, %t", got, ok)
				}
			}
		})
	}
}

// limbs are all numbers of four words that are at an edge each, below a modulus.
func limbs(modulus *big.Int) (out [][4]uint64) {
	edge := []uint64{0, 1, 1 << 63, ^uint64(0), ^uint64(0) - 1<<32}
	for i := range 5 * 5 * 5 * 5 {
		x := [4]uint64{edge[i%5], edge[i/5%5], edge[i/25%5], edge[i/125]}
		if number(x).Cmp(modulus) < 0 {
			out = append(out, x)
		}
	}
	return out
}

func number(limbs [4]uint64) *big.Int {
	var raw [32]byte
	for i, limb := range limbs {
		binary.BigEndian.PutUint64(raw[24-8*i:], limb)
	}
	return new(big.Int).SetBytes(raw[:])
}

// The arithmetic that all of this stands on, where a carry could get lost: elements are four words, in Montgomery's
// form (x·2^256), and what is written here are those words.
func TestField(t *testing.T) {
	p := crypto.S256().Params().P
	unit := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 256), p)
	all := limbs(p)
	for i, x := range all {
		for j := i % 9; j < len(all); j += 9 {
			y := all[j]
			var product, sum, difference fp.Element
			a, b := fp.Element(x), fp.Element(y)
			product.Mul(&a, &b)
			sum.Add(&a, &b)
			difference.Sub(&a, &b)
			m, n := number(x), number(y)
			wantWords(t, "product", product, new(big.Int).Mul(new(big.Int).Mul(m, n), unit), p)
			wantWords(t, "sum", sum, new(big.Int).Add(m, n), p)
			wantWords(t, "difference", difference, new(big.Int).Sub(m, n), p)
		}
		var square, double, opposite, one fp.Element
		a := fp.Element(x)
		wantWords(t, "square", *square.Square(&a), new(big.Int).Mul(new(big.Int).Mul(number(x), number(x)), unit), p)
		wantWords(t, "double", *double.Double(&a), new(big.Int).Lsh(number(x), 1), p)
		wantWords(t, "opposite", *opposite.Neg(&a), new(big.Int).Neg(number(x)), p)
		if one.Inverse(&a).Mul(&one, &a); !a.IsZero() && !one.IsOne() {
			t.Errorf("the inverse of %x is none", x)
		}
		if root := new(fp.Element).Sqrt(&square); root == nil || !root.Equal(&a) && !root.Equal(&opposite) {
			t.Errorf("the root of the square of %x is %v", x, root)
		}
	}
}

// The same of scalars, as far as they are used.
func TestScalars(t *testing.T) {
	unit := new(big.Int).ModInverse(new(big.Int).Lsh(big.NewInt(1), 256), order)
	all := limbs(order)
	for i, x := range all {
		a := fr.Element(x)
		for j := i % 9; j < len(all); j += 9 {
			y := all[j]
			var product fr.Element
			b := fr.Element(y)
			product.Mul(&a, &b)
			wantWords(t, "product", product, new(big.Int).Mul(new(big.Int).Mul(number(x), number(y)), unit), order)
		}
		var opposite, one fr.Element
		wantWords(t, "opposite", *opposite.Neg(&a), new(big.Int).Neg(number(x)), order)
		if one.Inverse(&a).Mul(&one, &a); !a.IsZero() && !one.IsOne() {
			t.Errorf("the inverse of %x is none", x)
		}
	}
}

func wantWords(t *testing.T, what string, got [4]uint64, want, modulus *big.Int) {
	t.Helper()
	if number(got).Cmp(want.Mod(want, modulus)) != 0 {
		t.Errorf("%s: %x, want %x", what, number(got), want)
	}
}
