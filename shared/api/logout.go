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
	return endpoint[logoutBody]{
		method: http.MethodPost, failed: eventLogout,
		serve: func(x *exchange, in logoutBody) (any, error) {
			id, err := x.ending(in.RefreshToken)
			if err != nil {
				return nil, err
			}
			x.concernsSession(id)
			end := x.logOut
			if in.Everywhere != nil && *in.Everywhere {
				end = x.logOutEverywhere
			}
			if err := end(id); err != nil {
				return nil, err
			}
			x.forgetCookies()
			if a.cfg.ClearSiteData != "" {
				x.w.Header().Set("Clear-Site-Data", a.cfg.ClearSiteData)
			}
			return nil, nil
		},
	}.handler(a)
}

// logOut ends one session. It succeeds if the session has already ended or is
// unknown: the result is what the caller wants.
func (x *exchange) logOut(id token.ID) error {
	change := session.Change{Actor: x.actor()}
	ended, err := x.api.store.Revoke(x.r.Context(), id, session.LoggedOut, change)
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return err
	}
	if ended == nil || !ended.ByThis {
		x.repeatedLogout()
	}
	return nil
}

// logOutEverywhere ends every session of the account. It returns
// [token.ErrInvalid] if the record does not list the session, live or ended: a 204
// would claim something that was not done.
func (x *exchange) logOutEverywhere(id token.ID) error {
	n, err := x.api.store.RevokeAll(x.r.Context(), id, session.LoggedOut, x.actor())
	if err != nil {
		return err
	}
	if n == 0 {
		x.repeatedLogout()
	}
	return nil
}

// repeatedLogout writes the event of a logout that found nothing to end. The
// store emits the event of any other.
func (x *exchange) repeatedLogout() {
	x.event(eventLogout, outcomeSuccess, slog.Bool("repeated", true))
}
