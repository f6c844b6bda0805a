package seal_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"latchkey/shared/seal"
)

// FuzzOpen holds that nothing opens but what was sealed, whole, for that very record; that a refusal gives nothing away,
// and that it says of a key that is gone no more than that.
func FuzzOpen(f *testing.F) {
	known := seal.KeyID{1}
	drawn := make([]byte, seal.MinSecret+seal.EncryptionKey) // in each process anew, so that nobody can have sealed raw
	rand.Read(drawn)
	ring := newRing(f, "lk", seal.Key{ID: known, Secret: drawn[:seal.MinSecret], Encryption: drawn[seal.MinSecret:]})
	f.Add([]byte{}, []byte("detail"), []byte("sessionownerfacts"), uint8(7), uint8(12), uint16(0), uint8(1))
	f.Add(append([]byte{1, 1, 0, 0, 0}, make([]byte, 40)...), []byte{}, []byte("ab"), uint8(1), uint8(1), uint16(3), uint8(0x80))
	f.Add(append([]byte{1, 2, 0, 0, 0}, make([]byte, 28)...), []byte("x"), []byte{}, uint8(0), uint8(0), uint16(20), uint8(0))
	f.Add(append([]byte{2, 1, 0, 0, 0}, make([]byte, 28)...), []byte("x"), []byte("|"), uint8(0), uint8(1), uint16(33), uint8(255))
	f.Fuzz(func(t *testing.T, raw, plain, names []byte, first, second uint8, at uint16, flip uint8) {
		rec := recordOf(names, first, second)
		refuses(t, ring, rec, raw, known)
		sealed, err := ring.Seal(known, rec, plain)
		if err != nil || len(sealed) != len(plain)+seal.Overhead {
			t.Fatalf("%d bytes became %d, %v", len(plain), len(sealed), err)
		}
		if got, err := ring.Open(rec, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q opens as %q, %v", plain, got, err)
		}
		refuses(t, ring, rec, sealed[:int(at)%len(sealed)], known)
		if other := recordOf(names, first+1, second); other.Kind != rec.Kind || !bytes.Equal(other.Owner, rec.Owner) {
			refuses(t, ring, other, sealed, known)
		}
		longer := rec
		longer.Facts = append(slices.Clip(rec.Facts), flip)
		refuses(t, ring, longer, sealed, known)
		if flip != 0 {
			sealed[int(at)%len(sealed)] ^= flip
			refuses(t, ring, rec, sealed, known)
		}
	})
}

// recordOf cuts a record's three parts out of one text, so that two records may differ in nothing but the cuts.
func recordOf(names []byte, first, second uint8) seal.Record {
	cuts := []int{int(first) % (len(names) + 1), int(second) % (len(names) + 1)}
	slices.Sort(cuts)
	return seal.Record{Kind: string(names[:cuts[0]]), Owner: slices.Clip(names[cuts[0]:cuts[1]]), Facts: names[cuts[1]:]}
}

func refuses(t *testing.T, ring *seal.Ring, rec seal.Record, sealed []byte, known seal.KeyID) {
	t.Helper()
	id, ok := seal.KeyOf(sealed)
	if formed := len(sealed) >= seal.Overhead && sealed[0] == 1; ok != formed || ok && !bytes.Equal(id[:], sealed[1:1+seal.IDLength]) {
		t.Errorf("%x has the key %x, %v", sealed, id, ok)
	}
	want := seal.ErrOpen
	if ok && id != known {
		want = seal.ErrUnknownKey
	}
	if got, err := ring.Open(rec, sealed); got != nil || !errors.Is(err, want) {
		t.Errorf("%x opens as %q, %v, want %v", sealed, got, err, want)
	}
}
