package session

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// The registry of a partition holds the accounts that have a block or roles.
// Both are in the record, but the records of a partition are not listed
// anywhere, and the index has only accounts with a live session.
//
// The registry is a sorted set of user ids, all with the score 0, which is read
// in pages by user id. Beside it is a hash of what is sealed of these accounts:
// under nameText and the user id the account, under noteText and the user id
// the note of a block. Roles, and when an account was blocked, are not repeated
// there: the record has them.
//
// Every script that changes roles or a block updates both in the same step. An
// earlier version does not: until the sweeper comes by, an account may be
// listed that has neither any more, and until [Store.Migrate] one may be
// missing. So what is sealed begins with a stamp, in plain text, of the record
// that it was stored with. If an earlier version has erased the account since,
// or has lifted the block of a note, the stamp differs from the record: what is
// sealed is not shown, and the sweeper deletes it. The number after a field is
// its size in bytes:
//
//	created 6 | epoch 4 | blocked at 6 | what is sealed

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

// noSession says that a name was not read from a session.
var noSession [sessionSize]byte

// nameArgument is sealName with the session that the account was read from; see
// nameOf in lua/lib/registry.lua.
func (s *Store) nameArgument(c transaction, from [sessionSize]byte) ([]byte, error) {
	sealed, err := s.sealName(c)
	if len(sealed) > 0 {
		sealed = append(from[:], sealed...)
	}
	return sealed, err
}

// named returns a transaction with the account that a live session has. The
// caller knows its id alone. A block ends every session, and then nothing else
// could tell whom it is about.
func (s *Store) named(ctx context.Context, c transaction, rec record) (transaction, error) {
	live := rec.unexpired(c.now)
	if len(live) == 0 {
		return c, nil
	}
	id := token.ID{User: c.user, Session: live[0].session}
	stored, err := s.mget(ctx, []string{s.payloadKey(id)})
	if err != nil {
		return c, err
	}
	p, err := s.openPayload(ctx, id, live[0], stored.Text(0))
	if err != nil {
		return c, nil // it tells nothing
	}
	c.account, c.args = p.account, slices.Clone(c.args)
	c.args[1], err = s.nameArgument(c, live[0].session)
	return c, err
}

// sealNote seals a note. It returns nothing for an empty note.
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

// queueText queues the commands that read what is sealed of a member of a
// partition's registry.
func (s *Store) queueText(
	ctx context.Context, p redis.Pipeliner, partition int, member string,
) registryText {
	key := s.registryTextKey(partition)
	return registryText{
		name: p.HGet(ctx, key, nameText+member), note: p.HGet(ctx, key, noteText+member),
	}
}

// openText opens what is sealed of an account with that record. It returns
// nothing of what is missing, is not current or does not open, for example
// because its key was removed from the key ring.
func (s *Store) openText(
	ctx context.Context, user token.UserID, rec record, t registryText,
) (account token.Account, note string) {
	if sealed, ok := rec.current(nameText, t.name.Val()); ok {
		account = s.openAccount(ctx, registryOf(user, nameText), sealed)
	}
	if sealed, ok := rec.current(noteText, t.note.Val()); ok {
		if plain, err := s.open(ctx, registryOf(user, noteText), sealed); err == nil {
			note = string(plain)
		}
	}
	return account, note
}

// textStamp is the size of what precedes the sealed bytes.
const textStamp = 6 + 4 + 6

// current returns the sealed bytes of what is stored under a kind, and whether
// they are of this account and, if a note, of its block; see isCurrent in
// lua/lib/registry.lua.
func (rec record) current(kind, stored string) (sealed []byte, ok bool) {
	if len(stored) < textStamp {
		return nil, false
	}
	r := reader{stored}
	created, epoch, blockedAt := r.time(), r.uint32(), r.time()
	switch {
	case kind == noteText && !blockedAt.Equal(rec.blockedAt):
		return nil, false
	case created.IsZero(): // before the first login, which keeps the epoch
		return []byte(r.rest), epoch == rec.epoch
	}
	return []byte(r.rest), created.Equal(rec.created)
}

// isStale reports whether something is stored that is not current.
func (t registryText) isStale(rec record) bool {
	for kind, stored := range map[string]string{nameText: t.name.Val(), noteText: t.note.Val()} {
		if _, ok := rec.current(kind, stored); stored != "" && !ok {
			return true
		}
	}
	return false
}

// isRegistered reports whether an account with that record belongs in the
// registry.
func (rec record) isRegistered() bool { return rec.flags&flagBlocked != 0 || len(rec.roles) > 0 }

// checkRegistry compares a partition's registry with records, and repairs it.
// listed are its members. The recount has found the indexed accounts that
// belong in it. One that is missing and has no live session is not found.
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

// unregistered returns those of some members whose records do not belong in the
// registry, or that have a name or note that is not current.
func (w *sweeping) unregistered(
	ctx context.Context, partition int, members []string,
) (stale []string, err error) {
	keys, texts := make([]string, len(members)), make([]registryText, len(members))
	for i, member := range members {
		keys[i] = w.memberRecordKey(partition, member)
	}
	var raw *redis.SliceCmd
	err = w.pipeline(ctx, func(p redis.Pipeliner) {
		raw = p.MGet(ctx, keys...)
		for i, member := range members {
			texts[i] = w.queueText(ctx, p, partition, member)
		}
	})
	if err != nil {
		return nil, err
	}
	w.rest(time.Duration(len(members)) * recountRest)
	records := script.Reply(raw.Val())
	for i, member := range members {
		rec, _, err := decodeAccount(records.Text(i))
		isWrong := !rec.isRegistered() || texts[i].isStale(rec)
		if records[i] == nil || err == nil && isWrong {
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
