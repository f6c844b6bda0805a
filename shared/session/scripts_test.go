package session_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

var update = flag.Bool("update", false, "write testdata/scripts.sha1 anew")

// Two builds put together the same scripts: Redis knows a script by the hash of
// its text, and each change of one makes every instance load it once.
func TestScripts_hashes(t *testing.T) {
	const file = "testdata/scripts.sha1"
	hashes := session.ScriptHashes()
	var list bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		fmt.Fprintf(&list, "%s  %s\n", hashes[name], name)
	}
	if *update {
		must(t, os.WriteFile(file, list.Bytes(), 0o644))
	}
	stored, err := os.ReadFile(file)
	must(t, err)
	for line := range strings.Lines(list.String()) {
		if !strings.Contains(string(stored), line) {
			t.Errorf("%s does not list this script: %s", file, line)
		}
	}
	if string(stored) != list.String() {
		t.Errorf("if you meant to change scripts, run: go test ./shared/session -run TestScripts_hashes -update")
	}
}

// Every file is a script, or part of one.
func TestScripts_files(t *testing.T) {
	names := slices.Sorted(maps.Keys(session.ScriptHashes()))
	var files []string
	for _, file := range luaFiles(t, "lua/*.lua") {
		files = append(files, strings.TrimSuffix(path.Base(file), ".lua"))
	}
	if !slices.Equal(files, names) {
		t.Errorf("lua has %q, the scripts are %q", files, names)
	}
	libraries := append(session.Libraries(), "epilogue", "prologue")
	slices.Sort(libraries)
	var libs []string
	for _, file := range luaFiles(t, "lua/lib/*.lua") {
		libs = append(libs, strings.TrimSuffix(path.Base(file), ".lua"))
	}
	if !slices.Equal(libs, libraries) {
		t.Errorf("lua/lib has %q, the libraries are %q", libs, libraries)
	}
}

func luaFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no %s", pattern)
	}
	return files
}

// code is a file's Lua without comments.
func code(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return regexp.MustCompile(`--.*`).ReplaceAllString(string(text), "")
}

var (
	defined  = regexp.MustCompile(`(?m)^local (?:function )?(\w+)`) // what a library offers
	declared = regexp.MustCompile(`(?:local|function|for) [\w, ]*(?:\([\w, ]*\))?`)
	unshared = regexp.MustCompile(`'[^']*'|\.\w+|\w+ =[^=]`) // strings, and names of a table's fields
	words    = regexp.MustCompile(`\w+`)
)

// A script holds each library that it uses, in front of its use, and no other.
func TestScripts_libraries(t *testing.T) {
	owner := map[string]string{} // file by name
	for _, file := range luaFiles(t, "lua/lib/*.lua") {
		for _, m := range defined.FindAllStringSubmatch(code(t, file), -1) {
			owner[m[1]] = file
		}
	}
	owner["sub"], owner["char"], owner["floor"] = owner["byte"], owner["byte"], owner["byte"]
	for name := range session.ScriptHashes() {
		files := session.ScriptFiles(name)
		used := map[string]bool{"lua/lib/prologue.lua": true, "lua/lib/epilogue.lua": true}
		for i, file := range files {
			text := session.Expand(code(t, file))
			own := words.FindAllString(strings.Join(declared.FindAllString(text, -1), " "), -1)
			for _, word := range words.FindAllString(unshared.ReplaceAllString(text, " "), -1) {
				from, shared := owner[word]
				if !shared || from == file || slices.Contains(own, word) {
					continue
				}
				if used[from] = true; !slices.Contains(files[:i], from) {
					t.Fatalf("%s: %s uses %s of %s, which is not in front of it", name, file, word, from)
				}
			}
		}
		for _, file := range files {
			if strings.HasPrefix(file, "lua/lib/") && !used[file] {
				t.Errorf("%s holds %s, which nothing in it uses", name, file)
			}
		}
	}
}

// offsets finds what reads or writes bytes of a string by their numbers.
var (
	direct  = regexp.MustCompile(`\b(?:string\.)?(?:sub|byte|num|bin|char)\s*\(|:(?:sub|byte)\s*\(`)
	offsets = regexp.MustCompile(`\b(?:sub|byte|num|bin|char)\s*\([^()]*\b(?:[2-9]|\d{2,})\b`)
)

// Scripts read and write bytes by the names of fields. A library may cut strings
// at an offset that it computed; no number of a layout stands there.
func TestScripts_noOffsets(t *testing.T) {
	for _, bad := range []string{"sub(raw, 3, 4)", "num(entry, 22, 6)", "x = byte (raw, 2)", "raw:sub(1)", "string.char(1)"} {
		if !direct.MatchString(bad) {
			t.Errorf("%s is not found", bad)
		}
	}
	for _, file := range luaFiles(t, "lua/*.lua") {
		if found := direct.FindString(code(t, file)); found != "" {
			t.Errorf("%s has %s: use get, number, tail, with or pack", file, found)
		}
	}
	for _, file := range luaFiles(t, "lua/lib/*.lua") {
		if found := offsets.FindString(code(t, file)); found != "" && path.Base(file) != "bytes.lua" {
			t.Errorf("%s has %s: use get, number, tail, with or pack", file, found)
		}
	}
}

