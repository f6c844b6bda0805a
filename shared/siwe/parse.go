package siwe

import (
	"fmt"
	"strconv"
	"strings"
)

// SyntaxError says that a text is not an acceptable EIP-4361 message, and where.
// It contains at most one character of the text, so it can be shown to the
// sender and logged.
type SyntaxError struct {
	// Field is the part that is wrong: "message" (the text as a whole, or a
	// line that belongs nowhere), "scheme", "domain", "address", "statement",
	// "uri", "version", "chain-id", "nonce", "issued-at", "expiration-time",
	// "not-before", "request-id" or "resources".
	Field string
	// Reason says in a few words what is wrong with it. It is for people and
	// may change.
	Reason string
	// Line and Column are the place in a message, from 1. Column counts bytes.
	// Line is 0 if there is no place to name. Column is 0 if the place is the
	// line as a whole, which may be one that is missing.
	Line, Column int
	// character names what is refused at the place; empty if no character is.
	character string
}

// Error returns the field, the reason and the place, in printable ASCII.
func (e *SyntaxError) Error() string {
	text := e.Field + ": " + e.Reason
	switch {
	case e.Line == 0:
		return text
	case e.Column == 0:
		return fmt.Sprintf("%s (line %d)", text, e.Line)
	case e.character == "":
		return fmt.Sprintf("%s (line %d, column %d)", text, e.Line, e.Column)
	}
	return fmt.Sprintf("%s (line %d, column %d: %s)", text, e.Line, e.Column, e.character)
}

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

// parser reads the lines of a message from the top. Each method reads one part
// of the grammar into m.
type parser struct {
	lines  []string // those that have not been read
	line   int      // how many have been read
	offset int      // where the value begins in the line that was read last
	m      *Message
}

// skip goes on to the next line. In this one the value begins at offset.
func (p *parser) skip(offset int) {
	p.lines, p.offset = p.lines[1:], offset
	p.line++
}

// refuse returns the error for a value in the line that was read last.
func (p *parser) refuse(field, value string, f fault) error {
	e := &SyntaxError{
		Field: field, Reason: f.reason, Line: p.line, Column: p.offset + f.at + 1,
	}
	if f.names {
		e.character = describe(value[f.at:])
	}
	return e
}

// refuseLine returns the error for the line that comes next, or is missing.
func (p *parser) refuseLine(field, reason string) error {
	return &SyntaxError{Field: field, Reason: reason, Line: p.line + 1}
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
		return p.refuseLine(field, "an empty line is missing "+where)
	}
	p.skip(0)
	return nil
}

// optional reads the next line if it has that label.
func (p *parser) optional(label string) (value string, ok bool) {
	line, _ := p.peek()
	value, ok = strings.CutPrefix(line, label)
	if ok {
		p.skip(len(label))
	}
	return value, ok
}

// required reads the next line, which must have that label.
func (p *parser) required(field, label string) (string, error) {
	value, ok := p.optional(label)
	if !ok {
		return "", p.refuseLine(field, "the line is missing or out of order")
	}
	return value, nil
}

func (p *parser) header() error {
	line, _ := p.peek()
	origin, ok := strings.CutSuffix(line, headerEnd)
	if !ok {
		return p.refuseLine("message", `the first line must end with "`+headerEnd[1:]+`"`)
	}
	p.skip(0)
	p.m.Domain = origin
	// An authority has no slash, so the first "://" can only end a scheme.
	if scheme, rest, found := strings.Cut(origin, schemeEnd); found {
		if at := refusedInScheme(scheme); at != none {
			return p.refuse("scheme", scheme, refusal("must be an RFC 3986 scheme", at))
		}
		p.m.Scheme, p.m.Domain = scheme, rest
		p.offset = len(origin) - len(rest)
	}
	if wrong := checkDomain(p.m.Domain); wrong.found() {
		return p.refuse("domain", p.m.Domain, wrong)
	}
	return nil
}

