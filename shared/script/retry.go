package script

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis cannot be connected to in time or cannot serve
// now. What was asked took effect completely or not at all.
var ErrUnavailable = errors.New("store unavailable")

// Retry calls f, and calls it once more if the first reply was lost or a slot
// was moving, unless ctx is done. It returns [redis.Nil] as it is,
// [ErrUnavailable] for every error that says that Redis cannot serve now, and
// every other error as it is.
func Retry(ctx context.Context, f func() error) error {
	err := f()
	if isPassing(err) && ctx.Err() == nil {
		err = f()
	}
	return unavailable(err)
}

// isPassing reports whether an error is worth an immediate retry: a dead
// connection or a moving slot.
func isPassing(err error) bool {
	switch {
	case err == nil, errors.Is(err, redis.Nil),
		errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout):
		return false
	case !isReply(err):
		return true
	}
	return hasPrefix(err, "TRYAGAIN", "ASK", "MOVED")
}

// unavailable wraps an error in [ErrUnavailable] if it says that Redis cannot
// serve now: every error of the connection, and those error replies that are
// about the state of Redis and not about the request.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	// How an ACL refuses a command inside a script.
	denied := strings.Contains(err.Error(), "The user executing the script can't")
	if !isReply(err) || denied || hasPrefix(err, "READONLY", "LOADING", "MOVED", "ASK", "TRYAGAIN",
		"CLUSTERDOWN", "MASTERDOWN", "OOM", "NOPERM", "EXECABORT", "NOAUTH", "WRONGPASS", "BUSY",
		"MISCONF", "NOREPLICAS", "UNKILLABLE", "max number of clients",
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
