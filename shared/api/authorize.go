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
	"latchkey/shared/token"
)

// Guarded is a request to an API that this service guards but does not serve.
type Guarded struct {
	// Info is what the gateway knows of the request. If it is Malformed, the
	// request is denied unread.
	Info RequestInfo
	// Method of the request.
	Method string
	// Header has the headers Authorization, Cookie, Origin, Sec-Fetch-Mode,
	// Sec-Fetch-Site, User-Agent, X-Device-Id and those of [API.CDNHeaders] as
	// sent, by canonical name. Other headers are ignored.
	Header http.Header
	// Query has the names and values of the query, decoded.
	Query []string
	// Handshake says that the request opens a WebSocket. Its connection
	// outlives every check, and the browser's same-origin policy does not apply
	// to it. So with a cookie it must have the Origin of an allowed page.
	Handshake bool
	// Offered is the token or the ticket that a handshake sends beside its
	// subprotocol; empty if it sends none.
	Offered string
	// Connection is the gateway's id of the WebSocket that a handshake opens.
	Connection string
	// Bare says that nothing but the Authorization header is known of the
	// request. Then neither device nor network is compared.
	Bare bool
	// Permissions are required by the request, all of them.
	Permissions []string
}

// Identity says who a request comes from. It is passed on to the API behind the
// authorizer. Every value is printable ASCII of at most maxIdentity bytes.
type Identity struct {
	UserID string `json:"userId"`
	// Address is not unique once contract wallets may sign in: UserID and
	// Account are.
	Address string `json:"address"` // EIP-55
	// Account is the address, or for a contract its CAIP-10 account id.
	Account   string `json:"account"`
	ChainID   string `json:"chainId"` // decimal
	SessionID string `json:"sessionId"`
	// Roles and Permissions are separated by spaces.
	Roles       string `json:"roles"`
	Permissions string `json:"permissions"`
	// ExpiresAt is the absolute end of the session, RFC 3339 in UTC.
	ExpiresAt string `json:"expiresAt"`
}

// Decision is the result of [API.Authorize]. The zero value denies.
type Decision byte

// The decisions.
const (
	// Denied: the credential is not valid, or does not permit the request.
	Denied Decision = iota
	// Allowed: the session is live, and its user has the required permissions.
	Allowed
	// Unauthenticated: no credential was sent. It denies.
	Unauthenticated
	// Failed: the session could not be read because of a fault. It denies.
	Failed
)

// maxIdentity bounds each value, in bytes. ROLES and an account's roles are
// bounded, so their lists stay well below it. Seven values, two of them lists,
// stay below the 8 KiB that API Gateway accepts from an authorizer.
const maxIdentity = 3 << 10

// errIdentity says that a value must not be passed to a backend.
var errIdentity = errors.New(
	"an identity value is over 3072 bytes, or has characters other than printable ASCII")

// Authorize decides on a request to another API, by the rules of this one:
// where a credential may be, CSRF, device and network, roles. A session with a
// required step-up is denied. Every error is logged here, and denies. The
// identity is set with [Allowed] only.
func (a *API) Authorize(ctx context.Context, g Guarded) (who Identity, decision Decision) {
	ctx, sent := a.store.WithHints(ctx)
	defer sent() // a session may end here, if its device or its network changed
	r := &http.Request{Method: g.Method, URL: new(url.URL), Header: g.Header}
	x := a.newExchange(ctx, r, g.Info, eventAuthorize)
	// A browser's WebSocket cannot send a device id.
	x.unknown = unknowns{
		device: g.Bare, deviceID: g.Handshake, network: g.Bare && !g.Info.SourceIP.IsValid(),
	}
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
	// A request past the CDN is not refused: the guarded API may have no CDN in
	// front of it.
	_ = x.passCDN()
	if g.Info.Malformed {
		return Identity{}, invalid("the event is malformed")
	}
	if err := x.openGuarded(g); err != nil {
		return Identity{}, err
	}
	roles, permissions, err := x.permit(g.Permissions)
	if err != nil {
		return Identity{}, err
	}
	who := identityOf(x.access.Session, roles, permissions)
	return who, who.check()
}

// openGuarded finds the credential and opens its session. A browser sends its
// cookies with a handshake to the API's own host whether or not the page wants
// that, so they do not count beside a ticket.
func (x *exchange) openGuarded(g Guarded) error {
	if err := x.findGuarded(g); err != nil {
		return err
	}
	if g.offersTicket() {
		return x.openTicket(g.Offered, g.Connection)
	}
	if g.Handshake && x.presented.cookie[sessionCookie] != "" {
		if err := x.checkHandshake(); err != nil {
			return err
		}
	}
	return x.open(member)
}

// offersTicket reports whether a handshake sends a ticket.
func (g Guarded) offersTicket() bool {
	return g.Handshake && strings.HasPrefix(g.Offered, string(token.Ticket))
}

// permit returns the roles and permissions of the session's account, or an error
// if it lacks a permission that is wanted. An admin has every permission, also
// one that no configured role grants.
func (x *exchange) permit(wanted []string) (roles, permissions []string, err error) {
	roles = x.roles(x.access.User)
	permissions = x.permissions(roles)
	for _, one := range wanted {
		if !slices.Contains(permissions, one) && !slices.Contains(roles, session.RoleAdmin) {
			return nil, nil, lacksPermission(one)
		}
	}
	return roles, permissions, nil
}

// findGuarded finds the credential. It searches the query for our tokens by
// their form alone, because the guarded API chooses the names of its
// parameters.
func (x *exchange) findGuarded(g Guarded) error {
	if slices.ContainsFunc(g.Query, token.ContainedIn) {
		return ambiguous("a token must not be in the URL")
	}
	if err := x.findCredentials(); err != nil || g.Offered == "" {
		return err
	}
	byCookie := x.presented.cookie[sessionCookie] != "" && !g.offersTicket()
	if x.presented.bearer != "" || byCookie {
		return ambiguous("both the subprotocol and a header have a credential: send one")
	}
	x.presented.bearer = g.Offered
	return nil
}

// checkHandshake requires an Origin, in addition to the rule for every other
// request: every browser sends one with a handshake.
func (x *exchange) checkHandshake() error {
	if len(x.origins()) == 0 {
		return fail(codeOrigin, "a WebSocket with cookies requires the Origin of an allowed page")
	}
	return x.checkOrigin()
}

// deny records why a request is denied.
func (x *exchange) deny(err error) Decision {
	switch p := x.recordFailure(err); {
	case p.code == codeNoCredentials:
		return Unauthenticated
	case p.code.status >= 500:
		return Failed
	}
	return Denied
}

func identityOf(s session.Session, roles, permissions []string) Identity {
	address, account := s.Account.Names()
	return Identity{
		UserID: s.ID.User.String(), Address: address, Account: account,
		ChainID: strconv.FormatUint(s.ChainID, 10), SessionID: s.ID.String(),
		Roles: strings.Join(roles, " "), Permissions: strings.Join(permissions, " "),
		ExpiresAt: timestamp(s.AbsoluteEnd),
	}
}

// check returns errIdentity if a value could break the logs or headers of a
// backend.
func (i Identity) check() error {
	for _, value := range []string{
		i.UserID, i.Address, i.Account, i.ChainID, i.SessionID, i.Roles, i.Permissions, i.ExpiresAt,
	} {
		if len(value) > maxIdentity || strings.ContainsFunc(value, unprintable) {
			return errIdentity
		}
	}
	return nil
}
