package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the project's folder, seen from this package's.
const root = "../../.."

// stack is a template as CloudFormation would carry it out: expanded by SAM, with its conditions decided and its parameters
// filled in. What is known only once the stack is there, as the ARN of a function, stays the intrinsic function that it is.
type stack struct {
	resources, outputs map[string]node
}

// node is a piece of a template's JSON.
type node struct{ value any }

// at follows keys of mappings, and indices of lists written as numbers. What is not there is the node of nil.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		switch v := n.value.(type) {
		case map[string]any:
			n = node{v[key]}
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(v) {
				return node{}
			}
			n = node{v[i]}
		default:
			return node{}
		}
	}
	return n
}

// at looks into what a node would hold.
func at(what any, keys ...string) node { return node{what}.at(keys...) }

// list returns the items of a list, or a single value as a list of one, as IAM has it.
func (n node) list() []node {
	switch v := n.value.(type) {
	case nil:
		return nil
	case []any:
		items := make([]node, 0, len(v))
		for _, item := range v {
			items = append(items, node{item})
		}
		return items
	}
	return []node{n}
}

// String is a text as it stands, and anything else as JSON.
func (n node) String() string {
	if text, ok := n.value.(string); ok {
		return text
	}
	text, _ := json.Marshal(n.value)
	return string(text)
}

// ref is how a Ref reads, and attribute how a GetAtt does.
func ref(id string) string { return fmt.Sprintf(`{"Ref":%q}`, id) }

func attribute(id, name string) string { return fmt.Sprintf(`{"Fn::GetAtt":[%q,%q]}`, id, name) }

// need fails a test in CI where a program is missing, and skips it elsewhere, aloud.
func need(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	fmt.Fprintln(os.Stderr, missing+"; the stack is not checked")
	t.Skip(missing)
}

var translator = sync.OnceValue(func() error {
	return exec.Command("python3", "-c", "import samtranslator").Run()
})

// translated is what SAM makes of the template at path, seen from the root, with parameters in the form Name=Value.
func translated(t *testing.T, path string, parameters ...string) map[string]any {
	t.Helper()
	if translator() != nil {
		need(t, "no SAM translator found: pip install aws-sam-translator")
	}
	command := exec.Command("python3", append([]string{"local/test/stack/translate.py", path}, parameters...)...)
	command.Dir = root
	var errs strings.Builder
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("expanding %s: %v\n%s", path, err, &errs)
	}
	var template map[string]any
	if err := json.Unmarshal(out, &template); err != nil {
		t.Fatal(err)
	}
	return template
}

// ours is the main template, expanded once.
var ours struct {
	once     sync.Once
	template map[string]any
}

// template returns the main template, expanded by SAM.
func template(t *testing.T) map[string]any {
	t.Helper()
	ours.once.Do(func() { ours.template = translated(t, "template.yaml") })
	if ours.template == nil {
		t.Skip("the template could not be expanded")
	}
	return ours.template
}

// deploy carries out the main template with parameters in the form Name=Value.
func deploy(t *testing.T, parameters ...string) stack {
	t.Helper()
	return carryOut(template(t), parameters...)
}

func carryOut(template map[string]any, parameters ...string) stack {
	r := newResolver(template, parameters...)
	return stack{resources: r.section("Resources"), outputs: r.section("Outputs")}
}

// newResolver returns a resolver of a template with parameters in the form
// Name=Value, and the defaults of the others.
func newResolver(template map[string]any, parameters ...string) resolver {
	r := resolver{template: template, parameters: map[string]string{}}
	declared, _ := template["Parameters"].(map[string]any)
	for name, p := range declared {
		r.parameters[name] = ""
		if value := at(p, "Default"); value.value != nil {
			r.parameters[name] = value.String()
		}
	}
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		r.parameters[name] = value
	}
	return r
}

// resolver decides the conditions of a template.
type resolver struct {
	template   map[string]any
	parameters map[string]string
}

// absent is what AWS::NoValue stands for.
type absent struct{}

func isAbsent(what any) bool { _, is := what.(absent); return is }

// section resolves what a section has, without what its condition rules out.
func (r resolver) section(name string) map[string]node {
	found := map[string]node{}
	section, _ := r.template[name].(map[string]any)
	for id, what := range section {
		condition, ok := at(what, "Condition").value.(string)
		if ok && !r.holds(condition) {
			continue
		}
		found[id] = node{r.resolve(what)}
	}
	return found
}

