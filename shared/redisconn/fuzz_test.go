package redisconn_test

import (
	"encoding/json"
	"strings"
	"testing"

	"latchkey/shared/redisconn"
)

// FuzzParseCredential holds that a password is never empty, that a secret which
// is no JSON object is one as it stands, and that a refusal shows nothing of
// it.
func FuzzParseCredential(f *testing.F) {
	for _, text := range []string{
		"pass word", "{pass", "12345", `{"password":"pw"}`, `{"username":"","password":"pw","a":[1]}`, "", "{}", "null", `{"password":7}`,
		`{"password":""}`, `{"PASSWORD":"\ud800"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		username, password, err := redisconn.ParseCredential(text, "app")
		var object map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(text), &object) == nil
		switch {
		case err != nil:
			if username != "" || password != "" || text != "" && !isObject || len(text) > 15 && strings.Contains(err.Error(), text) {
				t.Errorf("%q: %q %q, %v", text, username, password, err)
			}
		case password == "":
			t.Errorf("%q has an empty password", text)
		case !isObject && (username != "app" || password != text):
			t.Errorf("%q: %q %q", text, username, password)
		case isObject && password != text && !holdsText(object, password):
			t.Errorf("%q: %q %q", text, username, password)
		}
	})
}

// holdsText reports whether a member of an object is that text.
func holdsText(object map[string]json.RawMessage, text string) bool {
	for _, value := range object {
		var decoded string
		if json.Unmarshal(value, &decoded) == nil && decoded == text {
			return true
		}
	}
	return false
}
