package strictjson_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey/shared/strictjson"
)

func TestParse(t *testing.T) {
	deepest := strings.Repeat(`[`, strictjson.MaxDepth) + strings.Repeat(`]`, strictjson.MaxDepth)
	for text, want := range map[string]any{
		`null`: nil, ` true `: true, `false`: false, `"a\u0062😀"`: "ab😀", `"\ud83d\ude00"`: "😀",
		`"\\ud800"`: `\ud800`, `"\ufffd"`: "\ufffd",
		`-0`: json.Number("-0"), `1.50E+400`: json.Number("1.50E+400"),
		`12345678901234567890`: json.Number("12345678901234567890"),
		`[]`:                   []any{}, `{}`: map[string]any{},
		` { "b" : [ 1 , null ] , "A" : { "a" : 1 } , "a" : "" } `: map[string]any{
			"b": []any{json.Number("1"), nil}, "A": map[string]any{"a": json.Number("1")}, "a": "",
		},
	} {
		if got, err := strictjson.Parse([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, %v, want %#v", text, got, err, want)
		}
	}
	if _, err := strictjson.Parse([]byte(deepest)); err != nil {
		t.Errorf("%s: %v", deepest, err)
	}
}

// refused has texts by the reason and the name of their error.
var refused = map[strictjson.Error][]string{
	{Reason: strictjson.ErrSyntax}: {
		``, ` `, `{`, `}`, `[1`, `[1,]`, `[,]`, `[1 2]`, `{"a":1,}`, `{"a" 1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`,
		`01`, `.5`, `+1`, `NaN`, `1 1`, `{}{}`, `{} x`, `nul`, `"a`, "\"a\nb\"", `"\x"`, `"\u12"`, "\ufeff{}", `{/**/}`,
		"\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "{\"\xff\":1}", "\xff",
		strings.Repeat(`[`, 20000), strings.Repeat(`{"a":`, 5000),
		`{"a":1,"a":2`, `["\ud800"`, strings.Repeat(`[`, 40) + `x`, // although something else is wrong before
	},
	{Reason: strictjson.ErrDuplicateName, Name: "a"}: {
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `[[{"a":1,"b":2,"a":3}]]`, `{"x":{"a":{},"a":{}}}`, `{"a":1,"a":"\ud800"}`,
	},
	{Reason: strictjson.ErrDuplicateName, Name: ""}:     {`{"":1,"":2}`},
	{Reason: strictjson.ErrDuplicateName, Name: "a/b~"}: {`{"a/b~":1,"a/b~":2}`},
	{Reason: strictjson.ErrSurrogate}:                   {`"\ud800"`, `"\udc00\ud800"`, `{"\ud800":1}`, `"\uD83D\n"`},
	{Reason: strictjson.ErrSurrogate, Name: "x"}: {
		`{"x":"\ud800"}`, `{"x":"\ud83d\ud83d\ude00"}`, `{"a":1,"x":["b",{"c":"\udfff"}]}`,
	},
	{Reason: strictjson.ErrDepth}: {
		strings.Repeat(`[`, 33) + strings.Repeat(`]`, 33), strings.Repeat(`[`, 9000) + strings.Repeat(`]`, 9000),
	},
	{Reason: strictjson.ErrDepth, Name: "x"}: {
		strings.Repeat(`{"x":`, 33) + `1` + strings.Repeat(`}`, 33), `{"x":` + strings.Repeat(`[`, 32) + strings.Repeat(`]`, 32) + `}`,
	},
}

func TestParse_refused(t *testing.T) {
	for want, texts := range refused {
		for _, text := range texts {
			got, err := strictjson.Parse([]byte(text))
			var because *strictjson.Error
			if got != nil || !errors.As(err, &because) || *because != want || !errors.Is(err, want.Reason) {
				t.Errorf("%.60q is %#v, %#v, want %v, %q", text, got, err, want.Reason, want.Name)
			}
		}
	}
}

// An error's text repeats nothing of what it refuses, which may be a secret.
func TestParse_secret(t *testing.T) {
	for _, text := range []string{`{"lks_x":1,"lks_x":2}`, `{"lks_x":"\ud800"}`, `lks_x`} {
		if _, err := strictjson.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "lks_x") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzParse holds that a value that is read is the one that encoding/json
// reads, and that what is refused is refused for a reason that is there.
func FuzzParse(f *testing.F) {
	for _, texts := range refused {
		for _, text := range texts {
			f.Add(text)
		}
	}
	f.Add(`{"a":[1,-0.5e7,"\ud83d\ude00",true,false,null],"b":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := strictjson.Parse([]byte(text))
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var want any
		tolerant := d.Decode(&want)
		if err == nil {
			if tolerant != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q is %#v, and to encoding/json %#v, %v", text, got, want, tolerant)
			}
			return
		}
		var because *strictjson.Error
		if got != nil || !errors.As(err, &because) {
			t.Fatalf("%q: %#v, %v", text, got, err)
		}
		if valid := json.Valid([]byte(text)) && utf8.ValidString(text); valid == (because.Reason == strictjson.ErrSyntax) {
			t.Errorf("%q: %v; valid is %v", text, err, valid)
		}
		whole := jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true))
		if because.Reason == strictjson.ErrSurrogate && whole {
			t.Errorf("%q: %v, but it has none", text, err)
		}
	})
}

func TestMembers(t *testing.T) {
	read := func(text string) (got []string, err error) {
		d := jsontext.NewDecoder(strings.NewReader(text))
		err = strictjson.Members(d, func(d *jsontext.Decoder) error {
			name, err := d.ReadToken()
			if err != nil {
				return err
			}
			got = append(got, name.String())
			return d.SkipValue()
		})
		return got, err
	}
	for text, want := range map[string][]string{`null`: nil, `{}`: nil, ` {"a":1, "A":{"b":[2]}}`: {"a", "A"}} {
		if got, err := read(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`[]`, `"a"`, `1`, `true`} {
		if _, err := read(text); !errors.Is(err, strictjson.ErrObject) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{``, `{`, `{"a"`, `{"a":1`, `{"a":1,}`, `{"a":1,"a":2}`, `{1:1}`, `{]`} {
		if got, err := read(text); err == nil {
			t.Errorf("%s has %q", text, got)
		}
	}
}
