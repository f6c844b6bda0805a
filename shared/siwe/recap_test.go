package siwe_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

// The examples of ERC-5573: each resource, its details and its sentence.
const (
	recapWithoutRestrictions = "urn:recap:eyJhdHQiOnsiaHR0cHM6Ly9leGFtcGxlLmNvbSI6eyJleGFtcGxlL2FwcGVuZCI6W10sImV4YW1wbGUvcmVhZCI6W10sIm90aGVyL2FjdGlvbiI6W119LCJteTpyZXNvdXJjZTp1cmkuMSI6eyJleGFtcGxlL2FwcGVuZCI6W10sImV4YW1wbGUvZGVsZXRlIjpbXX0sIm15OnJlc291cmNlOnVyaS4yIjp7ImV4YW1wbGUvYXBwZW5kIjpbXX0sIm15OnJlc291cmNlOnVyaS4zIjp7ImV4YW1wbGUvYXBwZW5kIjpbXX19LCJwcmYiOltdfQ"
	recapWithRestrictions    = "urn:recap:eyJhdHQiOnsiaHR0cHM6Ly9leGFtcGxlLmNvbS9waWN0dXJlcy8iOnsiY3J1ZC9kZWxldGUiOlt7fV0sImNydWQvdXBkYXRlIjpbe31dLCJvdGhlci9hY3Rpb24iOlt7fV19LCJtYWlsdG86dXNlcm5hbWVAZXhhbXBsZS5jb20iOnsibXNnL3JlY2VpdmUiOlt7Im1heF9jb3VudCI6NSwidGVtcGxhdGVzIjpbIm5ld3NsZXR0ZXIiLCJtYXJrZXRpbmciXX1dLCJtc2cvc2VuZCI6W3sidG8iOiJzb21lb25lQGVtYWlsLmNvbSJ9LHsidG8iOiJqb2VAZW1haWwuY29tIn1dfX0sInByZiI6WyJ6ZGo3V2o2Rk5TNHJVVWJzaUp2amp4Y3NOcVpkRENTaVlSOHNLUVhmb1BmcFNadUF3Il19"

	detailsWithoutRestrictions = `{"att":{"https://example.com":{"example/append":[],"example/read":[],"other/action":[]},"my:resource:uri.1":{"example/append":[],"example/delete":[]},"my:resource:uri.2":{"example/append":[]},"my:resource:uri.3":{"example/append":[]}},"prf":[]}`
	detailsWithRestrictions    = `{"att":{"https://example.com/pictures/":{"crud/delete":[{}],"crud/update":[{}],"other/action":[{}]},"mailto:username@example.com":{"msg/receive":[{"max_count":5,"templates":["newsletter","marketing"]}],"msg/send":[{"to":"someone@email.com"},{"to":"joe@email.com"}]}},"prf":["zdj7Wj6FNS4rUUbsiJvjjxcsNqZdDCSiYR8sKQXfoPfpSZuAw"]}`

	recapPreamble               = "I further authorize the stated URI to perform the following actions on my behalf:"
	sentenceWithoutRestrictions = recapPreamble + " (1) 'example': 'append', 'read' for 'https://example.com'. (2) 'other': 'action' for 'https://example.com'. (3) 'example': 'append', 'delete' for 'my:resource:uri.1'. (4) 'example': 'append' for 'my:resource:uri.2'. (5) 'example': 'append' for 'my:resource:uri.3'."
	sentenceWithRestrictions    = recapPreamble + " (1) 'crud': 'delete', 'update' for 'https://example.com/pictures/'. (2) 'other': 'action' for 'https://example.com/pictures/'. (3) 'msg': 'receive', 'send' for 'mailto:username@example.com'."
)

// What WalletConnect adds to a one-click sign-in.
const (
	detailsOfWalletConnect  = `{"att":{"eip155":{"request/eth_signTypedData_v4":[{"chains":["eip155:1","eip155:10"]}],"request/personal_sign":[{"chains":["eip155:1","eip155:10"]}]}}}`
	sentenceOfWalletConnect = recapPreamble + " (1) 'request': 'eth_signTypedData_v4', 'personal_sign' for 'eip155'."
)

// recapOf is the resource of a ReCap with these details.
func recapOf(details string) string {
	return "urn:recap:" + base64.RawURLEncoding.EncodeToString([]byte(details))
}

