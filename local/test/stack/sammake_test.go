package stack_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// samStub runs until a signal, like sam local start-api. cat ends by the signal,
// which the terminal sends to all processes in the foreground.
const samStub = `echo "sam $*" >>"$LOG"
case "$*" in "local start-api "*)
	trap 'echo "sam ends" >>"$LOG"; exit 0' HUP INT TERM
	echo serving
	cat >/dev/null ;;
esac`

// samMake runs make sam-local with stand-ins for the programs that it calls.
type samMake struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	log     string
}

func startSamMake(t *testing.T, stubs map[string]string) samMake {
	t.Helper()
	folder := t.TempDir()
	run := samMake{command: exec.CommandContext(t.Context(), "make", "--no-print-directory", "sam-local"), log: filepath.Join(folder, "log")}
	for name, script := range map[string]string{"go": logged("go"), "docker": logged("docker"), "sam": samStub} {
		if other, ok := stubs[name]; ok {
			script = other
		}
		stub(t, folder, name, script)
	}
	run.command.Dir = root
	run.command.Env = append(withoutMake(os.Environ()), "PATH="+folder+":"+originalPath, "LOG="+run.log)
	run.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := run.command.StdoutPipe()
	if err == nil {
		run.stdout = bufio.NewScanner(stdout)
		run.stdin, err = run.command.StdinPipe()
	}
	if err == nil {
		err = run.command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// logged is the script of a program that only logs its arguments.
func logged(name string) string { return `echo "` + name + ` $*" >>"$LOG"` }

// end waits until make ends, and returns the calls in their order, each by its
// first words.
func (m samMake) end(t *testing.T) (calls []string, err error) {
	t.Helper()
	_ = m.stdin.Close() // a sam that is still there ends
	for m.stdout.Scan() {
	}
	err = m.command.Wait()
	text, readErr := os.ReadFile(m.log)
	if readErr != nil {
		t.Fatal(readErr)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.ReplaceAll(strings.TrimSpace(line), " --file local/docker-compose.yml", "")
		line, _, _ = strings.Cut(line, " --")
		if before, after, found := strings.Cut(line, " -tags "); found {
			line = before + after[strings.LastIndex(after, " "):]
		}
		calls = append(calls, line)
	}
	return calls, err
}

// The traps: Valkey went on after sam had ended, and six compilers compiled the
// same packages at once. What is shared is compiled first, and Valkey is stopped
// however sam ends.
func TestSamLocal_stopsWhatItStarted(t *testing.T) {
	whole := []string{"go build ./shared/...", "sam build", "docker compose up", "sam local start-api", "sam ends", "docker compose down"}
	for name, sent := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "terminated": syscall.SIGTERM, "terminal closed": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			// A process inherits what its parent ignores, as under nohup. What
			// is caught here is not ignored there.
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, sent)
			defer signal.Stop(caught)
			run := startSamMake(t, nil)
			for run.stdout.Scan() && run.stdout.Text() != "serving" {
			}
			if err := syscall.Kill(-run.command.Process.Pid, sent); err != nil {
				t.Fatal(err)
			}
			if got, err := run.end(t); !slices.Equal(got, whole) || err == nil {
				t.Errorf("%v: %q, want %q", err, got, whole)
			}
		})
	}
	for name, failure := range map[string]struct {
		stubs map[string]string
		want  []string
	}{
		"sam local fails":         {map[string]string{"sam": logged("sam") + `; test "$1" = build`}, append(slices.Clone(whole[:4]), whole[5])},
		"Valkey does not start":   {map[string]string{"docker": logged("docker") + `; test "$4" = down`}, append(slices.Clone(whole[:3]), whole[5])},
		"sam build fails":         {map[string]string{"sam": logged("sam") + "; exit 1"}, whole[:2]},
		"the code is not sound":   {map[string]string{"go": logged("go") + "; exit 1"}, whole[:1]},
		"docker is not reachable": {map[string]string{"docker": logged("docker") + "; exit 1"}, append(slices.Clone(whole[:3]), whole[5])},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := startSamMake(t, failure.stubs).end(t); !slices.Equal(got, failure.want) || err == nil {
				t.Errorf("%v: %q, want %q", err, got, failure.want)
			}
		})
	}
}

// The trap: without warm containers, sam local starts one for each request.
func TestSamLocal_keepsContainers(t *testing.T) {
	if got := samCommand(t, "local start-api"); !strings.Contains(got, " --warm-containers LAZY ") {
		t.Errorf("make sam-local runs %s", got)
	}
}
