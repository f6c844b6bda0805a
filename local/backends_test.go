package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"latchkey/local/test/redistest"
	"latchkey/local/test/report"
	"latchkey/shared/config"
	"latchkey/shared/token"
)

// The code in docs/backends.md runs as it is there, against the local server.

// goMain serves routes that the page's code guards, each with the permission of its name.
const goMain = `package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	mux := http.NewServeMux()
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "{\"userId\":%q}", SessionOf(r).UserID)
	})
	for _, permission := range []string{"", "orders:read", "orders:write"} {
		url, key := os.Getenv("LATCHKEY_URL"), os.Getenv("LATCHKEY_KEY")
		mux.Handle("/"+permission, RequireSession(url, key, permission, answer))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, mux))
}
`

// The others read requests, one a line, and print status, headers and body of each answer. A byte of a header is a
// character there, as Python's servers have it; Rack has bytes.
const pythonMain = `
import email.message
for line in sys.stdin:
    asked = json.loads(line)
    headers = email.message.Message()
    for name, values in asked["header"].items():
        for value in values:
            headers[name] = value
    session, refusal = who_is(asked["method"], headers, asked["permission"] or None)
    print(json.dumps(refusal or (200, {}, json.dumps({"userId": session["userId"]}))), flush=True)
`

const rubyMain = `
$stdout.sync = true
$stdin.each_line do |line|
  asked = JSON.parse(line)
  env = { "REQUEST_METHOD" => asked["method"] }
  asked["header"].each do |name, values|
    joined = values.join(name == "Cookie" ? "; " : ", ")
    env["HTTP_" + name.upcase.tr("-", "_")] = joined.encode("ISO-8859-1").force_encoding("BINARY").freeze
  end
  session, refusal = who_is(env, asked["permission"].empty? ? nil : asked["permission"])
  refusal ||= [200, {}, [{ userId: session["userId"] }.to_json]]
  puts [refusal[0], refusal[1], refusal[2].join].to_json
end
`

// request is what a backend gets. Its route requires a permission.
type request struct {
	Method     string      `json:"method"`
	Permission string      `json:"permission"`
	Header     http.Header `json:"header"`
}

type reply struct {
	status int
	header http.Header
	body   map[string]any
}

// backend answers requests. It asks the Latchkey at a URL, with a service key.
type backend struct {
	answer func(t *testing.T, r request) reply
	quiet  bool // its log must have nothing
}

// ended checks the log of a backend that has ended.
func (b *backend) ended(t *testing.T, log, key string) {
	t.Helper()
	if strings.Contains(log, "lka_") || key != "" && strings.Contains(log, key) {
		t.Errorf("the log of the backend has a secret: %s", log)
	}
	if b.quiet && log != "" {
		t.Errorf("the log of the backend has %s", log)
	}
}

// backendsOf returns how each language's backend is started. Without its program a test is skipped, and fails in CI.
func backendsOf(t *testing.T) map[string]func(t *testing.T, url, key string) *backend {
	t.Helper()
	program := buildGoBackend(t)
	all := map[string]func(*testing.T, string, string) *backend{
		"Go": func(t *testing.T, url, key string) *backend {
			b := new(backend)
			b.answer = sendTo("http://" + b.startGo(t, program, url, key))
			return b
		},
	}
	for language, s := range map[string]struct{ program, main string }{
		"Python": {"python3", pythonMain}, "Ruby": {"ruby", rubyMain},
	} {
		file := filepath.Join(t.TempDir(), "backend")
		write(t, file, blockOf(t, language)+"\n"+s.main)
		all[language] = func(t *testing.T, url, key string) *backend {
			t.Helper()
			path, err := exec.LookPath(s.program)
			if err != nil {
				report.Missing(t, fmt.Sprintf("no %s found: apt-get install %[1]s (or brew install %[1]s)", s.program))
			}
			return startProgram(t, exec.Command(path, file), url, key)
		}
	}
	return all
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// blockOf returns the first code block in the section of a language.
func blockOf(t *testing.T, language string) string {
	t.Helper()
	_, block, _ := strings.Cut(section(t, "docs/backends.md", language), "```"+strings.ToLower(language)+"\n")
	code, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatalf("docs/backends.md has no code for %s", language)
	}
	return code
}

