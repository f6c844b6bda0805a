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

// Logout serves POST /auth/logout.
func (a *API) Logout() http.Handler {
	return endpoint[logoutBody]{method: http.MethodPost, failed: eventLogout, serve: func(x *exchange, in logoutBody) (any, error) {
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
	}}.handler(a)
}

// logOut ends one session. One that is over already, or not even remembered, is logged out: that is what was wanted.
func (x *exchange) logOut(id token.ID) error {
	over, err := x.api.store.Revoke(x.r.Context(), id, session.LoggedOut, x.actor())
	if err != nil && !errors.Is(err, token.ErrInvalid) {
		return err
	}
	if over == nil || !over.ByThis {
		x.repeatedLogout()
	}
	return nil
}

// logOutEverywhere ends every session of the account. Without a session that is known or remembered it is refused: 204
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

// repeatedLogout tells of a logout that found nothing to end; of any other the store tells.
func (x *exchange) repeatedLogout() {
	x.event(eventLogout, outcomeSuccess, slog.Bool("repeated", true))
}
