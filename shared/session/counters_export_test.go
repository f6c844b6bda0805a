package session

import (
	"context"
	"fmt"
	"time"

	"latchkey/shared/token"
)

// Partition is the number of a subject's bucket.
func Partition(u token.UserID) int { return partitionOf(u) }

// CountersKey, IndexKey and ActivityKey name what stands beside a record.
func (s *Store) CountersKey(partition int) string       { return s.countersKey(partition) }
func (s *Store) IndexKey(partition, segment int) string { return s.indexKey(partition, segment) }
func (s *Store) ActivityKey(u token.UserID) string      { return s.activityKey(u) }

// IndexSegments is how many parts an index has.
const IndexSegments = indexSegments

// Counters are a bucket's, by names that a test can add up: the live ones, and flows by hour and kind.
func (s *Store) Counters(ctx context.Context, partition int) (live, hourly map[string]int, err error) {
	raw, err := s.counters(ctx, partition)
	if err != nil {
		return nil, nil, err
	}
	c, all, err := decodeCounters(raw)
	live = map[string]int{"active": c.active, "users": c.users, "cookie": c.cookie, "desktop": c.desktop, "mobile": c.mobile, "tablet": c.tablet}
	for id, n := range c.chains {
		live[fmt.Sprint("chain ", id)] = n
	}
	hourly = map[string]int{}
	for _, f := range all {
		name := "login"
		if f.kind != hourlyLogins {
			name = Reason(f.kind).String()
		}
		hourly[name] += f.count
	}
	return live, hourly, err
}

// CountRecord adds what is live in a stored record to counts of that form, and tells its first deadline.
func CountRecord(raw string, live map[string]int) (first time.Time, err error) {
	rec, err := decodeRecord(raw)
	for i, e := range rec.live {
		live["active"]++
		live[fmt.Sprint("chain ", e.chain)]++
		if e.transport == Cookie {
			live["cookie"]++
		}
		if e.class != OtherDevice {
			live[e.class.String()]++
		}
		if i == 0 || e.idle.Before(first) {
			first = e.idle
		}
	}
	if len(rec.live) > 0 {
		live["users"]++
	}
	return first, err
}

// AgainCounters reads counters and writes out again what of them is live.
func AgainCounters(raw string) (string, error) {
	live, _, err := decodeCounters(raw)
	return string(live.encode()), err
}

// RecordKeyOf names an account's record.
func (s *Store) RecordKeyOf(u token.UserID) string { return s.recordKey(u) }
