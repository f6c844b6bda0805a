package session_test

import (
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
