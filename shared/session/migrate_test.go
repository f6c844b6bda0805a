package session_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// migrateAccess is the access string that docs/deploy.md gives to the user of a migration.
func migrateAccess(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/deploy.md")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "+scan") {
			return strings.Fields(line)
		}
	}
	t.Fatal("docs/deploy.md has no access string with +scan")
	return nil
}

// migrator is a client of a user with just that access, and with a hook if that is not nil.
func (w *world) migrator(h hook) redis.UniversalClient {
	w.t.Helper()
	change := patient
	if w.redis.Mini == nil {
		name := w.redis.Username + "-migrate"
		rules := append([]string{">secret"}, migrateAccess(w.t)...)
		for i, rule := range rules {
			if strings.HasPrefix(rule, "~") {
				rules[i] = "~" + w.opts.Prefix + ":*"
			}
		}
		w.redis.EachPrimary(w.t, func(node *redis.Client) { must(w.t, node.ACLSetUser(ctx, name, rules...).Err()) })
		w.t.Cleanup(func() {
			w.redis.EachPrimary(w.t, func(node *redis.Client) { must(w.t, node.ACLDelUser(ctx, name).Err()) })
		})
		change = func(opts *redis.UniversalOptions) {
			patient(opts)
			opts.Username, opts.Password = name, "secret"
		}
	}
	client := w.redis.NewClient(w.t, change)
	if h != nil {
		client.AddHook(h)
	}
	return client
}

// migrate migrates with that user, which needs no keys.
func (w *world) migrate(how session.Migration) session.Migrated {
	w.t.Helper()
	done, err := session.NewStore(w.migrator(nil), nil, w.opts, w.clock.now).Migrate(ctx, how)
	must(w.t, err)
	return done
}

func (w *world) migrates(when string, want session.Migrated) {
	w.t.Helper()
	if got := w.migrate(session.Migration{}); got != want {
		w.t.Errorf("%s: %+v, want %+v", when, got, want)
	}
}

// restore stores what version 0.1.0 stored: testdata/stored-0.1.0.txt has the records, preferences and payloads of seven
// people, each key with its TTL in milliseconds. It returns the access token of the first, who is signed in.
func (w *world) restore() (access string) {
	w.t.Helper()
	w.settled()
	text, err := os.ReadFile("testdata/stored-0.1.0.txt")
	must(w.t, err)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] == "token" {
			access = fields[1]
			continue
		}
		key, errKey := base64.StdEncoding.DecodeString(fields[0])
		value, errValue := base64.StdEncoding.DecodeString(fields[2])
		ms, errTTL := strconv.Atoi(fields[1])
		must(w.t, errors.Join(errKey, errValue, errTTL))
		must(w.t, w.rdb.Set(ctx, w.opts.Prefix+string(key), value, time.Duration(max(ms, 0))*time.Millisecond).Err())
	}
	return access
}

// The people of testdata/stored-0.1.0.txt.
var (
	signedIn, signedOut, withRole, blocked = person(0), person(1), person(2), person(3)
	neverAny, withoutRecord, emptied       = person(4), person(5), person(6)
)

// What version 0.1.0 stored gets its TTL, once: preferences, and records that have no roles and no block. Everything can
// still be read.
func TestMigrate_storedBy010(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		access := w.restore()
		before := w.dump()
		want := session.Migrated{Preferences: 5, Records: 2, Registered: 2}
		if got := w.migrate(session.Migration{DryRun: true}); got != want {
			t.Errorf("a dry run: %+v, want %+v", got, want)
		}
		if !same(before, w.dump()) {
			t.Error("a dry run changed something")
		}
		w.migrates("the first time", want)
		for _, who := range w.usersOf(signedIn, signedOut, withRole, blocked, withoutRecord) {
			w.keeps("migrated", w.PreferencesKey(who), year)
		}
		for _, who := range w.usersOf(signedIn, signedOut) {
			w.keeps("migrated", w.RecordKeyOf(who), year)
		}
		for _, who := range w.usersOf(withRole, blocked) {
			w.keeps("migrated", w.RecordKeyOf(who), forGood)
		}
		for _, who := range w.usersOf(neverAny, emptied) {
			w.keeps("migrated", w.RecordKeyOf(who), 90*session.Day+12*time.Hour)
		}
		w.nothingStays()
		after := w.dump()
		w.migrates("the second time", session.Migrated{})
		if !same(after, w.dump()) {
			t.Error("the second time changed something")
		}
		_, p, err := w.ValidateWithPreferences(ctx, access, laptop)
		if err != nil || string(p.JSON) != `{"theme":"dark"}` {
			t.Errorf("the preferences read as %s, %v", p.JSON, err)
		}
		for _, who := range []int{1, 2, 5} {
			if _, p := w.preferences(w.signIn(person(who), laptop)); string(p.JSON) != `{"theme":"dark"}` {
				t.Errorf("person %d signs in and reads %s", who, p.JSON)
			}
		}
		_, err = w.Create(ctx, w.login(blocked, laptop))
		wants(t, err, session.ErrBlocked)
	})
}

