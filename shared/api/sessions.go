package api

import (
	"errors"
	"log/slog"
	"net/http"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

type sessionsView struct {
	Sessions []sessionView `json:"sessions"`
	Limit    int           `json:"limit"`
	Next     string        `json:"next,omitempty"`
}

type endedView struct {
	Ended int `json:"ended"`
}

// Sessions serves GET /api/sessions: one page of the live sessions of the
// caller's account, and its session limit.
func (a *API) Sessions() http.Handler {
	return handle(a, route{method: "GET", session: member, query: paging}, (*exchange).listSessions)
}

func (x *exchange) listSessions() (sessionsView, error) {
	all, err := x.api.store.Sessions(x.r.Context(), x.access)
	if err != nil {
		return sessionsView{}, err
	}
	shown, next, err := pageFrom(all, x.page, func(s session.Session) string { return s.ID.String() })
	return sessionsView{
		Sessions: x.viewSessions(shown), Limit: x.sessionLimit(x.access.User), Next: next,
	}, err
}

// EndSession serves DELETE /api/sessions/{id}: it ends one session of the
// caller's account.
func (a *API) EndSession() http.Handler {
	return handle(a, route{
		method: "DELETE", session: member, target: (*exchange).readSessionID,
	}, (*exchange).endSession)
}

func (x *exchange) endSession() (nothing, error) {
	if x.target.session.User != x.access.User.ID {
		return nothing{}, absent() // no round trip: timing must not show that an id exists
	}
	return nothing{}, x.end(session.Revoked)
}

// EndOtherSessions serves DELETE /api/sessions: it ends every session of the
// caller's account but this one, and answers with their number.
func (a *API) EndOtherSessions() http.Handler {
	return handle(a, route{method: "DELETE", session: member}, (*exchange).endOtherSessions)
}

func (x *exchange) endOtherSessions() (endedView, error) {
	n, err := x.api.store.RevokeOthers(
		x.r.Context(), x.access.Session.ID, session.Revoked, x.actor())
	return endedView{n}, err
}

// readSessionID reads the session that the path names. The audit log gets the
// id as requested, whoever's session it is.
func (x *exchange) readSessionID() (err error) {
	text := x.r.PathValue("id")
	x.target.session, err = token.ParseID(text)
	if err != nil && token.ContainedIn(text) {
		text = "a token"
	}
	x.concerns(slog.String("target", bounded(text)))
	if err != nil {
		return absent()
	}
	return nil
}

// end ends the session that the path names, for a reason. It answers 404 if the
// session had already ended.
func (x *exchange) end(reason session.Reason) error {
	id := x.target.session
	ended, err := x.api.store.Revoke(x.r.Context(), id, reason, x.change(id.User))
	switch {
	case errors.Is(err, token.ErrInvalid):
		return absent()
	case err != nil:
		return err
	case !ended.ByThis || ended.Reason != reason:
		return absent()
	}
	if id == x.access.Session.ID {
		x.leave()
	}
	return nil
}
