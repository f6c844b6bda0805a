package session

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// withoutComments returns Lua without its comments, with its lines as they
// were.
func withoutComments(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for line := range strings.Lines(text) {
		out.WriteString(line[:codeEnd(line)])
		if strings.HasSuffix(line, "\n") {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// codeEnd returns where a line's comment begins, or its end.
func codeEnd(line string) int {
	line = strings.TrimSuffix(line, "\n")
	for at := 0; ; {
		length := strings.Index(line[at:], "--")
		if length < 0 {
			return len(line)
		}
		end := at + length
		quote := strings.IndexAny(line[at:end], `'"`)
		if quote < 0 {
			return end
		}
		at = stringEnd(line, at+quote) // the comment may be in the string
	}
}

// stringEnd returns the end of the string literal that begins at i.
func stringEnd(text string, i int) int {
	for j := i + 1; j < len(text); j++ {
		switch text[j] {
		case '\\':
			j++
		case text[i]:
			return j + 1
		}
	}
	return len(text)
}

// expansion replaces the names in a script by what they stand for:
//
//	NAME                       a constant
//	get(s, F.x)                the bytes of a field
//	number(s, F.x)             the number that a field holds
//	tail(s, F.x)               a field and all that follows it
//	offset(F.x)                where a field begins, counted from 0
//	with(s, F.x, v, F.y, w)    s with these fields replaced; v may be another
//	                           field of s
//	pack(F.x, v, F.y, w)       these fields, which follow each other
//
// get, number and tail take an offset after s, if the fields begin there. Each
// becomes calls of sub, byte, num, char and bin with the numbers in place, so
// that names cost nothing when a script runs.
type expansion struct {
	file      string
	first     int // line of the text that is expanded
	line      int
	constants map[string]string
}

func (x *expansion) fail(format string, args ...any) {
	panic(fmt.Sprintf("%s:%d: ", x.file, x.line) + fmt.Sprintf(format, args...))
}

// expand expands a file. It must not slow down a cold start, so it copies text
// that does not change in long pieces.
func (x *expansion) expand(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	x.line = x.first
	from := 0 // of what is not written yet
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '\n':
			x.line++
			i++
		case c == '\'' || c == '"':
			i = stringEnd(text, i)
		case isWord(c):
			code, end := x.word(text, i)
			if code != "" {
				out.WriteString(text[from:i])
				out.WriteString(code)
				x.line += strings.Count(text[i:end], "\n")
				from = end
			}
			i = end
		default:
			i++
		}
	}
	out.WriteString(text[from:])
	return out.String()
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z'
}

// word returns what the word at i stands for, or "" if it is not replaced, and
// where to continue.
func (x *expansion) word(text string, i int) (code string, end int) {
	for end = i; end < len(text) && isWord(text[end]); end++ {
	}
	member := i > 0 && text[i-1] == '.' && (i < 2 || text[i-2] != '.')
	switch word := text[i:end]; {
	case member:
	case 'A' <= word[0] && word[0] <= 'Z':
		return x.constant(word), end
	case end < len(text) && text[end] == '(' && generates(word):
		args, after := arguments(text, end)
		code = x.call(word, args)
		// The lines that follow keep their numbers.
		lines := strings.Count(text[i:after], "\n") - strings.Count(code, "\n")
		return code + strings.Repeat("\n", lines), after
	}
	return "", end
}

// constant returns what a name in capitals stands for, or "" for Redis's own
// names.
func (x *expansion) constant(name string) string {
	switch {
	case name == "KEYS", name == "ARGV":
		return ""
	case name == "F":
		x.fail("a field may only be used in get, number, tail, offset, with and pack")
	}
	value, known := x.constants[name]
	if !known {
		x.fail("no constant %s", name)
	}
	return value
}

// arguments returns the arguments of the call whose parenthesis opens at i, and
// where it ends.
func arguments(text string, i int) (args []string, end int) {
	depth, from := 0, i+1
	for ; i < len(text); i++ {
		switch text[i] {
		case '\'', '"':
			i = stringEnd(text, i) - 1
		case '(', '{', '[':
			depth++
		case ')', '}', ']':
			if depth--; depth == 0 {
				return append(args, strings.TrimSpace(text[from:i])), i + 1
			}
		case ',':
			if depth == 1 {
				args = append(args, strings.TrimSpace(text[from:i]))
				from = i + 1
			}
		}
	}
	return args, i
}

// generates reports whether a function is one of those that call knows.
func generates(name string) bool {
	switch name {
	case "get", "number", "tail", "offset", "with", "pack":
		return true
	}
	return false
}

// call returns what a call of one of them becomes.
func (x *expansion) call(name string, args []string) string {
	switch name {
	case "with":
		return x.with(args)
	case "pack":
		return x.pack(args)
	case "offset":
		return strconv.Itoa(x.field(args[0]).at)
	}
	s, base, f := x.read(args)
	switch {
	case name == "number":
		return x.number(s, base, f)
	case name == "tail":
		return "sub(" + s + ", " + base + strconv.Itoa(f.at+1) + ")"
	case f.size == 0:
		x.fail("%s has no fixed size: use tail", args[len(args)-1])
	}
	return "sub(" + s + ", " + base + strconv.Itoa(f.at+1) + ", " +
		base + strconv.Itoa(f.at+f.size) + ")"
}

// read returns the string, the offset in front of positions, and the field of a
// call of get, number or tail.
func (x *expansion) read(args []string) (s, base string, f fieldLocation) {
	if len(args) < 2 || len(args) > 3 {
		x.fail("got %d arguments: want a string, optionally an offset, and a field", len(args))
	}
	if len(args) == 3 {
		base = x.value(args[1]) + " + "
	}
	return x.value(args[0]), base, x.field(args[len(args)-1])
}

func (x *expansion) number(s, base string, f fieldLocation) string {
	switch f.size {
	case 1:
		return "byte(" + s + ", " + base + strconv.Itoa(f.at+1) + ")"
	case 3, 4, 6: // those that num knows
		if f.at == 0 && base != "" {
			return "num(" + s + ", " + strings.TrimSuffix(base, " + ") + ", " +
				strconv.Itoa(f.size) + ")"
		}
		return "num(" + s + ", " + base + strconv.Itoa(f.at) + ", " + strconv.Itoa(f.size) + ")"
	}
	x.fail("number cannot read a field of %d bytes", f.size)
	return ""
}

// piece is a part of a string that is written: bytes of the former one, or
// code.
type piece struct {
	from, to int
	code     string
}

// with returns the concatenation of what stays and what is written.
func (x *expansion) with(args []string) string {
	if len(args) < 3 || len(args)%2 == 0 {
		x.fail("with needs a string, and fields with their values")
	}
	l := x.field(args[1]).layout
	end := l.at
	var pieces []piece
	for i := 1; i < len(args); i += 2 {
		f, value := x.field(args[i]), args[i+1]
		if f.layout != l || f.at < end {
			x.fail("%s must be of the same layout as the field before it, and follow it", args[i])
		}
		pieces = append(pieces, piece{from: end, to: f.at})
		if strings.HasPrefix(value, "F.") {
			copied := x.field(value)
			if copied.layout != l || copied.size != f.size {
				x.fail("%s does not fit in %s", value, args[i])
			}
			pieces = append(pieces, piece{from: copied.at, to: copied.at + copied.size})
		} else {
			pieces = append(pieces, piece{code: x.encode(f, value)})
		}
		end = f.at + f.size
	}
	last := l.at + l.size()
	return x.join(args[0], last, append(pieces, piece{from: end, to: last}))
}

// join writes pieces with as few calls of sub as possible.
func (x *expansion) join(s string, last int, pieces []piece) string {
	if strings.ContainsAny(s, " ()") {
		x.fail("with needs a variable: %s would be computed several times", s)
	}
	var merged []piece
	for _, p := range pieces {
		if n := len(merged); p.code == "" && n > 0 &&
			merged[n-1].code == "" && merged[n-1].to == p.from {
			merged[n-1].to = p.to
		} else if p.code != "" || p.from < p.to {
			merged = append(merged, p)
		}
	}
	code := make([]string, len(merged))
	for i, p := range merged {
		switch {
		case p.code != "":
			code[i] = p.code
		case p.to == last:
			code[i] = fmt.Sprintf("sub(%s, %d)", s, p.from+1)
		default:
			code[i] = fmt.Sprintf("sub(%s, %d, %d)", s, p.from+1, p.to)
		}
	}
	return strings.Join(code, " .. ")
}

// pack returns the concatenation of fields that follow each other.
func (x *expansion) pack(args []string) string {
	if len(args) < 2 || len(args)%2 != 0 {
		x.fail("pack needs fields with their values")
	}
	var code []string
	before := x.field(args[0])
	before.size = 0
	for i := 0; i < len(args); i += 2 {
		f := x.field(args[i])
		if f.layout != before.layout || f.at != before.at+before.size {
			x.fail("%s does not follow the field before it", args[i])
		}
		code = append(code, x.encode(f, args[i+1]))
		before = f
	}
	return strings.Join(code, " .. ")
}

// encode returns the bytes of a value in a field.
func (x *expansion) encode(f fieldLocation, value string) string {
	value = x.value(value)
	if !f.number {
		if strings.Contains(value, " ") {
			return "(" + value + ")"
		}
		return value
	}
	if n, err := strconv.ParseUint(value, 10, 64); err == nil {
		b := binary.BigEndian.AppendUint64(nil, n)
		return luaString(string(b[8-f.size:]))
	}
	if f.size == 1 {
		return "char(" + value + ")"
	}
	return fmt.Sprintf("bin(%s, %d)", value, f.size)
}

// value expands an argument.
func (x *expansion) value(arg string) string {
	inner := expansion{file: x.file, first: x.line, constants: x.constants}
	return inner.expand(arg)
}

func (x *expansion) field(path string) fieldLocation {
	f, known := findField(path)
	if !known || !strings.HasPrefix(path, "F.") {
		x.fail("no field %s", path)
	}
	return f
}
