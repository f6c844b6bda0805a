package session

import (
	"encoding/binary"
	"slices"
	"time"
)

// A bucket's counters, one string. Scripts keep it in the same step as the records that it counts; layout.go has the
// same layout for them. All numbers are big endian, three bytes where nothing else is said.
//
//	live   format 1 | active | accounts with a live session | of the active: cookie | desktop | mobile | tablet
//	       | number of chains 1 | for each chain: id 8 | sessions
//	flows  oldest first: hour since 1970 | kind 1: flowLogins or a reason's number | count
//
// The other sessions are bearer, or of another class. No string, or an empty one, is all zero. What ended or began an
// hour and a day ago is dropped as the string is written.
const (
	countersFormat  = 1
	countersSize    = 20
	chainSize       = 11
	hourlyCountSize = 7
	maxChains       = 255
	hourlyLogins    = 0
	hourlyRenewals  = 255 // step-ups; told to nobody
	hourlyKept      = 24  // whole hours that are told, beside the one under way
)

// liveCounts is what is live.
type liveCounts struct {
	active, users           int
	cookie                  int
	desktop, mobile, tablet int
	chains                  map[uint64]int
}

// hourlyCount is how much of a kind happened in an hour.
type hourlyCount struct {
	hour  int64
	kind  byte
	count int
}

// hourOf counts the whole hours since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// decodeCounters fails with ErrDamaged on anything that is not exactly a bucket's counters.
func decodeCounters(raw string) (liveCounts, []hourlyCount, error) {
	live, rest, err := decodeLiveCounts(raw)
	if err != nil || len(rest)%hourlyCountSize != 0 {
		return liveCounts{}, nil, ErrDamaged
	}
	var hourly []hourlyCount
	for r := (reader{rest}); len(r.rest) > 0; {
		hourly = append(hourly, hourlyCount{hour: int64(r.uint24()), kind: r.byte(), count: r.uint24()})
	}
	return live, hourly, nil
}

// decodeLiveCounts reads what is live, and returns what stands behind it.
func decodeLiveCounts(raw string) (liveCounts, string, error) {
	if raw == "" {
		return liveCounts{}, "", nil
	}
	if len(raw) < countersSize || raw[0] != countersFormat || len(raw) < liveCountsSize(raw) {
		return liveCounts{}, "", ErrDamaged
	}
	r := reader{raw[1:]}
	c := liveCounts{chains: map[uint64]int{}}
	for _, n := range []*int{&c.active, &c.users, &c.cookie, &c.desktop, &c.mobile, &c.tablet} {
		*n = r.uint24()
	}
	for range r.byte() {
		id := r.uint64()
		c.chains[id] += r.uint24()
	}
	return c, r.rest, nil
}

// liveCountsSize is how long the first part of counters is, which are at least countersSize long.
func liveCountsSize(raw string) int { return countersSize + int(raw[countersSize-1])*chainSize }

// encode is what is live as the counters hold it, chains in the order of their ids.
func (c liveCounts) encode() []byte {
	b := []byte{countersFormat}
	for _, n := range []int{c.active, c.users, c.cookie, c.desktop, c.mobile, c.tablet} {
		b = appendUint24(b, n)
	}
	ids := make([]uint64, 0, len(c.chains))
	for id, n := range c.chains {
		if n > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = ids[:min(len(ids), maxChains)]
	b = append(b, byte(len(ids)))
	for _, id := range ids {
		b = appendUint24(binary.BigEndian.AppendUint64(b, id), c.chains[id])
	}
	return b
}

// count adds an account's live sessions.
func (c *liveCounts) count(live []entry) {
	if len(live) == 0 {
		return
	}
	if c.chains == nil {
		c.chains = map[uint64]int{}
	}
	c.users++
	for _, e := range live {
		c.active++
		c.chains[e.chain]++
		if e.transport == Cookie {
			c.cookie++
		}
		switch e.class {
		case Desktop:
			c.desktop++
		case Mobile:
			c.mobile++
		case Tablet:
			c.tablet++
		}
	}
}

// add adds another bucket's.
func (c *liveCounts) add(other liveCounts) {
	c.active, c.users, c.cookie = c.active+other.active, c.users+other.users, c.cookie+other.cookie
	c.desktop, c.mobile, c.tablet = c.desktop+other.desktop, c.mobile+other.mobile, c.tablet+other.tablet
	if c.chains == nil {
		c.chains = map[uint64]int{}
	}
	for id, n := range other.chains {
		c.chains[id] += n
	}
}

func appendUint24(b []byte, n int) []byte {
	n = min(max(n, 0), 1<<24-1)
	return append(b, byte(n>>16), byte(n>>8), byte(n))
}

func (r *reader) uint24() int {
	b := r.text(3)
	return int(b[0])<<16 | int(b[1])<<8 | int(b[2])
}