func buildGoBackend(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module backend\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "guard.go"), blockOf(t, "Go")+"\n")
	write(t, filepath.Join(dir, "main.go"), goMain)
	for _, args := range [][]string{{"vet", "."}, {"build", "-o", "backend", "."}} {
		c := exec.Command("go", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return filepath.Join(dir, "backend")
}

// startGo runs the program until the test ends, and returns its address.
func (b *backend) startGo(t *testing.T, program, url, key string) string {
	t.Helper()
	s := &server{command: exec.Command(program)}
	s.command.Env = []string{"LATCHKEY_URL=" + url, "LATCHKEY_KEY=" + key}
	s.command.Stderr = &s.errs
	t.Cleanup(func() { b.ended(t, s.errs.String(), key) }) // after the program has ended
	s.begin(t)
	return strings.TrimSpace(s.ready)
}

// sendTo returns the backend at an address.
func sendTo(address string) func(*testing.T, request) reply {
	return func(t *testing.T, r request) reply {
		t.Helper()
		sent, err := http.NewRequest(r.Method, address+"/"+r.Permission, nil)
		if err != nil {
			t.Fatal(err)
		}
		sent.Header = r.Header.Clone()
		if sent.Header["User-Agent"] == nil {
			sent.Header["User-Agent"] = []string{""} // sends none
		}
		response, err := http.DefaultClient.Do(sent)
		if err != nil {
			t.Fatal(err)
		}
		return replyOf(t, response)
	}
}

func replyOf(t *testing.T, response *http.Response) reply {
	t.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := reply{status: response.StatusCode, header: response.Header}
	if err := json.Unmarshal(text, &got.body); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return got
}

// startProgram runs a program that answers line by line until the test ends.
func startProgram(t *testing.T, c *exec.Cmd, url, key string) *backend {
	t.Helper()
	b := new(backend)
	c.Env = append(os.Environ(), "LATCHKEY_URL="+url, "LATCHKEY_KEY="+key)
	var errs bytes.Buffer
	c.Stderr = &errs
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%v\n%s", err, &errs)
		}
		b.ended(t, errs.String(), key)
	})
	answers, asked := json.NewDecoder(out), json.NewEncoder(in)
	b.answer = func(t *testing.T, r request) reply {
		t.Helper()
		var (
			text    string
			headers map[string]string
			got     = reply{header: http.Header{}}
		)
		r.Header = eachByte(r.Header)
		if err := errors.Join(asked.Encode(r), answers.Decode(&[]any{&got.status, &headers, &text})); err != nil {
			t.Fatal(err)
		}
		for name, value := range headers {
			got.header.Set(name, value)
		}
		if err := json.Unmarshal([]byte(text), &got.body); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return got
	}
	return b
}

// eachByte returns headers with a character for each byte of their values.
func eachByte(header http.Header) http.Header {
	decoded := http.Header{}
	for name, values := range header {
		for _, value := range values {
			characters := make([]rune, len(value))
			for i := range len(value) {
				characters[i] = rune(value[i])
			}
			decoded[name] = append(decoded[name], string(characters))
		}
	}
	return decoded
}

const (
	testAgent  = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
	otherAgent = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36"
)

// person is somebody who has signed in. Their client keeps cookies by host name, as browsers do.
type person struct {
	client *http.Client
	header http.Header // of each request, with the token or the cookies
	userID string
}

func (w *wallet) signInAs(s *server, transport string, header ...string) *person {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &person{client: &http.Client{Jar: jar}, header: http.Header{"User-Agent": {testAgent}, "Origin": {s.url}}}
	for i := 0; i < len(header); i += 2 {
		p.header.Set(header[i], header[i+1])
	}
	nonce := p.send(w.t, "GET", s.url+"/auth/nonce?transport="+transport, "")
	offer, err := json.Marshal(nonce.body)
	if err != nil {
		w.t.Fatal(err)
	}
	login := p.send(w.t, "POST", s.url+"/auth/login", w.run(string(offer), "login", "-transport", transport))
	user, _ := login.body["user"].(map[string]any)
	p.userID, _ = user["id"].(string)
	if login.status != 200 || p.userID == "" {
		w.t.Fatalf("login: %d %v", login.status, login.body)
	}
	if access, _ := login.body["accessToken"].(string); access != "" {
		p.header.Set("Authorization", "Bearer "+access)
		return p
	}
	at, err := url.Parse(s.url)
	if err != nil {
		w.t.Fatal(err)
	}
	var pairs []string
	for _, c := range jar.Cookies(at) {
		pairs = append(pairs, c.String())
	}
	p.header.Set("Cookie", strings.Join(pairs, "; "))
	jar, _ = cookiejar.New(nil) // the header has them
	p.client.Jar = jar
	return p
}

