package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// corsPolicy is a template's CORS with the origins in force.
type corsPolicy struct {
	CORS
	origins []string // exact; none switches CORS off
}

func (p corsPolicy) on() bool { return len(p.origins) > 0 }

// isPreflight tells whether a request is a preflight, which is answered whatever
// its path, without a function.
func (p corsPolicy) isPreflight(r *http.Request) bool {
	return p.on() && r.Method == http.MethodOptions &&
		r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// preflight answers 204. An origin that is not listed is told nothing, which is
// what makes the browser refuse.
func (p corsPolicy) preflight(w http.ResponseWriter, r *http.Request) {
	if p.allow(w.Header(), r) {
		w.Header().Set("Access-Control-Allow-Methods", strings.Join(p.AllowMethods, ","))
		w.Header().Set("Access-Control-Allow-Headers", strings.Join(p.AllowHeaders, ","))
		w.Header().Set("Access-Control-Max-Age", strconv.Itoa(p.MaxAge))
	}
	w.WriteHeader(http.StatusNoContent)
}

// expose sets the headers of a response that is no preflight's. Those that a
// function set itself are dropped, as API Gateway does.
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

// allow names the request's origin if it is listed, and tells whether it is. The
// answer differs by origin, so caches must keep them apart either way.
func (p corsPolicy) allow(header http.Header, r *http.Request) bool {
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(p.origins, origin) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if p.AllowCredentials {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	return true
}
