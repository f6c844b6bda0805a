package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// actionTime is how long a request waits for its entry in the audit list. What
// the admin did is done by then, and is answered without the entry.
const actionTime = time.Second

// recordAction adds what the request did or looked at to the audit list, with
// the error that it is answered with. A look is also written to the audit log;
// changes are written by [Audit], and refusals by recordFailure.
//
// Only callers who have the permission come here. Others could otherwise push
// out all entries with requests that are refused.
func (x *exchange) recordAction(err error) {
	if x.action == 0 || err != nil && !isRefusal(err) {
		return
	}
	if err == nil && x.action.IsLook() {
		x.look()
	}
	ctx, cancel := context.WithTimeout(x.r.Context(), actionTime)
	defer cancel()
	if err := x.api.store.AddAction(ctx, x.actionOf(err != nil)); err != nil {
		x.api.log.Warn("action not in the audit list", "requestId", x.id, "error", err.Error())
	}
}

// isRefusal reports whether an error says that what the admin asked for is
// forbidden or impossible. A request that is malformed asked for nothing, and
// the outcome of one that met a fault is not known.
func isRefusal(err error) bool {
	switch problemOf(err, false).code.status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusConflict:
		return true
	}
	return false
}

// actionOf returns the entry of the request in the audit list. The name of an
// account that it erased is left out.
func (x *exchange) actionOf(failed bool) session.Action {
	caller, user := x.access.User, x.actionUser()
	a := session.Action{
		Type: x.action, Failed: failed, Actor: caller.ID, ActorAccount: caller.Account,
		User: user, Continues: x.page.cursor != "",
	}
	if user != (token.UserID{}) {
		a.Account = x.accountOf(user)
	}
	if x.action == session.EventErased && !failed {
		a.Account = token.Account{}
		if user == caller.ID {
			a.ActorAccount = token.Account{}
		}
	}
	return a
}

// actionUser returns the account that the request names, by its account or one
// of its sessions; or zero if it names none.
func (x *exchange) actionUser() token.UserID {
	if x.target.session != (token.ID{}) {
		return x.target.session.User
	}
	return x.target.user
}

// look writes the line of something that an admin looked at to the audit log.
// It has the form of a change that the admin made.
func (x *exchange) look() {
	if !x.api.cfg.AuditLog {
		return
	}
	a := x.actionOf(false)
	attrs := []slog.Attr{
		slog.String("type", a.Type.String()), slog.String("outcome", outcomeSuccess),
	}
	if a.User != (token.UserID{}) {
		attrs = append(attrs, slog.String("userId", a.User.String()))
	}
	if account := accountText(a.Account); account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	attrs = append(attrs, slog.String("actorId", a.Actor.String()),
		slog.String("actor", accountText(a.ActorAccount)))
	attrs = slices.Concat(attrs, x.origin(), x.aboutRequest())
	x.api.log.LogAttrs(x.r.Context(), slog.LevelInfo, "event", attrs...)
}

type auditView struct {
	Events []auditEvent `json:"events"`
	Next   string       `json:"next,omitempty"`
}

type auditEvent struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	Time    string `json:"time"`
	Type    string `json:"type"`
	ActorID string `json:"actorId"`
	Actor   string `json:"actor,omitempty"`   // absent if it is not known
	UserID  string `json:"userId,omitempty"`  // absent if it is about no account
	Account string `json:"account,omitempty"` // absent if it is not known
	Outcome string `json:"outcome"`
}

// listActions returns one page of the audit list.
func (x *exchange) listActions() (auditView, error) {
	actions, next, err := x.api.store.Actions(x.r.Context(), x.page.cursor, x.page.limit)
	if errors.Is(err, session.ErrNotFound) {
		err = badCursor()
	}
	list := auditView{Events: make([]auditEvent, 0, len(actions)), Next: next}
	for _, a := range actions {
		list.Events = append(list.Events, x.viewAction(a))
	}
	return list, err
}

// viewAction renders an entry of the audit list. The account of an admin is
// known from the configuration, even if it is not stored.
func (x *exchange) viewAction(a session.Action) auditEvent {
	view := auditEvent{
		V: activityVersion, ID: a.ID, Time: timestamp(a.Time), Type: a.Type.String(),
		ActorID: a.Actor.String(), Actor: x.nameOf(a.Actor, a.ActorAccount),
		Outcome: outcomeSuccess,
	}
	if a.User != (token.UserID{}) {
		view.UserID, view.Account = a.User.String(), x.nameOf(a.User, a.Account)
	}
	if a.Failed {
		view.Outcome = outcomeFailure
	}
	return view
}

// nameOf returns the text of an account whose name is stored, or that this
// request knows; or "".
func (x *exchange) nameOf(user token.UserID, stored token.Account) string {
	if stored != (token.Account{}) {
		return accountText(stored)
	}
	return accountText(x.accountOf(user))
}
