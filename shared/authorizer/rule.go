package authorizer

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
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

// matches reports whether a rule applies to a request at any of its places. In
// doubt it does: the more rules match, the more permissions are required.
func (r Rule) matches(method string, places []string) bool {
	method = folded(method)
	if r.Method != "*" && folded(r.Method) != method && !(r.Method == "GET" && method == "head") {
		return false
	}
	want := []rune(simplified(folded(r.Path), visible))
	return slices.ContainsFunc(places, func(place string) bool {
		return covers(want, r.Prefix, place)
	})
}

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
		if r.matches(method, places) && !slices.Contains(permissions, r.Permission) {
			permissions = append(permissions, r.Permission)
		}
	}
	return permissions, nil
}

// places returns the paths that rules are compared with, as they may be read.
// It returns none if they are not certain.
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
		return readings(clean)
	}
	var found []string
	for _, reading := range readings(clean) {
		for segments := strings.Split(clean[1:], "/"); len(segments) > 0; segments = segments[1:] {
			if fits(segments, route) {
				found = append(found, reading)
			}
			reading = reading[1+strings.IndexByte(reading[1:], '/'):]
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
// one of other segments: with an empty segment or one of dots and spaces, a
// slash at its end, backslashes, parameters after a semicolon, a second
// encoding, an encoded slash, or a compatibility form of one of these
// characters.
func cleaned(path string) (string, bool) {
	decoded, err := url.PathUnescape(path)
	compatible := norm.NFKD.String(decoded)
	if err != nil || strings.ContainsAny(compatible, `%\;?#`) ||
		strings.Count(compatible, "/") != strings.Count(path, "/") {
		return "", false
	}
	odd := func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }
	if strings.ContainsFunc(decoded, odd) {
		return "", false
	}
	if decoded == "/" {
		return decoded, true
	}
	rest, rooted := strings.CutPrefix(decoded, "/")
	segments := strings.Split(simplified(rest, visible), "/")
	return decoded, rooted && !slices.Contains(segments, "")
}