// Every constant and field that Go defines for scripts is used by one.
func TestScripts_names(t *testing.T) {
	var all strings.Builder
	for _, pattern := range []string{"lua/*.lua", "lua/lib/*.lua"} {
		for _, file := range luaFiles(t, pattern) {
			all.WriteString(code(t, file))
		}
	}
	for _, name := range session.Constants() {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(all.String()) {
			t.Errorf("no script uses %s", name)
		}
	}
	names, _ := session.Layouts()
	for _, name := range names {
		if name != "" && !strings.Contains(all.String(), "F."+name+".") {
			t.Errorf("no script uses the layout %s", name)
		}
	}
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"get(entry, F.seen)":                       "sub(entry, 23, 28)",
		"get(raw, at, F.session)":                  "sub(raw, at + 1, at + 16)",
		"get(a[i], F.hashes)":                      "sub(a[i], 49, 80)",
		"number(entry, F.seen)":                    "num(entry, 22, 6)",
		"number(raw, at + x.y, F.cell.hour)":       "num(raw, at + x.y, 3)",
		"number(raw, at - CELL_SIZE, F.cell.kind)": "byte(raw, at - 7 + 4)",
		"tail(raw, F.spent.terms)":                 "sub(raw, 8)",
		"offset(F.seen)":                           "22",
		"number(get(list, F.hashes), F.flags)":     "byte(sub(list, 49, 80), 175)",
		"with(entry, F.seen, now, F.idle, ends)":   "sub(entry, 1, 22) .. bin(now, 6) .. bin(ends, 6) .. sub(entry, 35)",
		"with(r.head, F.head.format, 1)":           "'\\001' .. sub(r.head, 2)",
		"with(e, F.hashes, new, F.former_hashes, F.hashes, F.access_end, 0)": "sub(e, 1, 48) .. new .. sub(e, 49, 80)" +
			" .. '\\000\\000\\000\\000\\000\\000' .. sub(e, 119)",
		"with(e, F.former_access_end, F.access_end)": "sub(e, 1, 118) .. sub(e, 113, 118) .. sub(e, 125)",
		"pack(F.cell.hour, h, F.cell.kind, k)":       "bin(h, 3) .. char(k)",
		"pack(F.chain.id, a or b)":                   "(a or b)",
		"with(e,\n  F.seen, now)\nnext":              "sub(e, 1, 22) .. bin(now, 6) .. sub(e, 29)\n\nnext",
		"return {DONE, KEYS[1], ARGV[2]}":            "return {1, KEYS[1], ARGV[2]}",
		"k.DONE .. DONE..DONE":                       "k.DONE .. 1..1",
		"'DONE -- get(entry, F.seen)' -- DONE\nx":    "'DONE -- get(entry, F.seen)' \nx",
		"redis.call('GET', \"it's\") target(s, T)":   "",
	} {
		if want == "" { // only that it fails
			refused(t, text)
			continue
		}
		if got := session.Expand(text); got != want {
			t.Errorf("%s\nbecame %s\n  want %s", text, got, want)
		}
	}
}

// What there is not, or does not fit, fails the build of a script.
func TestExpand_refuses(t *testing.T) {
	for _, text := range []string{
		"return {NOTHING}", "get(entry, F.nothing)", "get(entry, F.nothing.seen)", "get(entry, seen)", "F.seen", "offset(seen)",
		"get(entry)", "get(a, b, c, F.seen)", "number(entry, F.access)", "get(raw, F.spent.terms)",
		"with(entry, F.seen)", "with(entry, F.idle, a, F.seen, b)", "with(entry, F.seen, a, F.seen, b)",
		"with(entry, F.seen, a, F.head.flags, b)", "with(entry, F.seen, F.access)", "with(f(x), F.seen, a)",
		"pack(F.seen)", "pack(F.created, a, F.idle, b)", "pack(F.created, a, F.head.flags, b)",
	} {
		refused(t, text)
	}
}

// refused checks that a text does not become part of a script, and that the panic names its line.
func refused(t *testing.T, text string) {
	t.Helper()
	defer func() {
		if said := fmt.Sprint(recover()); !strings.HasPrefix(said, "lua/test.lua:3: ") {
			t.Errorf("%s: the panic is %s", text, said)
		}
	}()
	t.Errorf("%s became %s", text, session.Expand("\n\n"+text))
}

// An error in a script names the file and the line that it came from, and is
// classified as before.
func TestScripts_locate(t *testing.T) {
	// Not on a cluster, where any error of a script fails the test.
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		key := w.RecordKey(g.Session.ID)
		record, err := os.ReadFile("lua/lib/record.lua")
		must(t, err)
		before, _, _ := strings.Cut(string(record), "#raw >= HEAD_SIZE")
		for name, c := range map[string]struct {
			text, at string
			uses     []string
		}{
			"in the script":  {"-- comment\nlocal x\n\nreturn x.y\n", "lua/broken.lua:4", nil},
			"in a library":   {"return {findLive(true, '', 0, '')}", fmt.Sprintf("lua/lib/record.lua:%d", 1+strings.Count(before, "\n")), []string{"record"}},
			"in a long call": {"local x = {}\nlocal y = with(x,\n  F.seen, 1,\n  F.idle, 2)\n\nreturn z.y", "lua/broken.lua:2", []string{"bytes"}},
			"in its syntax":  {"local x = 1\n\nlocal y = = 2\n", "lua/broken.lua:3", nil},
		} {
			err := w.RunText(ctx, c.text, key, c.uses...)
			if err == nil || !strings.HasSuffix(err.Error(), "("+c.at+")") {
				t.Errorf("%s: %v, want %s", name, err, c.at)
			}
		}
		if err := w.RunTextTogether(ctx, "\nreturn nothing", key); err == nil || !strings.HasSuffix(err.Error(), "(lua/broken.lua:2)") {
			t.Errorf("together with another: %v", err)
		}
		err = w.RunText(ctx, "\nredis.call('LPUSH', KEYS[1], 'x')", key)
		if !redis.HasErrorPrefix(err, "WRONGTYPE") && r.Mini == nil || err == nil || !strings.HasSuffix(err.Error(), "(lua/broken.lua:2)") {
			t.Errorf("a command that is refused: %v", err)
		}
	})
}
