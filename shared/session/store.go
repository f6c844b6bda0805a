package session

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Store keeps sessions. It is safe for concurrent use, and so are several stores over one Redis.
type Store struct {
	rdb  redis.UniversalClient
	keys *seal.Ring
	opts Options
	// clock is the injected one.
	clock func() time.Time
}

// NewStore makes a store; it does not connect. The client must not retry on its own: a store retries what is safe to.
func NewStore(rdb redis.UniversalClient, keys *seal.Ring, opts Options, now func() time.Time) *Store {
	return &Store{rdb: rdb, keys: keys, opts: opts, clock: now}
}

// now is the time in the resolution that is stored.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// Outcomes of the scripts.
const (
	outcomeUnknown = 0
	outcomeDone    = 1
	outcomeOver    = 2
	outcomeSpent   = 3
	outcomeBlocked = 4
	outcomeFull    = 5
	outcomeStale   = 10
	outcomeLast    = 12
	outcomeLimited = 8
	outcomeExpired = 13
)

// fault turns an outcome that ends an operation into its error, the same way for every script.
func fault(r script.Reply, id token.ID) error {
	switch r.Outcome() {
	case outcomeUnknown:
		return token.ErrInvalid
	case outcomeOver:
		return &EndedError{Reason: Reason(r.Int(1)), At: time.UnixMilli(r.Int(2)).UTC(), ByThis: r.Int(3) == 1, Session: id}
	}
	return ErrDamaged
}

// run runs a script; see [script.Run]. All keys that it touches are in keys. A script recognises its own idempotency key,
// or does no harm twice, so asking again after a lost reply is safe.
func (s *Store) run(ctx context.Context, lua *script.Script, keys []string, args ...any) (script.Reply, error) {
	r, _, err := s.runEmitting(ctx, lua, keys, args...)
	return r, err
}

// runEmitting is run for a script that may write events: it returns them too, packed as audit reads them.
func (s *Store) runEmitting(ctx context.Context, lua *script.Script, keys []string, args ...any) (script.Reply, string, error) {
	return script.Run(ctx, s.rdb, lua, keys, args...)
}

// millis is a point in time as scripts take it.
func millis(t time.Time) int64 { return t.UnixMilli() }

// ceilMillis rounds a span up to whole milliseconds.
func ceilMillis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// bit is a yes or no as scripts take it.
func bit(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
