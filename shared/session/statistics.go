package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
)

// Statistics are counts over all accounts.
type Statistics struct {
	// Active is the number of live sessions, and Users the number of accounts
	// that have any, both now.
	Active, Users int
	// ByChain has every chain that a live session is on. ByTransport and
	// ByDevice have every transport and device class.
	ByChain     map[uint64]int
	ByTransport map[Transport]int
	ByDevice    map[DeviceClass]int
	// Logins, FailedLogins and Ended count the last 24 complete hours and the
	// current one, as of AsOf.
	Logins, FailedLogins int
	Ended                map[Reason]int
	// Hours has one element for each of the 24 complete hours, oldest first. It
	// is empty if there is no summary, or if an earlier version wrote it.
	Hours []Hour
	// AsOf is when the sweeper last wrote a summary, or the zero time if it
	// never did.
	AsOf time.Time
}

// Hour has the counts of one complete hour, which began at Start.
type Hour struct {
	Start                time.Time
	Logins, FailedLogins int
	Ended                map[Reason]int
}

// summary is what the sweeper writes for health and statistics, as JSON. In it
// a reason is its number. The counts are of the last 24 complete hours and the
// current one. Hours has those 24, oldest first; earlier versions ignore it.
type summary struct {
	AsOf   time.Time `json:"asOf"`
	Active int       `json:"active"`
	Users  int       `json:"users"`
	sums
	Hours []sums `json:"hours"`
}

// sums are hourly counts, summed over all partitions.
type sums struct {
	Logins       int            `json:"logins,omitempty"`
	FailedLogins int            `json:"failedLogins,omitempty"`
	Ended        map[Reason]int `json:"ended,omitempty"`
}

// add adds an hourly count of logins, or of sessions that ended for a reason.
func (s *sums) add(c hourlyCount) {
	if c.kind == hourlyLogins {
		s.Logins += c.count
		return
	}
	if s.Ended == nil {
		s.Ended = map[Reason]int{}
	}
	s.Ended[Reason(c.kind)] += c.count
}

// newSummary returns a summary as of now, without counts.
func newSummary(now time.Time) summary {
	return summary{AsOf: now, Hours: make([]sums, hourlyKept)}
}

// add adds a partition's live counts, and its hourly counts of the last day.
func (s *summary) add(raw string) {
	live, hourly, err := decodeCounters(raw)
	if err != nil {
		return // they count again once they are repaired
	}
	s.Active, s.Users = s.Active+live.active, s.Users+live.users
	first := hourOf(s.AsOf) - hourlyKept
	for _, c := range hourly {
		if c.hour < first || c.kind == hourlyRenewals {
			continue
		}
		s.sums.add(c)
		if i := c.hour - first; i < hourlyKept {
			s.Hours[i].add(c)
		}
	}
}

// addFailures adds the failed logins of the hours: the current one, and those
// before it.
func (s *summary) addFailures(failed [hourlyKept + 1]int) {
	for back, n := range failed {
		s.FailedLogins += n
		if back > 0 {
			s.Hours[hourlyKept-back].FailedLogins = n
		}
	}
}

// complete returns the complete hours of a summary.
func (s summary) complete() (all []Hour) {
	if len(s.Hours) != hourlyKept {
		return nil
	}
	start := time.Unix((hourOf(s.AsOf)-hourlyKept)*3600, 0).UTC()
	for _, c := range s.Hours {
		all = append(all, Hour{start, c.Logins, c.FailedLogins, c.Ended})
		start = start.Add(time.Hour)
	}
	return all
}

// decodeSummary decodes a stored summary. If raw is not one, the result is
// zero, AsOf included.
func decodeSummary(raw string) summary {
	var out summary
	if json.Unmarshal([]byte(raw), &out) != nil {
		return summary{}
	}
	return out
}

const (
	// statisticsDepth is how many partitions one pipeline reads.
	statisticsDepth = 512
	// statisticsRange is how many bytes it reads of a partition's counters:
	// enough for sessions on up to eight chains.
	statisticsRange = countersSize + 8*chainSize
)

// Statistics counts what is live now, and reads the hourly counts from the last
// summary. It does not scan the keyspace: it reads the counters of every
// partition, in a few pipelines. Damaged counters count as zero until the
// sweeper has repaired them.
func (s *Store) Statistics(ctx context.Context) (Statistics, error) {
	var live liveCounts
	for from := 0; from < partitions; from += statisticsDepth {
		if err := s.addLiveCounts(ctx, &live, from); err != nil {
			return Statistics{}, err
		}
	}
	last, err := s.lastSummary(ctx)
	if err != nil {
		return Statistics{}, err
	}
	other := live.active - live.desktop - live.mobile - live.tablet
	return Statistics{
		Active: live.active, Users: live.users, ByChain: live.chains,
		ByTransport: map[Transport]int{Cookie: live.cookie, Bearer: live.active - live.cookie},
		ByDevice: map[DeviceClass]int{
			Desktop: live.desktop, Mobile: live.mobile, Tablet: live.tablet, OtherDevice: other,
		},
		Logins: last.Logins, FailedLogins: last.FailedLogins,
		Ended: last.Ended, Hours: last.complete(), AsOf: last.AsOf,
	}, nil
}

// addLiveCounts adds the live counts of statisticsDepth partitions, beginning
// with number from.
func (s *Store) addLiveCounts(ctx context.Context, live *liveCounts, from int) error {
	heads := make([]*redis.StringCmd, statisticsDepth)
	err := s.pipeline(ctx, func(p redis.Pipeliner) {
		for i := range heads {
			heads[i] = p.GetRange(ctx, s.countersKey(from+i), 0, statisticsRange-1)
		}
	})
	if err != nil {
		return err
	}
	for i, head := range heads {
		raw := head.Val()
		if len(raw) >= countersSize && len(raw) < liveCountsSize(raw) {
			if raw, err = s.counters(ctx, from+i); err != nil {
				return err
			}
		}
		if counts, _, err := decodeLiveCounts(raw); err == nil {
			live.add(counts)
		}
	}
	return nil
}

// counters reads all of a partition's counters. It returns "" if there are
// none.
func (s *Store) counters(ctx context.Context, partition int) (string, error) {
	var raw string
	err := script.Retry(ctx, func() (err error) {
		raw, err = s.rdb.GetRange(ctx, s.countersKey(partition), 0, -1).Result()
		return err
	})
	return raw, err
}

// lastSummary reads the sweeper's last summary. Without one, the result is
// zero.
func (s *Store) lastSummary(ctx context.Context) (summary, error) {
	var raw string
	err := script.Retry(ctx, func() (err error) {
		raw, err = s.rdb.Get(ctx, s.summaryKey()).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return summary{}, nil
	}
	return decodeSummary(raw), err
}

// pipeline sends commands that only read in one round trip, and once more if a
// reply was lost. No command may report a missing key as an error, because that
// would hide the error of a command after it.
func (s *Store) pipeline(ctx context.Context, add func(redis.Pipeliner)) error {
	return script.Retry(ctx, func() error {
		cmds, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			add(p)
			return nil
		})
		if !errors.Is(err, redis.Nil) {
			return err
		}
		for _, cmd := range cmds { // the first that is not about a missing value
			if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
		}
		return nil
	})
}
