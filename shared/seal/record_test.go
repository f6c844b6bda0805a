package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"latchkey/shared/seal"
)

var record = seal.Record{Kind: "session", Owner: []byte("owner"), Facts: []byte("facts")}

func TestSeal_opens(t *testing.T) {
	ring := newRing(t, "lk", key(1, start), key(2, start))
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long"), 1000)} {
		sealed, err := ring.Seal(seal.KeyID{1}, record, plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+seal.Overhead {
			t.Errorf("%d bytes became %d", len(plain), len(sealed))
		}
		if got, err := ring.Open(record, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("opens as %q, %v", got, err)
		}
		again, err := ring.Seal(seal.KeyID{1}, record, plain)
		if err != nil || bytes.Equal(sealed, again) {
			t.Error("sealing twice gave the same bytes")
		}
	}
}

// Flipping any byte, cutting and adding all fail alike.
func TestOpen_everyByteCounts(t *testing.T) {
	ring := newRing(t, "lk", key(1, start))
	sealed, err := ring.Seal(seal.KeyID{1}, record, []byte("some detail"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		want := seal.ErrOpen
		if i >= 1 && i <= seal.IDLength {
			want = seal.ErrUnknownKey
		}
		if got, err := ring.Open(record, changed); !errors.Is(err, want) || got != nil {
			t.Errorf("byte %d: %q, %v", i, got, err)
		}
		if _, err := ring.Open(record, sealed[:i]); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := ring.Open(record, append(sealed, 0)); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("longer: %v", err)
	}
}

// Sealed bytes open only for the record they were made for.
func TestOpen_bound(t *testing.T) {
	ring := newRing(t, "lk", key(1, start))
	sealed, err := ring.Seal(seal.KeyID{1}, record, []byte("detail"))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]seal.Record{
		"kind":    {Kind: "state", Owner: record.Owner, Facts: record.Facts},
		"owner":   {Kind: record.Kind, Owner: []byte("other"), Facts: record.Facts},
		"facts":   {Kind: record.Kind, Owner: record.Owner, Facts: []byte("other")},
		"framing": {Kind: record.Kind, Owner: []byte("ownerf"), Facts: []byte("acts")},
	} {
		if _, err := ring.Open(other, sealed); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if _, err := newRing(t, "stage", key(1, start)).Open(record, sealed); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another deployment: %v", err)
	}
	if _, err := newRing(t, "lk", key(2, start)).Open(record, sealed); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("a removed key: %v", err)
	}
}

func Example() {
	secret, encryption := []byte("a secret of at least 32 bytes, made at random"), []byte("an encryption key has 32 bytes..")
	key := seal.EnvironmentKey(secret, encryption)
	ring, err := seal.NewRing("lk", secret, key)
	if err != nil {
		panic(err)
	}
	record := seal.Record{Kind: "note", Owner: []byte("alice")}
	sealed, _ := ring.Seal(key.ID, record, []byte("hello"))
	plain, _ := ring.Open(record, sealed)
	fmt.Printf("%s\n", plain)
	_, err = ring.Open(seal.Record{Kind: "note", Owner: []byte("bob")}, sealed)
	fmt.Println(err)
	// Output:
	// hello
	// sealed record does not open
}
