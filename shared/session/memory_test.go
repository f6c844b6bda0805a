package session_test

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// The values of an account with one session of that browser.
const (
	recordBytes  = 34 + 185
	payloadBytes = 75
)

// memoryAccounts is how many accounts are measured, with one session each.
const memoryAccounts = 10000

// What a live session weighs in Redis, with its account, counters and index, at 10,000 sessions of 10,000 addresses, each
// just after a login with a browser. Accounts without roles and block have nothing else: neither an entry in the registry nor
// a name.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		name     string
		activity int
		most     float64
	}{{"without activity", 0, 700}, {"with activity", 50, 1200}} {
		t.Run(c.name, func(t *testing.T) {
			p := populate(t, memoryAccounts, c.activity)
			weight := p.weight
			for _, segment := range slices.Sorted(maps.Keys(weight)) {
				t.Logf("%s: %.0f bytes a live session", segment, weight[segment])
			}
			if all := weight["all"]; all > c.most || all < 300 {
				t.Errorf("a live session weighs %.0f bytes %s, want 300 to %.0f", all, c.name, c.most)
			}
			// One more account has begun and ended a few sessions before.
			if p.lengths[recordBytes] != p.size || p.lengths[payloadBytes] < p.size || len(p.lengths) != 3 {
				t.Errorf("of the values so many have so many bytes %s: %v", c.name, p.lengths)
			}
		})
	}
}

// population is a server of its own with that many accounts, each with a session just after a login with a browser.
type population struct {
	*world
	server *redistest.Own
	size   int
	took   time.Duration // to begin them
	// tokens are their access tokens, one behind the other.
	tokens    []byte
	tokenSize int
	// weight is what a session weighs in Redis, in bytes: of each kind of key, of the tables that find them, and in all.
	weight map[string]float64
	// lengths are how many records and payloads have that many bytes.
	lengths map[int]int
	expired int // how often others were made whose time is over
}

var browser = session.Client{
	IP: netip.MustParseAddr("203.0.113.77"), Transport: session.Cookie,
	Device: session.Device{Name: "Chrome on macOS", Browser: "Chrome", OS: "macOS", Class: session.Desktop},
}

// populate signs all accounts in.
func populate(t testing.TB, size, activity int) *population {
	t.Helper()
	own := redistest.ServerWith(t)
	r := own.Under(t, "lk") // as where nothing else is configured: the length of keys counts
	w := newWorld(t, r, func(o *session.Options) { o.ActivityMax, o.ActivityKeep = activity, 90*session.Day })
	p := &population{world: w, server: own, size: size}
	login := func(n int) session.Login {
		return session.Login{Nonce: fmt.Sprint(n), Account: token.KeyAccount(person(n)), ChainID: 1, Client: browser}
	}
	// Scripts and connections weigh as much as they ever will.
	p.fill(w.Store, 8, func(n int) session.Login { return login(-10 - n) }, func(n int, g session.Grant) {
		if n == 0 {
			p.tokenSize = len(g.AccessToken)
		}
	})
	p.tokens = make([]byte, size*p.tokenSize)
	before, began := w.usedMemory(), time.Now()
	p.fill(w.Store, size, login, func(n int, g session.Grant) { copy(p.tokens[n*p.tokenSize:], g.AccessToken) })
	p.took = time.Since(began)
	p.weigh(float64(w.usedMemory()-before) / float64(size))
	return p
}

// fill begins n sessions, from several callers at once.
func (p *population) fill(s *session.Store, n int, login func(int) session.Login, keep func(int, session.Grant)) {
	p.t.Helper()
	var next atomic.Int64
	together(8, func(int) {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			g, err := s.Create(ctx, login(i))
			if err != nil {
				p.t.Error(err)
				return
			}
			keep(i, g)
		}
	})
}

func (p *population) token(n int) string { return string(p.tokens[n*p.tokenSize:][:p.tokenSize]) }

var usedMemory = regexp.MustCompile(`(?m)^used_memory:(\d+)`)

func (w *world) usedMemory() int {
	w.t.Helper()
	info, err := w.rdb.Info(ctx, "memory").Result()
	must(w.t, err)
	n, err := strconv.Atoi(usedMemory.FindStringSubmatch(info)[1])
	must(w.t, err)
	return n
}

// weigh finds out what a session's bytes are.
func (p *population) weigh(all float64) {
	p.t.Helper()
	p.weight, p.lengths = map[string]float64{"all": all, "tables": all}, map[int]int{}
	kinds := map[byte]string{'u': "record", 's': "payload", 'a': "activity", 'c': "counters", 'x': "index"}
	for cursor, first := uint64(0), true; cursor != 0 || first; first = false {
		some, next, err := p.rdb.Scan(ctx, cursor, p.opts.Prefix+":*", 10000).Result()
		must(p.t, err)
		sizes, lengths := make([]*redis.IntCmd, len(some)), map[string]*redis.IntCmd{}
		_, err = p.rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for i, key := range some {
				sizes[i] = pipe.MemoryUsage(ctx, key, 0)
				if _, name, _ := strings.Cut(key, "}:"); name[0] == 'u' || name[0] == 's' {
					lengths[key] = pipe.StrLen(ctx, key)
				}
			}
			return nil
		})
		must(p.t, err)
		for i, key := range some {
			_, name, _ := strings.Cut(key, "}:")
			if kinds[name[0]] == "" {
				p.t.Errorf("accounts without roles and block have a key of another kind: %q", key)
			}
			bytes := float64(sizes[i].Val()) / float64(p.size)
			p.weight[kinds[name[0]]] += bytes
			p.weight["tables"] -= bytes
			if lengths[key] != nil {
				p.lengths[int(lengths[key].Val())]++
			}
		}
		cursor = next
	}
}
