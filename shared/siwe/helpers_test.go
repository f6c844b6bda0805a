package siwe_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey/shared/siwe"
)

// example is a message that testPolicy accepts at testNow. The tests change one thing in it at a time.
const example = `example.com wants you to sign in with your Ethereum account:
0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

Sign in.

URI: https://example.com/login
Version: 1
Chain ID: 1
Nonce: 0123456789abcdefABCDEF
Issued At: 2026-03-01T12:00:00.000Z`

const exampleAddress = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

// complete is example with every optional line.
const complete = "https://" + example + `
Expiration Time: 2026-03-01T12:05:00Z
Not Before: 2026-03-01T11:59:00+00:00
Request ID: some%20request
Resources:
- https://example.com/terms?version=2#top
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/`

var testNow = time.Date(2026, 3, 1, 12, 0, 30, 0, time.UTC)

func testPolicy() siwe.Policy {
	return siwe.Policy{
		Domains:   []string{"example.com", "app.example.com:8443"},
		ChainIDs:  []uint64{1, 8453},
		Statement: "Sign in.",
		MaxAge:    10 * time.Minute,
		MaxAhead:  time.Minute,
	}
}

// swap replaces the one place where from stands in text, and fails where there is not exactly one.
func swap(t *testing.T, text, from, to string) string {
	t.Helper()
	if n := strings.Count(text, from); n != 1 {
		t.Fatalf("%q stands %d times in the message, want once", from, n)
	}
	return strings.Replace(text, from, to, 1)
}

// parse parses text, which must be grammatical and render back.
func parse(t *testing.T, text string) *siwe.Message {
	t.Helper()
	m, err := siwe.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, text)
	}
	if got := m.String(); got != text {
		t.Fatalf("String gives\n%q\nfor\n%q", got, text)
	}
	return m
}

// wantSyntax fails unless Parse refuses text with that field.
func wantSyntax(t *testing.T, text, field string) {
	t.Helper()
	m, err := siwe.Parse([]byte(text))
	var syntax *siwe.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("Parse gives %v, want a SyntaxError for\n%q", err, text)
	}
	if m != nil {
		t.Error("Parse gives a message beside its error")
	}
	if syntax.Field != field {
		t.Errorf("field %q (%s), want %q for\n%q", syntax.Field, syntax.Reason, field, text)
	}
	if syntax.Reason == "" {
		t.Error("no reason")
	}
}

// wantPlace fails unless Parse refuses what stands at that line and column of text.
func wantPlace(t *testing.T, text string, line, column int) {
	t.Helper()
	_, err := siwe.Parse([]byte(text))
	var syntax *siwe.SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != line || syntax.Column != column {
		t.Errorf("Parse gives %v, want line %d and column %d of\n%q", err, line, column, text)
	}
}

// wantReason fails unless policy refuses the message text at testNow for that reason, "" meaning not at all.
func wantReason(t *testing.T, policy siwe.Policy, text, reason string) {
	t.Helper()
	got := ""
	if err := policy.Check(parse(t, text), testNow); err != nil {
		var refused *siwe.PolicyError
		if !errors.As(err, &refused) {
			t.Fatalf("Check gives %v, want a PolicyError", err)
		}
		got = refused.Reason
	}
	if got != reason {
		t.Errorf("reason %q, want %q for\n%s", got, reason, text)
	}
}
