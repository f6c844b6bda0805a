package api

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"latchkey/shared/lazyregexp"
	"latchkey/shared/strictjson"
)

// The maximum sizes of a body, in bytes.
const (
	maxBody = 16 << 10
	// maxSignedBody is that of a signed message: its signature alone may have
	// 16 KiB of hexadecimal digits.
	maxSignedBody = 32 << 10
)

// bodyReader is a body that is not a struct of fields. It reads itself.
type bodyReader interface {
	// types returns the media types that the body may have.
	types() []string
	read(raw []byte) error
}

// decode reads a JSON object of strings, lists of strings and booleans into a
// struct, as strictly as [strictjson.Parse]. Names are compared exactly, and an
// unknown one is refused. A field that is a pointer is optional, any other is
// required. An empty body is an empty object, and needs no type. A DELETE must
// not have a body. A body may have most bytes.
func decode(r *http.Request, most int, into any) error {
	raw, err := readBody(r, most)
	if err != nil {
		return err
	}
	if r.Method == http.MethodDelete && len(raw) > 0 {
		return invalid("a DELETE must not have a body")
	}
	if own, ok := into.(bodyReader); ok {
		if err := checkType(r.Header, own.types()...); err != nil {
			return err
		}
		return own.read(raw)
	}
	if len(raw) == 0 {
		return unmarshal([]byte("{}"), into)
	}
	if err := checkType(r.Header, jsonType); err != nil {
		return err
	}
	return unmarshal(raw, into)
}

func readBody(r *http.Request, most int) ([]byte, error) {
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, fail(codeUnsupportedType, "the body must not be compressed")
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	if err != nil {
		return nil, invalid("the body cannot be read")
	}
	if len(raw) > most {
		return nil, fail(codeTooLarge, fmt.Sprintf("the body is over %d KiB", most>>10))
	}
	return raw, nil
}

// jsonType is the media type of every body. One, mergePatch, accepts another
// too.
const jsonType = "application/json"

// checkType keeps simple cross-site forms out: a form cannot send
// application/json, or any other type that forms do not have, without a CORS
// preflight.
func checkType(header http.Header, types ...string) error {
	values := header.Values("Content-Type")
	if len(values) == 1 && slices.Contains(types, values[0]) {
		return nil // as nearly every client sends it
	}
	kind, parameters, err := mime.ParseMediaType(strings.Join(values, ","))
	charset, given := parameters["charset"]
	if err != nil || !slices.Contains(types, kind) ||
		given && !strings.EqualFold(charset, "utf-8") {
		return fail(codeUnsupportedType,
			"the body must be "+strings.Join(types, " or ")+", in UTF-8")
	}
	return nil
}

// unmarshal sets the fields of a struct from a body. A U+FFFD in a text is
// refused: readers put it in place of text that they could not decode.
func unmarshal(raw []byte, into any) error {
	object, err := parseObject(raw)
	if err != nil {
		return err
	}
	fields, missing := reflect.ValueOf(into).Elem(), ""
	for i, name := range fieldNames(fields.Type()) {
		if value, given := object[name]; given {
			if err := set(fields.Field(i), value); err != nil {
				return invalid(name + ": " + err.Error())
			}
		} else if fields.Field(i).Kind() != reflect.Pointer {
			missing = cmp.Or(missing, name)
		}
		delete(object, name)
	}
	if len(object) > 0 { // more likely misspelt than the missing one forgotten
		unknown := slices.Min(slices.Collect(maps.Keys(object)))
		return invalid("the body has an unknown field" + quoted(unknown))
	}
	if missing != "" {
		return invalid(missing + ": is missing")
	}
	return nil
}

// knownNames has the result of fieldNames for each type that it was called with.
var knownNames sync.Map

// fieldNames returns the names that the fields of a struct have in a body. To
// look them up for each request would cost more than to read the body.
func fieldNames(t reflect.Type) []string {
	if names, known := knownNames.Load(t); known {
		return names.([]string)
	}
	var names []string
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("json"))
	}
	knownNames.Store(t, names)
	return names
}

// set stores a value in a field that is a string, a bool, a list of strings, or
// a pointer to one of them.
func set(field reflect.Value, value any) error {
	switch field.Kind() {
	case reflect.Pointer:
		field.Set(reflect.New(field.Type().Elem()))
		return set(field.Elem(), value)
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return errors.New("must be a list of strings")
		}
		field.Set(reflect.MakeSlice(field.Type(), len(list), len(list)))
		for i, item := range list {
			if err := set(field.Index(i), item); err != nil {
				return errors.New("each item " + err.Error())
			}
		}
		return nil
	}
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.Type() != field.Type() {
		return errors.New("must be a " + field.Kind().String())
	}
	if text, ok := value.(string); ok && strings.Contains(text, "\uFFFD") {
		return errors.New("has U+FFFD, which is not valid text")
	}
	field.Set(v)
	return nil
}

// parseObject reads a body that is a JSON object.
func parseObject(raw []byte) (map[string]any, error) {
	value, err := parseValue(raw)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, invalid("the body is not a JSON object")
	}
	return object, nil
}

// parseValue reads a body that is any JSON value.
func parseValue(raw []byte) (any, error) {
	value, err := strictjson.Parse(raw)
	if refused := (*strictjson.Error)(nil); errors.As(err, &refused) {
		return nil, invalid("the body " + refused.Error() + quoted(refused.Name))
	}
	return value, err
}

// readParameters refuses a parameter that the route does not have, most likely
// a known one misspelt, and one that appears twice. Of several it names the
// first by name. It also reads which page of a list is requested.
func (x *exchange) readParameters(known []string) (err error) {
	if len(x.query) == 0 {
		x.page.limit = defaultLimit
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(x.query)) {
		if !slices.Contains(known, name) {
			return invalid("the query has an unknown parameter" + quoted(name))
		}
		if len(x.query[name]) > 1 {
			return invalid("the query has a parameter twice" + quoted(name))
		}
	}
	x.page, err = pageOf(x.query)
	return err
}

var word = lazyregexp.New(`^[A-Za-z0-9_-]{1,32}$`)

// quoted returns a name that a client chose, in quotes after a colon. It
// returns "" if the name is not a word: a longer one may be a token in the
// wrong place.
func quoted(name string) string {
	if !word().MatchString(name) {
		return ""
	}
	return `: "` + name + `"`
}
