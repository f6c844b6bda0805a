package siwe

import (
	"strconv"
	"strings"
)

// SyntaxError says that a text is not an acceptable EIP-4361 message. It
// contains nothing of the text, so it can be shown to the sender.
type SyntaxError struct {
	// Field is the part that is wrong: "message" (the text as a whole, or a
	// line that belongs nowhere), "scheme", "domain", "address", "statement",
	// "uri", "version", "chain-id", "nonce", "issued-at", "expiration-time",
	// "not-before", "request-id" or "resources".
	Field string
	// Reason says in a few words what is wrong with it. It is for people and
	// may change.
	Reason string
}

// Error returns the field and the reason.
func (e *SyntaxError) Error() string { return e.Field + ": " + e.Reason }

// Parse reads a message from the bytes that were signed. Every error is a
// [*SyntaxError].
//
// It is stricter than the grammar if the grammar lets one message mean two
// things, or nothing. It refuses userinfo, an empty host or an empty port in
// the domain, "0X", an address that fails EIP-55 or is zero, leading zeros in
// the chain id, dates that do not exist, and unbounded sizes.
func Parse(raw []byte) (*Message, error) {
	if err := checkBytes(raw); err != nil {
		return nil, err
	}
	p := &parser{lines: strings.Split(string(raw), "\n"), m: &Message{}}
	steps := []func() error{
		p.header, p.address, p.statement,
		p.uri, p.version, p.chainID, p.nonce, p.issuedAt,
		p.expirationTime, p.notBefore, p.requestID, p.resources, p.end,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p.m, nil
}

// checkBytes checks the length and the characters of the whole text. No field
// of the grammar has a byte outside printable ASCII. Refusing them here keeps
// carriage returns, NUL, escape sequences, homoglyphs and bidirectional marks
// out of every field at once.
func checkBytes(raw []byte) error {
	if len(raw) > MaxLength {
		return &SyntaxError{"message",
			"must not be longer than " + strconv.Itoa(MaxLength) + " bytes"}
	}
	for _, c := range raw {
		if c != '\n' && (c < ' ' || c > '~') {
			return &SyntaxError{"message",
				"has a byte that is neither printable ASCII nor a line feed"}
		}
	}
	return nil
}

// parser reads the lines of a message from the top. Each method reads one part
// of the grammar into m.
type parser struct {
	lines []string
	m     *Message
}

func (p *parser) peek() (line string, ok bool) {
	if len(p.lines) == 0 {
		return "", false
	}
	return p.lines[0], true
}

// blank reads a line that must be empty. It does not skip text in that line:
// the person who signs would see the text, and nobody else.
func (p *parser) blank(field, where string) error {
	line, ok := p.peek()
	if !ok || line != "" {
		return &SyntaxError{field, "an empty line is missing " + where}
	}
	p.lines = p.lines[1:]
	return nil
}

// optional reads the next line if it has that label.
func (p *parser) optional(label string) (value string, ok bool) {
	line, _ := p.peek()
	value, ok = strings.CutPrefix(line, label)
	if ok {
		p.lines = p.lines[1:]
	}
	return value, ok
}

// required reads the next line, which must have that label.
func (p *parser) required(field, label string) (string, error) {
	value, ok := p.optional(label)
	if !ok {
		return "", &SyntaxError{field, "the line is missing or out of order"}
	}
	return value, nil
}

func (p *parser) header() error {
	line, _ := p.peek()
	origin, ok := strings.CutSuffix(line, headerEnd)
	if !ok {
		return &SyntaxError{"message", `the first line must end with "` + headerEnd[1:] + `"`}
	}
	p.lines = p.lines[1:]
	p.m.Domain = origin
	// An authority has no slash, so the first "://" can only end a scheme.
	if scheme, rest, found := strings.Cut(origin, schemeEnd); found {
		if !validScheme(scheme) {
			return &SyntaxError{"scheme", "must be an RFC 3986 scheme"}
		}
		p.m.Scheme, p.m.Domain = scheme, rest
	}
	if fault := domainFault(p.m.Domain); fault != "" {
		return &SyntaxError{"domain", fault}
	}
	return nil
}

func (p *parser) address() error {
	line, ok := p.peek()
	if !ok {
		return &SyntaxError{"address", "the line is missing"}
	}
	address, err := ParseAddress(line)
	if err != nil {
		return err
	}
	p.m.Address, p.m.AddressText = address, line
	p.lines = p.lines[1:]
	return p.blank("address", "after the address")
}

// statement reads [ statement LF ] LF. Line feeds alone decide between its
// three forms: no statement is one empty line, an empty statement is two empty
// lines, and any other is its line and an empty one.
func (p *parser) statement() error {
	line, ok := p.peek()
	if ok && line == "" && (len(p.lines) == 1 || p.lines[1] != "") {
		return p.blank("statement", "in place of the statement")
	}
	if !ok {
		return &SyntaxError{"statement", "an empty line is missing in place of the statement"}
	}
	if !ValidStatement(line) {
		return &SyntaxError{"statement",
			"may have letters, digits, spaces and -._~:/?#[]@!$&'()*+,;= only"}
	}
	p.m.Statement = &line
	p.lines = p.lines[1:]
	return p.blank("statement", "after the statement")
}

func (p *parser) uri() (err error) {
	if p.m.URI, err = p.required("uri", uriLabel); err != nil {
		return err
	}
	if !validURI(p.m.URI) {
		return &SyntaxError{"uri", "must be an absolute RFC 3986 URI of at most 2048 bytes"}
	}
	return nil
}

func (p *parser) version() (err error) {
	if p.m.Version, err = p.required("version", versionLabel); err != nil {
		return err
	}
	if p.m.Version != Version {
		return &SyntaxError{"version", "must be " + Version}
	}
	return nil
}

// chainID refuses leading zeros. With them one chain would have many spellings,
// and a signature over one spelling could be presented with another.
func (p *parser) chainID() error {
	text, err := p.required("chain-id", chainIDLabel)
	if err != nil {
		return err
	}
	if text == "" || !consistsOf(text, isDigit) {
		return &SyntaxError{"chain-id", "must be a decimal number"}
	}
	if text[0] == '0' {
		return &SyntaxError{"chain-id", "must not be zero or begin with a zero"}
	}
	p.m.ChainID, err = strconv.ParseUint(text, 10, 64)
	if err != nil || p.m.ChainID > MaxChainID {
		return &SyntaxError{"chain-id", "must not be above 2^53-1"}
	}
	return nil
}

func (p *parser) nonce() (err error) {
	if p.m.Nonce, err = p.required("nonce", nonceLabel); err != nil {
		return err
	}
	if len(p.m.Nonce) < 8 || !consistsOf(p.m.Nonce, isAlphanumeric) {
		return &SyntaxError{"nonce", "must be 8 or more letters and digits"}
	}
	return nil
}

func (p *parser) issuedAt() error {
	text, err := p.required("issued-at", issuedAtLabel)
	if err != nil {
		return err
	}
	p.m.IssuedAt, err = parseTime("issued-at", text)
	return err
}

func (p *parser) expirationTime() (err error) {
	p.m.ExpirationTime, err = p.optionalTime("expiration-time", expirationTimeLabel)
	return err
}

func (p *parser) notBefore() (err error) {
	p.m.NotBefore, err = p.optionalTime("not-before", notBeforeLabel)
	return err
}

func (p *parser) optionalTime(field, label string) (*Time, error) {
	text, ok := p.optional(label)
	if !ok {
		return nil, nil
	}
	t, err := parseTime(field, text)
	if err != nil {
		return nil, err
	}
	return &t, nil
}

func (p *parser) requestID() error {
	text, ok := p.optional(requestIDLabel)
	if !ok {
		return nil
	}
	if !consistsOfEncoded(text, pcharMarks) {
		return &SyntaxError{"request-id",
			"has a character that is not allowed, or a broken percent-encoding"}
	}
	p.m.RequestID = &text
	return nil
}

// resources reads the list up to the end of the text: after its label every
// line is an entry.
func (p *parser) resources() error {
	if line, ok := p.peek(); !ok || line != resourcesLabel {
		return nil
	}
	entries := p.lines[1:]
	if len(entries) > MaxResources {
		return &SyntaxError{"resources",
			"must not have more than " + strconv.Itoa(MaxResources) + " entries"}
	}
	p.m.Resources = make([]string, 0, len(entries))
	for _, line := range entries {
		resource, ok := strings.CutPrefix(line, resourceMark)
		if !ok || !validURI(resource) {
			return &SyntaxError{"resources",
				`each entry must be "- " and an absolute RFC 3986 URI of at most 2048 bytes`}
		}
		p.m.Resources = append(p.m.Resources, resource)
	}
	p.lines = nil
	return nil
}

func (p *parser) end() error {
	if len(p.lines) > 0 {
		return &SyntaxError{"message",
			"has a line that is empty, unknown, repeated or out of order"}
	}
	return nil
}
