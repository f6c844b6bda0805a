package api

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchkey/shared/chain"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

type loginBody struct {
	Message    string  `json:"message"`
	Signature  string  `json:"signature"`
	Transport  *string `json:"transport"`
	DeviceName *string `json:"deviceName"`
}

// attempt is a login whose bytes are well formed. It has not been checked
// against configuration, clock or store.
type attempt struct {
	raw       []byte // the message exactly as received, which is what was signed
	message   *siwe.Message
	signature []byte
	client    session.Client
	browser   string // the pre-login cookie
	presented string // the token of the presented session, which this login replaces
}

// Login serves POST /auth/login: it verifies a signed message and creates a
// session. If the request has a token of an earlier session, that session ends.
func (a *API) Login() http.Handler {
	return handleBody(a, route{
		method: "POST", failed: eventLogin, most: maxSignedBody,
	}, (*exchange).logIn)
}

func (x *exchange) logIn(in loginBody) (grantView, error) {
	try, err := x.attempt(in)
	if err != nil {
		return grantView{}, err
	}
	x.concerns(slog.String("address", try.message.Address.Hex()))
	g, err := x.signIn(try)
	if err != nil {
		return grantView{}, err
	}
	x.revokePresented(try.presented, g)
	user := x.viewUser(g.User)
	view := x.grant(g)
	view.User = &user
	for _, id := range g.Evicted {
		view.Evicted = append(view.Evicted, id.String())
	}
	return view, nil
}

// attempt reads everything that the bytes alone decide. It spends no nonce.
func (x *exchange) attempt(in loginBody) (attempt, error) {
	transport := session.Cookie
	var err error
	if in.Transport != nil {
		if transport, err = transportOf(*in.Transport); err != nil {
			return attempt{}, err
		}
	}
	foreign := x.checkOrigin()
	if transport == session.Cookie && foreign != nil {
		return attempt{}, foreign
	}
	p := x.presented
	try := attempt{raw: []byte(in.Message), presented: p.bearer}
	if foreign == nil { // other sites' pages must not end a browser's session, by any login
		try.presented = cmp.Or(p.bearer, p.cookie[sessionCookie], p.cookie[refreshCookie])
	}
	if transport == session.Cookie {
		try.browser = p.cookie[preLoginCookie]
	}
	if try.client, err = x.clientOver(transport); err != nil {
		return attempt{}, err
	}
	if in.DeviceName != nil && *in.DeviceName != "" {
		if err := checkDeviceName(*in.DeviceName); err != nil {
			return attempt{}, err
		}
		try.client.Device.Name = *in.DeviceName
	}
	return try, try.parse(in.Signature)
}

func (t *attempt) parse(signature string) (err error) {
	if len(t.raw) > siwe.MaxLength {
		return fail(codeTooLarge, "the message is over 4 KiB")
	}
	if t.message, err = siwe.Parse(t.raw); err != nil {
		return err
	}
	t.signature, err = wallet.ParseSignature(signature)
	return err
}

// signIn proves who signs in, and creates the session.
func (x *exchange) signIn(try attempt) (session.Grant, error) {
	by, err := x.prove(try, session.NonceTerms{
		Transport: try.client.Transport, Purpose: session.ForLogin,
		Browser: try.browser, From: x.info.SourceIP,
	}, x.api.policy)
	var g session.Grant
	if err == nil {
		g, err = x.create(try, by)
	}
	err = loginFault(err)
	if failed, ok := errors.AsType[*loginError](err); ok {
		failed.transport = try.client.Transport
		failed.cookieless = failed.transport == session.Cookie && try.browser == ""
		// The cookie lives twice as long as the nonce.
		age := x.api.now().Sub(try.message.IssuedAt.Instant())
		failed.recent = age <= x.api.store.NonceLife()
		x.countFailure()
	}
	return g, err
}

// create creates the session of an attempt whose signature was accepted.
func (x *exchange) create(try attempt, by proof) (session.Grant, error) {
	m := try.message
	// Added first: the store emits the event of the login while Create runs.
	x.concerns(
		slog.String("transport", try.client.Transport.String()),
		slog.Uint64("chainId", m.ChainID),
	)
	login := session.Login{
		Nonce: m.Nonce, Account: by.account, Proof: by.stored, ChainID: m.ChainID,
		Client: try.client, Presented: try.presented,
		Granted: x.api.granted(by.account),
	}
	g, err := x.api.store.Create(x.r.Context(), login)
	if errors.Is(err, session.ErrBlocked) && slices.Contains(x.api.cfg.Admins, by.account) {
		// The account was blocked before the configuration made it an admin. No
		// route can take that away, so the block ends.
		user := x.api.store.UserOf(by.account)
		err = x.api.store.Unblock(x.r.Context(), user, session.Change{Actor: x.actor()})
		if err == nil {
			g, err = x.api.store.Create(x.r.Context(), login)
		}
	}
	return g, err
}

// verify checks the message against a policy, and that the key of the message's
// own address signed it.
func (t attempt) verify(policy siwe.Policy, now time.Time) error {
	if err := policy.Check(t.message, now); err != nil {
		return err
	}
	return wallet.VerifyEOA(t.raw, t.signature, t.message.Address)
}

// countFailure counts a failed login. The answer is the same whether or not
// that succeeds.
func (x *exchange) countFailure() {
	if err := x.api.store.CountFailure(x.r.Context()); err != nil {
		x.api.log.Warn("failed login not counted", "requestId", x.id, "error", err.Error())
	}
}

// loginFault turns every reason to refuse a well-formed login into a
// loginError, so that clients cannot tell them apart. It returns all other
// errors unchanged.
func loginFault(err error) error {
	if policy, ok := errors.AsType[*siwe.PolicyError](err); ok {
		return &loginError{reason: strings.ReplaceAll(policy.Reason, "-", "_"), cause: err}
	}
	for _, row := range []struct {
		is     error
		reason string
	}{
		{session.ErrNonceUnknown, "nonce_unknown"},
		{session.ErrNonceExpired, "nonce_expired"},
		{session.ErrNonceSpent, "nonce_reused"},
		{wallet.ErrSignature, "signature"},
		{chain.ErrRefused, "signature"},
		{chain.ErrNoChain, "chain_not_configured"},
		{errOtherAccount, "address"},
	} {
		if errors.Is(err, row.is) {
			return &loginError{reason: row.reason, cause: err}
		}
	}
	return err
}

// revokePresented ends the presented session if it belongs to another account;
// one of the same account has already been replaced. The login succeeds even if
// this fails: the client has its new tokens and will not send the old ones
// again.
func (x *exchange) revokePresented(presented string, g session.Grant) {
	id, err := x.api.store.SessionOf(x.r.Context(), presented)
	if err != nil || id.User == g.Session.ID.User {
		return
	}
	change := session.Change{Actor: x.actor()}
	_, err = x.api.store.Revoke(x.r.Context(), id, session.LoggedOut, change)
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		x.api.log.Warn("presented session not ended",
			"requestId", x.id, "sessionId", id.String(), "error", err.Error())
	}
}
