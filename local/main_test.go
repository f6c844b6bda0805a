package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey/local/answers"
	"latchkey/local/test/redistest"
)

// TestMain lets the test binary be the server: a process is what gets signals, has
// an exit code, and prints.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SERVER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// server is the program as a process.
type server struct {
	command *exec.Cmd
	url     string
	ready   string // its ready line
	out     *bufio.Reader
	errs    bytes.Buffer
}

// command prepares the program with an environment of these variables alone.
func command(variables ...string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = slices.Concat([]string{"BE_THE_SERVER=1"}, answers.Environment(), variables)
	return c
}

// start runs the program on a free port until the test ends or stops it.
func start(t *testing.T, variables ...string) *server {
	t.Helper()
	return startIn(t, "", variables...)
}

// startIn runs the program in a folder, whose templates it then serves; empty means
// this one.
func startIn(t *testing.T, folder string, variables ...string) *server {
	t.Helper()
	s := newServer(t, variables...)
	s.command.Dir = folder
	s.begin(t)
	return s
}

// newServer prepares the program on a free port. It keeps what the program
// writes to standard error.
func newServer(t *testing.T, variables ...string) *server {
	t.Helper()
	port := redistest.FreePort(t)
	s := &server{url: fmt.Sprintf("http://localhost:%d", port)}
	s.command = command(append(variables, fmt.Sprintf("PORT=%d", port))...)
	s.command.Stderr = &s.errs
	return s
}

// begin runs the command until the test ends or stops it.
func (s *server) begin(t *testing.T) {
	t.Helper()
	out, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.command.ProcessState == nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
	})
	s.out = bufio.NewReader(out)
	if s.ready, err = s.out.ReadString('\n'); err != nil {
		_ = s.command.Wait()
		t.Fatalf("no ready line: %v\n%s", err, &s.errs)
	}
}

// stop sends a signal and returns what else was printed and how the process ended.
func (s *server) stop(t *testing.T, signal os.Signal) (rest string, err error) {
	t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return s.wait(t)
}

func (s *server) wait(t *testing.T) (rest string, err error) {
	t.Helper()
	printed, err := io.ReadAll(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return string(printed), s.command.Wait()
}

// exchange sends a request and decodes the JSON of the answer.
func exchange(t *testing.T, method, url, token, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var decoded map[string]any
	if err := json.NewDecoder(response.Body).Decode(&decoded); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return response.StatusCode, decoded
}

func TestMain_readyLine(t *testing.T) {
	s := start(t)
	for _, want := range []string{s.url + ",", "SESSION_SECRET", "SESSION_ENCRYPTION_KEY", "embedded Redis"} {
		if !strings.Contains(s.ready, want) {
			t.Errorf("%q does not name %q", s.ready, want)
		}
	}
	try := regexp.MustCompile(`curl '([^']+)'`).FindStringSubmatch(s.ready)
	if try == nil {
		t.Fatalf("%q gives no command to try", s.ready)
	}
	if status, answer := exchange(t, "GET", try[1], "", ""); status != 200 || answer["nonce"] == nil {
		t.Errorf("%s: %d %v", try[0], status, answer)
	}
	rest, err := s.stop(t, os.Interrupt)
	if err != nil || rest != "" {
		t.Errorf("after Ctrl-C: %v, printed %q", err, rest)
	}
	for line := range strings.Lines(s.errs.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("the log has a line that is no JSON: %q", line)
		}
	}
}

func TestMain_help(t *testing.T) {
	c := command()
	c.Args = append(c.Args, "-help")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ADMIN_ADDRESSES=") || !strings.Contains(string(out), "-template") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestMain_otherRedis(t *testing.T) {
	r := redistest.Server(t)
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_KEY_PREFIX="+r.Prefix, "REDIS_USERNAME="+r.Username, "REDIS_PASSWORD="+r.Password)
	if strings.Contains(s.ready, "embedded") {
		t.Errorf("%q", s.ready)
	}
	if status, answer := exchange(t, "GET", s.url+"/auth/nonce", "", ""); status != 200 {
		t.Fatalf("%d %v", status, answer)
	}
	keys := r.Client().Scan(t.Context(), 0, r.Prefix+"*", 1000).Iterator()
	if !keys.Next(t.Context()) {
		t.Errorf("the nonce is not in the Redis that was named: %v", keys.Err())
	}
}

