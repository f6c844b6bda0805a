package siwe_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

// grammar is a second reading of the standard to hold the parser against: the ABNF of EIP-4361, RFC 3986 and RFC 3339,
// rule for rule. It differs from them where the parser's own rules are regular: no userinfo, no empty host, no empty port
// and no port above 65535 in the domain, "0x" in lower case, and no leading zero in the chain id.
var grammar = regexp.MustCompile(abnf())

func abnf() string {
	const (
		unreserved = `A-Za-z0-9\-._~`
		subDelims  = `!$&'()*+,;=`
		pct        = `%[0-9A-Fa-f]{2}`
		hexGroup   = `[0-9A-Fa-f]{1,4}`
		octet      = `(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
		scheme     = `[A-Za-z][A-Za-z0-9+\-.]*`
		pchar      = `(?:[` + unreserved + subDelims + `:@]|` + pct + `)`
		name       = `(?:[` + unreserved + subDelims + `]|` + pct + `)`
		userinfo   = `(?:[` + unreserved + subDelims + `:]|` + pct + `)*`
		future     = `[vV][0-9A-Fa-f]+\.[` + unreserved + subDelims + `:]+`
		last32     = `(?:` + hexGroup + `:` + hexGroup + `|` + octet + `(?:\.` + octet + `){3})`
		port       = `0*(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})`
		instant    = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+\-][0-9]{2}:[0-9]{2})`
	)
	ipv6 := `(?:` + strings.Join([]string{
		`(?:H:){6}L`, `::(?:H:){5}L`, `(?:H)?::(?:H:){4}L`, `(?:(?:H:){0,1}H)?::(?:H:){3}L`, `(?:(?:H:){0,2}H)?::(?:H:){2}L`,
		`(?:(?:H:){0,3}H)?::H:L`, `(?:(?:H:){0,4}H)?::L`, `(?:(?:H:){0,5}H)?::H`, `(?:(?:H:){0,6}H)?::`,
	}, "|") + `)`
	ipv6 = strings.NewReplacer("H", hexGroup, "L", last32).Replace(ipv6)
	literal := `\[(?:` + ipv6 + `|` + future + `)\]`
	domain := `(?:` + literal + `|` + name + `+)(?::` + port + `)?`
	authority := `(?:` + userinfo + `@)?(?:` + literal + `|` + name + `*)(?::[0-9]*)?`
	tail := `(?:\?(?:` + pchar + `|[/?])*)?(?:#(?:` + pchar + `|[/?])*)?`
	path := `(?://` + authority + `(?:/` + pchar + `*)*|/(?:` + pchar + `+(?:/` + pchar + `*)*)?|` + pchar + `+(?:/` + pchar + `*)*|)`
	uri := scheme + `:` + path + tail
	return `\A(?:` + scheme + `://)?` + domain + ` wants you to sign in with your Ethereum account:\n` +
		`0x[0-9A-Fa-f]{40}\n\n(?:[` + unreserved + subDelims + `:/?#\[\]@ ]*\n)?\n` +
		`URI: ` + uri + `\nVersion: 1\nChain ID: [1-9][0-9]*\nNonce: [A-Za-z0-9]{8,}\nIssued At: ` + instant +
		`(?:\nExpiration Time: ` + instant + `)?(?:\nNot Before: ` + instant + `)?(?:\nRequest ID: ` + pchar + `*)?` +
		`(?:\nResources:(?:\n- ` + uri + `)*)?\z`
}

// irregular are the fields in which the parser has rules beyond the grammar: checksum and zero, 2^53-1, the calendar, and
// how many and how long.
const irregular = "message address chain-id issued-at expiration-time not-before uri resources"

// holdsToGrammar fails where Parse and the grammar disagree over raw, or where what parses renders to other bytes.
func holdsToGrammar(t *testing.T, raw []byte) {
	t.Helper()
	m, err := siwe.Parse(raw)
	grammatical := grammar.Match(raw)
	if err == nil {
		if !grammatical {
			t.Errorf("Parse accepts what the grammar does not have: %q", raw)
		}
		if got := m.String(); got != string(raw) {
			t.Errorf("String gives\n%q for\n%q", got, raw)
		}
		return
	}
	var syntax *siwe.SyntaxError
	if !errors.As(err, &syntax) {
		t.Fatalf("Parse gives %T, want a SyntaxError", err)
	}
	if grammatical && !strings.Contains(irregular, syntax.Field) {
		t.Errorf("Parse refuses what the grammar has, for %v: %q", err, raw)
	}
	// These two have their own rules in length only.
	if grammatical && len(raw) <= 1024 && (syntax.Field == "message" || syntax.Field == "uri") {
		t.Errorf("Parse refuses what the grammar has, for %v: %q", err, raw)
	}
}
