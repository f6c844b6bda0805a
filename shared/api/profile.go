package api

import (
	"encoding/json"
	"net/http"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

type profileView struct {
	User        userView        `json:"user"`
	Session     sessionView     `json:"session"`
	Preferences json.RawMessage `json:"preferences"`
}

// Profile serves GET /api/profile: the caller's account, session and
// preferences.
func (a *API) Profile() http.Handler {
	return handle(a, route{method: "GET", session: withPreferences}, (*exchange).getProfile)
}

func (x *exchange) getProfile() (profileView, error) {
	return profileView{
		User: x.viewUser(x.access.User), Session: x.viewSession(x.access.Session, true),
		Preferences: x.preferences.JSON,
	}, nil
}

// EraseProfile serves DELETE /api/profile: it erases the caller's account. It
// requires a recent login or step-up.
func (a *API) EraseProfile() http.Handler {
	return handle(a, route{method: "DELETE", session: member, fresh: true}, (*exchange).eraseProfile)
}

func (x *exchange) eraseProfile() (nothing, error) {
	return nothing{}, x.erase(x.access.User.ID)
}

// erase erases an account.
func (x *exchange) erase(user token.UserID) error {
	err := x.api.store.Erase(x.r.Context(), user, x.change(user))
	if err == nil && user == x.access.User.ID {
		x.leave()
	}
	return err
}

// leave deletes the cookies of a browser whose own session this request has
// ended.
func (x *exchange) leave() {
	if x.client.Transport == session.Cookie {
		x.forgetCookies()
	}
}
