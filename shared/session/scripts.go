package session

import (
	"embed"
	"slices"
	"strings"
	"sync"

	"latchkey/shared/script"
)

// The scripts, one for each change of state, and lua/lib, what several share.
//
//go:embed lua
var luaFiles embed.FS

// libraries are the files of lua/lib, without those that begin and end every
// script, in the order in which a script holds them, each with those that it
// needs itself.
var libraries = []library{
	{"bytes", nil},
	{"call", nil},
	{"record", []string{"bytes"}},
	{"subject", nil},
	{"outbox", []string{"bytes", "call"}},
	{"events", []string{"outbox"}},
	{"reply_cache", []string{"bytes"}},
	{"account", []string{"subject", "reply_cache"}},
	{"noop", []string{"bytes", "call", "account"}},
	{"counters", []string{"bytes"}},
	{"index", []string{"bytes", "call"}},
	{"change", []string{"record", "events", "counters", "index"}},
	{"registry", []string{"change"}},
	{"end_session", []string{"change"}},
	{"roles", []string{"bytes"}},
	{"access", []string{"bytes"}},
	{"renewal", []string{"bytes"}},
	{"binding", []string{"events"}},
	{"rate_limit", []string{"bytes"}},
	{"state", []string{"bytes"}},
	{"proof", []string{"bytes"}},
	{"action", []string{"bytes"}},
}

type library struct {
	name  string
	needs []string
}

var (
	createScript  = newScript("create", "subject", "registry", "rate_limit", "proof")
	touchScript   = newScript("touch", "subject", "end_session", "access", "renewal", "binding")
	refreshScript = newScript("refresh", "subject", "end_session", "renewal", "binding",
		"rate_limit", "proof")
	stepUpScript         = newScript("step_up", "subject", "change", "renewal", "proof")
	revokeScript         = newScript("revoke", "subject", "end_session", "roles", "proof")
	revokeAllScript      = newScript("revoke_all", "noop", "change", "roles")
	blockScript          = newScript("block", "account", "registry", "roles")
	rolesScript          = newScript("roles", "account", "registry", "roles")
	eraseScript          = newScript("erase", "account", "registry", "roles")
	dropAdminScript      = newScript("drop_admin")
	lastIPScript         = newScript("last_ip", "record")
	preferencesScript    = newScript("preferences", "subject", "reply_cache", "change")
	statePutScript       = newScript("state_put", "reply_cache", "record", "state")
	stateDeleteScript    = newScript("state_delete", "reply_cache", "record", "state")
	issueNonceScript     = newScript("issue_nonce", "rate_limit")
	spendNonceScript     = newScript("spend_nonce", "bytes")
	beginAttemptScript   = newScript("begin_attempt", "bytes")
	abandonAttemptScript = newScript("abandon_attempt", "bytes")
	proofScript          = newScript("proof", "proof")
	issueTicketScript    = newScript("issue_ticket", "call", "record", "access")
	useTicketScript      = newScript("use_ticket", "subject", "record", "events", "access")
	rateLimitScript      = newScript("rate_limit", "rate_limit")
	sweepScript          = newScript("sweep", "change")
	forgetScript         = newScript("forget", "change")
	recountScript        = newScript("recount")
	healthScript         = newScript("health")
	migrateScript        = newScript("migrate", "change")
	registerScript       = newScript("register", "registry")
	auditScript          = newScript("audit", "bytes", "call")
	eraseNamesScript     = newScript("erase_names", "call", "action")
	outboxRemoveScript   = newScript("outbox_remove", "bytes", "call")
)

// newScript makes a script of its file and the libraries that it uses. It
// panics, when it is first run, if the script names a library, field or
// constant that does not exist: a test puts every script together.
func newScript(name string, uses ...string) *script.Script {
	return script.New(func() script.Source {
		file := "lua/" + name + ".lua"
		return assemble(file, readLua(file), uses)
	})
}

// assemble puts together a script from its text, the libraries that it uses,
// and those that they need.
func assemble(file, text string, uses []string) script.Source {
	a := assembly{lines: make([]script.Line, 0, 512)}
	a.text.Grow(16 << 10)
	a.add(expandedLibrary("prologue"))
	used := withNeeds(uses)
	for _, lib := range libraries {
		if slices.Contains(used, lib.name) {
			a.add(expandedLibrary(lib.name))
		}
	}
	a.line("local function run()", script.Line{})
	a.add(expandFile(file, text))
	a.line("end", script.Line{})
	a.add(expandedLibrary("epilogue"))
	return script.Source{Text: a.text.String(), Lines: a.lines}
}

func readLua(file string) string {
	text, err := luaFiles.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// withNeeds returns libraries with all that they need.
func withNeeds(names []string) (all []string) {
	for _, name := range names {
		i := slices.IndexFunc(libraries, func(l library) bool { return l.name == name })
		if i < 0 {
			panic("no library " + name)
		}
		all = append(append(all, name), withNeeds(libraries[i].needs)...)
	}
	return all
}

// assembly is a script that is being put together.
type assembly struct {
	text  strings.Builder
	lines []script.Line
}

func (a *assembly) line(text string, from script.Line) {
	a.text.WriteString(text)
	a.text.WriteByte('\n')
	a.lines = append(a.lines, from)
}

func (a *assembly) add(lines []sourceLine) {
	for _, l := range lines {
		a.line(l.text, l.from)
	}
}

// sourceLine is a line of a script, and where it came from.
type sourceLine struct {
	text string
	from script.Line
}

// expandFile expands a file's text, without comments and empty lines.
func expandFile(file, text string) []sourceLine {
	x := expansion{file: file, first: 1, constants: constants()}
	var lines []sourceLine
	n := 0
	for line := range strings.Lines(x.expand(withoutComments(text))) {
		n++
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, sourceLine{line, script.Line{File: file, Number: n}})
		}
	}
	return lines
}

// libraryLines are the libraries that have been expanded, by name: a function
// runs several scripts, and a cold start should expand no library twice.
var libraryLines sync.Map

func expandedLibrary(name string) []sourceLine {
	if lines, ok := libraryLines.Load(name); ok {
		return lines.([]sourceLine)
	}
	file := "lua/lib/" + name + ".lua"
	lines := expandFile(file, readLua(file))
	libraryLines.Store(name, lines)
	return lines
}
