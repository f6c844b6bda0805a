package main

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// mutation is an entry of the list.
type mutation struct {
	invariant int
	name      string
	what      string // the mistake, for people
	folder    string // of the test's package, relative to the project; "" if it is the file's
	test      string // as go test names it: TestRevoke/embedded
	file      string // relative to the project, with slashes
	line      string // the original line, trimmed
	weakened  string // replaces the line; empty to delete it
}

// parse reads the list from the text of its file. An entry is
//
//	**name**: what is wrong. → `Test/subtest`
//
//	```diff
//	--- file
//	-line
//	+weakened line, or none
//	```
//
// under a heading with the number of its invariant. If the test is in another
// package than the file, its name has the package in front:
// `shared/session.TestRevoke/embedded`.
func parse(text string) ([]mutation, error) {
	var all []mutation
	invariant := 0
	for _, paragraph := range strings.Split(text, "\n\n") {
		paragraph = strings.TrimSpace(paragraph)
		switch {
		case strings.HasPrefix(paragraph, "## "):
			number, _, _ := strings.Cut(paragraph[3:], ".")
			var err error
			if invariant, err = strconv.Atoi(number); err != nil {
				return nil, fmt.Errorf("heading %q has no invariant number: %w", paragraph, err)
			}
		case strings.HasPrefix(paragraph, "**"):
			m := mutation{invariant: invariant}
			if err := m.readHead(paragraph); err != nil {
				return nil, err
			}
			all = append(all, m)
		case strings.HasPrefix(paragraph, "```"):
			if len(all) == 0 || all[len(all)-1].file != "" {
				return nil, fmt.Errorf("there is no entry before the change\n%s", paragraph)
			}
			if err := all[len(all)-1].readDiff(paragraph); err != nil {
				return nil, err
			}
		}
	}
	return all, check(all)
}

// pkg returns the folder of the test's package, relative to the project's.
func (m mutation) pkg() string {
	if m.folder != "" {
		return m.folder
	}
	return path.Dir(m.file)
}

var head = regexp.MustCompile("^\\*\\*([a-z-]+)\\*\\*: (.+) → `(?:([a-z0-9/_-]+)\\.)?(Test\\S+)`$")

func (m *mutation) readHead(paragraph string) error {
	parts := head.FindStringSubmatch(paragraph)
	if parts == nil {
		return fmt.Errorf("cannot read the entry %q", paragraph)
	}
	m.name, m.what, m.folder, m.test = parts[1], parts[2], parts[3], parts[4]
	return nil
}

var diff = regexp.MustCompile("^```diff\n--- (\\S+)\n-(.+)(?:\n\\+(.+))?\n```$")

func (m *mutation) readDiff(paragraph string) error {
	parts := diff.FindStringSubmatch(paragraph)
	if parts == nil {
		return fmt.Errorf("cannot read the change of %s:\n%s", m.name, paragraph)
	}
	m.file, m.line, m.weakened = parts[1], strings.TrimSpace(parts[2]), strings.TrimSpace(parts[3])
	return nil
}

// check returns an error if something is missing in the list or is in it twice.
func check(all []mutation) error {
	seen := map[string]bool{}
	for _, m := range all {
		switch {
		case m.file == "":
			return fmt.Errorf("entry %s has no change", m.name)
		case seen[m.name]:
			return fmt.Errorf("entry %s is in the list twice", m.name)
		}
		seen[m.name] = true
	}
	if len(all) == 0 {
		return fmt.Errorf("%s has no mutations", listFile)
	}
	return nil
}

// apply returns the text of a file with the mutation. It returns an error
// unless the file has the line exactly once.
func (m mutation) apply(source string) (string, error) {
	lines := strings.Split(source, "\n")
	at := -1
	for i, line := range lines {
		if strings.TrimSpace(line) != m.line {
			continue
		}
		if at >= 0 {
			return "", fmt.Errorf("%s has this line more than once: %s", m.file, m.line)
		}
		at = i
	}
	if at < 0 {
		return "", fmt.Errorf("%s has no such line: %s", m.file, m.line)
	}
	lines[at] = strings.Replace(lines[at], m.line, m.weakened, 1)
	return strings.Join(lines, "\n"), nil
}
