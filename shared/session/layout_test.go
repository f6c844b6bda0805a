package session_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey/shared/session"
)

// The reasons and their names, in the order of their stored numbers, which never change.
var reasons = []struct {
	reason session.Reason
	name   string
}{
	{session.LoggedOut, "logged_out"}, {session.IdleTimeout, "idle_timeout"}, {session.AbsoluteTimeout, "absolute_timeout"},
	{session.Evicted, "evicted"}, {session.Revoked, "revoked"}, {session.RevokedByAdmin, "revoked_by_admin"},
	{session.RefreshReused, "refresh_reused"}, {session.HijackSuspected, "hijack_suspected"},
	{session.AccountBlocked, "account_blocked"}, {session.AccountErased, "account_erased"}, {session.StoreReset, "store_reset"},
	{session.WalletChanged, "wallet_changed"},
}

func TestReason_numbersAreStored(t *testing.T) {
	for i, r := range reasons {
		if int(r.reason) != i+1 || r.reason.String() != r.name {
			t.Errorf("reason %d is %v, want %d %s", r.reason, r.reason, i+1, r.name)
		}
	}
	for _, none := range []session.Reason{0, session.Reason(len(reasons) + 1), 255} {
		if got := none.String(); got != "unknown" {
			t.Errorf("reason %d is %q", none, got)
		}
	}
}

// What is stored, or kept for a promise, never changes by accident: these numbers
// are written out once more on purpose.
func TestConstants_areStored(t *testing.T) {
	for name, want := range map[string]string{
		"ENDED_KEPT": "16", "ENDED_MAX": "255", "EVENTS_READ_AGAIN": "128", "SEGMENT_COMPACT": "128",
		"MINUTE": "60000", "HOUR": "3600000", "DAY": "86400000", "HOURS_KEPT": "25",
		"LOGIN_UNDER_WAY": "4200000", "REPLY_CACHE": "300000", "RETENTION": "7776000000",
		"BLOCKED_FLAG": "1", "PREFERENCES_FLAG": "2", "STEP_UP_REQUIRED": "1", "DEVICE_ID": "2",
		"LOGINS": "0", "RENEWALS": "255",
	} {
		if got := session.ConstantValue(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for i, name := range []string{"off", "log", "step_up", "revoke"} {
		if got := session.Policy(i).String(); got != name {
			t.Errorf("policy %d is %s, want %s", i, got, name)
		}
		if got := session.ConstantValue(strings.ToUpper(name)); got != strconv.Itoa(i) {
			t.Errorf("scripts take the policy %s as %s, want %d", name, got, i)
		}
	}
	for i, name := range []string{
		"LOGIN", "REFRESH", "ENDED", "STEP_UP", "DEVICE", "NETWORK", "ROLES", "BLOCKED", "UNBLOCKED", "ERASED", "PREFERENCES",
	} {
		if got := session.ConstantValue("EVENT_" + name); got != strconv.Itoa(i+1) {
			t.Errorf("scripts write the event %s as %s, want %d", name, got, i+1)
		}
	}
	for _, r := range reasons {
		if r.reason == session.Revoked || r.reason == session.RevokedByAdmin || r.reason == session.WalletChanged {
			continue // callers name these, and no script
		}
		if got := session.ConstantValue(strings.ToUpper(r.name)); got != strconv.Itoa(int(r.reason)) {
			t.Errorf("scripts write the reason %s as %s, want %d", r.name, got, r.reason)
		}
	}
}

// No two outcomes are the same, so none is taken for another or for damage.
func TestConstants_outcomesDiffer(t *testing.T) {
	names := []string{
		"UNKNOWN", "DONE", "ENDED", "SPENT", "BLOCKED", "FULL", "PRECONDITION", "TOO_LARGE", "LIMITED", "DAMAGED",
		"STALE", "MISSING", "LAST", "EXPIRED",
	}
	seen := map[string]string{}
	for _, name := range names {
		value := session.ConstantValue(name)
		if other, taken := seen[value]; taken || value == "" {
			t.Errorf("%s is %q, as is %q", name, value, other)
		}
		seen[value] = name
	}
}

// Go reads each field where scripts write it: a change of its bytes is a change
// of that field alone.
func TestLayout_scriptsAgree(t *testing.T) {
	head := session.Fields("head")
	for _, c := range []struct {
		layout, raw string
		at          int // of the layout in raw
		decode      func(string) map[string]any
	}{
		{"", strings.Repeat("\x00", session.EntrySize), 0, session.DecodedSession},
		{"head", "\x01" + strings.Repeat("\x00", session.HeadSize-1), 0, session.DecodedRecord},
		{"ended", strings.Repeat("\x00", session.EndedSize), 0, session.DecodedEnded},
		{"event", strings.Repeat("\x00", session.EventHead), 0, session.DecodedEvent},
		{"counters", "\x01" + strings.Repeat("\x00", session.CountersSize-1), 0, session.DecodedCounters},
	} {
		end := 0
		for _, f := range session.Fields(c.layout) {
			if end = f.At + f.Size; f.Name == "format" || c.layout == "counters" && f.Name == "chains" {
				continue
			}
			for at := f.At; at < end; at++ {
				want := []string{f.Name}
				switch {
				case c.layout == "event" && (f.Name == "idem" || f.Name == "number"):
					want = []string{"id"}
				case c.layout == "event" && f.Name == "time":
					want = []string{"id", "time"}
				}
				changed := c.raw[:at] + "\x01" + c.raw[at+1:]
				if got := session.Differing(c.decode(c.raw), c.decode(changed)); !slices.Equal(got, want) {
					t.Errorf("byte %d of the layout %q is of %s, and Go reads %q", at, c.layout, f.Name, got)
				}
			}
		}
		if c.layout == "head" {
			end += len(session.Fields("lengths"))
		}
		if end != len(c.raw) {
			t.Errorf("the layout %q has %d bytes, want %d", c.layout, end, len(c.raw))
		}
	}
	if last := head[len(head)-1]; session.Fields("lengths")[0].At != last.At+last.Size {
		t.Error("a record's lengths do not follow its head")
	}
	lengths := map[string]int{"roles": 5, "live": session.EntrySize, "ended": session.EndedSize}
	for _, f := range session.Fields("lengths") {
		one := "\x01" + strings.Repeat("\x00", session.HeadSize-1)
		size, count := lengths[f.Name], 1
		if f.Name == "roles" {
			size, count = 1, 5
		}
		raw := one[:f.At] + string(rune(count)) + one[f.At+1:] + strings.Repeat("r", size*count)
		if got := session.DecodedRecord(raw)[f.Name]; got != count {
			t.Errorf("a record with %d of %s reads as %v", count, f.Name, got)
		}
	}
	sizes := map[string]int{"chain": session.ChainSize, "cell": session.HourlyCountSize}
	for layout, want := range sizes {
		fields := session.Fields(layout)
		if last := fields[len(fields)-1]; last.At+last.Size != want {
			t.Errorf("the layout %s has %d bytes, want %d", layout, last.At+last.Size, want)
		}
	}
}