// withRecap is example with a statement and resources.
func withRecap(t *testing.T, statement string, resources ...string) string {
	t.Helper()
	text := swap(t, example, "Sign in.", statement)
	if len(resources) > 0 {
		text += "\nResources:\n- " + strings.Join(resources, "\n- ")
	}
	return text
}

func TestRecap_examples(t *testing.T) {
	for _, c := range []struct{ resource, details, sentence string }{
		{recapWithoutRestrictions, detailsWithoutRestrictions, sentenceWithoutRestrictions},
		{recapWithRestrictions, detailsWithRestrictions, sentenceWithRestrictions},
		{recapOf(detailsOfWalletConnect), detailsOfWalletConnect, sentenceOfWalletConnect},
	} {
		if c.resource != recapOf(c.details) {
			t.Errorf("the resource is not that of %s", c.details)
		}
		got, err := siwe.TranslateRecap(c.resource)
		if err != nil || got != c.sentence {
			t.Errorf("got  %q, %v\nwant %q", got, err, c.sentence)
		}
		wantReason(t, testPolicy(), withRecap(t, "Sign in. "+c.sentence, c.resource), "")
		wantReason(t, testPolicy(), withRecap(t, "Sign in. "+c.sentence, "https://example.com/terms", c.resource), "")
		none := testPolicy()
		none.Statement = ""
		wantReason(t, none, withRecap(t, c.sentence, c.resource), "")
		wantReason(t, none, withRecap(t, " "+c.sentence, c.resource), "statement")
	}
}

// The statement and the resource stand for each other: one without the other,
// or another one, is refused.
func TestRecap_otherSentence(t *testing.T) {
	resource := recapOf(detailsOfWalletConnect)
	for name, text := range map[string]string{
		"no sentence":                  withRecap(t, "Sign in.", resource),
		"sentence without a resource":  withRecap(t, "Sign in. "+sentenceOfWalletConnect),
		"sentence, another resource":   withRecap(t, "Sign in. "+sentenceOfWalletConnect, "https://example.com/terms"),
		"sentence of another resource": withRecap(t, "Sign in. "+sentenceWithRestrictions, resource),
		"fewer abilities":              withRecap(t, "Sign in. "+strings.Replace(sentenceOfWalletConnect, "'eth_signTypedData_v4', ", "", 1), resource),
		"more abilities":               withRecap(t, "Sign in. "+strings.Replace(sentenceOfWalletConnect, "'personal_sign'", "'personal_sign', 'wallet_x'", 1), resource),
		"another order":                withRecap(t, "Sign in. "+recapPreamble+" (1) 'request': 'personal_sign', 'eth_signTypedData_v4' for 'eip155'.", resource),
		"another number":               withRecap(t, "Sign in. "+strings.Replace(sentenceOfWalletConnect, "(1)", "(2)", 1), resource),
		"no period":                    withRecap(t, "Sign in. "+strings.TrimSuffix(sentenceOfWalletConnect, "."), resource),
		"more after it":                withRecap(t, "Sign in. "+sentenceOfWalletConnect+" I am in.", resource),
		"twice":                        withRecap(t, "Sign in. "+sentenceOfWalletConnect+" "+sentenceOfWalletConnect, resource),
		"no space":                     withRecap(t, "Sign in."+sentenceOfWalletConnect, resource),
		"two spaces":                   withRecap(t, "Sign in.  "+sentenceOfWalletConnect, resource),
		"another statement":            withRecap(t, "Sign out. "+sentenceOfWalletConnect, resource),
		"the sentence alone":           withRecap(t, sentenceOfWalletConnect, resource),
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, testPolicy(), text, "statement") })
	}
}

