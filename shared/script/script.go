// Package script runs Lua scripts on Redis so that a lost reply does no harm.
// It recognises the reply that belongs to a call, repeats a call that got no
// reply, and distinguishes an outage from all other errors. It knows nothing of
// sessions.
//
// A script must return a list. The last two elements are a string, which [Run]
// returns separately, and the script's last argument, by which the call
// recognises its own reply. A script that runs twice with the same arguments
// must leave the same state as one run, or a state that does no harm.
package script

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Source is the text of a script, and the files that its lines came from.
type Source struct {
	Text  string
	Lines []Line // one for each line of Text; zero if it is from no file
}

// Line is a line of a file, counted from 1.
type Line struct {
	File   string
	Number int
}

// Script is a Lua script. Its text is built on first use: its name is a hash of
// the whole text, each Lambda function runs only a few scripts, and building
// all of them would add a millisecond to every cold start.
type Script struct {
	built func() built
}

type built struct {
	*redis.Script
	source Source
}

// New returns a script with the source that the function returns.
func New(source func() Source) *Script {
	return &Script{sync.OnceValue(func() built {
		s := source()
		return built{redis.NewScript(s.Text), s}
	})}
}

// Source returns the text of the script, and where its lines came from.
func (s *Script) Source() Source { return s.built().source }

// Reply is what a script returned: an outcome, then integers and strings.
type Reply []any

// Outcome returns the first element, or -1 if that is not an integer.
func (r Reply) Outcome() int64 { return r.Int(0) }

// Int returns element i, or -1 if that is not an integer.
func (r Reply) Int(i int) int64 {
	if i < len(r) {
		if n, ok := r[i].(int64); ok {
			return n
		}
	}
	return -1
}

// Text returns element i, or "" if that is not a string.
func (r Reply) Text(i int) string {
	if i >= len(r) {
		return ""
	}
	s, _ := r[i].(string)
	return s
}

// KeySize is the size of an idempotency key and of a call id, in bytes. With 48
// random bits, no two that meet within minutes on one account are equal in
// practice.
const KeySize = 6

// IdempotencyKey names one change, so that its own repeat is recognised. It is
// drawn for one change and its own retry. No client sends it.
type IdempotencyKey [KeySize]byte

// NewIdempotencyKey returns a random key.
func NewIdempotencyKey() IdempotencyKey { return IdempotencyKey(newCallID()) }

// callID names one call. The script returns it with its reply.
type callID [KeySize]byte

func newCallID() callID {
	var id callID
	rand.Read(id[:]) // never fails: crypto/rand ends the process rather than return less
	return id
}

// errCrossed says that a reply belongs to another call: the connection is out
// of step, as in GO-2025-3540.
var errCrossed = fmt.Errorf("%w: the reply belongs to another call", ErrUnavailable)

// Run runs a script. It returns its reply, and separately the string that the
// script added to it. All keys that the script uses must be in keys. It returns
// [ErrUnavailable] if Redis does not answer, cannot serve now, or sends the
// reply to another call. Any other error is a defect.
func Run(
	ctx context.Context, rdb redis.Scripter, s *Script, keys []string, args ...any,
) (Reply, string, error) {
	id := newCallID()
	args = append(args, id[:])
	var r Reply
	err := Retry(ctx, func() (err error) {
		r, err = s.built().Run(ctx, rdb, keys, args...).Slice()
		return err
	})
	if err != nil {
		return nil, "", s.locate(err)
	}
	return r.unwrap(id)
}

// unwrap removes the call id, which must be this one, and the added string.
func (r Reply) unwrap(id callID) (Reply, string, error) {
	last := len(r) - 1
	if last < 2 || r.Text(last) != string(id[:]) {
		return nil, "", errCrossed
	}
	return r[:last-1], r.Text(last - 1), nil
}
