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

// Own is a server that belongs to one test.
type Own struct {
	Redis
	t    testing.TB
	args []string
	proc *process
}

// ServerWith is [Engine.ServerWith] of any engine.
func ServerWith(t testing.TB, args ...string) *Own {
	t.Helper()
	return installed(t).ServerWith(t, args...)
}

// ServerWith starts a server for this test alone, with further arguments:
//
//	redistest.EngineValkey.ServerWith(t, "--maxmemory", "10mb",
//		"--maxmemory-policy", "noeviction")
//
// In an argument, {port} stands for the port of Addr, which TLS needs:
// "--port", "0", "--tls-port", "{port}". {bus} stands for a second free port.
// For a server with a password or TLS, make a client from Options: that of
// Client has neither, and that of Product has no TLS. The product's user exists
// whatever the arguments say, also after Restart.
func (e Engine) ServerWith(t testing.TB, args ...string) *Own {
	t.Helper()
	e.find(t)
	r := Redis{Name: string(e), Engine: e, Prefix: newPrefix()}
	r.newUser()
	return serverFor(t, r, args)
}

// serverFor starts a server with the product's user of r.
func serverFor(t testing.TB, r Redis, args []string) *Own {
	t.Helper()
	o := &Own{t: t, Redis: r}
	o.args = slices.Concat(args, []string{"--user", o.Username}, o.userRules(t))
	if !slices.Contains(args, "--requirepass") {
		o.args = append(o.args, inspector...)
	}
	proc, err := start(o.Engine, o.args)
	must(t, err)
	o.proc, o.Addr = proc, address(proc.port)
	// Cleanups run in reverse order, so the client closes first.
	t.Cleanup(o.Stop)
	o.connect(t)
	return o
}

// Client returns the client of Redis, which is for this one server.
func (o *Own) Client() *redis.Client { return o.client.(*redis.Client) }

// Stop kills the server, as a crash would, and waits until it is gone. It may
// be called twice.
func (o *Own) Stop() { o.proc.stop() }

// Restart starts the server again on the same port after Stop. It is empty
// then.
func (o *Own) Restart() {
	o.t.Helper()
	o.Stop()
	proc, err := launch(o.Engine, o.proc.port, o.proc.bus, o.args)
	must(o.t, err)
	o.proc = proc
}

// Stopped reports whether the server was stopped and not started again.
func (o *Own) Stopped() bool { return o.proc.stopped.Load() }

// PID returns the process id of the server.
func (o *Own) PID() int { return o.proc.pid }

// Freeze stops the server from doing anything until Thaw. Its sockets stay
// open, as on a host that hangs.
func (o *Own) Freeze() {
	o.t.Helper()
	must(o.t, syscall.Kill(o.PID(), syscall.SIGSTOP))
}

// Thaw lets the server go on after Freeze.
func (o *Own) Thaw() {
	o.t.Helper()
	must(o.t, syscall.Kill(o.PID(), syscall.SIGCONT))
}

// inspector has the arguments with which the default user may do everything
// except run scripts. Only tests use that user. If by mistake a test lets the
// product use it, the test fails: it would not prove anything about the
// product.
var inspector = []string{
	"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-eval", "-evalsha",
}

// start picks a free port and starts a server there. It tries several times,
// because another process may take the port before the server does.
func start(e Engine, args []string) (*process, error) {
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
		proc, err := launch(e, port, bus, args)
		if err == nil {
			return proc, nil
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

// FreePort returns a port on which nothing listens on loopback. Another process
// may take it before the caller does.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
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

// guard runs the server and kills it when its standard input ends. That input
// is a pipe whose other end only this test binary holds. So the server ends
// when the binary ends, in whatever way: the end of the tests, a panic, a
// timeout, kill -9. If the server ends by itself, the guard ends too. The guard
// ignores signals from the terminal, which are for the binary. It also deletes
// what the server wrote for its cluster, unless the server will be started
// again.
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
	engine    Engine
	port, bus int
	args      []string // as given, with placeholders
	pid       int      // of the server, not of the guard
	keep      io.WriteCloser
	cmd       *exec.Cmd
	once      sync.Once
	stopped   atomic.Bool
}

// launch starts a server on the port and returns when it accepts connections.
func launch(e Engine, port, bus int, args []string) (*process, error) {
	line := []string{
		e.program(), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", os.TempDir(),
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "",
		// The server reads no existing file, and leaves none behind.
		"--dbfilename", rand.Text() + ".rdb", "--repl-diskless-load", "swapdb",
	}
	ports := strings.NewReplacer("{port}", strconv.Itoa(port), "{bus}", strconv.Itoa(bus))
	for _, a := range args {
		line = append(line, ports.Replace(a))
	}
	cmd := exec.Command("sh", append([]string{"-c", guard, "guard", leftover(args)}, line...)...)
	keep, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", e.program(), err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", e.program(), err)
	}
	cmd.Stderr = cmd.Stdout // the server writes errors in its arguments there
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", e.program(), err)
	}
	p := &process{engine: e, port: port, bus: bus, args: args, keep: keep, cmd: cmd}
	if err := p.awaitReady(bufio.NewScanner(out)); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// leftover returns the path of the file that a server with these arguments
// leaves behind and nothing else deletes, or "".
func leftover(args []string) string {
	i := slices.Index(args, "--cluster-config-file")
	if i < 0 || filepath.Dir(args[i+1]) != filepath.Clean(os.TempDir()) {
		return ""
	}
	return args[i+1]
}

// awaitReady reads the server's log until it says that the server accepts
// connections. It leaves a reader behind, so that the server never blocks on a
// full pipe.
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
	return fmt.Errorf("%s did not start:\n%s", p.engine.program(), strings.Join(seen, "\n"))
}

// stop closes the guard's input and waits until guard and server are gone.
func (p *process) stop() {
	p.once.Do(func() {
		p.stopped.Store(true)
		_ = p.keep.Close()
		_ = p.cmd.Wait()
	})
}
