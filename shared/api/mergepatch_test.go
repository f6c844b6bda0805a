package api_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"latchkey/shared/api"
)

// The cases of RFC 7396, appendix A, as far as patch and original are objects, and that of section 3. Of the others the
// inner parts are tested: what a patch does to a member that is no object.
func TestMergePatch_appendixA(t *testing.T) {
	for _, c := range []struct{ original, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		// The cases whose root is no object, one level down.
		{`{"x":["a","b"]}`, `{"x":["c","d"]}`, `{"x":["c","d"]}`},
		{`{"x":{"a":"b"}}`, `{"x":["c"]}`, `{"x":["c"]}`},
		{`{"x":{"a":"foo"}}`, `{"x":"bar"}`, `{"x":"bar"}`},
		{`{"x":[1,2]}`, `{"x":{"a":"b","c":null}}`, `{"x":{"a":"b"}}`},
		// Section 3.
		{`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"author":{"givenName":"John"},"content":"This will be unchanged","phoneNumber":"+01-123-456-7890","tags":["example"],"title":"Hello!"}`},
		// What is in a list is not merged, and its null stays.
		{`{"a":[{"b":1,"c":2}]}`, `{"a":[{"b":null},null]}`, `{"a":[{"b":null},null]}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{}`, `{"a":null,"b":{"c":null}}`, `{"b":{}}`},
	} {
		got, err := api.MergePatch(c.original, c.patch)
		if err != nil || got != c.want {
			t.Errorf("%s with %s is %s, %v, want %s", c.original, c.patch, got, err, c.want)
		}
	}
}

// The patches of appendix A that are no object would replace the whole by something that is none.
func TestMergePatch_onlyObjects(t *testing.T) {
	for _, patch := range []string{`["c"]`, `null`, `"bar"`, `1`, `true`, ``, `[]`} {
		if got, err := api.MergePatch(`{"a":"b"}`, patch); err == nil {
			t.Errorf("%s made %s", patch, got)
		}
	}
}

// Numbers and text come back as they were written, beyond what a float64 holds.
func TestMergePatch_exact(t *testing.T) {
	for _, value := range []string{
		`12345678901234567890`, `0.1000000000000000055511151231257827`, `1e400`, `-0`, `1.0`, `1E+2`, `"<&>"`, `"😀"`, `"\u0000"`, `""`,
	} {
		object := `{"a":` + value + `}`
		if got, err := api.MergePatch(object, `{}`); err != nil || got != object {
			t.Errorf("%s was kept as %s, %v", object, got, err)
		}
		if got, err := api.MergePatch(`{}`, object); err != nil || got != object {
			t.Errorf("%s was set as %s, %v", object, got, err)
		}
	}
}

// refusedValues are no JSON, or JSON that two readers may read in two ways.
var refusedValues = []string{
	``, ` `, `{`, `{"a":1,}`, `{"a":1}{}`, `{"a":1} x`, `{'a':1}`, `{"a":01}`, `{"a":.5}`, `{"a":NaN}`, "{\"a\":\"\xff\"}", "\ufeff{}",
	`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"a":null}}`, `{"x":[[{"a":1,"b":2,"a":3}]]}`, `{"":1,"":2}`,
	`{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"x\ud800\u0041"}`, `{"\ud800":1}`, `{"a":["\ud83d"]}`, `{"a":"\uD800\n"}`, `{"a":"\ud83d\ud83d\ude00"}`,
	`{"a":` + strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32) + `}`,
	strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat(`}`, 33),
	strings.Repeat(`{"a":`, 2500) + `1` + strings.Repeat(`}`, 2500),
}

func TestValue_refused(t *testing.T) { // attack case 22
	for _, body := range refusedValues {
		if got, err := api.RawJSON(body); err == nil {
			t.Errorf("%.80q was taken as %.80q", body, got)
		}
		if got, err := api.MergePatch(`{}`, body); err == nil {
			t.Errorf("%.80q was taken as a patch, which made %.80q", body, got)
		}
	}
}

