package siwe

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The fixed texts of a ReCap (ERC-5573): what its resource begins with, and
// what its sentence begins with.
const (
	recapPrefix   = "urn:recap:"
	recapPreamble = "I further authorize the stated URI to perform the following actions on my behalf:"
)

// errRecap says that the resources of a message are not those of a ReCap as
// ERC-5573 defines it.
var errRecap = errors.New("no ReCap as in ERC-5573")

// recapSentence returns the sentence that ERC-5573 derives from the ReCap of a
// message: a resource that says in JSON what the person permits. It must be
// the last resource, and the only one of its kind. If there is none, the
// sentence is empty.
//
// The resource is read to compare the sentence, and for nothing else. What it
// permits is between the person and the service that is to act on it.
func (m *Message) recapSentence() (string, error) {
	at := slices.IndexFunc(m.Resources, isRecap)
	switch at {
	case none:
		return "", nil
	case len(m.Resources) - 1:
		return translateRecap(m.Resources[at])
	}
	return "", errRecap
}

// isRecap ignores case: another reader may take "URN:ReCap:" for the same,
// although the grammar has lower case only.
func isRecap(resource string) bool {
	return len(resource) >= len(recapPrefix) &&
		strings.EqualFold(resource[:len(recapPrefix)], recapPrefix)
}

// translateRecap is the ReCap Translation Algorithm of ERC-5573, without the
// statement in front.
func translateRecap(resource string) (string, error) {
	encoded, found := strings.CutPrefix(resource, recapPrefix)
	details, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if !found || err != nil {
		return "", errRecap
	}
	// The decoder refuses duplicate names and what is not UTF-8.
	r := recapReader{Decoder: jsontext.NewDecoder(bytes.NewBuffer(details))}
	r.sentence.WriteString(recapPreamble)
	if err := r.object(r.member); err != nil || r.entries == 0 {
		return "", errRecap
	}
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return "", errRecap
	}
	return r.sentence.String(), nil
}

// recapReader reads the details of a ReCap and writes its sentence.
type recapReader struct {
	*jsontext.Decoder
	sentence strings.Builder
	entries  int // that the sentence has
}

// object reads an object. At each name it calls member, which reads the value.
func (r *recapReader) object(member func(name string) error) error {
	return r.within('{', '}', func() error {
		name, err := r.text()
		if err != nil {
			return err
		}
		return member(name)
	})
}

// within reads an object or a list. It calls item for each item.
func (r *recapReader) within(start, end jsontext.Kind, item func() error) error {
	if r.PeekKind() != start {
		return errRecap
	}
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() != end {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// text reads a string.
func (r *recapReader) text() (string, error) {
	if r.PeekKind() != '"' {
		return "", errRecap
	}
	token, err := r.ReadToken()
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// member reads a member of the details. The standard has these two.
func (r *recapReader) member(name string) error {
	switch name {
	case "att":
		return r.object(ascending(r.target))
	case "prf": // an example of the standard has an empty list, its schema does not
		return r.within('[', ']', func() error { _, err := r.text(); return err })
	}
	return errRecap
}

// ascending returns a member function that also requires that each name is
// after the one before, in the order of their bytes.
func ascending(member func(name string) error) func(string) error {
	before := ""
	return func(name string) error {
		if name <= before {
			return errRecap
		}
		before = name
		return member(name)
	}
}

// target reads what may be done to one target, and writes an entry for each
// namespace. The standard wants a URI. WalletConnect writes a namespace of
// chains, such as eip155, so any text is taken that is one word in the
// sentence. A quote would end it there.
func (r *recapReader) target(name string) error {
	if !consistsOf(name, func(c byte) bool { return inStatement(c) && c != ' ' && c != '\'' }) {
		return errRecap
	}
	before := ""
	err := r.object(ascending(func(ability string) error {
		namespace, action, _ := strings.Cut(ability, "/")
		if !isAbility(namespace) || !isAbility(action) {
			return errRecap
		}
		if namespace == before {
			r.sentence.WriteString(", '" + action + "'")
		} else {
			r.endEntry(before, name)
			r.entries++
			r.sentence.WriteString(" (" + strconv.Itoa(r.entries) + ") '" + namespace + "': '" + action + "'")
		}
		before = namespace
		return r.within('[', ']', r.restriction)
	}))
	if before == "" {
		return errRecap // nothing may be done
	}
	r.endEntry(before, name)
	return err
}

// endEntry ends the entry of a namespace, if there is one. Names with one
// namespace are next to each other, because the names ascend.
func (r *recapReader) endEntry(namespace, target string) {
	if namespace != "" {
		r.sentence.WriteString(" for '" + target + "'.")
	}
}

// restriction reads an object that restricts an ability. The sentence does not
// have it.
func (r *recapReader) restriction() error {
	if r.PeekKind() != '{' {
		return errRecap
	}
	return r.SkipValue()
}

// isAbility reports whether text is a namespace or the name of an ability.
func isAbility(text string) bool {
	return text != "" && consistsOf(text, func(c byte) bool {
		return isAlphanumeric(c) || isOneOf(c, ".*_+-")
	})
}
