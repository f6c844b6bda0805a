package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Migration says how [Store.Migrate] proceeds.
type Migration struct {
	// DryRun makes it count what has no TTL, and change nothing.
	DryRun bool
	// Pause is how long it rests after it has looked at about 100 keys of
	// Redis.
	Pause time.Duration
}

// Migrated is what a migration has done, or would do if it is a dry run.
type Migrated struct {
	// Preferences and Records are how many of each got a TTL.
	Preferences, Records int
	// Registered is how many accounts with roles or a block were added to the
	// registry.
	Registered int
	// Damaged is how many records without a TTL could not be read. They were
	// left as they are.
	Damaged int
}

// migratePage is how many keys of Redis one command of a migration looks at.
const migratePage = 100

// Migrate gives a TTL to what version 0.1.0 stored without one: preferences,
// and records that have preferences but neither roles nor a block. They are
// kept for Options.PreferencesKeep from now on. The sweeper then also forgets
// the ended sessions of erased accounts with roles or a block. Accounts with
// roles or a block are added to the registry, without a name. What has a TTL is
// left as it is, so a migration may run beside logins and may be repeated. It
// opens nothing that is sealed, so the store needs no keys.
//
// The store's Redis user needs SCAN and PTTL besides what other methods need.
// Migrate looks at all keys of each primary in turn. It misses keys of a slot
// that moves to a primary that it has looked at before. With an error it also
// returns what was done until then; another migration continues from there.
func (s *Store) Migrate(ctx context.Context, how Migration) (Migrated, error) {
	m := &migrating{Store: s, Migration: how}
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		err := m.scan(ctx, s.rdb)
		return m.done, err
	}
	var turn sync.Mutex
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		turn.Lock() // the client calls this for all of them at once
		defer turn.Unlock()
		return m.scan(ctx, node)
	})
	return m.done, err
}

// migrating is a migration in progress.
type migrating struct {
	*Store
	Migration
	done Migrated
}

// scan visits all accounts of one primary.
func (m *migrating) scan(ctx context.Context, node redis.Cmdable) error {
	for cursor := uint64(0); ; {
		keys, next, err := m.page(ctx, node, cursor)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(keys, migratePage) { // a page may be longer
			if err := m.visit(ctx, some); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(m.Pause):
		}
	}
}

// page returns the keys of accounts among the next keys of a primary, and the
// cursor of the page after it, which is 0 after the last.
func (m *migrating) page(
	ctx context.Context, node redis.Cmdable, cursor uint64,
) (keys []string, next uint64, err error) {
	err = script.Retry(ctx, func() (err error) {
		keys, next, err = node.Scan(ctx, cursor, m.accountPattern(), migratePage).Result()
		return err
	})
	return keys, next, err
}

// visit looks at records and preferences, and gives a TTL to those without.
func (m *migrating) visit(ctx context.Context, keys []string) error {
	ttls := make([]*redis.DurationCmd, len(keys))
	err := m.pipeline(ctx, func(p redis.Pipeliner) {
		for i, key := range keys {
			ttls[i] = p.PTTL(ctx, key)
		}
	})
	if err != nil {
		return err
	}
	for i, key := range keys {
		user, ok := m.accountOf(key)
		if !ok || ttls[i].Val() != noTTL {
			continue
		}
		step := m.migrate
		if m.DryRun {
			step = m.count
		}
		if err := step(ctx, user, key); err != nil {
			return err
		}
	}
	return nil
}

// noTTL is what PTTL returns for a key without a TTL.
const noTTL = time.Duration(-1)

// migrate gives an account its TTLs. The script decides anew what needs one.
func (m *migrating) migrate(ctx context.Context, user token.UserID, key string) error {
	partition := partitionOf(user)
	keys := []string{
		m.recordKey(user), m.preferencesKey(user), m.erasedKey(partition), m.registryKey(partition),
	}
	r, err := m.run(ctx, migrateScript, keys,
		millis(m.now()), ceilMillis(m.opts.PreferencesKeep), user[:])
	if err != nil {
		return err
	}
	m.done.Preferences += int(r.Int(1))
	m.done.Records += int(r.Int(2))
	m.done.Registered += int(r.Int(4))
	if key == m.recordKey(user) { // the preferences may have been found before
		m.done.Damaged += int(r.Int(3))
	}
	return nil
}

// count counts what migrate would do with a key.
func (m *migrating) count(ctx context.Context, user token.UserID, key string) error {
	if key == m.preferencesKey(user) {
		m.done.Preferences++
		return nil
	}
	rec, err := m.record(ctx, user)
	switch {
	case errors.Is(err, ErrNotFound): // it has expired meanwhile
	case errors.Is(err, ErrDamaged):
		m.done.Damaged++
	case err != nil:
		return err
	case !rec.isRegistered():
		m.done.Records++
	default:
		return m.countUnregistered(ctx, user)
	}
	return nil
}

// countUnregistered counts an account with roles or a block that is not in the
// registry.
func (m *migrating) countUnregistered(ctx context.Context, user token.UserID) error {
	err := script.Retry(ctx, func() error {
		return m.rdb.ZScore(ctx, m.registryKey(partitionOf(user)), string(user[:])).Err()
	})
	if errors.Is(err, redis.Nil) {
		m.done.Registered++
		return nil
	}
	return err
}