// Resources that are not those of a ReCap are refused, whatever the statement.
func TestRecap_otherResources(t *testing.T) {
	resource, other := recapOf(detailsOfWalletConnect), recapOf(detailsWithRestrictions)
	encoded := strings.TrimPrefix(resource, "urn:recap:")
	for name, resources := range map[string][]string{
		"two":             {other, resource},
		"the same two":    {resource, resource},
		"not last":        {resource, "https://example.com/terms"},
		"upper case":      {"URN:RECAP:" + encoded},
		"mixed case":      {"urn:ReCap:" + encoded},
		"two spellings":   {"URN:recap:" + encoded, resource},
		"empty":           {"urn:recap:"},
		"padded":          {"urn:recap:" + base64.URLEncoding.EncodeToString([]byte(detailsOfWalletConnect+" "))},
		"standard base64": {"urn:recap:" + base64.RawStdEncoding.EncodeToString([]byte(`{"att":{"aa?":{"a/b":[]}}}`))},
		"one character":   {"urn:recap:e"},
		"bits left over":  {"urn:recap:" + encoded[:len(encoded)-1] + "R"},
		"a fragment":      {resource + "#top"},
	} {
		t.Run(name, func(t *testing.T) {
			wantReason(t, testPolicy(), withRecap(t, "Sign in. "+sentenceOfWalletConnect, resources...), "resources")
			wantReason(t, testPolicy(), withRecap(t, "Sign in.", resources...), "resources")
		})
	}
	// What only looks like one is any other resource.
	for _, resource := range []string{"urn:recaps:" + encoded, "urn:recap", "https://example.com/urn:recap:" + encoded} {
		wantReason(t, testPolicy(), withRecap(t, "Sign in.", resource), "")
	}
}

func TestRecap_malformedDetails(t *testing.T) {
	for name, details := range map[string]string{
		"no JSON":                   `att`,
		"nothing":                   ``,
		"cut off":                   `{"att":{"a:b":{"a/b":[]}}`,
		"text after it":             `{"att":{"a:b":{"a/b":[]}}} {}`,
		"a list":                    `[{"att":{"a:b":{"a/b":[]}}}]`,
		"null":                      `null`,
		"a text":                    `"att"`,
		"no abilities":              `{}`,
		"only proofs":               `{"prf":["bafy"]}`,
		"no targets":                `{"att":{}}`,
		"a target without any":      `{"att":{"a:b":{}}}`,
		"one of two without any":    `{"att":{"a:a":{"a/b":[]},"a:b":{}}}`,
		"another member":            `{"att":{"a:b":{"a/b":[]}},"exp":1}`,
		"att in upper case":         `{"ATT":{"a:b":{"a/b":[]}}}`,
		"att twice":                 `{"att":{"a:b":{"a/b":[]}},"att":{"a:c":{"a/b":[]}}}`,
		"att twice, once escaped":   `{"att":{"a:b":{"a/b":[]}},"\u0061tt":{"a:c":{"a/b":[]}}}`,
		"a target twice":            `{"att":{"a:b":{"a/b":[]},"a:b":{"a/c":[]}}}`,
		"an ability twice":          `{"att":{"a:b":{"a/b":[],"a/b":[{}]}}}`,
		"a restriction twice":       `{"att":{"a:b":{"a/b":[{"to":"x","to":"y"}]}}}`,
		"att is a list":             `{"att":[{"a:b":{"a/b":[]}}]}`,
		"a target is a list":        `{"att":{"a:b":[{"a/b":[]}]}}`,
		"an ability is an object":   `{"att":{"a:b":{"a/b":{}}}}`,
		"an ability is null":        `{"att":{"a:b":{"a/b":null}}}`,
		"a restriction is a text":   `{"att":{"a:b":{"a/b":["x"]}}}`,
		"a restriction is a list":   `{"att":{"a:b":{"a/b":[[]]}}}`,
		"prf is a text":             `{"att":{"a:b":{"a/b":[]}},"prf":"bafy"}`,
		"prf has a number":          `{"att":{"a:b":{"a/b":[]}},"prf":[1]}`,
		"prf has null":              `{"att":{"a:b":{"a/b":[]}},"prf":[null]}`,
		"targets out of order":      `{"att":{"b:a":{"a/b":[]},"a:a":{"a/b":[]}}}`,
		"abilities out of order":    `{"att":{"a:b":{"a/c":[],"a/b":[]}}}`,
		"the longer name first":     `{"att":{"a:b":{"a/send-to":[],"a/send":[]}}}`,
		"a target without a name":   `{"att":{"":{"a/b":[]}}}`,
		"a target with a quote":     `{"att":{"a:b'. (2) 'c":{"a/b":[]}}}`,
		"a target with a space":     `{"att":{"a: b":{"a/b":[]}}}`,
		"a target with a line feed": `{"att":{"a:\n":{"a/b":[]}}}`,
		"a target with an accent":   `{"att":{"a:\u00e9":{"a/b":[]}}}`,
		"a target with a percent":   `{"att":{"a:%20":{"a/b":[]}}}`,
		"an ability with no slash":  `{"att":{"a:b":{"ab":[]}}}`,
		"an ability with two":       `{"att":{"a:b":{"a/b/c":[]}}}`,
		"no namespace":              `{"att":{"a:b":{"/b":[]}}}`,
		"no name":                   `{"att":{"a:b":{"a/":[]}}}`,
		"an ability with a quote":   `{"att":{"a:b":{"a/b'":[]}}}`,
		"an ability with a bracket": `{"att":{"a:b":{"a/[":[]}}}`,
		"bytes that are not UTF-8":  "{\"att\":{\"a:b\":{\"a/b\":[{\"x\":\"\xff\"}]}}}",
		"half a surrogate pair":     `{"att":{"a:b":{"a/b":[{"x":"\ud800"}]}}}`,
		"a comma too many":          `{"att":{"a:b":{"a/b":[],}}}`,
		"a comment":                 `{"att":{"a:b":{"a/b":[]}}/**/}`,
	} {
		t.Run(name, func(t *testing.T) {
			if sentence, err := siwe.TranslateRecap(recapOf(details)); err == nil || sentence != "" {
				t.Errorf("%s is read as %q, %v", details, sentence, err)
			}
			if strings.HasPrefix(details, "[") {
				return // the rest is the same for all
			}
			wantReason(t, testPolicy(), withRecap(t, "Sign in. "+recapPreamble+" (1) 'a': 'b' for 'a:b'.", recapOf(details)), "resources")
		})
	}
	const fine = `{"att":{"a:b":{"a/b":[]}}}`
	wantReason(t, testPolicy(), withRecap(t, "Sign in. "+recapPreamble+" (1) 'a': 'b' for 'a:b'.", recapOf(fine)), "")
}

