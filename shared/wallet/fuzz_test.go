package wallet_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/wallet"
)

// FuzzVerifyEOA holds that nothing panics, that every refusal is ErrSignature, and that whatever is accepted was in one
// of the accepted forms, holds for no other address, and has no twin.
func FuzzVerifyEOA(f *testing.F) {
	key, err := crypto.HexToECDSA(strings.Repeat("1234567890", 6) + "1234")
	if err != nil {
		f.Fatal(err)
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	signature := sign(f, key, wallet.Digest([]byte(message)))
	f.Add([]byte(message), signature, address.Bytes())
	f.Add([]byte(message), withV(signature, signature[64]+27), address.Bytes())
	f.Add([]byte(message), compact(signature), address.Bytes())
	f.Add([]byte(message), twin(signature), address.Bytes())
	f.Add([]byte(message), []byte{}, address.Bytes())
	f.Add([]byte{}, make([]byte, 65), make([]byte, 20))
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, 64), []byte{1})
	f.Fuzz(func(t *testing.T, text, signature, account []byte) {
		address := common.BytesToAddress(account)
		err := wallet.VerifyEOA(text, signature, address)
		if err != nil {
			if !errors.Is(err, wallet.ErrSignature) {
				t.Errorf("VerifyEOA gives %v, want ErrSignature", err)
			}
			return
		}
		if len(signature) != 64 && len(signature) != 65 || address == (common.Address{}) {
			t.Errorf("%d bytes are accepted for %s", len(signature), address)
		}
		other := address
		other[0] ^= 1
		wantRefused(t, text, signature, other)
		if len(signature) == 65 && signature[64] < 2 {
			wantRefused(t, text, twin(signature), address)
		}
	})
}

// FuzzParseSignature holds that nothing panics and that what parses is what the text says.
func FuzzParseSignature(f *testing.F) {
	for _, text := range []string{"", "0x", "0xab", "0xABCDEF", "0xabc", "0X00", "0xzz", "00", "0x" + strings.Repeat("1b", 65)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		signature, err := wallet.ParseSignature(text)
		if err != nil {
			if !errors.Is(err, wallet.ErrMalformed) {
				t.Errorf("ParseSignature gives %v, want ErrMalformed", err)
			}
			return
		}
		if len(signature) > wallet.MaxSignature || "0x"+hex.EncodeToString(signature) != strings.ToLower(text) || text[:2] != "0x" {
			t.Errorf("%q parses as %x", text, signature)
		}
	})
}
