package session_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// putState stores without a condition, for as long as the session lives.
func (w *world) putState(a session.Access, key, value string) session.StateItem {
	w.t.Helper()
	item, err := w.PutState(ctx, a, key, []byte(value), 0, session.StateCondition{})
	must(w.t, err)
	return item
}

// withState is a login whose session has state, from a device that is not another one.
func (w *world) withState(client session.Client) session.Grant {
	w.t.Helper()
	g := w.signIn(alice, client)
	a, err := w.Inspect(ctx, g.AccessToken, client.Transport)
	must(w.t, err)
	w.putState(a, "form", `{"step":1}`)
	return g
}

func (w *world) list(a session.Access) session.StateList {
	w.t.Helper()
	list, err := w.ListState(ctx, a)
	must(w.t, err)
	return list
}

func TestState_story(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a := w.opens(w.signIn(alice, laptop))
		if list := w.list(a); len(list.Items) != 0 || list.Used != 0 || list.Quota != 1000 {
			t.Errorf("an empty state is %+v", list)
		}
		_, err := w.State(ctx, a, "form")
		wants(t, err, session.ErrNotFound)
		put := w.putState(a, "form", `{"step":1}`)
		w.putState(a, "cart", `[1,2]`)
		got, err := w.State(ctx, a, "form")
		must(t, err)
		if string(got.Value) != `{"step":1}` || got.Key != "form" || got.Size != 10 || got.Version != put.Version || !got.Expires.Equal(a.Session.AbsoluteEnd) {
			t.Errorf("stored %+v, read %+v", put, got)
		}
		list := w.list(a)
		if len(list.Items) != 2 || list.Items[0].Key != "cart" || list.Items[1].Key != "form" || list.Used != 4+5+4+10 {
			t.Errorf("the state is %+v", list)
		}
		if list.Items[1].Size != 10 || list.Items[1].Value != nil || list.Items[1].Version != put.Version {
			t.Errorf("listed %+v", list.Items[1])
		}
		if again := w.putState(a, "form", `{"step":1}`); again.Version == put.Version {
			t.Error("another write has the same version")
		}
		must(t, w.DeleteState(ctx, a, "form", session.StateCondition{}))
		_, err = w.State(ctx, a, "form")
		wants(t, err, session.ErrNotFound)
		wants(t, w.DeleteState(ctx, a, "form", session.StateCondition{}), session.ErrNotFound)
		if list := w.list(a); len(list.Items) != 1 || list.Used != 9 {
			t.Errorf("after the deletion the state is %+v", list)
		}
	})
}

// State is one session's: another of the same account has its own, and when the session dies it is gone.
func TestState_diesWithItsSession(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		g := w.signIn(alice, laptop)
		a, b := w.opens(g), w.opens(w.signIn(alice, phone))
		w.putState(a, "form", `1`)
		_, err := w.State(ctx, b, "form")
		wants(t, err, session.ErrNotFound)
		key := w.StateKey(g.Session.ID)
		// Where no end deletes it, Redis does, a minute after the session could have lived.
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl <= 12*time.Hour || ttl > 12*time.Hour+time.Minute {
			t.Errorf("the state goes in %v", ttl)
		}
		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		if w.rdb.Exists(ctx, key).Val() != 0 {
			t.Error("the state is there after the logout")
		}
		if _, err = w.Validate(ctx, g.AccessToken, laptop); !isDeath(err) {
			t.Errorf("the session opens: %v", err)
		}
	})
}

// A refresh changes nothing about a session's state.
func TestState_survivesRefresh(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), small)
	g := w.signIn(alice, laptop)
	w.putState(w.opens(g), "form", `1`)
	w.clock.add(time.Minute)
	next, err := w.Refresh(ctx, g.RefreshToken, laptop)
	must(t, err)
	_, err = w.State(ctx, w.opens(next), "form")
	must(t, err)
}

