package boot_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logLine is a line of a log by its fields, as CloudWatch Logs Insights finds
// them: members of JSON, with a dot before those that are inside of others, and
// its own.
type logLine map[string]string

// newLogLine reads a line. One that is not a JSON object has CloudWatch's own
// fields only.
func newLogLine(text string) logLine {
	l := logLine{"@timestamp": "2026-11-25 10:00:00.000", "@message": text, "@log": "000000000000:latchkey"}
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) == nil {
		for name, value := range object {
			l.add(name, value)
		}
	}
	return l
}

func (l logLine) add(name string, value any) {
	switch v := value.(type) {
	case nil:
	case map[string]any:
		for member, value := range v {
			l.add(name+"."+member, value)
		}
	case []any:
		for i, value := range v {
			l.add(name+"."+strconv.Itoa(i), value)
		}
	default:
		l[name] = fmt.Sprint(v)
	}
}

// insights is a query in the part of the language that the saved queries use:
// commands, each of which is a list of words, strings, patterns and marks.
type insights struct {
	t        *testing.T
	commands [][]string
}

// lexeme matches what a query consists of. A slash begins a pattern: no saved
// query divides.
var lexeme = regexp.MustCompile(`\s+|"[^"]*"|/(?:[^/\\]|\\.)+/|[@A-Za-z_][\w.]*|\d+|[()\[\],=*|]`)

func parseInsights(t *testing.T, text string) insights {
	t.Helper()
	q := insights{t, [][]string{nil}}
	for text != "" {
		at := lexeme.FindStringIndex(text)
		if at == nil || at[0] != 0 {
			t.Fatalf("the query is not understood from here: %s", text)
		}
		found := text[:at[1]]
		text = text[at[1]:]
		switch last := len(q.commands) - 1; {
		case strings.TrimSpace(found) == "":
		case found == "|":
			q.commands = append(q.commands, nil)
		default:
			q.commands[last] = append(q.commands[last], found)
		}
	}
	return q
}

// words are those of the language; what else is a word is a field, a function or
// a new name.
var words = []string{"and", "or", "in", "like", "by", "asc", "desc"}

// functions that the saved queries call. CloudWatch refuses a query with another
// name here.
var insightsFunctions = []string{"ispresent", "coalesce", "count", "count_distinct", "pct", "max", "latest"}

func isWord(lexeme string) bool { return strings.ContainsAny(lexeme[:1], "@_") || isLetter(lexeme[0]) }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// names returns the fields that a command reads, and the names that it makes.
func (q insights) names(command []string) (fields, made []string) {
	for i := 1; i < len(command); i++ {
		isCall := i+1 < len(command) && command[i+1] == "("
		switch lexeme := command[i]; {
		case lexeme == "as":
			made = append(made, command[i+1])
			i++
		case !isWord(lexeme) || slices.Contains(words, lexeme):
		case isCall && !slices.Contains(insightsFunctions, lexeme):
			q.t.Errorf("%s is not a function that the test knows", lexeme)
		case !isCall:
			fields = append(fields, lexeme)
		}
	}
	return fields, made
}

// condition is a part of a filter that compares with one value.
type condition struct {
	text  string
	holds func(logLine) bool
}

// run returns the lines that pass all filters, with the fields that the query
// finds in them by itself.
func (q insights) run(lines []logLine) (kept []logLine, conditions []condition) {
	q.t.Helper()
	kept = lines
	for _, command := range q.commands {
		switch command[0] {
		case "filter":
			f := filter{t: q.t, rest: command[1:]}
			passes := f.either()
			if len(f.rest) > 0 {
				q.t.Fatalf("the filter is not understood from here: %q", f.rest)
			}
			kept = slices.DeleteFunc(slices.Clone(kept), func(l logLine) bool { return !passes(l) })
			conditions = append(conditions, f.conditions...)
		case "parse":
			pattern := patternOf(q.t, command[2])
			for _, l := range kept {
				for i, value := range pattern.FindStringSubmatch(l[command[1]]) {
					if name := pattern.SubexpNames()[i]; name != "" && value != "" {
						l[name] = value
					}
				}
			}
		case "fields", "stats", "sort", "limit":
		default:
			q.t.Fatalf("%s is not a command that the test knows", command[0])
		}
	}
	return kept, conditions
}

func patternOf(t *testing.T, lexeme string) *regexp.Regexp {
	t.Helper()
	pattern, err := regexp.Compile(strings.Trim(lexeme, "/"))
	if err != nil {
		t.Fatal(err)
	}
	return pattern
}

// filter reads the condition of a filter command.
type filter struct {
	t          *testing.T
	rest       []string
	conditions []condition
}

// next returns the next lexeme, or "" at the end.
func (f *filter) next() string {
	if len(f.rest) == 0 {
		return ""
	}
	found := f.rest[0]
	f.rest = f.rest[1:]
	return found
}

// skip skips a lexeme, and reports whether it is the next one.
func (f *filter) skip(lexeme string) bool {
	if len(f.rest) == 0 || f.rest[0] != lexeme {
		return false
	}
	f.rest = f.rest[1:]
	return true
}

func (f *filter) either() func(logLine) bool {
	holds := f.both()
	for f.skip("or") {
		a, b := holds, f.both()
		holds = func(l logLine) bool { return a(l) || b(l) }
	}
	return holds
}

func (f *filter) both() func(logLine) bool {
	holds := f.one()
	for f.skip("and") {
		a, b := holds, f.one()
		holds = func(l logLine) bool { return a(l) && b(l) }
	}
	return holds
}

func (f *filter) one() func(logLine) bool {
	if f.skip("(") {
		holds := f.either()
		f.skip(")")
		return holds
	}
	name := f.next()
	if name == "ispresent" && f.skip("(") {
		field := f.next()
		f.skip(")")
		return f.compare(name+" "+field, func(l logLine) bool { return l[field] != "" })
	}
	switch operator := f.next(); operator {
	case "=":
		return f.equals(name)
	case "in":
		return f.among(name)
	case "like":
		return f.contains(name)
	default:
		f.t.Fatalf("%q is not an operator that the test knows", operator)
		return nil
	}
}

func (f *filter) compare(text string, holds func(logLine) bool) func(logLine) bool {
	f.conditions = append(f.conditions, condition{text, holds})
	return holds
}

func (f *filter) equals(field string) func(logLine) bool {
	value := strings.Trim(f.next(), `"`)
	return f.compare(field+" = "+value, func(l logLine) bool { return l[field] == value })
}

func (f *filter) among(field string) func(logLine) bool {
	holds := func(logLine) bool { return false }
	for f.skip("[") || f.skip(",") {
		a, b := holds, f.equals(field)
		holds = func(l logLine) bool { return a(l) || b(l) }
	}
	f.skip("]")
	return holds
}

func (f *filter) contains(field string) func(logLine) bool {
	value := f.next()
	if strings.HasPrefix(value, "/") {
		pattern := patternOf(f.t, value)
		return f.compare(field+" like "+value, func(l logLine) bool { return pattern.MatchString(l[field]) })
	}
	text := strings.Trim(value, `"`)
	return f.compare(field+" like "+value, func(l logLine) bool { return strings.Contains(l[field], text) })
}
