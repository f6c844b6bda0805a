package chain_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/chain"
)

// wrapperOf encodes as another library does.
func wrapperOf(t *testing.T, factory common.Address, calldata, signature []byte) []byte {
	t.Helper()
	var arguments abi.Arguments
	for _, name := range []string{"address", "bytes", "bytes"} {
		kind, err := abi.NewType(name, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, abi.Argument{Type: kind})
	}
	b, err := arguments.Pack(factory, calldata, signature)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, bytes.Repeat([]byte{0x64, 0x92}, 16)...)
}

func TestUnwrap(t *testing.T) {
	factory := common.Address(bytes.Repeat([]byte{0xfa}, 20))
	for _, n := range []int{0, 1, 31, 32, 33, 64, 1000} {
		for _, m := range []int{0, 1, 32, 65, 4000} {
			data, signature := bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, m)
			wrapped := wrapperOf(t, factory, data, signature)
			f, d, s, _, ok := chain.Unwrap(wrapped)
			if !ok || f != factory || !bytes.Equal(d, data) || !bytes.Equal(s, signature) {
				t.Errorf("%d and %d bytes: %v %v %x %x", n, m, ok, f, d, s)
			}
			if again := chain.Wrap(factory, data, signature); !bytes.Equal(again, wrapped) {
				t.Errorf("%d and %d bytes: encoded as\n%x, want\n%x", n, m, again, wrapped)
			}
		}
	}
}

// A wrapper has one form. Each of these is another.
func TestUnwrap_malformed(t *testing.T) {
	good := wrapperOf(t, common.Address{1}, []byte{2}, []byte{3})
	const inOffset1, inOffset2, inLength1, inData1, inLength2, inData2 = 32, 64, 96, 128, 160, 192
	changed := func(at int, n uint32) []byte {
		b := bytes.Clone(good)
		binary.BigEndian.PutUint32(b[at+28:], n)
		return b
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	magicOnly := good[len(good)-32:]
	for name, b := range map[string][]byte{
		"empty":                     nil,
		"magic only":                magicOnly,
		"head only":                 append(bytes.Clone(good[:96]), magicOnly...),
		"no magic":                  good[:len(good)-32],
		"magic twice":               append(bytes.Clone(good), magicOnly...),
		"wrong magic":               flipped(len(good) - 1),
		"dirty address":             flipped(0),
		"first offset too low":      changed(inOffset1, 32),
		"first offset too high":     changed(inOffset1, 128),
		"first offset into magic":   changed(inOffset1, uint32(len(good)-32)),
		"huge offset":               flipped(inOffset1),
		"second offset overlaps":    changed(inOffset2, 96),
		"second offset at end":      changed(inOffset2, 192),
		"offsets near 2^32":         changed(inOffset2, 0xffffffff),
		"first length too long":     changed(inLength1, 1000),
		"first length near 2^32":    changed(inLength1, 0xffffffff),
		"first length huge":         flipped(inLength1),
		"first length into padding": changed(inLength1, 0),
		"dirty padding":             flipped(inData1 + 31),
		"second length too long":    changed(inLength2, 33),
		"second length takes magic": changed(inLength2, 64),
		"second length huge":        flipped(inLength2),
		"dirty padding at the end":  flipped(inData2 + 31),
		"a word between":            append(append(bytes.Clone(good[:inLength1]), make([]byte, 32)...), good[inLength1:]...),
		"a word behind":             append(append(bytes.Clone(good[:len(good)-32]), make([]byte, 32)...), magicOnly...),
		"a byte in front":           append([]byte{0}, good...),
		"a byte missing":            good[1:],
	} {
		if _, _, _, _, ok := chain.Unwrap(b); ok {
			t.Errorf("%s is accepted: %x", name, b)
		}
	}
	for n := range len(good) {
		if _, _, _, _, ok := chain.Unwrap(good[:n]); ok {
			t.Errorf("the first %d bytes are accepted", n)
		}
	}
}
