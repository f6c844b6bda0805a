package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named is a test that CORRECTNESS.md names in passing: of that package or of any, and a part of it.
var named = regexp.MustCompile("`(?:(\\w+)\\.)?((?:Test|Fuzz)\\w+)(?:/(\\w+))?`")

// Every test and fuzz test that CORRECTNESS.md names is there. Those of its mutations are looked at where they are run.
func TestCorrectness_namesTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "CORRECTNESS.md"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(text), "\n## Mutations\n")
	if !found {
		t.Fatal("CORRECTNESS.md has no mutations")
	}
	tests := testsOf(t)
	all := named.FindAllStringSubmatch(before, -1)
	for _, m := range all {
		in, known := tests[m[1]]
		if !known || !strings.Contains(in, "func "+m[2]+"(") || !strings.Contains(in, `"`+strings.ReplaceAll(m[3], "_", " ")) {
			t.Errorf("%s is in no test file", m[0])
		}
	}
	if len(all) < 80 {
		t.Errorf("only %d names were found", len(all))
	}
}

// testsOf is the text of the test files by the name of their folder, and of all under the empty name.
func testsOf(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"shared/*/*_test.go", "local/*/*_test.go", "local/*/*/*_test.go"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.Base(filepath.Dir(path))] += string(text)
			all[""] += string(text)
		}
	}
	return all
}
