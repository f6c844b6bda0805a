package events_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/docs"
	"latchkey/local/test/messages"
	"latchkey/local/test/redistest"
	"latchkey/shared/events"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Every member that the schema has is in a message of a real change, and no other member is. So a member that only the
// code or only the schema has fails here.
func TestSchema_complete(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		secret := []byte("0123456789abcdef0123456789abcdef")
		ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, secret))
		must(t, err)
		var clock atomic.Int64
		clock.Store(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).UnixMilli())
		opts := session.Options{
			Prefix: r.Prefix, Idle: time.Hour, Absolute: 12 * time.Hour, Access: 15 * time.Minute, Grace: time.Minute, Touch: time.Minute,
			SessionLimit: 3, StepUp: 5 * time.Minute, PreferencesKeep: 24 * time.Hour, DevicePolicy: session.PolicyLog, NetworkPolicy: session.PolicyLog,
			ActivityMax: 100, ActivityKeep: 24 * time.Hour, Outbox: session.OutboxOptions{Types: allTypes()},
		}
		store := session.NewStore(r.NewProduct(t), ring, opts, func() time.Time { return time.UnixMilli(clock.Load()) })
		alice := token.KeyAccount(common.HexToAddress("0xA11CE00000000000000000000000000000000001"))
		everyChange(t, store, &clock, alice)

		var seen messages.Coverage
		s, replayed := &sink{batch: 10}, &sink{}
		publish(t, store, messages.Wrap(t, s, &seen))
		_, err = events.Replay(ctx, store, token.Reference{Account: alice}, allTypes(), messages.Wrap(t, replayed, &seen), true)
		must(t, err)
		if len(replayed.got) != len(s.got) {
			t.Errorf("%d were sent, and %d replayed", len(s.got), len(replayed.got))
		}
		must(t, store.Erase(ctx, store.UserOf(alice), session.Change{Account: alice}))
		publish(t, store, messages.Wrap(t, s, &seen))
		for _, at := range seen.Missing(t) {
			t.Errorf("no message has %s: correct docs/events.schema.json", at)
		}
	})
}

// everyChange makes a change of each type, but for the erasure.
func everyChange(t *testing.T, store *session.Store, clock *atomic.Int64, account token.Account) {
	t.Helper()
	logins := 0
	client := session.Client{
		IP: netip.MustParseAddr("203.0.113.77"), Transport: session.Cookie,
		Device: session.Device{Name: "Firefox on Linux", Browser: "Firefox", OS: "Linux", Class: session.Desktop},
	}
	signIn := func(account token.Account) session.Grant {
		t.Helper()
		logins++
		g, err := store.Create(ctx, session.Login{Nonce: fmt.Sprint(logins), Account: account, ChainID: 1, Client: client})
		must(t, err)
		return g
	}
	user := store.UserOf(account)
	asAdmin := session.Change{Account: account, Actor: session.Actor{
		IP: client.IP, Device: "Desk", User: token.UserID{4}, Account: token.Account{Address: common.Address{5}, Chain: 10},
	}}
	g := signIn(account)
	clock.Add(time.Minute.Milliseconds())
	g, err := store.Refresh(ctx, g.RefreshToken, client)
	must(t, err)
	a, err := store.Validate(ctx, g.AccessToken, client)
	must(t, err)
	ticket, _, err := store.IssueTicket(ctx, a, g.AccessToken)
	must(t, err)
	_, err = store.UseTicket(ctx, ticket, session.TicketUse{1}, client)
	must(t, err)
	if _, err = store.UseTicket(ctx, ticket, session.TicketUse{2}, client); err == nil {
		t.Error("a ticket was used twice")
	}
	a, none, err := store.ValidateWithPreferences(ctx, g.AccessToken, client)
	must(t, err)
	_, err = store.SetPreferences(ctx, a, none, []byte(`{"theme":"dark"}`), client.Actor())
	must(t, err)
	a, err = store.Inspect(ctx, g.AccessToken, session.Cookie)
	must(t, err)
	g, err = store.StepUp(ctx, a, client, nil)
	must(t, err)
	moved := client
	moved.IP = netip.MustParseAddr("2001:db8:aa:bb::17")
	moved.Device = session.Device{Name: "Phone", Browser: "Safari", OS: "iOS", Class: session.Mobile}
	_, err = store.Validate(ctx, g.AccessToken, moved)
	must(t, err)
	_, err = store.SetRoles(ctx, user, []string{"editor", "reader"}, asAdmin)
	must(t, err)
	must(t, store.Block(ctx, user, asAdmin))
	must(t, store.Unblock(ctx, user, asAdmin))
	signIn(account)
	clock.Add(2 * time.Hour.Milliseconds())
	_, err = store.Sweep(ctx)
	must(t, err)
}