// A migration shortens and lengthens no TTL, and what it sets outlasts a session that is live.
func TestMigrate_leavesTTLs(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.Absolute, o.PreferencesKeep = 30*session.Day, session.Day })
		g := w.signIn(alice, laptop)
		record, preferences := w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID)
		w.prefer(g, `{"a":1}`)
		must(t, w.rdb.PExpire(ctx, preferences, time.Hour).Err())
		w.stay(record)
		w.migrates("a record alone", session.Migrated{Records: 1})
		w.keeps("a record alone", record, 120*session.Day)
		w.keeps("a record alone", preferences, time.Hour)
		w.stay(preferences)
		must(t, w.rdb.PExpire(ctx, record, 200*session.Day).Err())
		w.migrates("preferences alone", session.Migrated{Preferences: 1})
		w.keeps("preferences alone", record, 200*session.Day)
		w.keeps("preferences alone", preferences, 31*session.Day)
	})
}

// Whatever overtakes a migration between its look at a key and its change holds: a role and a block keep their record for
// good, and a login has set its own TTLs.
func TestMigrate_overtaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, c := range map[string]struct {
			change func(w *world) error
			want   session.Migrated
			record time.Duration
		}{
			"a role": {func(w *world) error {
				_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
				return err
			}, session.Migrated{Preferences: 1}, forGood},
			"a block":    {func(w *world) error { return w.Block(ctx, w.UserOf(token.KeyAccount(alice)), asOperator) }, session.Migrated{Preferences: 1}, forGood},
			"a login":    {func(w *world) error { _, err := w.Create(ctx, w.login(alice, laptop)); return err }, session.Migrated{}, year},
			"an erasure": {func(w *world) error { return w.Erase(ctx, w.UserOf(token.KeyAccount(alice)), asOperator) }, session.Migrated{}, 36 * time.Hour},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, r)
				g := w.signIn(alice, laptop)
				w.prefer(g, `{"a":1}`)
				w.stay(w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID))
				var once atomic.Bool
				client := w.migrator(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
					if isScript(cmd) && once.CompareAndSwap(false, true) {
						must(t, c.change(w))
					}
					return next(ctx, cmd)
				})
				done, err := session.NewStore(client, nil, w.opts, w.clock.now).Migrate(ctx, session.Migration{})
				must(t, err)
				if done != c.want || !once.Load() {
					t.Errorf("migrated %+v, want %+v", done, c.want)
				}
				w.keeps("migrated", w.RecordKey(g.Session.ID), c.record)
				must(t, w.Erase(ctx, g.User.ID, asOperator))
			})
		}
	})
}

