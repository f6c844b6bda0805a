package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// scope says where a word of the glossary must not be declared.
type scope int

const (
	inName     scope = iota // also as a local variable, a field or a part of a name
	asName                  // as a whole identifier, of whatever kind
	asFunction              // as the name of a function, a method or a type
)

// retired are the identifiers that this project no longer declares, each with the
// word to use: one word for one thing, and the one that the field uses.
var retired = map[string]struct {
	scope scope
	word  string
}{
	"operation":    {inName, "idempotency key, or call id"},
	"op":           {asName, "idempotency key, or call id"},
	"memory":       {asFunction, "reply cache"},
	"remember":     {inName, "saveReply"},
	"remembered":   {inName, "ended sessions"},
	"known":        {asFunction, "loadReply"},
	"told":         {inName, "emitted events"},
	"tell":         {inName, "emit"},
	"note":         {asFunction, "emit"},
	"noted":        {asName, "emitted"},
	"flush":        {asFunction, "writeEvents"},
	"judge":        {inName, "binding check"},
	"verdict":      {inName, "policy result"},
	"traits":       {inName, "client binding"},
	"trait":        {inName, "client binding"},
	"held":         {inName, "step-up required"},
	"bucket":       {inName, "partition"},
	"buckets":      {inName, "partitions"},
	"census":       {inName, "live counts"},
	"flow":         {asFunction, "hourly counts"},
	"flows":        {asFunction, "hourly counts"},
	"sum":          {asFunction, "summary"},
	"carried":      {inName, "presented session"},
	"by":           {asFunction, "Actor"},
	"byfor":        {asName, "Actor"},
	"nobody":       {inName, "Actor"},
	"learn":        {inName, "FetchKey"},
	"surroundings": {inName, "environment"},
	"here":         {asFunction, "environment"},
	"reach":        {inName, "connect"},
	"madeup":       {asName, "generated"},
	"mended":       {inName, "repaired"},
	"mend":         {inName, "repair"},
	"trip":         {asName, "round trip"},
	"trips":        {asName, "round trips"},
	"whole":        {asFunction, "complete"},
	"sure":         {asName, "callOrReset"},
	"over":         {asFunction, "endAndReply"},
	"finish":       {asFunction, "endEntry"},
	"due":          {asFunction, "expiry"},
	"sound":        {asName, "wellFormed"},
	"listed":       {asFunction, "findListed"},
	"live":         {asFunction, "findLive"},
	"tally":        {inName, "updateCounters"},
	"place":        {asFunction, "updateIndex"},
	"resign":       {inName, "dropAdmin"},
	"resigns":      {inName, "dropAdmin"},
	"keep":         {asFunction, "WithKeyRefresh"},
	"random":       {asFunction, "session part of the id"},
	"room":         {asFunction, "package"},
	"house":        {inName, "layout"},
	"floor":        {asFunction, "layer"},
	"floors":       {asFunction, "layers"},
}

// declared is an identifier, and whether it names a function, a method or a type.
type declared struct {
	name     string
	function bool
	at       string
}

func TestGlossary(t *testing.T) {
	seen := map[string]int{} // by extension
	walk(t, func(file string) {
		if strings.Contains(file, "testdata/") {
			return
		}
		all := declaredIn(t, file)
		seen[filepath.Ext(file)] += len(all)
		for _, d := range all {
			if isTerm(file, strings.ToLower(d.name)) {
				continue
			}
			if word, instead := retiredIn(d, strings.HasSuffix(file, "_test.go")); word != "" {
				t.Errorf("%s: %q in %s: say %s", d.at, word, d.name, instead)
			}
		}
	})
	for extension, least := range map[string]int{".go": 5000, ".lua": 500, ".js": 500} {
		if seen[extension] < least {
			t.Errorf("only %d identifiers of %s files were looked at", seen[extension], extension)
		}
	}
}

// declaredIn lists what a file declares, if it is Go, a script for Redis, or
// JavaScript that is served.
func declaredIn(t *testing.T, file string) []declared {
	t.Helper()
	folder := filepath.ToSlash(filepath.Dir(file))
	switch ext := filepath.Ext(file); {
	case ext == ".go":
		return declaredInGo(t, file)
	case ext == ".lua":
		return declaredInLua(read(t, file), file)
	case ext == ".js" && (folder == "client" || folder == "local/page/files"):
		return declaredInJavaScript(read(t, file), file)
	}
	return nil
}

// isTerm reports whether a word that is retired elsewhere is the right one in a
// file.
func isTerm(file, word string) bool {
	switch word {
	case "op", "operation": // what a linearizability checker orders
		return strings.HasPrefix(file, "local/test/history/")
	case "held": // the tokens that a client holds
		return file == "client/session.js" || file == "client/tokens.js"
	}
	return false
}

// retiredIn returns the retired word that an identifier is or has in it. In tests
// only the names of tests are looked into; every other identifier is compared
// as it is.
func retiredIn(d declared, inTest bool) (word, instead string) {
	if r, ok := retired[strings.ToLower(d.name)]; ok && (r.scope != asFunction || d.function) {
		return d.name, r.word
	}
	if inTest && !testName.MatchString(d.name) {
		return "", ""
	}
	for _, w := range wordsOf(d.name) {
		if r, ok := retired[w]; ok && r.scope == inName {
			return w, r.word
		}
	}
	return "", ""
}

// testName matches what go test runs.
var testName = regexp.MustCompile(`^(?:Test|Fuzz|Benchmark|Example)`)