func (p *person) send(t *testing.T, method, url, body string) reply {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = p.header.Clone()
	r.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode == http.StatusNoContent {
		response.Body.Close()
		return reply{status: response.StatusCode}
	}
	return replyOf(t, response)
}

// asks returns a request of this person's, with other headers.
func (p *person) asks(method, permission string, changes ...string) request {
	header := p.header.Clone()
	for i := 0; i < len(changes); i += 2 {
		header.Del(changes[i])
		if changes[i+1] != "" {
			header.Set(changes[i], changes[i+1])
		}
	}
	return request{method, permission, header}
}

func (b *backend) allows(t *testing.T, p *person, r request) {
	t.Helper()
	if got := b.answer(t, r); got.status != 200 || got.body["userId"] != p.userID {
		t.Errorf("%+v: %d %v, want user %s", r, got.status, got.body, p.userID)
	}
}

// refuses asserts that a backend answers as Latchkey does.
func (b *backend) refuses(t *testing.T, r request, status int, code string) reply {
	t.Helper()
	got := b.answer(t, r)
	if got.status != status || got.body["code"] != code || got.body["status"] != float64(status) {
		t.Errorf("%+v: %d %v, want %d %s", r, got.status, got.body, status, code)
	}
	sameHeaders(t, "the answer", got.header, map[string]string{
		"Content-Type": "application/problem+json", "Cache-Control": "no-store",
		"Retry-After": map[int]string{503: "1"}[status],
	})
	if challenge := got.header.Get("WWW-Authenticate"); status == 401 && !strings.HasPrefix(challenge, "Bearer") {
		t.Errorf("401 has the challenge %q", challenge)
	}
	return got
}

// newService returns a service key and the variables of a server that knows it.
func newService(t *testing.T) (key string, variables []string) {
	t.Helper()
	key = token.NewServiceKey()
	item, err := config.ServiceKeyItem("orders", key)
	if err != nil {
		t.Fatal(err)
	}
	return key, []string{"SERVICE_KEYS=" + item, `ROLES={"user":{"permissions":["orders:read"]}}`}
}

func TestBackends(t *testing.T) {
	key, variables := newService(t)
	s, w := start(t, variables...), newWallet(t)
	for language, startBackend := range backendsOf(t) {
		for _, transport := range []string{"bearer", "cookie"} {
			t.Run(language+"/"+transport, func(t *testing.T) {
				b, p := startBackend(t, s.url, key), w.signInAs(s, transport)
				testBackend(t, b, p, transport == "cookie")
				for _, wrong := range []string{token.NewServiceKey(), "", key[:20] + "\n" + key[20:]} {
					startBackend(t, s.url, wrong).refuses(t, p.asks("GET", ""), 503, "unavailable")
				}
				for _, nowhere := range []string{"", "localhost", "http://[::1"} {
					startBackend(t, nowhere, key).refuses(t, p.asks("GET", ""), 503, "unavailable")
				}
				b.allows(t, p, p.asks("GET", ""))
				if got := p.send(t, "POST", s.url+"/auth/logout", ""); got.status != 204 {
					t.Fatalf("logout: %d %v", got.status, got.body)
				}
				if got := b.refuses(t, p.asks("GET", ""), 401, "session_ended"); got.body["reason"] != "logged_out" {
					t.Errorf("it says %v", got.body)
				}
			})
		}
	}
}

