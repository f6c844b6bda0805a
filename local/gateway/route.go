package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// anyMethod is the method of a route that takes every method.
const anyMethod = "ANY"

func parseRoute(properties node) (Route, error) {
	r := Route{
		Method: strings.ToUpper(properties.at("Method").text()),
		Path:   properties.at("Path").text(),

		Authorizer: properties.at("Auth", "Authorizer").text(),
	}
	if r.Method == "" {
		return Route{}, errors.New("it names no Method")
	}
	if !strings.HasPrefix(r.Path, "/") {
		return Route{}, errors.New("its Path begins with no slash")
	}
	return r, nil
}

// endpoint is a route and the function behind it.
type endpoint struct {
	Route
	function *function
	guard    *guard // nil where nobody is asked
}

// table holds endpoints, the more specific before the less.
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

// specificity maps a path to text that sorts earlier the more of it is literal.
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

// find returns the endpoint for a request and the path parameters. The path is
// compared as it was sent, byte by byte: nothing is cleaned, no case folded, no
// trailing slash forgiven, and an escaped letter is not that letter.
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

// rawPath returns the path as it was sent. URL.EscapedPath would do for most, but
// may escape once more what came unescaped.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// match compares a path with a route's and returns the decoded path parameters, or
// nil where the route has none.
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
