package wallet_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/wallet"
)

// message has a length of two digits in bytes, and another one in characters.
const message = "example.com wants you to sign in: é, и, 鍵"

// order is n of secp256k1, half its half rounded down.
var (
	order = crypto.S256().Params().N
	half  = new(big.Int).Rsh(order, 1)
)

func newKey(t testing.TB) (*ecdsa.PrivateKey, common.Address) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, crypto.PubkeyToAddress(key.PublicKey)
}

// sign gives r, s and a v of 0 or 1 over a digest.
func sign(t testing.TB, key *ecdsa.PrivateKey, digest [32]byte) []byte {
	t.Helper()
	signature, err := crypto.Sign(digest[:], key)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// withV gives signature with another last byte.
func withV(signature []byte, v byte) []byte {
	return append(bytes.Clone(signature[:64]), v)
}

// compact gives the EIP-2098 form of a signature with a v of 0 or 1.
func compact(signature []byte) []byte {
	out := bytes.Clone(signature[:64])
	out[32] |= signature[64] << 7
	return out
}

// encode gives r, s and v as 65 bytes.
func encode(r, s *big.Int, v byte) []byte {
	return append(append(common.BigToHash(r).Bytes(), common.BigToHash(s).Bytes()...), v)
}

// twin negates s: over the same digest the other half's signature recovers the same key with the other parity.
func twin(signature []byte) []byte {
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	return encode(r, s.Sub(order, s), 1-signature[64])
}

// wantRefused fails unless signature is refused as not accepted, with a reason that tells nothing of it.
func wantRefused(t *testing.T, text, signature []byte, address common.Address) {
	t.Helper()
	err := wallet.VerifyEOA(text, signature, address)
	if !errors.Is(err, wallet.ErrSignature) {
		t.Fatalf("VerifyEOA gives %v, want ErrSignature, for %x", err, signature)
	}
	if len(signature) > 8 && strings.Contains(err.Error(), hex.EncodeToString(signature[:8])) {
		t.Errorf("the reason holds the signature: %v", err)
	}
}

func TestDigest(t *testing.T) {
	for text, want := range map[string]string{
		"":            "5f35dce98ba4fba25530a026ed80b2cecdaa31091ba4958b99b52ea1d068adad",
		"Hello World": "a1de988600a42c4b4ab089b619297c17d53cffae5d5120d82d8a92d0bb3b78f2",
	} {
		if got := wallet.Digest([]byte(text)); hex.EncodeToString(got[:]) != want {
			t.Errorf("digest of %q is %x, want %s", text, got, want)
		}
	}
}

// The two signatures that EIP-2098 publishes, made by a key of 1234…1234.
func TestVerifyEOA_publishedSignatures(t *testing.T) {
	key, err := crypto.HexToECDSA(strings.Repeat("1234567890", 6) + "1234")
	if err != nil {
		t.Fatal(err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	for _, c := range []struct{ message, full, compact string }{
		{
			"Hello World",
			"0x68a020a209d3d56c46f38cc50a33f704f4a9a10a59377f8dd762ac66910e9b907e865ad05c4035ab5792787d4a0297a43617ae897930a6fe4d822b8faea520641b",
			"0x68a020a209d3d56c46f38cc50a33f704f4a9a10a59377f8dd762ac66910e9b907e865ad05c4035ab5792787d4a0297a43617ae897930a6fe4d822b8faea52064",
		},
		{
			"It's a small(er) world",
			"0x9328da16089fcba9bececa81663203989f2df5fe1faa6291a45381c81bd17f76139c6d6b623b42da56557e5e734a43dc83345ddfadec52cbe24d0cc64f5507931c",
			"0x9328da16089fcba9bececa81663203989f2df5fe1faa6291a45381c81bd17f76939c6d6b623b42da56557e5e734a43dc83345ddfadec52cbe24d0cc64f550793",
		},
	} {
		for _, text := range []string{c.full, c.compact} {
			signature, err := wallet.ParseSignature(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := wallet.VerifyEOA([]byte(c.message), signature, address); err != nil {
				t.Errorf("%q with %d bytes: %v", c.message, len(signature), err)
			}
		}
	}
}

// Attack case 16: both encodings, with every accepted v, for keys of both parities.
func TestVerifyEOA_acceptsEveryForm(t *testing.T) {
	seen := map[byte]bool{}
	for len(seen) < 2 {
		key, address := newKey(t)
		signature := sign(t, key, wallet.Digest([]byte(message)))
		seen[signature[64]] = true
		forms := [][]byte{signature, withV(signature, signature[64]+27), compact(signature)}
		for _, form := range forms {
			before := bytes.Clone(form)
			if err := wallet.VerifyEOA([]byte(message), form, address); err != nil {
				t.Errorf("%d bytes, parity %d: %v", len(form), signature[64], err)
			}
			if !bytes.Equal(form, before) {
				t.Error("the caller's signature was changed")
			}
		}
	}
}

// Attack case 15: of all values of v only the two spellings of the right parity pass, whichever parity that is.
func TestVerifyEOA_v(t *testing.T) {
	seen := map[byte]bool{}
	for len(seen) < 2 {
		key, address := newKey(t)
		signature := sign(t, key, wallet.Digest([]byte(message)))
		seen[signature[64]] = true
		for v := range 256 {
			form := withV(signature, byte(v))
			if v != int(signature[64]) && v != int(signature[64])+27 {
				wantRefused(t, []byte(message), form, address)
			} else if err := wallet.VerifyEOA([]byte(message), form, address); err != nil {
				t.Errorf("v %d: %v", v, err)
			}
		}
	}
}

// The reasons are for an audit log; that each is the right one also shows that each check is the one that refuses.
func TestVerifyEOA_reasons(t *testing.T) {
	key, address := newKey(t)
	signature := sign(t, key, wallet.Digest([]byte(message)))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	for reason, c := range map[string]struct {
		signature []byte
		address   common.Address
	}{
		"the zero address":        {signature, common.Address{}},
		"neither 64 nor 65 bytes": {signature[:63], address},
		"v is not 0":              {withV(signature, 29), address},
		"r or s out of range":     {encode(order, s, 0), address},
		"out of range, or s":      {encode(new(big.Int), s, 0), address}, // no point has an x of 0 either
		"the upper half":          {twin(signature), address},
		"no key":                  {encode(big.NewInt(5), s, 0), address},
		"another key":             {encode(r, half, 0), address},
	} {
		if err := wallet.VerifyEOA([]byte(message), c.signature, c.address); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("VerifyEOA gives %v, want %q", err, reason)
		}
	}
}

// Attack cases 15 and 19: every other length, and the wrapping of ERC-6492.
func TestVerifyEOA_length(t *testing.T) {
	key, address := newKey(t)
	signature := sign(t, key, wallet.Digest([]byte(message)))
	long := append(bytes.Clone(signature), make([]byte, 300)...)
	for n := range len(long) {
		if n == 64 && signature[64] == 0 || n == 65 {
			continue // the signature itself
		}
		wantRefused(t, []byte(message), long[:n], address)
	}
	wantRefused(t, []byte(message), nil, address)
	wantRefused(t, []byte(message), make([]byte, 1<<20), address)
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	wantRefused(t, []byte(message), append(bytes.Clone(signature), magic...), address)
	wantRefused(t, []byte(message), append(make([]byte, 256), magic...), address)
}

// Attack case 15: r and s at the edges of their ranges, in both encodings.
func TestVerifyEOA_range(t *testing.T) {
	key, address := newKey(t)
	signature := sign(t, key, wallet.Digest([]byte(message)))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	zero, one := new(big.Int), big.NewInt(1)
	top := new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)
	for name, c := range map[string]struct{ r, s *big.Int }{
		"r is 0":            {zero, s},
		"r is n":            {order, s},
		"r is n+1":          {new(big.Int).Add(order, one), s},
		"r is the greatest": {top, s},
		"s is 0":            {r, zero},
		"s above half":      {r, new(big.Int).Add(half, one)},
		"s is n-1":          {r, new(big.Int).Sub(order, one)},
		"s is n":            {r, order},
		"s is n+1":          {r, new(big.Int).Add(order, one)},
		"s is the greatest": {r, top},
		"both are 0":        {zero, zero},
		"both are n":        {order, order},
		"both are 1":        {one, one},
		"r is no point's x": {big.NewInt(5), s},
	} {
		t.Run(name, func(t *testing.T) {
			for v := range byte(2) {
				full := encode(c.r, c.s, v)
				wantRefused(t, []byte(message), full, address)
				wantRefused(t, []byte(message), withV(full, v+27), address)
				wantRefused(t, []byte(message), compact(full), address)
			}
		})
	}
}

// The twin with the negated s recovers the very same address, so only the bound on s tells the two apart.
func TestVerifyEOA_rejectsTheHighTwin(t *testing.T) {
	key, address := newKey(t)
	digest := wallet.Digest([]byte(message))
	signature := sign(t, key, digest)
	high := twin(signature)
	recovered, err := crypto.SigToPub(digest[:], high)
	if err != nil || crypto.PubkeyToAddress(*recovered) != address {
		t.Fatalf("the twin is no signature of the same key: %v", err)
	}
	wantRefused(t, []byte(message), high, address)
	wantRefused(t, []byte(message), withV(high, high[64]+27), address)
	wantRefused(t, []byte(message), compact(high), address)
}

// The compact form has 255 bits for s, which is more than the lower half.
func TestVerifyEOA_rejectsAHighSInCompactForm(t *testing.T) {
	digest := wallet.Digest([]byte(message))
	key, _ := newKey(t)
	r := new(big.Int).SetBytes(sign(t, key, digest)[:32])
	s := new(big.Int).Add(half, big.NewInt(1))
	full := encode(r, s, 0)
	recovered, err := crypto.SigToPub(digest[:], full)
	if err != nil || s.BitLen() > 255 {
		t.Fatalf("no key to be recovered: %v", err)
	}
	wantRefused(t, []byte(message), compact(full), crypto.PubkeyToAddress(*recovered))
	// One less is in the lower half: for the address that it recovers to, it is a signature.
	full = encode(r, half, 0)
	if recovered, err = crypto.SigToPub(digest[:], full); err != nil {
		t.Fatal(err)
	}
	if err := wallet.VerifyEOA([]byte(message), compact(full), crypto.PubkeyToAddress(*recovered)); err != nil {
		t.Errorf("s at half the order: %v", err)
	}
}

// Attack case 4, and the messages of cases 1 and 18: another key, another message.
func TestVerifyEOA_rejectsOtherKeysAndMessages(t *testing.T) {
	key, address := newKey(t)
	_, other := newKey(t)
	signature := sign(t, key, wallet.Digest([]byte(message)))
	wantRefused(t, []byte(message), signature, other)
	wantRefused(t, []byte(message), signature, common.Address{})
	wantRefused(t, []byte(message+"\n"), signature, address)
	wantRefused(t, []byte(message[1:]), signature, address)
	wantRefused(t, nil, signature, address)
	for bit := range 64 * 8 {
		flipped := bytes.Clone(signature)
		flipped[bit/8] ^= 1 << (bit % 8)
		wantRefused(t, []byte(message), flipped, address)
	}
	empty := sign(t, key, wallet.Digest(nil))
	if err := wallet.VerifyEOA(nil, empty, address); err != nil {
		t.Errorf("an empty message: %v", err)
	}
}

// Attack case 17: digests that are not EIP-191's over the bytes.
func TestVerifyEOA_rejectsOtherDigests(t *testing.T) {
	const prefix = "\x19Ethereum Signed Message:\n"
	key, address := newKey(t)
	size := strconv.Itoa(len(message))
	prefixed := prefix + size + message
	inner := wallet.Digest([]byte(message))
	for name, preimage := range map[string]string{
		"no prefix":               message,
		"prefix without length":   prefix + message,
		"twice prefixed":          prefix + strconv.Itoa(len(prefixed)) + prefixed,
		"length in characters":    prefix + strconv.Itoa(len([]rune(message))) + message,
		"length in hex":           prefix + "0x" + strconv.FormatInt(int64(len(message)), 16) + message,
		"length with a zero":      prefix + "0" + size + message,
		"length of the hash":      prefix + "32" + string(crypto.Keccak256([]byte(message))),
		"the digest once more":    prefix + "32" + string(inner[:]),
		"other version byte":      "\x18" + prefixed[1:],
		"typed data (EIP-712)":    "\x19\x01" + strings.Repeat("\x00", 32) + string(crypto.Keccak256([]byte(message))),
		"intended validator (00)": "\x19\x00" + string(address.Bytes()) + message,
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, []byte(message), sign(t, key, crypto.Keccak256Hash([]byte(preimage))), address)
		})
	}
	if err := wallet.VerifyEOA([]byte(message), sign(t, key, crypto.Keccak256Hash([]byte(prefixed))), address); err != nil {
		t.Errorf("the right digest: %v", err)
	}
}
