package stack_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"latchkey/docs"
	"latchkey/local/test/messages"
)

// EventBridge's registry has the schema of docs/events.schema.json, in Draft 4. The examples of docs/asyncapi.json are valid there.
func TestStack_eventSchema(t *testing.T) {
	s := deploy(t, "Events=eventbridge")
	schemas := s.of("AWS::EventSchemas::Schema")
	if len(schemas) != 1 || len(s.of("AWS::EventSchemas::Registry")) != 1 {
		t.Fatalf("%d schemas in %d registries", len(schemas), len(s.of("AWS::EventSchemas::Registry")))
	}
	properties := schemas["EventSchema"]
	if properties.at("Type").String() != "JSONSchemaDraft4" {
		t.Errorf("the schema is %v", properties.at("Type"))
	}
	want, err := messages.Draft4()
	if err != nil {
		t.Fatal(err)
	}
	text := properties.at("Content").String()
	got, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, any(want)) {
		indented, err := json.MarshalIndent(want, "", "  ")
		t.Errorf("the Content of EventSchema in template.yaml is not docs/events.schema.json: replace it by\n%s\n%v", indented, err)
	}
	if len(text) > 100_000 { // characters, which is what EventBridge takes
		t.Errorf("the schema has %d bytes", len(text))
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	if err := c.AddResource("schema", got); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Messages map[string]struct {
				Examples []struct{ Payload json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(docs.AsyncAPI, &document); err != nil {
		t.Fatal(err)
	}
	for name, m := range document.Components.Messages {
		payload := m.Examples[0].Payload
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		body := value.(map[string]any)
		delete(body["detail"].(map[string]any), "sequence")
		if compiled.Validate(body) == nil {
			t.Errorf("%s is valid without a sequence", name)
		}
	}
}
