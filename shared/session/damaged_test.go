package session_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// besides are the keys beside a record that its changes write, by name.
func (w *world) besides(u token.UserID) map[string]string {
	partition := session.Partition(u)
	return map[string]string{
		"activity": w.ActivityKey(u), "counters": w.CountersKey(partition), "index": w.IndexKey(partition, 0), "own index": w.ownIndexKey(u),
	}
}

// ownIndexKey is the part of the index that is an account's own.
func (w *world) ownIndexKey(u token.UserID) string {
	return w.IndexKey(session.Partition(u), 1+int(u[1]&15)*(session.IndexSegments-1)/16)
}

// Attack case 68, invariant 9: what stands beside a record and is of another type stops no change, neither half way nor
// whole, and every change has its event.
func TestChange_damagedBeside(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name := range newWorld(t, r).besides(token.UserID{}) {
			t.Run(name, func(t *testing.T) {
				w, emitted := watched(t, r)
				testDamagedBeside(t, w, emitted, w.besides(w.UserOf(token.KeyAccount(alice)))[name])
			})
		}
	})
}

func testDamagedBeside(t *testing.T, w *world, emitted *journal, key string) {
	user := w.UserOf(token.KeyAccount(alice))
	changes := 0
	changed := func(kind session.EventType, change func() error) {
		t.Helper()
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.HSet(ctx, key, "of", "another type").Err())
		emitted.all = nil
		changes++
		if err := change(); err != nil {
			t.Fatalf("change %d: %v", changes, err)
		}
		stored := w.rdb.LRange(ctx, w.ActivityKey(user), 0, -1).Val()
		if len(stored) > 0 && session.IsDetail(stored[0]) { // which is in front of its event
			stored = stored[1:]
		}
		if len(emitted.all) != 1 || emitted.all[0].Type != kind || len(stored) == 0 || session.EventType(stored[0][0]) != kind {
			t.Errorf("change %d: told %v, stored %q, want one of type %v", changes, emitted.all, stored, kind)
		}
		w.clock.add(time.Minute)
	}
	var g session.Grant
	login := func(nonce string) func() error {
		return func() (err error) {
			g, err = w.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(alice), Client: laptop})
			return err
		}
	}
	changed(session.EventLogin, login("a"))
	changed(session.EventRefresh, func() (err error) { g, err = w.Refresh(ctx, g.RefreshToken, laptop); return err })
	changed(session.EventEnded, func() error {
		_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		return err
	})
	w.dead(g)
	changed(session.EventLogin, login("b"))
	changed(session.EventStepUp, func() error {
		a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
		must(t, err)
		g, err = w.StepUp(ctx, a, laptop, nil)
		return err
	})
	changed(session.EventNetwork, func() error {
		moved := laptop
		moved.IP = phone.IP
		_, err := w.Validate(ctx, g.AccessToken, moved)
		return err
	})
	changed(session.EventPreferences, func() error {
		a, old, err := w.ValidateWithPreferences(ctx, g.AccessToken, session.Client{Transport: session.Cookie, NotEvaluated: true, NoNetwork: true})
		must(t, err)
		_, err = w.SetPreferences(ctx, a, old, []byte(`{"a":1}`), session.Actor{})
		return err
	})
	changed(session.EventRoles, func() error {
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		return err
	})
	changed(session.EventEnded, func() error { _, err := w.RevokeAllOf(ctx, user, session.Revoked, asOperator); return err })
	w.dead(g)
	changed(session.EventBlocked, func() error { return w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator) })
	changed(session.EventUnblocked, func() error { return w.Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator) })
	must(t, w.Erase(ctx, user, asOperator))
	if n := w.rdb.Exists(ctx, w.ActivityKey(user)).Val(); n != 0 {
		t.Error("erased, and there is an activity")
	}
}

// An answer that has to be told again is given without the list that it would be told from.
func TestRevoke_againWithDamagedActivity(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		key := w.ActivityKey(g.User.ID)
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.Set(ctx, key, "no list", 0).Err())
		over, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
		must(t, err)
		if over.Reason != session.LoggedOut || over.ByThis {
			t.Errorf("told %+v", over)
		}
	})
}

// Attack case 68: an event whose line is lost, since the log cannot be written or the process dies right after the change,
// stands in the activity all the same.
func TestAudit_lineLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		lost := 0
		w := newWorld(t, r, func(o *session.Options) {
			o.Audit = func(context.Context, session.Event) { lost++ } // written nowhere
		})
		g := w.signIn(alice, laptop)
		must(t, w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator))
		gone := w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if err := next(ctx, cmd); err != nil || !isScript(cmd) {
				return err
			}
			cmd.SetErr(redis.ErrClosed) // the process is ending: it hears nothing, and asks no more
			return cmd.Err()
		})
		wants(t, w.on(gone, w.clock).Unblock(ctx, w.UserOf(token.KeyAccount(alice)), asOperator), session.ErrUnavailable)
		events, _, err := w.Activity(ctx, g.User.ID, "", 10)
		must(t, err)
		want := []string{"login", "session.ended account_blocked", "account.blocked", "account.unblocked"}
		if got := kinds(events); !slices.Equal(got, want) || lost != 3 {
			t.Errorf("the activity has %q, want %q; %d lines lost", got, want, lost)
		}
	})
}
