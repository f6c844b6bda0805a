package script

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable says that Redis did not answer in time or cannot serve now.
// The change was applied completely or not at all.
var ErrUnavailable = errors.New("store unavailable")

// Retry calls f, and once more if the first reply was lost or a slot was
// moving. It does not call f again after ctx is done. It returns [redis.Nil]
// unchanged, and so an error that is known to be a defect of this code. Every
// other error it wraps in [ErrUnavailable].
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
	begins := func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) }
	return slices.ContainsFunc([]string{"TRYAGAIN", "ASK", "MOVED"}, begins)
}

// isReply reports whether an error is a reply of Redis.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