// What a caller sends is theirs to answer for: nothing of it is a fault, or is logged.
func TestBackends_headers(t *testing.T) {
	key, variables := newService(t)
	s, w := start(t, variables...), newWallet(t)
	for language, startBackend := range backendsOf(t) {
		t.Run(language, func(t *testing.T) {
			b := startBackend(t, s.url, key)
			b.quiet = true
			bearer, cookie := w.signInAs(s, "bearer"), w.signInAs(s, "cookie")
			testTokens(t, b, bearer, cookie)
			for _, p := range []*person{bearer, cookie} {
				for _, undecoded := range []string{"\xff", "\xef\xbf\xbd", "a\xc3", "\xed\xa0\x80"} {
					b.refuses(t, p.asks("GET", "", "User-Agent", undecoded), 401, "step_up_required")
				}
				cookies := p.header.Get("Cookie")
				b.allows(t, p, p.asks("GET", "", "Cookie", "theme=\xff; "+cookies))
				b.allows(t, p, p.asks("GET", "", "Cookie", "theme="+strings.Repeat("x", 12_000)+"; "+cookies))
				b.refuses(t, p.asks("GET", "", "Cookie", "theme="+strings.Repeat("x", 20_000)+"; "+cookies), 431, "too_large")
				b.refuses(t, p.asks("GET", "", "User-Agent", strings.Repeat("x", 20_000)), 431, "too_large")
			}
			b.refuses(t, bearer.asks("GET", "", "Authorization", "Bearer lka_\xff"), 401, "invalid_token")
		})
	}
}

// testTokens sends headers that come twice. Of two credentials none counts, and a proxy may have split the cookies.
func testTokens(t *testing.T, b *backend, bearer, cookie *person) {
	t.Helper()
	own := bearer.header.Get("Authorization")
	twice := func(p *person, name string, values ...string) request {
		r := p.asks("GET", "", "Cookie", p.header.Get("Cookie"))
		r.Header[name] = values
		return r
	}
	for _, values := range [][]string{
		{own, "Bearer lka_x"}, {"Bearer lka_x", own}, {"Basic eA==", own}, {own, "Basic eA=="}, {"Bearer"}, {"bearer "}, {own + " x"},
		{own + ", " + own}, {own + "," + own}, {"Bearer " + own},
	} {
		b.refuses(t, twice(bearer, "Authorization", values...), 400, "invalid_request")
		b.refuses(t, twice(cookie, "Authorization", values...), 400, "invalid_request")
	}
	b.refuses(t, twice(cookie, "Authorization", own), 400, "invalid_request")
	b.allows(t, cookie, twice(cookie, "Authorization", "Basic eA=="))
	b.allows(t, bearer, twice(bearer, "Authorization", strings.Replace(own, "Bearer", "bEARER ", 1)))
	b.allows(t, cookie, twice(cookie, "Cookie", "theme=dark", cookie.header.Get("Cookie")))
	b.allows(t, cookie, twice(cookie, "Cookie", cookie.header.Get("Cookie"), "theme=dark"))
	name := regexp.MustCompile(`session_\d+`).FindString(cookie.header.Get("Cookie"))
	b.refuses(t, twice(cookie, "Cookie", cookie.header.Get("Cookie"), name+"=lka_x"), 400, "invalid_request")
	foreign := twice(cookie, "Origin", cookie.header.Get("Origin"), "https://evil.example")
	foreign.Method = "POST"
	b.refuses(t, foreign, 403, "origin_not_allowed")
}

// A WebSocket's handshake cannot show a device id. It neither is refused for that nor harms the session.
func TestBackends_handshake(t *testing.T) {
	key, variables := newService(t)
	s, w := start(t, variables...), newWallet(t)
	for language, startBackend := range backendsOf(t) {
		for _, transport := range []string{"bearer", "cookie"} {
			t.Run(language+"/"+transport, func(t *testing.T) {
				b, p := startBackend(t, s.url, key), w.signInAs(s, transport, "X-Device-Id", "an-id")
				b.allows(t, p, p.asks("GET", ""))
				b.refuses(t, p.asks("GET", "", "X-Device-Id", ""), 401, "step_up_required")
				b.allows(t, p, p.asks("GET", "", "X-Device-Id", "", "Upgrade", "websocket"))
				b.allows(t, p, p.asks("GET", "", "Upgrade", "websocket"))
				for _, r := range []request{
					p.asks("GET", "", "X-Device-Id", "another", "Upgrade", "websocket"),
					p.asks("POST", "", "X-Device-Id", "", "Upgrade", "websocket"), // no handshake
					p.asks("GET", "", "X-Device-Id", "", "Upgrade", "websocket", "User-Agent", otherAgent),
				} {
					b.refuses(t, r, 401, "step_up_required")
				}
				if got := p.send(t, "GET", s.url+"/api/profile", ""); got.status != 200 {
					t.Errorf("the session is harmed: %d %v", got.status, got.body)
				}
			})
		}
	}
}

