package api

import (
	"net/http"
	"strings"
	"time"

	"latchkey/shared/session"
)

// cookieName adds the prefix __Host-. A browser refuses a cookie with that
// prefix from a subdomain, over http, or for another path. Plain http in local
// development cannot use it.
func (a *API) cookieName(base string) string {
	if a.cfg.Local {
		return base
	}
	return "__Host-" + base
}

// cookies returns our cookies by their base names. Names are compared exactly
// and values are not unquoted, so that no two spellings mean the same. It
// refuses a cookie that appears twice: an attacker planted one of them.
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
				return nil, ambiguous("a cookie was sent twice: send each cookie once")
			}
			found[base] = value
		}
	}
	return found, nil
}

// setCookie sets one of our cookies. A life of zero or less deletes it.
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

// handOut sets a grant's tokens as cookies, which last until the absolute end.
func (x *exchange) handOut(g session.Grant) {
	life := g.Session.AbsoluteEnd.Sub(x.api.now())
	x.setCookie(sessionCookie, g.AccessToken, life, http.SameSiteLaxMode)
	x.setCookie(refreshCookie, g.RefreshToken, life, http.SameSiteStrictMode)
}

// forgetCookies deletes all our cookies.
func (x *exchange) forgetCookies() {
	x.setCookie(sessionCookie, "", 0, http.SameSiteLaxMode)
	x.setCookie(refreshCookie, "", 0, http.SameSiteStrictMode)
	x.setCookie(preLoginCookie, "", 0, http.SameSiteLaxMode)
}
