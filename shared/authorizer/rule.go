package authorizer

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Rule is a permission that some routes of the guarded API want.
type Rule struct {
	// Method, or * for every one. GET counts for HEAD too.
	Method string
	// Path, without what stands behind Prefix.
	Path string
	// Prefix says that Path is the beginning of a path, rather than a whole one.
	Prefix bool
	// Permission that the user must have.
	Permission string
}

// ParseRule reads "GET /orders*=orders:read": a method or *, a path that may end in *, and a permission, whose form it does
// not check.
func ParseRule(text string) (Rule, error) {
	route, permission, _ := strings.Cut(text, "=")
	method, path, found := strings.Cut(route, " ")
	if !found || permission == "" {
		return Rule{}, errors.New("is not of the form GET /orders*=orders:read")
	}
	r := Rule{Method: method, Permission: permission}
	r.Path, r.Prefix = strings.CutSuffix(path, "*")
	lower := func(c rune) bool { return c < 'A' || c > 'Z' }
	if method != "*" && (method == "" || strings.ContainsFunc(method, lower)) {
		return Rule{}, errors.New("has no method in capitals, nor *, in front of its path")
	}
	complete := r.Path
	if r.Prefix {
		complete += "x" // anything may follow
	}
	clean, ok := cleaned(complete)
	if !ok || clean != complete || strings.ContainsAny(r.Path, "*{}") {
		return Rule{}, errors.New("has a path that no request can have: it begins with /, ends in no other, and * stands only at its end")
	}
	return r, nil
}

// matches tells whether a rule is about a request. Letters match in either case: a backend may take them so, and more that
// match is more that must hold.
func (r Rule) matches(method, path string) bool {
	method, path = folded(method), folded(path)
	if r.Method != "*" && folded(r.Method) != method && !(r.Method == "GET" && method == "head") {
		return false
	}
	if r.Prefix {
		return strings.HasPrefix(path, folded(r.Path))
	}
	return path == folded(r.Path)
}

// folded is one spelling for all that differ in case only. Some letters have two lower cases, so it is by way of the upper.
func folded(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// wanted are the permissions of all the rules that match a request at any of its places. Not ok where there are rules and
// nobody can say for certain what they are to be compared with: that is denied.
func (e *event) wanted(s shape, rules []Rule) (permissions []string, ok bool) {
	if len(rules) == 0 {
		return nil, true
	}
	method, places := e.method(s), e.places(s)
	for _, r := range rules {
		matches := func(path string) bool { return r.matches(method, path) }
		if slices.ContainsFunc(places, matches) && !slices.Contains(permissions, r.Permission) {
			permissions = append(permissions, r.Permission)
		}
	}
	return permissions, len(places) > 0
}

// places are the paths that a rule is compared with; none where that cannot be said.
//
// A rule is written for the path of a route. In front of it an event may have a stage, or the base path of a custom domain,
// and the client chooses by which of its names it calls an API. So the route that API Gateway picked says where the path
// begins: every end of it that fits the route is a place. A catch-all route fits every end.
func (e *event) places(s shape) []string {
	path, route := e.Path, e.Resource
	switch s {
	case http2:
		path = e.RawPath
		_, route, _ = strings.Cut(e.RouteKey, " ") // $default has none
	case restToken:
		path = e.arn().path()
	case webSocket:
		return []string{"/" + connectRoute}
	}
	clean, ok := cleaned(path)
	switch {
	case !ok:
		return nil
	case s == restToken: // neither stage nor base path is in it
		return []string{clean}
	}
	segments := strings.Split(clean[1:], "/")
	var found []string
	for i := range segments {
		if fits(segments[i:], route) {
			found = append(found, "/"+strings.Join(segments[i:], "/"))
		}
	}
	return found
}

// fits tells whether the segments of a path are such as a route takes: {name} for one, {name+} for all that follow. No
// route takes everything.
func fits(segments []string, route string) bool {
	if !strings.HasPrefix(route, "/") {
		return true
	}
	parts := strings.Split(route[1:], "/")
	for i, part := range parts {
		if strings.HasSuffix(part, "+}") {
			return i < len(segments)
		}
		if i >= len(segments) || !strings.HasPrefix(part, "{") && part != segments[i] {
			return false
		}
	}
	return len(parts) == len(segments)
}

// cleaned is a path that has one reading only, decoded. Another server, or the same one a moment later, could read what is
// refused here as another path: an empty segment or one of dots, a slash at the end, backslashes, parameters behind a
// semicolon, a second encoding, an encoded slash.
func cleaned(path string) (string, bool) {
	decoded, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(decoded, `%\;?#`) || strings.Count(decoded, "/") != strings.Count(path, "/") {
		return "", false
	}
	if strings.ContainsFunc(decoded, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return "", false
	}
	if decoded == "/" {
		return decoded, true
	}
	first, rest, _ := strings.Cut(decoded, "/")
	if first != "" || rest == "" {
		return "", false
	}
	for segment := range strings.SplitSeq(rest, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
	}
	return decoded, true
}
