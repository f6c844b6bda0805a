package main

import (
	"encoding/json"
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
