package history_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/history"
	"latchkey/local/test/redistest"
	"latchkey/local/test/report"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

var ctx = context.Background()

// rules are such that deadlines, grace and touch interval pass within a history, whose clock goes over some twenty minutes.
func rules(prefix string) session.Options {
	return session.Options{
		Prefix: prefix, Idle: 4 * time.Minute, Absolute: 12 * time.Minute, Access: 3 * time.Minute, Grace: 45 * time.Second,
		Touch: 30 * time.Second, StepUp: 5 * time.Minute, StateQuota: 1 << 10,
		SessionLimit: 2, RoleLimits: map[string]int{"editor": 3},
		Outbox: session.OutboxOptions{Types: []session.EventType{
			session.EventLogin, session.EventRefresh, session.EventEnded, session.EventStepUp, session.EventDevice, session.EventNetwork,
			session.EventRoles, session.EventBlocked, session.EventUnblocked, session.EventErased, session.EventPreferences,
			session.EventTicketReused,
		}},
	}
}

// published asserts that of each account the outboxes have all that its activity has, last and in the same order. What was there
// before it was erased is in front.
func published(t *testing.T, s *session.Store, accounts int) {
	t.Helper()
	var of []int
	for n := range session.OutboxPartitions {
		of = append(of, n)
	}
	all, err := s.Outgoing(ctx, of, session.OutboxMax)
	must(t, err)
	sent, compared := map[token.UserID][]string{}, 0
	for partition, some := range all {
		if len(some) == session.OutboxMax {
			t.Fatalf("the outbox %d is full", partition)
		}
		for _, o := range some {
			sent[o.User] = append(sent[o.User], o.ID)
		}
	}
	for n := range accounts {
		address := common.BytesToAddress(binary.BigEndian.AppendUint64([]byte("history"), uint64(n+1)))
		user := s.UserOf(token.KeyAccount(address))
		recorded, _, err := s.Activity(ctx, user, "", 5000)
		must(t, err)
		var want []string
		for _, e := range slices.Backward(recorded) {
			want = append(want, e.ID)
		}
		got := sent[user]
		if got = got[max(0, len(got)-len(want)):]; !slices.Equal(got, want) {
			t.Errorf("of account %d the outbox has %q, the activity %q", n+1, got, want)
		}
		compared += len(want)
	}
	if compared == 0 {
		t.Error("there was nothing to compare")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check fails the test with what is wrong with a history, and says where its picture is.
func check(t *testing.T, h history.History) {
	t.Helper()
	err := h.Check(time.Minute)
	var wrong *history.Violation
	if errors.As(err, &wrong) {
		path := filepath.Join(t.ArtifactDir(), "history.html")
		must(t, wrong.Draw(path))
		t.Logf("picture: %s", path)
	}
	must(t, err)
}

// product is a client of the product's user that nobody has used yet.
func product(t *testing.T, r redistest.Redis) redis.UniversalClient {
	t.Helper()
	return r.NewProduct(t, func(opts *redis.UniversalOptions) {
		opts.PoolTimeout, opts.ReadTimeout, opts.DialTimeout = time.Minute, time.Minute, time.Minute
	})
}

// Whatever clients do at once, with clocks that differ by up to a minute, answers and requests lost, and scripts that run
// twice: each account's operations have an order in which each did what it would have done alone.
func TestHistory_linearizable(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		config := history.Config{
			Rules: rules(r.Prefix), Clients: 4, Accounts: 2, Operations: 40,
			Step: 20 * time.Second, Skew: 30 * time.Second, Faults: 0.08,
		}
		histories := uint64(60)
		if r.Mini != nil {
			histories, config.Operations = 30, 15 // each of which takes long
		}
		d, err := history.NewDriver(product(t, r), config)
		must(t, err)
		for seed := range histories {
			if r.Mini != nil && seed%3 == 0 {
				r.Mini.FlushAll() // an engine that looks at the TTLs of all keys at each command becomes slow
			}
			check(t, d.Run(ctx, seed))
		}
		describe(t, d, int(histories)*config.Accounts)
		if r.Mini == nil { // which was flushed
			published(t, d.Store(10*time.Minute), int(histories)*config.Accounts)
		}
		logProgress(t, d.Progress())
		must(t, report.Write("histories-"+r.Name, fmt.Sprintf("on %s: %v, violations 0", r.Name, d.Progress())))
	})
}

// The sweeper may come by at any time, and somebody may list accounts: a list has who is in its state at some moment of the
// walk, with a note of such a moment.
func TestHistory_swept(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		r := e.Server(t)
		d, err := history.NewDriver(product(t, r), history.Config{
			Rules: rules(r.Prefix), Clients: 4, Accounts: 3, Operations: 60, Step: 30 * time.Second, Faults: 0.05, Sweeping: true, Listing: true,
		})
		must(t, err)
		for seed := range uint64(5) {
			check(t, d.Run(ctx, seed))
		}
		if did := d.Progress(); did.Operations[history.Sweep] < 5 || did.Operations[history.List] < 5 || did.Operations[history.ReadNote] == 0 || did.Answers["idle_timeout"] == 0 {
			t.Errorf("it did %+v", did)
		}
	})
}

// describe compares, once the sweeper has passed, what the counters tell with what the accounts have.
func describe(t *testing.T, d *history.Driver, accounts int) {
	t.Helper()
	now := 10 * time.Minute // when many a history's sessions still live
	s := d.Store(now)
	_, err := s.Sweep(ctx)
	must(t, err)
	live := 0
	for account := range accounts {
		a, _ := d.Do(ctx, history.Call{Kind: history.ReadAccount, Account: account + 1, Now: now}, history.NoFault)
		live += len(a.Sessions)
	}
	statistics, err := s.Statistics(ctx)
	must(t, err)
	if statistics.Active != live || live == 0 {
		t.Errorf("the counters have %d sessions, the accounts %d", statistics.Active, live)
	}
}

// logProgress asserts that there was something to check: every kind of operation, of answer and of fault.
func logProgress(t *testing.T, did history.Progress) {
	t.Helper()
	for _, kind := range []history.Kind{
		history.LogIn, history.Validate, history.Refresh, history.LogOut, history.RevokeAll, history.RevokeOthers, history.Block,
		history.Unblock, history.SetRoles, history.ReadOnly, history.IssueTicket, history.UseTicket, history.ReadAccount,
		history.ReadActivity, history.Erase,
	} {
		if did.Operations[kind] == 0 {
			t.Errorf("nobody did %v", kind)
		}
	}
	for _, answer := range []string{
		"", "evicted", "refresh_reused", "revoked", "logged_out", "idle_timeout", "account_blocked", "account_erased", session.ErrBlocked.Error(),
		session.ErrTokenExpired.Error(), session.ErrNonceSpent.Error(), session.ErrTicketUsed.Error(),
	} {
		if did.Answers[answer] == 0 {
			t.Errorf("nobody was answered %q", answer)
		}
	}
	if did.Lost == 0 || did.Repeated == 0 {
		t.Errorf("%d answers were lost, and %d attempts were made again", did.Lost, did.Repeated)
	}
}