// However soon it is stopped, it has swept once, and a sweep that was broken off is no failure.
func TestMain_sweeps(t *testing.T) {
	s := start(t)
	if rest, err := s.stop(t, os.Interrupt); err != nil || rest != "" {
		t.Errorf("%v, printed %q", err, rest)
	}
	if log := s.errs.String(); !strings.Contains(log, `"msg":"sweep"`) || strings.Contains(log, "failed") {
		t.Errorf("the log is %s", log)
	}
}

func TestMain_gatewayAnswers(t *testing.T) {
	s := start(t)
	if status, answer := exchange(t, "GET", s.url+"/no/such/route", "", ""); status != 404 || answer["message"] != "Not Found" {
		t.Errorf("%d %v", status, answer)
	}
}

func TestMain_loopbackOnly(t *testing.T) {
	s := start(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), ":")
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		if conn, err := net.Dial("tcp", net.JoinHostPort(network.IP.String(), port)); err == nil {
			conn.Close()
			t.Errorf("it answers on %s", network.IP)
		}
	}
}

func TestMain_drains(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			s := start(t)
			conn, err := net.Dial("tcp4", strings.TrimPrefix(s.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			// Asked to expect it, the server says 100 when it begins to read the body:
			// from then on the request is under way.
			fmt.Fprint(conn, "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
				"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
			if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
				t.Fatalf("%q, %v", line, err)
			}
			_, _ = in.ReadString('\n')
			if err := s.command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			awaitRefused(t, s.url)
			fmt.Fprint(conn, "{}")
			response, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("the request under way was cut off: %v", err)
			}
			response.Body.Close()
			if response.StatusCode != 401 {
				t.Errorf("logout without credentials: %s", response.Status)
			}
			if rest, err := s.wait(t); err != nil || rest != "" {
				t.Errorf("it ended with %v, printed %q", err, rest)
			}
		})
	}
}

// awaitRefused connects until no new connection is taken.
func awaitRefused(t *testing.T, url string) {
	t.Helper()
	for range 100_000 {
		conn, err := net.Dial("tcp4", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatal("it goes on taking connections")
}

// fails runs the program and returns what it printed when it exits with 1.
func fails(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if c.ProcessState.ExitCode() != 1 || len(out) > 0 {
		t.Fatalf("exit %v, printed %q and %q", err, out, &errs)
	}
	return errs.String()
}

// A server on either loopback address is in the way: localhost may mean both.
func TestMain_portInUse(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", address)
		if err != nil && address != "127.0.0.1:0" {
			t.Logf("no IPv6 here: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		got := fails(t, command(fmt.Sprintf("PORT=%d", port)))
		want := fmt.Sprintf("port %d is in use: stop the process that listens there, or choose another port with PORT=%d make run\n", port, port+1)
		if got != want {
			t.Errorf("got %q", got)
		}
	}
}

// A Redis that is not as configured ends the start, and the first line says what
// to set. A misspelt variable is named after it.
func TestMain_redisIsNotAsConfigured(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		plain, secured := e.ServerWith(t), e.ServerWith(t, "--requirepass", "open sesame")
		overTLS := redistest.NewAuthority(t).ServerOf(t, e, "127.0.0.1", time.Now().Add(time.Hour))
		cluster := e.Cluster(t)
		for name, c := range map[string]struct {
			server    redistest.Redis
			variables []string
			want      string
		}{
			"nothing there":    {redistest.Redis{Addr: fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t))}, nil, " cannot be reached (connection refused): start it, or set REDIS_HOST and REDIS_PORT, or leave REDIS_HOST out to use the embedded Redis"},
			"no password":      {secured.Redis, nil, " needs a password: set REDIS_PASSWORD, and REDIS_USERNAME unless it is the default user's"},
			"a wrong password": {secured.Redis, []string{"REDIS_PASSWORD=x"}, " rejects the password of its default user: correct REDIS_USERNAME, REDIS_PASSWORD"},
			"needs TLS":        {overTLS.Redis, nil, " hangs up without an answer, so it probably expects TLS: set REDIS_TLS=true"},
			"has no TLS":       {plain.Redis, []string{"REDIS_TLS=true"}, " does not speak TLS: leave REDIS_TLS out, or set REDIS_PORT to its TLS port"},
			"is a cluster":     {cluster, []string{"REDIS_USERNAME=" + cluster.Username, "REDIS_PASSWORD=" + cluster.Password, "REDIS_KEY_PREFIX=" + cluster.Prefix}, " is a node of a cluster: set REDIS_CLUSTER=true"},
			"is no cluster":    {plain.Redis, []string{"REDIS_CLUSTER=true", "REDIS_USERNAME=" + plain.Username, "REDIS_PASSWORD=" + plain.Password}, " is not a cluster: leave REDIS_CLUSTER out"},
		} {
			t.Run(name, func(t *testing.T) {
				host, port, err := net.SplitHostPort(c.server.Addr)
				if err != nil {
					t.Fatal(err)
				}
				c.variables = append(c.variables, "REDIS_HOST="+host, "REDIS_PORT="+port, "REDIS_PASSWRD=x")
				want := "Redis at " + c.server.Addr + c.want + "\nREDIS_PASSWRD is not a variable: did you mean REDIS_PASSWORD?\n"
				if got := fails(t, command(c.variables...)); got != want {
					t.Errorf("got  %swant %s", got, want)
				}
			})
		}
	})
}

