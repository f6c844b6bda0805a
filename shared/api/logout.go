package api

import (
	"errors"
	"log/slog"
	"net/http"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

type logoutBody struct {
	Everywhere   *bool   `json:"everywhere"`
	RefreshToken *string `json:"refreshToken"`
}

// Logout serves POST /auth/logout: it ends the session of the presented tokens,
// or with "everywhere" every session of its account.
func (a *API) Logout() http.Handler {
	return handleBody(a, route{method: "POST", failed: eventLogout}, (*exchange).logOut)
}

func (x *exchange) logOut(in logoutBody) (nothing, error) {
	id, err := x.ending(in.RefreshToken)
	if err != nil {
		return nothing{}, err
	}
	x.concernsSession(id)
	end := x.logOutSession
	if in.Everywhere != nil && *in.Everywhere {
		end = x.logOutEverywhere
	}
	live, err := end(id)
	if err != nil {
		return nothing{}, err
	}
	if !live { // the store emits the event of any other logout
		x.event(eventLogout, outcomeSuccess, slog.Bool("repeated", true))
	}
	x.forgetCookies()
	if x.api.cfg.ClearSiteData != "" {
		x.w.Header().Set("Clear-Site-Data", x.api.cfg.ClearSiteData)
	}
	return nothing{}, nil
}

// logOutSession ends one session and reports whether it was live. It succeeds if
// the session has already ended or is unknown: the result is what the caller
// wants.
func (x *exchange) logOutSession(id token.ID) (live bool, err error) {
	change := session.Change{Actor: x.actor()}
	ended, err := x.api.store.Revoke(x.r.Context(), id, session.LoggedOut, change)
	if errors.Is(err, token.ErrInvalid) {
		err = nil
	}
	return ended != nil && ended.ByThis, err
}

// logOutEverywhere ends every session of the account and reports whether one was
// live. It returns [token.ErrInvalid] if the record does not list the session,
// live or ended: a 204 would claim something that was not done.
func (x *exchange) logOutEverywhere(id token.ID) (live bool, err error) {
	n, err := x.api.store.RevokeAll(x.r.Context(), id, session.LoggedOut, x.actor())
	return n > 0, err
}
