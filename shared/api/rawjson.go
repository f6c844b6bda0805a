package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep lists and objects may be nested in a value that a client
// stores.
const maxDepth = 32

// rawJSON is a body of any JSON value, kept as written except for insignificant
// space. It is checked to mean the same to every reader: UTF-8, no duplicate
// names in an object, no unpaired surrogate, and a bounded depth.
type rawJSON []byte

func (*rawJSON) types() []string { return []string{jsonType} }

func (v *rawJSON) read(raw []byte) error {
	if _, err := parseValue(raw); err != nil {
		return invalid("the body " + err.Error())
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return invalid("the body is not JSON")
	}
	*v = compact.Bytes()
	return nil
}

// parseValue reads one JSON value, as strictly as rawJSON says. Numbers stay
// text ([json.Number]), because a float64 would round them.
func parseValue(raw []byte) (any, error) {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, errors.New("is not JSON")
	}
	if hasHalfPair(raw) {
		return nil, errors.New("has an unpaired surrogate, which is not valid text")
	}
	tokens := json.NewDecoder(bytes.NewReader(raw))
	tokens.UseNumber()
	return nextValue(tokens, 0)
}

// nextValue reads the next value, which is nested depth levels deep.
func nextValue(tokens *json.Decoder, depth int) (any, error) {
	text, err := tokens.Token()
	if err != nil {
		return nil, errors.New("is not JSON")
	}
	delim, nests := text.(json.Delim)
	if !nests {
		return text, nil
	}
	if depth == maxDepth {
		return nil, errors.New("is nested deeper than 32 levels")
	}
	if delim == '[' {
		return nextList(tokens, depth+1)
	}
	return nextObject(tokens, depth+1)
}

func nextList(tokens *json.Decoder, depth int) (any, error) {
	list := []any{}
	for tokens.More() {
		value, err := nextValue(tokens, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := tokens.Token() // the closing bracket
	return list, err
}

func nextObject(tokens *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for tokens.More() {
		text, err := tokens.Token()
		name, ok := text.(string)
		if err != nil || !ok {
			return nil, errors.New("is not JSON")
		}
		if _, twice := object[name]; twice {
			return nil, errors.New("has a duplicate name" + quoted(name))
		}
		if object[name], err = nextValue(tokens, depth); err != nil {
			return nil, err
		}
	}
	_, err := tokens.Token() // the closing brace
	return object, err
}

// hasHalfPair reports whether valid JSON escapes half of a surrogate pair. In
// valid JSON all backslashes are in strings. Such text has no UTF-8, and
// readers interpret it differently.
func hasHalfPair(raw []byte) bool {
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return false
		}
		first, ok := escaped(raw[at:])
		switch {
		case !ok:
			raw = raw[at+2:]
		case !utf16.IsSurrogate(first):
			raw = raw[at+6:]
		default:
			second, _ := escaped(raw[at+6:])
			if utf16.DecodeRune(first, second) == utf8.RuneError {
				return true
			}
			raw = raw[at+12:]
		}
	}
}

// escaped reads an escape with four hexadecimal digits at the start of raw.
func escaped(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[2:6]), 16, 16)
	return rune(n), err == nil
}