// A variable that is misspelt is the first line of a start, and one of somebody
// else's stops nothing.
func TestMain_unknownVariables(t *testing.T) {
	s := start(t, "LOG_FORMAT=text", "SIWE_DOMAIN=x", "REDIS_URL=redis://x", "SESSION_MANAGER=x")
	if _, err := s.stop(t, os.Interrupt); err != nil {
		t.Error(err)
	}
	first, _, _ := strings.Cut(s.errs.String(), "\n")
	const want = "warning: REDIS_URL is not a variable and has no effect: docs/configuration.md lists all; SIWE_DOMAIN is not a variable: did you mean SIWE_DOMAINS?"
	if !strings.HasSuffix(first, want) {
		t.Errorf("the first line is %q", first)
	}
	got := fails(t, command("APP_ENV=production", "SIWE_DOMAIN=x"))
	if !strings.HasPrefix(got, "the configuration is not valid:\n") || !strings.HasSuffix(got, "\nSIWE_DOMAIN is not a variable: did you mean SIWE_DOMAINS?\n") {
		t.Errorf("got %q", got)
	}
}

func TestMain_configurationProblemsAllAtOnce(t *testing.T) {
	got := fails(t, command("SESSION_SECRET=short", "REDIS_PORT=much", "SESSION_LIMIT_POLICY=maybe"))
	for _, want := range []string{"SESSION_SECRET", "REDIS_PORT", "SESSION_LIMIT_POLICY"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not name %s", got, want)
		}
	}
}

func TestMain_productionMakesUpNothing(t *testing.T) {
	got := fails(t, command("APP_ENV=production"))
	for _, want := range []string{"SESSION_SECRET", "SESSION_ENCRYPTION_KEY", "REDIS_HOST", "SIWE_DOMAINS"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not name %s", got, want)
		}
	}
}

func TestMain_noTemplate(t *testing.T) {
	c := command()
	c.Dir = t.TempDir()
	if got := fails(t, c); !strings.Contains(got, "-template") {
		t.Errorf("got %q", got)
	}
}

// buildSigner compiles the signer and returns its path.
func buildSigner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sign")
	if out, err := exec.Command("go", "build", "-o", path, "./sign").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// wallet is the signer with a key of its own.
type wallet struct {
	t           *testing.T
	signer, key string
	address     string
}

func newWallet(t *testing.T) *wallet {
	t.Helper()
	w := &wallet{t: t, signer: buildSigner(t), key: filepath.Join(t.TempDir(), "key")}
	w.address = w.run("", "new")
	return w
}

