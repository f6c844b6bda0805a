package siwe_test

import (
	"bytes"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

func TestParse_readsEveryField(t *testing.T) {
	m := parse(t, complete)
	for name, pair := range map[string][2]string{
		"scheme":          {m.Scheme, "https"},
		"domain":          {m.Domain, "example.com"},
		"address":         {m.Address.Hex(), exampleAddress},
		"address text":    {m.AddressText, exampleAddress},
		"statement":       {*m.Statement, "Sign in."},
		"uri":             {m.URI, "https://example.com/login"},
		"version":         {m.Version, siwe.Version},
		"nonce":           {m.Nonce, "0123456789abcdefABCDEF"},
		"issued at":       {m.IssuedAt.String(), "2026-03-01T12:00:00.000Z"},
		"expiration time": {m.ExpirationTime.String(), "2026-03-01T12:05:00Z"},
		"not before":      {m.NotBefore.String(), "2026-03-01T11:59:00+00:00"},
		"request id":      {*m.RequestID, "some%20request"},
		"first resource":  {m.Resources[0], "https://example.com/terms?version=2#top"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
	if m.ChainID != 1 || len(m.Resources) != 2 {
		t.Errorf("chain id %d and %d resources, want 1 and 2", m.ChainID, len(m.Resources))
	}
}

func TestParse_leavesOptionalFieldsNil(t *testing.T) {
	m := parse(t, swap(t, example, "Sign in.\n\n", "\n"))
	if m.Scheme != "" || m.Statement != nil || m.ExpirationTime != nil || m.NotBefore != nil || m.RequestID != nil || m.Resources != nil {
		t.Errorf("something is there that the text has not: %+v", m)
	}
}

func TestParse_tellsNoStatementFromAnEmptyOne(t *testing.T) {
	if m := parse(t, swap(t, example, "Sign in.\n\n", "\n\n")); m.Statement == nil || *m.Statement != "" {
		t.Errorf("four line feeds give statement %v, want an empty one", m.Statement)
	}
	// A statement may look like a line of its own; only line feeds decide.
	if m := parse(t, swap(t, example, "Sign in.", "URI: https://evil.example")); m.URI != "https://example.com/login" {
		t.Errorf("uri is %q, taken from the statement", m.URI)
	}
}

func TestParse_tellsNoResourcesFromAnEmptyList(t *testing.T) {
	if m := parse(t, example+"\nResources:"); m.Resources == nil || len(m.Resources) != 0 {
		t.Errorf("a bare list gives %#v, want an empty one", m.Resources)
	}
}

func TestParse_holdsTheBytesAlone(t *testing.T) {
	raw := []byte(example)
	m, err := siwe.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw)
	if m.String() != example {
		t.Error("the message changes with the caller's buffer")
	}
}

// Attack cases 11 and 12: bytes that no field may have, wherever they stand.
func TestParse_rejectsForeignBytes(t *testing.T) {
	foreign := []string{
		"\x00", "\t", "\r", "\x1b", "\x7f", "\x80", "\xff", "é", "\u202e", "\u2028", "\u00a0", "\ufeff", "а", "１",
	}
	for _, c := range foreign {
		for i := range len(complete) + 1 {
			wantSyntax(t, complete[:i]+c+complete[i:], "message")
		}
	}
}

// Attack case 12: everything around the lines.
func TestParse_rejectsOtherFraming(t *testing.T) {
	for name, c := range map[string]struct{ text, field string }{
		"nothing":                            {"", "message"},
		"one line feed":                      {"\n", "message"},
		"the header alone":                   {example[:strings.Index(example, "\n")], "address"},
		"trailing line feed":                 {example + "\n", "message"},
		"two trailing line feeds":            {example + "\n\n", "message"},
		"line feed after resources":          {complete + "\n", "resources"},
		"line feed in front":                 {"\n" + example, "message"},
		"CRLF":                               {strings.ReplaceAll(example, "\n", "\r\n"), "message"},
		"byte order mark":                    {"\ufeff" + example, "message"},
		"text in the line after the address": {swap(t, example, "\n\nSign in.", "\n \nSign in."), "address"},
		"text in the line after a statement": {swap(t, example, "Sign in.\n\n", "Sign in.\nx\n"), "statement"},
		"no line after the address":          {swap(t, example, "\n\nSign in.", "\nSign in."), "address"},
		"no line after the statement":        {swap(t, example, "Sign in.\n\n", "Sign in.\n"), "statement"},
		"an empty line too many above":       {swap(t, example, "\n\nSign in.", "\n\n\nSign in."), "uri"},
		"an empty line too many below":       {swap(t, example, "Sign in.\n\n", "Sign in.\n\n\n"), "uri"},
		"five line feeds and no statement":   {swap(t, example, "Sign in.\n\n", "\n\n\n"), "uri"},
		"an empty line between fields":       {swap(t, example, "Version", "\nVersion"), "version"},
		"two spaces after a colon":           {swap(t, example, "Nonce: ", "Nonce:  "), "nonce"},
		"no space after a colon":             {swap(t, example, "Nonce: ", "Nonce:"), "nonce"},
		"a space at a line's end":            {swap(t, example, "Chain ID: 1", "Chain ID: 1 "), "chain-id"},
		"a label in lower case":              {swap(t, example, "Nonce: ", "nonce: "), "nonce"},
		"a space after Resources":            {example + "\nResources: ", "message"},
		"resources on one line":              {example + "\nResources: https://a.example", "message"},
		"header in other case":               {swap(t, example, "Ethereum account", "ethereum account"), "message"},
		"header without colon":               {swap(t, example, "account:", "account"), "message"},
	} {
		t.Run(name, func(t *testing.T) { wantSyntax(t, c.text, c.field) })
	}
}

// Attack case 11: what a statement must not carry, and what it may.
func TestParse_statement(t *testing.T) {
	accepted := "ABC xyz 059 -._~:/?#[]@!$&'()*+,;="
	if m := parse(t, swap(t, example, "Sign in.", accepted)); *m.Statement != accepted {
		t.Errorf("statement is %q", *m.Statement)
	}
	for _, c := range "\"%<>\\^`{|}" {
		wantSyntax(t, swap(t, example, "Sign in.", "Sign "+string(c)+" in."), "statement")
	}
	injected := "Hello\nURI: https://evil.example\nVersion: 1\nChain ID: 1"
	wantSyntax(t, swap(t, example, "Sign in.", injected), "statement")
	wantSyntax(t, swap(t, example, "Sign in.", "Hello\n\n"+example[strings.Index(example, "URI"):]), "message")
}

// Attack cases 12 and 13, for each line of a message that has them all.
func TestParse_rejectsMissingRepeatedAndReorderedLines(t *testing.T) {
	fields := []string{"uri", "version", "chain-id", "nonce", "issued-at", "message", "message", "message"}
	lines := strings.Split(complete, "\n")
	const first = 5 // the line of the URI
	join := func(parts ...[]string) string {
		var all []string
		for _, part := range parts {
			all = append(all, part...)
		}
		return strings.Join(all, "\n")
	}
	for i, field := range fields {
		at := first + i
		label, _, _ := strings.Cut(lines[at], ":")
		t.Run(label, func(t *testing.T) {
			if i < 5 {
				wantSyntax(t, join(lines[:at], lines[at+1:]), field)
				wantSyntax(t, join(lines[:at], []string{label + ": "}, lines[at+1:]), field)
			}
			repeated := "message"
			if i < 4 {
				repeated = fields[i+1]
			}
			wantSyntax(t, join(lines[:at+1], lines[at:]), repeated)
			if at+1 < first+len(fields) {
				wantSyntax(t, join(lines[:at], lines[at+1:at+2], lines[at:at+1], lines[at+2:]), field)
			}
		})
	}
	wantSyntax(t, example+"\nNot-Before: 2026-03-01T12:00:00Z", "message")
	wantSyntax(t, complete+"\nResources:", "resources")
	wantSyntax(t, complete+"\nRequest ID: x", "resources")
}

// Attack case 13: a text that looks like a nonce elsewhere in the message is not its nonce.
func TestParse_takesTheNonceFromItsLineOnly(t *testing.T) {
	text := swap(t, complete, "Sign in.", "Nonce: aaaaaaaaaaaaaaaa")
	text = swap(t, text, "some%20request", "aaaaaaaaaaaaaaaa")
	text += "\n- urn:nonce:aaaaaaaaaaaaaaaa"
	if m := parse(t, text); m.Nonce != "0123456789abcdefABCDEF" {
		t.Errorf("nonce is %q", m.Nonce)
	}
}

func TestParse_bounds(t *testing.T) {
	pad := siwe.MaxLength - len(example) - len("\nRequest ID: ")
	parse(t, example+"\nRequest ID: "+strings.Repeat("x", pad))
	wantSyntax(t, example+"\nRequest ID: "+strings.Repeat("x", pad+1), "message")
	wantSyntax(t, string(bytes.Repeat([]byte("\n"), 1<<20)), "message")

	full := example + "\nResources:" + strings.Repeat("\n- https://example.com", siwe.MaxResources)
	parse(t, full)
	wantSyntax(t, full+"\n- https://example.com", "resources")

	// Attack case 7: a URI of three kilobytes.
	long := "https://example.com/" + strings.Repeat("x", 3000)
	wantSyntax(t, swap(t, example, "https://example.com/login", long), "uri")
	wantSyntax(t, example+"\nResources:\n- "+long, "resources")
}
