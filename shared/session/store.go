package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/seal"
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

// reply is what a script returned: an outcome, then integers and strings.
type reply []any

func (r reply) outcome() int64 { return r.int(0) }

func (r reply) int(i int) int64 {
	if i >= len(r) {
		return -1
	}
	n, ok := r[i].(int64)
	if !ok {
		return -1
	}
	return n
}

func (r reply) text(i int) string {
	if i >= len(r) {
		return ""
	}
	s, _ := r[i].(string)
	return s
}

// fault turns an outcome that ends an operation into its error, the same way for every script.
func (r reply) fault(id ID) error {
	switch r.outcome() {
	case outcomeUnknown:
		return ErrInvalidToken
	case outcomeOver:
		return &EndedError{Reason: Reason(r.int(1)), At: time.UnixMilli(r.int(2)).UTC(), ByThis: r.int(3) == 1, Session: id}
	}
	return ErrDamaged
}

// errCrossed says that a reply belongs to another question: the connection is out of step (GO-2025-3540).
var errCrossed = fmt.Errorf("%w: a reply to another call", ErrUnavailable)

// run runs a script; all that a script touches is in keys. Scripts recognise their own operation, or do no harm twice, so
// asking again after a lost reply is safe. The last argument names the call and comes back with the reply: one that does not is somebody
// else's.
func (s *Store) run(ctx context.Context, script script, keys []string, args ...any) (reply, error) {
	r, _, err := s.tell(ctx, script, keys, args...)
	return r, err
}

// tell is run for a script that may write events: it returns them too, packed as audit reads them.
func (s *Store) tell(ctx context.Context, script script, keys []string, args ...any) (reply, string, error) {
	call := newOperation()
	args = append(args, call[:])
	var r reply
	err := again(ctx, func() (err error) {
		r, err = script().Run(ctx, s.rdb, keys, args...).Slice()
		return err
	})
	if err != nil {
		return nil, "", script.locate(err)
	}
	return r.unwrap(call)
}

// unwrap takes off what lua/lib/epilogue.lua put on: the events, and the name of the call, which must be this one's.
func (r reply) unwrap(call operation) (reply, string, error) {
	last := len(r) - 1
	if last < 2 || r.text(last) != string(call[:]) {
		return nil, "", errCrossed
	}
	return r[:last-1], r.text(last - 1), nil
}

// again calls f once more where the first answer was lost or a slot was moving. The wait for it is bounded by ctx.
func again(ctx context.Context, f func() error) error {
	err := f()
	if passing(err) && ctx.Err() == nil {
		err = f()
	}
	return unavailable(err)
}

// passing tells of an error after which asking again at once is worth it: a dead connection or a moving slot.
func passing(err error) bool {
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	case !isReply(err):
		return true
	}
	return hasPrefix(err, "TRYAGAIN", "ASK", "MOVED")
}

// unavailable turns all that says "not now" into ErrUnavailable: every fault of the connection, and those answers of
// Redis that are about its state and not about what was asked.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	denied := strings.Contains(err.Error(), "The user executing the script can't") // an ACL's word inside a script
	if !isReply(err) || denied || hasPrefix(err, "READONLY", "LOADING", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN",
		"OOM", "NOPERM", "EXECABORT", "NOAUTH", "WRONGPASS", "BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE", "max number of clients",
		"Script attempted to access a non local key") {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isReply tells whether Redis answered, and with an error.
func isReply(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer)
}

func hasPrefix(err error, prefixes ...string) bool {
	for _, p := range prefixes {
		if redis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return false
}

func newOperation() operation {
	var op operation
	rand.Read(op[:]) // never fails: crypto/rand ends the process rather than return less
	return op
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
