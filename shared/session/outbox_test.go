package session_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// allEventTypes are all types of events that scripts write.
func allEventTypes() (all []session.EventType) {
	for t := session.EventLogin; t <= session.EventTicketReused; t++ {
		all = append(all, t)
	}
	return all
}

func withOutbox(o *session.Options) { o.Outbox.Types = allEventTypes() }

// outboxes returns the events of all outboxes, oldest first.
func (w *world) outboxes() map[int][]session.Outgoing {
	w.t.Helper()
	var of []int
	for n := range session.OutboxPartitions {
		of = append(of, n)
	}
	all, err := w.Outgoing(ctx, of, 2000)
	must(w.t, err)
	return all
}

// outbox returns the events of an account's outbox, oldest first.
func (w *world) outbox(user token.UserID) []session.Outgoing {
	w.t.Helper()
	partition := int(user[0])<<4 | int(user[1])>>4
	all, err := w.Outgoing(ctx, []int{partition}, 2000)
	must(w.t, err)
	return all[partition]
}

// wantsPublished checks that the outboxes have these events, and no event twice.
func (w *world) wantsPublished(emitted []session.Event) {
	w.t.Helper()
	count := map[string]int{}
	for _, sent := range w.outboxes() {
		for _, o := range sent {
			if count[o.ID]++; count[o.ID] > 1 {
				w.t.Errorf("the outbox has twice %+v", o)
			}
		}
	}
	for _, e := range emitted {
		if count[e.ID] == 0 {
			w.t.Errorf("no outbox has %+v", e)
		}
	}
}

// The outbox has every event with who did what, in order, and each once.
func TestOutbox(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, max := range []int{0, 50} {
			w := newWorld(t, r, withOutbox, func(o *session.Options) { o.ActivityMax = max })
			g := w.signIn(alice, laptop)
			user, asAdmin := w.UserOf(token.KeyAccount(alice)), asOperator
			asAdmin.Account, asAdmin.Actor.Account = token.KeyAccount(alice), token.KeyAccount(bob)
			_, err := w.SetRoles(ctx, user, []string{"editor"}, asAdmin)
			must(t, err)
			must(t, w.Erase(ctx, user, asAdmin))
			sent := w.outbox(user)
			var types []session.EventType
			var last uint64
			for _, o := range sent {
				types = append(types, o.Type)
				if o.Sequence <= last || o.Account != token.KeyAccount(alice) || o.User != user {
					t.Errorf("after %d came %+v", last, o)
				}
				last = o.Sequence
			}
			want := []session.EventType{session.EventLogin, session.EventRoles, session.EventEnded, session.EventErased}
			if !slices.Equal(types, want) {
				t.Fatalf("sent %v, want %v", types, want)
			}
			login, roles, end := sent[0], sent[1], sent[2]
			if login.ChainID != g.Session.ChainID || login.Transport != g.Session.Transport || login.Session != g.Session.ID || login.Actor.IP != laptop.IP {
				t.Errorf("the login is %+v", login)
			}
			if !slices.Equal(roles.RolesAfter, []string{"editor"}) || len(roles.RolesBefore) != 0 || roles.Actor != asAdmin.Actor || roles.ChainID != 0 {
				t.Errorf("the roles are %+v", roles)
			}
			if end.Reason != session.AccountErased || end.Transport != g.Session.Transport || end.Actor != asAdmin.Actor {
				t.Errorf("the end is %+v", end)
			}
		}
	})
}

// outboxKeys are the keys of a partition's outbox: the list, its state, and what cannot be published.
func (w *world) outboxKeys(user token.UserID) (list, state, refused string) {
	base := strings.TrimSuffix(w.CountersKey(session.Partition(user)), "c")
	return base + "q", base + "v", base + "z"
}

// unchecked is watched, and the outboxes are not compared in the end.
func unchecked(t *testing.T, r redistest.Redis) (*world, *journal) {
	j := new(journal)
	return newWorld(t, r, withOutbox, func(o *session.Options) {
		o.Audit, o.ActivityMax, o.ActivityKeep = j.audit, 50, 90*session.Day
	}), j
}

