package main // what is tested here is not exported: a command has no other package

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the project's folder, seen from this package's.
const root = "../../.."

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each invariant has mutations, each of which applies to the code as it stands and names a test that there is.
func TestList(t *testing.T) {
	all, err := readList(root)
	must(t, err)
	found := map[int]int{}
	for _, m := range all {
		found[m.invariant]++
		source, err := os.ReadFile(filepath.Join(root, m.file))
		must(t, err)
		if _, err := m.apply(string(source)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		name, _, _ := strings.Cut(m.test, "/")
		if !declares(t, filepath.Join(root, m.pkg()), name) {
			t.Errorf("%s: %s has no %s", m.name, m.pkg(), name)
		}
	}
	const invariants = 12 // the last two are those of contract wallets and of the admin console
	for invariant := 1; invariant <= invariants; invariant++ {
		if found[invariant] < 2 {
			t.Errorf("invariant %d has %d mutations, want two or more", invariant, found[invariant])
		}
		delete(found, invariant)
	}
	if len(found) > 0 {
		t.Errorf("there are mutations of other invariants: %v", found)
	}
}

// declares tells whether a package's tests have a function of that name.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

func entry(name, file, change string) string {
	return "**" + name + "**: a mistake. → `TestIt`\n\n```diff\n--- " + file + "\n" + change + "\n```\n\n"
}

const intro = "# Title\n\nHow they are read.\n\n"

func TestParse(t *testing.T) {
	all, err := parse(intro + "## 1. First\n\n" + entry("one", "a/b.go", "-if x || y {\n+\tif x {") +
		"## 2. Second\n\n" + entry("two", "c.lua", "-  gone"))
	must(t, err)
	want := []mutation{
		{1, "one", "a mistake.", "", "TestIt", "a/b.go", "if x || y {", "if x {"},
		{2, "two", "a mistake.", "", "TestIt", "c.lua", "gone", ""},
	}
	if len(all) != 2 || all[0] != want[0] || all[1] != want[1] {
		t.Errorf("read %+v, want %+v", all, want)
	}
}

// A test is of the file's own package, unless another is named.
func TestParse_package(t *testing.T) {
	elsewhere := strings.Replace(entry("two", "a/lua/lib/b.lua", "-x"), "`TestIt`", "`a/c-d.TestIt/1.5_s`", 1)
	all, err := parse(intro + "## 1. First\n\n" + entry("one", "a/b.go", "-x") + elsewhere)
	must(t, err)
	if m := all[0]; m.pkg() != "a" || m.test != "TestIt" {
		t.Errorf("%s is a test of %q", m.test, m.pkg())
	}
	if m := all[1]; m.pkg() != "a/c-d" || m.test != "TestIt/1.5_s" {
		t.Errorf("%s is a test of %q", m.test, m.pkg())
	}
}

func TestParse_refuses(t *testing.T) {
	good := entry("one", "a.go", "-x")
	for name, text := range map[string]string{
		"no entry":         intro,
		"no number":        intro + "## First\n\n" + good,
		"no package":       intro + strings.Replace(good, "`TestIt`", "`.TestIt`", 1),
		"no test":          intro + strings.Replace(good, " → `TestIt`", "", 1),
		"no change":        intro + "**one**: a mistake. → `TestIt`\n\n**two**: " + good,
		"no file":          intro + strings.Replace(good, "--- a.go\n", "", 1),
		"two lines":        intro + entry("one", "a.go", "-x\n-y"),
		"two changes":      intro + good + good[strings.Index(good, "```"):],
		"only a change":    intro + good[strings.Index(good, "```"):],
		"a name twice":     intro + good + good,
		"an unread change": intro + good + "**two**: a mistake. → `TestIt`\n\n",
	} {
		if all, err := parse(text); err == nil {
			t.Errorf("%s: read %+v", name, all)
		}
	}
}

func TestApply(t *testing.T) {
	m := mutation{file: "a.lua", line: "if x then", weakened: "if y then"}
	got, err := m.apply("x\n\tif x then\nif x then z\n")
	if must(t, err); got != "x\n\tif y then\nif x then z\n" {
		t.Errorf("became %q", got)
	}
	m.weakened = ""
	if got, err = m.apply("if x then"); err != nil || got != "" {
		t.Errorf("left out, it became %q, %v", got, err)
	}
	for _, source := range []string{"", "if x then z", "if x then\n  if x then"} {
		if got, err := m.apply(source); err == nil {
			t.Errorf("%q became %q", source, got)
		}
	}
}

func TestPattern(t *testing.T) {
	if got, want := pattern([]string{"TestA", "TestB/c.d/e"}), `^TestA$|^TestB$/^c\.d$/^e$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A test's own words are a catch. All that would fail any test is none.
func TestClassify(t *testing.T) {
	said := event{"output", "TestA/b", "    a_test.go:7: got 1, want 2\n"}
	fail, pass := event{"fail", "TestA", ""}, event{"pass", "TestA", ""}
	for name, c := range map[string]struct {
		events []event
		want   outcome
	}{
		"it fails":              {[]event{said, fail}, caught},
		"it passes":             {[]event{pass}, survived},
		"it passes and logs":    {[]event{said, pass}, survived},
		"it is skipped":         {[]event{said, {"skip", "TestA", ""}}, broken},
		"it is not there":       {[]event{{"output", "", "testing: warning: no tests to run\n"}, {"pass", "", ""}}, broken},
		"another fails":         {[]event{{"output", "TestAB", said.Output}, {"fail", "TestAB", ""}}, broken},
		"it fails without word": {[]event{fail}, broken},
		"it does not compile":   {[]event{{"build-output", "", "a.go:1:1: undefined: x\n"}, {"build-fail", "", ""}, {"fail", "", ""}}, broken},
		"it panics":             {[]event{said, {"output", "TestA", "panic: oh [recovered]\n"}, fail}, broken},
		"a script does not run": {[]event{{"output", "TestA", "    a_test.go:7: ERR Error compiling script (new function): <string> at EOF\n"}, fail}, broken},
	} {
		if got := classify(c.events, "TestA"); got.outcome != c.want || got.outcome != survived && len(got.lines) == 0 {
			t.Errorf("%s: judged %+v, want %s", name, got, c.want)
		}
	}
}

// files is a project with an embedded script, two tests of it, and a list.
var files = map[string]string{
	"go.mod":      "module project\n\ngo 1.26\n",
	"p/p.go":      "package p\n\nimport \"embed\"\n\n//go:embed p.lua\nvar Script string\n\n//go:embed lua\nvar Folder embed.FS\n\nfunc Two() int {\n\treturn 2\n}\n",
	"p/p.lua":     "first\nsecond\n",
	"p/lua/q.lua": "third\n",
	"p/p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestTwo(t *testing.T) {\n\tif Two() != 2 {\n\t\tt.Error(\"not two\")\n\t}\n}\n\n" +
		"func TestScript(t *testing.T) {\n\tif Script[:5] != \"first\" {\n\t\tt.Errorf(\"begins %q\", Script[:5])\n\t}\n}\n\n" +
		"func TestFolder(t *testing.T) {\n\tif text, _ := Folder.ReadFile(\"lua/q.lua\"); string(text) != \"third\\n\" {\n\t\tt.Errorf(\"holds %q\", text)\n\t}\n}\n\n" +
		"func TestFails(t *testing.T) {\n\tt.Error(\"always\")\n}\n",
}

// project writes that project with a list of these entries.
func project(t *testing.T, entries ...string) string {
	t.Helper()
	folder := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(folder, "p", "lua"), 0o700))
	must(t, os.MkdirAll(filepath.Join(folder, filepath.FromSlash(path.Dir(listFile))), 0o700))
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(folder, filepath.FromSlash(listFile)), []byte(intro+"## 1. First\n\n"+strings.Join(entries, "")), 0o600))
	return folder
}

// The whole of it: scripts that are embedded and Go alike, and every outcome.
func TestRun(t *testing.T) {
	of := func(test, name, file, change string) string {
		return strings.Replace(entry(name, file, change), "TestIt", test, 1)
	}
	folder := project(t, of("p.TestFolder", "embedded-folder", "p/lua/q.lua", "-third\n+fourth"), of("TestTwo", "three", "p/p.go", "-return 2\n+return 3"), of("TestScript", "script", "p/p.lua", "-first\n+other"),
		of("TestScript", "unseen", "p/p.lua", "-second"), of("TestTwo", "text", "p/p.go", "-return 2\n+return \"2\""),
		of("TestTwo", "moved", "p/p.go", "-return 4"))
	var out strings.Builder
	err := run(t.Context(), folder, nil, &out)
	if err == nil || !strings.Contains(err.Error(), "3 of 6") {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		`1 three +caught +TestTwo\n +p_test.go:\d+: not two\n`, `1 embedded-folder +caught +TestFolder\n +p_test.go:\d+: holds "fourth`,
		`1 script +caught +TestScript\n +p_test.go:\d+: begins "other"\n`,
		`1 unseen +SURVIVED`, `1 text +BROKEN +TestTwo\n.*\n.*cannot use "2"`, `1 moved +BROKEN +TestTwo\n.*p/p.go has no such line: return 4\n`,
		`mutations 6, caught 3, survived 1, broken 2\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%s is not told:\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := run(t.Context(), folder, []string{"three"}, &out); err != nil || !strings.Contains(out.String(), "mutations 1, caught 1") {
		t.Errorf("one alone: %v\n%s", err, out.String())
	}
	if err := run(t.Context(), folder, []string{"four"}, &out); err == nil || !strings.Contains(err.Error(), `"four"`) {
		t.Errorf("an unknown name: %v", err)
	}
	failing := project(t, of("TestFails", "three", "p/p.go", "-return 2\n+return 3"))
	if err := run(t.Context(), failing, nil, &out); err == nil || !strings.Contains(err.Error(), "without a mutation TestFails") {
		t.Errorf("a test that fails anyway: %v", err)
	}
}
