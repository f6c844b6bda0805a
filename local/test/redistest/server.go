package redistest

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// howToGet tells what a machine without redis-server lacks.
const howToGet = "no redis-server found: apt-get install redis-server (or brew install redis)"

// Own is a redis-server that belongs to one test.
type Own struct {
	Redis
	t    testing.TB
	args []string
	proc *process
}

// ServerWith starts a redis-server for this test alone, with further arguments:
//
//	redistest.ServerWith(t, "--maxmemory", "10mb", "--maxmemory-policy", "noeviction")
//
// In an argument, {port} stands for the port of Addr, which TLS needs:
// "--port", "0", "--tls-port", "{port}"; and {bus} for a second free one. With a password or TLS, make a client
// from Options; the one of Client knows neither, and the one of Product no TLS. The
// product's user is there whatever the arguments say, and stays through Restart.
func ServerWith(t testing.TB, args ...string) *Own {
	t.Helper()
	r := Redis{Name: "server", Prefix: newPrefix()}
	r.newUser()
	return serverFor(t, r, args)
}

// serverFor starts a server that knows the product's user of r.
func serverFor(t testing.TB, r Redis, args []string) *Own {
	t.Helper()
	o := &Own{t: t, Redis: r}
	o.args = slices.Concat(args, []string{"--user", o.Username}, o.userRules(t))
	if !slices.Contains(args, "--requirepass") {
		o.args = append(o.args, inspector...)
	}
	proc, err := start(find(t), o.args)
	if err != nil {
		t.Fatal(err)
	}
	o.proc, o.Addr = proc, address(proc.port)
	// Registered before the client's, so the client closes first.
	t.Cleanup(o.Stop)
	o.connect(t)
	return o
}

// Client is that of Redis, for this one server.
func (o *Own) Client() *redis.Client { return o.client.(*redis.Client) }

// Stop kills the server, as a crash would, and returns when it is gone. Stopping
// twice is fine.
func (o *Own) Stop() { o.proc.stop() }

// Restart starts the server again on the same port after Stop. It comes back empty.
func (o *Own) Restart() {
	o.t.Helper()
	o.Stop()
	proc, err := launch(find(o.t), o.proc.port, o.proc.bus, o.args)
	if err != nil {
		o.t.Fatal(err)
	}
	o.proc = proc
}

// Stopped tells whether the server was stopped and not started again.
func (o *Own) Stopped() bool { return o.proc.stopped.Load() }

// PID returns the process id of the server, for tests that freeze it.
func (o *Own) PID() int { return o.proc.pid }

// Freeze stops the server from doing anything until Thaw; its sockets stay open, as a host's that hangs.
func (o *Own) Freeze() {
	o.t.Helper()
	must(o.t, syscall.Kill(o.PID(), syscall.SIGSTOP))
}

// Thaw lets it go on.
func (o *Own) Thaw() {
	o.t.Helper()
	must(o.t, syscall.Kill(o.PID(), syscall.SIGCONT))
}

var (
	sharedOnce sync.Once
	// sharedProc is held as long as this binary runs: a pipe that is collected is
	// closed, and would end the server.
	sharedProc *process
	errShared  error
)

// shared returns the address of the server that all tests of this binary share.
func shared(t testing.TB) string {
	t.Helper()
	path := find(t)
	sharedOnce.Do(func() { sharedProc, errShared = start(path, inspector) })
	if errShared != nil {
		t.Fatal(errShared)
	}
	return address(sharedProc.port)
}

// inspector are arguments under which the default user may do everything but run
// scripts. It is the test's own: what a test by mistake lets the product do as that
// user fails, and proves nothing of the product's.
var inspector = []string{"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-eval", "-evalsha"}

var sayOnce sync.Once

// find returns the path of a server, or ends the test: as a failure in CI, as a
// skip that says how to get one elsewhere.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(howToGet)
	}
	sayOnce.Do(func() { fmt.Fprintln(os.Stderr, howToGet+"; tests that need it are skipped") })
	t.Skip(howToGet)
	return ""
}

// start picks a free port and starts a server there. Between picking and binding
// somebody else may take the port, hence the attempts.
func start(path string, args []string) (*process, error) {
	var errs error
	for range 5 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		bus, err := freePort()
		if err != nil {
			return nil, err
		}
		proc, err := launch(path, port, bus, args)
		if err == nil {
			return proc, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// guard runs the server and kills it when its standard input ends. That input is
// a pipe whose other end only this test binary holds, so the server goes when the
// binary goes, however it goes: the end of the tests, a panic, a timeout, kill -9.
// Where the server ends by itself, the guard ends with it. Signals from the
// terminal are left to the binary. What the server wrote for its cluster goes with
// both of them, unless the server is to be started again.
const guard = `
trap '' INT TERM HUP
cluster=$1
shift
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
echo "pid $server"
(cat <&3; kill -9 "$server") >/dev/null 2>&1 &
watch=$!
wait "$server" 2>/dev/null
kill -9 "$watch" 2>/dev/null
[ -z "$cluster" ] || rm -f "$cluster" "$cluster".tmp-*
`

// process is a running server and the pipe that keeps it alive.
type process struct {
	port, bus int
	args      []string // as given, with their placeholders
	pid       int      // of the server, not of its guard
	keep      io.WriteCloser
	cmd       *exec.Cmd
	once      sync.Once
	stopped   atomic.Bool
}

// launch starts a server on the port and returns once it accepts connections.
func launch(path string, port, bus int, args []string) (*process, error) {
	line := []string{path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", os.TempDir(),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "",
		// Nothing is read from a file that lies there, nor left there.
		"--dbfilename", rand.Text() + ".rdb", "--repl-diskless-load", "swapdb"}
	for _, a := range args {
		line = append(line, strings.NewReplacer("{port}", strconv.Itoa(port), "{bus}", strconv.Itoa(bus)).Replace(a))
	}
	cmd := exec.Command("sh", append([]string{"-c", guard, "guard", leftover(args)}, line...)...)
	keep, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting redis-server: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting redis-server: %w", err)
	}
	cmd.Stderr = cmd.Stdout // where the server says what it does not like about its arguments
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting redis-server: %w", err)
	}
	p := &process{port: port, bus: bus, args: args, keep: keep, cmd: cmd}
	if err := p.awaitReady(bufio.NewScanner(out)); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// leftover is the file that a server of these arguments leaves behind, where nobody else deletes it.
func leftover(args []string) string {
	i := slices.Index(args, "--cluster-config-file")
	if i < 0 || filepath.Dir(args[i+1]) != filepath.Clean(os.TempDir()) {
		return ""
	}
	return args[i+1]
}

// awaitReady reads the server's log until it says that it accepts connections,
// and leaves a reader behind so that the server never blocks on a full pipe.
func (p *process) awaitReady(log *bufio.Scanner) error {
	var seen []string
	for log.Scan() {
		line := log.Text()
		if pid, ok := strings.CutPrefix(line, "pid "); ok {
			p.pid, _ = strconv.Atoi(pid)
		}
		if strings.Contains(line, "eady to accept connections") {
			go func() {
				for log.Scan() {
				}
			}()
			return nil
		}
		seen = append(seen, line)
	}
	return fmt.Errorf("redis-server did not start:\n%s", strings.Join(seen, "\n"))
}

// stop ends the guard's input and waits until guard and server are gone.
func (p *process) stop() {
	p.once.Do(func() {
		p.stopped.Store(true)
		_ = p.keep.Close()
		_ = p.cmd.Wait()
	})
}
