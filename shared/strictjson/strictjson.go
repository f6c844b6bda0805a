// Package strictjson reads JSON (RFC 8259) so that no two readers can
// understand a text differently. It refuses what other readers interpret in
// several ways, or repair: a name twice in an object, text that is not UTF-8,
// and half of a surrogate pair (RFC 8259, sections 4, 8.1 and 8.2). It also
// refuses text after the value, and values nested deeper than [MaxDepth].
//
// It is built on the jsontext package, which the decoders of events use too.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep lists and objects may be nested.
const MaxDepth = 32

// The reasons of an [Error]. Each completes a sentence whose subject is the
// text.
var (
	ErrSyntax        = errors.New("is not JSON")
	ErrDuplicateName = errors.New("has a duplicate name")
	ErrSurrogate     = errors.New("has an unpaired surrogate, which is not valid text")
	ErrDepth         = errors.New("is nested deeper than 32 levels")
)

// ErrObject is the error of [Members] for what is not an object.
var ErrObject = errors.New("is not an object")

// Error says why a text was refused.
type Error struct {
	// Reason is one of the errors of this package.
	Reason error
	// Name is the duplicate name or, for other reasons, the member of the
	// outermost object at fault. It is empty if there is none. It may hold a
	// secret, if somebody put one in the place of a name.
	Name string
}

// Error returns the reason, without the name.
func (e *Error) Error() string { return e.Reason.Error() }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Reason }

// Parse reads a text that is one JSON value. It returns a map[string]any, a
// []any, a string, a bool, a [json.Number], which is the number as written, or
// nil for null. Its error is an [*Error].
func Parse(text []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(text), jsontext.AllowDuplicateNames(true)) // see readObject
	value, err := readValue(d)
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return value, nil
		}
	}
	return nil, explain(text, d, err)
}

// readValue reads the next value, with all that is in it.
func readValue(d *jsontext.Decoder) (any, error) {
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	if d.StackDepth() > MaxDepth {
		return nil, &Error{ErrDepth, member(d, nil)}
	}
	switch token.Kind() {
	case '{':
		return readObject(d)
	case '[':
		return readList(d)
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case 'n':
		return nil, nil
	}
	return token.Bool(), nil
}

// readObject reads the rest of an object.
func readObject(d *jsontext.Decoder) (map[string]any, error) {
	object := map[string]any{}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if _, twice := object[name]; twice {
			return nil, &Error{ErrDuplicateName, name}
		}
		if object[name], err = readValue(d); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken() // the closing brace, or what is wrong
	return object, err
}

// readList reads the rest of a list.
func readList(d *jsontext.Decoder) ([]any, error) {
	list := []any{}
	for d.PeekKind() != ']' {
		value, err := readValue(d)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := d.ReadToken() // the closing bracket
	return list, err
}

// explain returns why a text was refused, given the first error. A text that is
// not JSON is refused for that, whatever else is wrong with it.
func explain(text []byte, d *jsontext.Decoder, err error) error {
	if !utf8.Valid(text) || !jsontext.Value(text).IsValid(
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return &Error{Reason: ErrSyntax}
	}
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Reason: ErrSurrogate, Name: member(d, err)}
}

// member returns the name of the outermost object's member in which the decoder
// is, or in which it met an error, or "".
func member(d *jsontext.Decoder, err error) string {
	place := d.StackPointer()
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		place = syntactic.JSONPointer
	}
	if outermost, _ := d.StackIndex(min(1, d.StackDepth())); outermost == '{' {
		for name := range place.Tokens() {
			return name
		}
	}
	return ""
}

// AnyText makes the decoder of an event replace bytes that are not UTF-8 by
// U+FFFD: a client may have sent them.
var AnyText = jsontext.AllowInvalidUTF8(true)

// Members reads an object, or null, from the decoder of an event. At each name
// it calls member, which reads the name and the value. It returns [ErrObject]
// for any other value.
func Members(d *jsontext.Decoder, member func(*jsontext.Decoder) error) error {
	start, err := d.ReadToken()
	switch {
	case err != nil || start.Kind() == 'n':
		return err
	case start.Kind() != '{':
		return ErrObject
	}
	for d.PeekKind() == '"' {
		if err := member(d); err != nil {
			return err
		}
	}
	_, err = d.ReadToken() // the closing brace, or what is wrong
	return err
}
