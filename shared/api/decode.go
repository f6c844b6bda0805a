package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxBody is the maximum size of a body, in bytes.
const maxBody = 16 << 10

// bodyReader is a body that is not a struct of fields. It reads itself.
type bodyReader interface {
	// types returns the media types that the body may have.
	types() []string
	read(raw []byte) error
}

// decode reads a JSON object of strings, lists of strings and booleans into a
// struct. It is strict: encoding/json alone would accept names in any case, use
// the last of two equal names, and accept invalid text. A field that is a
// pointer is optional, any other is required. An empty body is an empty object,
// and needs no type. A DELETE must not have a body.
func decode(r *http.Request, into any) error {
	raw, err := readBody(r)
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

// jsonType is the media type of every body. One, mergePatch, accepts another
// too.
const jsonType = "application/json"

// checkType keeps simple cross-site forms out: a form cannot send
// application/json, or any other type that forms do not have, without a CORS
// preflight.
func checkType(header http.Header, types ...string) error {
	values := header.Values("Content-Type")
	kind, parameters, err := mime.ParseMediaType(strings.Join(values, ","))
	charset, given := parameters["charset"]
	if err != nil || !slices.Contains(types, kind) ||
		given && !strings.EqualFold(charset, "utf-8") {
		return fail(codeUnsupportedType,
			"the body must be "+strings.Join(types, " or ")+", in UTF-8")
	}
	return nil
}

// asSent lets the decoder accept duplicate names and unpaired surrogates.
// unmarshal and set refuse them, and can name the field.
var asSent = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func unmarshal(raw []byte, into any) error {
	if !utf8.Valid(raw) || !jsontext.Value(raw).IsValid(asSent...) {
		return invalid("the body is not JSON")
	}
	tokens := jsontext.NewDecoder(bytes.NewBuffer(raw), asSent...)
	if first, err := tokens.ReadToken(); err != nil || first.Kind() != '{' {
		return invalid("the body is not a JSON object")
	}
	fields, seen := fieldsOf(into), map[string]bool{}
	for tokens.PeekKind() == '"' {
		text, err := tokens.ReadToken()
		if err != nil {
			return invalid("the body is not JSON")
		}
		name := text.String()
		field, known := fields[name]
		switch {
		case !known:
			return invalid("the body has an unknown field" + quoted(name))
		case seen[name]:
			return invalid(name + ": appears twice")
		}
		seen[name] = true
		if err := set(field, tokens); err != nil {
			return invalid(name + ": " + err.Error())
		}
	}
	return checkMissing(into, seen) // IsValid has refused all that could follow the object
}

// set stores one value. It refuses a list or an object in it at its first
// bracket, however deep it goes.
func set(field reflect.Value, tokens *jsontext.Decoder) error {
	value, err := tokens.ReadToken()
	if err != nil {
		return errors.New("cannot be read")
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	switch kind := value.Kind(); {
	case field.Kind() == reflect.Slice:
		return setList(field, kind, tokens)
	case field.Kind() == reflect.String && kind == '"':
		text := value.String()
		// A lone surrogate is decoded as this character. The text would differ
		// from the one that was signed.
		if strings.ContainsRune(text, utf8.RuneError) {
			return errors.New("has U+FFFD or an unpaired surrogate, which is not valid text")
		}
		field.SetString(text)
	case field.Kind() == reflect.Bool && (kind == 't' || kind == 'f'):
		field.SetBool(kind == 't')
	default:
		return errors.New("must be a " + field.Kind().String())
	}
	return nil
}

// setList stores a list of strings, whose first token has been read.
func setList(field reflect.Value, first jsontext.Kind, tokens *jsontext.Decoder) error {
	if first != '[' {
		return errors.New("must be a list of strings")
	}
	list := reflect.MakeSlice(field.Type(), 0, 0)
	for tokens.PeekKind() != ']' {
		item := reflect.New(field.Type().Elem()).Elem()
		if err := set(item, tokens); err != nil {
			return errors.New("each item " + err.Error())
		}
		list = reflect.Append(list, item)
	}
	_, err := tokens.ReadToken() // the closing bracket
	field.Set(list)
	return err
}

// fieldsOf returns a struct's fields by their JSON names, which are compared
// exactly.
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

// checkParameters refuses a parameter that the route does not have, most likely
// a known one misspelt, and one that appears twice.
func checkParameters(r *http.Request, known ...string) error {
	for name, values := range r.URL.Query() {
		if !slices.Contains(known, name) || len(values) > 1 {
			return invalid("the query has a parameter that is unknown, or that appears twice")
		}
	}
	return nil
}

var word = pattern(`^[A-Za-z0-9_-]{1,32}$`)

// quoted returns a name that a client chose, in quotes after a colon. It
// returns "" if the name is not a word: a longer one may be a token in the
// wrong place.
func quoted(name string) string {
	if !word().MatchString(name) {
		return ""
	}
	return `: "` + name + `"`
}
