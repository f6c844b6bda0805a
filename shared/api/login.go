package api

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

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

// maxDeviceName is the most bytes that a name for a device may have.
const maxDeviceName = 64

// attempt is a login whose bytes are in order; nothing of it has been checked against configuration, clock or store.
type attempt struct {
	raw       []byte // the message exactly as received, which is what was signed
	message   *siwe.Message
	signature []byte
	client    session.Client
	browser   string // the pre-login cookie
	presented string // a token that came along, of a session that this login replaces
}

// Login serves POST /auth/login.
func (a *API) Login() http.Handler {
	return endpoint[loginBody]{method: http.MethodPost, failed: eventLogin, serve: func(x *exchange, in loginBody) (any, error) {
		try, err := x.attempt(in)
		if err != nil {
			return nil, err
		}
		x.concerns(slog.String("address", try.message.Address.Hex()))
		g, err := x.signIn(try)
		if err != nil {
			return nil, err
		}
		x.revokePresented(try.presented, g)
		user := x.viewUser(g.User)
		view := x.grant(g)
		view.User = &user
		for _, id := range g.Evicted {
			view.Evicted = append(view.Evicted, id.String())
		}
		return view, nil
	}}.handler(a)
}

// attempt reads all that the bytes alone decide. It costs no nonce.
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
	if foreign == nil { // no other site's page ends a browser's session, by no kind of login
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

// checkDeviceName keeps out what would not show, or show something else: control and formatting characters, line and
// paragraph separators, and what no standard has given a form.
func checkDeviceName(name string) error {
	hidden := func(r rune) bool { return !unicode.IsGraphic(r) }
	if len(name) > maxDeviceName || strings.ContainsFunc(name, hidden) {
		return invalid("deviceName must be up to 64 bytes of visible text")
	}
	return nil
}

// signIn spends the nonce, whatever comes of it, then checks policy and signature, and creates the session.
func (x *exchange) signIn(try attempt) (session.Grant, error) {
	ctx, a := x.r.Context(), x.api
	err := a.store.SpendNonce(ctx, try.message.Nonce, session.NonceTerms{
		Transport: try.client.Transport, Purpose: session.ForLogin, Browser: try.browser, From: x.info.SourceIP,
	})
	var g session.Grant
	if err == nil {
		g, err = x.create(try)
	}
	if err = loginFault(err); isLoginFault(err) {
		x.countFailure()
	}
	return g, err
}

// create makes the session of an attempt whose nonce was spent, if it is otherwise in order.
func (x *exchange) create(try attempt) (session.Grant, error) {
	m := try.message
	if err := try.verify(x.api.policy, x.api.now()); err != nil {
		return session.Grant{}, err
	}
	// Said beforehand: the store tells of the login while it runs.
	x.concerns(slog.String("transport", try.client.Transport.String()), slog.Uint64("chainId", m.ChainID))
	login := session.Login{
		Nonce: m.Nonce, Address: m.Address, ChainID: m.ChainID, Client: try.client, Presented: try.presented,
		Granted: x.api.granted(m.Address),
	}
	g, err := x.api.store.Create(x.r.Context(), login)
	if errors.Is(err, session.ErrBlocked) && slices.Contains(x.api.cfg.Admins, m.Address) {
		// It was blocked before the configuration made it an admin, which no route takes away.
		if err = x.api.store.Unblock(x.r.Context(), m.Address, x.actor()); err == nil {
			g, err = x.api.store.Create(x.r.Context(), login)
		}
	}
	return g, err
}

// verify checks what was signed against a policy, and that its own address signed it.
func (t attempt) verify(policy siwe.Policy, now time.Time) error {
	if err := policy.Check(t.message, now); err != nil {
		return err
	}
	return wallet.VerifyEOA(t.raw, t.signature, t.message.Address)
}

// countFailure counts a login that failed. The answer is the same whether or not it could be counted.
func (x *exchange) countFailure() {
	if err := x.api.store.CountFailure(x.r.Context()); err != nil {
		x.api.log.Warn("failed login not counted", "requestId", x.id, "error", err.Error())
	}
}

// loginFault makes every rule that a well-formed login can break the same to the client.
func loginFault(err error) error {
	var policy *siwe.PolicyError
	if errors.As(err, &policy) {
		return &loginError{strings.ReplaceAll(policy.Reason, "-", "_"), err}
	}
	for _, row := range []struct {
		is     error
		reason string
	}{
		{session.ErrNonceUnknown, "nonce_unknown"},
		{session.ErrNonceExpired, "nonce_expired"},
		{session.ErrNonceSpent, "nonce_reused"},
		{wallet.ErrSignature, "signature"},
		{errOtherAddress, "address"},
	} {
		if errors.Is(err, row.is) {
			return &loginError{row.reason, err}
		}
	}
	return err
}

func isLoginFault(err error) bool {
	var fault *loginError
	return errors.As(err, &fault)
}

// revokePresented ends the session that came along, where it is another account's; one of the same account was replaced
// already. The login stands even if this fails: the client has its new tokens and will not send the old ones again.
func (x *exchange) revokePresented(presented string, g session.Grant) {
	id, err := x.api.store.SessionOf(x.r.Context(), presented)
	if err != nil || id.User == g.Session.ID.User {
		return
	}
	_, err = x.api.store.Revoke(x.r.Context(), id, session.LoggedOut, x.actor())
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		x.api.log.Warn("carried session not ended", "requestId", x.id, "sessionId", id.String(), "error", err.Error())
	}
}
