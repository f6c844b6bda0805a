package messages

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"latchkey/docs"
)

// Draft4 returns docs/events.schema.json in JSON Schema Draft 4, which is what
// EventBridge's registry takes. It says a little less: which actors have a
// userId is left out.
func Draft4() (map[string]any, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(docs.EventSchema))
	if err != nil {
		return nil, err
	}
	schema := members(parsed)
	var all []any
	for _, name := range slices.Sorted(maps.Keys(members(schema["$defs"]))) {
		if strings.Contains(name, ".") {
			all = append(all, object{"properties": object{
				"detail-type": object{"enum": []any{name}}, "detail": object{"$ref": "#/$defs/" + name},
			}})
		}
	}
	delete(schema, "allOf") // by if and then, which Draft 4 does not have
	schema["oneOf"], schema["$schema"] = all, "http://json-schema.org/draft-04/schema#"
	return older(schema).(object), nil
}

// older returns a part of a schema in the words of Draft 4.
func older(part any) any {
	switch part := part.(type) {
	case object:
		found := object{}
		for name, value := range part {
			switch name {
			case "if", "then", "else":
			case "const":
				found["enum"] = []any{value}
			case "$defs":
				found["definitions"] = older(value)
			default:
				found[name] = older(value)
			}
		}
		return found
	case []any:
		found := make([]any, len(part))
		for i, value := range part {
			found[i] = older(value)
		}
		return found
	case string:
		return strings.Replace(part, "#/$defs/", "#/definitions/", 1)
	}
	return part
}