func (p *parser) address() error {
	line, ok := p.peek()
	if !ok {
		return p.refuseLine("address", "the line is missing")
	}
	p.skip(0)
	address, wrong := readAddress(line)
	if wrong.found() {
		return p.refuse("address", line, wrong)
	}
	p.m.Address, p.m.AddressText = address, line
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
		return p.refuseLine("statement", "an empty line is missing in place of the statement")
	}
	p.skip(0)
	if at := refused(line, inStatement); at != none {
		return p.refuse("statement", line, refusal(notAStatement, at))
	}
	p.m.Statement = &line
	return p.blank("statement", "after the statement")
}

const notAStatement = "may have letters, digits, spaces and -._~:/?#[]@!$&'()*+,;= only"

func (p *parser) uri() (err error) {
	if p.m.URI, err = p.required("uri", uriLabel); err != nil {
		return err
	}
	if wrong := checkURI(p.m.URI); wrong.found() {
		return p.refuse("uri", p.m.URI, wrong)
	}
	return nil
}

func (p *parser) version() (err error) {
	if p.m.Version, err = p.required("version", versionLabel); err != nil {
		return err
	}
	if at := refusedInLayout(p.m.Version, Version); at != none {
		return p.refuse("version", p.m.Version, refusal("must be "+Version, at))
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
	if at := refused(text, isDigit); at != none || text == "" {
		return p.refuse("chain-id", text, refusal("must be a decimal number", max(at, 0)))
	}
	if text[0] == '0' {
		return p.refuse("chain-id", text, refusal("must not be zero or begin with a zero", 0))
	}
	p.m.ChainID, err = strconv.ParseUint(text, 10, 64)
	if err != nil || p.m.ChainID > MaxChainID {
		return p.refuse("chain-id", text, fault{reason: "must not be above 2^53-1"})
	}
	return nil
}

func (p *parser) nonce() (err error) {
	if p.m.Nonce, err = p.required("nonce", nonceLabel); err != nil {
		return err
	}
	at := refused(p.m.Nonce, isAlphanumeric)
	if at == none && len(p.m.Nonce) < 8 {
		at = len(p.m.Nonce)
	}
	if at != none {
		return p.refuse("nonce", p.m.Nonce, refusal("must be 8 or more letters and digits", at))
	}
	return nil
}

func (p *parser) issuedAt() error {
	text, err := p.required("issued-at", issuedAtLabel)
	if err != nil {
		return err
	}
	p.m.IssuedAt, err = p.time("issued-at", text)
	return err
}

func (p *parser) time(field, text string) (Time, error) {
	t, wrong := parseTime(text)
	if wrong.found() {
		return Time{}, p.refuse(field, text, wrong)
	}
	return t, nil
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
	t, err := p.time(field, text)
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
	if at := refusedEncoded(text, pcharMarks); at != none {
		return p.refuse("request-id", text,
			refusal("has a character that is not allowed, or a broken percent-encoding", at))
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
	p.skip(0)
	if len(p.lines) > MaxResources {
		p.line += MaxResources // to the first that is too many
		return p.refuseLine("resources",
			"must not have more than "+strconv.Itoa(MaxResources)+" entries")
	}
	p.m.Resources = make([]string, 0, len(p.lines))
	for len(p.lines) > 0 {
		if err := p.resource(); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) resource() error {
	resource, marked := p.optional(resourceMark)
	if !marked {
		return p.refuseLine("resources", `each entry must begin with "`+resourceMark+`"`)
	}
	if wrong := checkURI(resource); wrong.found() {
		wrong.reason = "each entry " + wrong.reason
		return p.refuse("resources", resource, wrong)
	}
	p.m.Resources = append(p.m.Resources, resource)
	return nil
}

func (p *parser) end() error {
	if len(p.lines) > 0 {
		return p.refuseLine("message",
			"has a line that is empty, unknown, repeated or out of order")
	}
	return nil
}
