package api

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// The base names of our cookies; see nameCookies.
const (
	sessionCookie  = "session"
	refreshCookie  = "refresh"
	preLoginCookie = "prelogin"
)

var ourCookies = []string{sessionCookie, refreshCookie, preLoginCookie}

// presented holds the credentials of a request. They have not been verified.
type presented struct {
	bearer string // of the Authorization header
	cookie map[string]string
}

// findCredentials reads the credentials in the headers Authorization and Cookie.
// It refuses credentials in both, or twice in one, since it is ambiguous which of
// them was meant. Every route calls it, also those that require no credential.
func (x *exchange) findCredentials() (err error) {
	p := &x.presented
	if p.cookie, err = x.cookies(); err != nil {
		return err
	}
	if p.bearer, err = bearerToken(x.r.Header); err != nil {
		return err
	}
	return p.check()
}

// check refuses credentials of both transports.
func (p *presented) check() error {
	if p.bearer != "" && p.cookie[sessionCookie] != "" {
		return ambiguous("both a bearer token and a session cookie were sent: send one")
	}
	return nil
}

// parseQuery reads the query. It refuses a token in the URL, because logs and
// histories would keep it (RFC 6750, section 5.3). A route that ignores the
// query also accepts one that is malformed.
func (x *exchange) parseQuery(ignored bool) error {
	var err error
	x.query, err = url.ParseQuery(x.r.URL.RawQuery)
	if err != nil && !ignored {
		return invalid("the query is malformed: percent-encode its names and values")
	}
	for name, values := range x.query {
		named := slices.Contains([]string{
			"token", "access_token", "accesstoken", "refresh_token", "refreshtoken",
		}, strings.ToLower(name))
		if named || slices.ContainsFunc(append(values, name), token.ContainedIn) {
			return ambiguous("a token must not be in the URL")
		}
	}
	return nil
}

// bearerToken returns the token of the Authorization header. It returns "" if
// there is no such header, or none of the Bearer scheme.
func bearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return "", nil
	}
	words := strings.Fields(strings.ReplaceAll(strings.Join(values, ","), ",", " , "))
	isBearer := func(word string) bool { return strings.EqualFold(word, "Bearer") }
	switch {
	case !slices.ContainsFunc(words, isBearer):
		return "", nil
	case !isBearer(words[0]):
		return "", ambiguous("more than one Authorization header was sent: send one")
	case len(words) == 1:
		return "", invalid("Authorization must be Bearer, a space and a token")
	case len(words) > 2:
		return "", ambiguous("Authorization has more than one token: send one")
	}
	return words[1], nil
}

// accessToken returns the access credential of a request and its transport.
func (x *exchange) accessToken() (text string, transport session.Transport, err error) {
	p := x.presented
	switch {
	case p.bearer != "":
		return p.bearer, session.Bearer, nil
	case p.cookie[sessionCookie] != "":
		return p.cookie[sessionCookie], session.Cookie, nil
	}
	return "", 0, x.noCredentials("no credentials were sent")
}

// refreshToken returns the refresh credential of a request and its transport.
// It ignores an access token beside it.
func (x *exchange) refreshToken(
	inBody *string,
) (text string, transport session.Transport, err error) {
	cookie := x.presented.cookie[refreshCookie]
	switch {
	case inBody != nil && cookie != "":
		return "", 0, ambiguous("both a refresh token and a refresh cookie were sent: send one")
	case inBody != nil:
		return *inBody, session.Bearer, nil
	case cookie != "":
		return cookie, session.Cookie, x.checkOrigin()
	}
	return "", 0, x.noCredentials("no refresh token was sent")
}

// ending returns the session that a logout or a step-up is about. Any authentic
// token of the session is accepted, access or refresh.
func (x *exchange) ending(inBody *string) (token.ID, error) {
	p := x.presented
	pair := []string{p.bearer}
	if inBody != nil {
		pair = append(pair, *inBody)
	}
	cookies := []string{p.cookie[sessionCookie], p.cookie[refreshCookie]}
	switch byBearer, byCookie := p.bearer != "" || inBody != nil, strings.Join(cookies, "") != ""; {
	case byBearer && byCookie:
		return token.ID{}, ambiguous("both tokens and cookies were sent: send one pair")
	case byCookie:
		if err := x.checkOrigin(); err != nil {
			return token.ID{}, err
		}
		pair = cookies
	case !byBearer:
		return token.ID{}, x.noCredentials("no credentials were sent")
	}
	id, err := x.sessionOf(pair)
	if errors.Is(err, errTwoSessions) && p.bearer == "" && inBody == nil {
		// Deletes the cookies, or the next logout would fail the same way.
		return token.ID{}, ambiguous(errTwoSessions.detail)
	}
	return id, err
}

var errTwoSessions = invalid("the tokens belong to two sessions: send those of one session")

// sessionOf returns the one session that the authentic tokens belong to, and
// ignores all other tokens. It returns [token.ErrInvalid] if no token is
// authentic, and errTwoSessions if they belong to different sessions.
func (x *exchange) sessionOf(tokens []string) (token.ID, error) {
	var found []token.ID
	for _, text := range tokens {
		id, err := x.api.store.SessionOf(x.r.Context(), text)
		if errors.Is(err, session.ErrUnavailable) {
			return token.ID{}, err // the token may be authentic
		}
		if err == nil {
			found = append(found, id)
		}
	}
	switch {
	case len(found) == 0:
		return token.ID{}, token.ErrInvalid
	case found[0] != found[len(found)-1]:
		return token.ID{}, errTwoSessions
	}
	return found[0], nil
}
