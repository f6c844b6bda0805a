package boot_test

import (
	"testing"

	"latchkey/local/test/lambdatest"
)

// build compiles every function as it is deployed and returns where the
// binaries are.
func build(t *testing.T) string {
	t.Helper()
	return lambdatest.Build(t, "../..")
}

// function is a built function that runs as a process.
type function struct{ *lambdatest.Function }

// startFunction starts a function with that environment and nothing else.
func startFunction(t *testing.T, binary string, environment ...string) *function {
	t.Helper()
	return &function{lambdatest.Start(t, binary, environment...)}
}

// invoke hands over one event of an HTTP API and returns the response, which
// must come before the deadline.
func (f *function) invoke(t *testing.T, e lambdatest.Event) lambdatest.Response {
	t.Helper()
	result := f.Invoke(t, e.JSON(t))
	if result.Failed {
		t.Fatalf("%s failed: %s", f.Name, result.Payload)
	}
	return lambdatest.DecodeResponse(t, result.Payload)
}
