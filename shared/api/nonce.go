package api

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

// preLoginLife is how long a browser keeps its pre-login cookie: longer than any nonce that is bound to it.
const preLoginLife = 10 * time.Minute

type nonceView struct {
	Nonce     string   `json:"nonce"`
	ExpiresAt string   `json:"expiresAt"`
	Domain    string   `json:"domain"`
	URI       string   `json:"uri"`
	Version   string   `json:"version"`
	Statement string   `json:"statement"`
	ChainIDs  []uint64 `json:"chainIds"`
	Message   string   `json:"message,omitempty"`
}

// nonceQuery is what a nonce was asked for.
type nonceQuery struct {
	transport session.Transport
	draft     *siwe.Message // with address and chain, where both were given
}

// Nonce serves GET /auth/nonce.
func (a *API) Nonce() http.Handler {
	return endpoint[nothing]{method: http.MethodGet, serve: func(x *exchange, _ nothing) (any, error) {
		q, err := a.nonceQuery(x.r.URL.Query())
		if err != nil {
			return nil, err
		}
		terms := session.NonceTerms{Transport: q.transport, Purpose: session.ForLogin}
		if q.transport == session.Cookie {
			terms.Browser = x.preLogin()
		}
		nonce, expires, err := a.store.IssueNonce(x.r.Context(), terms)
		if err != nil {
			return nil, err
		}
		if q.transport == session.Cookie {
			x.setCookie(preLoginCookie, terms.Browser, preLoginLife, http.SameSiteLaxMode)
		}
		return a.offer(q, x.domain(), nonce, expires), nil
	}}.handler(a)
}

// nonceQuery reads the parameters. An unknown one is refused: it is most likely a known one misspelt.
func (a *API) nonceQuery(query url.Values) (nonceQuery, error) {
	for name, values := range query {
		if !slices.Contains([]string{"transport", "purpose", "address", "chainId"}, name) || len(values) > 1 {
			return nonceQuery{}, invalid("the query may have transport, address and chainId, each once")
		}
	}
	q := nonceQuery{transport: session.Cookie}
	var err error
	if query.Has("transport") {
		if q.transport, err = transportOf(query.Get("transport")); err != nil {
			return nonceQuery{}, err
		}
	}
	if query.Has("purpose") && query.Get("purpose") != "login" {
		return nonceQuery{}, invalid("purpose must be login; step_up is not there yet")
	}
	q.draft, err = a.draft(query.Get("address"), query.Get("chainId"))
	return q, err
}

// draft is a message for an account on a chain, or none where not both are given.
func (a *API) draft(account, chain string) (*siwe.Message, error) {
	m := siwe.Message{Version: siwe.Version, Statement: &a.cfg.Statement}
	var err error
	if account != "" {
		if m.Address, err = siwe.ParseAddress(account); err != nil {
			return nil, invalid(err.Error())
		}
	}
	if chain != "" {
		// Compared as text: "01" and "+1" are not how a chain is written.
		i := slices.IndexFunc(a.cfg.ChainIDs, func(id uint64) bool { return strconv.FormatUint(id, 10) == chain })
		if i < 0 {
			return nil, invalid(fmt.Sprintf("chainId must be decimal, and one of %d", a.cfg.ChainIDs))
		}
		m.ChainID = a.cfg.ChainIDs[i]
	}
	if account == "" || chain == "" {
		return nil, nil
	}
	return &m, nil
}

// offer is what the client must sign, spelt out where it said for whom.
func (a *API) offer(q nonceQuery, domain, nonce string, expires time.Time) nonceView {
	view := nonceView{
		Nonce: nonce, ExpiresAt: timestamp(expires), Domain: domain, URI: a.policy.Origin(domain),
		Version: siwe.Version, Statement: a.cfg.Statement, ChainIDs: a.cfg.ChainIDs,
	}
	if q.draft != nil {
		expiry := siwe.NewTime(expires)
		q.draft.Domain, q.draft.URI, q.draft.Nonce = domain, view.URI, nonce
		q.draft.IssuedAt, q.draft.ExpirationTime = siwe.NewTime(a.now()), &expiry
		view.Message = q.draft.String()
	}
	return view
}

// domain is that of the page which asks, where it is one of ours; else the first.
func (x *exchange) domain() string {
	origin := x.r.Header.Get("Origin")
	for _, domain := range x.api.cfg.Domains {
		if origin == x.api.policy.Origin(domain) || origin == "https://"+domain {
			return domain
		}
	}
	return x.api.cfg.Domains[0]
}

// preLoginBytes is how random the pre-login cookie is.
const preLoginBytes = 24

// preLogin is the browser's pre-login cookie, or a new one. The nonce is bound to it: somebody else's signed message,
// slipped into this browser, signs nobody in.
func (x *exchange) preLogin() string {
	value := x.presented.cookie[preLoginCookie]
	// The length of the text counts too, because encoding/base64 skips line breaks.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err == nil && len(raw) == preLoginBytes && len(value) == base64.RawURLEncoding.EncodedLen(preLoginBytes) {
		return value
	}
	fresh := make([]byte, preLoginBytes)
	rand.Read(fresh) // never fails
	return base64.RawURLEncoding.EncodeToString(fresh)
}

func transportOf(text string) (session.Transport, error) {
	switch text {
	case "cookie":
		return session.Cookie, nil
	case "bearer":
		return session.Bearer, nil
	}
	return 0, invalid("transport must be cookie or bearer")
}
