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

// fieldsOfComplete has for each line of complete where fields begin in it. What
// is before the first is fixed text.
var fieldsOfComplete = [][]struct {
	at   int
	name string
}{
	{{0, "scheme"}, {len("https") + 1, "domain"}, {len("https://example.com") + 1, "message"}},
	{{0, "address"}}, {{0, "address"}}, {{0, "statement"}}, {{0, "statement"}},
	{{len("URI: "), "uri"}}, {{len("Version: "), "version"}}, {{len("Chain ID: "), "chain-id"}}, {{len("Nonce: "), "nonce"}},
	{{len("Issued At: "), "issued-at"}}, {{len("Expiration Time: "), "expiration-time"}}, {{len("Not Before: "), "not-before"}},
	{{len("Request ID: "), "request-id"}}, {}, {{0, "resources"}}, {{0, "resources"}},
}

// Attack cases 11 and 12: bytes that no field may have, wherever they stand. The
// field and the place are named.
func TestParse_rejectsForeignBytes(t *testing.T) {
	foreign := []string{
		"\x00", "\t", "\r", "\x1b", "\x7f", "\x80", "\xff", "é", "\u202e", "\u2028", "\u00a0", "\ufeff", "а", "１",
	}
	for _, c := range foreign {
		for i := range len(complete) + 1 {
			text, line, column, want := complete[:i]+c+complete[i:], strings.Count(complete[:i], "\n"), i-1-strings.LastIndex(complete[:i], "\n"), "message"
			for _, field := range fieldsOfComplete[line] {
				if column >= field.at {
					want = field.name
				}
			}
			wantSyntax(t, text, want)
			wantPlace(t, text, line+1, column+1)
		}
	}
}

