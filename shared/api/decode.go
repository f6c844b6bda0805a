package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxBody is the most bytes that a body may have.
const maxBody = 16 << 10

// decode reads a JSON object of strings and booleans into a struct, strictly: encoding/json alone would take names in
// any case, the last of two equal names, and text that is no text. An empty body leaves the struct as it is.
func decode(r *http.Request, into any) error {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return invalid("the body cannot be read")
	}
	if len(raw) == 0 {
		return nil
	}
	if len(raw) > maxBody {
		return fail(codeTooLarge, "the body is over 16 KiB")
	}
	if err := checkType(r.Header); err != nil {
		return err
	}
	return unmarshal(raw, into)
}

// checkType keeps simple cross-site forms out: no form can send application/json without asking first.
func checkType(header http.Header) error {
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	charset, given := parameters["charset"]
	if err != nil || kind != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return fail(codeUnsupportedType, "the body must be application/json, in UTF-8")
	}
	if header.Get("Content-Encoding") != "" {
		return fail(codeUnsupportedType, "the body must not be compressed")
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
	fields := fieldsOf(into)
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			return invalid("the body is not JSON")
		}
		field, known := fields[name.(string)] // within an object each odd token is a name
		if !known {
			return invalid("the body has a field that is unknown, or twice the same")
		}
		delete(fields, name.(string))
		if err := set(field, tokens); err != nil {
			return invalid(name.(string) + ": " + err.Error())
		}
	}
	return nil // json.Valid has seen the end
}

// set stores one value. A list or an object is refused at its first brace, however deep it goes.
func set(field reflect.Value, tokens *json.Decoder) error {
	value, err := tokens.Token()
	if err != nil {
		return errors.New("cannot be read")
	}
	switch v := value.(type) {
	case string:
		if field.Kind() != reflect.String {
			return errors.New("must be true or false")
		}
		// A lone surrogate is read as this character, and the text would not be the one that was signed.
		if strings.ContainsRune(v, utf8.RuneError) {
			return errors.New("is not well-formed text")
		}
		field.SetString(v)
		return nil
	case bool:
		if field.Kind() == reflect.Bool {
			field.SetBool(v)
			return nil
		}
	}
	return errors.New("must be a " + field.Kind().String())
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
