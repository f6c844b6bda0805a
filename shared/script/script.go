// Package script runs Lua scripts on Redis so that a lost reply does no harm.
// It recognises the reply that belongs to a call, sends the call once more if
// no reply came, and distinguishes an outage from every other error. It does
// not depend on sessions.
//
// A script must return a list whose last two elements are a string, which [Run]
// returns separately, and the last argument, by which a call recognises its own
// reply. A script that is run twice with the same arguments must leave the
// state of one run.
package script

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Source is the text of a script, and where its lines came from.
type Source struct {
	Text  string
	Lines []Line // of Text, from its first; zero for a line that is in no file
}

// Line is a line of a file, counted from 1.
type Line struct {
	File   string
	Number int
}

// Script is a Lua script. It is put together when it is first run. Its name is
// a hash of its whole text, and no function runs more than a few scripts: to
// put together all of them would add a millisecond to every cold start.
type Script struct {
	built func() built
}

type built struct {
	*redis.Script
	source Source
}

// New makes a script of what source returns.
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
	if i >= len(r) {
		return -1
	}
	n, ok := r[i].(int64)
	if !ok {
		return -1
	}
	return n
}

// Text returns element i, or "" if that is not a string.
func (r Reply) Text(i int) string {
	if i >= len(r) {
		return ""
	}
	s, _ := r[i].(string)
	return s
}

// KeySize is the size in bytes of an idempotency key and of a call id. They
// have 48 random bits, so two that are used within minutes on one account are
// never the same in practice.
const KeySize = 6

// IdempotencyKey names one change, so that its own retry is recognised. It is
// drawn for one change and its own retry; no client sends it.
type IdempotencyKey [KeySize]byte

// NewIdempotencyKey returns a new random key.
func NewIdempotencyKey() IdempotencyKey { return IdempotencyKey(newCallID()) }

// callID names one call. The script returns it with its reply.
type callID [KeySize]byte

func newCallID() callID {
	var id callID
	rand.Read(id[:]) // never fails: on an error crypto/rand ends the process
	return id
}

// errCrossed says that a reply belongs to another call: the connection is out
// of step, as in GO-2025-3540.
var errCrossed = fmt.Errorf("%w: reply belongs to another call", ErrUnavailable)

// Run runs a script. It returns the script's reply, and the text that the
// script added to it. keys must have all keys that the script touches. Run
// returns [ErrUnavailable] if Redis does not answer, cannot serve now, or
// answers another call. Every other error is a defect.
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

// unwrap removes the call id, which must be this one, and the added text.
func (r Reply) unwrap(id callID) (Reply, string, error) {
	last := len(r) - 1
	if last < 2 || r.Text(last) != string(id[:]) {
		return nil, "", errCrossed
	}
	return r[:last-1], r.Text(last - 1), nil
}
