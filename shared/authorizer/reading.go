package authorizer

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A backend behind a catch-all route does its own routing. It may take paths
// for one that differ in case, in Unicode's compatibility forms, in accents, in
// spaces and dots at the end of a segment, or in an extension. So rules are not
// compared with the path that was sent, but with what it may be read as.

// readings returns what a clean path may be read as. All readings have as many
// segments as the path. In the second one, segments lack the characters outside
// ASCII, except for segments that have no others.
func readings(path string) []string {
	seen := simplified(folded(path), visible)
	ascii := strings.Split(simplified(path, isASCII), "/") // ı is dropped and not an i
	for i, segment := range strings.Split(seen, "/") {
		if ascii[i] == "" {
			ascii[i] = segment
		}
	}
	return slices.Compact([]string{seen, strings.Join(ascii, "/")})
}

// simplified returns one form for all paths that differ only in case, in
// compatibility forms (NFKD), in characters that are not kept, and in spaces and
// dots around a segment. A plus sign counts as a space.
func simplified(path string, keep func(rune) bool) string {
	kept := func(r rune) rune {
		switch {
		case r == '+':
			return ' '
		case !keep(r):
			return -1
		}
		return r
	}
	text := folded(strings.Map(kept, norm.NFKD.String(path)))
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		segments[i] = strings.TrimRight(strings.TrimLeft(segment, " "), " .")
	}
	return strings.Join(segments, "/")
}

// folded returns one form for all texts that differ only in case. Some letters
// have two lower cases, so it converts to upper case first.
func folded(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// visible reports whether a character is more than an accent or a filler.
func visible(r rune) bool {
	return !unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Default_Ignorable_Code_Point)
}

func isASCII(r rune) bool { return r <= unicode.MaxASCII }

// vague reports whether a server may convert a character to one or two of
// ASCII, although Unicode does not decompose it: ø to o, ß to ss, a dash to a
// hyphen, α to a in a Windows code page. It may not do so with the letters of
// other scripts.
func vague(r rune) bool {
	return !isASCII(r) &&
		!(unicode.IsLetter(r) && !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Common))
}

// covers reports whether a rule for the simplified path want applies to a
// reading: if it is equal, if it has an extension more, or, for a prefix, if it
// begins with it.
func covers(want []rune, prefix bool, reading string) bool {
	// at[i] says that the text before c can be the first i characters of want.
	at := make([]bool, len(want)+1)
	at[0] = true
	for i, c := range reading {
		if at[len(want)] && (prefix || isExtension(reading[i:])) {
			return true
		}
		for n := len(want); n > 0; n-- {
			at[n] = at[n-1] && (c == want[n-1] || vague(c)) || vague(c) && n > 1 && at[n-2]
		}
		if at[0] = false; !slices.Contains(at, true) {
			return false
		}
	}
	return at[len(want)]
}

// isExtension reports whether text is what may follow the name of a resource in
// the last segment, such as .json.
func isExtension(text string) bool {
	return strings.HasPrefix(strings.TrimLeft(text, " "), ".") && !strings.Contains(text, "/")
}
