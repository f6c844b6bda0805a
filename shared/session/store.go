package session

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Store keeps sessions. A store is safe for concurrent use, and so are several
// stores on one Redis.
type Store struct {
	rdb   redis.UniversalClient
	keys  *seal.Ring
	opts  Options
	clock func() time.Time // injected

	writes writeCheck
}

// NewStore returns a store. It does not connect. now is the clock. The client
// must not retry on its own: the store retries what is safe to retry.
func NewStore(
	rdb redis.UniversalClient, keys *seal.Ring, opts Options, now func() time.Time,
) *Store {
	return &Store{rdb: rdb, keys: keys, opts: opts, clock: now, writes: newWriteCheck()}
}

// now returns the time in the resolution that is stored.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// Outcomes of the scripts. They are not stored, but two versions may run at once:
// a number keeps its meaning.
const (
	outcomeUnknown      = 0
	outcomeDone         = 1
	outcomeEnded        = 2
	outcomeSpent        = 3
	outcomeBlocked      = 4
	outcomeFull         = 5
	outcomePrecondition = 6
	outcomeTooLarge     = 7
	outcomeLimited      = 8
	outcomeDamaged      = 9
	outcomeStale        = 10
	outcomeMissing      = 11
	outcomeLast         = 12
	outcomeExpired      = 13
)

// fault returns the error of an outcome: the session does not live, or the
// record is damaged. It is the same for every script.
func fault(r script.Reply, id token.ID) error {
	switch r.Outcome() {
	case outcomeUnknown:
		return token.ErrInvalid
	case outcomeEnded:
		return &EndedError{
			Reason: Reason(r.Int(1)), At: time.UnixMilli(r.Int(2)).UTC(),
			ByThis: r.Int(3) == 1, Session: id,
		}
	}
	return ErrDamaged
}

// run runs a script; see [script.Run]. keys must have all keys that the script
// touches. A script recognises its own idempotency key, or does no harm if it
// runs twice. So it is safe to retry after a lost reply.
func (s *Store) run(
	ctx context.Context, lua *script.Script, keys []string, args ...any,
) (script.Reply, error) {
	r, _, err := s.runEmitting(ctx, lua, keys, args...)
	return r, err
}

// runEmitting is run for a script that may emit events. It also returns the
// events, packed as audit reads them.
func (s *Store) runEmitting(
	ctx context.Context, lua *script.Script, keys []string, args ...any,
) (script.Reply, string, error) {
	return script.Run(ctx, s.rdb, lua, keys, args...)
}

// millis returns a time as scripts take it.
func millis(t time.Time) int64 { return t.UnixMilli() }

// ceilMillis returns a duration in milliseconds, rounded up.
func ceilMillis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// bit returns a bool as scripts take it.
func bit(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
