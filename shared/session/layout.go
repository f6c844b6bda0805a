package session

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// layout is a string of fixed-width fields that scripts read or write. Scripts
// name its fields F.layout.field, those of a session F.field.
type layout struct {
	name   string
	at     int // offset of the first field
	fields []layoutField
	spans  []layoutSpan
}

// layoutField is one field; with size 0, all that follows. A number is written
// from a number; every other field from a string.
type layoutField struct {
	name   string
	size   int
	number bool
}

// layoutSpan names several fields in a row as one.
type layoutSpan struct{ name, first, last string }

// sessionSize is the size of the session part of an id.
const sessionSize = len(token.ID{}.Session)

// layouts are all layouts that scripts know. record.go, counters.go,
// transaction.go, nonce.go and state.go describe them. Tests compare those that
// Go also reads or writes.
var layouts = []layout{
	{name: "", fields: []layoutField{
		{"session", sessionSize, false},
		{"created", 6, true},
		{"seen", 6, true},
		{"idle", 6, true},
		{"absolute", 6, true},
		{"generation", 4, true},
		{"key_id", seal.IDLength, false},
		{"access", token.HashSize, false},
		{"refresh", token.HashSize, false},
		{"former_access", token.HashSize, false},
		{"former_refresh", token.HashSize, false},
		{"access_end", 6, true},
		{"former_access_end", 6, true},
		{"rotated", 6, true},
		{"idem", script.KeySize, false},
		{"device", bindingHashSize, false},
		{"network", bindingHashSize, false},
		{"last_device", bindingHashSize, false},
		{"last_network", bindingHashSize, false},
		{"elevated", 6, true},
		{"flags", 1, true},
		{"chain_id", 8, false},
		{"transport", 1, false},
		{"class", 1, false},
	}, spans: []layoutSpan{
		{"entry", "session", "class"},
		{"activity", "seen", "idle"},
		{"hashes", "access", "refresh"},
		{"former_hashes", "former_access", "former_refresh"},
		{"binding", "device", "network"},
		{"last_binding", "last_device", "last_network"},
		{"origin", "chain_id", "transport"},
	}},
	{name: "head", fields: []layoutField{ // of a record
		{"format", 1, true},
		{"flags", 1, true},
		{"created", 6, true},
		{"last_login", 6, true},
		{"epoch", 4, true},
		{"blocked_at", 6, true},
		{"idem", script.KeySize, false},
		{"count", 1, true},
	}, spans: []layoutSpan{{"head", "format", "count"}}},
	{name: "lengths", at: headSize - 3, fields: []layoutField{ // of a record, behind its head
		{"roles", 1, true},
		{"live", 1, true},
		{"ended", 1, true},
	}},
	{name: "ended", fields: []layoutField{
		{"session", sessionSize, false},
		{"reason", 1, true},
		{"at", 6, true},
		{"keep_until", 6, true},
		{"idem", script.KeySize, false},
	}, spans: []layoutSpan{{"entry", "session", "idem"}}},
	{name: "event", fields: []layoutField{ // its head; the sealed actor follows
		{"type", 1, true},
		{"time", 6, true},
		{"idem", script.KeySize, false},
		{"number", 1, true},
		{"session", sessionSize, false},
		{"what", 1, true},
	}, spans: []layoutSpan{{"head", "type", "what"}}},
	{name: "action", fields: []layoutField{ // of the audit list
		{"format", 1, true},
		{"time", 6, true},
		{"idem", script.KeySize, false},
		{"type", 1, true},
		{"failed", 1, true},
		{"actor", 16, false},
		{"user", 16, false},
		{"actor_size", 1, true}, // of the sealed name of the actor
		{"names", 0, false},
	}, spans: []layoutSpan{
		{"what", "type", "user"},
		{"fixed", "format", "user"},
	}},
	{name: "name", fields: []layoutField{ // of an account, as an argument
		{"session", sessionSize, false},
		{"sealed", 0, false},
	}},
	{name: "outgoing", fields: []layoutField{ // what the outbox takes of a change
		{"types", outgoingTypes, false}, // 1 at the place of each type that is published
		{"sealed", 0, false},
	}},
	{name: "outbox", fields: []layoutField{ // an event in it; what is sealed follows
		{"format", 1, true},
		{"sequence", 6, false}, // as in the state of the outbox
		{"user", 16, false},
		{"event", eventHeadSize, false},
		{"origin", originSize, false}, // of the session: chain and transport
		{"asked", 1, true},            // 0 if nobody asked for it
	}, spans: []layoutSpan{{"head", "format", "asked"}}},
	{name: "queued", fields: []layoutField{ // the state of an outbox
		{"sequence", 6, true},
		{"dropped", 4, true},
	}},
	{name: "fate", fields: []layoutField{ // of an event that a publisher has sent
		{"fate", 1, false},
		{"head", outboxSize, false},
	}},
	{name: "counters", fields: []layoutField{
		{"format", 1, true},
		{"active", 3, true},
		{"users", 3, true},
		{"cookie", 3, true},
		{"desktop", 3, true},
		{"mobile", 3, true},
		{"tablet", 3, true},
		{"chains", 1, true},
	}},
	{name: "chain", fields: []layoutField{{"id", 8, false}, {"count", 3, true}}},
	{name: "cell", fields: []layoutField{
		{"hour", 3, true},
		{"kind", 1, true},
		{"count", 3, true},
	}},
	{name: "devices", fields: []layoutField{
		{"bare", bindingHashSize, false},
		{"full", bindingHashSize, false},
	}},
	{name: "policies", fields: []layoutField{{"device", 1, true}, {"network", 1, true}}},
	{name: "rate", fields: []layoutField{{"full", 6, true}}},
	{name: "issued", fields: []layoutField{{"status", 1, false}, {"terms", 0, false}}},
	{name: "spent", fields: []layoutField{
		{"status", 1, false},
		{"idem", script.KeySize, false},
		{"terms", 0, false},
	}},
	{name: "attempt", fields: []layoutField{ // to use a nonce
		{"count", 1, true},
		{"free_at", 6, true},
		{"idem", script.KeySize, false},
	}},
	{name: "proof", fields: []layoutField{ // of a contract's session
		{"checked_at", 6, true},
		{"free_at", 6, true},
		{"idem", script.KeySize, false},
		{"sealed", 0, false},
	}},
	{name: "text", fields: []layoutField{ // of a registered account
		{"created", 6, true},
		{"epoch", 4, true},
		{"blocked_at", 6, true},
		{"sealed", 0, false},
	}},
	{name: "ticket", fields: []layoutField{
		{"expires", 6, true},
		{"access", token.HashSize, false},  // of the token that asked for it
		{"used_by", token.HashSize, false}, // zero if unused
		{"reused", 1, true},                // 1 if that is recorded
	}},
	{name: "item", fields: []layoutField{ // of a session's state
		{"expires", 6, true},
		{"size", 4, true},
		{"format", 1, true},
		{"key_id", seal.IDLength, false},
		{"version", nonceEnd - nonceAt, false},
	}},
	{name: "version", fields: []layoutField{{"version", nonceEnd - nonceAt, false}}},
	{name: "sealed", fields: []layoutField{{"head", nonceEnd, false}}},
	{name: "swept", fields: []layoutField{{"idem", script.KeySize, false}, {"user", 16, false}}},
	{name: "part", fields: []layoutField{{"size", 4, true}}}, // of the reply cache
	{name: "noop", fields: []layoutField{{"idem", script.KeySize, false}}},
	{name: "value", fields: []layoutField{{"kind", 1, false}, {"value", 0, false}}},
}