// Migrations and logins at once leave every account with its TTLs and its preferences.
func TestMigrate_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		people := persons(12)
		for _, p := range people {
			g := w.signIn(p, laptop)
			w.prefer(g, `{"a":1}`)
			w.stay(w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID))
		}
		migrating := session.NewStore(w.migrator(nil), nil, w.opts, w.clock.now)
		var mu sync.Mutex
		var total session.Migrated
		together(16, func(i int) {
			if i%4 > 0 {
				for _, p := range people[i/4*3 : i/4*3+3] {
					_, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint("race", i), Account: token.KeyAccount(p), ChainID: 1, Client: laptop})
					wants(t, err, nil)
				}
				return
			}
			done, err := migrating.Migrate(ctx, session.Migration{})
			wants(t, err, nil)
			mu.Lock()
			defer mu.Unlock()
			total.Preferences, total.Records = total.Preferences+done.Preferences, total.Records+done.Records
		})
		if total.Preferences > len(people) || total.Records > len(people) {
			t.Errorf("of %d accounts %+v got a TTL", len(people), total)
		}
		for _, p := range people {
			w.keeps("after all", w.RecordKeyOf(w.UserOf(token.KeyAccount(p))), year)
			w.keeps("after all", w.PreferencesKey(w.UserOf(token.KeyAccount(p))), year)
			if _, p := w.preferences(w.signIn(p, laptop)); string(p.JSON) != `{"a":1}` {
				t.Errorf("the preferences read as %s", p.JSON)
			}
		}
	})
}

// A record that cannot be read is left as it is, and counted. Its preferences expire.
func TestMigrate_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for i, damage := range []func(key string) error{
			func(key string) error { return w.rdb.Set(ctx, key, "\x02 of another version", 0).Err() },
			func(key string) error { return w.rdb.Set(ctx, key, "", 0).Err() },
			func(key string) error {
				return errors.Join(w.rdb.Del(ctx, key).Err(), w.rdb.HSet(ctx, key, "of", "another type").Err())
			},
		} {
			g := w.signIn(person(i), laptop)
			w.prefer(g, `{"a":1}`)
			w.stay(w.PreferencesKey(g.User.ID))
			must(t, damage(w.RecordKey(g.Session.ID)))
		}
		w.migrates("the first time", session.Migrated{Preferences: 3, Damaged: 3})
		w.migrates("the second time", session.Migrated{Damaged: 3})
		for i := range 3 {
			w.keeps("damaged", w.RecordKeyOf(w.UserOf(token.KeyAccount(person(i)))), forGood)
			w.keeps("damaged", w.PreferencesKey(w.UserOf(token.KeyAccount(person(i)))), year)
		}
	})
}

// A migration that Redis fails in the middle says how far it came, and the next one goes on from there. Keys that only look
// like those of accounts are left alone.
func TestMigrate_goesOn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		const accounts = 250
		for i := range accounts {
			user := w.UserOf(token.KeyAccount(person(i)))
			must(t, w.rdb.Set(ctx, w.PreferencesKey(user), "sealed", 0).Err())
			partition := session.Partition(user)
			for _, other := range []string{"p" + string(user[1:]), "u", "u\n" + string(user[:]), "px" + string(user[1:])} {
				must(t, w.rdb.Set(ctx, fmt.Sprintf("%s:{%03x}:%s", w.opts.Prefix, partition, other), "x", 0).Err())
			}
		}
		var left atomic.Int64
		left.Store(100)
		client := w.migrator(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if isScript(cmd) && left.Add(-1) < 0 {
				cmd.SetErr(replyError("LOADING Redis is loading the dataset in memory"))
				return cmd.Err()
			}
			return next(ctx, cmd)
		})
		first, err := session.NewStore(client, nil, w.opts, w.clock.now).Migrate(ctx, session.Migration{})
		wants(t, err, session.ErrUnavailable)
		if first.Preferences < 90 || first.Preferences > 100 { // a script is sent twice to a server that does not know it
			t.Errorf("the first came to %+v", first)
		}
		w.migrates("the second", session.Migrated{Preferences: accounts - first.Preferences})
		w.migrates("the third", session.Migrated{})
		for i := range accounts {
			w.keeps("after all", w.PreferencesKey(w.UserOf(token.KeyAccount(person(i)))), year)
		}
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := session.NewStore(client, nil, w.opts, w.clock.now).Migrate(stopped, session.Migration{}); err == nil {
			t.Error("one that was stopped says that it is complete")
		}
	})
}

