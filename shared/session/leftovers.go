package session

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/token"
)

// What belongs to a session ends with it: its payload and its state. A script
// that ends sessions unlinks both itself if it declares their keys. If it only
// finds out which sessions end, it cannot have declared them, since every key
// that a script touches must be among its KEYS. Its events then name the
// sessions, and the caller unlinks what they leave.

// outlasts is how much longer than until the absolute end of its session a
// payload or a state is kept. It expires then in any case: if the caller died
// before it could unlink it, or never learned what its script did.
const outlasts = time.Minute

// unlinkBatch is how many keys are unlinked at once: few enough for others not
// to wait for it, and as many as an account's sessions have.
const unlinkBatch = 2 * MaxSessions

// leftBy returns the keys of what sessions leave that a script ended, as its
// emitted events say. declared are the keys that the script had: those it has
// unlinked itself.
func (s *Store) leftBy(emitted string, declared []string) (left []string) {
	for ; len(emitted) >= emittedSize; emitted = emitted[emittedSize:] {
		if EventType(emitted[16]) != EventEnded {
			continue
		}
		e := eventOf(token.UserID([]byte(emitted[:16])), emitted[16:emittedSize])
		if own := s.ownKeys(e.Session); !slices.Contains(declared, own[0]) {
			left = append(left, own...)
		}
	}
	return left
}

// unlinkLeft unlinks keys of one slot. It takes a round trip only if there are
// any. Nothing that a caller is told depends on it, so an error is ignored, and
// nothing is retried: the request should not take longer.
func (s *Store) unlinkLeft(ctx context.Context, keys []string) {
	for some := range slices.Chunk(keys, unlinkBatch) {
		if s.rdb.Unlink(ctx, some...).Err() != nil {
			return
		}
	}
}

// leave unlinks what a sweep leaves, later: together with what it leaves in
// other partitions, up to unlinkBatch keys.
func (w *sweeping) leave(ctx context.Context, keys []string) {
	for some := range slices.Chunk(keys, unlinkBatch) {
		if w.leftKeys += len(some); w.leftKeys > unlinkBatch {
			w.unlinkAll(ctx)
			w.leftKeys = len(some)
		}
		w.left = append(w.left, some)
	}
}

// unlinkAll unlinks what the sweep has left so far, in one round trip. Like
// unlinkLeft it ignores an error.
func (w *sweeping) unlinkAll(ctx context.Context) {
	if len(w.left) == 0 {
		return
	}
	p := w.rdb.Pipeline()
	w.queueUnlinks(ctx, p)
	_, _ = p.Exec(ctx)
	w.left, w.leftKeys = nil, 0
}

// queueUnlinks queues the commands that unlink what the sweep has left so far.
func (w *sweeping) queueUnlinks(ctx context.Context, p redis.Pipeliner) {
	for _, keys := range w.left {
		p.Unlink(ctx, keys...)
	}
}
