package session_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// The types of events as scripts name them.
var events = map[session.EventType]string{
	session.EventLogin: "LOGIN", session.EventRefresh: "REFRESH", session.EventEnded: "ENDED", session.EventStepUp: "STEP_UP",
	session.EventDevice: "DEVICE", session.EventNetwork: "NETWORK", session.EventRoles: "ROLES", session.EventBlocked: "BLOCKED",
	session.EventUnblocked: "UNBLOCKED", session.EventErased: "ERASED", session.EventPreferences: "PREFERENCES",
}

// The layout stands in Go and in Lua, and so do outcomes and reasons: every constant of a script is the same here, and
// every one here is a script's.
func TestLayout_scriptsAgree(t *testing.T) {
	want := map[string]string{
		"HEAD": fmt.Sprint(session.HeadSize), "LIVE": fmt.Sprint(session.EntrySize), "ENDED": fmt.Sprint(session.EndedSize),
		"DAY": fmt.Sprint(session.Day.Milliseconds()), "REMEMBERED": "16", "MOST": "255", "LATE": "HOUR / 4", "RETENTION": "90 * DAY", "DAMAGED": "9",
		"PREFERENCES": "2", "MEMORY": "HOUR / 12",
		"HOUR":   "3600000",
		"COUNTS": fmt.Sprint(session.CountersSize), "CHAIN": fmt.Sprint(session.ChainSize), "CELL": fmt.Sprint(session.HourlyCountSize),
		"LOGINS": fmt.Sprint(session.HourlyLogins), "RENEWALS": fmt.Sprint(session.HourlyRenewals), "HOURS": fmt.Sprint(session.HourlyKept + 1), "COMPACT": "128",
		"HELD": fmt.Sprint(session.FlagStepUpRequired), "DEVICE_ID": fmt.Sprint(session.FlagDeviceID),
	}
	for event, name := range events {
		want["EVENT_"+name] = fmt.Sprint(int(event))
	}
	for policy, name := range []string{"OFF", "LOG", "STEP_UP", "REVOKE"} {
		want[name] = fmt.Sprint(policy)
		if got := session.Policy(policy).String(); got != strings.ToLower(name) {
			t.Errorf("policy %d is %s", policy, got)
		}
	}
	for name, outcome := range session.Outcomes {
		if want[name] = fmt.Sprint(outcome); want[name] == want["DAMAGED"] {
			t.Errorf("%s is told as damage", name)
		}
	}
	for _, r := range reasons {
		if r.reason != session.Revoked && r.reason != session.RevokedByAdmin { // which callers name, and no script
			want[strings.ToUpper(r.name)] = fmt.Sprint(int(r.reason))
		}
	}
	seen := map[string]bool{}
	for _, c := range scriptConstants(t) {
		if seen[c.name] = true; want[c.name] != c.value {
			t.Errorf("%s: %s is %s, in Go it is %q", c.file, c.name, c.value, want[c.name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !seen[name] {
			t.Errorf("no script has %s", name)
		}
	}
}

type scriptConstant struct{ file, name, value string }

var assignment = regexp.MustCompile(`(?m)^local ([A-Z][A-Z_, ]*) = (.*?)(?:\s+--.*)?$`)

// scriptConstants are the upper-case locals of all scripts.
func scriptConstants(t *testing.T) []scriptConstant {
	t.Helper()
	files, err := filepath.Glob("*.lua")
	must(t, err)
	if !slices.Contains(files, "prelude.lua") {
		t.Fatalf("no prelude among %q", files)
	}
	var all []scriptConstant
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, match := range assignment.FindAllStringSubmatch(string(text), -1) {
			names, values := strings.Split(match[1], ", "), strings.Split(match[2], ", ")
			if len(names) != len(values) {
				t.Fatalf("%s: cannot read %q", file, match[0])
			}
			for i := range names {
				all = append(all, scriptConstant{file: file, name: names[i], value: values[i]})
			}
		}
	}
	return all
}
