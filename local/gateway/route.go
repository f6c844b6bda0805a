package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// anyMethod is the method of a route that matches every method.
const anyMethod = "ANY"

func parseRoute(properties node) (Route, error) {
	r := Route{
		Method: strings.ToUpper(properties.at("Method").text()),
		Path:   properties.at("Path").text(),

		Authorizer: properties.at("Auth", "Authorizer").text(),
	}
	if r.Method == "" {
		return Route{}, errors.New("the Method is missing")
	}
	if !strings.HasPrefix(r.Path, "/") {
		return Route{}, errors.New("the Path does not begin with a slash")
	}
	return r, nil
}

// endpoint is a route and the function behind it.
type endpoint struct {
	Route
	function *function
	guard    *guard // nil if the route has no authorizer
}

// table has endpoints, the more specific ones first.
type table []endpoint

func newTable(endpoints []endpoint) table {
	slices.SortFunc(endpoints, func(a, b endpoint) int {
		return cmp.Or(
			strings.Compare(specificity(a.Path), specificity(b.Path)),
			strings.Compare(a.Path, b.Path),
			cmp.Compare(methodRank(a.Method), methodRank(b.Method)),
		)
	})
	return endpoints
}

// specificity returns a text for a path. The more of the path is literal, the
// earlier the text sorts.
func specificity(path string) string {
	ranks := []byte{}
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case strings.HasSuffix(segment, "+}"):
			ranks = append(ranks, 'c')
		case strings.HasPrefix(segment, "{"):
			ranks = append(ranks, 'b')
		default:
			ranks = append(ranks, 'a')
		}
	}
	return string(ranks)
}

func methodRank(method string) int {
	if method == anyMethod {
		return 1
	}
	return 0
}

// find returns the endpoint for a request, and the path parameters. It compares
// the path as it was sent, byte by byte: it does not clean it, fold case,
// ignore a trailing slash or unescape letters.
func (t table) find(r *http.Request) (endpoint, map[string]string, bool) {
	for _, e := range t {
		if e.Method != r.Method && e.Method != anyMethod {
			continue
		}
		if parameters, ok := match(e.Path, rawPath(r)); ok {
			return e, parameters, true
		}
	}
	return endpoint{}, nil, false
}

// rawPath returns the path as it was sent. URL.EscapedPath may escape parts
// that were sent unescaped.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// match compares a path with a route's path. It returns the decoded path
// parameters, or nil if the route has none.
func match(route, path string) (map[string]string, bool) {
	var parameters map[string]string
	want, got := strings.Split(route, "/"), strings.Split(path, "/")
	for i, segment := range want {
		if i >= len(got) {
			return nil, false
		}
		value := got[i]
		name, isVariable := strings.CutPrefix(segment, "{")
		if !isVariable {
			if segment != value {
				return nil, false
			}
			continue
		}
		name, isGreedy := strings.CutSuffix(strings.TrimSuffix(name, "}"), "+")
		if isGreedy {
			value = strings.Join(got[i:], "/")
			got = got[:i+1]
		}
		decoded, err := url.PathUnescape(value)
		if err != nil || value == "" {
			return nil, false
		}
		if parameters == nil {
			parameters = map[string]string{}
		}
		parameters[name] = decoded
	}
	return parameters, len(got) == len(want)
}
