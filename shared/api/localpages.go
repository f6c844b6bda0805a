package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"latchkey/shared/siwe"
)

// LocalPage returns the domain of a page on this machine. It returns false for
// every origin but http or https and a domain of [siwe.IsLoopback].
func LocalPage(origin string) (domain string, ok bool) {
	_, domain, ok = localPage(origin)
	return domain, ok
}

func localPage(origin string) (scheme, domain string, ok bool) {
	scheme, domain, ok = strings.Cut(origin, "://")
	return scheme, domain, ok && (scheme == "http" || scheme == "https") && siwe.IsLoopback(domain)
}

// OnlyLocalHosts answers 421 to every request whose Host is not a domain of
// [siwe.IsLoopback], and passes the others on. Without [Config.AnyLocalPage] it
// returns next.
//
// To a browser, a page of http://evil.example:3000 is of one origin with this
// server if its owner has the name resolve to 127.0.0.1 (DNS rebinding). The
// Host header still has that name.
func (a *API) OnlyLocalHosts(next http.Handler) http.Handler {
	if !a.cfg.AnyLocalPage {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if siwe.IsLoopback(strings.ToLower(r.Host)) {
			next.ServeHTTP(w, r)
			return
		}
		x := a.newExchange(r.Context(), r, RequestInfo{SourceIP: peer(r)}, "")
		x.w = w
		defer x.complete()
		x.answer(nil, x.logged(codeMisdirected, fmt.Sprintf("the request is for the host %q,"+
			" and this server answers for localhost, *.localhost, 127.0.0.1 and [::1] alone:"+
			" use one of these names, or set SIWE_DOMAINS", bounded(r.Host))))
	})
}

// peer returns the address of the connection; zero if it is not known.
func peer(r *http.Request) netip.Addr {
	address, _ := netip.ParseAddrPort(r.RemoteAddr)
	return NormalAddress(address.Addr())
}

// logged returns a problem whose detail is logged too.
func (x *exchange) logged(c code, detail string) error {
	x.info.Detail = detail
	return fail(c, detail)
}

// checkSameSite refuses a request with cookies of a page on this machine that
// gets no cookies from the browser, and says why.
func (x *exchange) checkSameSite() error {
	if why := x.apart(); why != "" {
		return x.logged(codeOrigin, why)
	}
	return nil
}

// noCredentials returns the problem of a request without credentials. If the
// browser has kept the cookies of a page on this machine back, it says so.
func (x *exchange) noCredentials(detail string) error {
	if why := x.apart(); why != "" {
		return x.logged(codeNoCredentials, detail+": "+why)
	}
	return fail(codeNoCredentials, detail)
}

// apart returns what to do if page and API are both on this machine and are two
// sites to the browser, so that it sends and stores no cookies. Otherwise, and
// unless any local page may sign in, it returns "".
func (x *exchange) apart() string {
	origins, api := x.origins(), x.info.Host
	if !x.api.cfg.AnyLocalPage || len(origins) != 1 || !siwe.IsLoopback(api) {
		return ""
	}
	scheme, page, ok := localPage(origins[0])
	own := x.scheme()
	// What the browser says counts: behind the proxy of a development server,
	// page and API share an origin, and the Host is another.
	together := x.site() == "" && scheme == own && siteOf(page) == siteOf(api)
	if !ok || together || x.site() != "" && !strings.EqualFold(x.site(), "cross-site") {
		return ""
	}
	why := fmt.Sprintf("the page is at %s and the API at %s://%s, and both must use the same name"+
		" and scheme, or browsers keep the cookies back: open the page at %s://%s",
		origins[0], own, api, own, hostOf(api)+portOf(page))
	if scheme == own {
		why += fmt.Sprintf(", or call the API at %s://%s", own, hostOf(page)+portOf(api))
	}
	return why
}

// scheme returns the scheme of the request. The local server sets the header;
// clients cannot.
func (x *exchange) scheme() string {
	if x.r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}

// portOf returns the port of a domain with its colon, or "" without a port.
func portOf(domain string) string {
	if colon := strings.LastIndexByte(domain, ':'); colon > strings.LastIndexByte(domain, ']') {
		return domain[colon:]
	}
	return ""
}

func hostOf(domain string) string { return strings.TrimSuffix(domain, portOf(domain)) }

// siteOf returns what a browser compares of a domain on this machine. It takes
// localhost for a public suffix: a.x.localhost and b.x.localhost share a site,
// and localhost is one of its own.
func siteOf(domain string) string {
	labels := strings.Split(hostOf(domain), ".")
	if n := len(labels); n > 2 && labels[n-1] == "localhost" {
		labels = labels[n-2:]
	}
	return strings.Join(labels, ".")
}
