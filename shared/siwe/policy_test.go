package siwe_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey/shared/siwe"
)

func TestCheck_accepts(t *testing.T) {
	wantReason(t, testPolicy(), example, "")
	wantReason(t, testPolicy(), complete, "")
}

func TestCheck_zeroPolicyAcceptsNothing(t *testing.T) {
	wantReason(t, siwe.Policy{}, example, "domain")
}

// Attack case 5.
func TestCheck_domain(t *testing.T) {
	for _, domain := range []string{
		"evil.example", "example.com.evil.example", "evilexample.com", "EXAMPLE.com", "example.com:443", "example.com:80", "example.com.",
		"www.example.com", "app.example.com", "app.example.com:8444", "app.example.com:08443", "xn--exmple-cua.com", "example%2ecom", "[::1]",
	} {
		// The URI follows, so that the domain alone is what is wrong.
		text := strings.ReplaceAll(example, "example.com", domain)
		wantReason(t, testPolicy(), text, "domain")
	}
	wantReason(t, testPolicy(), strings.ReplaceAll(example, "example.com", "app.example.com:8443"), "")
}

// Attack cases 6 and 18.
func TestCheck_scheme(t *testing.T) {
	for scheme, reason := range map[string]string{
		"https": "", "http": "scheme", "HTTPS": "scheme", "Https": "scheme", "javascript": "scheme", "ftp": "scheme", "httpss": "scheme",
	} {
		wantReason(t, testPolicy(), scheme+"://"+example, reason)
	}
}

// Attack case 7.
func TestCheck_uri(t *testing.T) {
	for uri, reason := range map[string]string{
		"https://example.com":                      "",
		"https://example.com/":                     "",
		"https://example.com/a/../b":               "",
		"https://example.com?next=/":               "",
		"https://example.com#top":                  "",
		"http://example.com/login":                 "uri",
		"HTTPS://example.com/login":                "uri",
		"https://EXAMPLE.com/login":                "uri",
		"https://evil.example/login":               "uri",
		"https://example.com.evil.example/":        "uri",
		"https://example.com@evil.example/":        "uri",
		"https://example.com:pass@evil.example":    "uri",
		"https://example.com:443/login":            "uri",
		"https://example.com:/login":               "uri",
		"https://evil.example/https://example.com": "uri",
		"https://app.example.com:8443/login":       "uri", // accepted, but not this message's domain
		"https:example.com":                        "uri",
		"https:/example.com":                       "uri",
		"https:///example.com":                     "uri",
		"https://www.example.com/login":            "uri",
		"https://example.co":                       "uri",
		"https://example.com%2f":                   "uri",
		"javascript:alert(1)":                      "uri",
	} {
		wantReason(t, testPolicy(), swap(t, example, "https://example.com/login", uri), reason)
	}
}

func TestCheck_allowHTTP(t *testing.T) {
	domains := []string{"localhost", "localhost:3000", "127.0.0.1:3000", "[::1]", "[::1]:3000"}
	remote := []string{"example.com", "localhost.example.com", "notlocalhost", "127.0.0.2", "[::2]", "127.0.0.1.example.com:3000", "LOCALHOST"}
	policy := testPolicy()
	policy.Domains = append(domains, remote...)
	message := func(scheme, origin, domain string) string {
		return scheme + strings.Replace(strings.ReplaceAll(example, "example.com", domain), "https://", origin+"://", 1)
	}
	check := func(allow bool, domain, schemeReason, uriReason string) {
		policy.AllowHTTP = allow
		wantReason(t, policy, message("", "https", domain), "")
		wantReason(t, policy, message("https://", "https", domain), "")
		wantReason(t, policy, message("http://", "http", domain), schemeReason)
		wantReason(t, policy, message("http://", "https", domain), schemeReason)
		wantReason(t, policy, message("", "http", domain), uriReason)
	}
	for _, domain := range domains {
		check(true, domain, "", "")
		check(false, domain, "scheme", "uri")
	}
	for _, domain := range remote {
		check(true, domain, "scheme", "uri")
	}
}

func TestPolicy_origin(t *testing.T) {
	for domain, want := range map[string]string{
		"example.com": "https://example.com", "localhost:3000": "http://localhost:3000", "[::1]:3000": "http://[::1]:3000",
	} {
		if got := (siwe.Policy{AllowHTTP: true}).Origin(domain); got != want {
			t.Errorf("origin of %s is %s, want %s", domain, got, want)
		}
	}
	if got := (siwe.Policy{}).Origin("localhost:3000"); got != "https://localhost:3000" {
		t.Errorf("origin without AllowHTTP is %s", got)
	}
}

// Attack case 8.
func TestCheck_chain(t *testing.T) {
	for chain, reason := range map[string]string{"1": "", "8453": "", "2": "chain", "11": "chain", "99999999": "chain", "9007199254740991": "chain"} {
		wantReason(t, testPolicy(), swap(t, example, "Chain ID: 1", "Chain ID: "+chain), reason)
	}
}

