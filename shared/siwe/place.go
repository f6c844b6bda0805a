package siwe

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fault says what is wrong with a value; the zero fault, that nothing is.
type fault struct {
	reason string
	at     int  // index in the value
	names  bool // whether the character there is refused, or the value as a whole
}

func (f fault) found() bool { return f.reason != "" }

// refusal is the fault of a value whose character at that index is refused.
func refusal(reason string, at int) fault { return fault{reason, at, true} }

// describe names the first character of text. It shows no other character than
// one of printable ASCII.
func describe(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case text == "":
		return "it ends there"
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf("byte 0x%02X", text[0])
	case foreign(text[0]):
		return fmt.Sprintf("%U", r)
	}
	return strconv.QuoteRune(r)
}

// foreign reports whether no field of a message has this byte.
func foreign(c byte) bool { return c != '\n' && (c < ' ' || c > '~') }

// checkBytes checks the length and the characters of the whole text. No field
// of the grammar has a byte outside printable ASCII. Refusing them here keeps
// carriage returns, NUL, escape sequences, homoglyphs and bidirectional marks
// out of every field at once.
func checkBytes(raw []byte) error {
	if len(raw) > MaxLength {
		return &SyntaxError{Field: "message",
			Reason: "must not be longer than " + strconv.Itoa(MaxLength) + " bytes"}
	}
	at := slices.IndexFunc(raw, foreign)
	if at == none {
		return nil
	}
	number := bytes.Count(raw[:at], []byte{'\n'})
	column := at - 1 - bytes.LastIndexByte(raw[:at], '\n')
	e := &SyntaxError{
		Field: fieldAt(strings.Split(string(raw), "\n"), number, column),
		Line:  number + 1, Column: column + 1,
		character: describe(string(raw[at:])),
	}
	switch {
	case raw[at] == '\r':
		e.Reason = "a line must end with a line feed alone, without a carriage return"
	case e.Field == "statement":
		e.Reason = notAStatement
	default:
		e.Reason = "may have printable ASCII only"
	}
	return e
}

// fieldAt names the field of the first foreign character, by the number of its
// line and the index in it, both from 0. The rest of the message may be wrong
// too: this is for its author and decides nothing.
func fieldAt(lines []string, number, column int) string {
	line := lines[number]
	switch number {
	case 0:
		return headerField(line, column)
	case 1, 2:
		return "address"
	case 3:
		return "statement"
	}
	for label, field := range labels {
		if strings.HasPrefix(line[:column], label) {
			return field
		}
	}
	switch {
	case number == 4 && lines[3] != "":
		return "statement" // its second line, or in the place of the line after it
	case slices.Contains(lines[4:number], resourcesLabel):
		return "resources"
	}
	return "message"
}

// labels has the field of each label.
var labels = map[string]string{
	uriLabel: "uri", versionLabel: "version", chainIDLabel: "chain-id", nonceLabel: "nonce",
	issuedAtLabel: "issued-at", expirationTimeLabel: "expiration-time",
	notBeforeLabel: "not-before", requestIDLabel: "request-id",
}

// headerField is fieldAt for the first line.
func headerField(line string, column int) string {
	origin, _, found := strings.Cut(line, headerEnd)
	switch {
	case !found || column > len(origin):
		return "message"
	case column < strings.Index(origin, schemeEnd):
		return "scheme"
	}
	return "domain"
}
