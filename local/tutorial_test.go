package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/local/test/report"
)

// codeIn returns the first code block of a section of the tutorial in a language.
func codeIn(t *testing.T, title, language string) string {
	t.Helper()
	_, block, _ := strings.Cut(section(t, "docs/tutorial.md", title), "```"+language+"\n")
	code, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatalf("section %q of the tutorial has no block of %s", title, language)
	}
	return code
}

// With the client, a page needs ten lines.
func TestTutorial_lines(t *testing.T) {
	var lines []string
	for line := range strings.Lines(codeIn(t, "In a browser", "js")) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) > 10 {
		t.Errorf("the code for browsers has %d lines, at most 10 are allowed", len(lines))
	}
	for _, line := range lines {
		if len(line) > 128 {
			t.Errorf("a line has %d characters, which no screen shows: %s", len(line), line)
		}
	}
}

// The tutorial installs the tarball that npm pack makes.
func TestTutorial_tarball(t *testing.T) {
	var manifest struct{ Name, Version string }
	if err := json.Unmarshal([]byte(read(t, "client/package.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	name := strings.ReplaceAll(strings.TrimPrefix(manifest.Name, "@"), "/", "-") // as npm pack names it
	tarball := name + "-" + manifest.Version + ".tgz"
	if install := codeIn(t, "In JavaScript", "sh"); !strings.Contains(install, "/"+tarball) {
		t.Errorf("npm pack makes %s, and the tutorial has\n%s", tarball, install)
	}
	if !strings.Contains(read(t, "client/README.md"), tarball) {
		t.Errorf("npm pack makes %s, which client/README.md does not name", tarball)
	}
}

// The code for Node runs as it is, in a folder that has the client and viem.
func TestTutorial_node(t *testing.T) {
	packages, err := filepath.Abs(filepath.Join(root, "client", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(packages, "viem"))
	}
	if err != nil {
		report.Missing(t, "no node found, or not the packages in client: install Node and npm, and run npm ci in client")
	}
	folder := t.TempDir()
	link(t, filepath.Join(packages, "viem"), folder, "node_modules", "viem")
	link(t, filepath.Dir(packages), folder, "node_modules", "@latchkey", "client")
	code := []byte(codeIn(t, "In JavaScript", "js"))
	if err := os.WriteFile(filepath.Join(folder, "tour.mjs"), code, 0o600); err != nil {
		t.Fatal(err)
	}
	log := newRequestLog()
	s := startWithLog(t, log)
	c := exec.Command(node, "tour.mjs")
	c.Dir, c.Env = folder, append(os.Environ(), "API="+s.url)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shows(t, string(out), "200 {", "address: '0x", "transport: 'bearer'")
	want := []string{"GET /auth/nonce 200", "POST /auth/login 200", "GET /api/profile 200", "POST /auth/logout 204"}
	if got := log.read(t, s); !slices.Equal(got, append(want, "GET /health 200")) {
		t.Errorf("the API has answered %q, want %q", got, want)
	}
}

// link makes a symbolic link at a path.
func link(t *testing.T, to string, path ...string) {
	t.Helper()
	at := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}
