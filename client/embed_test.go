package client_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"latchkey/client"
)

// Every file that a module imports is embedded, and so is every entry of the
// package.
func TestModules(t *testing.T) {
	imported := regexp.MustCompile(`(?m)^(?:import|export) .*from '\./([^']+)'`)
	names, err := fs.Glob(client.Modules(), "*")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d modules: %v", len(names), err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(client.Modules(), name)
		if err != nil || !strings.HasSuffix(name, ".js") {
			t.Fatalf("%s: %v", name, err)
		}
		for _, m := range imported.FindAllStringSubmatch(string(text), -1) {
			if _, err := fs.Stat(client.Modules(), m[1]); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
		}
	}
	for _, entry := range entries(t) {
		if _, err := fs.Stat(client.Modules(), entry); err != nil {
			t.Errorf("package.json exports %s: %v", entry, err)
		}
	}
}

// entries returns the modules that package.json exports.
func entries(t *testing.T) (found []string) {
	t.Helper()
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Exports map[string]struct{ Default string }
	}
	if err := json.Unmarshal(text, &manifest); err != nil || len(manifest.Exports) == 0 {
		t.Fatalf("package.json has %d exports: %v", len(manifest.Exports), err)
	}
	for _, e := range manifest.Exports {
		found = append(found, strings.TrimPrefix(e.Default, "./"))
	}
	return found
}
