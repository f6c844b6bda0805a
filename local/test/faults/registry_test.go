package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// holds reports whether an account with that record belongs in the registry.
func (rec stored) holds() bool { return rec.blocked || rec.roles != "" }

// misregistered returns what is wrong with the registries: each account that one lacks or should not have, and each name or
// note that should not be there or is another's.
func (w *world) misregistered() (all []string) {
	w.t.Helper()
	records, listed := map[token.UserID]stored{}, map[token.UserID]bool{}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:[ur]*") {
		_, name, _ := strings.Cut(key, "}:")
		if name[0] == 'r' {
			for _, member := range w.rdb.ZRange(ctx, key, 0, -1).Val() {
				listed[token.UserID([]byte(member))] = true
			}
			continue
		}
		// One that cannot be read is reported elsewhere; one that is gone holds nothing.
		rec, _ := parseRecord(w.rdb.Get(ctx, key).Val())
		records[token.UserID([]byte(name[1:]))] = rec
	}
	for u, rec := range records {
		if rec.holds() && !listed[u] {
			all = append(all, fmt.Sprintf("account %v has roles %q, blocked %v, and is not registered",
				u, rec.roles, rec.blocked))
		}
	}
	for u := range listed {
		if !records[u].holds() {
			all = append(all, fmt.Sprintf("account %v is registered, and holds nothing", u))
		}
	}
	for _, key := range w.redis.Keys(w.t, w.redis.Prefix+":{???}:m") {
		for field, text := range w.rdb.HGetAll(ctx, key).Val() {
			u := token.UserID([]byte(field[1:]))
			if problem := w.misnamed(u, records[u], field[:1], text); problem != "" {
				all = append(all, fmt.Sprintf("what is sealed of account %v as %q: %s", u, field[:1], problem))
			}
		}
	}
	return all
}

// misnamed returns what is wrong with a name, which is the kind a, or a note, which is n; or nothing.
func (w *world) misnamed(u token.UserID, rec stored, kind, text string) string {
	const never = "\x00\x00\x00\x00\x00\x00"
	if !rec.holds() || kind == "n" && !rec.blocked {
		return fmt.Sprintf("it is left of one with roles %q, blocked %v", rec.roles, rec.blocked)
	}
	created, epoch, blockedAt, sealed := text[:6], text[6:10], text[10:16], text[16:]
	isOlder := created != rec.created && (created != never || epoch != rec.epoch)
	if isOlder || kind == "n" && blockedAt != rec.blockedAt {
		return fmt.Sprintf("it was stored with %x, and the record has %x %x %x",
			text[:16], rec.created, rec.epoch, rec.blockedAt)
	}
	plain, err := w.ring.Open(seal.Record{Kind: "registry", Owner: u[:], Facts: []byte(kind)}, []byte(sealed))
	if err != nil {
		return err.Error()
	}
	if kind == "a" && token.UserIDOf(w.ring, token.SubjectOf(token.KeyAccount(common.Address(plain[2:])))) != u {
		return fmt.Sprintf("it is the name of %x", plain)
	}
	return ""
}

// The check finds everything that can be wrong with a registry.
func TestCheckComplete_registry(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		w := newWorld(t, e.Server(t), nil)
		who := w.stranger()
		u := w.UserOf(token.KeyAccount(who))
		w.signIn(who)
		w.accept = func(other token.UserID) bool { return other[0] == u[0] && other[1]>>4 == u[1]>>4 } // of the same partition
		neighbour := token.KeyAccount(w.stranger())
		for _, a := range []token.Account{token.KeyAccount(who), neighbour} {
			must(t, w.Block(ctx, w.UserOf(a), session.Change{Account: a, Note: "spam"}))
		}
		gone := w.UserOf(token.KeyAccount(w.stranger()))
		w.checkComplete()
		registry, texts := w.key(u, "r"), w.key(u, "m")
		name, note := "a"+string(u[:]), "n"+string(u[:])
		values, theirs := w.rdb.HGetAll(ctx, texts).Val(), w.UserOf(neighbour)
		put := func(field, value string) error { return w.rdb.HSet(ctx, texts, field, value).Err() }
		for what, spoil := range map[string]func() error{
			"missing":      func() error { return w.rdb.ZRem(ctx, registry, string(u[:])).Err() },
			"too many":     func() error { return w.rdb.ZAdd(ctx, registry, redis.Z{Member: string(gone[:])}).Err() },
			"name left":    func() error { return put("a"+string(gone[:]), values[name]) },
			"note left":    func() error { return put("n"+string(gone[:]), values[note]) },
			"other's name": func() error { return put(name, values["a"+string(theirs[:])]) },
			"other's note": func() error { return put(note, values["n"+string(theirs[:])]) },
			"name as note": func() error { return put(note, values[name]) },
			"wrong name": func() error {
				return put(name, values[name][:16]+string(w.sealed(u, "a", slices.Concat([]byte{1, 1}, neighbour.Address[:]))))
			},
			"older account": func() error { return put(name, "\x00\x00\x00\x00\x00\x01"+values[name][6:]) },
			"other block":   func() error { return put(note, values[note][:10]+"\x00\x00\x00\x00\x00\x01"+values[note][16:]) },
		} {
			must(t, spoil())
			if len(w.problems()) == 0 {
				t.Errorf("%s: it finds nothing", what)
			}
			must(t, w.rdb.ZRem(ctx, registry, string(gone[:])).Err())
			must(t, w.rdb.ZAdd(ctx, registry, redis.Z{Member: string(u[:])}).Err())
			must(t, w.rdb.HDel(ctx, texts, "a"+string(gone[:]), "n"+string(gone[:])).Err())
			must(t, w.rdb.HSet(ctx, texts, values).Err())
		}
		w.checkComplete()
	})
}

// sealed seals a text of an account as the registry does.
func (w *world) sealed(u token.UserID, kind string, plain []byte) []byte {
	w.t.Helper()
	bound := seal.Record{Kind: "registry", Owner: u[:], Facts: []byte(kind)}
	sealed, err := w.ring.Seal(w.ring.Current(w.clock.now()), bound, plain)
	must(w.t, err)
	return sealed
}