func (w *wallet) run(input string, args ...string) string {
	w.t.Helper()
	c := exec.Command(w.signer, append(args, "-key", w.key)...)
	c.Stdin = strings.NewReader(input)
	out, err := c.Output()
	if err != nil {
		w.t.Fatalf("sign %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// login signs in at a server and returns the access token. The query is that of the nonce.
func (w *wallet) login(s *server, query string) string {
	w.t.Helper()
	_, nonce := exchange(w.t, "GET", s.url+"/auth/nonce"+query, "", "")
	offer, err := json.Marshal(nonce)
	if err != nil {
		w.t.Fatal(err)
	}
	status, session := exchange(w.t, "POST", s.url+"/auth/login", "", w.run(string(offer), "login"))
	if status != 200 {
		w.t.Fatalf("login after %s: %d %v", query, status, session)
	}
	token, _ := session["accessToken"].(string)
	return token
}

// TestMain_signer goes the way of a first try: a nonce, the signer, and a session,
// with the message written by the signer and by the server.
func TestMain_signer(t *testing.T) {
	s, w := start(t), newWallet(t)
	for _, query := range []string{"?transport=bearer", "?transport=bearer&chainId=1&address=" + w.address} {
		token := w.login(s, query)
		status, profile := exchange(t, "GET", s.url+"/api/profile", token, "")
		user, _ := profile["user"].(map[string]any)
		if status != 200 || user["address"] != w.address {
			t.Errorf("profile of %s: %d %v", w.address, status, profile)
		}
		if status, answer := exchange(t, "POST", s.url+"/auth/logout", token, ""); status != 204 {
			t.Errorf("logout: %d %v", status, answer)
		}
	}
}

// Attack case 49: another spelling of a path leads to no other function than its own, and to none without its checks. An
// admin's token shows it best: the one true path opens, and no other does.
func TestMain_pathTricks(t *testing.T) {
	w := newWallet(t)
	s := start(t, "ADMIN_ADDRESSES="+w.address)
	token := w.login(s, "?transport=bearer")
	if status, answer := exchange(t, "GET", s.url+"/api/admin/sessions", token, ""); status != 200 {
		t.Fatalf("the true path: %d %v", status, answer)
	}
	if status, answer := exchange(t, "GET", s.url+"/api/admin/sessions", "", ""); status != 401 {
		t.Errorf("without a token: %d %v", status, answer)
	}
	for _, path := range []string{
		"/api/admin/sessions/", "//api/admin/sessions", "/api//admin/sessions", "/API/admin/sessions", "/api/Admin/sessions",
		"/api/admin%2fsessions", "/api/admin%2Fsessions", "/api/%61dmin/sessions", "/auth/../api/admin/sessions",
		"/api/./admin/sessions", "/api/profile/../admin/sessions", "/auth/%2e%2e/api/admin/sessions", "/api/admin/sessions;x",
		"/api/admin/sessions%00", "/api/admin/sessions%3F", "/api/admin/sessions.json", "\\api\\admin\\sessions",
	} {
		for _, credentials := range []string{"", "Authorization: Bearer " + token + "\r\n"} {
			if status := s.sendRaw(t, "GET "+path, credentials); status != 404 && status != 401 && status != 400 {
				t.Errorf("%s (credentials %t): %d", path, credentials != "", status)
			}
		}
	}
}

// sendRaw sends a request line as it is, which no client library would, and returns the status.
func (s *server) sendRaw(t *testing.T, line, headers string) int {
	t.Helper()
	conn, err := net.Dial("tcp4", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n", line, headers)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestTour pastes the shell part of a tour into an empty folder, with another port and
// the signer compiled.
func TestTour(t *testing.T) {
	t.Run("README.md", func(t *testing.T) {
		shows(t, paste(t, "README.md", "Tour"), `"accessToken":"lka_`, `"user":`, "204", "session_ended")
	})
	t.Run("docs/tutorial.md", func(t *testing.T) {
		out := paste(t, "docs/tutorial.md", "In a shell")
		shows(t, out, `"accessToken":"lka_`, `"refreshToken":"lkr_`, `"user":`, "login_failed", "204", "session_ended")
		// Of the login, of both refreshes, of the step-up.
		tokens := regexp.MustCompile(`"refreshToken":"(lkr_[^"]*)"`).FindAllString(out, -1)
		if len(tokens) != 4 || tokens[1] == tokens[0] || tokens[1] != tokens[2] || tokens[3] == tokens[2] {
			t.Errorf("it does not show that a refresh rotates once: %q", tokens)
		}
	})
}

// paste runs the first shell block of a section and returns what it prints.
func paste(t *testing.T, page, title string) string {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") != "true" {
			fmt.Fprintln(os.Stderr, "no "+tool+" found; the tour of "+page+" is not run")
			t.Skip("no " + tool + " found")
		}
	}
	_, block, _ := strings.Cut(section(t, page, title), "```sh\n")
	script, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatalf("section %q of %s has no shell block", title, page)
	}
	script = strings.ReplaceAll(script, "http://localhost:3000", start(t).url)
	script = strings.ReplaceAll(script, "go run ./local/sign", buildSigner(t))
	shell := exec.Command("bash", "-euo", "pipefail", "-c", script)
	shell.Dir = t.TempDir()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// shows reports what an output does not contain.
func shows(t *testing.T, out string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("it does not show %s:\n%s", want, out)
		}
	}
}
