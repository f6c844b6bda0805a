package api

import (
	"slices"
	"strings"
)

// checkOrigin keeps other sites' pages from using a browser's cookies (OWASP CSRF cheat sheet, "Fetch Metadata"). A
// request that tells nothing of where it comes from is refused: only a browser has cookies to misuse, and every browser
// tells.
func (x *exchange) checkOrigin() error {
	origins := x.r.Header.Values("Origin")
	// A list, sent as one header or as several, equals no single value.
	site := strings.Join(x.r.Header.Values("Sec-Fetch-Site"), ",")
	allowed := site == "same-origin"
	if len(origins) > 0 {
		listEvents := len(origins) == 1 && slices.Contains(x.api.cfg.AllowedOrigins, origins[0])
		allowed = listEvents && !strings.EqualFold(site, "cross-site") && !strings.Contains(site, ",")
	}
	if !allowed {
		return fail(codeOrigin, "cookies, and a login with the cookie transport, need the Origin of an allowed page; what is no browser uses the bearer transport")
	}
	return nil
}

// linked tells that another site made the browser send this request, such as by a link or a form. It must not be able to
// delete the browser's cookies by that. A browser without Fetch Metadata tells a form's site by its Origin.
func (x *exchange) linked() bool {
	site := x.r.Header.Get("Sec-Fetch-Site")
	foreign := site != "" && site != "same-origin" && site != "none" || len(x.r.Header.Values("Origin")) > 0
	return foreign && x.checkOrigin() != nil
}
