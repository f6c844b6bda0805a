package faults_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// What Redis holds, read byte by byte as the layout in shared/session is documented.
const (
	headSize   = 34
	entrySize  = 185
	endedSize  = 35
	indexParts = 8
)

// liveEntry is a session in a record.
type liveEntry struct {
	random     string
	idle       uint64
	generation uint32
	chain      uint64
	transport  byte
	class      byte
}

// stored is a record.
type stored struct {
	blocked bool
	// created, epoch and blockedAt are as they stand in its head.
	created, epoch, blockedAt string
	roles                     string
	live                      []liveEntry
	ended                     []string // randoms
	// endedBy are the idempotency keys of the changes that ended them.
	endedBy []string
}

func parseRecord(raw string) (stored, error) {
	if len(raw) < headSize || len(raw) != headSize+int(raw[31])+int(raw[32])*entrySize+int(raw[33])*endedSize {
		return stored{}, fmt.Errorf("a record of %d bytes", len(raw))
	}
	rec, rest := stored{
		blocked: raw[1]&1 != 0, created: raw[2:8], epoch: raw[14:18], blockedAt: raw[18:24],
		roles: raw[headSize : headSize+int(raw[31])],
	}, raw[headSize+int(raw[31]):]
	for range raw[32] {
		rec.live = append(rec.live, liveEntry{
			random: rest[:16], idle: number(rest[28:34]), generation: uint32(number(rest[40:44])), chain: number(rest[175:183]),
			transport: rest[183], class: rest[184],
		})
		rest = rest[entrySize:]
	}
	for range raw[33] {
		rec.ended, rec.endedBy = append(rec.ended, rest[:16]), append(rec.endedBy, rest[29:endedSize])
		rest = rest[endedSize:]
	}
	return rec, nil
}

func number(text string) uint64 {
	return binary.BigEndian.Uint64(append(make([]byte, 8-len(text)), text...))
}

// tag is the hash tag of an account's bucket, and what all its keys begin with behind the prefix.
func tag(u token.UserID) string { return "{" + hex.EncodeToString(u[:2])[:3] + "}:" }

func (w *world) key(u token.UserID, name string) string {
	return w.redis.Prefix + ":" + tag(u) + name
}

func (w *world) recordKey(u token.UserID) string { return w.key(u, "u"+string(u[:])) }

func (w *world) activityKey(u token.UserID) string { return w.key(u, "a"+string(u[:])) }

func (w *world) record(u token.UserID) stored {
	w.t.Helper()
	raw, err := w.rdb.Get(ctx, w.recordKey(u)).Result()
	must(w.t, err)
	rec, err := parseRecord(raw)
	must(w.t, err)
	return rec
}

// kinds are the types of events in an account's activity, as it is stored, sorted.
func (w *world) kinds(u token.UserID) (kinds []string) {
	w.t.Helper()
	all, err := w.rdb.LRange(ctx, w.activityKey(u), 0, -1).Result()
	must(w.t, err)
	for _, raw := range all {
		if !isDetail(raw) {
			kinds = append(kinds, session.EventType(raw[0]).String())
		}
	}
	slices.Sort(kinds)
	return kinds
}

// isDetail reports whether an entry of an activity is the detail of the events behind it: its type and time are 0.
func isDetail(raw string) bool { return raw[:7] == "\x00\x00\x00\x00\x00\x00\x00" }

// checkComplete asserts that nothing is half done: see problems.
func (w *world) checkComplete() {
	w.t.Helper()
	for _, problem := range w.problems() {
		w.t.Error(problem)
	}
}

// problems are what does not fit together: the counters of a bucket and a recount of its records; the index and the
// accounts that have a live session; the registry and the accounts that hold roles or a block; a live session and its
// payload; a change and its one event, which stands in the activity and waits in the outbox.
func (w *world) problems() (all []string) {
	w.t.Helper()
	counts := map[string]map[string]int{} // by tag
	standing := map[string]bool{}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:*") {
		tag, name, _ := strings.Cut(key, "}:")
		tag = tag[strings.Index(tag, "{")+1:]
		if counts[tag] == nil {
			counts[tag] = map[string]int{}
		}
		switch name[0] {
		case 'u':
			u := token.UserID([]byte(name[1:]))
			all = append(all, w.problemsOf(u, counts[tag])...)
			standing[tag+name[1:]] = true
		case 'x':
			for _, member := range w.rdb.ZRange(ctx, key, 0, -1).Val() {
				if n := w.rdb.Exists(ctx, key[:strings.Index(key, "}:")+2]+"u"+member).Val(); n == 0 {
					all = append(all, fmt.Sprintf("%x stands in the index without a record", member))
				}
			}
		}
	}
	for tag, want := range counts {
		raw := w.rdb.Get(ctx, w.redis.Prefix+":{"+tag+"}:c").Val()
		if got := counted(raw); !maps.Equal(got, want) {
			all = append(all, fmt.Sprintf("the counters of bucket %s are %v, a recount gives %v", tag, got, want))
		}
	}
	return slices.Concat(all, w.misregistered(), w.mispublished())
}

