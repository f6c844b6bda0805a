// Package lambdatest runs built functions as processes, on a stand-in for the Lambda Runtime API
// (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) that each of them has for itself.
//
// It is for tests. What it starts listens nowhere, talks to loopback, and ends with the test.
package lambdatest

import (
	"crypto/rand"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Timeout is the deadline that each invocation has: half of what the template gives.
const Timeout = 5 * time.Second

// startTimeout is how long a function may take to ask for an event: a cold start on a busy machine.
const startTimeout = time.Minute

// Function is a function that runs.
type Function struct {
	// Name is that of its binary.
	Name string
	// Output is what it writes.
	Output *Output

	process *os.Process
	exited  chan struct{} // closed once the process is gone
	state   *os.ProcessState
	runtime *runtimeAPI
	began   time.Time
}

// Start starts a binary with that environment, the address of its Runtime API, and nothing else.
func Start(t testing.TB, binary string, environment ...string) *Function {
	t.Helper()
	f := &Function{Name: filepath.Base(binary), Output: new(Output), exited: make(chan struct{})}
	f.runtime = newRuntimeAPI(t, f.Name)
	// The stand-in outlives the process: cleanups run last first.
	stand := httptest.NewServer(f.runtime.handler())
	t.Cleanup(stand.Close)
	command := exec.Command(binary)
	command.Env = append([]string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(stand.URL, "http://")}, environment...)
	command.Stdout, command.Stderr = f.Output, f.Output
	f.began = time.Now()
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
		f.Stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", f.Name, f.Output)
		}
	})
	return f
}

// Stop kills the process and returns when it is gone.
func (f *Function) Stop() {
	_ = f.process.Kill()
	<-f.exited
}

// Result is what came back for an event.
type Result struct {
	// Failed tells that it was an error, which API Gateway answers with 500.
	Failed  bool
	Payload []byte
}

// Invoke hands over one event and returns what comes back, which must be before the deadline.
func (f *Function) Invoke(t testing.TB, payload []byte) Result {
	t.Helper()
	next := invocation{id: rand.Text(), payload: payload}
	select {
	case f.runtime.invocations <- next:
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(startTimeout):
		t.Fatalf("%s never asked for an event", f.Name)
	}
	select {
	case got := <-f.runtime.results:
		if got.id != next.id {
			t.Fatalf("%s answered %s, asked %s", f.Name, got.id, next.id)
		}
		return Result{Failed: got.kind != "response", Payload: got.payload}
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(Timeout):
		t.Fatalf("%s did not answer within %v", f.Name, Timeout)
	}
	return Result{}
}

// Init waits until the function has asked for its first event, and returns how long that took from its start.
func (f *Function) Init(t testing.TB) time.Duration {
	t.Helper()
	select {
	case at := <-f.runtime.asked:
		f.runtime.asked <- at // for whoever asks again
		return at.Sub(f.began)
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(startTimeout):
		t.Fatalf("%s never asked for an event", f.Name)
	}
	return 0
}

// Registered waits until the function has asked to be sent SIGTERM, as Lambda lets an extension ask.
func (f *Function) Registered(t testing.TB) {
	t.Helper()
	select {
	case <-f.runtime.registered:
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(startTimeout):
		t.Fatalf("%s never registered", f.Name)
	}
}

// Signal sends the process a signal.
func (f *Function) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := f.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ExitStatus waits until the process is gone.
func (f *Function) ExitStatus(t testing.TB) int {
	t.Helper()
	select {
	case <-f.exited:
	case <-time.After(startTimeout):
		t.Fatalf("%s is still there", f.Name)
	}
	return f.state.ExitCode()
}
