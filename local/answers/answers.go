// Package answers collects the HTTP answers that tests see, for the comparison
// of local/test/openapi.
//
// If the environment variable ANSWERS names a folder, each process appends one
// JSON line for each distinct answer to a file of its own in that folder. If it
// is not set, nothing is collected, and handlers are returned as they are.
//
// Two answers are not distinct if they differ in values alone that no schema
// tells apart, such as ids and times.
package answers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
)

// The environment variables. A process that a test starts does not know the
// test's package: [Environment] has both for it.
const (
	folderVariable  = "ANSWERS"
	packageVariable = "ANSWERS_PACKAGE"
)

// Answer is one answer with what is needed of its request.
type Answer struct {
	// Package is the import path of the package whose test saw it.
	Package string `json:"package"`
	Method  string `json:"method,omitempty"`
	// Path is the path as it was sent, without the query, or that of the route of
	// an event.
	Path string `json:"path,omitempty"`
	// Query is the query as it was sent, and Asked has the headers of the request
	// that the API reads beside its credentials: those of [RequestHeaders].
	Query  string      `json:"query,omitempty"`
	Asked  http.Header `json:"asked,omitempty"`
	Status int         `json:"status,omitempty"`
	// Header is that of the answer.
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
	// Sent is the body of the request, and SentType its content type.
	Sent     string `json:"sent,omitempty"`
	SentType string `json:"sentType,omitempty"`
	// Skipped says why a test did not run. Such a line has no answer.
	Skipped string `json:"skipped,omitempty"`
}

// RequestHeaders are the headers of a request that are collected.
var RequestHeaders = []string{"If-Match", "If-None-Match", "X-Device-Id"}

// collector writes the answers of this process.
type collector struct {
	folder, owner string

	mu   sync.Mutex
	file *os.File
	seen map[string]bool
}

// own is the collector of this process, or nil if ANSWERS is not set.
var own = sync.OnceValue(func() *collector {
	folder := os.Getenv(folderVariable)
	if folder == "" {
		return nil
	}
	owner := os.Getenv(packageVariable)
	if info, ok := debug.ReadBuildInfo(); ok && owner == "" {
		// A test binary is latchkey/shared/api.test of latchkey/shared/api.
		owner = strings.TrimSuffix(info.Path, ".test")
	}
	return &collector{folder: folder, owner: owner, seen: map[string]bool{}}
})

// Environment returns the variables that a process needs to collect for this
// one. It returns none if this process does not collect.
func Environment() []string {
	c := own()
	if c == nil {
		return nil
	}
	return []string{folderVariable + "=" + c.folder, packageVariable + "=" + c.owner}
}

// Skip notes that a test did not run, because something is missing.
func Skip(why string) {
	if c := own(); c != nil {
		c.add(Answer{Skipped: why})
	}
}

// add writes an answer, if it is distinct from all before.
func (c *collector) add(a Answer) {
	a.Package = c.owner
	key := a.shape()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	if err := c.write(a); err != nil {
		// The comparison must not pass because nothing could be written.
		panic(fmt.Errorf("collecting answers: %w", err))
	}
}

// write appends a line. A process may be killed, so nothing is kept back.
func (c *collector) write(a Answer) error {
	if c.file == nil {
		name := fmt.Sprintf("%s.%d.jsonl", strings.ReplaceAll(c.owner, "/", "_"), os.Getpid())
		const flags = os.O_APPEND | os.O_CREATE | os.O_WRONLY
		file, err := os.OpenFile(filepath.Join(c.folder, name), flags, 0o600)
		if err != nil {
			return err
		}
		c.file = file
	}
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = c.file.Write(append(line, '\n'))
	return err
}
