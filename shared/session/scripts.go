package session

import (
	"embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
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
	{"events", []string{"bytes", "call"}},
	{"reply_cache", []string{"bytes"}},
	{"counters", []string{"bytes"}},
	{"index", []string{"bytes", "call"}},
	{"change", []string{"record", "events", "counters", "index"}},
	{"end_session", []string{"change"}},
	{"roles", []string{"bytes"}},
	{"renewal", []string{"bytes"}},
	{"binding", []string{"events"}},
	{"rate_limit", []string{"bytes"}},
	{"state", []string{"bytes"}},
}

type library struct {
	name  string
	needs []string
}

var (
	createScript  = newScript("create", "subject", "change", "rate_limit")
	touchScript   = newScript("touch", "subject", "end_session", "renewal", "binding")
	refreshScript = newScript("refresh", "subject", "end_session", "renewal", "binding",
		"rate_limit")
	stepUpScript      = newScript("step_up", "subject", "change", "renewal")
	endScript         = newScript("revoke", "subject", "end_session", "roles")
	endAllScript      = newScript("revoke_all", "subject", "reply_cache", "change", "roles")
	blockScript       = newScript("block", "subject", "reply_cache", "change", "roles")
	rolesScript       = newScript("roles", "subject", "reply_cache", "change", "roles")
	eraseScript       = newScript("erase", "subject", "reply_cache", "change", "roles")
	resignScript      = newScript("drop_admin")
	movedScript       = newScript("last_ip", "record")
	preferencesScript = newScript("preferences", "subject", "reply_cache", "change")
	statePutScript    = newScript("state_put", "reply_cache", "record", "state")
	stateDeleteScript = newScript("state_delete", "reply_cache", "record", "state")
	issueScript       = newScript("issue_nonce", "rate_limit")
	spendScript       = newScript("spend_nonce", "bytes")
	limitScript       = newScript("rate_limit", "rate_limit")
	sweepScript       = newScript("sweep", "change")
	recountScript     = newScript("recount")
)

// script makes a script when it is first run. Its name is a hash of its whole
// text, and no function runs more than a few: making all of them would add a
// millisecond to every cold start.
type script func() *redis.Script

// newScript puts together a script from its file and the libraries that it
// uses. It panics if the script names a library, field or constant that there
// is not: a test builds every script.
func newScript(name string, uses ...string) script {
	return sync.OnceValue(func() *redis.Script {
		file := "lua/" + name + ".lua"
		return build(file, readLua(file), uses)
	})
}

// build puts together a script from its text, the libraries that it uses, and
// those that they need.
func build(file, text string, uses []string) *redis.Script {
	a := assembly{origins: make([]origin, 0, 512)}
	a.text.Grow(16 << 10)
	add := func(file string) { a.add(file, readLua(file)) }
	add("lua/lib/prologue.lua")
	used := withNeeds(uses)
	for _, lib := range libraries {
		if slices.Contains(used, lib.name) {
			add("lua/lib/" + lib.name + ".lua")
		}
	}
	a.line("local function run()", origin{})
	a.add(file, text)
	a.line("end", origin{})
	add("lua/lib/epilogue.lua")
	built := redis.NewScript(a.text.String())
	origins.Store(built, a.origins)
	return built
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

// origin is the line of a file that a line of a script came from.
type origin struct {
	file string
	line int
}

// origins are those of each script's lines, by *redis.Script.
var origins sync.Map

// assembly is a script that is being put together.
type assembly struct {
	text    strings.Builder
	origins []origin
}

func (a *assembly) line(text string, from origin) {
	a.text.WriteString(text)
	a.text.WriteByte('\n')
	a.origins = append(a.origins, from)
}

// add adds a file's text, without comments and empty lines.
func (a *assembly) add(file, text string) {
	x := expansion{file: file, first: 1, constants: constants()}
	n := 0
	for line := range strings.Lines(x.expand(withoutComments(text))) {
		n++
		if line = strings.TrimSpace(line); line != "" {
			a.line(line, origin{file, n})
		}
	}
}

// locate adds to an error of a script the line of the file that it came from.
func (s script) locate(err error) error {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return err
	}
	lines, _ := origins.Load(s())
	all, _ := lines.([]origin)
	m := scriptLine().FindStringSubmatch(answer.Error())
	if m == nil {
		return err
	}
	n, _ := strconv.Atoi(m[1])
	if n < 1 || n > len(all) || all[n-1].file == "" {
		return err
	}
	return fmt.Errorf("%w (%s:%d)", err, all[n-1].file, all[n-1].line)
}

// scriptLine finds the line of a script in an error: Redis calls the script
// user_script. The embedded engine calls it <string> or nothing, and may name a
// line of its own first.
var scriptLine = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:user_script:|<string> line:|` +
		`\(new function\): (?::\d+: Script attempted .*? in function <:\d+>\s+)?:)(\d+)`)
})
