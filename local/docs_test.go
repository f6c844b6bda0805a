package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Sizes that a reader gets through. The pages of reference are looked up, not
// read.
const (
	maxReadmeWords    = 1200
	maxPageWords      = 2500
	maxParagraphWords = 90
)

var referencePages = []string{"docs/api.md", "docs/configuration.md"}

// docsPages returns the pages under docs/, by their paths from the root.
func docsPages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("docs/ has %d pages: %v", len(paths), err)
	}
	pages := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages["docs/"+filepath.Base(path)] = string(text)
	}
	return pages
}

var codeBlock = regexp.MustCompile("(?s)```.*?```")

// proseOf returns a page without its code blocks.
func proseOf(page string) string { return codeBlock.ReplaceAllString(page, "") }

func TestDocs_words(t *testing.T) {
	if n := len(strings.Fields(proseOf(read(t, "README.md")))); n > maxReadmeWords {
		t.Errorf("README.md has %d words, at most %d are allowed", n, maxReadmeWords)
	}
	for name, page := range docsPages(t) {
		n := len(strings.Fields(proseOf(page)))
		if n > maxPageWords && !slices.Contains(referencePages, name) {
			t.Errorf("%s has %d words, at most %d are allowed", name, n, maxPageWords)
		}
	}
}

// itemStart is the start of a list item, a quote or a row of a table.
var itemStart = regexp.MustCompile(`^\s*([-*|>] ?|\d+\. )`)

// paragraphs splits prose at empty lines, headings, and the starts of list
// items. It leaves out tables.
func paragraphs(prose string) []string {
	var found []string
	separate := true
	for line := range strings.Lines(prose) {
		blank := strings.TrimSpace(line) == ""
		row, heading := strings.HasPrefix(line, "|"), strings.HasPrefix(line, "#")
		switch {
		case blank || row || heading:
			separate = true
		case separate || itemStart.MatchString(line) && !strings.HasPrefix(line, "**"):
			found, separate = append(found, line), false
		default:
			found[len(found)-1] += line
		}
	}
	return found
}

func TestDocs_paragraphs(t *testing.T) {
	pages := docsPages(t)
	pages["README.md"] = read(t, "README.md")
	for name, page := range pages {
		for _, p := range paragraphs(proseOf(page)) {
			if n := len(strings.Fields(p)); n > maxParagraphWords {
				t.Errorf("%s has a paragraph of %d words, at most %d are allowed: %.60s…", name, n, maxParagraphWords, p)
			}
		}
	}
}

func TestDocs_paragraphsSplit(t *testing.T) {
	const page = "# A\n\none\ntwo\n- three\n  four\n1. five\n\n**six** seven\n| eight |\n|---|\nnine\n"
	want := []string{"one\ntwo\n", "- three\n  four\n", "1. five\n", "**six** seven\n", "nine\n"}
	if got := paragraphs(page); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

var (
	sectionHeading = regexp.MustCompile(`(?m)^## (.+)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// sectionAnchor returns the anchor that GitHub gives to a heading.
func sectionAnchor(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// Each page begins with what it answers and a list of its sections, as links
// and in their order.
func TestDocs_sections(t *testing.T) {
	pages := docsPages(t)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		prose := proseOf(pages[name])
		beginning, _, _ := strings.Cut(prose, "\n## ")
		var want, got []string
		for _, m := range sectionHeading.FindAllStringSubmatch(prose, -1) {
			want = append(want, "#"+sectionAnchor(m[1]))
		}
		for _, m := range regexp.MustCompile(`\]\((#[^)]+)\)`).FindAllStringSubmatch(beginning, -1) {
			got = append(got, m[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s begins with links to %q, and its sections are %q", name, got, want)
		}
		if !strings.HasPrefix(beginning, "# ") || len(paragraphs(beginning)) == 0 || strings.HasPrefix(paragraphs(beginning)[0], "- ") {
			t.Errorf("%s does not begin with a title and with what it answers", name)
		}
	}
}
