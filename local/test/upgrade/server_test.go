package upgrade_test

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"latchkey/local/answers"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
)

// domain is the domain that every server lets people sign in to.
const domain = "app.example.com"

// deployment is what the servers of all versions have in common.
type deployment struct {
	redis     redistest.Redis
	variables []string
}

// newDeployment has its own keys on a redis-server. The session keys are the
// samples that only APP_ENV=local accepts. Further variables take precedence.
func newDeployment(t *testing.T, variables ...string) deployment {
	t.Helper()
	r := redistest.Server(t)
	host, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	return deployment{r, slices.Concat([]string{
		"APP_ENV=local",
		"SESSION_SECRET=" + sampleSecret, "SESSION_ENCRYPTION_KEY=" + sampleKey,
		"REDIS_HOST=" + host, "REDIS_PORT=" + port, "REDIS_KEY_PREFIX=" + r.Prefix,
		"REDIS_USERNAME=" + r.Username, "REDIS_PASSWORD=" + r.Password,
		"SIWE_DOMAINS=" + domain, "STEP_UP_MINUTES=60",
		"RATE_LIMIT_NONCE_PER_MINUTE=0", "RATE_LIMIT_LOGIN_PER_MINUTE=0",
		"RATE_LIMIT_REFRESH_PER_MINUTE=0",
		"EVENTS=log", // which 0.1.0 does not know
	}, variables)}
}

const (
	sampleSecret = "sample-session-secret-of-sam-local-which-is-refused-elsewhere"
	sampleKey    = "sample-encryption-key-sam-local!"
)

// server is a version that runs as a process, or in this one.
type server struct {
	name    string
	old     bool // whether it is a release
	repairs bool // whether counters may be wrong
	url     string
	process *exec.Cmd
	log     lambdatest.Output
}

// start runs a version until the test ends or stops it.
func (d deployment) start(t *testing.T, v version) *server {
	t.Helper()
	port := redistest.FreePort(t)
	s := &server{name: v.name, old: v.name != thisVersion}
	s.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	s.process = exec.Command(v.binary)
	s.process.Dir = v.source
	s.process.Env = slices.Concat(d.variables, answers.Environment(), []string{fmt.Sprint("PORT=", port)})
	s.process.Stderr = &s.log
	out, err := s.process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process.ProcessState == nil {
			_ = s.process.Process.Kill()
			_ = s.process.Wait()
		}
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		_ = s.process.Wait()
		t.Fatalf("%s does not start: %v\n%s", v.name, err, s.log.String())
	}
	return s
}

// defects are log lines of a fault, and of a record that cannot be read. repairs
// are those of counters that were wrong, which have two names.
var (
	defects = regexp.MustCompile(`(?m)^.*("level":"ERROR"|"msg":"unavailable"|"damaged":[1-9]).*$`)
	repairs = regexp.MustCompile(`(?m)^.*"(mended|repaired)":[1-9].*$`)
)

// stop ends the server as an operator does, and reports what it should not have
// logged.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		t.Errorf("%s ended with %v", s.name, err)
	}
	lines := defects.FindAllString(s.log.String(), -1)
	if !s.repairs {
		lines = append(lines, repairs.FindAllString(s.log.String(), -1)...)
	}
	for _, line := range lines {
		t.Errorf("%s logged %s", s.name, line)
	}
}

var sweepLine = regexp.MustCompile(`"msg":"sweep","ended":(\d+),.*"complete":true`)

// swept waits for the sweep with which a server begins, and returns how many
// sessions it ended.
func (s *server) swept(t *testing.T) int {
	t.Helper()
	patience := time.NewTicker(20 * time.Millisecond)
	defer patience.Stop()
	for began := time.Now(); time.Since(began) < time.Minute; <-patience.C {
		if m := sweepLine.FindStringSubmatch(s.log.String()); m != nil {
			n, _ := strconv.Atoi(m[1])
			return n
		}
	}
	t.Fatalf("%s does not sweep: %s", s.name, s.log.String())
	return 0
}