func TestCheck_statement(t *testing.T) {
	for _, statement := range []string{"", "Sign in", "sign in.", "Sign in. ", " Sign in.", "Sign in.."} {
		wantReason(t, testPolicy(), swap(t, example, "Sign in.", statement), "statement")
	}
	wantReason(t, testPolicy(), swap(t, example, "Sign in.\n\n", "\n"), "statement")

	// Not even a policy of an empty statement takes a missing one for it.
	policy := testPolicy()
	policy.Statement = ""
	wantReason(t, policy, swap(t, example, "Sign in.\n\n", "\n"), "statement")
	wantReason(t, policy, swap(t, example, "Sign in.\n\n", "\n\n"), "")
}

func TestCheck_severalStatements(t *testing.T) {
	policy := testPolicy()
	policy.OtherStatements = []string{"Sign in with Ethereum to the app.", "I am in."}
	for statement, reason := range map[string]string{
		"Sign in.": "", "Sign in with Ethereum to the app.": "", "I am in.": "",
		"Sign in. I am in.": "statement", "Sign in.|I am in.": "syntax", "I am": "statement", "": "statement",
	} {
		text := swap(t, example, "Sign in.", statement)
		if reason == "syntax" {
			wantSyntax(t, text, "statement")
			continue
		}
		wantReason(t, policy, text, reason)
	}
	resource := recapOf(detailsOfWalletConnect)
	wantReason(t, policy, withRecap(t, "I am in. "+sentenceOfWalletConnect, resource), "")
	wantReason(t, policy, withRecap(t, "I am out. "+sentenceOfWalletConnect, resource), "statement")
}

