package main

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var (
	// codeSpan matches inline code, which holds no links.
	codeSpan = regexp.MustCompile("``[^`].*?``|`[^`]*`")
	// markdownLink matches the target of an inline link or an image.
	markdownLink = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	// linkDefinition matches the target of a reference, [name]: target.
	linkDefinition = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	// heading matches a heading with # signs.
	heading = regexp.MustCompile(`^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*$`)
	// linkText matches a link in a heading, of which GitHub's slug keeps the
	// text.
	linkText = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	// absoluteURL matches what does not lead to a file of the project.
	absoluteURL = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]*:|//)`)
)

// pages returns the text of every Markdown page by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	walk(t, func(file string) {
		if file = filepath.ToSlash(file); strings.HasSuffix(file, ".md") {
			all[file] = read(t, file)
		}
	})
	return all
}

// proseLines returns the lines of a page that are not in a fenced code block.
func proseLines(text string) (lines []string) {
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		marker := strings.TrimLeft(line, " ")
		run := marker[:len(marker)-len(strings.TrimLeft(marker, marker[:min(1, len(marker))]))]
		switch isFence := len(run) >= 3 && (run[0] == '`' || run[0] == '~'); {
		case fence == "" && isFence:
			fence = run
		case fence == "":
			lines = append(lines, line)
		case strings.TrimSpace(marker) == run && strings.HasPrefix(run, fence):
			fence = ""
		}
	}
	return lines
}

// linksOf returns the targets of a page's links.
func linksOf(text string) (targets []string) {
	for _, line := range proseLines(text) {
		line = codeSpan.ReplaceAllString(line, "code")
		for _, pattern := range []*regexp.Regexp{markdownLink, linkDefinition} {
			for _, m := range pattern.FindAllStringSubmatch(line, -1) {
				targets = append(targets, m[1])
			}
		}
	}
	return targets
}

// anchorsOf returns the fragments that lead to a page's headings, as GitHub
// makes them: a heading in lower case, without punctuation and with hyphens for
// spaces; a repeated one ends in -1, -2 and so on.
func anchorsOf(text string) map[string]bool {
	anchors := map[string]bool{}
	for _, line := range proseLines(text) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		slug := slugOf(m[1])
		unique := slug
		for n := 1; anchors[unique]; n++ {
			unique = slug + "-" + strconv.Itoa(n)
		}
		anchors[unique] = true
	}
	return anchors
}

func slugOf(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsMark(r), unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, linkText.ReplaceAllString(title, "$1"))
}

// Every relative link of every page leads to a file that exists and, with a
// fragment, to a heading of it.
func TestLinks_leadSomewhere(t *testing.T) {
	all := pages(t)
	seen := 0
	for page, text := range all {
		for _, target := range linksOf(text) {
			if absoluteURL.MatchString(target) {
				continue
			}
			seen++
			name, fragment, hasFragment := strings.Cut(target, "#")
			file := page
			if name != "" {
				file = path.Join(path.Dir(page), name)
			}
			_, err := os.Stat(filepath.Join(root, filepath.FromSlash(file)))
			if err != nil || strings.HasPrefix(file, "..") {
				t.Errorf("%s: link %s: there is no %s", page, target, file)
				continue
			}
			if hasFragment && !anchorsOf(all[file])[fragment] {
				t.Errorf("%s: link %s: %s has no heading #%s", page, target, file, fragment)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d links were found", seen)
	}
}

// README's table of pages is how a reader finds them.
func TestLinks_readmeListsEveryPage(t *testing.T) {
	var rows []string
	for line := range strings.Lines(read(t, "README.md")) {
		if strings.HasPrefix(line, "|") {
			rows = append(rows, linksOf(line)...)
		}
	}
	for _, page := range slices.Sorted(maps.Keys(pages(t))) {
		if strings.HasPrefix(page, "docs/") && !slices.Contains(rows, page) {
			t.Errorf("README's table has no link to %s", page)
		}
	}
}

// Links in code are no links, and headings in code are no headings.
func TestLinks_reader(t *testing.T) {
	const text = "# The `GET /health` route, 503?\n## Same\n## Same\n## See [other](x.md)\n" +
		"[a](b.md#c) and ![d](e.png \"title\"), `[f](g.md)`, [i`j`](k.md)\n\n[l]: m.md\n" +
		"```sh\n# no heading\n[n](o.md)\n```\n~~~~\n```\n~~~~\n# snake_case – dash\n"
	want := []string{"x.md", "b.md#c", "e.png", "k.md", "m.md"}
	if got := linksOf(text); !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	want = []string{"same", "same-1", "see-other", "snake_case--dash", "the-get-health-route-503"}
	if got := slices.Sorted(maps.Keys(anchorsOf(text))); !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}
