package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"latchkey/shared/token"
)

// The codes of log lines about requests that reach no function, or whose answer
// the browser withholds from the page.
const (
	noRoute          = "no_route"
	refusedPreflight = "preflight_refused"
	refusedOrigin    = "origin_refused"
)

// logRefusal writes a line that says why, and what to do. The query is left out,
// since it may have a token. A status of zero stands for that of the function,
// which has a line of its own.
func (g *Gateway) logRefusal(r *http.Request, status int, code, problem string) {
	attrs := []any{"method", r.Method, "path", shortened(rawPath(r)), "code", code, "problem", problem}
	if status != 0 {
		attrs = append(attrs, "status", status)
	}
	g.log.Warn("request refused", attrs...)
}

// shortened bounds what a client sent. It returns nothing of a text that has a
// token or a ticket.
func shortened(text string) string {
	if token.ContainedIn(text) {
		return "(has a token)"
	}
	return text[:min(len(text), 256)]
}

// logNoRoute says that no route has the method and path of a request.
func (g *Gateway) logNoRoute(r *http.Request) {
	problem := "no route of the template has this path"
	if methods := g.routes.methods(r); len(methods) > 0 {
		problem = "the routes of this path have " + strings.Join(methods, ", ")
	}
	g.logRefusal(r, http.StatusNotFound, noRoute, problem)
}

// methods returns the methods of the routes that have the path of a request.
func (t table) methods(r *http.Request) []string {
	var found []string
	for _, e := range t {
		if _, ok := match(e.Path, rawPath(r)); ok && !slices.Contains(found, e.Method) {
			found = append(found, e.Method)
		}
	}
	slices.Sort(found)
	return found
}

// logCORS writes a line if the browser withholds an answer from the page that
// sent the request, or does not send the request that a preflight asks for.
func (g *Gateway) logCORS(r *http.Request) {
	origin := r.Header.Get("Origin")
	switch {
	case !g.cors.on() || origin == "" || isOwn(origin, r.Host):
	case !g.cors.isPreflight(r):
		if !g.cors.allows(origin) {
			g.logRefusal(r, 0, refusedOrigin,
				"the page cannot read the answer: "+originAdvice(origin))
		}
	default:
		if problem := g.cors.refusal(r); problem != "" {
			g.logRefusal(r, http.StatusNoContent, refusedPreflight, problem)
		}
	}
}

// isOwn reports whether an origin is that of the host that a request was sent
// to. Browsers ask no other permission for its pages.
func isOwn(origin, host string) bool {
	return origin == "http://"+host || origin == "https://"+host
}

func originAdvice(origin string) string {
	return fmt.Sprintf("the origin %q is not allowed: add its host to SIWE_DOMAINS,"+
		" or the origin to ALLOWED_ORIGINS if that is set", shortened(origin))
}

// refusal returns why the browser will not send the request that a preflight
// asks for, or "".
func (p corsPolicy) refusal(r *http.Request) string {
	if origin := r.Header.Get("Origin"); !p.allows(origin) {
		return originAdvice(origin)
	}
	method := r.Header.Get("Access-Control-Request-Method")
	if !slices.Contains(p.AllowMethods, method) {
		return fmt.Sprintf("no route has the method %q", shortened(method))
	}
	var lacking []string
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "" && !slices.ContainsFunc(p.AllowHeaders, func(allowed string) bool {
			return strings.EqualFold(allowed, name)
		}) {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("the headers %q are not allowed: do not send them,"+
		" or add them to CORS_ALLOW_HEADERS", shortened(strings.Join(lacking, ",")))
}
