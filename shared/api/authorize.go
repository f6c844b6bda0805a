package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"latchkey/shared/session"
)

// Guarded is what is known of a request to an API that this service guards and does not serve.
type Guarded struct {
	// Call is what the gateway says. Malformed refuses the request unread.
	Call Call
	// Method of the request.
	Method string
	// Header has, by canonical name, what was sent of Authorization, Cookie, Origin, Sec-Fetch-Site, User-Agent and
	// X-Device-Id. Others do not count.
	Header http.Header
	// Query has the names and values of the query, decoded.
	Query []string
	// Handshake says that the request opens a WebSocket. Its connection outlives every check, and the browser's same-origin
	// policy does not hold for it: with a cookie it wants the Origin of an allowed page.
	Handshake bool
	// Offered is a token that a handshake carries beside its subprotocol; empty where it carries none.
	Offered string
	// Bare says that there is an Authorization header to judge by and nothing else: neither device nor network is compared.
	Bare bool
	// Permissions that the request wants, all of them.
	Permissions []string
}

// Identity is who a request comes from, as the API behind the authorizer is told. Every value is printable ASCII of
// maxIdentity bytes at most.
type Identity struct {
	UserID    string `json:"userId"`
	Address   string `json:"address"` // EIP-55
	ChainID   string `json:"chainId"` // decimal
	SessionID string `json:"sessionId"`
	// Roles and Permissions are separated by spaces.
	Roles       string `json:"roles"`
	Permissions string `json:"permissions"`
	// ExpiresAt is the absolute end of the session, RFC 3339 in UTC.
	ExpiresAt string `json:"expiresAt"`
}

// Decision is what Authorize decides. The zero value denies.
type Decision byte

// The decisions.
const (
	// Denied: what was presented does not open, or not this.
	Denied Decision = iota
	// Allowed: the session lives, and its user has what is wanted.
	Allowed
	// Unauthenticated: nothing was presented. It denies.
	Unauthenticated
	// Failed: a fault kept the session from being read. It denies.
	Failed
)

// maxIdentity bounds each value in bytes. ROLES and an account's roles are bounded, so that no list of theirs comes near
// it; and seven values of which two are lists stay below the 8 KiB that API Gateway takes of an authorizer.
const maxIdentity = 3 << 10

// errIdentity says that a value is none that a backend can be handed.
var errIdentity = errors.New("a value of the identity is too long, or holds what is no printable ASCII")

// Authorize decides over a request to another API by the rules that hold for this one: where a credential may stand, CSRF,
// device and network, roles. A session that is held for a step-up is denied. Whatever goes wrong is logged here, and
// denies; the identity is there with Allowed only.
func (a *API) Authorize(ctx context.Context, g Guarded) (who Identity, decision Decision) {
	x := &exchange{api: a, call: g.Call, id: requestID(g.Call), began: a.now(), failed: eventAuthorize, bare: g.Bare, handshake: g.Handshake}
	ctx = context.WithValue(ctx, exchangeKey{}, x) // for the store's events; see Audit
	x.r = (&http.Request{Method: g.Method, URL: new(url.URL), Header: g.Header}).WithContext(ctx)
	defer func() {
		if p := recover(); p != nil {
			who, decision = Identity{}, x.deny(&panicError{p, debug.Stack()})
		}
	}()
	who, err := x.authorize(g)
	if err != nil {
		return Identity{}, x.deny(err)
	}
	return who, Allowed
}

func (x *exchange) authorize(g Guarded) (Identity, error) {
	if g.Call.Malformed {
		return Identity{}, invalid("the event cannot be read")
	}
	var err error
	if x.presented, err = x.findGuarded(g); err != nil {
		return Identity{}, err
	}
	if g.Handshake && x.presented.cookie[sessionCookie] != "" {
		if err := x.checkHandshake(); err != nil {
			return Identity{}, err
		}
	}
	if err := x.open(member); err != nil {
		return Identity{}, err
	}
	user := x.access.User
	roles, permissions := x.roles(user), x.permissions(user)
	for _, wanted := range g.Permissions {
		// An admin has every permission, also one that no role is configured to give.
		if !slices.Contains(permissions, wanted) && !slices.Contains(roles, session.RoleAdmin) {
			return Identity{}, forbidden("a permission is missing", wanted)
		}
	}
	who := identityOf(x.access.Session, roles, permissions)
	return who, who.check()
}

// findGuarded finds the credential. A query is searched for tokens of ours by their form alone: what its parameters are
// called is the guarded API's to choose.
func (x *exchange) findGuarded(g Guarded) (presented, error) {
	if slices.ContainsFunc(g.Query, session.HoldsToken) {
		return presented{}, ambiguous("a token must not be in the URL")
	}
	p, err := x.inHeaders()
	if err != nil || g.Offered == "" {
		return p, err
	}
	if p.bearer != "" || p.cookie[sessionCookie] != "" {
		return presented{}, ambiguous("both a subprotocol and a header carry a credential; send one")
	}
	p.bearer = g.Offered
	return p, nil
}

// checkHandshake wants an Origin beside the rule of every other request: every browser sends one with a handshake.
func (x *exchange) checkHandshake() error {
	if len(x.r.Header.Values("Origin")) == 0 {
		return fail(codeOrigin, "a WebSocket with cookies needs the Origin of an allowed page")
	}
	return x.checkOrigin()
}

// deny records why a request is not let through.
func (x *exchange) deny(err error) Decision {
	x.recordFailure(err)
	p := problemOf(err, false)
	x.logFault(p, err)
	switch {
	case p.code == codeNoCredentials:
		return Unauthenticated
	case statuses[p.code] >= 500:
		return Failed
	}
	return Denied
}

func identityOf(s session.Session, roles, permissions []string) Identity {
	return Identity{
		UserID: s.ID.User.String(), Address: s.Address.Hex(), ChainID: strconv.FormatUint(s.ChainID, 10), SessionID: s.ID.String(),
		Roles: strings.Join(roles, " "), Permissions: strings.Join(permissions, " "), ExpiresAt: timestamp(s.AbsoluteEnd),
	}
}

// check keeps a value out of backends' logs and headers that could break them.
func (i Identity) check() error {
	for _, value := range []string{i.UserID, i.Address, i.ChainID, i.SessionID, i.Roles, i.Permissions, i.ExpiresAt} {
		if len(value) > maxIdentity || strings.ContainsFunc(value, unprintable) {
			return errIdentity
		}
	}
	return nil
}
