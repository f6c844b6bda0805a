package report

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"latchkey/local/answers"
)

// printed has the messages that standard error has.
var printed sync.Map

// Missing ends a test because what it needs is not installed: as a failure in
// CI, and otherwise as a skip. The message says what is missing and how to get
// it. Standard error has it too, once for each binary, because go test does not
// print why a test was skipped.
func Missing(t testing.TB, message string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	}
	if _, isPrinted := printed.LoadOrStore(message, true); !isPrinted {
		fmt.Fprintln(os.Stderr, message+"; tests that need it are skipped")
	}
	answers.Skip(message)
	t.Skip(message)
}
