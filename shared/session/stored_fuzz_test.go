package session_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var (
	someID = token.ID{User: token.UserID{1, 2, 3}, Session: [16]byte{4, 5, 6}}
	someOp = "opopop"
)

// What nobody sealed with our keys is nothing, whatever it is stored as: no session opens by it, no key of state, nobody
// asked for anything, and preferences are refused or, where their key is gone, forgotten.
func FuzzOpenStored(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f)) // with keys of this process alone
	for _, n := range []int{0, 9, 10, seal.Overhead - 1, seal.Overhead, 10 + seal.Overhead, 80} {
		f.Add(strings.Repeat("\x01", n))
	}
	f.Add("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09" + strings.Repeat("\x01", 60))
	f.Add(strings.Repeat("\xff", 60))
	f.Fuzz(func(t *testing.T, stored string) {
		o := w.Opens(ctx, someID, "field", someOp, stored)
		wants(t, o.PayloadErr, token.ErrInvalid)
		wants(t, o.PayloadErr, session.ErrDamaged)
		if o.Item.Key != "" || o.Item.Value != nil || o.Actor != (session.Actor{}) {
			t.Errorf("%q opens as %+v by %+v", stored, o.Item, o.Actor)
		}
		gone := func(stored string) error { // a key that is not there
			if _, ok := seal.KeyOf([]byte(stored)); ok {
				return session.ErrNotFound
			}
			return session.ErrDamaged
		}
		wants(t, o.ItemErr, gone(stored[min(len(stored), 10):]))
		if stored == "" || errors.Is(gone(stored), session.ErrNotFound) {
			wants(t, o.PreferencesErr, nil)
			if string(o.Preferences.JSON) != session.EmptyPreferences || (o.Preferences.Version == "0") != (stored == "") {
				t.Errorf("%q are the preferences %s, version %s", stored, o.Preferences.JSON, o.Preferences.Version)
			}
			return
		}
		wants(t, o.PreferencesErr, session.ErrDamaged)
	})
}

// What a seal held is read as it stands, or as nothing: a key of state as its name and value, at no other end than its
// own, and who asked as address, device and account.
func FuzzOpened(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	f.Add("\x04form{\"step\":1}", int64(1), "opopop")
	f.Add("\x04\xcb\x00q\x4d\x06laptop", int64(1)<<40, "")
	f.Add("\x10"+strings.Repeat("\x20", 16)+"\x00"+strings.Repeat("a", 16), int64(0), "x")
	f.Add("\x02ip\x01x"+strings.Repeat("a", 15), int64(-5), "x")
	f.Add("\x05four", int64(7), "x")
	f.Add("", int64(7), "x")
	f.Fuzz(func(t *testing.T, plain string, ms int64, idem string) {
		expires := time.UnixMilli(ms & (1<<48 - 1)).UTC()
		stored, err := w.SealedItem(someID, "field", plain, expires)
		must(t, err)
		item := w.Opens(ctx, someID, "field", idem, stored)
		if item.ItemErr != nil {
			wants(t, item.ItemErr, session.ErrDamaged)
			if plain != "" && len(plain) > int(plain[0]) {
				t.Errorf("%q is refused: %v", plain, item.ItemErr)
			}
		} else if i := item.Item; string([]byte{byte(len(i.Key))})+i.Key+string(i.Value) != plain || i.Size != len(i.Value) ||
			i.Expires.UnixMilli() != expires.UnixMilli() && ms&(1<<48-1) != 0 || len(i.Version) != 24 {
			t.Errorf("%q until %v is read as %+v", plain, expires, i)
		}
		moved := []byte(stored)
		moved[5] ^= 1 // its end
		wants(t, w.Opens(ctx, someID, "field", idem, string(moved)).ItemErr, session.ErrDamaged)
		wants(t, w.Opens(ctx, someID, "other", idem, stored).ItemErr, session.ErrDamaged)

		sealed, err := w.SealedActor(someID.User, idem, plain)
		must(t, err)
		checkBy(t, plain, w.Opens(ctx, someID, "field", idem, sealed).Actor)
		if actor := w.Opens(ctx, someID, "field", idem+"x", sealed).Actor; actor != (session.Actor{}) {
			t.Errorf("%q is told of another operation: %+v", plain, actor)
		}
	})
}

