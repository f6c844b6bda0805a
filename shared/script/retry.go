package script

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis did not answer in time or cannot serve now.
// The change was applied completely or not at all.
var ErrUnavailable = errors.New("store unavailable")

// Retry calls f, and once more if the first reply was lost or a slot was
// moving. It does not call f again after ctx is done. It returns [redis.Nil]
// unchanged, an error that wraps [ErrUnavailable] for everything that means
// "not now", and every other error unchanged.
func Retry(ctx context.Context, f func() error) error {
	err := f()
	if isPassing(err) && ctx.Err() == nil {
		err = f()
	}
	return unavailable(err)
}

// isPassing reports whether an error may be gone at once: a broken connection
// or a moving slot.
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

// unavailable wraps in [ErrUnavailable] all errors that mean "not now": those
// of the connection, and error replies about the state of Redis rather than
// about the command.
func unavailable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	// This is how an ACL refuses a command inside a script.
	denied := strings.Contains(err.Error(), "The user executing the script can't")
	if !isReply(err) || denied || hasPrefix(err,
		"READONLY", "LOADING", "MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN",
		"OOM", "NOPERM", "EXECABORT", "NOAUTH", "WRONGPASS", "BUSY", "MISCONF", "NOREPLICAS",
		"UNKILLABLE", "max number of clients",
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
