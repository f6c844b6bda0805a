package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/shared/seal"
)

// Drawn once for these tests; they open nothing.
const (
	first  = "pR7vQ2xkT9mWc4ZsJ8bYh3NfL6dGa5EuX1oViKtM0qCwSzBnHjPyDrAgUeFl2I7O"
	second = "Zk3Wq8LxN5vTb1RmC7yHs9PdJ4gFa6UeQ2oXiVtK0nEwSzBhGjMyDrAcUlYp8I5O"
)

var (
	fresh   = `{"lookup":"k1","k1":"` + first + `"}`
	rotated = `{"lookup":"k1","k1":"` + first + `","k2":{"secret":"` + second + `","activeFrom":"2026-11-25T10:00:00Z"}}`
	from    = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
)

func parse(t testing.TB, text string) *seal.Document {
	t.Helper()
	d, err := seal.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseDocument(t *testing.T) {
	d := parse(t, rotated)
	want := &seal.Document{Lookup: "k1", Masters: []seal.Master{{Name: "k1", Secret: first}, {Name: "k2", Secret: second, ActiveFrom: from}}}
	if !reflect.DeepEqual(d, want) || d.Text() != rotated {
		t.Errorf("%s", d.Text())
	}
	// What CloudFormation generates: the generated member comes last, and white space may differ.
	spaced := " {\n\"k10\": \"" + second + "\", \"lookup\" : \"k2\",\t\"k2\":\"" + first + "\"} \n"
	if got := parse(t, spaced).Text(); got != `{"lookup":"k2","k2":"`+first+`","k10":"`+second+`"}` {
		t.Errorf("%s", got)
	}
}

func TestParseDocument_refuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           ``,
		"no object":         `"` + first + `"`,
		"null":              `null`,
		"cut":               fresh[:len(fresh)-1],
		"trailing":          fresh + `{}`,
		"trailing text":     fresh + first,
		"no comma":          strings.Replace(fresh, `,`, ` `, 1),
		"no UTF-8":          fresh[:30] + "\xff" + fresh[31:],
		"too long":          fresh + strings.Repeat(" ", 65536),
		"no key":            `{"lookup":"k1"}`,
		"no lookup":         `{"k1":"` + first + `"}`,
		"lookup null":       strings.Replace(fresh, `"k1"`, `null`, 1),
		"lookup elsewhere":  strings.Replace(fresh, `"lookup":"k1"`, `"lookup":"k2"`, 1),
		"lookup itself":     strings.Replace(fresh, `"lookup":"k1"`, `"lookup":"lookup"`, 1),
		"lookup taken away": strings.Replace(rotated, `"k1":"`+first+`",`, ``, 1),
		"lookup twice":      `{"lookup":"k1",` + fresh[1:],
		"key twice":         `{"k1":"` + second + `",` + fresh[1:],
		"key twice escaped": `{"\u006b1":"` + second + `",` + fresh[1:],
		"unknown name":      `{"` + first + `":"k1",` + fresh[1:],
		"name case":         strings.Replace(fresh, `"lookup"`, `"Lookup"`, 1),
		"k0":                strings.ReplaceAll(fresh, `k1`, `k0`),
		"k01":               strings.ReplaceAll(fresh, `k1`, `k01`),
		"kx":                strings.ReplaceAll(fresh, `k1`, `kx`),
		"number":            strings.Replace(fresh, `"`+first+`"`, `7`, 1),
		"list":              strings.Replace(fresh, `"`+first+`"`, `["`+first+`"]`, 1),
		"short":             strings.Replace(fresh, first, first[:31], 1),
		"same secret":       strings.Replace(rotated, second, first, 1),
		"time missing":      strings.Replace(rotated, `,"activeFrom":"2026-11-25T10:00:00Z"`, ``, 1),
		"time twice":        strings.Replace(rotated, `"activeFrom"`, `"activeFrom":"2026-11-25T10:00:00Z","activeFrom"`, 1),
		"time a number":     strings.Replace(rotated, `"2026-11-25T10:00:00Z"`, `1795600800`, 1),
		"time with offset":  strings.Replace(rotated, `10:00:00Z`, `10:00:00+01:00`, 1),
		"time in fractions": strings.Replace(rotated, `10:00:00Z`, `10:00:00.5Z`, 1),
		"no such day":       strings.Replace(rotated, `11-25`, `11-31`, 1),
		"unknown in a key":  strings.Replace(rotated, `"secret"`, `"x":"y","secret"`, 1),
		"secret missing":    strings.Replace(rotated, `"secret":"`+second+`",`, ``, 1),
		"secret null":       strings.Replace(rotated, `"`+second+`"`, `null`, 1),
	} {
		d, err := seal.ParseDocument(text)
		if err == nil || d != nil {
			t.Errorf("%s: taken", name)
			continue
		}
		for _, secret := range []string{first, second} {
			for i := range len(secret) - 4 {
				if strings.Contains(err.Error(), secret[i:i+4]) {
					t.Errorf("%s: the error shows some of a secret: %v", name, err)
					break
				}
			}
		}
	}
}

