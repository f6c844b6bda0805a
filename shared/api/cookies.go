package api

import (
	"net/http"
	"strings"
	"time"

	"latchkey/shared/session"
)

// cookieName adds the prefix that makes a browser refuse the cookie from a subdomain, over http, or for a path. Plain
// http on a laptop cannot have it.
func (a *API) cookieName(base string) string {
	if a.cfg.Local {
		return base
	}
	return "__Host-" + base
}

// cookies reads ours by their base names. Names are compared as they are and values are not unquoted: no two spellings
// mean the same. The same cookie twice was planted by somebody.
func (x *exchange) cookies() (map[string]string, error) {
	lines := x.r.Header.Values("Cookie")
	if len(lines) == 0 {
		return nil, nil
	}
	found := map[string]string{}
	ours := map[string]string{}
	for _, base := range []string{sessionCookie, refreshCookie, preLoginCookie} {
		ours[x.api.cookieName(base)] = base
	}
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			base, ok := ours[name]
			if !ok {
				continue
			}
			if _, twice := found[base]; twice {
				return nil, ambiguous("a cookie was sent twice")
			}
			found[base] = value
		}
	}
	return found, nil
}

// setCookie sends one of our cookies; a life of zero or less deletes it.
func (x *exchange) setCookie(base, value string, life time.Duration, site http.SameSite) {
	age := int(life / time.Second)
	if age <= 0 {
		age = -1
	}
	http.SetCookie(x.w, &http.Cookie{
		Name: x.api.cookieName(base), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: !x.api.cfg.Local, SameSite: site,
	})
}

// handOut sends a grant's tokens as cookies, to the absolute end.
func (x *exchange) handOut(g session.Grant) {
	life := g.Session.AbsoluteEnd.Sub(x.api.now())
	x.setCookie(sessionCookie, g.AccessToken, life, http.SameSiteLaxMode)
	x.setCookie(refreshCookie, g.RefreshToken, life, http.SameSiteStrictMode)
}

// forgetCookies deletes all of ours.
func (x *exchange) forgetCookies() {
	x.setCookie(sessionCookie, "", 0, http.SameSiteLaxMode)
	x.setCookie(refreshCookie, "", 0, http.SameSiteStrictMode)
	x.setCookie(preLoginCookie, "", 0, http.SameSiteLaxMode)
}