// wordsOf splits camelCase, snake_case and UPPER_CASE into words in lower case.
func wordsOf(name string) []string {
	if strings.ToUpper(name) == name {
		return strings.Split(strings.ToLower(name), "_")
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Split(b.String(), "_")
}

// declaredInGo lists what a Go file declares.
func declaredInGo(t *testing.T, file string) (all []declared) {
	t.Helper()
	set := gotoken.NewFileSet()
	parsed, err := parser.ParseFile(set, filepath.Join(root, file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(function bool, names ...*ast.Ident) {
		for _, id := range names {
			all = append(all, declared{id.Name, function, set.Position(id.Pos()).String()})
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			add(true, n.Name)
		case *ast.TypeSpec:
			add(true, n.Name)
		case *ast.ValueSpec:
			add(false, n.Names...)
		case *ast.Field:
			add(false, n.Names...)
		case *ast.AssignStmt:
			for _, x := range n.Lhs {
				if id, ok := x.(*ast.Ident); ok && n.Tok == gotoken.DEFINE {
					add(false, id)
				}
			}
		case *ast.RangeStmt:
			for _, x := range []ast.Expr{n.Key, n.Value} {
				if id, ok := x.(*ast.Ident); ok && n.Tok == gotoken.DEFINE {
					add(false, id)
				}
			}
		}
		return true
	})
	return all
}

var (
	luaFunction = regexp.MustCompile(`function\s*([\w.]*)\s*\(([\w, ]*)\)`)
	luaLocal    = regexp.MustCompile(`local\s+((?:\w+\s*,\s*)*\w+)\s*(?:=|$)`)
	luaLoop     = regexp.MustCompile(`for\s+([\w, ]+?)\s+(?:in|=)`)
	luaField    = regexp.MustCompile(`[{,]\s*(\w+)\s*=[^=]`)
)

// declaredInLua lists what a script declares.
func declaredInLua(text, file string) (all []declared) {
	add := func(function bool, names string) {
		for name := range strings.SplitSeq(names, ",") {
			if name = strings.TrimSpace(name); name != "" {
				all = append(all, declared{name, function, file})
			}
		}
	}
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		code = strings.TrimSpace(code)
		for _, m := range luaFunction.FindAllStringSubmatch(code, -1) {
			add(true, m[1])
			add(false, m[2])
		}
		for _, m := range luaLocal.FindAllStringSubmatch(code, -1) {
			add(false, strings.TrimPrefix(m[1], "function"))
		}
		for _, m := range luaLoop.FindAllStringSubmatch(code, -1) {
			add(false, m[1])
		}
		for _, m := range luaField.FindAllStringSubmatch(code, -1) {
			add(false, m[1])
		}
	}
	return all
}

var (
	javaScriptComment  = regexp.MustCompile(`/\*[\s\S]*?\*/|(?m:^\s*//.*$)`)
	javaScriptFunction = regexp.MustCompile(`(?:function|class)\s+(\w+)` +
		`|(?:const|let)\s+(\w+)\s*=\s*(?:async\s*)?(?:\([^()]*\)|\w+)\s*=>`)
	javaScriptMethod = regexp.MustCompile(`(?m)^\s+(?:async\s+)?(\w+)\(([^()]*)\)\s*\{$`)
	javaScriptNames  = regexp.MustCompile(`(?:const|let)\s+(\w+|\{[^{}]*\}|\[[^\[\]]*\])\s*(?:=|of|(?m:$))` +
		`|function\s*\w*\(([^()]*)\)|\(([^()]*)\)\s*=>|(\w+)\s*=>`)
	javaScriptKeyword = regexp.MustCompile(`^(?:if|for|while|switch|catch)$`)
)

// declaredInJavaScript lists what a module declares.
func declaredInJavaScript(text, file string) (all []declared) {
	add := func(function bool, names string) {
		for name := range strings.SplitSeq(names, ",") {
			name, _, _ = strings.Cut(name, "=") // without its default
			name = name[strings.LastIndex(name, ":")+1:]
			if name = strings.Trim(name, "{}[]. \n"); name != "" {
				all = append(all, declared{name, function, file})
			}
		}
	}
	code := javaScriptComment.ReplaceAllString(text, "")
	for _, m := range javaScriptFunction.FindAllStringSubmatch(code, -1) {
		add(true, m[1]+m[2])
	}
	for _, m := range javaScriptMethod.FindAllStringSubmatch(code, -1) {
		if !javaScriptKeyword.MatchString(m[1]) {
			add(true, m[1])
			add(false, m[2])
		}
	}
	for _, m := range javaScriptNames.FindAllStringSubmatch(code, -1) {
		add(false, m[1]+m[2]+m[3]+m[4])
	}
	return all
}

// Every way to declare a name in JavaScript is seen.
func TestGlossary_javaScript(t *testing.T) {
	const module = `
// const comment = 1
/* const another = 2 */
export async function one(first, { second: third, fourth = 4 }) {
  let fifth
  for (const sixth of first) if (sixth) seventh(sixth)
  const { eighth, ...ninth } = third
  return {
    async tenth(eleventh) {
    },
  }
}
const twelfth = async thirteenth => fourth
export class fourteenth {}
`
	var names, functions []string
	for _, d := range declaredInJavaScript(module, "module.js") {
		if d.function {
			functions = append(functions, d.name)
		}
		names = append(names, d.name)
	}
	same(t, "the functions", functions, "want", []string{"one", "tenth", "twelfth", "fourteenth"})
	want := "one first third fourth fifth sixth eighth ninth tenth eleventh twelfth thirteenth fourteenth"
	same(t, "the names", names, "want", strings.Fields(want))
}
