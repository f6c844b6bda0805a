package siwe_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/siwe"
)

// FuzzParse holds that nothing panics, that Parse and the grammar agree, that what parses renders back byte for byte, and
// that Check gives no error but its own. A refusal names a place in the message and shows at most the character there.
func FuzzParse(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(complete))
	f.Add([]byte(strings.Replace(example, "Sign in.\n\n", "\n", 1)))
	f.Add([]byte(strings.Replace(example, "Sign in.", "", 1)))
	f.Add([]byte(strings.ReplaceAll(example, "example.com", "[::ffff:1.2.3.4]:8443")))
	f.Add([]byte(strings.ReplaceAll(example, "example.com", "u:p@[v1.x]")))
	f.Add([]byte(example + "\nResources:"))
	f.Add([]byte(example + "\nExpiration Time: 2026-02-30T23:59:60.123+24:00"))
	f.Add([]byte(strings.ReplaceAll(example, "\n", "\r\n")))
	f.Add([]byte("\n\n\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		holdsToGrammar(t, raw)
		m, err := siwe.Parse(raw)
		if err != nil {
			holdsPlace(t, raw, err)
			return
		}
		var refused *siwe.PolicyError
		for _, policy := range []siwe.Policy{{}, testPolicy(), {Domains: []string{m.Domain}, AllowHTTP: true}} {
			if err := policy.Check(m, testNow); err != nil && !errors.As(err, &refused) {
				t.Errorf("Check gives %T, want a PolicyError", err)
			}
		}
	})
}

// shown is what an error says after its reason.
var shown = regexp.MustCompile(`^(?: \(line \d+(?:, column \d+(?:: (?:it ends there|byte 0x[0-9A-F]{2}|U\+[0-9A-F]{4,6}|'(?:[ -~]|\\['\\])'))?)?\))?$`)

// holdsPlace fails unless the error names a place that the message has, and repeats no more of it than the character there.
func holdsPlace(t *testing.T, raw []byte, err error) {
	t.Helper()
	var syntax *siwe.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("Parse gives %T, want a SyntaxError", err)
	}
	said, found := strings.CutPrefix(err.Error(), syntax.Field+": "+syntax.Reason)
	if !found || !shown.MatchString(said) {
		t.Errorf("%q for %q", err, raw)
	}
	lines := strings.Split(string(raw), "\n")
	if len(raw) > siwe.MaxLength {
		lines = nil // not looked at
	}
	switch {
	case syntax.Line == 0 && lines == nil && syntax.Column == 0:
	case syntax.Line < 1 || syntax.Line > len(lines)+1 || syntax.Column < 0:
		t.Errorf("%v is no place of %q", err, raw)
	case syntax.Column > 0 && (syntax.Line > len(lines) || syntax.Column > len(lines[syntax.Line-1])+1):
		t.Errorf("%v is no place of %q", err, raw)
	}
	if quoted := regexp.MustCompile(`'([ -~])'\)$`).FindStringSubmatch(said); quoted != nil && lines[syntax.Line-1][syntax.Column-1:][:1] != quoted[1] {
		t.Errorf("%v is not what is there in %q", err, raw)
	}
}

// FuzzParseAddress holds that an address is the forty digits of its text and never zero, that mixed case is the checksum's
// and no other, and that every refusal is a SyntaxError for the address.
func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{
		exampleAddress, strings.ToLower(exampleAddress), "0x" + strings.ToUpper(exampleAddress[2:]), "0X" + exampleAddress[2:],
		strings.Replace(exampleAddress, "A", "a", 1), "0x" + strings.Repeat("0", 40), exampleAddress + "0", exampleAddress[2:], "0x", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := siwe.ParseAddress(text)
		if err != nil {
			var wrong *siwe.SyntaxError
			if !errors.As(err, &wrong) || wrong.Field != "address" || wrong.Reason == "" || address != (common.Address{}) {
				t.Errorf("%q is refused with %v, beside %s", text, err, address)
			}
			return
		}
		if address == (common.Address{}) || !strings.EqualFold(text, address.Hex()) {
			t.Errorf("%q is taken for %s", text, address)
		}
		if digits := text[2:]; text != address.Hex() && digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) {
			t.Errorf("%q is taken and its checksum is %s", text, address)
		}
		for _, spelling := range []string{address.Hex(), strings.ToLower(text), "0x" + strings.ToUpper(text[2:])} {
			if again, err := siwe.ParseAddress(spelling); err != nil || again != address {
				t.Errorf("%q is taken for %s, and %q for %s, %v", text, address, spelling, again, err)
			}
		}
	})
}

// FuzzTime holds that a time that a message carries is one to Go's own reader, too, and the same instant but for what is
// finer than a nanosecond: that is rounded up.
func FuzzTime(f *testing.F) {
	for _, text := range []string{
		"2026-03-01T12:00:00Z", "2026-03-01T12:00:00.123456789+23:59", "2024-02-29T00:00:00-00:00", "2026-02-29T00:00:00Z",
		"0000-01-01T00:00:00.9999999999Z", "9999-12-31T23:59:59.0000000000-23:59", "2026-03-01t12:00:00z", "2026-03-01T23:59:60Z",
		"2026-03-01T12:00:00,5Z", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00+24:00", "2026-03-01T12:00Z",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := siwe.Parse([]byte(example + "\nExpiration Time: " + text))
		if err != nil || m.ExpirationTime.String() != text { // the text may hold the lines that follow
			return
		}
		want, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatalf("%q is taken: %v", text, err)
		}
		got := m.ExpirationTime.Instant()
		if over := got.Sub(want); over < 0 || over > 1 || got.Location() != time.UTC {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	})
}

// FuzzConfigured holds that a domain and a statement that may be configured make a message that parses to them, and that
// no others do.
func FuzzConfigured(f *testing.F) {
	f.Add("example.com", "Sign in.")
	f.Add("[::1]:8443", "")
	f.Add("u@example.com", "a\nURI: https://evil.example")
	f.Add("example.com:", "caf\xc3\xa9")
	f.Add("example.com wants you", "-._~:/?#[]@!$&'()*+,;=")
	f.Fuzz(func(t *testing.T, domain, statement string) {
		m, err := siwe.Parse([]byte(example))
		if err != nil {
			t.Fatal(err)
		}
		if len(domain)+len(statement) > siwe.MaxLength-len(example) {
			return
		}
		m.Domain, m.Statement = domain, &statement
		got, err := siwe.Parse([]byte(m.String()))
		same := err == nil && got.Scheme == "" && got.Domain == domain && got.Statement != nil && *got.Statement == statement && got.URI == m.URI
		if valid := siwe.ValidDomain(domain) && siwe.ValidStatement(statement); valid != same {
			t.Errorf("%q and %q are valid: %v, and make a message of theirs: %v, %v", domain, statement, valid, same, err)
		}
	})
}
