package script

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis cannot be reached in time or cannot serve now.
// What was asked happened completely or not at all.
var ErrUnavailable = errors.New("store unavailable")

// Retry calls f, and once more if the first reply was lost or a slot was moving.
// Context ctx bounds the wait for the second. It returns [redis.Nil] as it is,
// [ErrUnavailable] for everything that says "not now", and every other error as it
// is.
func Retry(ctx context.Context, f func() error) error {
	err := f()
	if isPassing(err) && ctx.Err() == nil {
		err = f()
	}
	return unavailable(err)
}

// isPassing reports whether it is worth asking again at once after an error: a
// dead connection or a moving slot.
func isPassing(err error) bool {
	switch {
	case err == nil, errors.Is(err, redis.Nil), errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	case !isReply(err):
		return true
	}
	return hasPrefix(err, "TRYAGAIN", "ASK", "MOVED")
}

// unavailable wraps in [ErrUnavailable] all that says "not now": every fault of
// the connection, and those error replies that are about the state of Redis and
// not about what was asked.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	denied := strings.Contains(err.Error(), "The user executing the script can't") // how an ACL refuses inside a script
	if !isReply(err) || denied || hasPrefix(err, "READONLY", "LOADING", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN",
		"OOM", "NOPERM", "EXECABORT", "NOAUTH", "WRONGPASS", "BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE", "max number of clients",
		"Script attempted to access a non local key") {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isReply reports whether an error is a reply of Redis.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}

func hasPrefix(err error, prefixes ...string) bool {
	for _, p := range prefixes {
		if redis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return false
}