// checkBy holds who asked against the plain text that tells it.
func checkBy(t *testing.T, plain string, actor session.Actor) {
	t.Helper()
	want := session.Actor{}
	ip, rest, ok := cutField(plain)
	device, account, also := cutField(rest)
	if ok && also {
		want.Device = device
		want.IP, _ = netip.AddrFromSlice([]byte(ip))
		if len(account) == len(want.User) {
			want.User = token.UserID([]byte(account))
		}
	}
	if actor != want {
		t.Errorf("%q is %+v, want %+v", plain, actor, want)
	}
}

func cutField(text string) (field, rest string, ok bool) {
	if text == "" || len(text) <= int(text[0]) {
		return "", "", false
	}
	return text[1 : 1+text[0]], text[1+text[0]:], true
}

// A stored event is told as the bytes say, in words of the vocabulary, by nobody where who asked does not open; one that is
// cut, or too old, is not told. Those that a script tells of are as many as there are heads.
func FuzzEvents(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	g := w.signIn(alice, laptop)
	_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	must(f, err)
	for _, stored := range w.rdb.LRange(ctx, w.ActivityKey(g.User.ID), 0, -1).Val() {
		f.Add(stored)
		f.Add(stored[:session.EventHead])
		f.Add(stored[:session.EventHead-1])
		f.Add(string(g.User.ID[:]) + stored[:session.EventHead])
	}
	f.Add("\xff" + strings.Repeat("\x00", session.EventHead-1))
	f.Add("\x03" + strings.Repeat("\xff", session.EventHead+40))
	f.Fuzz(func(t *testing.T, stored string) {
		for _, e := range w.Events(ctx, someID.User, stored) {
			checkEvent(t, e, stored)
			if e.Actor != (session.Actor{}) || e.Time.Before(w.clock.now().Add(-w.opts.ActivityKeep)) {
				t.Errorf("%q is told of %v, by %+v", stored, e.Time, e.Actor)
			}
		}
		emitted, err := session.Emitted(stored)
		size := 16 + session.EventHead
		if whole := len(stored)%size == 0; whole != (err == nil) || whole && len(emitted) != len(stored)/size {
			t.Errorf("%d bytes tell of %d events, %v", len(stored), len(emitted), err)
		}
		for i, e := range emitted {
			if string(e.User[:]) != stored[i*size:][:16] {
				t.Errorf("event %d of %q is of %v", i, stored, e.User)
			}
			checkEvent(t, e, stored[i*size+16:])
		}
	})
}

// checkEvent holds an event against the head that tells it.
func checkEvent(t *testing.T, e session.Event, head string) {
	t.Helper()
	what := byte(e.Reason)
	if e.Type != session.EventEnded {
		what = byte(e.PolicyResult)
	}
	both := e.Reason != 0 && e.PolicyResult != 0
	if both || byte(e.Type) != head[0] || what != head[session.EventHead-1] || string(e.Session.Session[:]) != head[14:30] {
		t.Errorf("%q is %+v", head, e)
	}
	if raw, err := base64.RawURLEncoding.DecodeString(e.ID); err != nil || string(raw) != head[1:14] {
		t.Errorf("%q has the id %s", head, e.ID)
	}
	for _, word := range []string{e.Type.String(), e.Reason.String(), e.Outcome()} {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz._") != "" {
			t.Errorf("%q is told as %q", head, word)
		}
	}
}

