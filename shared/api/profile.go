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
	return endpoint[nothing]{
		method: http.MethodGet, session: withPreferences,
		serve: func(x *exchange, _ nothing) (any, error) {
			return profileView{
				User: x.viewUser(x.access.User), Session: x.viewSession(x.access.Session, true),
				Preferences: x.preferences.JSON,
			}, nil
		},
	}.handler(a)
}

// EraseProfile serves DELETE /api/profile: it erases the caller's account. It
// requires a recent login or step-up.
func (a *API) EraseProfile() http.Handler {
	return endpoint[nothing]{
		method: http.MethodDelete, session: member, fresh: true,
		serve: func(x *exchange, _ nothing) (any, error) {
			return nil, x.erase(x.access.User.ID)
		},
	}.handler(a)
}

// erase erases an account.
func (x *exchange) erase(user token.UserID) error {
	if err := x.api.store.Erase(x.r.Context(), user, x.change(user)); err != nil {
		return err
	}
	if user == x.access.User.ID {
		x.leave()
	}
	return nil
}

// leave deletes the cookies of a browser whose own session this request has
// ended.
func (x *exchange) leave() {
	if x.client.Transport == session.Cookie {
		x.forgetCookies()
	}
}
