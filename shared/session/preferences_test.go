package session_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// preferences reads those of a grant's account.
func (w *world) preferences(g session.Grant) (session.Access, session.Preferences) {
	w.t.Helper()
	a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
	must(w.t, err)
	return a, p
}

// prefer sets preferences, whatever they were.
func (w *world) prefer(g session.Grant, json string) session.Preferences {
	w.t.Helper()
	a, old := w.preferences(g)
	p, err := w.SetPreferences(ctx, a, old, []byte(json), laptop.Actor())
	must(w.t, err)
	return p
}

func TestPreferences_story(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a, none := w.preferences(g)
		if string(none.JSON) != "{}" || none.Version != "0" {
			t.Errorf("before the first change %s, version %q", none.JSON, none.Version)
		}
		versions := map[string]bool{none.Version: true}
		for _, json := range []string{`{"theme":"dark"}`, `{"theme":"light"}`, `{"theme":"dark"}`} {
			p := w.prefer(g, json)
			_, read := w.preferences(g)
			if string(read.JSON) != json || read.Version != p.Version || versions[p.Version] {
				t.Errorf("read %s version %s, want %s %s, and unlike %v", read.JSON, read.Version, json, p.Version, versions)
			}
			versions[p.Version] = true
		}
		for version := range versions {
			if strings.Trim(version, "0123456789abcdef") != "" || version == "" {
				t.Errorf("version %q", version)
			}
		}
		if p := w.prefer(g, `{}`); p.Version != "0" || string(p.JSON) != "{}" {
			t.Errorf("emptied they are %s, version %s", p.JSON, p.Version)
		}
		if n := w.rdb.Exists(ctx, w.PreferencesKey(a.User.ID)).Val(); n != 0 {
			t.Error("an empty object is stored")
		}
		if _, read := w.preferences(g); read.Version != "0" {
			t.Errorf("version %s", read.Version)
		}
	})
}

// Preferences survive logout and expiry, and are nobody else's. A record that has some is kept for as long as they are.
func TestPreferences_outliveSessions(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		record := w.RecordKey(g.Session.ID)
		set := w.prefer(g, `{"theme":"dark"}`)
		w.keeps("with preferences", record, year)
		w.keeps("with preferences", w.PreferencesKey(g.Session.ID.User), year)
		_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		g = w.signIn(alice, laptop)
		if _, p := w.preferences(g); string(p.JSON) != `{"theme":"dark"}` || p.Version != set.Version {
			t.Errorf("after a logout they are %s", p.JSON)
		}
		w.clock.add(300 * 24 * time.Hour)
		if _, _, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop); !isDeath(err) {
			t.Errorf("an expired session reads them: %v", err)
		}
		g = w.signIn(alice, laptop)
		if _, p := w.preferences(g); p.Version != set.Version {
			t.Errorf("after expiry they are %s", p.JSON)
		}
		if _, p := w.preferences(w.signIn(bob, laptop)); string(p.JSON) != "{}" {
			t.Errorf("another account has %s", p.JSON)
		}
		w.prefer(g, `{}`)
		w.keeps("without preferences", record, 90*session.Day+w.opts.Absolute)
	})
}

// Of changes that were made for the same version one is made, and the others are told what it made.
func TestSetPreferences_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		for round, changes := range [][]string{
			{`{"a":1}`, `{"a":2}`, `{"a":3}`, `{"a":4}`}, // from nothing
			{`{"a":5}`, `{"a":6}`, `{}`, `{"a":7}`},
			{`{"a":8}`, `{"a":8}`, `{"a":8}`, `{"a":8}`},
			{`{}`, `{}`, `{}`, `{}`},
		} {
			if _, p := w.preferences(g); round > 0 && p.Version == "0" {
				w.prefer(g, `{"a":0}`)
			}
			a, old := w.preferences(g)
			var mu sync.Mutex
			var won []session.Preferences
			var lost []session.Preferences
			together(8, func(i int) {
				p, err := w.SetPreferences(ctx, a, old, []byte(changes[i%4]), laptop.Actor())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					won = append(won, p)
				case errors.Is(err, session.ErrPrecondition):
					lost = append(lost, p)
				default:
					t.Error(err)
				}
			})
			_, now := w.preferences(g)
			if len(won) != 1 || len(lost) != 7 {
				t.Fatalf("round %d: %d won, %d lost", round, len(won), len(lost))
			}
			if now.Version != won[0].Version || string(now.JSON) != string(won[0].JSON) {
				t.Errorf("round %d: %s won and %s is stored", round, won[0].JSON, now.JSON)
			}
			for _, p := range lost {
				if p.Version != now.Version || string(p.JSON) != string(now.JSON) {
					t.Errorf("round %d: a loser is told %s", round, p.JSON)
				}
			}
		}
	})
}