// recapDetails are the details of a ReCap as another decoder reads them.
type recapDetails struct {
	Att map[string]map[string][]map[string]any `json:"att"`
	Prf []string                               `json:"prf"`
}

// FuzzRecap holds that what is read has the sentence that follows from Go's own
// decoder too, which can be in a statement, and that the message with that
// sentence is accepted and the one without is not.
func FuzzRecap(f *testing.F) {
	for _, details := range []string{
		detailsWithoutRestrictions, detailsWithRestrictions, detailsOfWalletConnect, `{"att":{"a:b":{"a/b":[]}},"att":{}}`,
		`{"prf":[],"att":{"x":{"a+/b":[],"a/b":[],"a/c":[],"b/b":[{"c":{"d":1e400}}]}}}`, `{"att":{"a:b":{"a/c":[],"a/b":[]}}}`, `{"att":{"a":null}}`,
	} {
		f.Add([]byte(details))
	}
	f.Fuzz(func(t *testing.T, details []byte) {
		if len(details) > 2000 {
			return // no message has room for it
		}
		resource := recapOf(string(details))
		got, err := siwe.TranslateRecap(resource)
		if err != nil {
			return
		}
		if !siwe.ValidStatement(got) {
			t.Errorf("%q cannot be in a statement", got)
		}
		if want := sentenceOf(t, details); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		if text := withRecap(t, "Sign in. "+got, resource); len(text) <= siwe.MaxLength {
			wantReason(t, testPolicy(), text, "")
			wantReason(t, testPolicy(), withRecap(t, "Sign in.", resource), "statement")
		}
	})
}

// sentenceOf is the sentence of a ReCap, written another way.
func sentenceOf(t *testing.T, details []byte) string {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(details)))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	var read recapDetails
	if err := decoder.Decode(&read); err != nil {
		t.Fatalf("%q is read: %v", details, err)
	}
	var entries []string
	for _, target := range sorted(read.Att) {
		actions, namespaces := map[string][]string{}, []string{}
		for _, ability := range sorted(read.Att[target]) {
			namespace, action, _ := strings.Cut(ability, "/")
			if actions[namespace] == nil {
				namespaces = append(namespaces, namespace)
			}
			actions[namespace] = append(actions[namespace], "'"+action+"'")
		}
		for _, namespace := range namespaces {
			entries = append(entries, "'"+namespace+"': "+strings.Join(actions[namespace], ", ")+" for '"+target+"'.")
		}
	}
	sentence := recapPreamble
	for i, entry := range entries {
		number, _ := json.Marshal(i + 1)
		sentence += " (" + string(number) + ") " + entry
	}
	return sentence
}

func sorted[V any](m map[string]V) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