// A key is over at its end and not before, by the injected clock: for reading, listing, conditions and the quota.
func TestState_ttl(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a := w.opens(w.signIn(alice, laptop))
		item, err := w.PutState(ctx, a, "short", []byte(`"`+strings.Repeat("x", 900)+`"`), time.Minute, session.StateCondition{})
		must(t, err)
		if !item.Expires.Equal(w.clock.now().Add(time.Minute)) {
			t.Errorf("expires %v", item.Expires)
		}
		w.clock.add(time.Minute - time.Millisecond)
		_, err = w.State(ctx, a, "short")
		must(t, err)
		_, err = w.PutState(ctx, a, "other", []byte(`"`+strings.Repeat("x", 900)+`"`), 0, session.StateCondition{})
		wants(t, err, session.ErrTooLarge)
		w.clock.add(time.Millisecond)
		_, err = w.State(ctx, a, "short")
		wants(t, err, session.ErrNotFound)
		if list := w.list(a); len(list.Items) != 0 || list.Used != 0 {
			t.Errorf("listed %+v", list)
		}
		wants(t, w.DeleteState(ctx, a, "short", session.StateCondition{}), session.ErrNotFound)
		_, err = w.PutState(ctx, a, "short", []byte(`1`), 0, session.StateCondition{Versions: []string{"*"}})
		wants(t, err, session.ErrPrecondition)
		_, err = w.PutState(ctx, a, "other", []byte(`"`+strings.Repeat("x", 900)+`"`), 0, session.StateCondition{})
		must(t, err)
		if n := w.rdb.HLen(ctx, w.StateKey(a.Session.ID)).Val(); n != 1 {
			t.Errorf("%d fields, what expired was not dropped", n)
		}
		_, err = w.PutState(ctx, a, "short", []byte(`1`), time.Second, session.StateCondition{Absent: true})
		must(t, err)
		// A long time is cut at the session's end, and a time that is over may be taken again.
		long, err := w.PutState(ctx, a, "short", []byte(`1`), 1000*time.Hour, session.StateCondition{})
		must(t, err)
		if !long.Expires.Equal(a.Session.AbsoluteEnd) {
			t.Errorf("expires %v, after the session's end %v", long.Expires, a.Session.AbsoluteEnd)
		}
	})
}

func TestState_conditions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a := w.opens(w.signIn(alice, laptop))
		old := w.putState(a, "there", `1`)
		item := w.putState(a, "there", `2`)
		stranger := w.putState(a, "stranger", `1`)
		for name, c := range map[string]struct {
			want         session.StateCondition
			there, fresh bool // whether it holds of a key that is there, and of one that is not
		}{
			"none":                {session.StateCondition{}, true, true},
			"absent":              {session.StateCondition{Absent: true}, false, true},
			"any":                 {session.StateCondition{Versions: []string{"*"}}, true, false},
			"its version":         {session.StateCondition{Versions: []string{item.Version}}, true, false},
			"among others":        {session.StateCondition{Versions: []string{old.Version, "", item.Version}}, true, false},
			"the one before":      {session.StateCondition{Versions: []string{old.Version}}, false, false},
			"another key's":       {session.StateCondition{Versions: []string{stranger.Version}}, false, false},
			"none of ours":        {session.StateCondition{Versions: []string{""}}, false, false},
			"two run together":    {session.StateCondition{Versions: []string{old.Version + item.Version}}, false, false},
			"in upper case":       {session.StateCondition{Versions: []string{strings.ToUpper(item.Version) + "F"}}, false, false},
			"shifted":             {session.StateCondition{Versions: []string{old.Version[:12] + item.Version[:12], item.Version[12:] + old.Version[12:]}}, false, false},
			"absent and any":      {session.StateCondition{Absent: true, Versions: []string{"*"}}, false, false},
			"absent, its version": {session.StateCondition{Absent: true, Versions: []string{item.Version}}, false, false},
		} {
			before, fields := w.dump(), w.rdb.HGetAll(ctx, w.StateKey(a.Session.ID)).Val()
			_, err := w.PutState(ctx, a, "fresh", []byte(`1`), 0, c.want)
			if stepUpRequired := err == nil; stepUpRequired != c.fresh || err != nil && !errors.Is(err, session.ErrPrecondition) {
				t.Errorf("%s, of no key: %v", name, err)
			}
			if err == nil {
				must(t, w.DeleteState(ctx, a, "fresh", session.StateCondition{}))
			} else if !same(before, w.dump()) {
				t.Errorf("%s: a refused change changed something", name)
			}
			err = w.DeleteState(ctx, a, "there", c.want)
			if stepUpRequired := err == nil; stepUpRequired != c.there || err != nil && !errors.Is(err, session.ErrPrecondition) {
				t.Errorf("%s, of a key to delete: %v", name, err)
			}
			if err == nil { // put the very value back, so that its version is as before
				must(t, w.rdb.HSet(ctx, w.StateKey(a.Session.ID), fields).Err())
			}
		}
		_, err := w.PutState(ctx, a, "there", []byte(`3`), 0, session.StateCondition{Versions: []string{item.Version}})
		must(t, err)
	})
}

// Over quota nothing is changed: not by a new key, not by a longer value, not by too many keys.
func TestState_quota(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a := w.opens(w.signIn(alice, laptop))
		text := func(n int) string { return strings.Repeat("1", n) }
		w.putState(a, "half", text(496)) // with its name 500
		refused := func(key string, n int) {
			t.Helper()
			before := w.dump()
			_, err := w.PutState(ctx, a, key, []byte(text(n)), 0, session.StateCondition{})
			if wants(t, err, session.ErrTooLarge); !same(before, w.dump()) {
				t.Errorf("%s of %d: refused, and something changed", key, n)
			}
		}
		refused("rest", 497)
		refused("half", 997)
		w.putState(a, "rest", text(496))
		if list := w.list(a); list.Used != 1000 {
			t.Errorf("used %d", list.Used)
		}
		refused("x", 1)
		refused("half", 497)
		w.putState(a, "half", text(496)) // what is replaced does not count
		w.putState(a, "half", text(495))
		refused("x", 1)
		w.putState(a, "half", text(494))
		w.putState(a, "x", text(1))
		must(t, w.DeleteState(ctx, a, "rest", session.StateCondition{}))
		w.putState(a, "new", text(400))
	})
}