// Attack case 68: whatever is in place of an outbox or its state stops no change, and every change has its event.
func TestOutbox_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, which := range []string{"list", "state"} {
			t.Run(which, func(t *testing.T) {
				w, emitted := unchecked(t, r)
				list, state, _ := w.outboxKeys(w.UserOf(token.KeyAccount(alice)))
				testDamagedBeside(t, w, emitted, map[string]string{"list": list, "state": state}[which])
			})
		}
		w := newWorld(t, r, withOutbox)
		_, state, _ := w.outboxKeys(w.UserOf(token.KeyAccount(alice)))
		for _, damaged := range []string{"", "x", strings.Repeat("\xff", 10), strings.Repeat("9", 400)} {
			g := w.signIn(alice, laptop)
			must(t, w.rdb.Set(ctx, state, damaged, 0).Err())
			w.clock.add(time.Second)
			before := len(w.outbox(g.User.ID))
			_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, asOperator)
			must(t, err)
			if sent := w.outbox(g.User.ID); len(sent) != before+1 || sent[before].Type != session.EventEnded {
				t.Errorf("with the state %q the outbox has %d events, before %d", damaged, len(sent), before)
			}
		}
	})
}

// A sequence grows whatever a failover or an expiry took away: the list, its state, or both.
func TestOutbox_sequence(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox)
		list, state, _ := w.outboxKeys(w.UserOf(token.KeyAccount(alice)))
		var last uint64
		for _, lost := range [][]string{nil, {list}, {state}, {list, state}} {
			for range 3 {
				w.signIn(alice, laptop) // at one moment
			}
			sent := w.outbox(w.UserOf(token.KeyAccount(alice)))
			for _, o := range sent[max(0, len(sent)-3):] {
				if o.Sequence <= last {
					t.Errorf("without %q the sequence %d comes after %d", lost, o.Sequence, last)
				}
				last = o.Sequence
			}
			w.clock.add(time.Second)
			if lost != nil {
				must(t, w.rdb.Del(ctx, lost...).Err())
			}
		}
	})
}

// A full outbox drops the oldest, counts them, and stops no end.
func TestOutbox_full(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox)
		first, second := w.signIn(alice, laptop), w.signIn(alice, laptop)
		list, _, _ := w.outboxKeys(first.User.ID)
		raw := w.rdb.LIndex(ctx, list, 0).Val()
		for range session.OutboxMax - 2 {
			must(t, w.rdb.LPush(ctx, list, raw).Err())
		}
		n, err := w.RevokeAllOf(ctx, first.User.ID, session.Revoked, asOperator)
		must(t, err)
		sent := w.outbox(first.User.ID)
		if n != 2 || len(sent) != session.OutboxMax || sent[len(sent)-1].Session != second.Session.ID || sent[len(sent)-2].Type != session.EventEnded {
			t.Errorf("%d ended, the outbox has %d, the last %+v", n, len(sent), sent[len(sent)-1])
		}
		for _, want := range []int{2, 0} {
			_, dropped, err := w.Published(ctx, session.Partition(first.User.ID), sent[:1], nil)
			must(t, err)
			if dropped != want {
				t.Errorf("%d were dropped, want %d", dropped, want)
			}
			sent = w.outbox(first.User.ID)
		}
	})
}

// What a publisher has sent is removed from the front, and nothing behind what was not sent. What was refused is kept apart,
// a hundred at most.
func TestOutbox_published(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox)
		for range 60 {
			w.signIn(alice, laptop)
		}
		user := w.UserOf(token.KeyAccount(alice))
		list, state, refused := w.outboxKeys(user)
		sent := w.outbox(user)
		remove := func(accepted, apart []session.Outgoing, want int) {
			t.Helper()
			removed, _, err := w.Published(ctx, session.Partition(user), accepted, apart)
			must(t, err)
			if removed != want {
				t.Errorf("it removed %d, want %d", removed, want)
			}
		}
		remove(sent[1:], nil, 0) // the first one was not
		remove(append(slices.Clone(sent[:2]), sent[3:]...), nil, 2)
		remove(sent[:2], nil, 0) // another publisher has
		remove(nil, sent, len(sent)-2)
		if len(w.outbox(user)) != 0 || w.rdb.LLen(ctx, refused).Val() != 100 {
			t.Errorf("%d are left, and %d kept apart", len(w.outbox(user)), w.rdb.LLen(ctx, refused).Val())
		}
		w.signIn(alice, laptop)
		for _, key := range []string{list, state, refused} {
			w.keeps("an event", key, 30*session.Day)
		}
	})
}

