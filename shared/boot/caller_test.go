package boot_test

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/lambdatest"
)

// caller is an account with one session, and what the functions told it.
type caller struct {
	number    int
	key       *ecdsa.PrivateKey
	transport string
	target    *caller // the account that this caller administers, and no other does

	user, session      string
	message, signature string
	cookies            map[string]string
	tokens
}

// newCallers generates one caller for each number. Every second one uses
// cookies.
func newCallers(t testing.TB) []*caller {
	t.Helper()
	all := make([]*caller, concurrency)
	for n := range all {
		key, err := crypto.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		transport := [...]string{"bearer", "cookie"}[n%2]
		all[n] = &caller{number: n, key: key, transport: transport, cookies: map[string]string{}}
	}
	return all
}

// again returns the same accounts, for another session of each.
func again(callers []*caller) []*caller {
	all := make([]*caller, len(callers))
	for n, c := range callers {
		all[n] = &caller{
			number: c.number, key: c.key, transport: c.transport, cookies: map[string]string{},
		}
	}
	return all
}

func (c *caller) address() string { return crypto.PubkeyToAddress(c.key.PublicKey).Hex() }

// mark returns a text that only this caller sends.
func (c *caller) mark(what string) string { return fmt.Sprintf("%s-%03d", what, c.number) }

// request returns the event of a request with the caller's credentials. The
// value takes the place of the parameter in the route's path, if there is one.
func (c *caller) request(route, value, body string) lambdatest.Event {
	route, query, _ := strings.Cut(route, "?")
	method, pattern, _ := strings.Cut(route, " ")
	e := lambdatest.NewEvent(method, routeParameter.ReplaceAllLiteralString(pattern, value))
	e.RouteKey, e.RawQueryString = route, query
	if name := routeParameter.FindStringSubmatch(pattern); name != nil {
		e.PathParameters = map[string]string{name[1]: value}
	}
	e.Headers["user-agent"] = "curl/8.14.1"
	if body != "" {
		e.Body, e.Headers["content-type"] = body, "application/json"
	}
	if c.transport == "cookie" {
		e.Headers["origin"], e.Cookies = "https://"+host, c.jar()
	} else if c.AccessToken != "" {
		e.Headers["authorization"] = "Bearer " + c.AccessToken
	}
	return e
}

// jar returns the caller's cookies as it sends them.
func (c *caller) jar() (pairs []string) {
	for name, value := range c.cookies {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}

// accessToken returns the caller's access token, from wherever it is.
func (c *caller) accessToken() string {
	if c.transport == "cookie" {
		return c.cookies["__Host-session"]
	}
	return c.AccessToken
}

// take stores what an answer gives the caller for its next requests.
func (c *caller) take(t testing.TB, r lambdatest.Response) {
	t.Helper()
	var given struct {
		tokens
		Message       string
		Session, User struct{ ID string }
	}
	if err := json.Unmarshal([]byte(r.Body), &given); err != nil {
		t.Errorf("%v in %s", err, r.Body)
	}
	for _, line := range r.Cookies {
		pair, _, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		c.cookies[name] = value
	}
	if given.AccessToken != "" {
		c.tokens = given.tokens
	}
	if given.Session.ID != "" {
		c.session = given.Session.ID
	}
	if given.User.ID != "" {
		c.user = given.User.ID
	}
	if given.Message != "" {
		c.message, c.signature = given.Message, sign(t, c.key, given.Message)
	}
}

// loginBody, stepUpBody and refreshBody return what the caller sends to these
// routes.
func (c *caller) loginBody() string {
	return object("message", c.message, "signature", c.signature,
		"transport", c.transport, "deviceName", c.mark("device"))
}

func (c *caller) stepUpBody() string {
	return object("message", c.message, "signature", c.signature)
}

// validateBody is what a backend that got a request of the caller sends.
func (c *caller) validateBody() string {
	if c.transport == "cookie" {
		return object("cookie", strings.Join(c.jar(), "; "), "method", "GET")
	}
	return object("token", c.AccessToken)
}

func (c *caller) refreshBody() string {
	if c.transport == "cookie" {
		return ""
	}
	return object("refreshToken", c.RefreshToken)
}

// object returns names and their values as JSON.
func object(pairs ...string) string {
	members := map[string]string{}
	for pair := range slices.Chunk(pairs, 2) {
		members[pair[0]] = pair[1]
	}
	text, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(text)
}

// names returns the texts by which the caller is recognised.
func (c *caller) names() []string {
	all := []string{c.address(), c.user, c.session, c.AccessToken, c.RefreshToken}
	for _, value := range c.cookies {
		all = append(all, value)
	}
	for _, what := range []string{"device", "theme", "form", "step"} {
		all = append(all, c.mark(what))
	}
	return all
}

// owners says which caller a text belongs to, by its number.
type owners map[string]int

// add adds the texts by which a caller is recognised.
func (o owners) add(c *caller) {
	for _, name := range c.names() {
		if name != "" {
			o[name] = c.number
		}
	}
}

// foreign returns a word of a text that belongs to another caller, or "".
func (o owners) foreign(number int, text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	outside := func(r rune) bool { return !strings.ContainsRune(alphabet, r) }
	for word := range strings.FieldsFuncSeq(text, outside) {
		if owner, known := o[word]; known && owner != number {
			return word
		}
	}
	return ""
}
