package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named matches a test that a page names: of that package or of any, and a
// subtest of it.
var named = regexp.MustCompile("`(?:(\\w+)\\.)?((?:Test|Fuzz)\\w+)(?:/(\\w+))?`")

// Every test and fuzz test that docs/correctness.md or docs/input.md names
// exists. The tests that mutations name are checked when the mutations run.
func TestCorrectness_namesTests(t *testing.T) {
	tests := testsOf(t)
	all := named.FindAllStringSubmatch(read(t, "docs/correctness.md")+read(t, "docs/input.md"), -1)
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

// testsOf returns the text of the test files by the name of their folder, and
// of all under the empty name.
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