// A version is never that of another content: one that was read before others changed and changed back does not hold.
func TestSetPreferences_changedBack(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	first := w.prefer(g, `{"a":1}`)
	w.prefer(g, `{"a":2}`)
	w.prefer(g, `{"a":1}`)
	a, _ := w.preferences(g)
	_, err := w.SetPreferences(ctx, a, first, []byte(`{"a":3}`), laptop.Actor())
	wants(t, err, session.ErrPrecondition)
}

// dataStory is one of each change of preferences and state, with what must be refused in between.
func dataStory(t *testing.T, w *world, s *session.Store) {
	t.Helper()
	g := w.signIn(alice, laptop)
	a, p, err := s.ValidateWithPreferences(ctx, g.AccessToken, laptop)
	must(t, err)
	set, err := s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
	must(t, err)
	_, err = s.SetPreferences(ctx, a, p, []byte(`{"a":2}`), laptop.Actor())
	wants(t, err, session.ErrPrecondition)
	_, err = s.SetPreferences(ctx, a, set, []byte(`{}`), laptop.Actor())
	must(t, err)
	_, err = s.SetPreferences(ctx, a, set, []byte(`{}`), laptop.Actor())
	wants(t, err, session.ErrPrecondition)

	put := func(key, value string, want session.StateCondition) (session.StateItem, error) {
		return s.PutState(ctx, a, key, []byte(value), time.Minute, want)
	}
	item, err := put("form", `{"step":1}`, session.StateCondition{Absent: true})
	must(t, err)
	_, err = put("form", `{"step":2}`, session.StateCondition{Absent: true})
	wants(t, err, session.ErrPrecondition)
	_, err = put("form", `{"step":2}`, session.StateCondition{Versions: []string{item.Version}})
	must(t, err)
	_, err = put("big", strings.Repeat("1", 2000), session.StateCondition{})
	wants(t, err, session.ErrTooLarge)
	_, err = put("other", `1`, session.StateCondition{})
	must(t, err)
	w.clock.add(2 * time.Minute)
	_, err = put("third", `1`, session.StateCondition{}) // drops what has expired
	must(t, err)
	must(t, s.DeleteState(ctx, a, "third", session.StateCondition{}))
	wants(t, s.DeleteState(ctx, a, "third", session.StateCondition{}), session.ErrNotFound)
	_, err = s.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	must(t, err)
	_, err = put("form", `1`, session.StateCondition{})
	wantsEnded(t, err, session.LoggedOut)
}

const dataScripts = 14

func small(o *session.Options) { o.StateQuota = 1000 }

// Invariant 8 for preferences and state, as TestScripts_twice and TestScripts_lostReply: and what a script tells, it tells
// once to those who ask once.
func TestData_scriptsTwice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		var doubled atomic.Int64
		dataStory(t, w, w.on(w.doubling(t, &doubled), w.clock))
		if n := doubled.Load(); n != dataScripts {
			t.Errorf("%d scripts ran twice, want %d", n, dataScripts)
		}
	})
}

func TestData_lostReply(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for _, cap := range []int{50, 0} {
			var emitted []string
			w := newWorld(t, r, small, func(o *session.Options) {
				o.ActivityMax = cap
				o.Audit = func(_ context.Context, e session.Event) { emitted = append(emitted, e.Type.String()) }
			})
			var lost atomic.Int64
			if cap > 0 {
				dataStory(t, w, w.on(w.losing(&lost), w.clock))
				if n := lost.Load(); n != dataScripts {
					t.Errorf("%d replies were lost, want %d", n, dataScripts)
				}
				want := []string{"login", "preferences.changed", "preferences.changed", "session.ended"}
				if !slices.Equal(emitted, want) {
					t.Errorf("told %q, want %q", emitted, want)
				}
				continue
			}
			// Without an activity a change whose reply was lost holds all the same.
			g := w.signIn(bob, laptop)
			s := w.on(w.losing(&lost), w.clock)
			a, p := w.preferences(g)
			p, err := s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
			must(t, err)
			_, err = s.SetPreferences(ctx, a, p, []byte(`{}`), laptop.Actor())
			must(t, err)
			if lost.Load() != 2 {
				t.Errorf("%d replies were lost", lost.Load())
			}
		}
	})
}

