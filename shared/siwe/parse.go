package siwe

import (
	"strconv"
	"strings"
)

// SyntaxError says that a text is no acceptable EIP-4361 message. It holds nothing of the text, so that it can be shown
// to whoever sent it.
type SyntaxError struct {
	// Field is where the fault is: "message" (the text as a whole, or a line that belongs nowhere), "scheme", "domain",
	// "address", "statement", "uri", "version", "chain-id", "nonce", "issued-at", "expiration-time", "not-before",
	// "request-id" or "resources".
	Field string
	// Reason says in a few words what is wrong there.
	Reason string
}

// Error names the field and the reason.
func (e *SyntaxError) Error() string { return e.Field + ": " + e.Reason }

// Parse reads a message from the bytes that were signed. Every error is a *SyntaxError.
//
// It is stricter than the grammar where the grammar lets one message mean two things, or nothing: userinfo, an empty
// host or an empty port in the domain, "0X", an address that fails EIP-55 or is zero, leading zeros in the chain id, dates
// that are in no calendar, and sizes without bound.
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

// checkBytes holds the bounds of the whole text. No field of the grammar has a byte outside printable ASCII: refusing
// them here keeps carriage returns, NUL, escape sequences, homoglyphs and bidirectional marks out of every field at once.
func checkBytes(raw []byte) error {
	if len(raw) > MaxLength {
		return &SyntaxError{"message", "longer than " + strconv.Itoa(MaxLength) + " bytes"}
	}
	for _, c := range raw {
		if c != '\n' && (c < ' ' || c > '~') {
			return &SyntaxError{"message", "a byte that is neither printable ASCII nor a line feed"}
		}
	}
	return nil
}

// parser walks the lines of a message from the top; each method reads one part of the grammar into m.
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

// blank reads a line that must be empty. What stands in it is not skipped: text in a separator line would be shown to
// the person who signs and seen by nobody else.
func (p *parser) blank(field, where string) error {
	line, ok := p.peek()
	if !ok || line != "" {
		return &SyntaxError{field, "no empty line " + where}
	}
	p.lines = p.lines[1:]
	return nil
}

// optional reads the next line where it has that label.
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
		return "", &SyntaxError{field, "its line is missing or not in its place"}
	}
	return value, nil
}

func (p *parser) header() error {
	line, _ := p.peek()
	origin, ok := strings.CutSuffix(line, headerEnd)
	if !ok {
		return &SyntaxError{"message", "the first line is not that of a Sign-In with Ethereum message"}
	}
	p.lines = p.lines[1:]
	p.m.Domain = origin
	// An authority has no slash, so the first "://" can only end a scheme.
	if scheme, rest, found := strings.Cut(origin, schemeEnd); found {
		if !validScheme(scheme) {
			return &SyntaxError{"scheme", "not a URI scheme"}
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
		return &SyntaxError{"address", "its line is missing"}
	}
	address, err := ParseAddress(line)
	if err != nil {
		return err
	}
	p.m.Address, p.m.AddressText = address, line
	p.lines = p.lines[1:]
	return p.blank("address", "after it")
}

// statement reads [ statement LF ] LF. Which of the three forms it is, is decided by line feeds alone: none is one
// empty line, an empty statement is two of them, any other is a line and an empty one.
func (p *parser) statement() error {
	line, ok := p.peek()
	if ok && line == "" && (len(p.lines) == 1 || p.lines[1] != "") {
		return p.blank("statement", "in its place")
	}
	if !ok {
		return &SyntaxError{"statement", "no empty line in its place"}
	}
	if !ValidStatement(line) {
		return &SyntaxError{"statement", "a character that a statement cannot have"}
	}
	p.m.Statement = &line
	p.lines = p.lines[1:]
	return p.blank("statement", "after it")
}

func (p *parser) uri() (err error) {
	if p.m.URI, err = p.required("uri", uriLabel); err != nil {
		return err
	}
	if !validURI(p.m.URI) {
		return &SyntaxError{"uri", "not an absolute RFC 3986 URI, or too long"}
	}
	return nil
}

func (p *parser) version() (err error) {
	if p.m.Version, err = p.required("version", versionLabel); err != nil {
		return err
	}
	if p.m.Version != Version {
		return &SyntaxError{"version", "not " + Version}
	}
	return nil
}

// chainID refuses leading zeros: with them one chain would have many spellings, and a signature over one spelling
// could be presented with another.
func (p *parser) chainID() error {
	text, err := p.required("chain-id", chainIDLabel)
	if err != nil {
		return err
	}
	if text == "" || !consistsOf(text, isDigit) {
		return &SyntaxError{"chain-id", "not a decimal number"}
	}
	if text[0] == '0' {
		return &SyntaxError{"chain-id", "zero, or a leading zero"}
	}
	p.m.ChainID, err = strconv.ParseUint(text, 10, 64)
	if err != nil || p.m.ChainID > MaxChainID {
		return &SyntaxError{"chain-id", "above 2^53-1"}
	}
	return nil
}

func (p *parser) nonce() (err error) {
	if p.m.Nonce, err = p.required("nonce", nonceLabel); err != nil {
		return err
	}
	if len(p.m.Nonce) < 8 || !consistsOf(p.m.Nonce, isAlphanumeric) {
		return &SyntaxError{"nonce", "not eight or more letters and digits"}
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
		return &SyntaxError{"request-id", "a character that it cannot have, or a broken percent-encoding"}
	}
	p.m.RequestID = &text
	return nil
}

// resources reads the list to the end of the text: once it has begun, every further line is an entry.
func (p *parser) resources() error {
	if line, ok := p.peek(); !ok || line != resourcesLabel {
		return nil
	}
	entries := p.lines[1:]
	if len(entries) > MaxResources {
		return &SyntaxError{"resources", "more than " + strconv.Itoa(MaxResources)}
	}
	p.m.Resources = make([]string, 0, len(entries))
	for _, line := range entries {
		resource, ok := strings.CutPrefix(line, resourceMark)
		if !ok || !validURI(resource) {
			return &SyntaxError{"resources", `an entry that is not "- " and an absolute RFC 3986 URI, or too long`}
		}
		p.m.Resources = append(p.m.Resources, resource)
	}
	p.lines = nil
	return nil
}

func (p *parser) end() error {
	if len(p.lines) > 0 {
		return &SyntaxError{"message", "a line that is empty, unknown, repeated or not in its place"}
	}
	return nil
}