func TestValue_taken(t *testing.T) {
	deepest := strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32)
	for body, want := range map[string]string{
		`null`: `null`, ` true `: `true`, `-12.50e+3`: `-12.50e+3`, `"a b"`: `"a b"`, `{ "b" : [ 1 , 2 ] , "a" : { } }`: `{"b":[1,2],"a":{}}`,
		`"\ud83d\ude00"`: `"\ud83d\ude00"`, `"\\ud800"`: `"\\ud800"`, `"\ufffd"`: `"\ufffd"`, "\"\ufffd\"": "\"\ufffd\"", `"\\\ud83d\ude00\\"`: `"\\\ud83d\ude00\\"`,
		deepest: deepest, `"<script>"`: `"<script>"`, `{"a":{"a":{"a":1}}}`: `{"a":{"a":{"a":1}}}`,
	} {
		if got, err := api.RawJSON(body); err != nil || got != want {
			t.Errorf("%s was taken as %s, %v, want %s", body, got, err, want)
		}
	}
}

// FuzzMergePatch: whatever is taken makes an object that is taken again and changed by the same patch no more, and what is
// told of it holds: what the patch names is so, and everything else is as before.
func FuzzMergePatch(f *testing.F) {
	for _, body := range refusedValues {
		f.Add(`{}`, body)
	}
	f.Add(`{"a":[{"b":"c"}]}`, `{"a":{"x":null,"y":[null]}}`)
	f.Add(`{"a":{"b":1}}`, `{"a":{"b":{"c":1e999}}}`)
	f.Fuzz(func(t *testing.T, old, patch string) {
		merged, err := api.MergePatch(old, patch)
		if err != nil || !strings.HasPrefix(strings.TrimSpace(old), "{") {
			return
		}
		if !json.Valid([]byte(merged)) || !utf8.ValidString(merged) || !strings.HasPrefix(merged, "{") {
			t.Fatalf("%q with %q is %q", old, patch, merged)
		}
		if again, err := api.MergePatch(merged, patch); err != nil || again != merged {
			t.Errorf("%q with %q is %q, and again %q, %v", old, patch, merged, again, err)
		}
		if same, err := api.MergePatch(merged, `{}`); err != nil || same != merged {
			t.Errorf("%q is kept as %q, %v", merged, same, err)
		}
		before, named, after := objectOf(t, old), objectOf(t, patch), objectOf(t, merged)
		for name, value := range before {
			if _, changed := named[name]; !changed && !reflect.DeepEqual(after[name], value) {
				t.Errorf("%q with %q lost %q: %q", old, patch, name, merged)
			}
		}
		for name, value := range named {
			if _, there := after[name]; there != (value != nil) {
				t.Errorf("%q with %q has %q: %v", old, patch, name, there)
			}
		}
	})
}

func objectOf(t *testing.T, text string) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	must(t, decoder.Decode(&object))
	return object
}

// FuzzRawJSON: what is taken is valid, the same value, and taken again as it is.
func FuzzRawJSON(f *testing.F) {
	for _, body := range refusedValues {
		f.Add(body)
	}
	f.Add(` [ 1 , "\ud83d\ude00" ] `)
	f.Fuzz(func(t *testing.T, body string) {
		value, err := api.RawJSON(body)
		if err != nil {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(body)); err != nil || want.String() != value {
			t.Errorf("%q was taken as %q, %v", body, value, err)
		}
		if again, err := api.RawJSON(value); err != nil || again != value {
			t.Errorf("%q was taken as %q, then %q, %v", body, value, again, err)
		}
		written := strings.Contains(strings.ToLower(value), "fffd") || strings.Contains(value, "\ufffd")
		if !written && strings.Contains(decodedText(t, value), "\ufffd") {
			t.Errorf("%q holds half of a pair", body)
		}
	})
}

// decodedText is the text in a value, decoded; a half pair would be read as a replacement character.
func decodedText(t *testing.T, value string) string {
	t.Helper()
	var decoded any
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.UseNumber()
	must(t, decoder.Decode(&decoded))
	encoded, err := json.Marshal(decoded)
	must(t, err)
	return string(encoded)
}
