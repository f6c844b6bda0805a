package main

import (
	"net/url"
	"slices"
	"strconv"
)

// ignoreQuery are the routes that take any query.
var ignoreQuery = []string{"GET /health", "HEAD /health", "GET /openapi.json", "HEAD /openapi.json"}

// parameter is a parameter of a route in the query or in a header.
type parameter struct {
	place, name string
	pointer     string // of its object
}

// key is what marks a parameter as seen. Headers are shared by most routes, and
// one route that shows a shared one is enough. Each route shows its own query.
func (p parameter) key(route string) string {
	if p.place == "header" {
		return p.pointer
	}
	return route + " ?" + p.name
}

// parametersOf returns the parameters of a route in the query and in headers.
func (d *document) parametersOf(route string) (found []parameter) {
	_, members := d.resolve(route)
	list, _ := members["parameters"].([]any)
	for i := range list {
		pointer, p := d.resolve(at(route, "parameters", strconv.Itoa(i)))
		place, _ := p["in"].(string)
		if name, _ := p["name"].(string); place == "query" || place == "header" {
			found = append(found, parameter{place, name, pointer})
		}
	}
	return found
}

// parameters compares the parameters of a request that succeeded.
func (l *look) parameters(route string) {
	query, err := url.ParseQuery(l.answer.Query)
	ignores := slices.Contains(ignoreQuery, l.route)
	if err != nil && !ignores {
		l.report("a request with the query %q succeeded, against %s", l.answer.Query, page)
	}
	for _, p := range l.parametersOf(route) {
		values := query[p.name]
		if p.place == "header" {
			values = l.answer.Asked.Values(p.name)
		}
		delete(query, p.name)
		if _, declared := l.resolve(p.pointer); len(values) == 0 && declared["required"] == true {
			l.report("a request without the parameter %s succeeded: correct %s", p.name, page)
		}
		for _, value := range values {
			l.seen[p.key(l.route)] = true
			l.validate("the parameter "+p.name, at(p.pointer, "schema"), l.typed(p, value))
		}
	}
	for name := range query {
		if !ignores {
			l.report("a request with the parameter %s succeeded: add it to %s, or refuse it", name, page)
		}
	}
}

// typed returns the value of a parameter as its schema has it: as a number, if
// it is an integer there.
func (d *document) typed(p parameter, value string) any {
	_, schema := d.resolve(at(p.pointer, "schema"))
	n, err := strconv.Atoi(value)
	if schema["type"] == "integer" && err == nil && strconv.Itoa(n) == value {
		return n
	}
	return value
}

// wantRequest reports what a route takes and no request that succeeded had.
func (c *comparison) wantRequest(route string) {
	for _, p := range c.parametersOf(c.routes[route]) {
		if !c.seen[p.key(route)] {
			c.report("%s request: no success had the parameter %s: %s", route, p.name, advice)
		}
	}
	body, _ := c.resolve(at(c.routes[route], "requestBody"))
	_, types := c.resolve(at(body, "content"))
	for media := range types {
		if !c.seen[route+" "+media] {
			c.report("%s request: no success had the content type %s: %s", route, media, advice)
			continue
		}
		c.wantFields(route+" request", "", at(body, "content", media, "schema"), map[string]bool{})
	}
}
