package lambdatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
)

// Output collects what a process writes.
type Output struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write implements [io.Writer].
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.Write(p)
}

// String returns all that was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// Entries decodes the output, which must be one JSON object on each line.
func (o *Output) Entries() ([]map[string]any, error) {
	var entries []map[string]any
	for line := range strings.Lines(o.String()) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return nil, errors.New("not a JSON object: " + line)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
