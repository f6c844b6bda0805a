package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// corsPolicy is the CORS configuration of a template, with the allowed origins.
type corsPolicy struct {
	CORS
	origins []string // exact
	others  func(origin string) bool
}

func newCORSPolicy(t CORS, opts Options) corsPolicy {
	t.AllowHeaders = slices.Concat(t.AllowHeaders, opts.AllowHeaders)
	return corsPolicy{CORS: t, origins: opts.AllowOrigins, others: opts.AllowOrigin}
}

// on reports whether there is a CorsConfiguration with an origin.
func (p corsPolicy) on() bool {
	return len(p.AllowMethods) > 0 && (len(p.origins) > 0 || p.others != nil)
}

// allows reports whether an origin is listed, or allowed besides.
func (p corsPolicy) allows(origin string) bool {
	return slices.Contains(p.origins, origin) || p.others != nil && p.others(origin)
}

// isPreflight reports whether a request is a preflight. The gateway answers
// preflights itself, whatever their path, without calling a function.
func (p corsPolicy) isPreflight(r *http.Request) bool {
	return p.on() && r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers 204. For an origin that is not listed it sets no CORS
// headers, so the browser refuses the request.
func (p corsPolicy) preflight(w http.ResponseWriter, r *http.Request) {
	if p.allow(w.Header(), r) {
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(p.AllowMethods, ","))
		w.Header().Set("Access-Control-Allow-Headers", strings.Join(p.AllowHeaders, ","))
		w.Header().Set("Access-Control-Max-Age", strconv.Itoa(p.MaxAge))
	}
	w.WriteHeader(http.StatusNoContent)
}

// expose sets the CORS headers of a response that is not a preflight's. It
// drops those that a function set, as API Gateway does.
func (p corsPolicy) expose(header http.Header, r *http.Request) {
	if !p.on() {
		return
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			header.Del(name)
		}
	}
	if p.allow(header, r) && len(p.ExposeHeaders) > 0 {
		header.Set("Access-Control-Expose-Headers", strings.Join(p.ExposeHeaders, ","))
	}
}

// allow sets the headers that allow the request's origin if it is listed, and
// reports whether it is. The response depends on the origin, so Vary is set
// either way: caches must keep the responses apart.
func (p corsPolicy) allow(header http.Header, r *http.Request) bool {
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !p.allows(origin) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if p.AllowCredentials {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}