func TestDocument_Next(t *testing.T) {
	before := parse(t, rotated)
	after := before.Next(strings.ToLower(first), from.Add(time.Hour+time.Millisecond).In(time.FixedZone("", 3600)))
	if before.Text() != rotated {
		t.Error("the document itself changed")
	}
	want := strings.TrimSuffix(rotated, "}") + `,"k3":{"secret":"` + strings.ToLower(first) + `","activeFrom":"2026-11-25T11:00:01Z"}}`
	if after.Text() != want || !reflect.DeepEqual(parse(t, want), after) {
		t.Errorf("%s", after.Text())
	}
	if !after.Follows(before) || !after.Follows(after) || before.Follows(after) {
		t.Error("what is kept is misjudged")
	}
	for name, text := range map[string]string{
		"another lookup": strings.Replace(rotated, `"lookup":"k1"`, `"lookup":"k2"`, 1),
		"another secret": strings.Replace(rotated, second, strings.ToLower(first), 1),
		"another time":   strings.Replace(rotated, "10:00:00", "10:00:01", 1),
		"a key less":     fresh,
	} {
		if parse(t, text).Follows(before) {
			t.Errorf("%s: kept", name)
		}
	}
}

// The number of a key that was taken away from the end is given out again; its id is not, since that is the secret's.
func TestDocument_Ring_identity(t *testing.T) {
	ids := func(text string) [2]seal.KeyID {
		ring := ringOf(t, text)
		return [2]seal.KeyID{ring.Current(from.Add(-time.Hour)), ring.Current(from)}
	}
	honest := ids(rotated)
	if honest[0] == honest[1] || honest != ids(rotated) {
		t.Errorf("ids %x", honest)
	}
	if other := ids(strings.Replace(rotated, second, strings.ToLower(second), 1)); other[0] != honest[0] || other[1] == honest[1] {
		t.Errorf("another secret under the same name has the ids %x, was %x", other, honest)
	}
	if renamed := ids(strings.ReplaceAll(rotated, "k2", "k7")); renamed != honest {
		t.Errorf("another name for the same secret has the ids %x, was %x", renamed, honest)
	}
}

func ringOf(t testing.TB, text string) *seal.Ring {
	t.Helper()
	ring, err := parse(t, text).Ring("lk")
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A rotation renames nobody, and what was sealed before it opens after it.
func TestDocument_Ring_rotation(t *testing.T) {
	before, after := ringOf(t, fresh), ringOf(t, rotated)
	if !bytes.Equal(before.Lookup(seal.UserID, []byte("x")), after.Lookup(seal.UserID, []byte("x"))) {
		t.Error("a rotation renames")
	}
	old := before.Current(from)
	sealed, err := before.Seal(old, record, []byte("detail"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := after.Open(record, sealed); err != nil || string(plain) != "detail" {
		t.Errorf("%q, %v", plain, err)
	}
	if after.Current(from.Add(-time.Second)) != old || after.Current(from) == old {
		t.Error("the new key is not active from its time on")
	}
	if id, ok := seal.KeyOf(sealed); !ok || id != old {
		t.Errorf("sealed by %x, %v", id, ok)
	}
	if _, ok := seal.KeyOf(sealed[:seal.Overhead-1]); ok {
		t.Error("something too short has a key")
	}
}

func TestRing_Replace(t *testing.T) {
	ring, next := ringOf(t, fresh), ringOf(t, rotated)
	second := next.Current(from)
	if ring.Has(second) {
		t.Fatal("known before it came")
	}
	if err := ring.Replace(next); err != nil || !ring.Has(second) {
		t.Errorf("replaced: %v", err)
	}
	if err := ring.Replace(ringOf(t, fresh)); err != nil || ring.Has(second) {
		t.Errorf("a key that was taken away is still there: %v", err)
	}
	stranger := ringOf(t, strings.Replace(rotated, `"lookup":"k1"`, `"lookup":"k2"`, 1))
	if err := ring.Replace(stranger); !errors.Is(err, seal.ErrLookup) || ring.Has(second) {
		t.Errorf("another lookup key: %v", err)
	}
}

// Whoever reads while the keys are replaced works with the former or the next ones, and never with half of either.
func TestRing_Replace_race(t *testing.T) {
	ring, sets := ringOf(t, fresh), []*seal.Ring{ringOf(t, fresh), ringOf(t, rotated)}
	id := ring.Current(from)
	name := ring.Lookup(seal.UserID, []byte("x"))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				sealed, err := ring.Seal(id, record, []byte("detail"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := ring.Open(record, sealed); err != nil {
					t.Error(err)
				}
				if !ring.Has(id) || !bytes.Equal(ring.Lookup(seal.UserID, []byte("x")), name) {
					t.Error("half a ring")
				}
				ring.Current(from)
			}
		})
	}
	for i := range 200 {
		if err := ring.Replace(sets[i%2]); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
}

func TestDocument_isNeverShown(t *testing.T) {
	d := parse(t, rotated)
	shown := fmt.Sprintf("%v %+v %#v %s %v %+v %#v", d, d, d, d, d.Masters[0], d.Masters[1], d.Masters)
	if strings.Contains(shown, first[:8]) || strings.Contains(shown, second[:8]) {
		t.Errorf("shows %s", shown)
	}
}

// What parses is written out so that it parses to the same, and makes a ring.
func FuzzParseDocument(f *testing.F) {
	f.Add(fresh)
	f.Add(rotated)
	f.Add(`{"lookup":"k1","k1":"\ud800` + first + `"}`)
	f.Add(`{"lookup":"k2","k2":{"activeFrom":"0001-01-01T00:00:00Z","secret":"` + second + `"}}`)
	f.Add(`{"lookup":"k1","k1":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := seal.ParseDocument(text)
		if err != nil {
			return
		}
		again, err := seal.ParseDocument(d.Text())
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%q became %q: %v", text, d.Text(), err)
		}
		if _, err := d.Ring("lk"); err != nil {
			t.Fatalf("%q makes no ring: %v", text, err)
		}
		if next := d.Next(strings.Repeat("x", 64), from); !next.Follows(d) {
			t.Fatalf("%q loses a key", text)
		}
	})
}
