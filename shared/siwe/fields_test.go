package siwe_test

import (
	"fmt"
	"strings"
	"testing"

	"latchkey/shared/siwe"
)

// Attack cases 5 and 6, as far as the bytes alone decide.
func TestParse_domain(t *testing.T) {
	accepted := []string{
		"example.com", "EXAMPLE.com", "localhost", "localhost:3000", "example.com:443", "example.com:0", "example.com:65535",
		"example.com.", "xn--bcher-kva.example", "a_b~c", "!$&'()*+,;=", "%e2%82%ac.example", "127.0.0.1:8080", "999.999.999.999",
		"[::]", "[::1]:3000", "[2001:db8::7]", "[2001:DB8:0:0:8:800:200C:417A]:1", "[1:2:3:4:5:6:7::]", "[::ffff:192.0.2.1]",
		"[v1.a:b]", "[VF.~]:80",
	}
	for _, domain := range accepted {
		m := parse(t, swap(t, example, "example.com wants", domain+" wants"))
		if m.Domain != domain || !siwe.ValidDomain(domain) {
			t.Errorf("domain is %q, want %q", m.Domain, domain)
		}
	}
	rejected := []string{
		"", ":80", "example.com:", "example.com:65536", "example.com:99999999999999999999", "example.com:80a", "example.com:-1",
		"example.com:+1", "example.com:80:80", "trusted.example@evil.example", "user:pass@example.com", "@example.com",
		"exa mple.com", "example.com/", "example.com/path", "example.com?x", "example.com#x", "exa<mple", "example.com\\",
		"%", "%4", "%4g", "%zz", "a%", "[", "]", "[]", "[::1", "::1", "[::1]]", "[[::1]]", "[::1]x", "x[::1]", "[::1]:", "[::1]80",
		"[::1%25eth0]", "[::1%eth0]", "[1.2.3.4]", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[12345::]", "[::01.2.3.4]",
		"[1:2:3:4:5:6:7:8::]", "[v.a]", "[v1.]", "[v1]", "[vg.a]", "[v1.a%20]", "[v1.a@b]",
	}
	for _, domain := range rejected {
		wantSyntax(t, swap(t, example, "example.com wants", domain+" wants"), "domain")
		if siwe.ValidDomain(domain) {
			t.Errorf("ValidDomain(%q) holds", domain)
		}
	}
}

func TestParse_namesUserinfo(t *testing.T) {
	for domain, column := range map[string]int{"trusted.example@evil.example": 16, "user:pass@example.com": 10, "@example.com": 1} {
		_, err := siwe.Parse([]byte(swap(t, example, "example.com wants", domain+" wants")))
		if err == nil || err.Error() != fmt.Sprintf("domain: must not have userinfo (line 1, column %d: '@')", column) {
			t.Errorf("%s gives %v", domain, err)
		}
	}
}

// Attack case 6: any scheme is grammatical; Check decides.
func TestParse_scheme(t *testing.T) {
	for _, scheme := range []string{"https", "http", "HTTPS", "javascript", "a", "a1+-."} {
		if m := parse(t, scheme+"://"+example); m.Scheme != scheme {
			t.Errorf("scheme is %q, want %q", m.Scheme, scheme)
		}
	}
	for _, scheme := range []string{"", "1a", "+a", "a_b", "a b", "a%20", "a:b"} {
		wantSyntax(t, scheme+"://"+example, "scheme")
	}
	wantSyntax(t, "https:/"+example, "domain")
	wantSyntax(t, "https:///"+example, "domain")
	wantSyntax(t, "https://https://"+example, "domain")
}

// Attack case 7, as far as the bytes alone decide.
func TestParse_uri(t *testing.T) {
	accepted := []string{
		"https://example.com", "HTTPS://EXAMPLE.COM:/", "a:", "urn:isbn:0451450523", "did:key:z6Mk", "mailto:a@b.example", "file:///etc",
		"http://u:p%40@h:0123456789/p;a=1/../%2F?q=/?&r#f/?", "x+y-z.1:/abs", "x:rootless/a:b@c", "https://[::1]:1/", "https://?#",
		"https://a@b", "a:b?#", "https:/one-slash", "a://",
	}
	for _, uri := range accepted {
		if m := parse(t, swap(t, example, "https://example.com/login", uri)); m.URI != uri {
			t.Errorf("uri is %q, want %q", m.URI, uri)
		}
		parse(t, example+"\nResources:\n- "+uri)
	}
	rejected := []string{
		"", "/login", "//example.com", "login", "?q", "#f", ":", "://example.com", "1a:b", "a b:c", "https://exa mple.com",
		"https://example.com/ ", " https://example.com", "https://example.com/%", "https://example.com/%a", "https://example.com/%gg",
		"https://example.com/?%", "https://example.com/#%", "https://example.com/#a#b", "https://example.com/[x]", "https://a@b@c",
		"https://example.com:80a", "https://example.com:80:80", "https://[::1", "https://[zz]", "https://<x>", "https://a/\\b",
		"https://a/\"", "https://a/^", "https://a/`", "https://a/{b}", "https://a/|", "https://us[er@h/", "https://%4@h/",
	}
	for _, uri := range rejected {
		wantSyntax(t, swap(t, example, "https://example.com/login", uri), "uri")
		wantSyntax(t, example+"\nResources:\n- "+uri, "resources")
	}
}

