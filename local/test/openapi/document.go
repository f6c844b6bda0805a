package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// object is a JSON object.
type object = map[string]any

// page is where the document is, for messages.
const page = "docs/openapi.json"

// document is an OpenAPI document. Its parts are named by JSON pointers.
type document struct {
	root     object
	compiler *jsonschema.Compiler
	// routes has the pointer of each route by method and path template.
	routes map[string]string
}

// load reads a document, and returns an error if it is not OpenAPI 3.1.
func load(text []byte) (*document, error) {
	read, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", page, err)
	}
	if err := read.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("%s is not valid: %w", page, err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", page, err)
	}
	d := &document{root: parsed.(object), routes: map[string]string{}}
	closeAll(d.root, "")
	d.compiler = jsonschema.NewCompiler()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(page, d.root); err != nil {
		return nil, fmt.Errorf("reading %s: %w", page, err)
	}
	for path, methods := range members(d.root["paths"]) {
		for method, route := range members(methods) {
			if _, isMethod := members(route)["responses"]; isMethod {
				d.routes[strings.ToUpper(method)+" "+path] = at("/paths", path, method)
			}
		}
	}
	return d, nil
}

// members returns the members of an object, and none of anything else.
func members(value any) object {
	found, _ := value.(object)
	return found
}

// at returns the pointer of a part of what a pointer names.
func at(pointer string, names ...string) string {
	for _, name := range names {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return pointer
}

// resolve returns what a pointer names, and its pointer, after the references
// of the object itself.
func (d *document) resolve(pointer string) (string, object) {
	for {
		var value any = d.root
		for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
			value = member(value, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
		}
		found := members(value)
		ref, _ := found["$ref"].(string)
		if ref == "" {
			return pointer, found
		}
		pointer = strings.TrimPrefix(ref, "#")
	}
}

// member returns a member of an object or an element of an array.
func member(value any, name string) any {
	if list, isList := value.([]any); isList {
		var i int
		if _, err := fmt.Sscan(name, &i); err != nil || i >= len(list) {
			return nil
		}
		return list[i]
	}
	return members(value)[name]
}

// schema compiles the schema that a pointer names.
func (d *document) schema(pointer string) (*jsonschema.Schema, error) {
	return d.compiler.Compile(page + "#" + pointer)
}

// find returns the route of a request: of two that match, the one whose path
// has fewer variables.
func (d *document) find(method, path string) (route string, ok bool) {
	for key := range d.routes {
		of, template, _ := strings.Cut(key, " ")
		if of == method && matches(template, path) &&
			(!ok || strings.Count(key, "{") < strings.Count(route, "{")) {
			route, ok = key, true
		}
	}
	return route, ok
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, got, func(w, g string) bool {
		return w == g || strings.HasPrefix(w, "{") && g != ""
	})
}

// The keywords of JSON Schema whose values are schemas: of the members and
// elements of a value, and of the value itself.
var (
	ofParts  = []string{"items", "additionalProperties", "contains", "unevaluatedItems"}
	ofMember = []string{"properties", "patternProperties"}
	ofValue  = []string{"if", "then", "else"}
	listed   = []string{"allOf", "anyOf", "oneOf"}
)

// annotations are keywords that restrict nothing.
var annotations = []string{"title", "description", "examples", "example", "deprecated", "default"}

// closeAll closes every schema of the document: members that a schema does not
// name become errors. The published schemas are open, so that a later version
// may add members.
func closeAll(value any, name string) {
	switch value := value.(type) {
	case object:
		for child, part := range value {
			switch {
			case name == "schemas":
				closeParts(part)
			case child == "schema":
				value[child] = closed(part)
			case child != "example" && child != "examples":
				closeAll(part, child)
			}
		}
	case []any:
		for _, part := range value {
			closeAll(part, "")
		}
	}
}

// closed returns a schema that allows no other members than it names. A schema
// that says nothing is for any value. One with additionalProperties says itself
// which others it allows.
func closed(schema any) any {
	closeParts(schema)
	s, isObject := schema.(object)
	if !isObject {
		return schema
	}
	if _, saysSo := s["additionalProperties"]; !saysSo {
		s["unevaluatedProperties"] = false
	}
	return s
}

// closeParts closes the schemas of the members and elements of a value. It does
// not close the schema itself, since others may be combined with it.
func closeParts(schema any) {
	s := members(schema)
	if s == nil {
		return
	}
	if isAny(s) {
		s["additionalProperties"] = true
	}
	for _, name := range ofParts {
		if part, has := s[name]; has {
			s[name] = closed(part)
		}
	}
	for _, name := range ofMember {
		for key, part := range members(s[name]) {
			members(s[name])[key] = closed(part)
		}
	}
	for _, name := range ofValue {
		closeParts(s[name])
	}
	for _, name := range listed {
		parts, _ := s[name].([]any)
		for _, part := range parts {
			closeParts(part)
		}
	}
}

// isAny reports whether a schema says nothing about a value.
func isAny(schema object) bool {
	for name := range schema {
		if !slices.Contains(annotations, name) {
			return false
		}
	}
	return true
}
