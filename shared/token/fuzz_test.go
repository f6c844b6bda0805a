package token_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"latchkey/local/test/tokentest"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// newRing makes a key ring that is the same in every process, and its one key.
func newRing(t testing.TB) (*seal.Ring, seal.Key) {
	t.Helper()
	secret := bytes.Repeat([]byte("a secret"), 8)
	key := seal.EnvironmentKey(secret, secret[:32])
	ring, err := seal.NewRing("fuzz", secret, key)
	if err != nil {
		t.Fatal(err)
	}
	return ring, key
}

// Whatever reads as a token writes out to the very same text, and without our keys nothing new does.
func FuzzParseToken(f *testing.F) {
	ring, key := newRing(f)
	// The same in every process that fuzzes.
	honest := []string{tokentest.Mint(ring, key.ID, "lka_"), tokentest.Mint(ring, key.ID, "lkr_")}
	for _, text := range honest {
		f.Add(text)
		f.Add(text[:len(text)-1])
		f.Add("lka_" + text[4:])
	}
	f.Add("")
	f.Add("lka_")
	f.Add("lkr_" + strings.Repeat("A", 119))
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []token.Kind{token.Access, token.Refresh, token.Ticket} {
			read, err := token.Parse(ring, kind, text)
			if err != nil {
				continue
			}
			if again, err := read.Encode(ring); err != nil || again != text {
				t.Errorf("%q reads as %q, %v", text, again, err)
			}
			if text != honest[0] && text != honest[1] {
				t.Errorf("%q is taken for ours", text)
			}
		}
	})
}

// What reads as a session's id writes out to the very same text, and every id is read back from what it writes.
func FuzzParseID(f *testing.F) {
	f.Add(strings.Repeat("A", 43), []byte{})
	f.Add(strings.Repeat("A", 42)+"B", bytes.Repeat([]byte{0xff}, 32)) // bits that mean nothing
	f.Add(strings.Repeat("A", 42)+"=", []byte("x"))
	f.Add(strings.Repeat("A", 43)+"\n", []byte("x"))
	f.Add(strings.Repeat("A", 21)+"+"+strings.Repeat("A", 21), []byte("x"))
	f.Add("", []byte("x"))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		id, err := token.ParseID(text)
		if err == nil && id.String() != text || err != nil && id != (token.ID{}) {
			t.Errorf("%q reads as %v, %v", text, id, err)
		}
		var want token.ID
		copy(want.User[:], raw)
		copy(want.Session[:], raw[min(len(raw), 16):])
		if got, err := token.ParseID(want.String()); err != nil || got != want {
			t.Errorf("%x is written as %s and read as %v, %v", raw, want, got, err)
		}
	})
}

var tokenLike = regexp.MustCompile(`lk[art]_[A-Za-z0-9_-]{22}|lks_[A-Za-z0-9_-]{43}`)

// A text holds a token where it has the form of one anywhere, and always where it has a real one.
func FuzzContainedIn(f *testing.F) {
	ring, key := newRing(f)
	honest := tokentest.Mint(ring, key.ID, "lkr_")
	f.Add("polka_dots", "lka_")
	f.Add("lka_lkr_lka_", "=")
	f.Add("lkr_"+strings.Repeat("A", 22), "")
	f.Add("walks_", token.NewServiceKey()[3:])
	f.Add("lka_"+strings.Repeat("-", 21)+".", "lkr_"+strings.Repeat("_", 21)+"\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got, want := token.ContainedIn(before+after), tokenLike.MatchString(before+after); got != want {
			t.Errorf("%q holds a token: %v, want %v", before+after, got, want)
		}
		if !token.ContainedIn(before + honest + after) {
			t.Errorf("%q and %q hide a token", before, after)
		}
	})
}
