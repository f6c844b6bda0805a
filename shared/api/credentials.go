package api

import (
	"net/http"
	"strings"

	"latchkey/shared/session"
)

// Base names of our cookies; see cookieName.
const (
	sessionCookie  = "session"
	refreshCookie  = "refresh"
	preLoginCookie = "prelogin"
)

// presented is what came with a request, before anybody asked whether it is any good.
type presented struct {
	bearer string // of the Authorization header
	cookie map[string]string
}

// presented reads every place in which a credential can be. It refuses what stands in two places at once, or twice in
// one, since nobody can say which was meant.
func (x *exchange) presented() (presented, error) {
	if err := x.checkQuery(); err != nil {
		return presented{}, err
	}
	cookies, err := x.cookies()
	if err != nil {
		return presented{}, err
	}
	bearer, err := bearerToken(x.r.Header)
	if err != nil {
		return presented{}, err
	}
	if bearer != "" && cookies[sessionCookie] != "" {
		return presented{}, ambiguous("both a bearer token and a session cookie were sent; send one")
	}
	return presented{bearer: bearer, cookie: cookies}, nil
}

// checkQuery refuses a token in the URL, where logs and histories would keep it (RFC 6750, section 5.3).
func (x *exchange) checkQuery() error {
	for name, values := range x.r.URL.Query() {
		switch strings.ToLower(name) {
		case "token", "access_token", "accesstoken", "refresh_token", "refreshtoken":
			return ambiguous("a token must not be in the URL")
		}
		for _, value := range values {
			if strings.HasPrefix(value, "lka_") || strings.HasPrefix(value, "lkr_") {
				return ambiguous("a token must not be in the URL")
			}
		}
	}
	return nil
}

// bearerToken reads the Authorization header; empty where there is none, or none of the Bearer scheme.
func bearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || strings.Contains(values[0], ",") {
		return "", ambiguous("more than one Authorization was sent")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	token = strings.TrimLeft(token, " ")
	if token == "" || strings.ContainsAny(token, " \t") {
		return "", invalid("Authorization must be Bearer and one token")
	}
	return token, nil
}

// access finds the access credential of a request.
func (x *exchange) access() (token string, transport session.Transport, err error) {
	p, err := x.presented()
	switch {
	case err != nil:
		return "", 0, err
	case p.bearer != "":
		return p.bearer, session.Bearer, nil
	case p.cookie[sessionCookie] != "":
		return p.cookie[sessionCookie], session.Cookie, nil
	}
	return "", 0, fail(codeNoCredentials, "no credentials were sent")
}

// refresh finds the refresh credential. An access token beside it is ignored.
func (x *exchange) refresh(inBody string) (token string, transport session.Transport, err error) {
	if err := x.checkQuery(); err != nil {
		return "", 0, err
	}
	cookies, err := x.cookies()
	switch {
	case err != nil:
		return "", 0, err
	case inBody != "" && cookies[refreshCookie] != "":
		return "", 0, ambiguous("both a refresh token and a refresh cookie were sent; send one")
	case inBody != "":
		return inBody, session.Bearer, nil
	case cookies[refreshCookie] != "":
		return cookies[refreshCookie], session.Cookie, x.checkOrigin()
	}
	return "", 0, fail(codeNoCredentials, "no refresh token was sent")
}

// ending finds the session that a logout is about. Any authentic token of it will do, of either kind.
func (x *exchange) ending(inBody string) (session.ID, error) {
	p, err := x.presented()
	if err != nil {
		return session.ID{}, err
	}
	pair := []string{p.bearer, inBody}
	cookies := []string{p.cookie[sessionCookie], p.cookie[refreshCookie]}
	switch byBearer, byCookie := strings.Join(pair, "") != "", strings.Join(cookies, "") != ""; {
	case byBearer && byCookie:
		return session.ID{}, ambiguous("both tokens and cookies were sent; send one pair")
	case byCookie:
		if err := x.checkOrigin(); err != nil {
			return session.ID{}, err
		}
		pair = cookies
	case !byBearer:
		return session.ID{}, fail(codeNoCredentials, "no credentials were sent")
	}
	return x.sessionOf(pair)
}

// sessionOf is the one session that authentic tokens belong to.
func (x *exchange) sessionOf(tokens []string) (session.ID, error) {
	var found []session.ID
	for _, token := range tokens {
		if id, err := x.api.store.Handle(token); err == nil {
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 0:
		return session.ID{}, session.ErrInvalidToken
	case found[0] != found[len(found)-1]:
		return session.ID{}, invalid("the tokens are of two sessions")
	}
	return found[0], nil
}
