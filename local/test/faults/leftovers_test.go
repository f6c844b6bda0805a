package faults_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// unheard is what a world's store never learned: which changes were not answered in the end, by their idempotency keys,
// and which keys it asked to unlink without an answer. Only what these leave may wait for its TTL.
type unheard struct {
	mu      sync.Mutex
	changes map[string]bool
	keys    map[string]bool
}

// listen adds a hook to a client, above the redirects of a cluster.
func listen(client redis.UniversalClient) *unheard {
	u := &unheard{changes: map[string]bool{}, keys: map[string]bool{}}
	client.AddHook(u)
	return u
}

func (u *unheard) DialHook(next redis.DialHook) redis.DialHook { return next }

func (u *unheard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds {
			u.write(cmd, cmp.Or(cmd.Err(), err))
		}
		return err
	}
}

func (u *unheard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		u.write(cmd, err)
		return err
	}
}

// write writes down what became of a command.
func (u *unheard) write(cmd redis.Cmder, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch cmd.Name() {
	case "unlink":
		for _, key := range cmd.Args()[1:] {
			u.keys[key.(string)] = err != nil
		}
	case "eval", "evalsha":
		for _, idem := range idempotencyKeys(cmd.Args()) { // a repeat has the same key
			u.changes[idem] = err != nil || u.changes[idem] && !tookEffect(cmd)
		}
	}
}

// tookEffect tells of a script that was answered whether that is the answer of a change that was made. An earlier attempt
// that was not answered may still come late, and change what this one was refused: a login of an account that was blocked
// meanwhile.
func tookEffect(cmd redis.Cmder) bool {
	reply, err := cmd.(*redis.Cmd).Slice()
	return err == nil && len(reply) > 0 && (reply[0] == int64(1) || reply[0] == int64(2)) // done, or ended
}

// idempotencyKeys are those in the arguments of a script: an argument of six bytes, or with a user id behind it, of each
// account that is swept.
func idempotencyKeys(args []any) (all []string) {
	for _, arg := range args[3+args[2].(int):] {
		switch v := arg.(type) {
		case []byte:
			if len(v) == 6 {
				all = append(all, string(v))
			}
		case string:
			if len(v) == 6+16 {
				all = append(all, v[:6])
			}
		}
	}
	return all
}

// leftovers are the payloads and states of sessions that are not live: how many may wait for their TTL, since the store
// never learned that their session had ended or that they were not unlinked, and which must not be there.
func (w *world) leftovers() (waiting int, wrong []string) {
	w.t.Helper()
	live, ended := w.sessions()
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:[sd]*") {
		_, name, _ := strings.Cut(key, "}:")
		random := name[1:]
		switch {
		case live[random]:
		case w.unheard.keys[key], slices.ContainsFunc(ended[random], func(idem string) bool { return w.unheard.changes[idem] }):
			waiting++
		default:
			wrong = append(wrong, fmt.Sprintf("session %x is not live and leaves the key %q", random, key))
		}
	}
	return waiting, wrong
}

// sessions are those that live, and by which change each other one ended, as its record or its account's activity has it.
func (w *world) sessions() (live map[string]bool, ended map[string][]string) {
	w.t.Helper()
	live, ended = map[string]bool{}, map[string][]string{}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:u*") {
		raw, err := w.rdb.Get(ctx, key).Result()
		must(w.t, err)
		rec, err := parseRecord(raw)
		must(w.t, err)
		for _, l := range rec.live {
			live[l.random] = true
		}
		for i, random := range rec.ended {
			ended[random] = append(ended[random], rec.endedBy[i])
		}
	}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:a*") {
		events, err := w.rdb.LRange(ctx, key, 0, -1).Result()
		must(w.t, err)
		for _, raw := range events {
			if session.EventType(raw[0]) == session.EventEnded {
				ended[raw[14:30]] = append(ended[raw[14:30]], raw[7:13])
			}
		}
	}
	return live, ended
}