// size is the size of all fields.
func (l layout) size() int {
	size := 0
	for _, f := range l.fields {
		size += f.size
	}
	return size
}

// fieldLocation is the location of a field in its string.
type fieldLocation struct {
	layout *layout
	at     int // offset, from 0
	size   int
	number bool
}

// find returns the location of a field, or of several in a row.
func (l *layout) find(name string) (fieldLocation, bool) {
	at := l.at
	for _, f := range l.fields {
		if f.name == name {
			return fieldLocation{layout: l, at: at, size: f.size, number: f.number}, true
		}
		at += f.size
	}
	for _, s := range l.spans {
		if s.name == name {
			first, _ := l.find(s.first)
			last, _ := l.find(s.last)
			return fieldLocation{
				layout: l, at: first.at, size: last.at + last.size - first.at,
			}, true
		}
	}
	return fieldLocation{}, false
}

// findField returns the location of F.field or F.layout.field.
func findField(path string) (fieldLocation, bool) {
	of, name, nested := strings.Cut(strings.TrimPrefix(path, "F."), ".")
	if !nested {
		of, name = "", of
	}
	for i := range layouts {
		if layouts[i].name == of {
			return layouts[i].find(name)
		}
	}
	return fieldLocation{}, false
}

// Constants that only scripts use.
const (
	flagBlocked     = 1 << 0 // of a record
	flagPreferences = 1 << 1

	endedKept = 16  // ended sessions that a record keeps, however old
	endedMax  = 255 // the most, with recent ones: their number is one byte

	minuteMillis = 60_000
	hourMillis   = 60 * minuteMillis
	dayMillis    = 24 * hourMillis

	// loginUnderWay is longer than the longest life of a nonce and the time that
	// a request can take. It is not made of the configured life: while a
	// deployment changes that, functions differ, and each of them drops ended
	// sessions.
	loginUnderWay = int(MaxNonceLife/time.Millisecond) + 10*minuteMillis
	// retention is how long a record is kept after its last session.
	retention = 90 * dayMillis
	// replyCache is how long a reply is kept: longer than a request may be
	// under way.
	replyCache = 5 * minuteMillis
	// proofRetry is when a contract that could not be asked is asked again.
	proofRetry = 5 * minuteMillis
	// noopsKept is how many no-ops of an account are kept for as long: more
	// than may be under way.
	noopsKept = 64

	eventsReadAgain = 128 // latest events that a retry searches for its own
	segmentCompact  = 128 // members up to which Redis keeps a sorted set compact
)

