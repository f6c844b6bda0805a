package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/docs"
	"latchkey/local/test/messages"
	"latchkey/shared/config"
	"latchkey/shared/events"
	"latchkey/shared/session"
)

// asyncAPI is docs/asyncapi.json, as far as the tests read it.
type asyncAPI struct {
	AsyncAPI string
	Info     struct{ Version string }
	Channels map[string]struct {
		Messages map[string]struct {
			Ref string `json:"$ref"`
		}
	}
	Operations map[string]struct {
		Action  string
		Channel struct {
			Ref string `json:"$ref"`
		}
	}
	Components struct {
		Messages map[string]struct {
			Name    string
			Payload struct {
				AllOf []struct {
					Properties struct {
						Type   struct{ Const string } `json:"detail-type"`
						Detail struct {
							Ref string `json:"$ref"`
						}
					}
				}
			}
			Examples []struct{ Payload json.RawMessage }
		}
		Schemas map[string]struct {
			Properties map[string]struct{ Const string }
		}
	}
}

func readAsyncAPI(t *testing.T) asyncAPI {
	t.Helper()
	var d asyncAPI
	if err := json.Unmarshal(docs.AsyncAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Each type has a message, with its schema, in both channels. No other message is there.
func TestAsyncAPI_messages(t *testing.T) {
	d := readAsyncAPI(t)
	if d.AsyncAPI != "3.0.0" || d.Info.Version != config.Version {
		t.Errorf("docs/asyncapi.json is AsyncAPI %s of version %s", d.AsyncAPI, d.Info.Version)
	}
	var names, refs []string
	for of := range events.Types() {
		name := messages.Name(of)
		names, refs = append(names, name), append(refs, name+" #/components/messages/"+name)
		m := d.Components.Messages[name]
		if m.Name != string(of) || len(m.Payload.AllOf) != 2 || m.Payload.AllOf[1].Properties.Type.Const != string(of) ||
			m.Payload.AllOf[1].Properties.Detail.Ref != "events.schema.json#/$defs/"+string(of) {
			t.Errorf("%s is %+v", name, m)
		}
	}
	same(t, "shared/events", names, "the messages of docs/asyncapi.json", slices.Collect(maps.Keys(d.Components.Messages)))
	same(t, "the channels", slices.Collect(maps.Keys(d.Channels)), "want", []string{"eventBridge", "webhook"})
	for channel, c := range d.Channels {
		var found []string
		for name, m := range c.Messages {
			found = append(found, name+" "+m.Ref)
		}
		same(t, "shared/events", refs, "the channel "+channel, found)
	}
	sent := map[string]bool{}
	for name, o := range d.Operations {
		if sent[strings.TrimPrefix(o.Channel.Ref, "#/channels/")] = true; o.Action != "send" {
			t.Errorf("%s is the action %s", name, o.Action)
		}
	}
	same(t, "the channels", slices.Collect(maps.Keys(d.Channels)), "the operations", slices.Collect(maps.Keys(sent)))
}

// Each message has an example that is valid, and has the id and the time of its detail.
func TestAsyncAPI_examples(t *testing.T) {
	for name, m := range readAsyncAPI(t).Components.Messages {
		if len(m.Examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, example := range m.Examples {
			var e struct {
				ID, Time string
				Type     events.Type `json:"detail-type"`
				Detail   json.RawMessage
			}
			var detail events.Message
			if err := json.Unmarshal(example.Payload, &e); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(e.Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if err := messages.Validate(e.Type, e.Detail); err != nil || string(e.Type) != m.Name || detail.ID != e.ID || detail.Time != e.Time {
				t.Errorf("the example of %s is %s: %v", name, example.Payload, err)
			}
		}
	}
}

// The types of docs/events.md are those of the code, and its example is valid.
func TestEvents_page(t *testing.T) {
	var rows, want []string
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([a-z_.]+)` \\| ([a-z-]*)")
	for _, m := range row.FindAllStringSubmatch(section(t, "docs/events.md", "Types"), -1) {
		rows = append(rows, strings.Join(m[1:], " "))
	}
	for name, of := range events.Types() {
		caep := events.New(session.Outgoing{Event: session.Event{Type: of}}, true).CAEP
		want = append(want, fmt.Sprintf("%s %s %s", of, name, caep[strings.LastIndex(caep, "/")+1:]))
	}
	same(t, "docs/events.md", rows, "shared/events", want)
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(section(t, "docs/events.md", "What arrives"), -1)
	if len(blocks) != 1 {
		t.Fatalf("docs/events.md has %d examples", len(blocks))
	}
	if err := messages.Validate("session.ended", []byte(blocks[0][1])); err != nil {
		t.Error(err)
	}
}
