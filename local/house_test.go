package main // the handler table is not exported: a command has no other package

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/local/gateway"
	"latchkey/shared/config"
)

// root is the project's folder, seen from this package's.
const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func template(t *testing.T) *gateway.Template {
	t.Helper()
	parsed, err := gateway.Parse([]byte(read(t, "template.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// same reports what only one of two sets has.
func same(t *testing.T, nameA string, a []string, nameB string, b []string) {
	t.Helper()
	for _, x := range a {
		if !slices.Contains(b, x) {
			t.Errorf("%s has %s, %s has not", nameA, x, nameB)
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			t.Errorf("%s has %s, %s has not", nameB, x, nameA)
		}
	}
}

// routeOf returns the one route of a function.
func routeOf(t *testing.T, id string, f gateway.Function) string {
	t.Helper()
	if len(f.Routes) != 1 {
		t.Fatalf("%s has %d routes: one function serves one", id, len(f.Routes))
	}
	return f.Routes[0].Key()
}

// folderOf turns LogInFunction into log-in.
func folderOf(id string) string {
	words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(strings.TrimSuffix(id, "Function"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}

// mainText is what every function's main is, but for its name, route, and handler.
const mainText = `// Command %s serves %s.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).%s) }
`

// unrouted are the mains of the functions that have no route. The local server calls
// the one that has a schedule, and asks the one that guards.
var unrouted = map[string]string{
	sweeper: `// Command sweep-sessions ends sessions whose deadlines have passed, once a minute.
package main

import "latchkey/shared/boot"

func main() { boot.RunSweep() }
`,
	"RotateKeysFunction": `// Command rotate-keys adds a session key when Secrets Manager asks for it.
package main

import "latchkey/shared/boot"

func main() { boot.RunRotation() }
`,
	guard: `// Command authorizer decides over requests to other APIs, for API Gateway.
package main

import "latchkey/shared/boot"

func main() { boot.RunAuthorizer() }
`,
}

// routed are the functions of the template that have a route.
func routed(t *testing.T) map[string]gateway.Function {
	t.Helper()
	functions := template(t).Functions
	for id := range unrouted {
		delete(functions, id)
	}
	return functions
}

func TestHouse_unrouted(t *testing.T) {
	for id, want := range unrouted {
		f, declared := template(t).Functions[id]
		if !declared || len(f.Routes) > 0 || (f.Schedule > 0) != (id == sweeper) {
			t.Errorf("%s in template.yaml: %+v", id, f)
		}
		if got := read(t, "functions/"+folderOf(id)+"/main.go"); got != want {
			t.Errorf("functions/%s/main.go is\n%s\nand should be\n%s", folderOf(id), got, want)
		}
	}
	// Two sweeps at once do no harm, and nothing good either.
	f := template(t).Functions[sweeper]
	if f.Schedule != time.Minute || f.Timeout >= f.Schedule {
		t.Errorf("a sweep may take %v and the next comes after %v", f.Timeout, f.Schedule)
	}
}

func TestHouse_functions(t *testing.T) {
	declared := routed(t)
	same(t, "template.yaml", slices.Collect(maps.Keys(declared)), "local/functions.go", slices.Collect(maps.Keys(handlers)))
	var folders []string
	for id := range unrouted {
		folders = append(folders, folderOf(id))
	}
	for id, f := range declared {
		if f.Schedule != 0 {
			t.Errorf("%s has a route and a schedule", id)
		}
		folders = append(folders, folderOf(id))
		handler := runtime.FuncForPC(reflect.ValueOf(handlers[id]).Pointer()).Name()
		handler = handler[strings.LastIndex(handler, ".")+1:]
		want := fmt.Sprintf(mainText, folderOf(id), routeOf(t, id, f), handler)
		if got := read(t, "functions/"+folderOf(id)+"/main.go"); got != want {
			t.Errorf("functions/%s/main.go is\n%s\nand should be\n%s", folderOf(id), got, want)
		}
	}
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	same(t, "template.yaml", folders, "functions/", found)
}

func TestHouse_corsMethods(t *testing.T) {
	var methods []string
	for _, f := range template(t).Functions {
		for _, route := range f.Routes {
			methods = append(methods, route.Method)
		}
	}
	same(t, "the template's routes", methods, "AllowMethods", template(t).CORS.AllowMethods)
}

func TestHouse_makefile(t *testing.T) {
	var targets, want []string
	for _, m := range regexp.MustCompile(`(?m)^build-(\w+): ; \$\(call compile,(.*)\)$`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		targets = append(targets, m[1]+" of "+m[2])
	}
	for id := range template(t).Functions {
		want = append(want, id+" of "+folderOf(id))
	}
	same(t, "template.yaml", want, "Makefile", targets)
}

// section returns README's text between a heading that holds the title and the next
// heading.
func section(t *testing.T, title string) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, "README.md"), "\n## "+title)
	if !found {
		t.Fatalf("README.md has no section %q", title)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

func TestHouse_readmeEndpoints(t *testing.T) {
	var rows, routes []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\|").FindAllStringSubmatch(section(t, "Endpoints"), -1) {
		rows = append(rows, m[1])
	}
	for id, f := range routed(t) {
		routes = append(routes, routeOf(t, id, f))
	}
	same(t, "template.yaml", routes, "README's table of endpoints", rows)
}

func TestHouse_readmeConfiguration(t *testing.T) {
	var rows, want []string
	for line := range strings.Lines(section(t, "Configuration")) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	for _, v := range config.Variables() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", v.Name, v.Default, v.Meaning))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("README's table of variables is not that of shared/config, whose lines are\n%s", strings.Join(want, "\n"))
	}
}

func TestHouse_templateVariables(t *testing.T) {
	var want []string
	for _, v := range config.Variables() {
		if v.Name != "PORT" { // the local server's alone
			want = append(want, v.Name)
		}
	}
	same(t, "shared/config", want, "template.yaml", template(t).Variables)
}

// floors are the packages from the ground up. One imports only what lies on a floor
// below its own.
var floors = [][]string{
	{"shared/siwe", "shared/seal"},
	{"shared/session", "shared/wallet"},
	{"shared/api"},
	{"shared/lambdahttp"},
	{"shared/authorizer"},
	{"shared/config", "shared/awsenv"},
	{"shared/secrets"},
	{"shared/redisconn"},
	{"shared/boot"},
	{"functions", "local"},
}

// strangers are import paths that a floor must not know, with all below them.
var strangers = [][]string{
	{"net/http", "github.com/aws", "github.com/awslabs", "github.com/redis"},
	{"net/http", "github.com/aws", "github.com/awslabs"},
	{"github.com/aws", "github.com/awslabs", "github.com/redis"},
	{"github.com/redis"},
	{"github.com/aws", "github.com/awslabs", "github.com/redis"},
	{},
	{},
	{},
	{},
	{},
}

// isWithin tells whether a path is a folder or lies in it.
func isWithin(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// place finds the floor of a path and the entry there that it belongs to.
func place(path string) (floor int, entry string) {
	for floor, entries := range floors {
		for _, entry := range entries {
			if isWithin(path, entry) {
				return floor, entry
			}
		}
	}
	return -1, ""
}

func TestHouse_imports(t *testing.T) {
	seen := 0
	for file, imports := range importsOfFiles(t) {
		seen++
		here, entry := place(filepath.ToSlash(filepath.Dir(file)))
		if here < 0 {
			t.Errorf("%s is on no floor", file)
			continue
		}
		for _, path := range imports {
			own, isOwn := strings.CutPrefix(path, "latchkey/")
			there, other := place(own)
			if isOwn && there >= here && other != entry {
				t.Errorf("%s imports %s, which is not below it", file, path)
			}
			if slices.ContainsFunc(strangers[here], func(s string) bool { return isWithin(path, s) }) {
				t.Errorf("%s imports %s, which its floor must not know", file, path)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d files were looked at", seen)
	}
}

// importsOfFiles reads the imports of every Go file that is no test.
func importsOfFiles(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") || strings.Contains(file, "testdata/") {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		found[file] = []string{}
		for _, spec := range parsed.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			found[file] = append(found[file], imported)
		}
	})
	return found
}

// walk visits every file of the project, by its path from the root; what is built, or hidden, is none.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "build"):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		file, err := filepath.Rel(root, path)
		visit(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHouse_onlyAwsenvReadsTheEnvironment(t *testing.T) {
	for file := range importsOfFiles(t) {
		if !isWithin(file, "shared") || isWithin(file, "shared/awsenv") {
			continue
		}
		if text := read(t, file); strings.Contains(text, "os.Getenv") || strings.Contains(text, "os.LookupEnv") {
			t.Errorf("%s reads the environment", file)
		}
	}
}

// fuzzTests are the names of all fuzz tests, each behind its package's folder.
func fuzzTests(t *testing.T) (found []string) {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	walk(t, func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(read(t, file), -1) {
				found = append(found, filepath.Join(filepath.Dir(file), m[1]))
			}
		}
	})
	return found
}

// Whatever fuzzing found worth keeping is kept, is run by every go test, and is small enough to be read.
func TestHouse_fuzzCorpora(t *testing.T) {
	const most, largest = 30, 2 << 10
	inputs := map[string]int{}
	walk(t, func(file string) {
		target := filepath.Dir(file)
		if folder, name := filepath.Split(target); strings.HasSuffix(folder, "testdata/fuzz/") {
			inputs[filepath.Join(folder, "../..", name)]++
			if text := read(t, file); len(text) > largest || !strings.HasPrefix(text, "go test fuzz v1\n") {
				t.Errorf("%s is no input of %d bytes at most", file, largest)
			}
		}
	})
	for target, n := range inputs {
		if n > most {
			t.Errorf("%s has %d inputs; keep the %d that tell most", target, n, most)
		}
	}
	same(t, "the tests", fuzzTests(t), "testdata/fuzz", slices.Collect(maps.Keys(inputs)))
}