// problemsOf are those of one account, which it counts.
func (w *world) problemsOf(u token.UserID, counts map[string]int) (all []string) {
	w.t.Helper()
	raw, err := w.rdb.Get(ctx, w.recordKey(u)).Result()
	must(w.t, err)
	rec, err := parseRecord(raw)
	if err != nil {
		return []string{err.Error()}
	}
	rec.count(counts)
	all = append(all, w.misplaced(u, rec)...)
	for _, l := range rec.live {
		if w.rdb.Exists(ctx, w.key(u, "s"+l.random)).Val() == 0 {
			all = append(all, fmt.Sprintf("session %x has no payload", l.random))
		}
	}
	return append(all, w.misrecorded(u, rec)...)
}

func (rec stored) count(counts map[string]int) {
	for _, l := range rec.live {
		counts["active"]++
		counts["chain "+strconv.FormatUint(l.chain, 10)]++
		if l.transport == byte(session.Cookie) {
			counts["cookie"]++
		}
		if l.class != byte(session.OtherDevice) {
			counts[session.DeviceClass(l.class).String()]++
		}
	}
	if len(rec.live) > 0 {
		counts["users"]++
	}
}

// counted is what a bucket's counters tell of live sessions, without zeros.
func counted(raw string) map[string]int {
	out := map[string]int{}
	if len(raw) < 20 {
		return out
	}
	for i, name := range []string{"active", "users", "cookie", "desktop", "mobile", "tablet"} {
		out[name] = int(number(raw[1+3*i : 4+3*i]))
	}
	for i := range int(raw[19]) {
		chain := raw[20+11*i:]
		out["chain "+strconv.FormatUint(number(chain[:8]), 10)] = int(number(chain[8:11]))
	}
	maps.DeleteFunc(out, func(_ string, n int) bool { return n == 0 })
	return out
}

// misplaced tells where an account does not stand in the index just once and no later than its first deadline; not at all
// where nothing is live.
func (w *world) misplaced(u token.UserID, rec stored) (all []string) {
	found := 0
	for part := range indexParts {
		score, err := w.rdb.ZScore(ctx, w.key(u, fmt.Sprint("x", part)), string(u[:])).Result()
		if err != nil {
			continue
		}
		found++
		for _, l := range rec.live {
			if score > float64(l.idle) {
				all = append(all, fmt.Sprintf("account %v is looked at %v late", u, time.Duration(score-float64(l.idle))*time.Millisecond))
			}
		}
	}
	if want := min(len(rec.live), 1); found != want {
		all = append(all, fmt.Sprintf("account %v with %d live sessions stands in the index %d times", u, len(rec.live), found))
	}
	return all
}

