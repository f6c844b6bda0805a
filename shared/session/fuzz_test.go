package session_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// Whatever reads as a token writes out to the very same text, and without our keys nothing new does.
func FuzzParseToken(f *testing.F) {
	secret := bytes.Repeat([]byte("a secret"), 8)
	key := seal.EnvironmentKey(secret, secret[:32])
	ring, err := seal.NewRing("fuzz", secret, key)
	must(f, err)
	// The same in every process that fuzzes.
	honest := []string{session.Mint(ring, key.ID, "lka_"), session.Mint(ring, key.ID, "lkr_")}
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

// What reads as a session's id writes out to the very same text, and every id is read back from what it writes.
func FuzzParseID(f *testing.F) {
	f.Add(strings.Repeat("A", 43), []byte{})
	f.Add(strings.Repeat("A", 42)+"B", bytes.Repeat([]byte{0xff}, 32)) // bits that mean nothing
	f.Add(strings.Repeat("A", 42)+"=", []byte("x"))
	f.Add(strings.Repeat("A", 43)+"\n", []byte("x"))
	f.Add(strings.Repeat("A", 21)+"+"+strings.Repeat("A", 21), []byte("x"))
	f.Add("", []byte("x"))
	f.Fuzz(func(t *testing.T, text string, raw []byte) {
		id, err := session.ParseID(text)
		if err == nil && id.String() != text || err != nil && id != (session.ID{}) {
			t.Errorf("%q reads as %v, %v", text, id, err)
		}
		var want session.ID
		copy(want.User[:], raw)
		copy(want.Random[:], raw[min(len(raw), 16):])
		if got, err := session.ParseID(want.String()); err != nil || got != want {
			t.Errorf("%x is written as %s and read as %v, %v", raw, want, got, err)
		}
	})
}

var tokenLike = regexp.MustCompile(`lk[ar]_[A-Za-z0-9_-]{22}`)

// A text holds a token where it has the form of one anywhere, and always where it has a real one.
func FuzzHoldsToken(f *testing.F) {
	secret := bytes.Repeat([]byte("a secret"), 8)
	key := seal.EnvironmentKey(secret, secret[:32])
	ring, err := seal.NewRing("fuzz", secret, key)
	must(f, err)
	honest := session.Mint(ring, key.ID, "lkr_")
	f.Add("polka_dots", "lka_")
	f.Add("lka_lkr_lka_", "=")
	f.Add("lkr_"+strings.Repeat("A", 22), "")
	f.Add("lka_"+strings.Repeat("-", 21)+".", "lkr_"+strings.Repeat("_", 21)+"\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got, want := session.HoldsToken(before+after), tokenLike.MatchString(before+after); got != want {
			t.Errorf("%q holds a token: %v, want %v", before+after, got, want)
		}
		if !session.HoldsToken(before + honest + after) {
			t.Errorf("%q and %q hide a token", before, after)
		}
	})
}

// Whatever stands in Redis, decoding it never panics, and what decodes is written out as the very same bytes.
func FuzzDecodeStored(f *testing.F) {
	for _, honest := range honestRecords(f) {
		f.Add(honest)
		f.Add(honest[:len(honest)-1])
		f.Add(honest + "x")
	}
	f.Add("")
	f.Add("\x01" + strings.Repeat("\xff", 40))
	f.Add("\x01\x01" + strings.Repeat("\x00", 25))
	f.Add("\x01\x01" + strings.Repeat("\x00", 20) + "\x02ip\x00\x00\x00\x00") // no address has two bytes
	f.Add("\x01\x01" + strings.Repeat("\x00", 20) + "\x00\x02ip\x00\x00\x00")
	f.Fuzz(func(t *testing.T, raw string) {
		for name, again := range map[string]func(string) (string, error){
			"record": session.AgainRecord, "entry": session.AgainEntry, "payload": session.AgainPayload,
		} {
			if got, err := again(raw); err == nil && got != raw {
				t.Errorf("the %s %q reads as %q", name, raw, got)
			}
		}
	})
}

// honestRecords are records with a live and an ended session, without and with roles, entries and payloads. Each decodes
// as what it is.
func honestRecords(f *testing.F) []string {
	w := newWorld(f, redistest.Embedded(f))
	over, g := w.signIn(alice, laptop), w.signIn(alice, phone)
	_, err := w.End(ctx, over.Session.ID, session.LoggedOut, laptop.By())
	must(f, err)
	record := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
	_, err = w.SetRoles(ctx, alice, []string{"admin", "auditor"}, false, session.By{})
	must(f, err)
	withRoles := w.rdb.Get(ctx, w.RecordKey(g.Session.ID)).Val()
	nowhere := w.signIn(bob, session.Client{Transport: session.Bearer})
	entry := record[session.HeadSize : session.HeadSize+session.EntrySize]
	distinct := make([]byte, session.EntrySize) // a field that is read at another's place differs
	for i := range distinct {
		distinct[i] = byte(255 - i)
	}
	honest := []string{record, withRoles, entry, string(distinct)}
	for _, g := range []session.Grant{g, nowhere} {
		payload, err := w.Payload(ctx, g.Session.ID)
		must(f, err)
		honest = append(honest, string(payload))
	}
	for i, again := range []func(string) (string, error){
		session.AgainRecord, session.AgainRecord, session.AgainEntry, session.AgainEntry, session.AgainPayload, session.AgainPayload,
	} {
		_, err := again(honest[i])
		must(f, err)
	}
	return honest
}
