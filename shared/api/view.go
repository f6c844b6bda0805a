package api

import (
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// timestamp returns t as RFC 3339 in UTC, with exactly three digits of
// milliseconds. It formats these itself because package time formats
// [time.RFC3339] faster than other layouts.
func timestamp(t time.Time) string {
	t = t.UTC()
	text := t.AppendFormat(make([]byte, 0, len("2006-01-02T15:04:05.000Z")), time.RFC3339)
	ms := t.Nanosecond() / 1e6
	text = append(text[:len(text)-1],
		'.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
	return string(text)
}

// timestampOf is timestamp, but returns "" for the zero time.
func timestampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timestamp(t)
}

type deviceView struct {
	Name    string `json:"name"`
	Browser string `json:"browser"`
	OS      string `json:"os"`
	Type    string `json:"type"`
}

type sessionView struct {
	ID             string     `json:"id"`
	Current        bool       `json:"current"`
	CreatedAt      string     `json:"createdAt"`
	LastSeenAt     string     `json:"lastSeenAt"`
	IdleExpiresAt  string     `json:"idleExpiresAt"`
	ExpiresAt      string     `json:"expiresAt"`
	IP             string     `json:"ip"`
	LastIP         string     `json:"lastIp,omitempty"`
	ChainID        uint64     `json:"chainId"`
	Transport      string     `json:"transport"`
	Device         deviceView `json:"device"`
	ElevatedUntil  string     `json:"elevatedUntil,omitempty"` // absent if it has passed
	StepUpRequired bool       `json:"stepUpRequired,omitempty"`
}

// viewSession renders a session. The argument current says whether the request
// belongs to it.
func (x *exchange) viewSession(s session.Session, current bool) sessionView {
	view := sessionView{
		ID: s.ID.String(), Current: current,
		CreatedAt: timestamp(s.CreatedAt), LastSeenAt: timestamp(s.LastSeenAt),
		IdleExpiresAt: timestamp(s.IdleEnd), ExpiresAt: timestamp(s.AbsoluteEnd),
		IP: ipText(s.IP), LastIP: ipText(s.LastIP),
		ChainID: s.ChainID, Transport: s.Transport.String(),
		Device: deviceView{
			Name: s.Device.Name, Browser: s.Device.Browser,
			OS: s.Device.OS, Type: s.Device.Class.String(),
		},
		StepUpRequired: s.StepUpRequired,
	}
	if x.api.now().Before(s.ElevatedUntil) {
		view.ElevatedUntil = timestamp(s.ElevatedUntil)
	}
	return view
}

// viewSessions renders several sessions, in their order.
func (x *exchange) viewSessions(all []session.Session) []sessionView {
	views := make([]sessionView, 0, len(all))
	for _, s := range all {
		views = append(views, x.viewSession(s, s.ID == x.access.Session.ID))
	}
	return views
}

type userView struct {
	ID string `json:"id"`
	// Address, Account and Wallet are absent if only the id is known.
	Address     string   `json:"address,omitempty"`
	Account     string   `json:"account,omitempty"`
	Wallet      string   `json:"wallet,omitempty"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	CreatedAt   string   `json:"createdAt,omitempty"`   // absent if the account never signed in
	LastLoginAt string   `json:"lastLoginAt,omitempty"` // absent if the account never signed in
}

func (x *exchange) viewUser(u session.User) userView {
	roles := x.roles(u)
	view := userView{
		ID: u.ID.String(), Roles: roles, Permissions: x.permissions(roles),
		CreatedAt: timestampOf(u.CreatedAt), LastLoginAt: timestampOf(u.LastLoginAt),
	}
	if u.Account != (token.Account{}) {
		view.Address, view.Account = u.Account.Names()
		view.Wallet = string(u.Account.Wallet())
	}
	return view
}

// grantView is the answer to a login, a step-up and a refresh. It has the
// tokens for the bearer transport only, and the user after a login only.
type grantView struct {
	TokenType        string      `json:"tokenType"`
	AccessToken      string      `json:"accessToken,omitempty"`
	RefreshToken     string      `json:"refreshToken,omitempty"`
	ExpiresIn        int64       `json:"expiresIn"`
	RefreshExpiresIn int64       `json:"refreshExpiresIn"`
	Session          sessionView `json:"session"`
	User             *userView   `json:"user,omitempty"`
	Evicted          []string    `json:"evicted,omitempty"`
}

// grant renders a grant. For the cookie transport it sets the tokens as
// cookies.
func (x *exchange) grant(g session.Grant) grantView {
	now := x.api.now()
	view := grantView{
		TokenType: "Bearer",
		ExpiresIn: seconds(g.AccessEnd.Sub(now)),
		// A refresh token is valid as long as its session. Activity may move
		// the idle end later.
		RefreshExpiresIn: min(
			seconds(g.Session.IdleEnd.Sub(now)), seconds(g.Session.AbsoluteEnd.Sub(now))),
		Session: x.viewSession(g.Session, true),
	}
	if g.Session.Transport == session.Bearer {
		view.AccessToken, view.RefreshToken = g.AccessToken, g.RefreshToken
		return view
	}
	x.handOut(g)
	return view
}

// seconds rounds d, because some time has passed since the deadline was
// computed. It is never negative.
func seconds(d time.Duration) int64 { return max(0, int64(d.Round(time.Second)/time.Second)) }
