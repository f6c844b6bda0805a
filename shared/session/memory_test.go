package session_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/redistest"
	"latchkey/shared/session"
)

// memoryAccounts is how many accounts are measured, with one session each.
const memoryAccounts = 10000

// What a live session weighs in Redis, with its account, counters and index, at 10,000 sessions of 10,000 addresses, each
// just after a login with a browser.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name     string
		activity int
		most     float64
	}{{"without activity", 0, 700}, {"with activity", 50, 1200}} {
		t.Run(c.name, func(t *testing.T) {
			m := measure(t, c.activity)
			t.Logf("%s: %.0f bytes a live session (%s)", c.name, m.session, m.parts)
			if m.session > c.most || m.session < 300 {
				t.Errorf("a live session weighs %.0f bytes, want 300 to %.0f", m.session, c.most)
			}
		})
	}
}

// BenchmarkMemory reports the same as a metric.
func BenchmarkMemory(b *testing.B) {
	for name, activity := range map[string]int{"activity=0": 0, "activity=50": 50} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(measure(b, activity).session, "bytes/session")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// weight is what a session weighs in all, in bytes, and what of it is what.
type weight struct {
	session float64
	parts   string
}

// measure signs all accounts in on a server of their own.
func measure(t testing.TB, activity int) weight {
	t.Helper()
	r := redistest.ServerWith(t).Under(t, "lk") // as where nothing else is configured: the length of keys counts
	w := newWorld(t, r, func(o *session.Options) { o.ActivityMax, o.ActivityKeep = activity, 90*session.Day })
	browser := session.Client{
		IP: netip.MustParseAddr("203.0.113.77"), Transport: session.Cookie,
		Device: session.Device{Name: "Chrome on macOS", Browser: "Chrome", OS: "macOS", Class: session.Desktop},
	}
	callers := 8
	login := func(n int) {
		_, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint(n), Address: person(n), ChainID: 1, Client: browser})
		if err != nil {
			t.Error(err)
		}
	}
	together(callers, func(i int) { login(-10 - i) }) // scripts and connections weigh as much as they ever will
	before := w.usedMemory()
	var next atomic.Int64
	together(callers, func(int) {
		for n := next.Add(1); n <= memoryAccounts; n = next.Add(1) {
			login(int(n))
		}
	})
	total := float64(w.usedMemory()-before) / memoryAccounts
	return weight{session: total, parts: w.parts(total)}
}

var usedMemory = regexp.MustCompile(`(?m)^used_memory:(\d+)`)

func (w *world) usedMemory() int {
	w.t.Helper()
	info, err := w.rdb.Info(ctx, "memory").Result()
	must(w.t, err)
	n, err := strconv.Atoi(usedMemory.FindStringSubmatch(info)[1])
	must(w.t, err)
	return n
}

// parts tells how much of each kind of key comes to a session; what is left are the tables that find them.
func (w *world) parts(total float64) string {
	w.t.Helper()
	keys := w.redis.Keys(w.t, w.opts.Prefix+":*")
	sizes := make([]*redis.IntCmd, len(keys))
	_, err := w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			sizes[i] = p.MemoryUsage(ctx, key, 0)
		}
		return nil
	})
	must(w.t, err)
	weights := map[string]float64{}
	for i, key := range keys {
		_, name, _ := strings.Cut(key, "}:")
		weights[name[:1]] += float64(sizes[i].Val()) / memoryAccounts
	}
	rest := total
	var parts []string
	for kind, name := range map[string]string{"u": "record", "s": "payload", "a": "activity", "c": "counters", "x": "index"} {
		if n := weights[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %.0f", name, n))
			rest -= n
		}
	}
	slices.Sort(parts)
	return strings.Join(append(parts, fmt.Sprintf("tables %.0f", rest)), ", ")
}