// Every reason has what was wanted and what came; now is 12:00:30. The error
// itself has neither.
func TestPolicyError_explain(t *testing.T) {
	policy := testPolicy()
	policy.OtherStatements = []string{"I am in."}
	recap := recapOf(detailsOfWalletConnect)
	for text, want := range map[string]string{
		strings.ReplaceAll(example, "example.com", "evil.example"): `domain: wanted "example.com" or "app.example.com:8443", got "evil.example"`,
		"http://" + example: `scheme: wanted "https", got "http"`,
		swap(t, example, "https://example.com/login", "https://evil.example/"):                       `uri: wanted "https://example.com" or a URI there, got "https://evil.example/"`,
		swap(t, example, "Chain ID: 1", "Chain ID: 5"):                                               `chain: wanted 1 or 8453, got 5`,
		swap(t, example, "Sign in.", "Sign in with Ethereum to the app."):                            `statement: wanted "Sign in." or "I am in.", got "Sign in with Ethereum to the app."`,
		swap(t, example, "Sign in.\n\n", "\n"):                                                       `statement: wanted "Sign in." or "I am in.", got none`,
		withRecap(t, "Sign in.", recap):                                                              `statement: wanted "Sign in. ` + sentenceOfWalletConnect + `" or "I am in. ` + sentenceOfWalletConnect + `", got "Sign in."`,
		withRecap(t, "Sign in.", "urn:recap:e"):                                                      `resources: wanted at most one "urn:recap:" resource, the last one, as in ERC-5573, got "urn:recap:e"`,
		swap(t, example, "2026-03-01T12:00:00.000Z", "2026-03-01T11:00:00+00:00"):                    `issued-at: wanted a time from 2026-03-01T11:50:30.000Z to 2026-03-01T12:01:30.000Z, got 2026-03-01T11:00:00+00:00`,
		example + "\nExpiration Time: 2026-03-01T12:00:30Z":                                          `expired: wanted an expiration time after 2026-03-01T12:00:30.000Z, got 2026-03-01T12:00:30Z`,
		example + "\nNot Before: 2026-03-01T12:02:00Z":                                               `not-yet-valid: wanted a not-before time until 2026-03-01T12:01:30.000Z and before the expiration time, got 2026-03-01T12:02:00Z`,
		example + "\nExpiration Time: 2026-03-01T12:00:50Z\nNot Before: 2026-03-01T12:00:50.000000Z": `not-yet-valid: wanted a not-before time until 2026-03-01T12:01:30.000Z and before the expiration time, got 2026-03-01T12:00:50.000000Z`,
	} {
		var refused *siwe.PolicyError
		if err := policy.Check(parse(t, text), testNow); !errors.As(err, &refused) {
			t.Fatalf("%v for\n%s", err, text)
		}
		if got := refused.Explain(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := refused.Error(); got != "message not accepted: "+refused.Reason {
			t.Errorf("the error is %s", got)
		}
	}
}

// Attack case 10; now is 12:00:30.
func TestCheck_issuedAt(t *testing.T) {
	for issued, reason := range map[string]string{
		"2026-03-01T12:00:30Z":            "",
		"2026-03-01T12:01:30Z":            "",
		"2026-03-01T12:01:30.001Z":        "issued-at",
		"2026-03-01T12:01:30.0000000001Z": "issued-at",
		"2026-03-01T13:00:30Z":            "issued-at",
		"2026-03-01T11:50:30Z":            "",
		"2026-03-01T11:50:29.999Z":        "issued-at",
		"2026-02-28T12:00:30Z":            "issued-at",
		"2026-03-01T14:00:30+02:00":       "",
		"2026-03-01T12:00:30+02:00":       "issued-at",
		"2026-03-01T12:00:30-02:00":       "issued-at",
		"9999-12-31T23:59:59Z":            "issued-at",
		"0001-01-01T00:00:00Z":            "issued-at",
	} {
		wantReason(t, testPolicy(), swap(t, example, "2026-03-01T12:00:00.000Z", issued), reason)
	}
}

// Attack case 10: the interval is half open, and each end holds without the other.
func TestCheck_validity(t *testing.T) {
	for lines, reason := range map[string]string{
		"Expiration Time: 2026-03-01T12:00:31Z":                                   "",
		"Expiration Time: 2026-03-01T12:00:30.001Z":                               "",
		"Expiration Time: 2026-03-01T12:00:30.0000000001Z":                        "",
		"Expiration Time: 2026-03-01T12:00:30Z":                                   "expired",
		"Expiration Time: 2026-03-01T12:00:29Z":                                   "expired",
		"Expiration Time: 2026-03-01T13:00:30+02:00":                              "expired",
		"Expiration Time: 0001-01-01T00:00:00Z":                                   "expired",
		"Not Before: 2026-03-01T12:00:29Z":                                        "",
		"Not Before: 2026-03-01T12:00:30Z":                                        "",
		"Not Before: 2026-03-01T12:00:30-02:00":                                   "not-yet-valid",
		"Expiration Time: 2026-03-01T12:00:31Z\nNot Before: 2026-03-01T12:00:30Z": "",
		"Expiration Time: 2026-03-01T12:00:30Z\nNot Before: 2026-03-01T12:00:29Z": "expired",
	} {
		wantReason(t, testPolicy(), example+"\n"+lines, reason)
	}
}

// A signer's clock may be a minute ahead: a message whose Not Before is ten
// seconds ahead of the server's clock is accepted, as one whose Issued At is.
// Its end does not move: an expired message is never accepted. Now is 12:00:30.
func TestCheck_notBeforeAheadOfTheClock(t *testing.T) {
	for lines, reason := range map[string]string{
		"Not Before: 2026-03-01T12:00:40Z":                                              "",
		"Not Before: 2026-03-01T12:01:29.999Z":                                          "",
		"Not Before: 2026-03-01T12:01:30Z":                                              "",
		"Not Before: 2026-03-01T14:01:30+02:00":                                         "",
		"Not Before: 2026-03-01T12:01:30.0000000001Z":                                   "not-yet-valid",
		"Not Before: 2026-03-01T12:01:30.001Z":                                          "not-yet-valid",
		"Not Before: 2026-03-01T12:01:31Z":                                              "not-yet-valid",
		"Expiration Time: 2026-03-01T12:01:00Z\nNot Before: 2026-03-01T12:00:59Z":       "",
		"Expiration Time: 2026-03-01T12:00:31Z\nNot Before: 2026-03-01T12:00:30.999Z":   "",
		"Expiration Time: 2026-03-01T12:00:30.001Z\nNot Before: 2026-03-01T12:00:29.5Z": "",
		"Expiration Time: 2026-03-01T12:00:30Z\nNot Before: 2026-03-01T12:00:40Z":       "expired",
		"Expiration Time: 2026-03-01T12:00:29.999Z\nNot Before: 2026-03-01T12:00:29Z":   "expired",
		// Never valid, by any clock.
		"Expiration Time: 2026-03-01T12:00:50Z\nNot Before: 2026-03-01T12:00:50Z": "not-yet-valid",
		"Expiration Time: 2026-03-01T12:00:40Z\nNot Before: 2026-03-01T12:01:00Z": "not-yet-valid",
	} {
		wantReason(t, testPolicy(), example+"\n"+lines, reason)
	}
	// Both times ahead, of a wallet whose clock is a minute ahead.
	ahead := swap(t, example, "2026-03-01T12:00:00.000Z", "2026-03-01T12:01:30Z")
	wantReason(t, testPolicy(), ahead+"\nNot Before: 2026-03-01T12:01:30Z", "")
	exact := testPolicy()
	exact.MaxAhead = 0
	wantReason(t, exact, example+"\nNot Before: 2026-03-01T12:00:30Z", "")
	wantReason(t, exact, example+"\nNot Before: 2026-03-01T12:00:30.001Z", "not-yet-valid")
}

func TestCheck_movesWithTheClock(t *testing.T) {
	m := parse(t, example)
	issued := m.IssuedAt.Instant()
	for age, accepted := range map[time.Duration]bool{
		-time.Minute - 1: false, -time.Minute: true, 0: true, 10 * time.Minute: true, 10*time.Minute + 1: false,
	} {
		if err := testPolicy().Check(m, issued.Add(age)); (err == nil) != accepted {
			t.Errorf("at an age of %s Check gives %v", age, err)
		}
	}
}
