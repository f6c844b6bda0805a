package main // the handler table is not exported: a command has no external tests

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
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

// root is the project's folder, relative to this package's.
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

// same reports an error for each member that only one of two sets has.
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

// routesOf returns the one route of a function. A GET may have a HEAD beside
// it. The console has those of its page and its files.
func routesOf(t *testing.T, id string, f gateway.Function) []string {
	t.Helper()
	var keys []string
	for _, route := range f.Routes {
		keys = append(keys, route.Key())
	}
	slices.Sort(keys)
	if id == adminConsole {
		return keys
	}
	if len(keys) == 2 && keys[1] == "HEAD "+strings.TrimPrefix(keys[0], "GET ") {
		return keys
	}
	if len(keys) != 1 {
		t.Fatalf("%s has the routes %q: one function serves one", id, keys)
	}
	return keys
}

// folderOf turns LogInFunction into log-in.
func folderOf(id string) string {
	words := regexp.MustCompile(`[A-Z][a-z]*`).FindAllString(strings.TrimSuffix(id, "Function"), -1)
	return strings.ToLower(strings.Join(words, "-"))
}

// verifying are the functions that ask verify-signature about contract wallets,
// by folder. No other function links AWS's client of Lambda.
var verifying = []string{"log-in", "step-up", "refresh-session"}

// mainText is the main of every function with a route that does not ask about
// contract wallets, and verifyingText that of the others. Both lack name, route
// and handler.
const mainText = `// Command %s serves %s.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
)

func main() { boot.Run((*api.API).%s) }
`

const verifyingText = `// Command %s serves %s.
package main

import (
	"latchkey/shared/api"
	"latchkey/shared/boot"
	"latchkey/shared/verifierclient"
)

func main() { boot.RunWithVerifier((*api.API).%s, verifierclient.New) }
`

// describingMain is the main of the function that serves the description of the
// API. It needs nothing that boot sets up.
const describingMain = `// Command get-openapi serves GET /openapi.json and HEAD /openapi.json.
package main

import (
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/openapi"
)

func main() { lambda.Start(openapi.Handler{}) }
`

// consoleMain is the main of the function that serves the admin console. It has
// no throw-away admin, which only the local server gives to a console.
const consoleMain = `// Command serve-console serves GET /console and GET /console/{file}, and HEAD
// of both.
package main

import (
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/console"
)

func main() { lambda.Start(console.FromEnvironment(os.Getenv, os.Stdout)) }
`

// serving are the functions that serve files, with their mains and routes.
var serving = map[string]struct{ main, routes string }{
	description:  {describingMain, "GET /openapi.json and HEAD /openapi.json"},
	adminConsole: {consoleMain, "GET /console and GET /console/{file} and HEAD /console and HEAD /console/{file}"},
}

// unrouted has the mains of the functions without a route. The local server
// calls those with a schedule, and the authorizer.
var unrouted = map[string]string{
	sweeper: `// Command sweep-sessions ends sessions whose deadlines have passed, once a minute.
package main

import "latchkey/shared/boot"

func main() { boot.RunSweep() }
`,
	publisher: `// Command publish-events publishes events of accounts and sessions, each minute.
package main

import (
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/eventbridge"
	"latchkey/shared/events"
)

func main() {
	boot.RunPublisher(func(env awsenv.Environment, bus string) events.Sink {
		return eventbridge.New(env, bus)
	})
}
`,
	"RotateKeysFunction": `// Command rotate-keys adds a session key when Secrets Manager asks for it.
package main

import "latchkey/shared/boot"

func main() { boot.RunRotation() }
`,
	"VerifySignatureFunction": `// Command verify-signature asks chains about signatures of contract wallets.
package main

import "latchkey/shared/boot"

func main() { boot.RunVerifier() }
`,
	guard: `// Command authorizer decides over requests to other APIs, for API Gateway.
package main

import "latchkey/shared/boot"

func main() { boot.RunAuthorizer() }
`,
}

