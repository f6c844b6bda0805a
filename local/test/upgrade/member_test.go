package upgrade_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/wallet"
)

// member is an account with a session, and the client that uses it.
type member struct {
	Key       string            // of the wallet, in hex
	Agent     string            // the header User-Agent
	DeviceID  string            // the header X-Device-Id
	From      string            // the loopback address that it calls from
	Transport string            // bearer or cookie
	Contract  string            `json:",omitempty"` // its address, if it is a contract
	ID        string            // of the session
	Access    string            // token
	Refresh   string            // token
	Cookies   map[string]string // by their names
}

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"

// newMember generates a wallet, for a client with that transport.
func newMember(t *testing.T, transport string) *member {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return &member{
		Key: fmt.Sprintf("%x", crypto.FromECDSA(key)), Agent: firefox, From: "127.0.0.1",
		Transport: transport, Cookies: map[string]string{},
	}
}

// again returns the same wallet and client without a session.
func (m *member) again() *member {
	n := *m
	n.ID, n.Access, n.Refresh, n.Cookies = "", "", "", map[string]string{}
	return &n
}

// copy returns a client that has the same tokens, and keeps them.
func (m *member) copy() *member {
	n := *m
	n.Cookies = maps.Clone(m.Cookies)
	return &n
}

// on returns a copy with another user agent.
func (m *member) on(agent string) *member {
	n := m.copy()
	n.Agent = agent
	return n
}

func (m *member) wallet() *ecdsa.PrivateKey {
	key, err := crypto.HexToECDSA(m.Key)
	if err != nil {
		panic(err) // it was generated
	}
	return key
}

// rolesBody is the body that sets roles.
type rolesBody []string

// MarshalJSON implements [json.Marshaler].
func (b rolesBody) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]string{"roles": append([]string{}, b...)})
}

// adminPath is the path of the account for admins.
func (m *member) adminPath() string {
	if m.Contract != "" {
		return fmt.Sprintf("/api/admin/users/eip155:%d:%s", m.chain(), m.Contract)
	}
	return "/api/admin/users/" + m.address()
}

func (m *member) address() string {
	if m.Contract != "" {
		return m.Contract
	}
	return crypto.PubkeyToAddress(m.wallet().PublicKey).Hex()
}

// chain returns the chain that it signs in on.
func (m *member) chain() int {
	if m.Contract != "" {
		return contractChain
	}
	return 1
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	text   string
}

// get returns a member of the body by its path, or nil.
func (a answer) get(path string) any {
	var value any = a.body
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// want ends the test unless the answer has that status and, of a refusal, that
// code or reason.
func (a answer) want(t *testing.T, status int, code string) answer {
	t.Helper()
	if a.status != status || code != "" && a.get("code") != code && a.get("reason") != code {
		t.Fatalf("answered %d %s, want %d %s", a.status, a.text, status, code)
	}
	return a
}

// ok ends the test unless the request succeeded.
func (a answer) ok(t *testing.T) answer {
	t.Helper()
	if a.status != http.StatusOK && a.status != http.StatusNoContent {
		t.Fatalf("answered %d %s", a.status, a.text)
	}
	return a
}

// clients returns the HTTP client for each address that is called from.
var clients = map[string]*http.Client{
	"127.0.0.1": {},
	"127.1.0.1": {Transport: &http.Transport{DialContext: (&net.Dialer{
		LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.1.0.1")},
	}).DialContext}},
}

// ask sends a request with the member's credentials. The body is JSON or nil;
// headers are names and values.
func (m *member) ask(
	t *testing.T, s *server, method, path string, body any, headers ...string,
) answer {
	t.Helper()
	a, err := m.try(s, method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s of %s: %v", method, path, s.name, err)
	}
	return a
}

// try is ask for callers that are not the goroutine of the test.
func (m *member) try(
	s *server, method, path string, body any, headers ...string,
) (answer, error) {
	r, err := m.request(s, method, path, body)
	if err != nil {
		return answer{}, err
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := clients[m.From].Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // state and preferences may be other JSON
	return a, err
}

func (m *member) request(s *server, method, path string, body any) (*http.Request, error) {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequest(method, s.url+path, &content)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", m.Agent)
	r.Header.Set("Origin", "https://"+domain)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if m.DeviceID != "" {
		r.Header.Set("X-Device-Id", m.DeviceID)
	}
	if m.Transport == "bearer" && m.Access != "" {
		r.Header.Set("Authorization", "Bearer "+m.Access)
	}
	for name, value := range m.Cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
		// The name at a local server of this version.
		r.AddCookie(&http.Cookie{Name: name + "_" + r.URL.Port(), Value: value})
	}
	return r, nil
}

// nonce asks for the message of a login, or of a step-up, and signs it. It
// returns the body to send.
func (m *member) nonce(t *testing.T, s *server, purpose string) map[string]string {
	t.Helper()
	query := "?purpose=step_up"
	if purpose == "login" {
		query = fmt.Sprintf("?transport=%s&chainId=%d&address=%s", m.Transport, m.chain(), m.address())
	}
	a := m.ask(t, s, "GET", "/auth/nonce"+query, nil).ok(t)
	m.take(a)
	message := fmt.Sprint(a.get("message"))
	digest := wallet.Digest([]byte(message))
	signature, err := crypto.Sign(digest[:], m.wallet())
	if err != nil {
		t.Fatal(err)
	}
	signature[crypto.RecoveryIDOffset] += 27
	body := map[string]string{"message": message, "signature": fmt.Sprintf("0x%x", signature)}
	if purpose == "login" {
		body["transport"], body["deviceName"] = m.Transport, "Reading room"
	}
	return body
}

// logIn sends a signed message. If it succeeds, the member has a new session.
func (m *member) logIn(t *testing.T, s *server, body map[string]string) answer {
	t.Helper()
	a := m.ask(t, s, "POST", "/auth/login", body)
	m.take(a)
	return a
}

// signIn creates a session.
func (m *member) signIn(t *testing.T, s *server) *member {
	t.Helper()
	m.logIn(t, s, m.nonce(t, s, "login")).ok(t)
	return m
}

// stepUp renews the session by a signature over a nonce of another server.
func (m *member) stepUp(t *testing.T, nonceOf, s *server) {
	t.Helper()
	m.take(m.ask(t, s, "POST", "/auth/step-up", m.nonce(t, nonceOf, "step_up")).ok(t))
}

// refresh sends the refresh token that the member has now.
func (m *member) refresh(t *testing.T, s *server) answer {
	t.Helper()
	return m.ask(t, s, "POST", "/auth/refresh", m.refreshBody())
}

func (m *member) refreshBody() any {
	if m.Transport == "cookie" {
		return nil
	}
	return map[string]string{"refreshToken": m.Refresh}
}

// tokens returns the tokens of an answer, in whatever way it has them.
func (a answer) tokens() string {
	return fmt.Sprint(a.get("accessToken"), a.get("refreshToken"), a.header.Values("Set-Cookie"))
}

// portOfCookie is the end of a cookie's name at a local server of this version.
var portOfCookie = regexp.MustCompile(`_\d+$`)

// take stores the tokens of an answer, if it has any.
func (m *member) take(a answer) {
	if a.status != http.StatusOK {
		return
	}
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		m.Cookies[portOfCookie.ReplaceAllString(cookie.Name, "")] = cookie.Value
	}
	for path, field := range map[string]*string{
		"accessToken": &m.Access, "refreshToken": &m.Refresh, "session.id": &m.ID,
	} {
		if value, ok := a.get(path).(string); ok {
			*field = value
		}
	}
}
