package session

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"

	"latchkey/shared/script"
	"latchkey/shared/token"

	"github.com/redis/go-redis/v9"
)

// scripts are all scripts, by the names of their files.
var scripts = map[string]*script.Script{
	"block": blockScript, "create": createScript, "drop_admin": dropAdminScript, "erase": eraseScript,
	"forget": forgetScript, "health": healthScript, "issue_nonce": issueNonceScript, "last_ip": lastIPScript,
	"preferences": preferencesScript,
	"rate_limit":  rateLimitScript, "recount": recountScript, "refresh": refreshScript,
	"revoke": revokeScript, "revoke_all": revokeAllScript, "roles": rolesScript,
	"spend_nonce": spendNonceScript, "begin_attempt": beginAttemptScript, "abandon_attempt": abandonAttemptScript, "proof": proofScript, "state_delete": stateDeleteScript, "state_put": statePutScript,
	"issue_ticket": issueTicketScript, "use_ticket": useTicketScript,
	"step_up": stepUpScript, "sweep": sweepScript, "touch": touchScript, "migrate": migrateScript, "register": registerScript,
	"audit": auditScript, "erase_names": eraseNamesScript,
	"outbox_remove": outboxRemoveScript,
}

// LoadScripts makes Redis know every script, through a client that may do that: a store's may not.
func LoadScripts(ctx context.Context, rdb redis.Scripter) error {
	for _, one := range scripts {
		if err := redis.NewScript(one.Source().Text).Load(ctx, rdb).Err(); err != nil {
			return err
		}
	}
	return nil
}

// ScriptHashes are the names by which Redis knows the scripts, by those of their
// files. Each script is put together once more.
func ScriptHashes() map[string]string {
	all := map[string]string{}
	for name, one := range scripts {
		all[name] = redis.NewScript(one.Source().Text).Hash()
	}
	return all
}

// ScriptFiles are the files of a script, in the order in which it holds them.
func ScriptFiles(name string) (files []string) {
	for _, from := range scripts[name].Source().Lines {
		if from.File != "" && !slices.Contains(files, from.File) {
			files = append(files, from.File)
		}
	}
	return files
}

// Libraries are the names of the libraries of scripts.
func Libraries() (names []string) {
	for _, lib := range libraries {
		names = append(names, lib.name)
	}
	return names
}

// RunText runs a script with this text, which may not be there, as lua/broken.lua.
func (s *Store) RunText(ctx context.Context, text, key string, uses ...string) error {
	_, err := s.run(ctx, scriptOf("lua/broken.lua", text, uses), []string{key})
	return err
}

// RunTextTogether does so behind another script.
func (s *Store) RunTextTogether(ctx context.Context, text, key string) error {
	return script.Pipeline(ctx, s.rdb,
		&script.Call{Script: scriptOf("lua/good.lua", "return {DONE}", nil), Keys: []string{key}},
		&script.Call{Script: scriptOf("lua/broken.lua", text, nil), Keys: []string{key}})
}

func scriptOf(file, text string, uses []string) *script.Script {
	return script.New(func() script.Source { return assemble(file, text, uses) })
}

// Expand is what a text of Lua becomes as a script is put together, without
// comments. It panics where putting together the script would.
func Expand(text string) string {
	x := expansion{file: "lua/test.lua", first: 1, constants: constants()}
	return x.expand(withoutComments(text))
}

// Constants are the names that scripts may use.
func Constants() []string { return slices.Sorted(maps.Keys(constants())) }

// ConstantValue is what a name stands for in scripts.
func ConstantValue(name string) string { return constants()[name] }

// Field is a field of a layout.
type Field struct {
	Name     string
	At, Size int
}

// Fields are those of a layout.
func Fields(name string) (all []Field) {
	for i := range layouts {
		if l := &layouts[i]; l.name == name {
			for _, f := range l.fields {
				p, _ := l.find(f.name)
				all = append(all, Field{f.name, p.at, f.size})
			}
		}
	}
	return all
}

// Layouts are the names of all layouts, and of all fields and spans as scripts
// write them.
func Layouts() (names, fields []string) {
	for _, l := range layouts {
		names = append(names, l.name)
		prefix := strings.TrimSuffix("F."+l.name, ".") + "."
		for _, f := range l.fields {
			fields = append(fields, prefix+f.name)
		}
		for _, s := range l.spans {
			fields = append(fields, prefix+s.name)
		}
	}
	return names, fields
}

// DecodedSession, DecodedRecord, DecodedEnded, DecodedEvent and DecodedCounters
// are what Go reads from a string, by the names that scripts have for it.
func DecodedSession(raw string) map[string]any {
	e, err := decodeEntry(raw)
	must(err)
	return map[string]any{
		"session": e.session, "created": e.created, "seen": e.seen, "idle": e.idle, "absolute": e.absolute,
		"generation": e.generation, "key_id": e.key, "access": e.access, "refresh": e.refresh,
		"former_access": e.formerAccess, "former_refresh": e.formerRefresh, "access_end": e.accessEnd,
		"former_access_end": e.formerAccessEnd, "rotated": e.rotated, "idem": e.idem, "device": e.device,
		"network": e.network, "last_device": e.lastDevice, "last_network": e.lastNetwork,
		"elevated": e.elevated, "flags": e.flags, "chain_id": e.chain, "transport": e.transport,
		"class": e.class,
	}
}

// DecodedRecord is that of a record's head, with its lengths.
func DecodedRecord(raw string) map[string]any {
	rec, live, err := decodeAccount(raw)
	must(err)
	return map[string]any{
		"format": byte(recordFormat), "flags": rec.flags, "created": rec.created, "last_login": rec.lastLogin,
		"epoch": rec.epoch, "blocked_at": rec.blockedAt, "idem": rec.idem, "count": rec.idemCount,
		"roles": len(strings.Join(rec.roles, ",")), "live": len(live) / entrySize, "ended": len(rec.ended),
	}
}

// DecodedEnded is that of an ended session.
func DecodedEnded(raw string) map[string]any {
	r := reader{raw}
	e := r.ended()
	return map[string]any{
		"session": e.session, "reason": e.reason, "at": e.at, "keep_until": e.keepUntil, "idem": e.idem,
	}
}

// DecodedCounters is that of counters without chains.
func DecodedCounters(raw string) map[string]any {
	c, _, err := decodeLiveCounts(raw)
	must(err)
	return map[string]any{
		"format": byte(countersFormat), "active": c.active, "users": c.users, "cookie": c.cookie,
		"desktop": c.desktop, "mobile": c.mobile, "tablet": c.tablet, "chains": len(c.chains),
	}
}

// DecodedEvent is that of an event's head. Its id has the idempotency key and
// the number.
func DecodedEvent(raw string) map[string]any {
	e := eventOf(token.UserID{}, raw)
	what := byte(e.PolicyResult)
	if e.Type == EventEnded {
		what = byte(e.Reason)
	}
	return map[string]any{"type": e.Type, "time": e.Time, "session": e.Session.Session, "what": what, "id": e.ID}
}

// Differing are the names whose values differ.
func Differing(a, b map[string]any) (names []string) {
	for name := range a {
		if !reflect.DeepEqual(a[name], b[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