// What was under way when a session ended, or an account was erased, brings nothing back.
func TestData_writeAfterTheEnd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, over := range map[string]func(w *world, id token.ID) error{
			"logout": func(w *world, id token.ID) error {
				_, err := w.Revoke(ctx, id, session.LoggedOut, session.Change{Actor: laptop.Actor()})
				return err
			},
			"logout everywhere": func(w *world, id token.ID) error {
				_, err := w.RevokeAll(ctx, id, session.LoggedOut, laptop.Actor())
				return err
			},
			// Its payload is still there, since nobody could unlink it.
			"logout everywhere that leaves all": func(w *world, id token.ID) error {
				s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
					if cmd.Name() == "unlink" {
						cmd.SetErr(replyError("NOPERM this user has no permissions"))
						return cmd.Err()
					}
					return next(ctx, cmd)
				}), w.clock)
				_, err := s.RevokeAll(ctx, id, session.LoggedOut, laptop.Actor())
				return err
			},
			"erasure": func(w *world, id token.ID) error { return w.Erase(ctx, id.User, session.Change{Actor: laptop.Actor()}) },
			"block": func(w *world, id token.ID) error {
				return w.Block(ctx, w.UserOf(token.KeyAccount(alice)), session.Change{Actor: laptop.Actor()})
			},
		} {
			for idem, write := range map[string]func(s *session.Store, a session.Access, p session.Preferences) error{
				"preferences": func(s *session.Store, a session.Access, p session.Preferences) error {
					_, err := s.SetPreferences(ctx, a, p, []byte(`{"back":true}`), laptop.Actor())
					return err
				},
				"state": func(s *session.Store, a session.Access, _ session.Preferences) error {
					_, err := s.PutState(ctx, a, "back", []byte(`true`), 0, session.StateCondition{})
					return err
				},
				"deletion of state": func(s *session.Store, a session.Access, _ session.Preferences) error {
					return s.DeleteState(ctx, a, "kept", session.StateCondition{})
				},
			} {
				t.Run(name+"/"+idem, func(t *testing.T) {
					w := newWorld(t, r, small)
					g := w.signIn(alice, laptop)
					w.prefer(g, `{"a":1}`)
					a, p := w.preferences(g)
					_, err := w.PutState(ctx, a, "kept", []byte(`1`), 0, session.StateCondition{})
					must(t, err)
					var after map[string]string
					s := w.on(w.beforeScript(func() {
						must(t, over(w, g.Session.ID))
						after = w.dump()
					}), w.clock)
					if err := write(s, a, p); !isDeath(err) {
						t.Errorf("answered %v", err)
					}
					if now := w.dump(); after == nil || !same(after, now) {
						t.Error("what was stored after the end changed")
					}
					if name == "erasure" && w.rdb.Exists(ctx, w.PreferencesKey(g.Session.ID.User), w.StateKey(g.Session.ID)).Val() != 0 {
						t.Error("preferences or state are there after the erasure")
					}
				})
			}
		}
	})
}

// The deadlines hold for a write as for a read, however lately the session was read.
func TestData_writeAfterTheDeadline(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		a, p := w.preferences(w.signIn(alice, laptop))
		w.clock.add(30 * time.Minute)
		before := w.dump()
		_, err := w.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		wantsEnded(t, err, session.IdleTimeout)
		_, err = w.PutState(ctx, a, "k", []byte(`1`), 0, session.StateCondition{})
		wantsEnded(t, err, session.IdleTimeout)
		wantsEnded(t, w.DeleteState(ctx, a, "k", session.StateCondition{}), session.IdleTimeout)
		if !same(before, w.dump()) {
			t.Error("something was written")
		}
	})
}

// A session whose payload is gone opens nothing, and changes nothing.
func TestSetPreferences_withoutPayload(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, laptop)
	a, p := w.preferences(g)
	must(t, w.rdb.Del(ctx, w.PayloadKey(g.Session.ID)).Err())
	_, err := w.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
	wants(t, err, token.ErrInvalid)
}