// routed returns the functions of the template that have a route.
func routed(t *testing.T) map[string]gateway.Function {
	t.Helper()
	functions := template(t).Functions
	for id := range unrouted {
		delete(functions, id)
	}
	return functions
}

// ofAPI returns the functions that serve the API. The admin console is not part
// of it: people open it, and programs do not call it.
func ofAPI(t *testing.T) map[string]gateway.Function {
	t.Helper()
	functions := routed(t)
	delete(functions, adminConsole)
	return functions
}

func TestLayout_unrouted(t *testing.T) {
	for id, want := range unrouted {
		f, declared := template(t).Functions[id]
		if !declared || len(f.Routes) > 0 || (f.Schedule > 0) != (id == sweeper || id == publisher) {
			t.Errorf("%s in template.yaml: %+v", id, f)
		}
		if got := read(t, "functions/"+folderOf(id)+"/main.go"); got != want {
			t.Errorf("functions/%s/main.go is\n%s\nand should be\n%s", folderOf(id), got, want)
		}
	}
	// Two sweeps or publishers at once do no harm, but are of no use.
	for _, id := range []string{sweeper, publisher} {
		f := template(t).Functions[id]
		if f.Schedule != time.Minute || f.Timeout >= f.Schedule {
			t.Errorf("%s may take %v and is called again after %v", id, f.Timeout, f.Schedule)
		}
	}
}

func TestLayout_functions(t *testing.T) {
	declared := routed(t)
	served := slices.Collect(maps.Keys(handlers))
	same(t, "template.yaml", slices.Collect(maps.Keys(declared)), "local/functions.go", append(served, description, adminConsole))
	var folders []string
	for id := range unrouted {
		folders = append(folders, folderOf(id))
	}
	for id, f := range declared {
		if f.Schedule != 0 {
			t.Errorf("%s has a route and a schedule", id)
		}
		folders = append(folders, folderOf(id))
		want := serving[id].main
		routes := strings.Join(routesOf(t, id, f), " and ")
		if want == "" {
			handler := runtime.FuncForPC(reflect.ValueOf(handlers[id]).Pointer()).Name()
			text := mainText
			if slices.Contains(verifying, folderOf(id)) {
				text = verifyingText
			}
			want = fmt.Sprintf(text, folderOf(id), routes, handler[strings.LastIndex(handler, ".")+1:])
		} else if routes != serving[id].routes {
			t.Errorf("%s has the routes %s", id, routes)
		}
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

// AWS's client of Lambda makes every start and every garbage collection longer,
// so it is only in the functions that invoke another one.
func TestLayout_lambdaClient(t *testing.T) {
	const client = "github.com/aws/aws-sdk-go-v2/service/lambda"
	command := exec.Command("go", "list", "-f", "{{.Dir}}{{range .Deps}} {{.}}{{end}}", "./functions/...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	listed, linking := 0, []string{}
	for line := range strings.Lines(string(output)) {
		listed++
		packages := strings.Fields(line)
		if slices.ContainsFunc(packages[1:], func(path string) bool { return isWithin(path, client) }) {
			linking = append(linking, filepath.Base(packages[0]))
		}
	}
	same(t, "AWS's client of Lambda", linking, "the list of functions that may link it", verifying)
	if declared := len(template(t).Functions); listed != declared {
		t.Errorf("go list knows %d functions, the template has %d", listed, declared)
	}
}

// The examples have clients of AWS that no function of the product links.
func TestLayout_noFunctionLinksAnExample(t *testing.T) {
	command := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}}", "./functions/...")
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(output)) {
		for _, foreign := range []string{"latchkey/local", "github.com/aws/aws-sdk-go-v2/service/dynamodb"} {
			if isWithin(strings.TrimSpace(path), foreign) {
				t.Errorf("a function links %s", path)
			}
		}
	}
	if !strings.Contains(string(output), "latchkey/shared/session\n") {
		t.Error("go list knows no package of the functions")
	}
}

func TestLayout_corsMethods(t *testing.T) {
	var methods []string
	for _, f := range template(t).Functions {
		for _, route := range f.Routes {
			methods = append(methods, route.Method)
		}
	}
	same(t, "the template's routes", methods, "AllowMethods", template(t).CORS.AllowMethods)
}

