package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The packages that tests take from npm have exact versions and checksums, and
// their files name no host: npm uses the registry that it is configured for.
func TestNPM_packages(t *testing.T) {
	var manifest struct {
		Private                                             bool
		Dependencies, DevDependencies, OptionalDependencies map[string]string
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	for name, v := range map[string]any{"client/package.json": &manifest, "client/package-lock.json": &lock} {
		text := read(t, name)
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Contains(text, "://") || strings.Contains(text, `"resolved"`) {
			t.Errorf("%s names a host: run npm run lock in client", name)
		}
	}
	if !manifest.Private {
		t.Error("client/package.json is not private")
	}
	if n := len(manifest.Dependencies) + len(manifest.OptionalDependencies); n > 0 {
		t.Errorf("client/package.json makes its users install %d packages", n)
	}
	if len(manifest.DevDependencies) == 0 {
		t.Error("client/package.json has no packages for tests")
	}
	exact := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for name, version := range manifest.DevDependencies {
		if !exact.MatchString(version) || lock.Packages["node_modules/"+name].Version != version {
			t.Errorf("%s is %s, and %+v in the lock file", name, version, lock.Packages["node_modules/"+name])
		}
	}
	for path, p := range lock.Packages {
		if path != "" && !strings.HasPrefix(p.Integrity, "sha512-") {
			t.Errorf("%s has no checksum", path)
		}
	}
}

// Without Node 20, make test skips the tests of the client, and in CI it fails.
// It prints what they print if one fails.
func TestNPM_missing(t *testing.T) {
	makefile, err := filepath.Abs("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	const passes, fails = "echo '# pass 3'", "echo 'not ok 1'; exit 1"
	own := "exit 0 #" // if Node is missing or old
	if version, _ := exec.Command("node", "--version").Output(); regexp.MustCompile(`^v[2-9]\d`).Match(version) {
		own, err = exec.LookPath("node")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, node, npm, ci, want string }{
		{"no Node", "", "", "", ""},
		{"no npm", "exit 0", "", "", ""},
		{"an old Node", "exit 1", passes, "", ""},
		{"this machine's Node", own + ` "$@"`, passes, "", "# pass 3"},
		{"a test that fails", "exit 0", fails, "", "not ok 1"},
		{"no Node in CI", "", "", "true", "Error"},
	} {
		dir := t.TempDir()
		for _, name := range []string{"make", "mkdir", "cat", "grep"} {
			program, err := exec.LookPath(name)
			if err != nil {
				t.Fatal(err)
			}
			link(t, program, dir, name)
		}
		script(t, filepath.Join(dir, "node"), tt.node)
		script(t, filepath.Join(dir, "npm"), tt.npm)
		probe := "include " + makefile + "\nprobe: ; @$(test_client)\n"
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(probe), 0o644); err != nil {
			t.Fatal(err)
		}
		c := exec.Command("make", "has_packages=true", "probe")
		c.Dir, c.Env = dir, []string{"PATH=" + dir, "CI=" + tt.ci}
		out, err := c.CombinedOutput()
		failed := strings.Contains(tt.want, "Error") || tt.npm == fails
		if (err != nil) != failed || !strings.Contains(string(out), tt.want) || tt.want == "" && len(out) > 0 {
			t.Errorf("%s: %v, printed %s", tt.name, err, out)
		}
	}
	ci := read(t, ".ci/run")
	if !strings.Contains(ci, "\nlacks node nodejs ") || !strings.Contains(ci, "\nlacks npm npm\n") {
		t.Error(".ci/run does not install Node and npm")
	}
	if !strings.Contains(read(t, "Makefile"), "no node 20 and npm found: apt-get install nodejs npm") {
		t.Error("make test does not say that Node is missing")
	}
}

// script writes a shell script, unless it is empty.
func script(t *testing.T, path, body string) {
	t.Helper()
	if body == "" {
		return
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
