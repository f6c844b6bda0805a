package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/wallet"
)

type loginBody struct {
	Message    string `json:"message"`
	Signature  string `json:"signature"`
	Transport  string `json:"transport"`
	DeviceName string `json:"deviceName"`
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
	carried   string // an access token that came along in the login's own transport
}

// Login serves POST /auth/login.
func (a *API) Login() http.Handler {
	return endpoint[loginBody]{method: http.MethodPost, failed: loginFailed, serve: func(x *exchange, in loginBody) (any, error) {
		try, err := x.attempt(in)
		if err != nil {
			return nil, err
		}
		x.concerns(slog.String("address", try.message.Address.Hex()))
		g, err := x.signIn(try)
		if err != nil {
			return nil, err
		}
		x.concernsSession(g.Session.ID)
		x.event(loginSucceeded, slog.String("transport", g.Session.Transport.String()), slog.Uint64("chainId", g.Session.ChainID))
		x.endCarried(try.carried, g)
		user := viewUser(g.User)
		view := x.grant(g)
		view.User = &user
		for _, id := range g.Evicted {
			view.Evicted = append(view.Evicted, id.String())
			x.evicted(id)
		}
		return view, nil
	}}.handler(a)
}

// attempt reads all that the bytes alone decide. It costs no nonce.
func (x *exchange) attempt(in loginBody) (attempt, error) {
	if in.Message == "" || in.Signature == "" {
		return attempt{}, invalid("message and signature are needed")
	}
	transport := session.Cookie
	var err error
	if in.Transport != "" {
		if transport, err = transportOf(in.Transport); err != nil {
			return attempt{}, err
		}
	}
	p, err := x.presented()
	if err != nil {
		return attempt{}, err
	}
	try := attempt{raw: []byte(in.Message), carried: p.bearer}
	if transport == session.Cookie {
		if err := x.checkOrigin(); err != nil {
			return attempt{}, err
		}
		try.browser, try.carried = p.cookie[preLoginCookie], p.cookie[sessionCookie]
	}
	if try.client, err = x.client(transport); err != nil {
		return attempt{}, err
	}
	if err := checkDeviceName(in.DeviceName); err != nil {
		return attempt{}, err
	}
	if in.DeviceName != "" {
		try.client.Device.Name = in.DeviceName
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

// checkDeviceName keeps out what would not show, or show something else: control and formatting characters.
func checkDeviceName(name string) error {
	hidden := func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }
	if len(name) > maxDeviceName || strings.ContainsFunc(name, hidden) {
		return invalid("deviceName must be up to 64 bytes of visible text")
	}
	return nil
}

// signIn spends the nonce, whatever comes of it, then checks policy and signature, and creates the session.
func (x *exchange) signIn(try attempt) (session.Grant, error) {
	ctx, a := x.r.Context(), x.api
	err := a.store.SpendNonce(ctx, try.message.Nonce, session.NonceTerms{
		Transport: try.client.Transport, Purpose: session.ForLogin, Browser: try.browser,
	})
	if err != nil {
		return session.Grant{}, loginFault(err)
	}
	if err := a.policy.Check(try.message, a.now()); err != nil {
		return session.Grant{}, &loginError{err.Error()}
	}
	if err := wallet.VerifyEOA(try.raw, try.signature, try.message.Address); err != nil {
		return session.Grant{}, &loginError{err.Error()}
	}
	g, err := a.store.Create(ctx, session.Login{
		Nonce: try.message.Nonce, Address: try.message.Address, ChainID: try.message.ChainID, Client: try.client, Carried: try.carried,
	})
	return g, loginFault(err)
}

// loginFault makes every word about a nonce the same to the client.
func loginFault(err error) error {
	for _, refused := range []error{session.ErrNonceUnknown, session.ErrNonceExpired, session.ErrNonceSpent} {
		if errors.Is(err, refused) {
			return &loginError{refused.Error()}
		}
	}
	return err
}

// endCarried ends the session that came along, where it is another account's; one of the same account was replaced
// already. The login stands even if this fails: the client has its new tokens and will not send the old ones again.
func (x *exchange) endCarried(carried string, g session.Grant) {
	id, err := x.api.store.Handle(carried)
	if err != nil || id.User == g.Session.ID.User {
		return
	}
	over, err := x.api.store.End(x.r.Context(), id, session.LoggedOut)
	switch {
	case err != nil && !errors.Is(err, session.ErrInvalidToken):
		x.api.log.Warn("carried session not ended", "requestId", x.id, "sessionId", id.String(), "error", err.Error())
	case err == nil && over.ByThis:
		x.endedOther(id, session.LoggedOut)
	}
}

func (x *exchange) evicted(id session.ID) { x.endedOther(id, session.Evicted) }

// endedOther tells of a session that is not the one this request is about.
func (x *exchange) endedOther(id session.ID, reason session.Reason) {
	own := x.about
	x.about = nil
	x.ended(id, reason)
	x.about = own
}
