package upgrade_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// missing returns what an older version's answer has and that of a newer one
// lacks, or "". A newer version may add members, and may say details and titles
// in other words.
func missing(old, current answer) string {
	if old.status != current.status {
		return fmt.Sprintf("the status is %d, not %d", current.status, old.status)
	}
	if etag := old.header.Get("ETag"); etag != current.header.Get("ETag") {
		return fmt.Sprintf("the ETag is %s, not %s", current.header.Get("ETag"), etag)
	}
	var before, after any
	_ = json.Unmarshal([]byte(old.text), &before) // a 204 has no text
	_ = json.Unmarshal([]byte(current.text), &after)
	return missingValue("the answer", before, after)
}

// changing are members whose values belong to one answer alone, or are for
// people.
var changing = map[string]bool{"requestId": true, "detail": true, "title": true}

func missingValue(name string, old, current any) string {
	switch old := old.(type) {
	case map[string]any:
		now, _ := current.(map[string]any)
		for member, value := range old {
			if changing[member] {
				continue
			}
			if d := missingValue(name+"."+member, value, now[member]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		now, _ := current.([]any)
		if len(now) != len(old) {
			return fmt.Sprintf("%s has %d items, not %d", name, len(now), len(old))
		}
		for i, item := range old {
			if d := missingValue(fmt.Sprintf("%s[%d]", name, i), item, now[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if old != current {
		return fmt.Sprintf("%s is %v, not %v", name, current, old)
	}
	return ""
}

func TestMissing(t *testing.T) {
	const old = `{"a":1,"b":[{"c":null},"d"],"requestId":"x"}`
	for text, want := range map[string]string{
		`{"a":1,"b":[{"c":null},"d"],"requestId":"y"}`:   "",
		`{"a":1,"b":[{"c":null,"new":1},"d"],"new":[1]}`: "",
		`{"a":2,"b":[{"c":null},"d"]}`:                   "the answer.a is 2, not 1",
		`{"a":1,"b":[{"c":null}]}`:                       "the answer.b has 1 items, not 2",
		`{"a":1,"b":[{"c":0},"d"]}`:                      "the answer.b[0].c is 0, not <nil>",
		`{"a":1,"b":{"0":{"c":null},"1":"d"}}`:           "the answer.b has 0 items, not 2",
		`null`:                                           "the answer.",
	} {
		got := missing(answer{text: old}, answer{text: text})
		if got != want && !(text == "null" && got != "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if missing(answer{status: 200}, answer{status: 201}) == "" {
		t.Error("another status is not noticed")
	}
}
