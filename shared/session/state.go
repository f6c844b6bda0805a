package session

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

const (
	// MaxStateKeys is the most keys that a session's state may have, within its
	// quota.
	MaxStateKeys = 64
	// MaxStateKey is the most bytes that the name of a key may have.
	MaxStateKey = 64
)

// StateItem is one key of a session's state.
type StateItem struct {
	// Key is the name of the key, 1 to [MaxStateKey] bytes.
	Key string
	// Value is JSON. It is nil in a [StateList].
	Value []byte
	// Size is the size of the value in bytes.
	Size int
	// Expires is when the key expires, at the latest with the session.
	Expires time.Time
	// Version changes with every change of this key. It is opaque, not empty,
	// and consists of letters and digits.
	Version string
}

// StateList lists the keys of a session's state.
type StateList struct {
	// Items are the keys, sorted by name, without their values.
	Items []StateItem
	// Used is the size of all keys and values in bytes. Quota is the most that
	// Used may be.
	Used, Quota int
}

// StateCondition is what must hold of a key before it is changed. The zero
// value requires nothing.
type StateCondition struct {
	// Versions, if not empty, requires that the key exists and has one of these
	// versions. "*" stands for any version.
	Versions []string
	// Absent requires that the key does not exist.
	Absent bool
}

// ListState lists the keys of a session's state. If the session has ended since
// a was read, it may return the error of [Store.Validate]. It takes one round
// trip, and one more if the state is empty.
func (s *Store) ListState(ctx context.Context, a Access) (StateList, error) {
	var stored map[string]string
	err := script.Retry(ctx, func() (err error) {
		stored, err = s.rdb.HGetAll(ctx, s.stateKey(a.Session.ID)).Result()
		return err
	})
	if err != nil {
		return StateList{}, err
	}
	list := StateList{Quota: s.opts.StateQuota}
	for field, value := range stored {
		if len(field) != stateFieldSize {
			continue // the proof
		}
		item, err := s.openItem(ctx, a.Session.ID, field, value)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return StateList{}, err
		}
		if !s.now().Before(item.Expires) {
			continue
		}
		item.Value = nil
		list.Items = append(list.Items, item)
		list.Used += len(item.Key) + item.Size
	}
	if len(list.Items) == 0 {
		if err := s.stillLive(ctx, a); err != nil {
			return StateList{}, err
		}
	}
	slices.SortFunc(list.Items, func(a, b StateItem) int { return cmp.Compare(a.Key, b.Key) })
	return list, nil
}

// stillLive returns the error of [Store.Validate] if a session has ended since a
// was read. Its state ends with it, so state that is missing may mean that.
func (s *Store) stillLive(ctx context.Context, a Access) error {
	rec, err := s.record(ctx, a.Session.ID.User)
	if err == nil {
		_, err = rec.liveSession(a.Session.ID, s.now())
	}
	return err
}

// State reads one key. It returns [ErrNotFound] if there is no such key, and the
// error of [Store.Validate] if the session has ended since a was read. It takes
// one round trip, and one more if there is no such key.
func (s *Store) State(ctx context.Context, a Access, key string) (StateItem, error) {
	item, err := s.readState(ctx, a, key)
	if errors.Is(err, ErrNotFound) {
		err = cmp.Or(s.stillLive(ctx, a), err)
	}
	return item, err
}

