package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"latchkey/shared/seal"
)

var (
	secret     = []byte("0123456789abcdef0123456789abcdef")
	encryption = []byte("fedcba9876543210fedcba9876543210")
	start      = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
)

func newRing(t testing.TB, scope string, keys ...seal.Key) *seal.Ring {
	t.Helper()
	ring, err := seal.NewRing(scope, secret, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func key(id byte, from time.Time) seal.Key {
	return seal.Key{ID: seal.KeyID{id}, Secret: append([]byte{id}, secret...), Encryption: append([]byte{id}, encryption[1:]...), ActiveFrom: from}
}

func TestNewRing_refuses(t *testing.T) {
	good := key(1, start)
	short, wrong := good, good
	short.Secret, wrong.Encryption = secret[:31], encryption[:31]
	for name, keys := range map[string][]seal.Key{"none": nil, "short secret": {short}, "wrong length": {wrong}, "id twice": {good, good}} {
		if _, err := seal.NewRing("lk", secret, keys...); err == nil {
			t.Errorf("%s: no error", name)
		} else if bytes.Contains([]byte(err.Error()), secret[:8]) {
			t.Errorf("%s: the error shows a secret", name)
		}
	}
	if _, err := seal.NewRing("lk", secret[:31], good); err == nil {
		t.Error("short lookup key: no error")
	}
}

func TestRing_Current(t *testing.T) {
	ring := newRing(t, "lk", key(2, start.Add(time.Hour)), key(1, start))
	for _, c := range []struct {
		at   time.Duration
		want byte
	}{{-time.Hour, 1}, {0, 1}, {time.Hour - 1, 1}, {time.Hour, 2}, {24 * time.Hour, 2}} {
		if got := ring.Current(start.Add(c.at)); got != (seal.KeyID{c.want}) {
			t.Errorf("at %v the current key is %v, want %d", c.at, got, c.want)
		}
	}
}

// Purposes, scopes, keys and the framing of parts each make another value.
func TestRing_MAC_separates(t *testing.T) {
	ring := newRing(t, "lk", key(1, start), key(2, start))
	seen := map[string]string{}
	add := func(name string, mac []byte, err error) {
		t.Helper()
		if err != nil || len(mac) != 32 {
			t.Fatalf("%s: %d bytes, %v", name, len(mac), err)
		}
		if before, twice := seen[string(mac)]; twice {
			t.Errorf("%s equals %s", name, before)
		}
		seen[string(mac)] = name
	}
	mac := func(r *seal.Ring, id byte, p seal.Purpose, parts ...string) {
		t.Helper()
		var raw [][]byte
		for _, part := range parts {
			raw = append(raw, []byte(part))
		}
		m, err := r.MAC(seal.KeyID{id}, p, raw...)
		add(fmt.Sprint(id, p, parts), m, err)
	}
	for _, p := range []seal.Purpose{seal.Gate, seal.TokenHash, seal.AccessSecret, seal.RefreshSecret, seal.Device, seal.Network} {
		mac(ring, 1, p, "value")
		mac(ring, 2, p, "value")
	}
	mac(newRing(t, "stage", key(1, start)), 1, seal.Gate, "value")
	mac(ring, 1, seal.Gate, "val", "ue")
	mac(ring, 1, seal.Gate, "value", "")
	for _, p := range []seal.Purpose{seal.UserID, seal.NonceName, seal.PreLogin, seal.SessionPart, seal.RateLimit, seal.StateName} {
		add(string(p), ring.Lookup(p, []byte("value")), nil)
	}
	if _, err := ring.MAC(seal.KeyID{9}, seal.Gate); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("unknown key: %v", err)
	}
}

// The lookup key names things for good: rotating the others changes no name.
func TestRing_Lookup_survivesRotation(t *testing.T) {
	before := newRing(t, "lk", key(1, start)).Lookup(seal.UserID, []byte("eoa:0x1"))
	after := newRing(t, "lk", key(2, start)).Lookup(seal.UserID, []byte("eoa:0x1"))
	if !bytes.Equal(before, after) {
		t.Error("a rotation renamed a user")
	}
}

func TestEnvironmentKey(t *testing.T) {
	id := seal.EnvironmentKey(secret, encryption).ID
	if id != seal.EnvironmentKey(secret, encryption).ID {
		t.Error("the id is not stable")
	}
	if id == seal.EnvironmentKey(encryption, secret).ID || id == seal.EnvironmentKey(append(secret[:31:31], 'x'), encryption).ID {
		t.Error("another secret has the same id")
	}
}
