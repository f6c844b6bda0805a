package authorizer

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Rule is a permission that some routes of the guarded API require.
type Rule struct {
	// Method is in capitals, or * for every method. GET includes HEAD.
	Method string
	// Path is the path of a request, or with Prefix its beginning.
	Path string
	// Prefix says that any text may follow Path.
	Prefix bool
	// Permission is what the user must have.
	Permission string
}

// ParseRule reads a rule of the form "GET /orders*=orders:read": a method or *,
// a path that may end in *, and a permission. It does not check the form of the
// permission. The text of the rule goes in front of its error, as in `"GET" is
// not of the form …`.
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
		return Rule{}, errors.New("has no valid method: use a method in capitals or *")
	}
	complete := r.Path
	if r.Prefix {
		complete += "x" // anything may follow
	}
	clean, ok := cleaned(complete)
	if !ok || clean != complete || strings.ContainsAny(r.Path, "*{}") {
		return Rule{}, errors.New("has a path that no request can have:" +
			" it must begin with /, must not end with another /, and may have * only at its end")
	}
	return r, nil
}

// matches reports whether a rule applies to a request. Case is ignored, as a
// backend may ignore it; and the more rules match, the more permissions are
// required.
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

// folded returns one form for all texts that differ only in case. Some letters
// have two lower cases, so it converts to upper case first.
func folded(text string) string { return strings.ToLower(strings.ToUpper(text)) }

// wanted returns the permissions of all rules that match a request at any of
// its places. It returns errPath if there are rules and it is not certain what
// to compare them with: then the request must be denied.
func (e *event) wanted(s shape, rules []Rule) (permissions []string, err error) {
	if len(rules) == 0 {
		return nil, nil
	}
	method, places := e.method(s), e.places(s)
	if len(places) == 0 {
		return nil, errPath
	}
	for _, r := range rules {
		matches := func(path string) bool { return r.matches(method, path) }
		if slices.ContainsFunc(places, matches) && !slices.Contains(permissions, r.Permission) {
			permissions = append(permissions, r.Permission)
		}
	}
	return permissions, nil
}

// places returns the paths that rules are compared with. It returns none if
// they are not certain.
//
// A rule is written for the path of a route. In an event that path may follow a
// stage or the base path of a custom domain, and the client chooses by which of
// its names it calls an API. So the route that API Gateway chose says where the
// path begins: every end of it that fits the route is a place. A catch-all
// route fits every end.
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

// fits reports whether a route matches the segments of a path: {name} matches
// one segment, {name+} all that follow. Without a route everything fits.
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

// cleaned decodes a path. It refuses a path that another server could read as
// another one: with an empty segment or one of dots, a slash at its end,
// backslashes, parameters after a semicolon, a second encoding, or an encoded
// slash.
func cleaned(path string) (string, bool) {
	decoded, err := url.PathUnescape(path)
	if err != nil || strings.ContainsAny(decoded, `%\;?#`) ||
		strings.Count(decoded, "/") != strings.Count(path, "/") {
		return "", false
	}
	odd := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if strings.ContainsFunc(decoded, odd) {
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
