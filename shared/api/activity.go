package api

import (
	"errors"
	"net/http"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// activityVersion is the version of the event format that clients see.
const activityVersion = 1

type activityView struct {
	Events []activityEvent `json:"events"`
	Next   string          `json:"next,omitempty"`
}

type activityEvent struct {
	V         int    `json:"v"`
	ID        string `json:"id"`
	Time      string `json:"time"`
	Type      string `json:"type"`
	SessionID string `json:"sessionId"` // empty if the event is about the account
	IP        string `json:"ip"`
	Device    string `json:"device"`
	Outcome   string `json:"outcome"`
	Reason    string `json:"reason,omitempty"`
	// RolesBefore and RolesAfter are nil unless roles were set.
	RolesBefore []string `json:"rolesBefore,omitzero"`
	RolesAfter  []string `json:"rolesAfter,omitzero"`
	activitySubject
}

// activitySubject is what only admins see of an event: the account, and the
// account that asked if that is another.
type activitySubject struct {
	UserID  string `json:"userId,omitempty"`
	Account string `json:"account,omitempty"` // absent if it is not known
	ActorID string `json:"actorId,omitempty"`
	Actor   string `json:"actor,omitempty"` // absent if it is not known
}

// Activity serves GET /api/activity: one page of the events of the caller's
// account, newest first.
func (a *API) Activity() http.Handler {
	return handle(a, route{method: "GET", session: member, query: paging}, (*exchange).listActivity)
}

func (x *exchange) listActivity() (activityView, error) {
	return x.activity(x.access.User.ID, ownEvent)
}

// UserActivity serves GET /api/admin/activity: one page of the events of the
// account that the query names, newest first, or of the audit list if it names
// none. It requires the permission audit:read.
func (a *API) UserActivity() http.Handler {
	return handle(a, route{
		method: "GET", needs: auditRead, query: append([]string{"address"}, paging...),
		action: session.EventActivityViewed,
	}, (*exchange).listUserActivity)
}

func (x *exchange) listUserActivity() (any, error) {
	if !x.query.Has("address") {
		x.action = session.EventAuditViewed
		return x.listActions()
	}
	if err := x.findAccount(x.query.Get("address")); err != nil {
		return activityView{}, err
	}
	return x.activity(x.target.user, x.adminEvent)
}

// activity returns the requested page of an account's events, newest first.
func (x *exchange) activity(
	user token.UserID, view func(session.Event) activityEvent,
) (activityView, error) {
	events, next, err := x.api.store.Activity(x.r.Context(), user, x.page.cursor, x.page.limit)
	if errors.Is(err, session.ErrNotFound) {
		err = badCursor()
	}
	list := activityView{Events: make([]activityEvent, 0, len(events)), Next: next}
	for _, e := range events {
		list.Events = append(list.Events, view(e))
	}
	return list, err
}

// ownEvent renders an event for the account that it happened to. It leaves out
// the address and device of the actor if another account asked: users must not
// see where an admin is.
func ownEvent(e session.Event) activityEvent {
	if e.Actor.User != (token.UserID{}) {
		e.Actor = session.Actor{}
	}
	return viewEvent(e)
}

// adminEvent renders an event completely.
func (x *exchange) adminEvent(e session.Event) activityEvent {
	view := viewEvent(e)
	view.UserID, view.Account = e.User.String(), accountText(x.accountOf(e.User))
	if e.Actor.User != (token.UserID{}) {
		view.ActorID, view.Actor = e.Actor.User.String(), accountText(x.actorOf(e))
	}
	return view
}

// actorOf returns the account that asked for a change, or zero if it is not
// known.
func (x *exchange) actorOf(e session.Event) token.Account {
	if e.Actor.Account != (token.Account{}) {
		return e.Actor.Account
	}
	return x.accountOf(e.Actor.User)
}

// accountText returns the text of an account, or "" if it is not known.
func accountText(a token.Account) string {
	if a == (token.Account{}) {
		return ""
	}
	return a.String()
}

// viewEvent renders what everybody may see of an event.
func viewEvent(e session.Event) activityEvent {
	view := activityEvent{
		V: activityVersion, ID: e.ID, Time: timestamp(e.Time), Type: e.Type.String(),
		IP: ipText(e.Actor.IP), Device: e.Actor.Device, Outcome: e.Outcome(),
		RolesBefore: e.RolesBefore, RolesAfter: e.RolesAfter,
	}
	if e.Session.Session != [16]byte{} {
		view.SessionID = e.Session.String()
	}
	if e.Reason != 0 {
		view.Reason = e.Reason.String()
	}
	return view
}
