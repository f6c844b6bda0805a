package api

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
)

// validateBody is what a backend knows of a request that it got. What it leaves
// out is not compared with the session.
type validateBody struct {
	Token        *string `json:"token"`        // of Authorization: Bearer
	Cookie       *string `json:"cookie"`       // the header as it came
	Origin       *string `json:"origin"`       // the header as it came
	SecFetchSite *string `json:"secFetchSite"` // the header as it came
	SecFetchMode *string `json:"secFetchMode"` // the header as it came
	Method       *string `json:"method"`
	UserAgent    *string `json:"userAgent"`
	DeviceID     *string `json:"deviceId"` // empty: the request had none
	IP           *string `json:"ip"`
	Permission   *string `json:"permission"`
	Fresh        *bool   `json:"fresh"`
	Touch        *bool   `json:"touch"`
}

// activeView says who a request comes from.
type activeView struct {
	Active        bool     `json:"active"` // true
	UserID        string   `json:"userId"`
	Account       string   `json:"account"`
	Address       string   `json:"address"`
	Wallet        string   `json:"wallet"`
	ChainID       uint64   `json:"chainId"`
	SessionID     string   `json:"sessionId"`
	Roles         []string `json:"roles"`
	Permissions   []string `json:"permissions"`
	ExpiresAt     string   `json:"expiresAt"`
	IdleExpiresAt string   `json:"idleExpiresAt"`
	ElevatedUntil string   `json:"elevatedUntil,omitempty"` // absent if it has passed
}

// inactiveView says why a request is to be refused. Status and problem are what
// a route of this API would have answered to it.
type inactiveView struct {
	Active     bool           `json:"active"` // false
	Code       string         `json:"code"`
	Reason     any            `json:"reason,omitempty"`
	EndedAt    any            `json:"endedAt,omitempty"`
	Permission any            `json:"permission,omitempty"`
	Status     int            `json:"status"`
	Problem    map[string]any `json:"problem"`
}

// Validate serves POST /auth/validate: a backend asks who sent a request that it
// got. The answer is shaped after token introspection (RFC 7662). It requires a
// service key, and changes nothing unless the backend says that the request
// counts as activity.
func (a *API) Validate() http.Handler {
	rt := route{method: "POST", service: true, failed: eventValidate}
	return handleBody(a, rt, (*exchange).validateFor)
}

// validateFor answers a backend. A refusal of the request that it asks about is
// no error. A fault is: the backend gets 503 or 500.
func (x *exchange) validateFor(in validateBody) (any, error) {
	caller, err := x.callerOf(in)
	if err != nil {
		return nil, err
	}
	var wanted []string
	if in.Permission != nil {
		wanted = []string{*in.Permission}
	}
	roles, permissions, err := caller.identify(wanted, in.Fresh != nil && *in.Fresh)
	if err == nil {
		return caller.active(roles, permissions), nil
	}
	if p := problemOf(err, x.api.cfg.Local); p.code.status < http.StatusInternalServerError {
		x.api.Count(Denials)
		return caller.inactive(caller.recordFailure(err)), nil
	}
	return nil, err
}

// callerOf returns the exchange of the request that a backend asks about. Its
// events have the address and the device of that request, if they are known.
func (x *exchange) callerOf(in validateBody) (*exchange, error) {
	ip, err := in.check()
	if err != nil {
		return nil, err
	}
	info := RequestInfo{RequestID: x.info.RequestID, Route: x.info.Route, SourceIP: ip}
	method := http.MethodPost // counts as unsafe
	if in.Method != nil {
		method = *in.Method
	}
	r := &http.Request{Method: method, URL: new(url.URL), Header: in.header()}
	caller := x.api.newExchange(x.r.Context(), r, info, eventValidate)
	caller.id, caller.about = x.id, slices.Clone(x.about)
	caller.unknown = unknowns{
		device: in.UserAgent == nil, deviceID: in.DeviceID == nil, network: in.IP == nil,
	}
	caller.readOnly = in.Touch == nil || !*in.Touch
	if in.Token != nil {
		caller.presented.bearer = *in.Token
	}
	return caller, nil
}

// check reports what is wrong with a body, and returns its address. Without one
// that is the zero value.
func (in validateBody) check() (ip netip.Addr, err error) {
	if in.Token == nil && in.Cookie == nil {
		return ip, invalid("token or cookie must be there: send what the request had, " +
			"or an empty cookie if it had neither")
	}
	if in.Permission != nil && *in.Permission == "" {
		return ip, invalid("permission: is empty: name one, or leave it out")
	}
	if in.IP == nil {
		return ip, nil
	}
	if ip, err = netip.ParseAddr(*in.IP); err != nil {
		return ip, invalid("ip: must be an IPv4 or IPv6 address without a port")
	}
	return ip, nil
}

// header returns the headers of the request that a backend asks about, as far as
// they count.
func (in validateBody) header() http.Header {
	header := make(http.Header, 6)
	for _, field := range [...]struct {
		name  string
		value *string
	}{
		{"Cookie", in.Cookie}, {"Origin", in.Origin}, {"User-Agent", in.UserAgent},
		{"Sec-Fetch-Site", in.SecFetchSite}, {"Sec-Fetch-Mode", in.SecFetchMode},
		{"X-Device-Id", in.DeviceID},
	} {
		if field.value != nil {
			header[field.name] = []string{*field.value}
		}
	}
	if in.DeviceID != nil && *in.DeviceID == "" {
		delete(header, "X-Device-Id") // as in a request of our own without one
	}
	return header
}

// identify opens the session of a request. It returns an error if the account
// lacks a permission that is wanted or, if fresh is set, has no recent login or
// step-up.
func (x *exchange) identify(wanted []string, fresh bool) (roles, permissions []string, err error) {
	if x.presented.cookie, err = x.cookies(); err != nil {
		return nil, nil, err
	}
	if err := x.presented.check(); err != nil {
		return nil, nil, err
	}
	if err := x.open(member); err != nil {
		return nil, nil, err
	}
	if roles, permissions, err = x.permit(wanted); err != nil {
		return nil, nil, err
	}
	if fresh && !x.isFresh() {
		return nil, nil, errNotFresh
	}
	return roles, permissions, nil
}

// active renders a live session.
func (x *exchange) active(roles, permissions []string) activeView {
	s := x.access.Session
	address, account := s.Account.Names()
	view := activeView{
		Active: true, UserID: s.ID.User.String(), Account: account, Address: address,
		Wallet: string(s.Account.Wallet()), ChainID: s.ChainID, SessionID: s.ID.String(),
		Roles: roles, Permissions: permissions,
		ExpiresAt: timestamp(s.AbsoluteEnd), IdleExpiresAt: timestamp(s.IdleEnd),
	}
	if x.isFresh() {
		view.ElevatedUntil = timestamp(s.ElevatedUntil)
	}
	return view
}

// inactive renders a refusal.
func (x *exchange) inactive(p *problem) inactiveView {
	return inactiveView{
		Code: p.code.name, Reason: p.members["reason"], EndedAt: p.members["endedAt"],
		Permission: p.members["permission"], Status: p.code.status, Problem: x.problemBody(p),
	}
}

// unknowns says what is not known of a request, and cannot be compared with its
// session. A device id alone is not compared.
type unknowns struct{ device, deviceID, network bool }
