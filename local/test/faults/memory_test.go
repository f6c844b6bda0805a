package faults_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// limitMemory bounds what a Redis may use, in bytes; 0 is no bound, 1 is less than it has.
func (w *world) limitMemory(bytes string) {
	w.t.Helper()
	w.redis.EachPrimary(w.t, func(node *redis.Client) { must(w.t, node.ConfigSet(ctx, "maxmemory", bytes).Err()) })
}

// With memory full and nothing evicted, whatever ends, holds or takes away works, and whatever would need memory is refused
// whole: a nonce, a login, a refresh, a change of preferences or state. Sessions stay open.
func testMemoryFull(t *testing.T, w *world) {
	for _, a := range acts {
		tr := w.try(a)
		before := w.dump("")
		w.limitMemory("1")
		got, err := tr.ask()
		unchanged := maps.Equal(before, w.dump(""))
		w.limitMemory("0")
		switch {
		case tr.needsMemory:
			wants(t, tr.name, err, session.ErrUnavailable)
			if !unchanged {
				t.Errorf("%s: refused, and changed something", tr.name)
			}
			tr.settled("with memory again", false)
		case tr.name == "activity": // nobody is refused because it cannot be recorded
			if err != nil || got != "ok" || !unchanged {
				t.Errorf("activity: %q, %v", got, err)
			}
		default:
			tr.right("with memory full", got, err)
		}
		w.checkComplete()
		w.clear()
	}
}

func TestMemoryFull(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		testMemoryFull(t, newWorld(t, e.ServerWith(t, "--maxmemory-policy", "noeviction").Redis, nil))
	})
}

// The sweeper ends what is due with memory full.
func TestMemoryFull_sweep(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.ServerWith(t).Redis, nil)
		g := w.signIn(w.stranger())
		w.clock.add(31 * time.Minute)
		w.limitMemory("1")
		done, err := w.Sweep(ctx)
		if done.Ended != 1 || err != nil && !errors.Is(err, session.ErrUnavailable) { // the sum may be refused
			t.Errorf("swept %+v, %v", done, err)
		}
		w.limitMemory("0")
		w.dead(g)
		w.checkComplete()
	})
}

// Where Redis evicts, all that has a TTL may be gone: sessions and nonces. Nobody gets in by it, nothing that ended comes
// back, a block and roles stay, since they have none, and the sweeper mends the counters within the hour (attack case 61).
func TestEviction(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.ServerWith(t, "--maxmemory-policy", "volatile-lru").Redis, nil)
		turn := int(w.clock.now().Add(time.Minute).Unix() / 60 % 60)
		w.accept = func(u token.UserID) bool { return (int(u[0])<<4|int(u[1])>>4)%60 == turn }
		g, over := w.signIn(w.stranger()), w.signIn(w.stranger())
		w.end(over, session.LoggedOut)
		blocked, editor := w.stranger(), w.stranger()
		stopped, edits := w.signIn(blocked), w.signIn(editor)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(blocked)), session.Change{Actor: operator}))
		w.gives(editor, "editor")
		in := w.verified(w.stranger())
		unspent, _, err := w.IssueNonce(ctx, terms)
		must(t, err)

		w.limitMemory("1")
		for w.volatile() > 0 {
			_ = w.rdb.Set(ctx, "more", "x", 0).Err() // refused in the end, when nothing is left to evict
		}
		w.limitMemory("0")
		for _, gone := range []session.Grant{g, over, stopped, edits} {
			w.dead(gone)
		}
		for _, nonce := range []string{in.Nonce, unspent} {
			wants(t, "a nonce", w.SpendNonce(ctx, nonce, terms), session.ErrNonceUnknown)
		}
		_, err = w.Create(ctx, w.verified(blocked))
		wants(t, "a login of the blocked", err, session.ErrBlocked)
		if roles := w.signIn(editor).User.Roles; !slices.Equal(roles, []string{"editor"}) {
			t.Errorf("the roles are %q", roles)
		}
		must(t, w.Erase(ctx, edits.User.ID, session.Change{Actor: operator})) // whose record lists a session without a payload until it is due
		if len(w.problems()) == 0 {
			t.Error("the counters know what was evicted")
		}
		w.clock.add(time.Minute) // to the one in which the sweeper recounts those buckets
		_, err = w.Sweep(ctx)
		must(t, err)
		w.checkComplete()
	})
}

// volatile is how many keys have a TTL.
func (w *world) volatile() (n int) {
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":*") {
		if w.rdb.PTTL(ctx, key).Val() > 0 {
			n++
		}
	}
	return n
}

// Whichever single key is taken away, nobody gets in who was not, and what ended stays ended: absence denies. What is taken
// away for good is a session or a nonce (attack case 61).
func TestKeysLost(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, nil)
		who := w.stranger()
		old := w.signIn(who)
		w.clock.add(time.Minute)
		g := w.refreshed(old)
		over := w.signIn(who)
		w.end(over, session.LoggedOut)
		in := w.verified(who)
		blocked := w.stranger()
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(blocked)), session.Change{Actor: operator}))
		for key := range w.dump("") {
			value, ttl := w.rdb.Dump(ctx, key).Val(), w.rdb.PTTL(ctx, key).Val()
			if ttl < 0 {
				continue // without a TTL nothing is evicted
			}
			must(t, w.rdb.Unlink(ctx, key).Err())
			a, err := w.Validate(ctx, g.AccessToken, laptop)
			if err == nil && a.Session.ID != g.Session.ID || err != nil && !isDeath(err) {
				t.Errorf("without %q: %v", key, err)
			}
			w.dead(over)
			if err := w.SpendNonce(ctx, in.Nonce, terms); !errors.Is(err, session.ErrNonceSpent) && !errors.Is(err, session.ErrNonceUnknown) {
				t.Errorf("without %q a spent nonce is answered with %v", key, err)
			}
			_, err = w.Create(ctx, session.Login{Nonce: in.Nonce + key, Account: token.KeyAccount(blocked), ChainID: 1, Client: laptop})
			wants(t, "a login of the blocked", err, session.ErrBlocked)
			must(t, w.rdb.RestoreReplace(ctx, key, ttl, value).Err())
		}
		w.opens(g)
		w.checkComplete()
	})
}

// All keys gone in the middle of a login or a session: everybody is signed out, and no nonce that was issued or spent
// before is worth anything (attack case 61).
func TestKeysLost_all(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.ServerWith(t).Redis, nil)
		who := w.stranger()
		g, in := w.signIn(who), w.verified(w.stranger())
		nonce, _, err := w.IssueNonce(ctx, terms)
		must(t, err)
		a := w.opens(g)
		must(t, w.rdb.FlushAll(ctx).Err())
		w.dead(g)
		for _, spent := range []string{in.Nonce, nonce} {
			wants(t, "a nonce", w.SpendNonce(ctx, spent, terms), session.ErrNonceUnknown)
		}
		_, err = w.StepUp(ctx, a, laptop, nil)
		wants(t, "a step-up", err, token.ErrInvalid)
		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		wants(t, "a logout", err, token.ErrInvalid)
		second, err := w.Create(ctx, in) // whose nonce was spent, and whose signature verified, before
		must(t, err)
		w.opens(second)
		w.dead(g)
		w.checkComplete()
	})
}