// leavesNothing asserts that nothing is left of sessions that ended, but what may wait for its TTL.
func (w *world) leavesNothing() (waiting int) {
	w.t.Helper()
	waiting, wrong := w.leftovers()
	for _, problem := range wrong {
		w.t.Error(problem)
	}
	return waiting
}

// A login whose first request comes late finds its account blocked at the second, and is told so. What the first one then
// evicts nobody hears of, and it waits for its TTL.
func TestLeavesNothing_lateLogin(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, nil, func(o *session.Options) { o.SessionLimit = 1 })
		who := w.stranger()
		login := w.verified(who)
		user := w.signIn(who).User.ID
		must(t, w.Block(ctx, user, session.Change{Actor: operator}))
		var late []any
		w.client.AddHook(heldFirst{&late})
		if _, err := w.Create(ctx, login); !errors.Is(err, session.ErrBlocked) {
			t.Errorf("the second request is answered with %v", err)
		}
		must(t, w.Unblock(ctx, user, session.Change{Actor: operator}))
		w.signIn(who)
		if n, wrong := w.leftovers(); n != 0 || len(wrong) != 0 {
			t.Errorf("before the first one came, %d wait and %q", n, wrong)
		}
		must(t, r.NewProduct(t).Do(ctx, late...).Err())
		if n, wrong := w.leftovers(); n != 1 || len(wrong) != 0 {
			t.Errorf("%d wait for their TTL, and %q", n, wrong)
		}
	})
}

// heldFirst is a hook that keeps the first script back, whose sender gets no answer.
type heldFirst struct{ args *[]any }

func (h heldFirst) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h heldFirst) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h heldFirst) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if *h.args != nil || cmd.Name() != "evalsha" {
			return next(ctx, cmd)
		}
		*h.args = cmd.Args()
		cmd.SetErr(&net.OpError{Op: "read", Err: io.EOF})
		return cmd.Err()
	}
}

// The check can fail: it finds what an end left, and excuses it only where the store could not know, or was not heard.
func TestLeavesNothing(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, nil)
		who := w.stranger()
		g, own := w.signIn(who), w.signIn(who)
		_, err := w.PutState(ctx, w.opens(g), "form", []byte(`1`), 0, session.StateCondition{})
		must(t, err)
		keys := []string{w.key(g.User.ID, "s"+string(g.Session.ID.Session[:])), w.key(g.User.ID, "d"+string(g.Session.ID.Session[:]))}
		var values []string
		for _, key := range keys {
			values = append(values, w.rdb.Dump(ctx, key).Val())
		}
		if n, wrong := w.leftovers(); n != 0 || len(wrong) != 0 {
			t.Errorf("what belongs to live sessions counts: %d, %q", n, wrong)
		}
		_, err = w.RevokeOthers(ctx, own.Session.ID, session.Revoked, operator)
		must(t, err)
		if n := w.leavesNothing(); n != 0 {
			t.Errorf("%d wait for their TTL", n)
		}
		for i, key := range keys {
			must(t, w.rdb.RestoreReplace(ctx, key, 0, values[i]).Err())
		}
		if n, wrong := w.leftovers(); n != 0 || len(wrong) != 2 {
			t.Errorf("it finds %d, and excuses %d", len(wrong), n)
		}
		w.unheard.keys[keys[0]] = true
		if n, wrong := w.leftovers(); n != 1 || len(wrong) != 1 {
			t.Errorf("it finds %d, and excuses %d, of which one was not unlinked", len(wrong), n)
		}
		clear(w.unheard.keys)
		_, ended := w.sessions()
		w.unheard.changes[ended[string(g.Session.ID.Session[:])][0]] = true
		if n, wrong := w.leftovers(); n != 2 || len(wrong) != 0 {
			t.Errorf("it finds %d, and excuses %d, of a change that was not answered", len(wrong), n)
		}
	})
}
