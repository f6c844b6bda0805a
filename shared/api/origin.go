package api

import (
	"slices"
	"strings"
)

// checkOrigin keeps other sites' pages from using a browser's cookies (OWASP
// CSRF cheat sheet, "Fetch Metadata"). It refuses a request that does not say
// where it comes from: only browsers have cookies to misuse, and every browser
// says it, in Origin or Sec-Fetch-Site.
func (x *exchange) checkOrigin() error {
	origins := x.r.Header.Values("Origin")
	// A list, in one header or in several, equals no single value.
	site := strings.Join(x.r.Header.Values("Sec-Fetch-Site"), ",")
	allowed := site == "same-origin"
	if len(origins) > 0 {
		listed := len(origins) == 1 && slices.Contains(x.api.cfg.AllowedOrigins, origins[0])
		allowed = listed && !strings.EqualFold(site, "cross-site") &&
			!strings.Contains(site, ",")
	}
	if !allowed {
		return fail(codeOrigin, "a request with cookies, or a login with the cookie transport, "+
			"requires the Origin of an allowed page: other clients use the bearer transport")
	}
	return nil
}

// linked reports whether another site made the browser send this request, such
// as by a link or a form. Such a request must not delete the browser's cookies.
// A browser without Fetch Metadata names a form's site in Origin.
func (x *exchange) linked() bool {
	site := x.r.Header.Get("Sec-Fetch-Site")
	foreign := site != "" && site != "same-origin" && site != "none" ||
		len(x.r.Header.Values("Origin")) > 0
	return foreign && x.checkOrigin() != nil
}