// Preferences of another account, or damaged ones, do not open, and are not told as none.
func TestPreferences_bound(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		mine, theirs := w.signIn(alice, laptop), w.signIn(bob, laptop)
		w.prefer(mine, `{"a":1}`)
		w.prefer(theirs, `{"b":1}`)
		key := w.PreferencesKey(mine.Session.ID.User)
		good := w.rdb.Get(ctx, key).Val()
		other := w.rdb.Get(ctx, w.PreferencesKey(theirs.Session.ID.User)).Val()
		for name, value := range map[string]string{"another's": other, "cut": good[:len(good)-1], "altered": good[:20] + string([]byte{good[20] ^ 1}) + good[21:], "short": "x", "text": `{"a":1}`} {
			must(t, w.rdb.Set(ctx, key, value, 0).Err())
			_, _, err := w.ValidateWithPreferences(ctx, mine.AccessToken, laptop)
			if !errors.Is(err, session.ErrDamaged) || errors.Is(err, token.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Nothing of preferences and state can be read in Redis, names of keys neither.
func TestData_nothingToRead(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		g := w.signIn(alice, laptop)
		w.prefer(g, `{"a-preference":"its-value"}`)
		a, _ := w.preferences(g)
		_, err := w.PutState(ctx, a, "a-state-key", []byte(`{"a-form":"its-text"}`), 0, session.StateCondition{})
		must(t, err)
		dump := w.dump()
		for _, secret := range []string{"a-preference", "its-value", "a-state-key", "a-form", "its-text", "preference", "theme"} {
			for spelling, text := range map[string]string{"as it is": secret, "in hex": hex.EncodeToString([]byte(secret)), "in upper case": strings.ToUpper(secret)} {
				if contains(dump, []byte(text)) {
					t.Errorf("Redis holds %q %s", secret, spelling)
				}
			}
		}
		// The same key of another session looks unlike.
		b := w.opens(w.signIn(alice, laptop))
		_, err = w.PutState(ctx, b, "a-state-key", []byte(`1`), 0, session.StateCondition{})
		must(t, err)
		one, two := w.rdb.HKeys(ctx, w.StateKey(a.Session.ID)).Val(), w.rdb.HKeys(ctx, w.StateKey(b.Session.ID)).Val()
		if len(one) != 1 || len(two) != 1 || reflect.DeepEqual(one, two) || len(one[0]) != 16 {
			t.Errorf("fields %q and %q", one, two)
		}
	})
}

// One trip each, and every key that a script touches is declared.
func TestData_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, small)
		dataStory(t, w, w.Store) // so that the scripts are loaded
		g := w.signIn(alice, laptop)
		counting := redistest.Counting(t, r)
		s := w.on(counting, w.clock)
		expect := func(name string) {
			t.Helper()
			if n := counting.RoundTrips(); n != 1 {
				t.Errorf("%s took %d round trips", name, n)
			}
			counting.Reset()
		}
		a, p, err := s.ValidateWithPreferences(ctx, g.AccessToken, laptop)
		must(t, err)
		expect("reading preferences")
		_, err = s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor())
		must(t, err)
		expect("setting preferences")
		_, err = s.PutState(ctx, a, "k", []byte(`1`), 0, session.StateCondition{})
		must(t, err)
		expect("putting state")
		_, err = s.State(ctx, a, "k")
		must(t, err)
		expect("reading state")
		_, err = s.ListState(ctx, a)
		must(t, err)
		expect("listing state")
		must(t, s.DeleteState(ctx, a, "k", session.StateCondition{}))
		expect("deleting state")
	})
}

func TestData_unavailable(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t), small)
	g := w.signIn(alice, laptop)
	a, p := w.preferences(g)
	s := w.on(w.failing("LOADING Redis is loading the dataset in memory", 99), w.clock)
	for name, call := range map[string]func() error{
		"read":   func() error { _, _, err := s.ValidateWithPreferences(ctx, g.AccessToken, laptop); return err },
		"set":    func() error { _, err := s.SetPreferences(ctx, a, p, []byte(`{"a":1}`), laptop.Actor()); return err },
		"list":   func() error { _, err := s.ListState(ctx, a); return err },
		"get":    func() error { _, err := s.State(ctx, a, "k"); return err },
		"put":    func() error { _, err := s.PutState(ctx, a, "k", []byte(`1`), 0, session.StateCondition{}); return err },
		"delete": func() error { return s.DeleteState(ctx, a, "k", session.StateCondition{}) },
	} {
		if err := call(); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: %v", name, fmt.Sprint(err))
		}
	}
}

// Whoever takes a key away forgets what it sealed; the account is not shut out for it.
func TestPreferences_keyTakenAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		secret := bytes.Repeat([]byte("lookup"), 8)
		under := func(encryption string) *world {
			w := newWorld(t, r)
			ring, err := seal.NewRing(r.Prefix, secret, seal.EnvironmentKey(secret, bytes.Repeat([]byte(encryption), 32)))
			must(t, err)
			w.ring = ring
			w.Store = w.on(w.product, w.clock)
			return w
		}
		change := func(w *world, want, json string) {
			t.Helper()
			g := w.signIn(alice, laptop)
			a, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
			must(t, err)
			if string(p.JSON) != want || p.Version == "" {
				t.Errorf("read %s, version %q, want %s", p.JSON, p.Version, want)
			}
			_, err = w.SetPreferences(ctx, a, p, []byte(json), laptop.Actor())
			must(t, err)
		}
		change(under("a"), `{}`, `{"a":1}`)
		change(under("a"), `{"a":1}`, `{"a":2}`)
		change(under("b"), `{}`, `{"b":1}`)
		change(under("b"), `{"b":1}`, `{}`)
	})
}
