package api

import (
	"bytes"
	"encoding/json"
	"maps"

	"latchkey/shared/strictjson"
)

// mergePatch is a body that changes a JSON object (JSON Merge Patch, RFC 7396).
// It sets the names that it has, or removes them if their value is null.
// Objects are merged name by name, and everything else stays. It must be an
// object itself: any other patch would replace the object by another kind of
// value.
type mergePatch map[string]any

const mergePatchType = "application/merge-patch+json"

func (*mergePatch) types() []string { return []string{jsonType, mergePatchType} }

func (p *mergePatch) read(raw []byte) (err error) {
	*p, err = parseObject(raw)
	return err
}

// apply patches an object and returns the new one, with its names sorted and no
// space, so that equal objects are equal text. It fails if the old value is not
// in the form that [strictjson.Parse] accepts.
func (p mergePatch) apply(old []byte) ([]byte, error) {
	target, err := strictjson.Parse(old)
	if err != nil {
		return nil, err
	}
	return encodeValue(merge(target, map[string]any(p)))
}

// merge is MergePatch of RFC 7396, section 2. It recurses no deeper than the
// patch, and changes neither argument.
func merge(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	merged := map[string]any{}
	if object, ok := target.(map[string]any); ok {
		merged = maps.Clone(object)
	}
	for name, change := range changes {
		if change == nil {
			delete(merged, name)
			continue
		}
		merged[name] = merge(merged[name], change)
	}
	return merged
}

func encodeValue(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // it is not put into pages, and escapes would count as size
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
