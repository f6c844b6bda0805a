package api

import "github.com/go-json-experiment/json/jsontext"

// rawJSON is a body of any JSON value that [strictjson.Parse] accepts, kept as
// written except for insignificant space.
type rawJSON []byte

func (*rawJSON) types() []string { return []string{jsonType} }

func (v *rawJSON) read(raw []byte) error {
	if _, err := parseValue(raw); err != nil {
		return err
	}
	*v = raw
	return (*jsontext.Value)(v).Compact()
}
