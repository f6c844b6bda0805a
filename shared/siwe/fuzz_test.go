package siwe_test

import (
	"errors"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

// FuzzParse holds that nothing panics, that Parse and the grammar agree, that what parses renders back byte for byte, and
// that Check gives no error but its own.
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