func (s *Store) readState(ctx context.Context, a Access, key string) (StateItem, error) {
	field := s.stateField(a.Session.ID, key)
	var value string
	err := script.Retry(ctx, func() (err error) {
		value, err = s.rdb.HGet(ctx, s.stateKey(a.Session.ID), field).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return StateItem{}, ErrNotFound
	}
	if err != nil {
		return StateItem{}, err
	}
	item, err := s.openItem(ctx, a.Session.ID, field, value)
	if err != nil {
		return StateItem{}, err
	}
	if !s.now().Before(item.Expires) {
		return StateItem{}, ErrNotFound
	}
	return item, nil
}

// PutState stores a value under a key of 1 to [MaxStateKey] bytes. The value
// expires after ttl, or with the session if that is earlier. If ttl is 0 it
// expires with the session. PutState returns [ErrPrecondition] if want does not
// hold, [ErrTooLarge] if the quota or [MaxStateKeys] does not allow the value,
// and the errors of [Store.Validate] if the session has ended since. It takes
// one round trip.
func (s *Store) PutState(
	ctx context.Context, a Access, key string, value []byte, ttl time.Duration,
	want StateCondition,
) (StateItem, error) {
	if key == "" || len(key) > MaxStateKey {
		return StateItem{}, errors.New("state key is not valid: use 1 to 64 bytes")
	}
	item := StateItem{Key: key, Value: value, Size: len(value), Expires: a.Session.AbsoluteEnd}
	now := s.now()
	if ends := now.Add(ttl).Truncate(time.Millisecond); ttl > 0 && ends.Before(item.Expires) {
		item.Expires = ends
	}
	id := a.Session.ID
	field := s.stateField(id, key)
	stored, err := s.sealItem(id, field, item)
	if err != nil {
		return StateItem{}, err
	}
	item.Version = versionOf(stored)
	idem := script.NewIdempotencyKey()
	r, err := s.run(ctx, statePutScript, s.stateKeys(id, idem),
		millis(now), idem[:], id.Session[:], field, stored, want.argument(),
		s.opts.StateQuota, MaxStateKeys)
	if err != nil {
		return StateItem{}, err
	}
	return item, stateFault(r, id)
}

// DeleteState deletes a key. It returns [ErrNotFound] if there is no such key,
// [ErrPrecondition] if want does not hold, and the errors of [Store.Validate]
// if the session has ended since. It takes one round trip.
func (s *Store) DeleteState(ctx context.Context, a Access, key string, want StateCondition) error {
	id, idem := a.Session.ID, script.NewIdempotencyKey()
	r, err := s.run(ctx, stateDeleteScript, s.stateKeys(id, idem),
		millis(s.now()), idem[:], id.Session[:], s.stateField(id, key), want.argument())
	if err != nil {
		return err
	}
	return stateFault(r, id)
}

// stateFault returns the error of a reply.
func stateFault(r script.Reply, id token.ID) error {
	switch r.Outcome() {
	case outcomeDone:
		return nil
	case outcomePrecondition:
		return ErrPrecondition
	case outcomeTooLarge:
		return ErrTooLarge
	case outcomeMissing:
		return ErrNotFound
	}
	return fault(r, id)
}

// argument returns the condition as scripts take it; see meetsCondition in
// lua/lib/state.lua. A version that does not have our form matches nothing.
func (c StateCondition) argument() string {
	switch {
	case c.Absent && len(c.Versions) > 0:
		return "version" // matches nothing: a key cannot both exist and be absent
	case c.Absent:
		return "absent"
	case len(c.Versions) == 0:
		return ""
	case slices.Contains(c.Versions, "*"):
		return "any"
	}
	want := "version"
	for _, version := range c.Versions {
		if raw, err := hex.DecodeString(version); err == nil &&
			len(raw) == nonceEnd-nonceAt && hex.EncodeToString(raw) == version {
			want += string(raw)
		}
	}
	return want
}

// itemHead is the size of what precedes a sealed item, for scripts to read:
// when the item expires, and the size of its key and value.
const itemHead = 6 + 4

func (s *Store) sealItem(id token.ID, field string, item StateItem) (string, error) {
	plain := append([]byte{byte(len(item.Key))}, item.Key...)
	plain = append(plain, item.Value...)
	sealed, err := s.keys.Seal(s.keys.Current(s.now()), itemSeal(id, field, item.Expires), plain)
	if err != nil {
		return "", fmt.Errorf("sealing state: %w", err)
	}
	head := binary.BigEndian.AppendUint32(encodeTime(item.Expires),
		uint32(len(item.Key)+len(item.Value)))
	return string(append(head, sealed...)), nil
}

// openItem opens a stored item. It returns [ErrDamaged] if the item was not
// sealed for this field of this session, and [ErrNotFound] if its key was
// removed from the key ring.
func (s *Store) openItem(ctx context.Context, id token.ID, hash, stored string) (StateItem, error) {
	if len(stored) < itemHead {
		return StateItem{}, ErrDamaged
	}
	r := reader{stored}
	expires := r.time()
	r.skip(4)
	plain, err := s.open(ctx, itemSeal(id, hash, expires), []byte(r.rest))
	if errors.Is(err, ErrUnavailable) {
		return StateItem{}, err
	}
	if errors.Is(err, seal.ErrUnknownKey) {
		return StateItem{}, ErrNotFound
	}
	if err != nil {
		return StateItem{}, fmt.Errorf("%w: opening state: %w", ErrDamaged, err)
	}
	name, value, ok := field(plain)
	if !ok {
		return StateItem{}, ErrDamaged
	}
	return StateItem{
		Key: string(name), Value: value, Size: len(value), Expires: expires,
		Version: versionOf(stored),
	}, nil
}

// itemSeal returns what a sealed item is bound to: its session, its field and
// its expiry.
func itemSeal(id token.ID, field string, expires time.Time) seal.Record {
	owner := append(id.User[:], id.Session[:]...)
	return seal.Record{Kind: "state", Owner: append(owner, field...), Facts: encodeTime(expires)}
}

// versionOf returns the version of a stored item: the random nonce of its seal.
func versionOf(stored string) string {
	return hex.EncodeToString([]byte(stored[itemHead+nonceAt : itemHead+nonceEnd]))
}

// stateFieldSize is the size of the names of fields that hold a key of the state.
const stateFieldSize = 16

// stateField returns what Redis holds instead of a key's name: a keyed hash,
// which differs between sessions.
func (s *Store) stateField(id token.ID, key string) string {
	return string(s.keys.Lookup(seal.StateName, id.User[:], id.Session[:], []byte(key))[:stateFieldSize])
}

// stateKeys returns the keys of a script that changes state.
func (s *Store) stateKeys(id token.ID, idem script.IdempotencyKey) []string {
	return []string{s.recordKey(id.User), s.stateKey(id), s.replyCacheKey(id.User, idem)}
}
