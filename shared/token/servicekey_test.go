package token_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"testing"

	"latchkey/shared/token"
)

func TestServiceKey(t *testing.T) {
	one, two := token.NewServiceKey(), token.NewServiceKey()
	if one == two || !regexp.MustCompile(`^lks_[A-Za-z0-9_-]{43}$`).MatchString(one) {
		t.Errorf("keys of %d and %d characters", len(one), len(two))
	}
	hash, err := token.ServiceKeyHash(one)
	if want := sha256.Sum256([]byte(one)); err != nil || hash != want {
		t.Errorf("its hash is %x, %v, want %x", hash, err, want)
	}
	// As sha256sum prints it for the same text.
	hash, err = token.ServiceKeyHash("lks_" + strings.Repeat("A", 43))
	if got := hex.EncodeToString(hash[:]); err != nil || got != "77f7881dd92e297739b31cfff415667b697adeef3f846646b233458e047cfae6" {
		t.Errorf("its hash is %s, %v", got, err)
	}
	for _, text := range []string{
		"", "lks_", one[4:], "lka_" + one[4:], one + "A", one[:46], " " + one, one + "\n", "LKS_" + one[4:], one[:46] + "=",
		"lks_" + strings.Repeat("A", 42) + "B", // bits that mean nothing
	} {
		if hash, err := token.ServiceKeyHash(text); !errors.Is(err, token.ErrInvalid) || hash != [32]byte{} {
			t.Errorf("a text of %d characters has a hash, %v", len(text), err)
		}
	}
}

// A service key is accepted in one spelling only, and no error repeats it.
func FuzzServiceKeyHash(f *testing.F) {
	f.Add(token.NewServiceKey())
	f.Add("lks_")
	f.Add("lks_" + strings.Repeat("A", 43))
	form := regexp.MustCompile(`^lks_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$`)
	f.Fuzz(func(t *testing.T, text string) {
		hash, err := token.ServiceKeyHash(text)
		if (err == nil) != form.MatchString(text) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && hash != sha256.Sum256([]byte(text)) {
			t.Errorf("%q has the hash %x", text, hash)
		}
		if err != nil && len(text) > 4 && strings.Contains(err.Error(), text) {
			t.Errorf("the error says %q", text)
		}
	})
}