// A dapp's developer is told which field is wrong, and where: the line, the
// column, and one character at most.
func TestParse_namesFieldAndPlace(t *testing.T) {
	const statement = "statement: may have letters, digits, spaces and -._~:/?#[]@!$&'()*+,;= only"
	const crlf = ": a line must end with a line feed alone, without a carriage return"
	const uri = "must be an absolute RFC 3986 URI of at most 2048 bytes"
	const date = "must be an RFC 3339 date-time that exists in the calendar"
	swapped := func(from, to string) string { return swap(t, complete, from, to) }
	for name, c := range map[string]struct{ text, want string }{
		"statement with ü":                  {swapped("Sign in.", "Sign in f\u00fcr."), statement + " (line 4, column 10: U+00FC)"},
		"statement with an emoji":           {swapped("Sign in.", "\U0001f680"), statement + " (line 4, column 1: U+1F680)"},
		"statement with a tab":              {swapped("Sign in.", "Sign\tin."), statement + " (line 4, column 5: U+0009)"},
		"statement with a quotation mark":   {swapped("Sign in.", `Sign "in".`), statement + ` (line 4, column 6: '"')`},
		"statement with a backslash":        {swapped("Sign in.", `Sign in\`), statement + ` (line 4, column 8: '\\')`},
		"statement with CRLF in it":         {swapped("Sign in.", "Sign\r\nin."), "statement" + crlf + " (line 4, column 5: U+000D)"},
		"statement in two lines":            {swapped("Sign in.", "Sign\nin."), "statement: an empty line is missing after the statement (line 5)"},
		"ü in the second line of it":        {swapped("Sign in.", "Sign\nf\u00fcr"), statement + " (line 5, column 2: U+00FC)"},
		"CRLF throughout":                   {strings.ReplaceAll(complete, "\n", "\r\n"), "message" + crlf + " (line 1, column 69: U+000D)"},
		"CRLF after the nonce":              {swapped("ABCDEF\n", "ABCDEF\r\n"), "nonce" + crlf + " (line 9, column 30: U+000D)"},
		"a byte that is not UTF-8":          {swapped("Sign in.", "Sign\xffin."), statement + " (line 4, column 5: byte 0xFF)"},
		"domain with ü":                     {swapped("example.com wants", "b\u00fccher.example wants"), "domain: may have printable ASCII only (line 1, column 10: U+00FC)"},
		"domain with a space":               {swapped("example.com wants", "exa mple.com wants"), "domain: must have an RFC 3986 host (line 1, column 12: ' ')"},
		"domain with a port that is text":   {swapped("example.com wants", "example.com:80a wants"), "domain: the port must be a number from 0 to 65535 (line 1, column 23: 'a')"},
		"domain with a port too high":       {swapped("example.com wants", "example.com:65536 wants"), "domain: the port must be a number from 0 to 65535 (line 1, column 21)"},
		"domain with an empty port":         {swapped("example.com wants", "example.com: wants"), "domain: the port must be a number from 0 to 65535 (line 1, column 21: it ends there)"},
		"domain with a broken bracket":      {swapped("example.com wants", "[::1 wants"), "domain: must have an RFC 3986 host (line 1, column 9: '[')"},
		"no domain":                         {swapped("https://example.com wants", " wants"), "domain: must have an RFC 3986 host (line 1, column 1: it ends there)"},
		"scheme":                            {swapped("https://example.com wants", "ht_tps://example.com wants"), "scheme: must be an RFC 3986 scheme (line 1, column 3: '_')"},
		"header":                            {swapped("account:", "account"), `message: the first line must end with "wants you to sign in with your Ethereum account:" (line 1)`},
		"address with 0X":                   {swapped("0x5a", "0X5a"), "address: must be 0x and 40 hexadecimal digits (line 2, column 2: 'X')"},
		"address with another letter":       {swapped("0x5a", "0x5g"), "address: must be 0x and 40 hexadecimal digits (line 2, column 4: 'g')"},
		"address too short":                 {swapped("0x5a", "0x5"), "address: must be 0x and 40 hexadecimal digits (line 2, column 42: it ends there)"},
		"address too long":                  {swapped("0x5a", "0x55a"), "address: must be 0x and 40 hexadecimal digits (line 2, column 43: 'd')"},
		"address with a wrong checksum":     {swapped("0x5aA", "0x5aa"), "address: the mixed case is not the checksum of EIP-55: use that, or lower case (line 2, column 1)"},
		"address with a space":              {swapped("\n0x5a", "\n 0x5a"), "address: must be 0x and 40 hexadecimal digits (line 2, column 1: ' ')"},
		"uri without a scheme":              {swapped("https://example.com/login", "/login"), "uri: " + uri + " (line 6, column 6: '/')"},
		"uri of one word":                   {swapped("https://example.com/login", "login"), "uri: " + uri + " (line 6, column 11: it ends there)"},
		"uri with a space in its scheme":    {swapped("https://example.com/login", "a b:c"), "uri: " + uri + " (line 6, column 7: ' ')"},
		"uri with a space in its path":      {swapped("https://example.com/login", "https://example.com/lo gin"), "uri: " + uri + " (line 6, column 28: ' ')"},
		"uri with a broken encoding":        {swapped("https://example.com/login", "https://example.com/?a=%2"), "uri: " + uri + " (line 6, column 29: '%')"},
		"uri with two fragments":            {swapped("https://example.com/login", "https://example.com/#a#b"), "uri: " + uri + " (line 6, column 28: '#')"},
		"uri with a wrong userinfo":         {swapped("https://example.com/login", "https://u[@example.com"), "uri: " + uri + " (line 6, column 15: '[')"},
		"uri with a wrong host":             {swapped("https://example.com/login", "https://u@ex<mple.com"), "uri: " + uri + " (line 6, column 18: '<')"},
		"uri with a wrong port":             {swapped("https://example.com/login", "https://u@example.com:8x/"), "uri: " + uri + " (line 6, column 29: 'x')"},
		"uri too long":                      {swapped("https://example.com/login", "https://example.com/"+strings.Repeat("x", 2048)), "uri: " + uri + " (line 6, column 6)"},
		"no uri":                            {swapped("URI: https://example.com/login\n", ""), "uri: the line is missing or out of order (line 6)"},
		"version":                           {swapped("Version: 1", "Version: 2"), "version: must be 1 (line 7, column 10: '2')"},
		"version with more":                 {swapped("Version: 1", "Version: 1.0"), "version: must be 1 (line 7, column 11: '.')"},
		"version with nothing":              {swapped("Version: 1", "Version: "), "version: must be 1 (line 7, column 10: it ends there)"},
		"chain id in hex":                   {swapped("Chain ID: 1", "Chain ID: 0x1"), "chain-id: must be a decimal number (line 8, column 12: 'x')"},
		"chain id with a leading zero":      {swapped("Chain ID: 1", "Chain ID: 01"), "chain-id: must not be zero or begin with a zero (line 8, column 11: '0')"},
		"chain id too large":                {swapped("Chain ID: 1", "Chain ID: 9007199254740992"), "chain-id: must not be above 2^53-1 (line 8, column 11)"},
		"chain id with a space at the end":  {swapped("Chain ID: 1", "Chain ID: 1 "), "chain-id: must be a decimal number (line 8, column 12: ' ')"},
		"nonce with a hyphen":               {swapped("0123456789abcdefABCDEF", "1234-56789"), "nonce: must be 8 or more letters and digits (line 9, column 12: '-')"},
		"nonce too short":                   {swapped("0123456789abcdefABCDEF", "1234567"), "nonce: must be 8 or more letters and digits (line 9, column 15: it ends there)"},
		"nonce with a no-break space":       {swapped("Nonce: 0", "Nonce: \u00a00"), "nonce: may have printable ASCII only (line 9, column 8: U+00A0)"},
		"label with a no-break space":       {swapped("Nonce: 0", "Nonce:\u00a00"), "message: may have printable ASCII only (line 9, column 7: U+00A0)"},
		"issued at with a space":            {swapped("2026-03-01T12:00:00.000Z", "2026-03-01 12:00:00.000Z"), "issued-at: " + date + " (line 10, column 22: ' ')"},
		"issued at without a zone":          {swapped("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.000"), "issued-at: " + date + " (line 10, column 35: it ends there)"},
		"issued at with an empty fraction":  {swapped("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.Z"), "issued-at: " + date + " (line 10, column 31: '.')"},
		"issued at as a number":             {swapped("2026-03-01T12:00:00.000Z", "1772366400"), "issued-at: " + date + " (line 10, column 16: '3')"},
		"issued at with text after it":      {swapped("2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00Z "), "issued-at: " + date + " (line 10, column 32: ' ')"},
		"expiration in February":            {swapped("2026-03-01T12:05:00Z", "2026-02-30T12:05:00Z"), "expiration-time: " + date + " (line 11, column 18)"},
		"not before with a zone of an hour": {swapped("11:59:00+00:00", "11:59:00+00"), "not-before: " + date + " (line 12, column 35: it ends there)"},
		"request id with a slash":           {swapped("some%20request", "some/request"), "request-id: has a character that is not allowed, or a broken percent-encoding (line 13, column 17: '/')"},
		"request id with ü":                 {swapped("some%20request", "f\u00fcr"), "request-id: may have printable ASCII only (line 13, column 14: U+00FC)"},
		"resource with a space":             {swapped("version=2#top", "version= 2#top"), "resources: each entry " + uri + " (line 15, column 37: ' ')"},
		"resource without a mark":           {swapped("- ipfs", "* ipfs"), `resources: each entry must begin with "- " (line 16)`},
		"resource with ü":                   {swapped("- ipfs", "- \u00fcpfs"), "resources: may have printable ASCII only (line 16, column 3: U+00FC)"},
		"too many resources":                {complete + strings.Repeat("\n- a:", siwe.MaxResources), "resources: must not have more than 10 entries (line 25)"},
		"an unknown line":                   {example + "\nnot-before: x", "message: has a line that is empty, unknown, repeated or out of order (line 11)"},
		"ü in an unknown line":              {example + "\n\u00fcber", "message: may have printable ASCII only (line 11, column 1: U+00FC)"},
		"longer than a message may be":      {complete + strings.Repeat("x", siwe.MaxLength), "message: must not be longer than 4096 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := siwe.Parse([]byte(c.text)); err == nil || err.Error() != c.want {
				t.Errorf("got\n%v, want\n%s", err, c.want)
			}
		})
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
		"byte order mark":                    {"\ufeff" + example, "domain"},
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
