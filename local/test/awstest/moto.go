package awstest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// howToGetMoto is the message for a machine without moto.
const howToGetMoto = "no moto_server found: pip install 'moto[server]'"

var shared struct {
	once sync.Once
	url  string
	err  error
	// keep holds the pipe open for as long as this binary runs.
	keep *os.File
}

// Moto returns the URL of moto's server, a stand-in for AWS. All tests of a
// binary share one, which ends with the binary. If moto is not installed the
// test is skipped and says so; with CI=true it fails instead.
func Moto(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(howToGetMoto)
		}
		fmt.Fprintln(os.Stderr, howToGetMoto+"; tests that need it are skipped")
		t.Skip(howToGetMoto)
	}
	shared.once.Do(func() { shared.url, shared.err = startMoto(path) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.url
}

// guard kills the server when its standard input ends. That happens when this
// binary ends, in whatever way.
const guard = `
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(cat <&3; kill -9 "$server") >/dev/null 2>&1 &
watch=$!
wait "$server"
kill -9 "$watch" 2>/dev/null
`

var running = regexp.MustCompile(`Running on (http://127\.0\.0\.1:[0-9]+)`)

// startMoto starts the server on a port that the system chooses, and waits
// until it says which.
func startMoto(path string) (string, error) {
	in, keep, err := os.Pipe()
	if err != nil {
		return "", err
	}
	shared.keep = keep
	command := exec.Command("sh", "-c", guard, "guard", path, "-H", "127.0.0.1", "-p", "0")
	command.Stdin = in
	out, err := command.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	in.Close()
	var seen []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if address := running.FindStringSubmatch(lines.Text()); address != nil {
			go func() {
				for lines.Scan() { // otherwise the server would block on a full pipe
				}
			}()
			return address[1], nil
		}
	}
	return "", fmt.Errorf("moto_server did not start:\n%s", strings.Join(seen, "\n"))
}