// The types, reasons, actors and CAEP types of the schema are those of the code.
func TestSchema_lists(t *testing.T) {
	var schema struct {
		Properties map[string]struct{ Enum []string }
		Defs       map[string]struct {
			Properties map[string]struct {
				Enum  []string
				Const any
			}
		} `json:"$defs"`
	}
	must(t, json.Unmarshal(docs.EventSchema, &schema))
	var types, defs []string
	for name := range events.Types() {
		types = append(types, string(name))
	}
	for name := range schema.Defs {
		if strings.Contains(name, ".") {
			defs = append(defs, name)
		}
	}
	slices.Sort(types)
	slices.Sort(defs)
	if listed := slices.Sorted(slices.Values(schema.Properties["detail-type"].Enum)); !slices.Equal(types, listed) || !slices.Equal(types, defs) {
		t.Errorf("shared/events has %q, docs/events.schema.json lists %q and defines %q", types, listed, defs)
	}
	for name, of := range events.Types() {
		want := events.New(session.Outgoing{Event: session.Event{Type: of}}, true).CAEP
		if got, _ := schema.Defs[string(name)].Properties["caep"].Const.(string); got != want {
			t.Errorf("the caep of %s is %q, want %q", name, got, want)
		}
	}
	reasons := []string{"unknown"}
	for reason := session.Reason(1); reason.String() != "unknown"; reason++ {
		reasons = append(reasons, reason.String())
	}
	slices.Sort(reasons)
	if got := slices.Sorted(slices.Values(schema.Defs["session.ended"].Properties["reason"].Enum)); !slices.Equal(got, reasons) {
		t.Errorf("reasons %q, want %q", got, reasons)
	}
	kinds := []string{string(events.ByUser), string(events.ByAdmin), string(events.ByPolicy), string(events.BySystem)}
	if got := schema.Defs["Actor"].Properties["kind"].Enum; !slices.Equal(got, kinds) {
		t.Errorf("actors %q, want %q", got, kinds)
	}
}

// What a webhook posts is what docs/asyncapi.json says, body and headers.
func TestSchema_webhook(t *testing.T) {
	var faults []error
	server := newReceiver(t, func(err error) { faults = append(faults, err) })
	o := outgoing()
	o.ID = "AaIH34mg8C3fMKvrAA"
	w := newWebhook(t, server)
	_, err := w.Send(ctx, []events.Delivery{{Type: events.TypeOf(o.Type), Message: events.New(o, true), At: o.Time}})
	must(t, err)
	if len(faults) != 1 || faults[0] != nil {
		t.Errorf("%v", faults)
	}
}

// The check is closed: it notices what the documents do not have, and what is missing.
func TestSchema_closed(t *testing.T) {
	o := outgoing()
	good, err := json.Marshal(events.New(o, true))
	must(t, err)
	must(t, messages.Validate("session.ended", good))
	for name, change := range map[string]func(m map[string]any){
		"a new member":               func(m map[string]any) { m["more"] = 1 },
		"a new member of the actor":  func(m map[string]any) { m["actor"].(map[string]any)["more"] = 1 },
		"no reason":                  func(m map[string]any) { delete(m, "reason") },
		"an unknown reason":          func(m map[string]any) { m["reason"] = "bored" },
		"no sequence":                func(m map[string]any) { delete(m, "sequence") },
		"no chain":                   func(m map[string]any) { delete(m, "chainId") },
		"no session":                 func(m map[string]any) { delete(m, "sessionId") },
		"roles":                      func(m map[string]any) { m["roles"] = map[string]any{"before": []any{}, "after": []any{}} },
		"a user with an id":          func(m map[string]any) { m["actor"].(map[string]any)["kind"] = "user" },
		"a token where an id should": func(m map[string]any) { m["sessionId"] = "lka_" + strings.Repeat("A", 60) },
		"another time":               func(m map[string]any) { m["time"] = "2026-11-23T09:00:00+01:00" },
		"another CAEP type":          func(m map[string]any) { m["caep"] = "https://schemas.openid.net/x" },
	} {
		m := map[string]any{}
		must(t, json.Unmarshal(good, &m))
		change(m)
		bad, err := json.Marshal(m)
		must(t, err)
		if messages.Validate("session.ended", bad) == nil {
			t.Errorf("%s is valid", name)
		}
	}
	if messages.Validate("session.opened", good) == nil {
		t.Error("a type that nobody knows is valid")
	}
}

// newReceiver is a receiver that checks what it gets against the documents. It returns its URL.
func newReceiver(t *testing.T, found func(error)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = messages.ValidateBody(r.Header, body)
		}
		found(err)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
