package session

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// The registry of a partition holds the accounts that have a block or roles. A
// record tells what an account has, but the records of a partition are not
// listed anywhere, and the index has only accounts with a live session.
//
// The registry is a sorted set of user ids, all with the score 0, which is read
// in pages by user id. Beside it is a hash of what is sealed of these accounts:
// under nameText and the user id the account, under noteText and the user id
// the note of a block. Roles, and when an account was blocked, are not repeated
// there: the record has them.
//
// Every script that changes roles or a block updates both in the same step. An
// earlier version does not: until the sweeper comes by, an account may be listed
// that has neither any more, and until [Store.Migrate] one may be missing.

// Kinds of what is sealed of a registered account.
const (
	nameText = "a"
	noteText = "n"
)

// MaxNote is the most bytes that a note may have: 200 characters.
const MaxNote = 800

// sealName seals the account of a transaction, for the registry. It returns
// nothing if the account is not known.
func (s *Store) sealName(c transaction) ([]byte, error) {
	if c.account == (token.Account{}) {
		return []byte{}, nil
	}
	return s.keys.Seal(s.keys.Current(c.now), registryOf(c.user, nameText),
		encodeAccount(c.account))
}

// sealNote seals a note, or returns nothing if there is none.
func (s *Store) sealNote(c transaction, note string) ([]byte, error) {
	if note == "" {
		return []byte{}, nil
	}
	return s.keys.Seal(s.keys.Current(c.now), registryOf(c.user, noteText), []byte(note))
}

func registryOf(user token.UserID, kind string) seal.Record {
	return seal.Record{Kind: "registry", Owner: user[:], Facts: []byte(kind)}
}

// registryText is what is sealed of a registered account, as it is read.
type registryText struct{ name, note *redis.StringCmd }

// queueText queues the commands that read what is sealed of an account.
func (s *Store) queueText(
	ctx context.Context, p redis.Pipeliner, user token.UserID,
) registryText {
	key := s.registryTextKey(partitionOf(user))
	return registryText{
		name: p.HGet(ctx, key, nameText+string(user[:])),
		note: p.HGet(ctx, key, noteText+string(user[:])),
	}
}

// openText opens what is sealed of an account. It returns nothing of what is
// missing or does not open, for example because its key was removed from the
// key ring.
func (s *Store) openText(
	ctx context.Context, user token.UserID, t registryText,
) (account token.Account, note string) {
	plain, err := s.open(ctx, registryOf(user, nameText), []byte(t.name.Val()))
	if name, rest, ok := decodeAccountOf(plain); err == nil && ok && len(rest) == 0 {
		account = name
	}
	if plain, err := s.open(ctx, registryOf(user, noteText), []byte(t.note.Val())); err == nil {
		note = string(plain)
	}
	return account, note
}

// isRegistered reports whether an account with that record belongs into the
// registry.
func (rec record) isRegistered() bool { return rec.flags&flagBlocked != 0 || len(rec.roles) > 0 }

// checkRegistry compares a partition's registry with records, and repairs it.
// listed are its members. The indexed accounts that belong into it were found by
// the recount. One that is missing there and has no live session is not found.
func (w *sweeping) checkRegistry(ctx context.Context, partition int, listed []string) error {
	wrong := slices.DeleteFunc(w.holding, func(m string) bool { return slices.Contains(listed, m) })
	for some := range slices.Chunk(listed, recountBatch) {
		stale, err := w.unregistered(ctx, partition, some)
		if err != nil {
			return err
		}
		wrong = append(wrong, stale...)
	}
	return w.register(ctx, partition, wrong)
}

// unregistered returns those of some members whose records do not belong into
// the registry.
func (w *sweeping) unregistered(
	ctx context.Context, partition int, members []string,
) (stale []string, err error) {
	keys := make([]string, len(members))
	for i, member := range members {
		keys[i] = w.memberRecordKey(partition, member)
	}
	records, err := w.mget(ctx, keys)
	if err != nil {
		return nil, err
	}
	w.rest(time.Duration(len(members)) * recountRest)
	for i, member := range members {
		rec, _, err := decodeAccount(records.Text(i))
		if records[i] == nil || err == nil && !rec.isRegistered() {
			stale = append(stale, member)
		}
	}
	return stale, nil
}

// register makes the registry match the records of some members, as they are
// when the script runs.
func (w *sweeping) register(ctx context.Context, partition int, members []string) error {
	wrong := 0
	for some := range slices.Chunk(members, batchSize) {
		keys, args := w.registryKeys(partition), []any{}
		for _, member := range some {
			keys = append(keys, w.memberRecordKey(partition, member))
			args = append(args, member)
		}
		r, err := w.run(ctx, registerScript, keys, args...)
		if err != nil {
			return err
		}
		wrong += int(r.Int(1))
	}
	if wrong > 0 {
		w.done.Repaired++
	}
	return nil
}