// misrecorded tells which session has not just one login in the account's activity, which that is over not just one end,
// what stands there twice, and which change of roles does not say which. An activity that is full is no witness.
func (w *world) misrecorded(u token.UserID, rec stored) (all []string) {
	w.t.Helper()
	entries, err := w.rdb.LRange(ctx, w.activityKey(u), 0, -1).Result()
	must(w.t, err)
	if len(entries) == 0 || len(entries) >= w.opts.ActivityMax { // or one more: a detail
		return nil // erased, or full
	}
	seen := map[string]int{}
	for _, raw := range entries {
		seen["event "+raw[:14]]++
		if isDetail(raw) {
			seen["detail of "+raw[7:13]]++
			continue
		}
		seen["change "+raw[7:13]]++
		if session.EventType(raw[0]) == session.EventRoles {
			seen["roles of "+raw[7:13]]++
		}
		seen[session.EventType(raw[0]).String()+" "+raw[14:30]]++
	}
	expect := func(what, random string, want int) {
		if n := seen[what+" "+random]; n != want {
			all = append(all, fmt.Sprintf("session %x has %d events %s, want %d", random, n, what, want))
		}
	}
	for _, l := range rec.live {
		expect("login", l.random, 1)
		expect("session.ended", l.random, 0)
	}
	// What ended before the account was erased is still listed, oldest first, and has no events any more.
	erased := rec.epoch != "\x00\x00\x00\x00"
	for _, random := range rec.ended {
		if erased = erased && seen["login "+random]+seen["session.ended "+random] == 0; erased {
			continue
		}
		expect("login", random, 1)
		expect("session.ended", random, 1)
	}
	for name, n := range seen {
		if strings.HasPrefix(name, "event ") && n > 1 {
			all = append(all, fmt.Sprintf("an event stands there %d times", n))
		}
		if idem, of := strings.CutPrefix(name, "detail of "); of && seen["change "+idem] == 0 {
			all = append(all, fmt.Sprintf("change %x has a detail and no event", idem))
		}
		if idem, of := strings.CutPrefix(name, "roles of "); of && seen["detail of "+idem] == 0 {
			all = append(all, fmt.Sprintf("change %x does not say which roles it set", idem))
		}
	}
	return all
}

// The check can fail: whatever of it is spoiled, it tells.
func TestCheckComplete(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t), nil)
		who := w.stranger()
		g, over := w.signIn(who), w.signIn(who)
		_, err := w.Revoke(ctx, over.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		w.gives(who, "editor")
		w.checkComplete()
		u := w.UserOf(token.KeyAccount(who))
		restore := func(key string) func() {
			value, ttl := w.rdb.Dump(ctx, key).Val(), max(0, w.rdb.PTTL(ctx, key).Val())
			return func() { must(t, w.rdb.RestoreReplace(ctx, key, ttl, value).Err()) }
		}
		record := w.rdb.Get(ctx, w.recordKey(u)).Val()
		for name, spoil := range map[string]struct {
			key string
			how func(key string) error
		}{
			"counters":     {w.key(u, "c"), func(key string) error { return w.rdb.Del(ctx, key).Err() }},
			"index":        {w.key(u, "x0"), func(key string) error { return w.rdb.Del(ctx, key).Err() }},
			"late":         {w.key(u, "x0"), func(key string) error { return w.rdb.ZIncrBy(ctx, key, 1, string(u[:])).Err() }},
			"payload":      {w.key(u, "s"+string(g.Session.ID.Session[:])), func(key string) error { return w.rdb.Del(ctx, key).Err() }},
			"event":        {w.activityKey(u), func(key string) error { return w.rdb.RPop(ctx, key).Err() }},
			"detail":       {w.activityKey(u), func(key string) error { return w.rdb.LPop(ctx, key).Err() }}, // of the roles
			"detail only":  {w.activityKey(u), func(key string) error { return w.rdb.LRem(ctx, key, 1, w.rdb.LIndex(ctx, key, 1).Val()).Err() }},
			"event twice":  {w.activityKey(u), func(key string) error { return w.rdb.LPush(ctx, key, w.rdb.LIndex(ctx, key, 0).Val()).Err() }},
			"outbox":       {w.key(u, "q"), func(key string) error { return w.rdb.RPop(ctx, key).Err() }},
			"outbox twice": {w.key(u, "q"), func(key string) error { return w.rdb.RPush(ctx, key, w.rdb.LIndex(ctx, key, -1).Val()).Err() }},
			"order":        {w.key(u, "q"), func(key string) error { return w.rdb.LMove(ctx, key, key, "right", "left").Err() }},
			"no change":    {w.key(u, "q"), func(key string) error { return w.rdb.LPush(ctx, key, stranger(w.rdb.LIndex(ctx, key, 0).Val())).Err() }},
			"record":       {w.recordKey(u), func(key string) error { return w.rdb.Del(ctx, key).Err() }},
			"cut record":   {w.recordKey(u), func(key string) error { return w.rdb.Set(ctx, key, record[1:], 0).Err() }},
		} {
			back := restore(spoil.key)
			must(t, spoil.how(spoil.key))
			if len(w.problems()) == 0 {
				t.Errorf("%s: it finds nothing", name)
			}
			back()
		}
		w.checkComplete()
	})
}