func TestState_manyKeys(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.StateQuota = 256 << 10 })
		a := w.opens(w.signIn(alice, laptop))
		for i := range session.MaxStateKeys {
			w.putState(a, fmt.Sprint("key", i), `1`)
		}
		_, err := w.PutState(ctx, a, "one more", []byte(`1`), 0, session.StateCondition{})
		wants(t, err, session.ErrTooLarge)
		w.putState(a, "key7", `2`)
		must(t, w.DeleteState(ctx, a, "key7", session.StateCondition{}))
		w.putState(a, "one more", `1`)
		if n := len(w.list(a).Items); n != session.MaxStateKeys {
			t.Errorf("%d keys", n)
		}
		for _, key := range []string{"", strings.Repeat("k", 65), strings.Repeat("k", 300)} {
			if _, err := w.PutState(ctx, a, key, []byte(`1`), 0, session.StateCondition{}); err == nil {
				t.Errorf("a name of %d bytes was taken", len(key))
			}
		}
	})
}

// Of writes that race with the same condition one is made; without one the quota holds whatever the order.
func TestState_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a := w.opens(w.signIn(alice, laptop))
		count := func(call func(i int) error) (done int) {
			var mu sync.Mutex
			together(8, func(i int) {
				err := call(i)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					done++
				} else if !errors.Is(err, session.ErrPrecondition) && !errors.Is(err, session.ErrTooLarge) && !errors.Is(err, session.ErrNotFound) {
					t.Error(err)
				}
			})
			return done
		}
		put := func(want session.StateCondition) func(int) error {
			return func(i int) error {
				_, err := w.PutState(ctx, a, "form", []byte(fmt.Sprint(i)), 0, want)
				return err
			}
		}
		if n := count(put(session.StateCondition{Absent: true})); n != 1 {
			t.Errorf("%d made the key", n)
		}
		item, err := w.State(ctx, a, "form")
		must(t, err)
		if n := count(put(session.StateCondition{Versions: []string{item.Version}})); n != 1 {
			t.Errorf("%d changed the version", n)
		}
		if n := count(func(int) error { return w.DeleteState(ctx, a, "form", session.StateCondition{}) }); n != 1 {
			t.Errorf("%d deleted the key", n)
		}
		if n := count(func(i int) error {
			_, err := w.PutState(ctx, a, fmt.Sprint("k", i), []byte(strings.Repeat("1", 298)), 0, session.StateCondition{})
			return err
		}); n != 3 || w.list(a).Used != 900 {
			t.Errorf("%d writes fitted, %d bytes are used", n, w.list(a).Used)
		}
	})
}

// A value opens in its own field of its own session until its own end, and nowhere else.
func TestState_bound(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a, b := w.opens(w.signIn(alice, laptop)), w.opens(w.signIn(alice, phone))
		w.putState(a, "one", `1`)
		w.putState(b, "one", `2`)
		key := w.StateKey(a.Session.ID)
		fields := w.rdb.HKeys(ctx, key).Val()
		good := w.rdb.HGet(ctx, key, fields[0]).Val()
		other := w.rdb.HVals(ctx, w.StateKey(b.Session.ID)).Val()[0]
		later := string(good[:5]) + string([]byte{good[5] + 1}) + good[6:]
		for name, value := range map[string]string{
			"another session's": other, "with a later end": later, "cut": good[:len(good)-1], "empty": "", "short": good[:12], "head alone": good[:10],
		} {
			must(t, w.rdb.HSet(ctx, key, fields[0], value).Err())
			_, err := w.State(ctx, a, "one")
			_, all := w.ListState(ctx, a)
			if !errors.Is(err, session.ErrDamaged) || !errors.Is(all, session.ErrDamaged) {
				t.Errorf("%s: %v, listed %v", name, err, all)
			}
		}
		must(t, w.rdb.HSet(ctx, key, fields[0], good).Err())
		must(t, w.rdb.HSet(ctx, key, strings.Repeat("f", 16), good).Err())
		_, err := w.ListState(ctx, a)
		wants(t, err, session.ErrDamaged)
	})
}

// State that is missing because its session ended between the check and the read is no missing key: the caller is told
// that the session ended.
func TestState_endsBeforeItIsRead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, read := range map[string]func(*session.Store, session.Access) error{
			"one": func(s *session.Store, a session.Access) error { _, err := s.State(ctx, a, "form"); return err },
			"all": func(s *session.Store, a session.Access) error { _, err := s.ListState(ctx, a); return err },
		} {
			w := newWorld(t, r.Under(t, r.Prefix+name))
			g := w.withState(laptop)
			a := w.opens(g)
			_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
			must(t, err)
			wantsEnded(t, read(w.Store, a), session.LoggedOut)
		}
	})
}
