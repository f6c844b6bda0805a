package api

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

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

// nonceQuery holds what a nonce was requested for.
type nonceQuery struct {
	terms session.NonceTerms // Transport is zero if none was given
	draft siwe.Message       // Address and ChainID are zero if not given
}

// Nonce serves GET /auth/nonce: a nonce for a login or a step-up, and what the
// message to sign must contain.
func (a *API) Nonce() http.Handler {
	return handle(a, route{
		method: "GET", query: []string{"transport", "purpose", "address", "chainId"},
	}, (*exchange).issueNonce)
}

func (x *exchange) issueNonce() (nonceView, error) {
	if err := x.checkNonceOrigin(); err != nil {
		return nonceView{}, err
	}
	q, err := x.nonceQuery()
	if err != nil {
		return nonceView{}, err
	}
	if q.terms.Purpose == session.ForStepUp {
		err = x.forSession(&q)
	} else {
		err = x.forLogin(&q)
	}
	if err != nil {
		return nonceView{}, err
	}
	nonce, expires, err := x.api.store.IssueNonce(x.r.Context(), q.terms)
	if err != nil {
		return nonceView{}, err
	}
	if q.terms.Browser != "" {
		// Kept longer than any nonce that is bound to it.
		life := 2 * x.api.store.NonceLife()
		x.setCookie(preLoginCookie, q.terms.Browser, life, http.SameSiteLaxMode)
	}
	return x.offer(q, nonce, expires), nil
}

// nonceQuery reads the query parameters.
func (x *exchange) nonceQuery() (q nonceQuery, err error) {
	query := x.query
	q.terms.From = x.info.SourceIP
	if query.Has("transport") {
		if q.terms.Transport, err = transportOf(query.Get("transport")); err != nil {
			return q, err
		}
	}
	statement := x.api.policy.Statement
	switch purpose := query.Get("purpose"); {
	case purpose == "login" || !query.Has("purpose"):
		q.terms.Purpose = session.ForLogin
	case purpose == "step_up":
		q.terms.Purpose, statement = session.ForStepUp, x.api.stepUpPolicy.Statement
	default:
		return q, invalid("purpose must be login or step_up")
	}
	q.draft, err = x.draft(query.Get("address"), query.Get("chainId"))
	q.draft.Statement = &statement
	return q, err
}

// forLogin binds a nonce of the cookie transport to the browser that requests
// it.
func (x *exchange) forLogin(q *nonceQuery) error {
	q.terms.Transport = cmp.Or(q.terms.Transport, session.Cookie)
	if q.terms.Transport != session.Cookie {
		return nil
	}
	q.terms.Browser = x.preLogin()
	return x.checkSameSite()
}

// forSession binds a nonce to the session that is to be stepped up; it may be
// one with a required step-up. The message is for the account and the chain of
// that session, unless another accepted chain was requested.
func (x *exchange) forSession(q *nonceQuery) error {
	if err := x.open(memberOrStepUp); err != nil {
		return err
	}
	s := x.access.Session
	if t := q.terms.Transport; t != 0 && t != s.Transport {
		return invalid("transport must be the session's: leave it out")
	}
	if q.draft.Address != (common.Address{}) && q.draft.Address != s.Account.Address {
		return invalid("address must be the session's: leave it out")
	}
	if chain := s.Account.Chain; chain != 0 && q.draft.ChainID != 0 && q.draft.ChainID != chain {
		return invalid("chainId must be that of the session's contract: leave it out")
	}
	q.terms.Transport, q.terms.Session = s.Transport, s.ID
	q.draft.Address, q.draft.ChainID = s.Account.Address, cmp.Or(q.draft.ChainID, s.ChainID)
	if !slices.Contains(x.api.cfg.ChainIDs, q.draft.ChainID) { // no longer accepted
		q.draft.ChainID = x.api.cfg.ChainIDs[0]
	}
	return nil
}

// draft returns a message for an account on a chain. Either is zero if it was
// not given.
func (x *exchange) draft(account, chain string) (m siwe.Message, err error) {
	m.Version = siwe.Version
	if account != "" {
		if m.Address, err = siwe.ParseAddress(account); err != nil {
			return m, invalid(err.Error())
		}
	}
	if chain != "" {
		accepted := x.api.cfg.ChainIDs
		// Compared as text, so that "01" and "+1" are refused.
		i := slices.IndexFunc(accepted, func(id uint64) bool {
			return strconv.FormatUint(id, 10) == chain
		})
		if i < 0 {
			return m, invalid(fmt.Sprintf("chainId must be decimal, and one of %d", accepted))
		}
		m.ChainID = accepted[i]
	}
	return m, nil
}

// offer returns what the client must sign, with the complete message if address
// and chain are known.
func (x *exchange) offer(q nonceQuery, nonce string, expires time.Time) nonceView {
	domain, uri := x.askedBy()
	view := nonceView{
		Nonce: nonce, ExpiresAt: timestamp(expires),
		Domain: domain, URI: uri,
		Version: siwe.Version, Statement: *q.draft.Statement, ChainIDs: x.api.cfg.ChainIDs,
	}
	if m := q.draft; m.Address != (common.Address{}) && m.ChainID != 0 {
		expiry := siwe.NewTime(expires)
		m.Domain, m.URI, m.Nonce = domain, uri, nonce
		m.IssuedAt, m.ExpirationTime = siwe.NewTime(x.api.now()), &expiry
		view.Message = m.String()
	}
	return view
}

// askedBy returns the domain and the origin of the page that sent the request,
// or those of the first domain if the page's is not accepted. Browsers send no
// Origin with a GET to a page's own origin; its domain is then the Host.
func (x *exchange) askedBy() (domain, uri string) {
	policy, origin := x.api.policy, x.r.Header.Get("Origin")
	if host := x.info.Host; len(x.origins()) == 0 && x.site() == "same-origin" &&
		policy.AcceptsDomain(host) {
		return host, x.originAt(host)
	}
	for _, domain := range policy.Domains {
		if origin == policy.Origin(domain) || origin == "https://"+domain {
			return domain, policy.Origin(domain)
		}
	}
	if domain, ok := LocalPage(origin); ok && policy.AnyLoopback {
		return domain, origin
	}
	return policy.Domains[0], policy.Origin(policy.Domains[0])
}

// originAt returns the origin of a page at the host that the request asked for.
// On this machine a development server may serve the page over https and pass
// its calls on over http: the Referer says so.
func (x *exchange) originAt(host string) string {
	https := "https://" + host
	if x.api.policy.AnyLoopback && strings.HasPrefix(x.r.Header.Get("Referer"), https+"/") {
		return https
	}
	return x.api.policy.Origin(host)
}

// preLoginBytes is the size of the pre-login cookie: that many random bytes.
const preLoginBytes = 24

// preLogin returns the browser's pre-login cookie, or a new one. The nonce is
// bound to it. So a message that somebody else signed, slipped into this
// browser, signs nobody in.
func (x *exchange) preLogin() string {
	if value := x.presented.cookie[preLoginCookie]; value != "" {
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
