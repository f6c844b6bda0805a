// Package messages checks what tests publish against docs/events.schema.json
// and docs/asyncapi.json. Those schemas are open, so that a later version may
// add members. Here they are closed: a member that they do not name is an
// error.
package messages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"latchkey/docs"
	"latchkey/shared/events"
)

// Where the documents are, for messages.
const (
	schemaPage   = "docs/events.schema.json"
	asyncAPIPage = "docs/asyncapi.json"
)

// object is a JSON object.
type object = map[string]any

// documents are both documents.
type documents struct {
	schema   object
	compiler *jsonschema.Compiler
	// schemas are those that were compiled, by their address. The compiler is
	// not for several goroutines.
	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
}

var shared = sync.OnceValues(read)

func read() (*documents, error) {
	d := &documents{compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs.EventSchema))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", schemaPage, err)
	}
	asyncAPI, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs.AsyncAPI))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", asyncAPIPage, err)
	}
	d.schema = members(schema)
	closeEvents(d.schema)
	closeBodies(members(asyncAPI))
	return d, errors.Join(d.compiler.AddResource(schemaPage, schema), d.compiler.AddResource(asyncAPIPage, asyncAPI))
}

// closeEvents closes the schemas of events, and of the objects in them.
func closeEvents(schema object) {
	for name, s := range members(schema["$defs"]) {
		if strings.Contains(name, ".") || name == "Actor" {
			members(s)["unevaluatedProperties"] = false
		}
		for _, member := range members(members(s)["properties"]) {
			if members(member)["properties"] != nil {
				members(member)["unevaluatedProperties"] = false
			}
		}
	}
}

// closeBodies closes the schemas of the bodies of webhooks, and makes all
// headers required.
func closeBodies(asyncAPI object) {
	components := members(asyncAPI["components"])
	for _, message := range members(components["messages"]) {
		members(members(message)["payload"])["unevaluatedProperties"] = false
	}
	headers := members(members(components["schemas"])["Headers"])
	required := []any{}
	for name := range members(headers["properties"]) {
		required = append(required, name)
	}
	headers["required"], headers["additionalProperties"] = required, false
}

// members returns the members of an object, and none of anything else.
func members(value any) object {
	found, _ := value.(object)
	return found
}

// validate checks a value against the schema at an address.
func (d *documents) validate(address string, value any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, known := d.schemas[address]
	if !known {
		var err error
		if s, err = d.compiler.Compile(address); err != nil {
			return err
		}
		d.schemas[address] = s
	}
	return s.Validate(value)
}

// Validate checks the detail of a message, as JSON, against the schema of its
// type.
func Validate(of events.Type, detail []byte) error {
	d, err := shared()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(detail))
	if err != nil {
		return err
	}
	if err := d.validate(schemaPage+"#/$defs/"+string(of), value); err != nil {
		return fmt.Errorf("%s is not as %s says: %w\n%s", of, schemaPage, err, detail)
	}
	return nil
}

// ValidateBody checks the body and the headers of a webhook against the message
// of its type in the AsyncAPI document.
func ValidateBody(header http.Header, body []byte) error {
	d, err := shared()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	of := fmt.Sprint(members(value)["detail-type"])
	message := asyncAPIPage + "#/components/messages/" + Name(events.Type(of)) + "/"
	sent := object{}
	for name, values := range header {
		if name = strings.ToLower(name); name != "content-length" && name != "accept-encoding" {
			sent[name] = strings.Join(values, ", ")
		}
	}
	for part, value := range map[string]any{"payload": value, "headers": sent} {
		if err := d.validate(message+part, value); err != nil {
			return fmt.Errorf("the %s of %s is not as %s says: %w\n%s", part, of, asyncAPIPage, err, body)
		}
	}
	return nil
}

// Name returns the name that the AsyncAPI document has for the message of a
// type: SessionEnded for session.ended.
func Name(of events.Type) string {
	var name strings.Builder
	for word := range strings.FieldsFuncSeq(string(of), func(r rune) bool { return r == '.' || r == '_' }) {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// sink checks what another one is sent.
type sink struct {
	events.Sink
	t    testing.TB
	seen *Coverage
}

// Wrap returns a sink that checks each message before it passes it on, and adds
// it to seen if that is not nil.
func Wrap(t testing.TB, s events.Sink, seen *Coverage) events.Sink { return sink{s, t, seen} }

// Send implements [events.Sink].
func (s sink) Send(ctx context.Context, all []events.Delivery) ([]events.Result, error) {
	for _, d := range all {
		text, err := json.Marshal(d.Message)
		if err == nil {
			err = Validate(d.Type, text)
		}
		if err != nil {
			s.t.Error(err)
		}
		if s.seen != nil {
			s.seen.add(s.t, d.Type, text)
		}
	}
	return s.Sink.Send(ctx, all)
}

// Coverage is which members of the schemas messages had.
type Coverage struct {
	mu   sync.Mutex
	seen map[string]bool
}

// add adds what a message has.
func (c *Coverage) add(t testing.TB, of events.Type, detail []byte) {
	d, err := shared()
	if err != nil {
		t.Error(err)
		return
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(detail))
	if err != nil {
		t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	d.walk("/$defs/"+string(of), func(at string) { c.seen[at] = true }, value)
}

// Missing returns the members that no message had, by their place in the
// schema, and the types that there was no message of.
func (c *Coverage) Missing(t testing.TB) (missing []string) {
	d, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range members(d.schema["$defs"]) {
		d.walk("/$defs/"+name, func(at string) {
			if !c.seen[at] && !slices.Contains(missing, at) {
				missing = append(missing, at)
			}
		}, nil)
	}
	slices.Sort(missing)
	return missing
}

// walk calls visit with the place of a schema and of each member that it names,
// through references. If a value is given, it leaves out what that does not
// have.
func (d *documents) walk(at string, visit func(string), value any) {
	s := d.at(at)
	visit(at)
	if ref, ok := s["$ref"].(string); ok {
		d.walk(strings.TrimPrefix(ref, "#"), visit, value)
	}
	all, _ := s["allOf"].([]any)
	for i := range all {
		d.walk(fmt.Sprintf("%s/allOf/%d", at, i), visit, value)
	}
	for name := range members(s["properties"]) {
		part, has := members(value)[name]
		if value == nil || has {
			d.walk(at+"/properties/"+name, visit, part)
		}
	}
}

// at returns the schema at a place.
func (d *documents) at(place string) object {
	var value any = d.schema
	for name := range strings.SplitSeq(strings.TrimPrefix(place, "/"), "/") {
		if list, ok := value.([]any); ok {
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(list) {
				return nil
			}
			value = list[i]
			continue
		}
		value = members(value)[name]
	}
	return members(value)
}
