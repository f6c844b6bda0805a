package api

// What tests look at that callers have no use for.

// MergePatch applies a body as a patch to a stored object.
func MergePatch(old, body string) (string, error) {
	var patch mergePatch
	if err := patch.read([]byte(body)); err != nil {
		return "", err
	}
	merged, err := patch.apply([]byte(old))
	return string(merged), err
}

// RawJSON reads a body that is any JSON value.
func RawJSON(body string) (string, error) {
	var value rawJSON
	err := value.read([]byte(body))
	return string(value), err
}

// List decodes a body with one field, a list of strings.
func List(body string) ([]string, error) {
	var in struct {
		List []string `json:"list"`
	}
	err := unmarshal([]byte(body), &in)
	return in.List, err
}
