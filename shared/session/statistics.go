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
	// Active sessions and the accounts that have any, now.
	Active, Users int
	// ByChain has the chains that any session is on; ByTransport and ByDevice have every transport and class.
	ByChain     map[uint64]int
	ByTransport map[Transport]int
	ByDevice    map[DeviceClass]int
	// Logins, FailedLogins and Ended are of the last 24 whole hours and the one under way, as of AsOf.
	Logins, FailedLogins int
	Ended                map[Reason]int
	// AsOf is when the sweeper last summed up; the zero time where it never did.
	AsOf time.Time
}

// summary is what the sweeper leaves for health and statistics, as JSON. Reasons stand in it by number.
type summary struct {
	AsOf         time.Time      `json:"asOf"`
	Active       int            `json:"active"`
	Users        int            `json:"users"`
	Logins       int            `json:"logins"`
	FailedLogins int            `json:"failedLogins"`
	Ended        map[Reason]int `json:"ended"`
}

// decodeSummary reads a stored sum; what is none tells nothing, and its AsOf is zero.
func decodeSummary(raw string) summary {
	var out summary
	if json.Unmarshal([]byte(raw), &out) != nil {
		return summary{}
	}
	return out
}

const (
	// statisticsDepth is how many buckets one pipeline asks for.
	statisticsDepth = 512
	// statisticsRange holds the counters of a bucket with sessions on up to eight chains.
	statisticsRange = countersSize + 8*chainSize
)

// Statistics counts what is live now, and reads the flows of the last sum. No keyspace is scanned: the counters of each
// bucket are read, in a few pipelines. Damaged ones count as zero until the sweeper has mended them.
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
		ByDevice:    map[DeviceClass]int{Desktop: live.desktop, Mobile: live.mobile, Tablet: live.tablet, OtherDevice: other},
		Logins:      last.Logins, FailedLogins: last.FailedLogins, Ended: last.Ended, AsOf: last.AsOf,
	}, nil
}

// addLiveCounts adds what is live in the buckets from that one on.
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
		if partition, _, err := decodeLiveCounts(raw); err == nil {
			live.add(partition)
		}
	}
	return nil
}

// counters are a bucket's, whole; empty where there are none.
func (s *Store) counters(ctx context.Context, partition int) (string, error) {
	var raw string
	err := script.Retry(ctx, func() (err error) {
		raw, err = s.rdb.GetRange(ctx, s.countersKey(partition), 0, -1).Result()
		return err
	})
	return raw, err
}

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

// pipeline sends commands that only read in one go, and once more where an answer was lost. None of them may be one that
// tells a missing key as an error: that would hide the error of one behind it.
func (s *Store) pipeline(ctx context.Context, add func(redis.Pipeliner)) error {
	return script.Retry(ctx, func() error {
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			add(p)
			return nil
		})
		return err
	})
}
