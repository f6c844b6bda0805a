package token_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/siwe"
	"latchkey/shared/token"
)

var checksummed = common.HexToAddress("0x2e988A386a799F506693793c6A5AF6B54dfAaBfB")

func TestParseAccount(t *testing.T) {
	for text, want := range map[string]token.Account{
		checksummed.Hex():                                   token.KeyAccount(checksummed),
		strings.ToLower(checksummed.Hex()):                  token.KeyAccount(checksummed),
		"eip155:1:" + checksummed.Hex():                     {Address: checksummed, Chain: 1},
		"eip155:8453:" + strings.ToLower(checksummed.Hex()): {Address: checksummed, Chain: 8453},
		"eip155:9007199254740991:" + checksummed.Hex():      {Address: checksummed, Chain: siwe.MaxChainID},
	} {
		got, err := token.ParseAccount(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := token.ParseAccount(got.String()); err != nil || again != want {
			t.Errorf("%q is written as %q, which is %+v, %v", text, got, again, err)
		}
	}
}

func TestParseAccount_refused(t *testing.T) {
	address := checksummed.Hex()
	for _, text := range []string{
		"eip155:0:" + address, "eip155:01:" + address, "eip155:+1:" + address, "eip155:-1:" + address, "eip155: 1:" + address,
		"eip155:9007199254740992:" + address, "eip155:18446744073709551617:" + address, "eip155:0x1:" + address, "eip155:１:" + address,
		"eip155:" + address, "eip155::" + address, "eip155:", "eip155:a:" + address,
	} {
		a, err := token.ParseAccount(text)
		if err == nil || !strings.Contains(err.Error(), "account: the chain id") || a != (token.Account{}) {
			t.Errorf("%q is %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{
		"", "eip155", "EIP155:1:" + address, "solana:1:" + address, "eip155:1", "eip155:1:", "eip155:1:" + address + ":", "eip155:1:" + address + " ",
		" eip155:1:" + address, "eip155:1:" + address[2:], "eip155:1:0X" + address[2:], "eip155:1:eip155:1:" + address,
		"eip155:1:" + strings.Replace(address, "a", "A", 1), "eip155:1:0x" + strings.Repeat("0", 40), "0x" + strings.Repeat("0", 40),
	} {
		_, syntax := errors.AsType[*siwe.SyntaxError](func() error { _, err := token.ParseAccount(text); return err }())
		if !syntax {
			t.Errorf("%q is not refused as an address is", text)
		}
	}
}

// The same address is three accounts: of its key, and of a contract on either of two chains.
func TestAccount_kindAndText(t *testing.T) {
	key, one, two := token.KeyAccount(checksummed), token.Account{Address: checksummed, Chain: 1}, token.Account{Address: checksummed, Chain: 8453}
	if key == one || one == two || key.String() == one.String() || one.String() == two.String() {
		t.Errorf("%v, %v and %v are not told apart", key, one, two)
	}
	if key.Wallet() != token.EOA || one.Wallet() != token.Contract || two.Wallet() != token.Contract {
		t.Errorf("they are %v, %v and %v", key.Wallet(), one.Wallet(), two.Wallet())
	}
	if got := one.String(); got != "eip155:1:0x2e988A386a799F506693793c6A5AF6B54dfAaBfB" {
		t.Errorf("it is written as %s", got)
	}
}

func FuzzParseAccount(f *testing.F) {
	for _, text := range []string{"", "eip155:", "eip155:1:" + checksummed.Hex(), checksummed.Hex(), "eip155:01:" + checksummed.Hex()} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := token.ParseAccount(text)
		if err != nil {
			if a.Chain != 0 || a.Address != (common.Address{}) {
				t.Errorf("%q is %+v and %v", text, a, err)
			}
			return
		}
		if !strings.EqualFold(a.String(), text) {
			t.Errorf("%q is written as %q", text, a)
		}
		if again, err := token.ParseAccount(a.String()); err != nil || again != a || again.String() != a.String() {
			t.Errorf("%q is written as %q, which is %+v, %v", text, a, again, err)
		}
	})
}
