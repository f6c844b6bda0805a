package events_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/events"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func outgoing() session.Outgoing {
	o := session.Outgoing{Sequence: 12, ChainID: 8453, Transport: session.Cookie}
	o.ID, o.Type, o.Time = "id", session.EventEnded, time.Date(2026, 11, 23, 10, 0, 0, 5e6, time.FixedZone("", 3600))
	o.User, o.Account = token.UserID{1}, token.KeyAccount(common.Address{2})
	o.Session, o.Reason = token.ID{User: token.UserID{1}, Session: [16]byte{3}}, session.RevokedByAdmin
	o.Actor = session.Actor{
		IP: netip.MustParseAddr("192.0.2.1"), Device: "Operator's desk", User: token.UserID{4}, Account: token.KeyAccount(common.Address{5}),
	}
	return o
}

func text(t *testing.T, o session.Outgoing, details bool) string {
	t.Helper()
	b, err := json.Marshal(events.New(o, details))
	must(t, err)
	return string(b)
}

func TestNew(t *testing.T) {
	const whole = `{"v":1,"id":"id","time":"2026-11-23T09:00:00.005Z","userId":"AQAAAAAAAAAAAAAAAAAAAA",` +
		`"account":"0x0200000000000000000000000000000000000000","sessionId":"AQAAAAAAAAAAAAAAAAAAAAMAAAAAAAAAAAAAAAAAAAA",` +
		`"reason":"revoked_by_admin","actor":{"kind":"admin","userId":"BAAAAAAAAAAAAAAAAAAAAA","account":"0x0500000000000000000000000000000000000000"},` +
		`"sequence":12,"chainId":8453,"transport":"cookie","device":"Operator's desk","ip":"192.0.2.1",` +
		`"caep":"https://schemas.openid.net/secevent/caep/event-type/session-revoked"}`
	if got := text(t, outgoing(), true); got != whole {
		t.Errorf("\n got %s\nwant %s", got, whole)
	}
	if got := fmt.Sprint(events.New(outgoing(), true)); got != whole {
		t.Errorf("in a log for people it is %s", got)
	}
	m := events.New(outgoing(), false)
	if m.IP != "" || m.Device != "" || m.Actor.Account == "" {
		t.Errorf("without details %+v", m)
	}
	bare := session.Outgoing{Sequence: 1}
	bare.Type, bare.ID = session.EventPreferences, "x"
	const want = `{"v":1,"id":"x","time":"0001-01-01T00:00:00.000Z","userId":"AAAAAAAAAAAAAAAAAAAAAA","actor":{"kind":"user"},"sequence":1}`
	if got := text(t, bare, true); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestNew_actor(t *testing.T) {
	for reason, want := range map[session.Reason]events.ActorKind{
		session.LoggedOut: events.ByUser, session.IdleTimeout: events.BySystem, session.AbsoluteTimeout: events.BySystem,
		session.Evicted: events.ByPolicy, session.Revoked: events.ByUser, session.RefreshReused: events.ByPolicy,
		session.HijackSuspected: events.ByPolicy, session.AccountErased: events.ByUser, session.StoreReset: events.ByPolicy,
		session.WalletChanged: events.ByPolicy,
	} {
		o := outgoing()
		o.Reason, o.Actor = reason, session.Actor{}
		if got := events.New(o, true).Actor; got != (events.Actor{Kind: want}) {
			t.Errorf("%v is by %+v, want %s", reason, got, want)
		}
	}
}

// Every type of event has a type of message, and its own.
func TestTypes(t *testing.T) {
	seen := map[events.Type]bool{}
	for of := session.EventLogin; !of.IsLook(); of++ {
		name := events.TypeOf(of)
		if name == "" || seen[name] {
			t.Errorf("%v is published as %q", of, name)
		}
		seen[name] = true
		if events.Types()[name] != of {
			t.Errorf("%q is not %v", name, of)
		}
	}
	if len(seen) != len(events.Types()) {
		t.Errorf("%d types, %d seen", len(events.Types()), len(seen))
	}
}