// testBackend asks what a backend decides itself, for a live session.
func testBackend(t *testing.T, b *backend, p *person, cookie bool) {
	b.allows(t, p, p.asks("GET", "orders:read"))
	b.allows(t, p, p.asks("POST", "orders:read"))
	if got := b.refuses(t, p.asks("GET", "orders:write"), 403, "forbidden"); got.body["permission"] != "orders:write" {
		t.Errorf("it says %v", got.body)
	}
	b.refuses(t, p.asks("GET", "", "Authorization", "", "Cookie", ""), 401, "no_credentials")
	b.refuses(t, p.asks("GET", "", "Authorization", "Bearer lka_x", "Cookie", ""), 401, "invalid_token")
	b.refuses(t, p.asks("GET", "", "User-Agent", otherAgent), 401, "step_up_required")
	b.refuses(t, p.asks("GET", "", "User-Agent", ""), 401, "step_up_required")
	b.allows(t, p, p.asks("GET", "")) // the session is unharmed
	foreign := p.asks("POST", "", "Origin", "https://evil.example")
	handshake := p.asks("GET", "", "Origin", "https://evil.example", "Upgrade", "websocket")
	if !cookie {
		b.allows(t, p, foreign)
		return
	}
	b.refuses(t, foreign, 403, "origin_not_allowed")
	b.refuses(t, p.asks("POST", "", "Origin", ""), 403, "origin_not_allowed")
	b.refuses(t, p.asks("POST", "", "Sec-Fetch-Site", "cross-site"), 403, "origin_not_allowed")
	b.refuses(t, handshake, 403, "origin_not_allowed")
	b.allows(t, p, p.asks("GET", "", "Origin", "https://evil.example"))
}

// An access token expires, and then Redis goes away.
func TestBackends_expiredAndUnavailable(t *testing.T) {
	key, variables := newService(t)
	redis := miniredis.RunT(t)
	variables = append(variables, "REDIS_HOST="+redis.Host(), "REDIS_PORT="+redis.Port(),
		"ACCESS_TOKEN_MINUTES=0.0334", "REFRESH_GRACE_SECONDS=1")
	s, w := start(t, variables...), newWallet(t)
	bearer, cookie := w.signInAs(s, "bearer"), w.signInAs(s, "cookie")
	all := backendsOf(t)
	for _, p := range []*person{bearer, cookie} {
		for deadline := time.Now().Add(time.Minute); p.send(t, "GET", s.url+"/api/profile", "").status == 200; {
			if time.Now().After(deadline) {
				t.Fatal("the token does not expire")
			}
		}
	}
	for _, code := range []string{"token_expired", "unavailable"} {
		for language, startBackend := range all {
			t.Run(code+"/"+language, func(t *testing.T) {
				b, status := startBackend(t, s.url, key), map[string]int{"token_expired": 401, "unavailable": 503}[code]
				for _, p := range []*person{bearer, cookie} {
					b.refuses(t, p.asks("GET", ""), status, code)
				}
			})
		}
		redis.Close()
	}
	for language, startBackend := range all {
		t.Run("no server/"+language, func(t *testing.T) {
			nowhere := fmt.Sprintf("http://127.0.0.1:%d", redistest.FreePort(t))
			startBackend(t, nowhere, key).refuses(t, bearer.asks("GET", ""), 503, "unavailable")
		})
	}
}

