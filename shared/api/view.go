package api

import (
	"time"

	"latchkey/shared/session"
)

// timestamp is RFC 3339 in UTC, with exactly milliseconds. For the layout without them package time has a short way.
func timestamp(t time.Time) string {
	t = t.UTC()
	text := t.AppendFormat(make([]byte, 0, len("2006-01-02T15:04:05.000Z")), time.RFC3339)
	ms := t.Nanosecond() / 1e6
	text = append(text[:len(text)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
	return string(text)
}

// timestampOf is empty for the zero time.
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
	ElevatedUntil  string     `json:"elevatedUntil,omitempty"` // only while it is
	StepUpRequired bool       `json:"stepUpRequired,omitempty"`
}

// viewSession shows a session; it is the current one where the request itself belongs to it.
func (x *exchange) viewSession(s session.Session, current bool) sessionView {
	view := sessionView{
		ID: s.ID.String(), Current: current,
		CreatedAt: timestamp(s.CreatedAt), LastSeenAt: timestamp(s.LastSeenAt),
		IdleExpiresAt: timestamp(s.IdleEnd), ExpiresAt: timestamp(s.AbsoluteEnd),
		IP: ipText(s.IP), LastIP: ipText(s.LastIP), ChainID: s.ChainID, Transport: s.Transport.String(),
		Device:         deviceView{Name: s.Device.Name, Browser: s.Device.Browser, OS: s.Device.OS, Type: s.Device.Class.String()},
		StepUpRequired: s.StepUpRequired,
	}
	if x.api.now().Before(s.ElevatedUntil) {
		view.ElevatedUntil = timestamp(s.ElevatedUntil)
	}
	return view
}

// viewSessions shows several, in their order.
func (x *exchange) viewSessions(all []session.Session) []sessionView {
	views := make([]sessionView, 0, len(all))
	for _, s := range all {
		views = append(views, x.viewSession(s, s.ID == x.access.Session.ID))
	}
	return views
}

type userView struct {
	ID          string   `json:"id"`
	Address     string   `json:"address"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	CreatedAt   string   `json:"createdAt,omitempty"`   // absent where nobody ever signed in,
	LastLoginAt string   `json:"lastLoginAt,omitempty"` // and so is this
}

func (x *exchange) viewUser(u session.User) userView {
	return userView{
		ID: u.ID.String(), Address: u.Address.Hex(), Roles: x.roles(u), Permissions: x.permissions(u),
		CreatedAt: timestampOf(u.CreatedAt), LastLoginAt: timestampOf(u.LastLoginAt),
	}
}

// grantView is the answer to a login and to a refresh. The tokens are there for the bearer transport only, the user
// after a login only.
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

// grant answers with a grant, its tokens in the transport of its session.
func (x *exchange) grant(g session.Grant) grantView {
	now := x.api.now()
	view := grantView{
		TokenType: "Bearer",
		ExpiresIn: seconds(g.AccessEnd.Sub(now)),
		// A refresh token is good for as long as its session is, unless activity moves the idle end.
		RefreshExpiresIn: min(seconds(g.Session.IdleEnd.Sub(now)), seconds(g.Session.AbsoluteEnd.Sub(now))),
		Session:          x.viewSession(g.Session, true),
	}
	if g.Session.Transport == session.Bearer {
		view.AccessToken, view.RefreshToken = g.AccessToken, g.RefreshToken
		return view
	}
	x.handOut(g)
	return view
}

// seconds rounds, since a moment has passed between the making of a deadline and its answer.
func seconds(d time.Duration) int64 { return max(0, int64(d.Round(time.Second)/time.Second)) }
