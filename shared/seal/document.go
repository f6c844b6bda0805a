package seal

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"latchkey/shared/strictjson"
)

// Document is the content of one entry of a secret store: every key of a
// deployment by its name, and which of them is the lookup key. As text it is a
// JSON object,
//
//	{"lookup":"k1","k1":"<64 random characters>",
//	 "k2":{"secret":"<64 more>","activeFrom":"2026-11-25T10:00:00Z"}}
//
// in which a key without activeFrom is always active. [Document.Next] adds
// keys, and no program removes one. A person who removes a key from the text
// loses what it sealed, and ends the sessions that began under it. The lookup
// key must not be removed: such a text does not parse.
type Document struct {
	// Lookup is the name of the lookup key.
	Lookup string
	// Masters are all keys, in the order of their numbers.
	Masters []Master
}

// Master is one key of a document. Everything that a ring uses of it is derived
// from its secret.
type Master struct {
	// Name is k and a number from 1, such as k1.
	Name string
	// Secret is at least MinSecret bytes of UTF-8.
	Secret string
	// ActiveFrom is when the key begins to be used for new work, in whole
	// seconds of UTC. Zero means always.
	ActiveFrom time.Time
}

// maxDocument is the longest value that AWS Secrets Manager stores, in bytes.
const maxDocument = 65536

// second is the layout of times in a document: RFC 3339, in UTC, without
// fractions. Each time has one spelling.
const second = "2006-01-02T15:04:05Z"

var masterName = regexp.MustCompile(`^k[1-9][0-9]{0,5}$`)

