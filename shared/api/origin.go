package api

import (
	"fmt"
	"slices"
	"strings"
)

// checkOrigin keeps other sites' pages from using a browser's cookies (OWASP
// CSRF cheat sheet, "Fetch Metadata"). It refuses a request that does not say
// where it comes from: only browsers have cookies to misuse, and every browser
// says it, in Origin or Sec-Fetch-Site.
func (x *exchange) checkOrigin() error {
	if err := x.checkSameSite(); err != nil {
		return err
	}
	// A list, in one header or in several, equals no single value.
	site := x.site()
	allowed := site == "same-origin"
	if len(x.origins()) > 0 {
		allowed = x.fromAllowed() && !strings.EqualFold(site, "cross-site") &&
			!strings.Contains(site, ",")
	}
	if !allowed {
		return fail(codeOrigin, "a request with cookies, or a login with the cookie transport, "+
			"requires the Origin of an allowed page: other clients use the bearer transport")
	}
	return nil
}

// site returns the values of Sec-Fetch-Site.
func (x *exchange) site() string {
	return strings.Join(x.r.Header.Values("Sec-Fetch-Site"), ",")
}

// origins returns the values of Origin. A page with the referrer policy
// no-referrer sends "null" even to its own origin. If the browser says that the
// request is of the same origin, this is like no Origin. A sandboxed page, which
// sends "null" too, is cross-site.
func (x *exchange) origins() []string {
	origins := x.r.Header.Values("Origin")
	if len(origins) == 1 && origins[0] == "null" && x.site() == "same-origin" {
		return nil
	}
	return origins
}

// fromAllowed reports whether a request has the Origin of an allowed page.
func (x *exchange) fromAllowed() bool {
	origins := x.origins()
	if len(origins) != 1 {
		return false
	}
	_, local := LocalPage(origins[0])
	return local && x.api.cfg.AnyLocalPage || slices.Contains(x.api.cfg.AllowedOrigins, origins[0])
}

// checkNonceOrigin refuses a nonce to a page of another site, such as for an
// image, unless its Origin is allowed. Otherwise any page could use up the rate
// limit of its visitors' network. Clients without Fetch Metadata are not
// refused.
func (x *exchange) checkNonceOrigin() error {
	if !strings.Contains(strings.ToLower(x.site()), "cross-site") || x.fromAllowed() {
		return nil
	}
	return fail(codeOrigin, "a nonce for a page of another site requires an allowed Origin")
}

// linked reports whether another site made the browser send this request, such
// as by a link or a form. Such a request must not delete the browser's cookies.
// A browser without Fetch Metadata names a form's site in Origin.
func (x *exchange) linked() bool {
	site := x.r.Header.Get("Sec-Fetch-Site")
	foreign := site != "" && site != "same-origin" && site != "none" ||
		len(x.origins()) > 0
	return foreign && x.checkOrigin() != nil
}

// originAdvice says for a developer why a request is not of an allowed page.
func (x *exchange) originAdvice() string {
	switch origins := x.origins(); {
	case len(origins) == 0:
		return "it has no Origin header"
	case !x.fromAllowed():
		return fmt.Sprintf("the origin %q is not allowed: add its host to SIWE_DOMAINS, "+
			"or the origin to ALLOWED_ORIGINS if that is set", bounded(strings.Join(origins, ",")))
	}
	return fmt.Sprintf("its Sec-Fetch-Site is %q: page and API must be on one site, "+
		"such as both on localhost", bounded(x.site()))
}
