package boot_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
)

const (
	stormCalls     = 1000
	stormInstances = 16 // of each function that a storm is on, as Lambda would start them
	stormLimit     = 3
)

// storm is instances of functions on one cluster, with rate limits off: many of
// those that it is on.
type storm map[string][]*function

func newStorm(t *testing.T, binaries string, r redistest.Redis) storm {
	t.Helper()
	env := append(environment(t, r), "REDIS_CLUSTER=true", fmt.Sprint("MAX_CONCURRENT_SESSIONS=", stormLimit), "REFRESH_GRACE_SECONDS=300",
		"RATE_LIMIT_NONCE_PER_MINUTE=0", "RATE_LIMIT_LOGIN_PER_MINUTE=0", "RATE_LIMIT_REFRESH_PER_MINUTE=0")
	s := storm{}
	for name, instances := range map[string]int{
		"issue-nonce": stormInstances, "log-in": stormInstances, "refresh-session": stormInstances,
		"get-profile": 1, "list-sessions": 1, "list-activity": 1,
	} {
		for range instances {
			s[name] = append(s[name], startFunction(t, filepath.Join(binaries, name), env...))
		}
	}
	return s
}

// one is a system of one instance of each, with instance number n of those that
// there are many of.
func (s storm) one(n int) system {
	all := system{}
	for name, instances := range s {
		all[name] = instances[n%len(instances)]
	}
	return all
}

// each has the calls made, by as many at once as there are instances.
func (s storm) each(calls int, call func(one system, i int)) {
	work := make(chan int, calls)
	for i := range calls {
		work <- i
	}
	close(work)
	var all sync.WaitGroup
	for n := range stormInstances {
		all.Go(func() {
			for i := range work {
				call(s.one(n), i)
			}
		})
	}
	all.Wait()
}

func testStorm(t *testing.T, binaries string) {
	r := redistest.Cluster(t)
	s := newStorm(t, binaries, r)
	t.Run("logins", func(t *testing.T) { testLoginStorm(t, s, r) })
	t.Run("refreshes", func(t *testing.T) { testRefreshStorm(t, s) })
}

// Invariant 4: a thousand logins of one address at once all take effect, and at
// no moment it has more sessions than the limit.
func testLoginStorm(t *testing.T, s storm, r redistest.Redis) {
	account, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	messages, granted := make([]map[string]string, stormCalls), make([]tokens, stormCalls)
	s.each(stormCalls, func(one system, i int) {
		messages[i] = signedBy(t, account, func(query string) lambdatest.Response { return one.nonce(t, query) })
	})
	stop, most := make(chan struct{}), make(chan int)
	go func() { most <- mostSessions(t, r, stop) }()
	s.each(stormCalls, func(one system, i int) {
		granted[i] = tokensOf(t, one.post(t, "log-in", "/auth/login", messages[i]))
	})
	close(stop)
	if n := <-most; n != stormLimit {
		t.Errorf("%d sessions were live at once, want %d", n, stormLimit)
	}
	// The newest are live. They are among the last, if not in the order of
	// their replies; one that a busy machine held up may be further back.
	live := 0
	for i, g := range slices.Backward(granted) {
		if live == stormLimit && i < stormCalls-4*stormInstances {
			break
		}
		got := s.one(0).profile(t, g.AccessToken)
		if got.StatusCode != http.StatusOK {
			continue
		}
		if live++; live == 1 {
			list := s.one(0).member(t, memberCall{name: "list-sessions", method: "GET", route: "/api/sessions"}, g.AccessToken)
			if n := strings.Count(list.Body, `"createdAt"`); n != stormLimit || list.StatusCode != http.StatusOK {
				t.Errorf("%d sessions are listed: %d %s", n, list.StatusCode, list.Body)
			}
		}
	}
	if live != stormLimit {
		t.Errorf("%d tokens open a session, want %d", live, stormLimit)
	}
}

// mostSessions looks at the one record that there is until it is told to stop,
// and returns the largest number of live sessions that it listed: byte 32 of a
// record, see shared/session.
func mostSessions(t *testing.T, r redistest.Redis, stop chan struct{}) int {
	most, key := 0, ""
	for {
		if key == "" {
			if keys := r.Keys(t, r.Prefix+":{*}:u*"); len(keys) > 0 {
				key = keys[0]
			}
		} else if n, err := r.Client().GetRange(context.Background(), key, 32, 32).Result(); err != nil || len(n) != 1 {
			t.Errorf("reading the record: %q, %v", n, err)
		} else {
			most = max(most, int(n[0]))
		}
		select {
		case <-stop:
			return most
		default:
		}
	}
}

// Invariant 3: a thousand refreshes of one token at once are answered with one
// and the same successor, which came into being once.
func testRefreshStorm(t *testing.T, s storm) {
	first := s.one(0).login(t)
	granted := make([]tokens, stormCalls)
	s.each(stormCalls, func(one system, i int) { granted[i] = tokensOf(t, one.refresh(t, first.RefreshToken)) })
	if same := slices.Compact(granted); len(same) != 1 || same[0] == first {
		t.Errorf("%d successors", len(same))
	}
	wantStatus(t, s.one(0).profile(t, granted[0].AccessToken), http.StatusOK)
	got := s.one(0).member(t, memberCall{name: "list-activity", method: "GET", route: "/api/activity"}, granted[0].AccessToken)
	if n := strings.Count(got.Body, `"type":"refresh"`); n != 1 || got.StatusCode != http.StatusOK {
		t.Errorf("%d rotations are in the activity: %d %s", n, got.StatusCode, got.Body)
	}
}