// sam build runs one target of the Makefile for each function. A dry run prints
// the command, which must build the function's own folder to where sam looks
// for it.
func TestLayout_makefile(t *testing.T) {
	folders := map[string]string{
		"OrdersFunction":       "local/protected-api",
		"WebSocketFunction":    "local/protected-api/websocket",
		"CloseSocketsFunction": "local/protected-api/close-sockets",
	}
	for id := range template(t).Functions {
		folders[id] = "functions/" + folderOf(id)
	}
	for _, path := range []string{"local/protected-api/template.yaml", "local/protected-api/websocket/template.yaml"} {
		example, err := gateway.Parse([]byte(read(t, path)))
		if err != nil {
			t.Fatal(err)
		}
		for id := range example.Functions {
			if folders[id] == "" {
				t.Errorf("%s of %s has no target in the Makefile", id, path)
			}
		}
	}
	for sam, goarch := range map[string]string{"arm64": "arm64", "x86_64": "amd64"} {
		for id, folder := range folders {
			read(t, folder+"/main.go") // is there
			got, err := dryRun("build-"+id, "ARTIFACTS_DIR=/artifacts of sam", "ARCH="+sam)
			command := regexp.MustCompile(`^CGO_ENABLED=0 GOOS=linux GOARCH=(\S+) go build .* -o "/artifacts of sam/bootstrap" (\S+)\n$`)
			m := command.FindStringSubmatch(got)
			if err != nil || m == nil || m[1] != goarch || m[2] != "./"+folder {
				t.Errorf("make build-%s ARCH=%s: %v, %s", id, sam, err, got)
			}
		}
	}
	const unknown = "build-WalkDogFunction"
	if got, err := dryRun(unknown); err == nil || !strings.Contains(got, "no function WalkDogFunction") {
		t.Errorf("make %s: %v, %s", unknown, err, got)
	}
}

// dryRun returns what make prints, of which it runs nothing.
func dryRun(arguments ...string) (string, error) {
	command := exec.Command("make", append([]string{"-n", "--no-print-directory"}, arguments...)...)
	command.Dir = root
	command.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") // of a make that runs this test
	})
	output, err := command.CombinedOutput()
	return string(output), err
}

// section returns a page's text between a heading and the next one.
func section(t *testing.T, page, title string) string {
	t.Helper()
	_, after, found := strings.Cut(read(t, page), "\n## "+title+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, title)
	}
	text, _, _ := strings.Cut(after, "\n## ")
	return text
}

func TestLayout_endpoints(t *testing.T) {
	var rows, routes []string
	table := section(t, "docs/api.md", "Endpoints")
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\|").FindAllStringSubmatch(table, -1) {
		rows = append(rows, m[1])
	}
	for id, f := range ofAPI(t) {
		routes = append(routes, routesOf(t, id, f)...)
	}
	same(t, "template.yaml", routes, "the table of endpoints in docs/api.md", rows)
}

func TestLayout_variables(t *testing.T) {
	var rows, want []string
	for line := range strings.Lines(section(t, "docs/configuration.md", "Variables")) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	for _, v := range config.Variables() {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", v.Name, v.Default, v.Meaning))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("the table in docs/configuration.md differs from shared/config: replace its rows by\n%s", strings.Join(want, "\n"))
	}
}

func TestLayout_templateVariables(t *testing.T) {
	var want []string
	for _, v := range config.Variables() {
		// The local server's alone. Alarms need JSON.
		if v.Name != "PORT" && v.Name != "LOG_FORMAT" && v.Name != "CORS_ALLOW_HEADERS" {
			want = append(want, v.Name)
		}
	}
	same(t, "shared/config", want, "template.yaml", template(t).Variables)
}

// Import paths, each with all below it, that some layers must not import.
var (
	netHTTP = []string{"net/http"}
	awsSDK  = []string{"github.com/aws", "github.com/awslabs"}
	goRedis = []string{"github.com/redis"}
	system  = []string{"os", "io/fs"}
)

