package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxBody is the most bytes that a body may have.
const maxBody = 16 << 10

// decode reads a JSON object of strings and booleans into a struct, strictly: encoding/json alone would take names in
// any case, the last of two equal names, and text that is no text. A field that is a pointer may be missing, any other
// must be there. An empty body is an empty object, and needs no type.
func decode(r *http.Request, into any) error {
	raw, err := readBody(r)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return unmarshal([]byte("{}"), into)
	}
	if err := checkType(r.Header); err != nil {
		return err
	}
	return unmarshal(raw, into)
}

func readBody(r *http.Request) ([]byte, error) {
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, fail(codeUnsupportedType, "the body must not be compressed")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, invalid("the body cannot be read")
	}
	if len(raw) > maxBody {
		return nil, fail(codeTooLarge, "the body is over 16 KiB")
	}
	return raw, nil
}

// checkType keeps simple cross-site forms out: no form can send application/json without asking first.
func checkType(header http.Header) error {
	values := header.Values("Content-Type")
	kind, parameters, err := mime.ParseMediaType(strings.Join(values, ","))
	charset, given := parameters["charset"]
	if err != nil || kind != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return fail(codeUnsupportedType, "the body must be application/json, in UTF-8")
	}
	return nil
}

func unmarshal(raw []byte, into any) error {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return invalid("the body is not JSON")
	}
	tokens := json.NewDecoder(bytes.NewReader(raw))
	if first, err := tokens.Token(); err != nil || first != json.Delim('{') {
		return invalid("the body is not a JSON object")
	}
	fields, seen := fieldsOf(into), map[string]bool{}
	for tokens.More() {
		token, err := tokens.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return invalid("the body is not JSON")
		}
		field, known := fields[name]
		switch {
		case !known:
			return invalid("the body has an unknown field" + quoted(name))
		case seen[name]:
			return invalid(name + ": is there twice")
		}
		seen[name] = true
		if err := set(field, tokens); err != nil {
			return invalid(name + ": " + err.Error())
		}
	}
	return checkMissing(into, seen) // what follows the object, json.Valid has seen
}

// set stores one value. A list or an object is refused at its first brace, however deep it goes.
func set(field reflect.Value, tokens *json.Decoder) error {
	value, err := tokens.Token()
	if err != nil {
		return errors.New("cannot be read")
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if value == nil || reflect.TypeOf(value).Kind() != field.Kind() {
		return errors.New("must be a " + field.Kind().String())
	}
	// A lone surrogate is read as this character, and the text would not be the one that was signed.
	if text, ok := value.(string); ok && strings.ContainsRune(text, utf8.RuneError) {
		return errors.New("is not well-formed text")
	}
	field.Set(reflect.ValueOf(value))
	return nil
}

// fieldsOf lists a struct's fields by their JSON names, compared as they are.
func fieldsOf(into any) map[string]reflect.Value {
	v := reflect.ValueOf(into).Elem()
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("json")] = v.Field(i)
	}
	return fields
}

func checkMissing(into any, seen map[string]bool) error {
	t := reflect.TypeOf(into).Elem()
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("json")
		if t.Field(i).Type.Kind() != reflect.Pointer && !seen[name] {
			return invalid(name + ": is missing")
		}
	}
	return nil
}

var word = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// quoted repeats a name that a client made up, where it is a word: a longer one may be a token in the wrong place.
func quoted(name string) string {
	if !word.MatchString(name) {
		return ""
	}
	return `: "` + name + `"`
}
