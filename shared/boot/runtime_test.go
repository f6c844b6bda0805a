package boot_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// build compiles every function as it is deployed and returns where the binaries are.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	command := exec.Command("go", "build", "-tags", "lambda.norpc", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w",
		"-o", dir+string(filepath.Separator), "./functions/...")
	command.Dir = filepath.Join("..", "..")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("building the functions: %v\n%s", err, out)
	}
	return dir
}

// function is one built function that runs as a process on a stand-in for the Lambda Runtime API
// (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) of its own.
type function struct {
	name    string
	process *os.Process
	output  *output
	exited  chan struct{} // closed once the process is gone
	state   *os.ProcessState

	invocations chan invocation
	results     chan result
	registered  chan struct{} // closed once the process has asked to be sent SIGTERM
}

type invocation struct {
	id      string
	payload []byte
}

// result is what came back for an invocation: a response, or an error that the gateway would answer with 500.
type result struct {
	id, kind string
	payload  []byte
}

// startFunction starts a function with that environment and nothing else.
func startFunction(t *testing.T, binary string, env ...string) *function {
	t.Helper()
	f := &function{
		name: filepath.Base(binary), output: new(output), exited: make(chan struct{}),
		invocations: make(chan invocation), results: make(chan result, 1), registered: make(chan struct{}),
	}
	// The stand-in outlives the process: cleanups run last first.
	stand := httptest.NewServer(f.runtimeAPI(t))
	t.Cleanup(stand.Close)
	command := exec.Command(binary)
	command.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(stand.URL, "http://")}, env...)
	command.Stdout, command.Stderr = f.output, f.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	f.process = command.Process
	go func() {
		_ = command.Wait()
		f.state = command.ProcessState
		close(f.exited)
	}()
	t.Cleanup(func() {
		_ = f.process.Kill()
		<-f.exited
		if t.Failed() {
			t.Logf("%s wrote:\n%s", f.name, f.output)
		}
	})
	return f
}

func (f *function) runtimeAPI(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case next := <-f.invocations:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", next.id)
			w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(time.Now().Add(functionTimeout).UnixMilli()))
			w.Header().Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:000000000000:function:"+f.name)
			_, _ = w.Write(next.payload)
		}
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", func(w http.ResponseWriter, r *http.Request) {
		payload, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("%s: reading its answer: %v", f.name, err)
		}
		f.results <- result{id: r.PathValue("id"), kind: r.PathValue("kind"), payload: payload}
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Lambda-Extension-Identifier", "extension-1")
		close(f.registered)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // an extension that registered for no event never gets one
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s called %s %s", f.name, r.Method, r.URL)
		http.NotFound(w, r)
	})
	return mux
}

// functionTimeout is the deadline that a test gives: half of what the template does.
const functionTimeout = 5 * time.Second

// invoke hands over one event and returns the response, which must come before the deadline.
func (f *function) invoke(t *testing.T, e event) response {
	t.Helper()
	result := f.result(t, e.json(t))
	if result.kind != "response" {
		t.Fatalf("%s failed: %s", f.name, result.payload)
	}
	return decodeResponse(t, result.payload)
}

func (f *function) result(t *testing.T, payload []byte) result {
	t.Helper()
	next := invocation{id: rand.Text(), payload: payload}
	select {
	case f.invocations <- next:
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.name, f.state)
	case <-time.After(time.Minute): // a cold start on a busy machine
		t.Fatalf("%s never asked for an event", f.name)
	}
	select {
	case got := <-f.results:
		if got.id != next.id {
			t.Fatalf("%s answered %s, asked %s", f.name, got.id, next.id)
		}
		return got
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.name, f.state)
	case <-time.After(functionTimeout):
		t.Fatalf("%s did not answer within %v", f.name, functionTimeout)
	}
	return result{}
}

// signal sends the process a signal.
func (f *function) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := f.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// exitStatus waits until the process is gone.
func (f *function) exitStatus(t *testing.T) int {
	t.Helper()
	select {
	case <-f.exited:
	case <-time.After(time.Minute):
		t.Fatalf("%s is still there", f.name)
	}
	return f.state.ExitCode()
}

// output collects what a process writes.
type output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

// String is all that was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// entries decodes the output, which must be JSON, one object a line.
func (o *output) entries() ([]map[string]any, error) {
	var entries []map[string]any
	for line := range strings.Lines(o.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return nil, errors.New("no JSON object: " + line)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
