package session

import (
	"encoding/binary"
	"slices"
	"time"
)

// A partition's counters are one string. Scripts write it in the same step as
// the records that it counts. layout.go has the same layout for scripts. All
// numbers are big endian, and have three bytes unless a size is given.
//
//	live counts    format 1 | active | accounts with a live session
//	               | of the active: cookie | desktop | mobile | tablet
//	               | number of chains 1 | for each chain: id 8 | sessions
//	hourly counts  oldest first: hour since 1970 | kind 1 | count
//
// The other active sessions use bearer tokens, or have another device class.
// The kind of an hourly count is hourlyLogins, hourlyRenewals, or the number of
// a [Reason]. A missing or empty string means that all counts are zero. Hourly
// counts from more than a day and an hour ago are dropped when the string is
// written.
const (
	countersFormat  = 1
	countersSize    = 20
	chainSize       = 11
	hourlyCountSize = 7
	maxChains       = 255
	hourlyLogins    = 0
	hourlyRenewals  = 255 // step-ups; not part of the summary
	hourlyKept      = 24  // complete hours in the summary, besides the current one
)

// liveCounts are the counts of live sessions, and of the accounts that have
// any.
type liveCounts struct {
	active, users           int
	cookie                  int
	desktop, mobile, tablet int
	chains                  map[uint64]int
}

// hourlyCount is how often something of a kind happened in an hour.
type hourlyCount struct {
	hour  int64
	kind  byte
	count int
}

// hourOf returns the complete hours since 1970.
func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// decodeCounters decodes a partition's counters. It returns [ErrDamaged] unless
// raw has exactly their layout.
func decodeCounters(raw string) (liveCounts, []hourlyCount, error) {
	live, rest, err := decodeLiveCounts(raw)
	if err != nil || len(rest)%hourlyCountSize != 0 {
		return liveCounts{}, nil, ErrDamaged
	}
	var hourly []hourlyCount
	for r := (reader{rest}); len(r.rest) > 0; {
		hourly = append(hourly, hourlyCount{
			hour: int64(r.uint24()), kind: r.byte(), count: r.uint24(),
		})
	}
	return live, hourly, nil
}

// decodeLiveCounts decodes the live counts, and returns what follows them.
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

// liveCountsSize returns the size of the live counts in counters of at least
// countersSize bytes.
func liveCountsSize(raw string) int { return countersSize + int(raw[countersSize-1])*chainSize }

// encode returns the live counts as the counters store them, with the chains in
// the order of their ids.
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

// count adds the live sessions of one account.
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

// add adds the counts of another partition.
func (c *liveCounts) add(other liveCounts) {
	c.active, c.users, c.cookie = c.active+other.active, c.users+other.users, c.cookie+other.cookie
	c.desktop, c.mobile, c.tablet = c.desktop+other.desktop,
		c.mobile+other.mobile, c.tablet+other.tablet
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
