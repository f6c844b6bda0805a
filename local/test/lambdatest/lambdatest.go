// Package lambdatest runs compiled functions as processes. Each has its own
// stand-in for the Lambda Runtime API
// (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
//
// It is for tests. The processes listen nowhere, connect to loopback only, and
// end with the test.
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

	"latchkey/local/answers"
)

// Timeout is the deadline of each invocation. It is half of the template's
// timeout.
const Timeout = 5 * time.Second

// startTimeout is how long a function may take to ask for an event. That
// includes a cold start on a busy machine.
const startTimeout = time.Minute

// Function is a running function.
type Function struct {
	// Name is the name of its binary.
	Name string
	// Output is what it has written.
	Output *Output

	process *os.Process
	exited  chan struct{} // closed once the process is gone
	state   *os.ProcessState
	runtime *runtimeAPI
	began   time.Time
}

// Start starts a binary. Its environment has the given variables and the
// address of its Runtime API, and nothing else.
func Start(t testing.TB, binary string, environment ...string) *Function {
	t.Helper()
	f := &Function{Name: filepath.Base(binary), Output: new(Output), exited: make(chan struct{})}
	f.runtime = newRuntimeAPI(t, f.Name)
	// The stand-in must outlive the process. Cleanups run in reverse order.
	stand := httptest.NewServer(f.runtime.handler())
	t.Cleanup(stand.Close)
	command := exec.Command(binary)
	runtimeAPI := "AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(stand.URL, "http://")
	command.Env = append([]string{runtimeAPI}, environment...)
	command.Stdout, command.Stderr = f.Output, f.Output
	f.began = time.Now()
	must(t, command.Start())
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

// Result is the result of an invocation.
type Result struct {
	// Failed reports whether the function returned an error. API Gateway
	// answers 500 to that.
	Failed  bool
	Payload []byte
}

// Invoke passes one event to the function and returns the result. The test
// fails if none arrives before the deadline.
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
			t.Fatalf("%s answered event %s, want %s", f.Name, got.id, next.id)
		}
		answers.Event(payload, got.payload)
		return Result{Failed: got.kind != "response", Payload: got.payload}
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(Timeout):
		t.Fatalf("%s did not answer within %v", f.Name, Timeout)
	}
	return Result{}
}

// Init waits until the function asks for its first event. It returns the time
// from the start to then.
func (f *Function) Init(t testing.TB) time.Duration {
	t.Helper()
	select {
	case at := <-f.runtime.asked:
		f.runtime.asked <- at // for the next call of Init
		return at.Sub(f.began)
	case <-f.exited:
		t.Fatalf("%s is gone: %v", f.Name, f.state)
	case <-time.After(startTimeout):
		t.Fatalf("%s never asked for an event", f.Name)
	}
	return 0
}

// Registered waits until the function has registered for SIGTERM, as an
// extension of Lambda does.
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
	must(t, f.process.Signal(s))
}

// ExitStatus waits until the process has ended, and returns its status.
func (f *Function) ExitStatus(t testing.TB) int {
	t.Helper()
	select {
	case <-f.exited:
	case <-time.After(startTimeout):
		t.Fatalf("%s is still there", f.Name)
	}
	return f.state.ExitCode()
}