// An account that is erased has its name in the outbox, sealed, until its events were published: others must hear of it. What is
// published has it; what was published is gone.
func TestOutbox_erased(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox)
		g := w.signIn(alice, laptop)
		change := asOperator
		change.Account = token.KeyAccount(alice)
		must(t, w.Erase(ctx, g.User.ID, change))
		sent := w.outbox(g.User.ID)
		if last := sent[len(sent)-1]; last.Type != session.EventErased || last.Account != token.KeyAccount(alice) {
			t.Errorf("the last is %+v", last)
		}
		list, _, _ := w.outboxKeys(g.User.ID)
		for _, raw := range w.rdb.LRange(ctx, list, 0, -1).Val() {
			if strings.Contains(raw, string(alice[:])) {
				t.Error("an address is not sealed")
			}
		}
		_, _, err := w.Published(ctx, session.Partition(g.User.ID), sent, nil)
		must(t, err)
		if w.rdb.Exists(ctx, list).Val() != 0 {
			t.Error("something of it remains")
		}
	})
}

// sentCommands are the commands that a client sends, each with how many keys and arguments a script has.
type sentCommands struct{ all []string }

func (c *sentCommands) hook() hook {
	return func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		text := cmd.Name()
		if args := cmd.Args(); isScript(cmd) {
			keys, _ := strconv.Atoi(fmt.Sprint(args[2]))
			text += fmt.Sprintf(" %d keys, %d arguments", keys, len(args)-3-keys)
		}
		c.all = append(c.all, text)
		return next(ctx, cmd)
	}
}

// Without events, a login, a validation, a refresh and a logout send what they always did, and nothing is stored. With events, a
// validation does so, too; what makes a change has two keys more and then sends its hint.
func TestOutbox_off(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		for _, on := range []bool{false, true} {
			w := newWorld(t, r, func(o *session.Options) {
				if on {
					withOutbox(o)
				}
			})
			keys, hint := 0, []string(nil)
			if on {
				keys, hint = 2, []string{"sadd"}
			}
			sent := new(sentCommands)
			s := w.on(w.hooked(sent.hook()), w.clock)
			step := func(name string, change func() error, want ...string) {
				t.Helper()
				for range 2 { // the first one may load scripts
					sent.all = nil
					must(t, change())
				}
				if !slices.Equal(sent.all, want) {
					t.Errorf("with events %v: a %s sends %q, want %q", on, name, sent.all, want)
				}
			}
			scripted := func(n, arguments int) string { return fmt.Sprintf("evalsha %d keys, %d arguments", n+keys, arguments) }
			var g session.Grant
			step("login", func() (err error) { g, err = s.Create(ctx, w.login(alice, laptop)); return }, append([]string{scripted(9, 21)}, hint...)...)
			step("validation", func() (err error) { _, err = s.Validate(ctx, g.AccessToken, laptop); return }, "mget")
			step("refresh", func() (err error) {
				w.clock.add(time.Minute)
				g, err = s.Refresh(ctx, g.RefreshToken, laptop)
				return
			}, append([]string{scripted(7, 23)}, hint...)...)
			step("logout", func() error {
				g := w.signIn(alice, laptop)
				_, err := s.Revoke(ctx, g.Session.ID, session.LoggedOut, asOperator)
				return err
			}, append([]string{scripted(7, 15)}, hint...)...)
			for key := range w.dump() {
				if of := key[len(key)-2:]; !on && (of == ":q" || of == ":v" || of == ":z" || strings.HasSuffix(key, ":hints")) {
					t.Errorf("without events there is %q", key)
				}
			}
			for key := range w.dump() {
				must(t, w.rdb.Del(ctx, key).Err())
			}
		}
	})
}