// layers are the folders of packages from the ground up. A package imports only
// folders that come before its own. Not all of them exist yet.
var layers = []struct {
	folder    string
	forbidden []string
}{
	{"docs", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"client", slices.Concat(netHTTP, awsSDK, goRedis, []string{"os", "latchkey"})},
	{"shared/secureheaders", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/static", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/openapi", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/console", slices.Concat(netHTTP, awsSDK, goRedis, []string{"os"})},
	{"shared/siwe", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/lazyregexp", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/strictjson", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/seal", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/wallet", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/chain", slices.Concat(awsSDK, goRedis, system)},
	{"shared/script", slices.Concat(netHTTP, awsSDK, system)},
	{"shared/token", slices.Concat(netHTTP, awsSDK, goRedis, system, []string{"latchkey/shared/script"})},
	{"shared/session", slices.Concat(netHTTP, awsSDK, system)},
	{"shared/events", slices.Concat(awsSDK, goRedis, system)},
	{"shared/api", slices.Concat(awsSDK, goRedis, system)},
	{"shared/lambdahttp", slices.Concat(goRedis, system)},
	{"shared/authorizer", slices.Concat(awsSDK, goRedis, system)},
	{"shared/config", slices.Concat(netHTTP, awsSDK, goRedis, system)},
	{"shared/awsenv", goRedis},
	{"shared/verifier", slices.Concat(awsSDK, goRedis, system)},
	{"shared/secrets", slices.Concat(goRedis, system)},
	{"shared/redisconn", system},
	{"shared/boot", nil},
	{"shared/verifierclient", slices.Concat(goRedis, system)}, // not below boot, which every function links
	{"shared/eventbridge", slices.Concat(goRedis, system)},    // nor is this one
	{"functions", nil},
	{"local", nil},
}

// isWithin reports whether a path is a folder or lies in it.
func isWithin(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// layerOf returns the index of a path's layer, or -1 if it is in none.
func layerOf(path string) int {
	for i, l := range layers {
		if isWithin(path, l.folder) {
			return i
		}
	}
	return -1
}

func TestLayout_imports(t *testing.T) {
	seen := 0
	for file, imports := range importsOfFiles(t) {
		seen++
		layer := layerOf(filepath.ToSlash(filepath.Dir(file)))
		if layer < 0 {
			t.Errorf("%s is in no layer", file)
			continue
		}
		for _, path := range imports {
			own, isOwn := strings.CutPrefix(path, "latchkey/")
			if isOwn && (layerOf(own) < 0 || layerOf(own) > layer) {
				t.Errorf("%s imports %s, which is not below it", file, path)
			}
			if slices.ContainsFunc(layers[layer].forbidden, func(f string) bool { return isWithin(path, f) }) {
				t.Errorf("%s imports %s, which its layer must not know", file, path)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d files were read", seen)
	}
}

// importsOfFiles returns the imports of every Go file that is not a test.
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

// walk visits every file of the project that is neither built nor hidden, with
// its path from the root.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(name, ".") ||
			name == "build" || name == "node_modules"):
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

func TestLayout_onlyAwsenvReadsTheEnvironment(t *testing.T) {
	for file := range importsOfFiles(t) {
		if !isWithin(file, "shared") || isWithin(file, "shared/awsenv") {
			continue
		}
		if text := read(t, file); strings.Contains(text, "os.Getenv") || strings.Contains(text, "os.LookupEnv") {
			t.Errorf("%s reads the environment", file)
		}
	}
}

// fuzzTests returns the names of all fuzz tests, each with its package's folder
// in front.
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

// Every fuzz test has inputs that fuzzing found. Every go test runs them, and
// they are small enough to be read.
func TestLayout_fuzzCorpora(t *testing.T) {
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
			t.Errorf("%s has %d inputs; keep the %d that cover most", target, n, most)
		}
	}
	same(t, "the tests", fuzzTests(t), "testdata/fuzz", slices.Collect(maps.Keys(inputs)))
}
