package session_test

import (
	"bytes"
	"strings"
	"testing"

	"latchkey/local/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// Whatever reads as a token writes out to the very same text, and without our keys nothing new does.
func FuzzParseToken(f *testing.F) {
	secret := bytes.Repeat([]byte("a secret"), 8)
	ring, err := seal.NewRing("fuzz", secret, seal.EnvironmentKey(secret, secret[:32]))
	if err != nil {
		f.Fatal(err)
	}
	honest := honestTokens(f, ring)
	for _, text := range honest {
		f.Add(text)
		f.Add(text[:len(text)-1])
		f.Add("lka_" + text[4:])
	}
	f.Add("")
	f.Add("lka_")
	f.Add("lkr_" + strings.Repeat("A", 119))
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []string{"lka_", "lkr_"} {
			again, err := session.ParseToken(ring, kind, text)
			if err != nil {
				continue
			}
			if again != text {
				t.Errorf("%q reads as %q", text, again)
			}
			if text != honest[0] && text != honest[1] {
				t.Errorf("%q is taken for ours", text)
			}
		}
	})
}

func honestTokens(f *testing.F, ring *seal.Ring) []string {
	r := redistest.Embedded(f)
	w := newWorld(f, r)
	w.ring = ring
	w.Store = w.on(w.rdb, w.clock)
	g := w.signIn(alice, laptop)
	return []string{g.AccessToken, g.RefreshToken}
}

// Whatever stands in Redis, decoding it never panics.
func FuzzDecodeStored(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	g := w.signIn(alice, laptop)
	f.Add(w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val())
	f.Add("")
	f.Add("\x01" + strings.Repeat("\xff", 40))
	f.Add("\x01\x01" + strings.Repeat("\x00", 25))
	f.Fuzz(func(_ *testing.T, raw string) {
		_ = session.DecodeRecord(raw)
		_ = session.DecodePayload([]byte(raw))
	})
}