// What an event weighs in Redis: 360,000 in all outboxes, as of an hour with 100 changes a second while nothing is published, and
// full outboxes.
func TestOutbox_memory(t *testing.T) {
	own := redistest.ServerWith(t)
	w := newWorld(t, own.Under(t, "lk"), withOutbox)
	list, _, _ := w.outboxKeys(w.signIn(alice, laptop).User.ID)
	raw := w.rdb.LIndex(ctx, list, 0).Val()
	for _, c := range []struct{ partitions, each int }{{session.OutboxPartitions, 88}, {100, session.OutboxMax}} {
		before := w.usedMemory()
		for partition := range c.partitions {
			all := make([]any, c.each)
			for i := range all {
				all[i] = raw[:len(raw)-8] + fmt.Sprintf("%08d", i)
			}
			key := fmt.Sprintf("lk:{%03x}:q%d", partition, c.each)
			must(t, w.rdb.LPush(ctx, key, all...).Err())
			must(t, w.rdb.PExpire(ctx, key, time.Hour).Err())
		}
		each := float64(w.usedMemory()-before) / float64(c.partitions*c.each)
		t.Logf("%d outboxes of %d events: %.0f bytes an event of %d bytes", c.partitions, c.each, each, len(raw))
		if each < 100 || each > 320 {
			t.Errorf("an event weighs %.0f bytes", each)
		}
	}
}

// hinted reports whether a hint has arrived. It does not take it.
func (w *world) hinted() bool {
	return w.rdb.Exists(ctx, w.opts.Prefix+":hints").Val() > 0
}

// A hint is sent while its request goes on, and has arrived before the request is over. Without a request, the change waits.
func TestWithHints(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox)
		under, release := make(chan bool), make(chan bool)
		var answered atomic.Bool
		slow := w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if cmd.Name() == "sadd" {
				under <- true
				<-release
				for range 1000 { // who does not wait is ahead
					runtime.Gosched()
				}
				err := next(context.WithoutCancel(ctx), cmd)
				answered.Store(true)
				return err
			}
			return next(ctx, cmd)
		})
		s := w.on(slow, w.clock)
		request, sent := s.WithHints(ctx)
		_, err := s.Create(request, w.login(alice, laptop))
		must(t, err) // and the hint is still under way
		<-under
		if w.hinted() {
			t.Fatal("the hint is not held back")
		}
		close(release)
		if sent(); !answered.Load() || !w.hinted() {
			t.Error("the request is over, and its hint has not arrived")
		}
		_, err = w.Hints(ctx)
		must(t, err)
		if w.hinted() {
			t.Fatal("a hint stays")
		}
		w.signIn(alice, laptop)
		if !w.hinted() {
			t.Error("a change without a request has not waited")
		}
	})
}

// A refresh from another device that a rate limit refuses has no event, and so it publishes none.
func TestOutbox_limited(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, withOutbox, func(o *session.Options) { o.RefreshRate = 1 })
		g := w.signIn(alice, laptop)
		w.clock.add(time.Minute)
		g, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.add(50 * time.Second) // behind the grace, within the limit's minute
		moved := laptop
		moved.Device = session.Device{Name: "Phone", Browser: "Safari", OS: "iOS", Class: session.Mobile}
		before := w.outbox(w.UserOf(token.KeyAccount(alice)))
		_, err = w.Refresh(ctx, g.RefreshToken, moved)
		var rate *session.RateError
		if !errors.As(err, &rate) {
			t.Fatal(err)
		}
		if sent := w.outbox(w.UserOf(token.KeyAccount(alice))); len(before) != 2 || len(sent) != 2 {
			t.Errorf("before %d events, then %d", len(before), len(sent))
		}
	})
}