// ParseDocument reads a document. It refuses what it does not know: another
// name, a duplicate name, a short secret, a time in another form. Its errors
// contain nothing of the text but the names of keys.
func ParseDocument(text string) (*Document, error) {
	if len(text) > maxDocument || !utf8.ValidString(text) {
		return nil, fmt.Errorf("the document must be UTF-8 of at most %d bytes", maxDocument)
	}
	value, err := strictjson.Parse([]byte(text))
	if errors.Is(err, strictjson.ErrDuplicateName) {
		return nil, errors.New("the document has a duplicate name: use each name once")
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, errJSON
	}
	d := new(Document)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := d.set(name, members[name]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(d.Masters, func(a, b Master) int { return cmp.Compare(a.number(), b.number()) })
	if err := d.check(); err != nil {
		return nil, err
	}
	return d, nil
}

// errJSON does not say where or why, because the text there may be a secret.
var errJSON = errors.New(
	`the document must be a JSON object such as {"lookup":"k1","k1":"<secret>"}`)

// set stores a member of the document.
func (d *Document) set(name string, value any) error {
	if name == "lookup" {
		d.Lookup, _ = value.(string) // no text names no key; see check
		return nil
	}
	if !masterName.MatchString(name) {
		return errors.New(
			"the document has an unknown name: use lookup, or k and a number, such as k1")
	}
	m := Master{Name: name}
	if err := m.parse(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.Masters = append(d.Masters, m)
	return nil
}

// parse reads a key's value: its secret, or an object with secret and
// activeFrom.
func (m *Master) parse(value any) (err error) {
	if secret, ok := value.(string); ok {
		m.Secret = secret
		return nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return errJSON
	}
	m.Secret, _ = members["secret"].(string) // see check
	from, _ := members["activeFrom"].(string)
	delete(members, "secret")
	delete(members, "activeFrom")
	if len(members) > 0 {
		return errors.New("unknown name: use secret and activeFrom")
	}
	m.ActiveFrom, err = time.Parse(second, from)
	if err != nil || m.ActiveFrom.Format(second) != from {
		return errors.New("activeFrom must be a time such as " + second)
	}
	return nil
}

// check checks the document as a whole.
func (d *Document) check() error {
	if len(d.Masters) == 0 {
		return errors.New("the document has no key: add k1")
	}
	if d.master(d.Lookup) == nil {
		return errors.New(
			"lookup must name a key of the document: the lookup key must not be removed")
	}
	secrets := map[string]string{}
	for _, m := range d.Masters {
		if len(m.Secret) < MinSecret {
			return fmt.Errorf("%s: the secret has %d bytes, at least %d are needed",
				m.Name, len(m.Secret), MinSecret)
		}
		if other, twice := secrets[m.Secret]; twice {
			return fmt.Errorf("%s: the secret equals that of %s: use a new one", m.Name, other)
		}
		secrets[m.Secret] = m.Name
	}
	return nil
}

func (d *Document) master(name string) *Master {
	i := slices.IndexFunc(d.Masters, func(m Master) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Masters[i]
}

// Next returns the document with one more key, which becomes active at that
// time, rounded up to a second. All other keys stay unchanged.
func (d *Document) Next(secret string, activeFrom time.Time) *Document {
	last := d.Masters[len(d.Masters)-1].number()
	next := Master{
		Name:       "k" + strconv.Itoa(last+1),
		Secret:     secret,
		ActiveFrom: activeFrom.UTC().Add(time.Second - 1).Truncate(time.Second),
	}
	return &Document{Lookup: d.Lookup, Masters: append(slices.Clone(d.Masters), next)}
}

// Follows reports whether d equals other or is the result of other's
// [Document.Next]: the same lookup key, every key with its secret and its time,
// and at most one more, the last. It is false if a key of other was removed.
func (d *Document) Follows(other *Document) bool {
	more := len(d.Masters) - len(other.Masters)
	if d.Lookup != other.Lookup || more < 0 || more > 1 {
		return false
	}
	return slices.EqualFunc(d.Masters[:len(other.Masters)], other.Masters, func(a, b Master) bool {
		return a.Name == b.Name && a.Secret == b.Secret && a.ActiveFrom.Equal(b.ActiveFrom)
	})
}

// Newest returns the key that was added last.
func (d *Document) Newest() Master { return d.Masters[len(d.Masters)-1] }

// Text returns the document as [ParseDocument] reads it.
func (d *Document) Text() string {
	text := `{"lookup":` + quoted(d.Lookup)
	for _, m := range d.Masters {
		value := quoted(m.Secret)
		if !m.ActiveFrom.IsZero() {
			value = `{"secret":` + value + `,"activeFrom":"` + m.ActiveFrom.Format(second) + `"}`
		}
		text += `,"` + m.Name + `":` + value
	}
	return text + "}"
}

func quoted(s string) string {
	text, _ := jsontext.AppendQuote(nil, s) // fails only for what is not UTF-8
	return string(text)
}

// Ring derives the ring of a document; see [NewRing] for scope and errors.
func (d *Document) Ring(scope string) (*Ring, error) {
	lookup := d.master(d.Lookup)
	if lookup == nil {
		return nil, errors.New("lookup must name a key of the document")
	}
	keys := make([]Key, 0, len(d.Masters))
	for _, m := range d.Masters {
		keys = append(keys, m.key())
	}
	return NewRing(scope, lookup.derive("lookup", MinSecret), keys...)
}

// key derives a ring's key. Its id is derived from the secret, one way, and not
// from the name. So another secret under the same name is another key, and what
// the former one made is refused as unknown rather than as forged.
func (m Master) key() Key {
	return Key{
		ID:         KeyID(m.derive("key-id", IDLength)),
		Secret:     m.derive("mac", MinSecret),
		Encryption: m.derive("encryption", EncryptionKey),
		ActiveFrom: m.ActiveFrom,
	}
}

func (m Master) derive(use string, length int) []byte {
	return expand(extract([]byte(m.Secret)), "latchkey/1|document|"+use, length)
}

func (m Master) number() int {
	n, _ := strconv.Atoi(strings.TrimPrefix(m.Name, "k"))
	return n
}

// String returns the names of the keys, and no secret.
func (d *Document) String() string {
	names := make([]string, 0, len(d.Masters))
	for _, m := range d.Masters {
		names = append(names, m.Name)
	}
	return "keys " + strings.Join(names, ", ")
}

// GoString returns the same as [Document.String].
func (d *Document) GoString() string { return d.String() }

// String returns the name alone.
func (m Master) String() string { return m.Name }

// GoString returns the name alone.
func (m Master) GoString() string { return m.Name }