// sizeOf returns the size of the layout with that name.
func sizeOf(name string) int {
	i := slices.IndexFunc(layouts, func(l layout) bool { return l.name == name })
	return layouts[i].size()
}

// constants are the values that scripts name, as Lua has them.
var constants = sync.OnceValue(func() map[string]string {
	all := map[string]string{
		"BLANK_RECORD": luaString(string([]byte{recordFormat}) +
			strings.Repeat("\x00", headSize-1)),
		"NO_SESSION":  luaString(strings.Repeat("\x00", sessionSize)),
		"NO_HASH":     luaString(strings.Repeat("\x00", token.HashSize)),
		"PROOF_FIELD": luaString(proofField), "PROOF_LOST": luaString(proofLost),
		"NAME_TEXT": luaString(nameText), "NOTE_TEXT": luaString(noteText),
		"NO_IDEM":   luaString(strings.Repeat("\x00", script.KeySize)),
		"NO_ORIGIN": luaString(strings.Repeat("\x00", originSize)),
		// As text: Lua takes long to format a number of this size.
		"OUTBOX_KEEP":     luaString(strconv.FormatInt(ceilMillis(outboxKeep), 10)),
		"NO_OUTBOX_STATE": luaString(strings.Repeat("\x00", sizeOf("queued"))),
	}
	for name, n := range map[string]int{
		"UNKNOWN": outcomeUnknown, "DONE": outcomeDone, "ENDED": outcomeEnded,
		"SPENT": outcomeSpent, "BLOCKED": outcomeBlocked, "FULL": outcomeFull,
		"PRECONDITION": outcomePrecondition, "TOO_LARGE": outcomeTooLarge,
		"LIMITED": outcomeLimited, "DAMAGED": outcomeDamaged, "STALE": outcomeStale,
		"MISSING": outcomeMissing, "LAST": outcomeLast, "EXPIRED": outcomeExpired,

		"LOGGED_OUT": int(LoggedOut), "IDLE_TIMEOUT": int(IdleTimeout),
		"ABSOLUTE_TIMEOUT": int(AbsoluteTimeout), "EVICTED": int(Evicted),
		"REFRESH_REUSED": int(RefreshReused), "HIJACK_SUSPECTED": int(HijackSuspected),
		"ACCOUNT_BLOCKED": int(AccountBlocked), "ACCOUNT_ERASED": int(AccountErased),
		"STORE_RESET": int(StoreReset),

		"EVENT_LOGIN": int(EventLogin), "EVENT_REFRESH": int(EventRefresh),
		"EVENT_ENDED": int(EventEnded), "EVENT_STEP_UP": int(EventStepUp),
		"EVENT_DEVICE": int(EventDevice), "EVENT_NETWORK": int(EventNetwork),
		"EVENT_ROLES": int(EventRoles), "EVENT_BLOCKED": int(EventBlocked),
		"EVENT_UNBLOCKED": int(EventUnblocked), "EVENT_ERASED": int(EventErased),
		"EVENT_PREFERENCES":   int(EventPreferences),
		"EVENT_TICKET_REUSED": int(EventTicketReused),

		"OFF": int(PolicyOff), "LOG": int(PolicyLog), "STEP_UP": int(PolicyStepUp),
		"REVOKE": int(PolicyRevoke), "STEP_UP_REQUIRED": flagStepUpRequired,
		"DEVICE_ID": flagDeviceID, "OF_CONTRACT": ofContract,
		"BLOCKED_FLAG": flagBlocked, "PREFERENCES_FLAG": flagPreferences,
		"COOKIE": int(Cookie), "DESKTOP": int(Desktop), "MOBILE": int(Mobile),
		"TABLET": int(Tablet), "LOGINS": hourlyLogins, "RENEWALS": hourlyRenewals,

		"RECORD_FORMAT": recordFormat, "HEAD_SIZE": headSize, "ENTRY_SIZE": entrySize,
		"ENDED_SIZE": endedSize, "SESSION_SIZE": sessionSize, "EVENT_SIZE": eventHeadSize,
		"KEY_SIZE": script.KeySize, "NOOPS_KEPT": noopsKept,
		"VERSION_SIZE": nonceEnd - nonceAt, "COUNTERS_FORMAT": countersFormat,
		"COUNTERS_SIZE": countersSize, "CHAIN_SIZE": chainSize, "CELL_SIZE": hourlyCountSize,
		"RATE_SIZE": sizeOf("rate"), "ATTEMPT_SIZE": sizeOf("attempt"),
		"PROOF_HEAD": sizeOf("proof"), "STATE_FIELD_SIZE": stateFieldSize,
		"TICKET_SIZE":   sizeOf("ticket"),
		"TEXT_STAMP":    sizeOf("text"),
		"PROOF_RETRY":   proofRetry,
		"ACTION_FORMAT": actionFormat, "ACTION_HEAD": actionHeadSize,
		"AUDIT_MAX": auditMax, "AUDIT_PUSHED": auditPushed,
		"PART_HEAD": sizeOf("part"), "COUNT_MAX": 1<<24 - 1, "CHAINS_MAX": maxChains,
		"ENDED_KEPT": endedKept, "ENDED_MAX": endedMax, "EVENTS_READ_AGAIN": eventsReadAgain,
		"SEGMENT_COMPACT": segmentCompact,
		"OUTBOX_FORMAT":   outboxFormat, "OUTBOX_MAX": OutboxMax, "OUTBOX_REFUSED": outboxRefused,
		"OUTBOX_STATE_SIZE": sizeOf("queued"), "PUBLISHED": outgoingPublished,

		"MINUTE": minuteMillis, "HOUR": hourMillis, "DAY": dayMillis,
		"HOURS_KEPT": hourlyKept + 1, "LOGIN_UNDER_WAY": loginUnderWay,
		"RETENTION": retention, "REPLY_CACHE": replyCache,
	} {
		all[name] = strconv.Itoa(n)
	}
	return all
})

// luaString returns a string of any bytes as a Lua literal.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, c := range []byte(s) {
		b.WriteByte('\\')
		b.WriteString(strconv.Itoa(1000 + int(c))[1:])
	}
	b.WriteByte('\'')
	return b.String()
}
