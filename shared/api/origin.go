package api

import (
	"slices"
	"strings"
)

// checkOrigin keeps other sites' pages from using a browser's cookies (OWASP CSRF cheat sheet, "Fetch Metadata"). A
// request that tells nothing of where it comes from is refused: only a browser has cookies to misuse, and every browser
// tells.
func (x *exchange) checkOrigin() error {
	origin, site := x.r.Header.Get("Origin"), x.r.Header.Get("Sec-Fetch-Site")
	allowed := site == "same-origin"
	if len(x.r.Header.Values("Origin")) > 0 {
		allowed = slices.Contains(x.api.cfg.AllowedOrigins, origin) && site != "cross-site" && !strings.Contains(site, ",")
	}
	if !allowed {
		return fail(codeOrigin, "the request comes from an origin that may not use cookies here")
	}
	return nil
}