// Attack case 9.
func TestParse_version(t *testing.T) {
	for _, version := range []string{"", "0", "2", "1 ", " 1", "01", "1.0", "11", "one"} {
		wantSyntax(t, swap(t, example, "Version: 1", "Version: "+version), "version")
	}
}

// Attack cases 8 and 18: one chain, one spelling.
func TestParse_chainID(t *testing.T) {
	for text, want := range map[string]uint64{"1": 1, "10": 10, "8453": 8453, "99999999": 99999999, "9007199254740991": siwe.MaxChainID} {
		if m := parse(t, swap(t, example, "Chain ID: 1", "Chain ID: "+text)); m.ChainID != want {
			t.Errorf("chain id is %d, want %d", m.ChainID, want)
		}
	}
	rejected := []string{
		"", "0", "00", "01", "001", "+1", "-1", " 1", "1 ", "1.0", "1e3", "0x1", "1_0", "one", "9007199254740992",
		"18446744073709551615", "18446744073709551616", "18446744073709551617", "1" + strings.Repeat("0", 100),
	}
	for _, text := range rejected {
		wantSyntax(t, swap(t, example, "Chain ID: 1", "Chain ID: "+text), "chain-id")
	}
}

func TestParse_nonce(t *testing.T) {
	for _, nonce := range []string{"12345678", "abcdefgh", "ABCDEFGH", strings.Repeat("aZ0", 500)} {
		if m := parse(t, swap(t, example, "0123456789abcdefABCDEF", nonce)); m.Nonce != nonce {
			t.Errorf("nonce is %q, want %q", m.Nonce, nonce)
		}
	}
	for _, nonce := range []string{"", "1234567", "1234-5678", "1234_5678", "abcdefg=", "abcd efgh", "abcdefgh ", " abcdefgh", "abcd%20efgh"} {
		wantSyntax(t, swap(t, example, "0123456789abcdefABCDEF", nonce), "nonce")
	}
}

func TestParse_requestID(t *testing.T) {
	for _, id := range []string{"", "a", "-._~!$&'()*+,;=:@", "%00%fF"} {
		if m := parse(t, example+"\nRequest ID: "+id); m.RequestID == nil || *m.RequestID != id {
			t.Errorf("request id is %v, want %q", m.RequestID, id)
		}
	}
	for _, id := range []string{" ", "a b", "a/b", "a?b", "a#b", "[a]", "%", "%1", "%1g", "a\"", "a%2"} {
		wantSyntax(t, example+"\nRequest ID: "+id, "request-id")
	}
	wantSyntax(t, example+"\nRequest ID:", "message")
}

func TestParse_resources(t *testing.T) {
	for _, entry := range []string{"", "- ", "-", "-https://a.example", "-  https://a.example", "* https://a.example", "https://a.example", "- https://a.example "} {
		wantSyntax(t, example+"\nResources:\n"+entry, "resources")
	}
	m := parse(t, example+"\nResources:\n- https://a.example/?x=%20y\n- https://a.example/?x=%20y")
	if len(m.Resources) != 2 || m.Resources[0] != "https://a.example/?x=%20y" {
		t.Errorf("resources are %q", m.Resources)
	}
}

// Attack case 14.
func TestParseAddress(t *testing.T) {
	// The mixed ones are from EIP-55.
	accepted := []string{
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
		"0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
		"0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED",
		"0x0000000000000000000000000000000000000001", "0x1111111111111111111111111111111111111111",
	}
	for _, text := range accepted {
		address, err := siwe.ParseAddress(text)
		if err != nil || !strings.EqualFold(address.Hex(), text) {
			t.Errorf("ParseAddress(%q) gives %v, %v", text, address, err)
		}
		if m := parse(t, swap(t, example, exampleAddress, text)); m.Address != address || m.AddressText != text {
			t.Errorf("address is %v as %q, want %v as %q", m.Address, m.AddressText, address, text)
		}
	}
	rejected := []string{
		"", "0x", "0x0000000000000000000000000000000000000000", "0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
		"5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAedd",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0x5Aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeg", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA d", " 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed ", "vitalik.eth",
	}
	for _, text := range rejected {
		if address, err := siwe.ParseAddress(text); err == nil {
			t.Errorf("ParseAddress(%q) gives %v", text, address)
		}
		wantSyntax(t, swap(t, example, exampleAddress, text), "address")
	}
}

// Attack case 14: the spellings of one address are one account.
func TestParseAddress_oneAccountForAllSpellings(t *testing.T) {
	mixed, _ := siwe.ParseAddress(exampleAddress)
	lower, _ := siwe.ParseAddress(strings.ToLower(exampleAddress))
	upper, _ := siwe.ParseAddress("0x" + strings.ToUpper(exampleAddress[2:]))
	if mixed != lower || mixed != upper || mixed.Hex() != exampleAddress {
		t.Errorf("%v, %v and %v differ", mixed, lower, upper)
	}
}

func TestSyntaxError_holdsNothingOfTheText(t *testing.T) {
	_, err := siwe.Parse([]byte(swap(t, example, "Nonce: 0123456789abcdefABCDEF", "Nonce: s3cret!")))
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "nonce") {
		t.Errorf("error is %v", err)
	}
}