// A nonce's terms are met by the very bytes that were stored for them, and by no others. Its end, which stands in six of
// them, is told where it has passed, and only where the terms are met.
func FuzzNonceTerms(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	f.Add("", "", byte(0), byte(0), int64(1))
	f.Add(strings.Repeat("\x01", 24), "browser", byte(3), byte(1), int64(-1))
	f.Add(strings.Repeat("\x00", 23), "browser", byte(23), byte(0xff), int64(0))
	f.Fuzz(func(t *testing.T, raw, browser string, at, flip byte, left int64) {
		terms := session.NonceTerms{Transport: session.Cookie, Purpose: session.ForLogin, Browser: browser}
		refused := session.ErrDamaged
		if len(raw) == 24 {
			refused = session.ErrNonceUnknown
		}
		wants(t, w.CheckTerms(raw, terms), refused)

		stored := w.StoredTerms(terms, w.clock.now().Add(time.Duration(left%1e9)*time.Millisecond))
		wants(t, w.CheckTerms(stored, terms), w.endOf(stored))
		changed := []byte(stored)
		i := int(at) % len(changed)
		changed[i] ^= flip
		want := w.endOf(string(changed))
		if flip != 0 && (i < 2 || i >= 8) {
			want = session.ErrNonceUnknown
		}
		wants(t, w.CheckTerms(string(changed), terms), want)
		terms.Browser += "x"
		wants(t, w.CheckTerms(stored, terms), session.ErrNonceUnknown)
	})
}

// endOf is what is told of the end in a nonce's stored terms.
func (w *world) endOf(stored string) error {
	ms := binary.BigEndian.Uint64([]byte("\x00\x00" + stored[2:8]))
	if ms != 0 && time.UnixMilli(int64(ms)).After(w.clock.now()) {
		return nil
	}
	return session.ErrNonceExpired
}

// A sum is read as what it is written out as, and what is no JSON object of its form as none.
func FuzzSummary(f *testing.F) {
	f.Add(`{"asOf":"2026-11-23T10:00:00Z","active":4,"users":3,"logins":9,"failedLogins":1,"ended":{"1":2,"255":1}}`)
	f.Add(`{"asOf":"2026-11-23T10:00:00+01:00","Active":-1,"ended":{"256":1}}`)
	f.Add(`{"active":7,"ended":{"x":1}}`)
	f.Add(`{"active":1e3}`)
	f.Add(`[]`)
	f.Add(`null`)
	f.Add("")
	none, err := session.AgainSummary("")
	must(f, err)
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := session.AgainSummary(raw)
		must(t, err)
		if twice, err := session.AgainSummary(once); err != nil || twice != once {
			t.Errorf("%q is read as %s, and that as %s, %v", raw, once, twice, err)
		}
		var form struct {
			AsOf                                time.Time
			Active, Users, Logins, FailedLogins int
			Ended                               map[uint8]int
		}
		if json.Unmarshal([]byte(raw), &form) != nil && once != none {
			t.Errorf("%q is read as %s", raw, once)
		}
	})
}

// The key of whatever is presented as a nonce has one hash tag, which is two letters or digits of it or empty, and one
// length: nothing presented gets to another kind of key.
func FuzzNonceKey(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f))
	f.Add("Kq0123456789abcdefABCDEF")
	f.Add("}:0123456789abcdefABCDEF")
	f.Add("{}")
	f.Add("")
	f.Fuzz(func(t *testing.T, nonce string) {
		key := w.NonceKey(nonce)
		tag, rest, ok := strings.Cut(strings.TrimPrefix(key, w.opts.Prefix+":{"), "}:n")
		alphanumeric := func(r rune) bool {
			return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		}
		want := ""
		if len(nonce) == 24 && !slices.ContainsFunc([]rune(nonce), func(r rune) bool { return !alphanumeric(r) }) {
			want = nonce[:2]
		}
		if !strings.HasPrefix(key, w.opts.Prefix+":{") || !ok || tag != want || len(rest) != 16 {
			t.Errorf("%q has the key %q", nonce, key)
		}
	})
}
