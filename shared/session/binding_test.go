package session_test

import (
	"net/netip"
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func (w *world) binding(id token.ID, c session.Client) session.Binding {
	w.t.Helper()
	binding, err := w.Binding(id, c)
	must(w.t, err)
	return binding
}

// Equal devices and networks look unlike in two sessions, be they of one account or not.
func TestBinding_boundToTheSession(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	mine := token.ID{User: token.UserID{1}, Session: [16]byte{2}}
	otherUser, otherRandom := mine, mine
	otherUser.User[0], otherRandom.Session[0] = 3, 3
	own := w.binding(mine, laptop)
	if again := w.binding(mine, laptop); again != own {
		t.Errorf("the same client gives %x and %x", own, again)
	}
	for name, id := range map[string]token.ID{"account": otherUser, "session": otherRandom} {
		got := w.binding(id, laptop)
		if got.Bare == own.Bare || got.Full == own.Full {
			t.Errorf("the device looks alike in another %s", name)
		}
		if got.Network == own.Network {
			t.Errorf("the network looks alike in another %s", name)
		}
	}
}

// What a login lists are those traits: of the device with the id, where one came along.
func TestBinding_listed(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		withID := laptop
		withID.Device.ID = "device-1"
		w.signIn(alice, laptop)
		g := w.signIn(alice, withID)
		live := w.stored(g).Live
		bare, full := w.binding(live[0].ID, laptop), w.binding(live[1].ID, withID)
		if live[0].Device != bare.Bare || live[0].Network != bare.Network {
			t.Errorf("listed is %x, want %x", live[0], bare)
		}
		if live[1].Device != full.Full || live[1].Network != full.Network {
			t.Errorf("with an id listed is %x, want %x", live[1], full)
		}
		if bare.Network == full.Network || bare.Bare == full.Bare {
			t.Error("two sessions of one client look alike")
		}
	})
}

func TestBinding_device(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	id := token.ID{User: token.UserID{1}}
	base := session.Device{Name: "Laptop", Browser: "Firefox", OS: "Linux", Class: session.Desktop, ID: "device-1"}
	own := w.binding(id, session.Client{Device: base})
	for name, c := range map[string]struct {
		change     func(*session.Device)
		bare, full bool // whether it is still the same
	}{
		"name":    {func(d *session.Device) { d.Name = "other" }, true, true},
		"id":      {func(d *session.Device) { d.ID = "device-2" }, true, false},
		"no id":   {func(d *session.Device) { d.ID = "" }, true, false},
		"browser": {func(d *session.Device) { d.Browser = "Safari" }, false, false},
		"system":  {func(d *session.Device) { d.OS = "macOS" }, false, false},
		"class":   {func(d *session.Device) { d.Class = session.Tablet }, false, false},
		"framing": {func(d *session.Device) { d.Browser, d.OS = "FirefoxL", "inux" }, false, false},
	} {
		device := base
		c.change(&device)
		got := w.binding(id, session.Client{Device: device})
		if (got.Bare == own.Bare) != c.bare || (got.Full == own.Full) != c.full {
			t.Errorf("another %s: same without id %v, with id %v", name, got.Bare == own.Bare, got.Full == own.Full)
		}
	}
}

// A network is IPv4 at /24, IPv6 at /64; no address is a network of its own.
func TestBinding_network(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	network := func(ip string) [8]byte {
		var c session.Client
		if ip != "" {
			c.IP = netip.MustParseAddr(ip)
		}
		return w.binding(token.ID{User: token.UserID{1}}, c).Network
	}
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"203.0.113.0", "203.0.113.255", true},
		{"203.0.113.255", "203.0.114.0", false},
		{"203.0.113.7", "203.0.112.7", false},
		{"::ffff:203.0.113.7", "203.0.113.9", true},
		{"2001:db8:aa:bb::1", "2001:db8:aa:bb:ffff:ffff:ffff:ffff", true},
		{"2001:db8:aa:bb::1", "2001:db8:aa:bc::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"", "", true},
		{"", "0.0.0.0", false},
		{"", "::", false},
		{"0.0.0.0", "::", false},
	} {
		if got := network(c.a) == network(c.b); got != c.same {
			t.Errorf("%q and %q in one network: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}