func (r resolver) holds(condition string) bool {
	return r.resolve(at(r.template, "Conditions", condition).value) == true
}

func (r resolver) resolve(what any) any {
	switch v := what.(type) {
	case []any:
		items := []any{}
		for _, item := range v {
			if item := r.resolve(item); !isAbsent(item) {
				items = append(items, item)
			}
		}
		return items
	case map[string]any:
		if len(v) == 1 {
			for function, argument := range v {
				return r.call(function, argument)
			}
		}
		return r.mapping(v)
	}
	return what
}

func (r resolver) mapping(v map[string]any) any {
	entries := map[string]any{}
	for key, value := range v {
		if value := r.resolve(value); !isAbsent(value) {
			entries[key] = value
		}
	}
	return entries
}

// call resolves a mapping of one entry, which may be an intrinsic function.
func (r resolver) call(function string, argument any) any {
	as := node{argument}
	switch function {
	case "Ref":
		return r.reference(as.String())
	case "Fn::If":
		if r.holds(as.at("0").String()) {
			return r.resolve(as.at("1").value)
		}
		return r.resolve(as.at("2").value)
	case "Condition":
		if condition, ok := argument.(string); ok {
			return r.holds(condition)
		}
	case "Fn::Equals":
		return node{r.resolve(as.at("0").value)}.String() == node{r.resolve(as.at("1").value)}.String()
	case "Fn::Not":
		return r.resolve(as.at("0").value) != true
	case "Fn::And":
		return !slices.Contains(r.resolve(argument).([]any), any(false))
	case "Fn::Or":
		return slices.Contains(r.resolve(argument).([]any), any(true))
	case "Fn::Sub":
		return r.substitute(as)
	case "Fn::Split":
		if text, ok := r.resolve(as.at("1").value).(string); ok {
			return anys(strings.Split(text, as.at("0").String()))
		}
	case "Fn::Select":
		if list, ok := r.resolve(as.at("1").value).([]any); ok {
			return at(list, as.at("0").String()).value
		}
	case "Fn::Contains":
		return slices.Contains(r.resolve(as.at("0").value).([]any), r.resolve(as.at("1").value))
	}
	return r.mapping(map[string]any{function: argument})
}

func (r resolver) reference(name string) any {
	if name == "AWS::NoValue" {
		return absent{}
	}
	if value, ok := r.parameters[name]; ok {
		return value
	}
	return map[string]any{"Ref": name}
}

var variable = regexp.MustCompile(`\$\{([A-Za-z0-9:._]+)\}`)

// substitute fills in parameters and the names that a Sub brings with it; the rest stays. ${!x} is ${x}.
func (r resolver) substitute(as node) any {
	text, names := as, map[string]any{}
	if list, ok := as.value.([]any); ok && len(list) == 2 {
		text = node{list[0]}
		names, _ = r.resolve(list[1]).(map[string]any)
	}
	filled := variable.ReplaceAllStringFunc(text.String(), func(found string) string {
		name := found[2 : len(found)-1]
		if value, ok := names[name]; ok {
			return node{value}.String()
		}
		if value, ok := r.parameters[name]; ok {
			return value
		}
		return found
	})
	return strings.ReplaceAll(filled, "${!", "${")
}

func anys(texts []string) []any {
	items := make([]any, 0, len(texts))
	for _, text := range texts {
		items = append(items, text)
	}
	return items
}

// of are the resources of a type.
func (s stack) of(kind string) map[string]node {
	found := map[string]node{}
	for id, resource := range s.resources {
		if resource.at("Type").String() == kind {
			found[id] = resource.at("Properties")
		}
	}
	return found
}

// one is the properties of the only resource of a type.
func (s stack) one(t *testing.T, kind string) (string, node) {
	t.Helper()
	found := s.of(kind)
	if len(found) != 1 {
		t.Fatalf("%d of %s, want one", len(found), kind)
	}
	for id, properties := range found {
		return id, properties
	}
	panic("not reached")
}

// expect compares one property after the other, named by its path.
func expect(t *testing.T, of string, n node, want map[string]string) {
	t.Helper()
	for path, value := range want {
		if got := n.at(strings.Split(path, "/")...).String(); got != value {
			t.Errorf("%s: %s is %s, want %s", of, path, got, value)
		}
	}
}
