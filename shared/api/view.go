package api

import (
	"time"

	"latchkey/shared/session"
)

// timestamp is RFC 3339 in UTC, with exactly milliseconds.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type deviceView struct {
	Name    string `json:"name"`
	Browser string `json:"browser"`
	OS      string `json:"os"`
	Type    string `json:"type"`
}

type sessionView struct {
	ID            string     `json:"id"`
	Current       bool       `json:"current"`
	CreatedAt     string     `json:"createdAt"`
	LastSeenAt    string     `json:"lastSeenAt"`
	IdleExpiresAt string     `json:"idleExpiresAt"`
	ExpiresAt     string     `json:"expiresAt"`
	IP            string     `json:"ip"`
	LastIP        string     `json:"lastIp,omitempty"`
	ChainID       uint64     `json:"chainId"`
	Transport     string     `json:"transport"`
	Device        deviceView `json:"device"`
}

// currentSession shows the session that the request itself belongs to.
func currentSession(s session.Session) sessionView {
	return sessionView{
		ID: s.ID.String(), Current: true,
		CreatedAt: timestamp(s.CreatedAt), LastSeenAt: timestamp(s.LastSeenAt),
		IdleExpiresAt: timestamp(s.IdleEnd), ExpiresAt: timestamp(s.AbsoluteEnd),
		IP: ipText(s.IP), LastIP: ipText(s.LastIP), ChainID: s.ChainID, Transport: s.Transport.String(),
		Device: deviceView{Name: s.Device.Name, Browser: s.Device.Browser, OS: s.Device.OS, Type: s.Device.Class.String()},
	}
}

type userView struct {
	ID          string   `json:"id"`
	Address     string   `json:"address"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	CreatedAt   string   `json:"createdAt"`
	LastLoginAt string   `json:"lastLoginAt"`
}

// roleOfAll is the role that everybody has.
const roleOfAll = "user"

func viewUser(u session.User) userView {
	return userView{
		ID: u.ID.String(), Address: u.Address.Hex(), Roles: append([]string{roleOfAll}, u.Roles...), Permissions: []string{},
		CreatedAt: timestamp(u.CreatedAt), LastLoginAt: timestamp(u.LastLoginAt),
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
		Session:          currentSession(g.Session),
	}
	if g.Session.Transport == session.Bearer {
		view.AccessToken, view.RefreshToken = g.AccessToken, g.RefreshToken
		return view
	}
	x.handOut(g)
	return view
}

func seconds(d time.Duration) int64 { return max(0, int64(d/time.Second)) }
