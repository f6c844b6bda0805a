package wallet_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/wallet"
)

// Attack case 15, as far as the text alone decides.
func TestParseSignature(t *testing.T) {
	full := strings.Repeat("ab", wallet.MaxSignature)
	for text, want := range map[string][]byte{
		"0x":              {},
		"0x00":            {0},
		"0xaBcDeF":        {0xab, 0xcd, 0xef},
		"0x" + full:       bytes.Repeat([]byte{0xab}, wallet.MaxSignature),
		"0x" + full[:130]: bytes.Repeat([]byte{0xab}, 65),
	} {
		got, err := wallet.ParseSignature(text)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%.20q gives %.20x, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "0", "x", "0X", "0Xab", "ab", "0xa", "0xabc", "0xag", "0xgg", "0x ab", " 0xab", "0xab ", "0xab\n", "0x0xab", "0x\x00\x00", "0xé",
		"0x" + full + "a", "0x" + full + "ab", "0x" + strings.Repeat("ab", 1<<20),
	} {
		if got, err := wallet.ParseSignature(text); !errors.Is(err, wallet.ErrMalformed) || got != nil {
			t.Errorf("%.20q gives %.20x, %v, want ErrMalformed", text, got, err)
		}
	}
}

// "0x" is well formed and proves nothing: what is wrong with it is not its encoding.
func TestParseSignature_ofNothingIsNotAccepted(t *testing.T) {
	signature, err := wallet.ParseSignature("0x")
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, []byte(message), signature, common.HexToAddress("0x01"))
}