// Any answer but Latchkey's denies, and a redirect gets neither key nor token.
func TestBackends_otherAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	defer elsewhere.Close()
	answers := map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
		"429":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"201": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			fmt.Fprint(w, `{"active":true,"userId":"u"}`)
		},
		"late": late,
		"no gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "{}")
		},
		"no HTTP":      raw("hello\r\n"),
		"no status":    raw("HTTP/1.1 OK\r\n\r\n{}"),
		"no end":       raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
		"no chunk":     raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{}"),
		"no header":    raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 70_000)+"\r\n", 20)),
		"nothing sent": raw(""),
	}
	for name, text := range map[string]string{
		"text": "<html>", "nothing": "{}", "empty": "", "null": "null", "array": `["active"]`, "string": `"active"`, "number": "1",
		"not UTF-8": "{\"active\":\xff}", "deep": strings.Repeat("[", 200_000), "deep object": strings.Repeat(`{"active":`, 200_000),
		"truthy": `{"active":"true","userId":"u"}`, "one": `{"active":1,"userId":"u"}`,
		"no user": `{"active":true}`, "empty user": `{"active":true,"userId":""}`, "number as user": `{"active":true,"userId":7}`,
		"null as user": `{"active":true,"userId":null}`, "no code or status": `{"active":false,"problem":{}}`,
		"no problem":   `{"active":false,"code":"c","status":401}`,
		"null problem": `{"active":false,"code":"c","status":401,"problem":null}`,
		"text problem": `{"active":false,"code":"c","status":401,"problem":"p"}`,
		"a success":    `{"active":false,"code":"c","status":200,"problem":{"status":200}}`,
		"a redirect":   `{"active":false,"code":"c","status":302,"problem":{"status":302}}`,
		"a fault":      `{"active":false,"code":"c","status":500,"problem":{"status":500}}`,
		"text status":  `{"active":false,"code":"c","status":"401","problem":{"status":401}}`,
		"neither":      `{"active":null,"code":"c","status":401,"problem":"p"}`,
	} {
		answers[name] = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	var answer atomic.Value
	stand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer.Load().(http.HandlerFunc)(w, r)
	}))
	defer stand.Close()
	for language, startBackend := range backendsOf(t) {
		t.Run(language, func(t *testing.T) {
			b := startBackend(t, stand.URL, token.NewServiceKey())
			for name, handler := range answers {
				answer.Store(handler)
				t.Run(name, func(t *testing.T) {
					r := request{"GET", "", http.Header{"Authorization": {"Bearer lka_x"}}}
					b.refuses(t, r, 503, "unavailable")
				})
			}
		})
	}
}

// raw returns a handler that sends a text and ends the connection.
func raw(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(connection, text)
		_ = connection.Close()
	}
}

// late sends a good answer bit by bit, more slowly than anybody should wait for. No single read takes long.
func late(w http.ResponseWriter, r *http.Request) {
	for range 300 {
		fmt.Fprint(w, " ")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	fmt.Fprint(w, `{"active":true,"userId":"u"}`)
}

// Cookies reach a backend on Latchkey's own host name, and on no other. Ports do not count.
func TestBackends_hostNames(t *testing.T) {
	key, variables := newService(t)
	s, w := start(t, variables...), newWallet(t)
	address := new(backend).startGo(t, buildGoBackend(t), s.url, key)
	to := func(base string) http.Handler {
		target, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	}
	mux := http.NewServeMux()
	mux.Handle("/", to("http://"+address))
	mux.Handle("/auth/", to(s.url))
	proxy := httptest.NewServer(mux)
	defer proxy.Close()
	sameHost := strings.Replace(proxy.URL, "127.0.0.1", "localhost", 1)

	// The cookies are set through the proxy, and none is sent but by the client's own rules.
	signed := w.signInAs(&server{url: sameHost}, "cookie")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(sameHost)
	if err != nil {
		t.Fatal(err)
	}
	cookies, err := http.ParseCookie(signed.header.Get("Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, cookies)
	p := &person{client: &http.Client{Jar: jar}, header: http.Header{"User-Agent": {testAgent}}}
	if got := p.send(t, "GET", sameHost+"/orders:read", ""); got.status != 200 || got.body["userId"] != signed.userID {
		t.Errorf("behind Latchkey's host: %d %v", got.status, got.body)
	}
	for _, other := range []string{"http://" + address, proxy.URL} {
		if got := p.send(t, "GET", other+"/orders:read", ""); got.status != 401 || got.body["code"] != "no_credentials" {
			t.Errorf("at %s: %d %v", other, got.status, got.body)
		}
	}
}
