package token_test

import (
	"strings"
	"testing"

	"latchkey/shared/token"
)

// The four forms of an account are told apart, and each is written as it was read.
func TestParseReference(t *testing.T) {
	user := token.UserID{0xd3, 0x4d, 1}
	id := token.ID{User: user, Session: [16]byte{15: 7}}
	contract := token.Account{Address: checksummed, Chain: 8453}
	// Ids that begin as an address does.
	odd := "0x" + strings.Repeat("A", 18) + "gA"
	odd43 := "0x" + strings.Repeat("1", 39) + "_A"
	for text, want := range map[string]token.Reference{
		checksummed.Hex():                  {Account: token.KeyAccount(checksummed)},
		strings.ToLower(checksummed.Hex()): {Account: token.KeyAccount(checksummed)},
		contract.String():                  {Account: contract},
		user.String():                      {User: user},
		id.String():                        {User: user},
	} {
		got, err := token.ParseReference(text)
		if err != nil || got.Account != want.Account || got.User != want.User || !strings.EqualFold(got.String(), text) {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{odd, odd43} {
		got, err := token.ParseReference(text)
		if err != nil || got.Account != (token.Account{}) || got.User == (token.UserID{}) || got.String() != text {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
}

func TestParseReference_refused(t *testing.T) {
	address := checksummed.Hex()
	for _, text := range []string{
		"", "x", address[2:], address + "0", address[:41], address[:22], address + "A", "0x" + strings.Repeat("0", 40),
		"eip155:0:" + address, "eip155:" + address,
		token.UserID{}.String(), token.ID{Session: [16]byte{7}}.String(), // they stand for no account
		strings.Repeat("A", 21), strings.Repeat("A", 23), strings.Repeat("A", 42), strings.Repeat("A", 44),
		strings.Repeat("A", 21) + "B", strings.Repeat("A", 42) + "B",
		strings.Repeat("A", 21) + "=", strings.Repeat("A", 21) + "\n",
		strings.Repeat("A", 21) + "+", " " + strings.Repeat("A", 22), "lka_" + strings.Repeat("A", 119),
	} {
		got, err := token.ParseReference(text)
		if err == nil || got != (token.Reference{}) {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
		if err != nil && len(text) > 20 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows %q", text)
		}
	}
}

// What reads as a reference writes out to the same text, but for the case of an address, and is of exactly one form.
func FuzzParseReference(f *testing.F) {
	f.Add(checksummed.Hex())
	f.Add("eip155:1:" + checksummed.Hex())
	f.Add(strings.Repeat("A", 22))
	f.Add(strings.Repeat("A", 43))
	f.Add("0x" + strings.Repeat("A", 41)) // an address and a digit too many
	f.Add("0x" + strings.Repeat("z", 41)) // an id that begins as an address does
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := token.ParseReference(text)
		if err != nil {
			if r != (token.Reference{}) {
				t.Errorf("%q is %+v and %v", text, r, err)
			}
			return
		}
		if !strings.EqualFold(r.String(), text) {
			t.Errorf("%q is written as %q", text, r)
		}
		isAccount := r.Account != (token.Account{})
		if len(text) != 22 && len(text) != 43 && !isAccount || isAccount && r.User != (token.UserID{}) {
			t.Errorf("%q is %+v", text, r)
		}
		if again, err := token.ParseReference(r.String()); err != nil || again != r {
			t.Errorf("%q is written as %q, which is %+v, %v", text, r, again, err)
		}
	})
}