// A migration rests after each page, but for the last.
func TestMigrate_rests(t *testing.T) {
	r := redistest.Server(t)
	w := newWorld(t, r)
	for i := range 300 {
		user := w.UserOf(token.KeyAccount(person(i)))
		must(t, w.rdb.Set(ctx, w.PreferencesKey(user), "sealed", time.Hour).Err())
	}
	pages := 0
	client := w.migrator(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "scan" {
			pages++
		}
		return next(ctx, cmd)
	})
	const pause = 20 * time.Millisecond
	began := time.Now()
	_, err := session.NewStore(client, nil, w.opts, w.clock.now).Migrate(ctx, session.Migration{Pause: pause})
	must(t, err)
	if took := time.Since(began); pages < 3 || took < time.Duration(pages-1)*pause {
		t.Errorf("%d pages took %v", pages, took)
	}
}

// Invariant 8: a lost answer changes nothing but the count.
func TestMigrate_lostReply(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		w.restore()
		var lost atomic.Int64
		_, err := session.NewStore(w.migrator(losingEach(&lost)), nil, w.opts, w.clock.now).Migrate(ctx, session.Migration{})
		must(t, err)
		if lost.Load() < 5 {
			t.Errorf("only %d answers were lost", lost.Load())
		}
		w.nothingStays()
		w.migrates("the second time", session.Migrated{})
	})
}

// The access string of docs/deploy.md has no command too much. What it lacks, a migration needs.
func TestMigrate_access(t *testing.T) {
	own := redistest.ServerWith(t)
	w := newWorld(t, own.Redis)
	access := migrateAccess(t)
	if strings.Join(access[:4], " ") != "on ~lk:* resetchannels -@all" {
		t.Errorf("it begins %q", access[:4])
	}
	client := w.migrator(nil)
	s := session.NewStore(client, nil, w.opts, w.clock.now)
	ofClusters := []string{"+cluster|slots", "+command"}
	for i, rule := range access[4:] {
		w.flushScripts()
		g := w.signIn(person(i), laptop)
		w.prefer(g, `{"a":1}`)
		w.stay(w.RecordKey(g.Session.ID), w.PreferencesKey(g.User.ID))
		blocked := w.signIn(person(100+i), laptop).User.ID
		must(t, w.Block(ctx, blocked, asOperator))
		must(t, w.Erase(ctx, blocked, asOperator))
		must(t, w.rdb.Set(ctx, w.ErasedKey(blocked), "of another type", 0).Err())
		name := w.redis.Username + "-migrate"
		must(t, w.rdb.ACLSetUser(ctx, name, "-"+rule[1:]).Err())
		_, dry := s.Migrate(ctx, session.Migration{DryRun: true})
		_, err := s.Migrate(ctx, session.Migration{})
		must(t, w.rdb.ACLSetUser(ctx, name, rule).Err())
		if needed := !strings.Contains(strings.Join(ofClusters, " "), rule); needed != (errors.Join(dry, err) != nil) {
			t.Errorf("without %s: %v, %v", rule, dry, err)
		}
		_, err = s.Migrate(ctx, session.Migration{})
		must(t, err)
		w.keeps("with "+rule, w.PreferencesKey(g.User.ID), year)
	}
	if _, err := w.Store.Migrate(ctx, session.Migration{}); !errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a function's user migrates: %v", err)
	}
}

// A key is an account's only if it is built as its keys are.
func TestAccountOf(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	user := token.UserID{0xb3, 0xf0, '}', '\n', ':', '*'}
	for key, want := range map[string]bool{
		w.RecordKeyOf(user):                                true,
		w.PreferencesKey(user):                             true,
		w.ActivityKey(user):                                false,
		w.opts.Prefix + ":{b3e}:u" + string(user[:]):       false,
		w.opts.Prefix + "2:{b3f}:u" + string(user[:]):      false,
		w.opts.Prefix + ":{b3f}:ux" + string(user[:]):      false,
		w.opts.Prefix + ":{b3f}:u" + string(user[:15]):     false,
		w.opts.Prefix + ":{b3f}:u" + string(user[:]) + ".": false,
		string(user[:]):                                    false,
		"":                                                 false,
	} {
		if got, ok := w.AccountOf(key); ok != want || ok && got != user {
			t.Errorf("%q is of %v, %v", key, got, ok)
		}
	}
}
