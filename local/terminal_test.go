package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// terminal opens a terminal: what is written to its end can be read from the
// other.
func terminal(t *testing.T) (read, write *os.File) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("terminals are opened as on Linux")
	}
	read, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	var locked, number uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, read.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	write, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { write.Close() })
	return read, write
}

// get sends a request with headers and drops the answer.
func get(t *testing.T, method, url string, headers ...string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
}

// On a terminal the log has a line for people about each request, with what to
// do. Nothing that a client sends forges one.
func TestMain_terminal(t *testing.T) {
	screen, stderr := terminal(t)
	s := newServer(t, "SESSION_TIMEOUT=5")
	s.command.Stderr = stderr
	s.begin(t)
	w := newWallet(t)

	get(t, "GET", s.url+"/no/such?token=secret")
	get(t, "PUT", s.url+"/auth/nonce")
	get(t, "GET", s.url+"/auth/nonce", "Origin", "http://page.example:5173")
	get(t, "OPTIONS", s.url+"/auth/login", "Origin", "http://x\u009b31m", "Access-Control-Request-Method", "POST")
	get(t, "GET", s.url+"/auth/nonce?transport=bearer")
	_, nonce := exchange(t, "GET", s.url+"/auth/nonce?transport=bearer", "", "")
	nonce["statement"] = "Sign in with Ethereum to the app."
	offer, err := json.Marshal(nonce)
	if err != nil {
		t.Fatal(err)
	}
	exchange(t, "POST", s.url+"/auth/login", "", w.run(string(offer), "login"))
	if rest, err := s.stop(t, os.Interrupt); err != nil || rest != "" {
		t.Errorf("%v, printed %q", err, rest)
	}
	stderr.Close()
	shown, _ := io.ReadAll(screen) // ends with an error when nobody has the other end
	lines := strings.Split(strings.TrimSuffix(string(shown), "\r\n"), "\r\n")
	for i, want := range []string{
		"warning: SESSION_TIMEOUT is not a variable: did you mean SESSION_TIMEOUT_MINUTES\\?",
		"warning: GET /no/such 404 no_route \\(no route of the template has this path\\)",
		"warning: PUT /auth/nonce 404 no_route \\(the routes of this path have GET\\)",
		`warning: GET /auth/nonce origin_refused \(the page cannot read the answer: the origin "http://page.example:5173" is not allowed: add its host to SIWE_DOMAINS, .*\)`,
		`GET /auth/nonce 200 [0-9.]+ ms`,
		`warning: OPTIONS /auth/login 204 preflight_refused \(the origin "http://x\\u009b31m" is not allowed: .*\)`,
		`GET /auth/nonce 200 [0-9.]+ ms`,
		`GET /auth/nonce 200 [0-9.]+ ms`,
		`POST /auth/login 401 login_failed \(statement: wanted "Sign in.", got "Sign in with Ethereum to the app."\) [0-9.]+ ms`,
	} {
		if i >= len(lines) || !regexp.MustCompile(`^\d\d:\d\d:\d\d `+want+`$`).MatchString(lines[i]) {
			t.Errorf("line %d is not %s", i+1, want)
		}
	}
	if t.Failed() || len(lines) != 9 {
		t.Errorf("shown:\n%s", shown)
	}
}
