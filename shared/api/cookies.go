package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// nameCookies sets the names of our cookies. A browser refuses a cookie with
// the prefix __Host- from a subdomain, over http, or for another path. Plain
// http in local development cannot use it. There the port keeps the cookies of
// two servers apart.
func (a *API) nameCookies() {
	prefix, suffix := "__Host-", ""
	if a.cfg.Local {
		prefix = ""
	}
	if a.cfg.Local && a.cfg.CookiePort != 0 {
		suffix = "_" + strconv.Itoa(a.cfg.CookiePort)
	}
	a.cookieNames, a.cookieBases = map[string]string{}, map[string]string{}
	for _, base := range ourCookies {
		name := prefix + base + suffix
		a.cookieNames[base], a.cookieBases[name] = name, base
	}
}

// cookies returns our cookies by their base names. Names are compared exactly
// and values are not unquoted, so that no two spellings mean the same. A cookie
// whose value does not look like ours is another program's under our name, and
// is ignored. It refuses a cookie that appears twice: an attacker planted one
// of them.
func (x *exchange) cookies() (map[string]string, error) {
	lines := x.r.Header.Values("Cookie")
	if len(lines) == 0 {
		return nil, nil
	}
	found := map[string]string{}
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			base, named := x.api.cookieBases[name]
			if !named || !looksOurs(base, value) {
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

// looksOurs reports whether the value of a cookie has the form of ours. Of a
// token that is its beginning alone: the rest is for its parser to refuse.
func looksOurs(base, value string) bool {
	if base == preLoginCookie {
		_, ok := token.DecodeBase64URL(value, preLoginBytes)
		return ok
	}
	return token.HasKind(value)
}

// setCookie sets one of our cookies. A life of zero or less deletes it.
func (x *exchange) setCookie(base, value string, life time.Duration, site http.SameSite) {
	age := int(life / time.Second)
	if age <= 0 {
		age = -1
	}
	http.SetCookie(x.w, &http.Cookie{
		Name: x.api.cookieNames[base], Value: value, Path: "/", MaxAge: age,
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
