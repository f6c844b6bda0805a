package api

import (
	"errors"
	"net/http"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
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
	ActorID   string `json:"actorId,omitempty"` // only for admins, if another account asked
}

// Activity serves GET /api/activity: one page of the events of the caller's
// account, newest first.
func (a *API) Activity() http.Handler {
	return endpoint[nothing]{
		method: http.MethodGet, session: member, parameters: []string{"limit", "cursor"},
		serve: func(x *exchange, _ nothing) (any, error) {
			p, err := pageOf(x.r)
			if err != nil {
				return nil, err
			}
			return x.activity(x.access.User.ID, p, ownEvent)
		},
	}.handler(a)
}

// UserActivity serves GET /api/admin/activity: one page of the events of the
// account with a given address, newest first. It requires the permission
// audit:read.
func (a *API) UserActivity() http.Handler {
	return endpoint[nothing]{
		method: http.MethodGet, permission: auditRead,
		parameters: []string{"address", "limit", "cursor"},
		serve: func(x *exchange, _ nothing) (any, error) {
			p, err := pageOf(x.r)
			if err != nil {
				return nil, err
			}
			address, err := siwe.ParseAddress(x.r.URL.Query().Get("address"))
			if err != nil {
				return nil, invalid(err.Error())
			}
			return x.activity(a.store.UserOf(address), p, adminEvent)
		},
	}.handler(a)
}

// activity returns one page of an account's events, newest first.
func (x *exchange) activity(
	user token.UserID, p page, view func(session.Event) activityEvent,
) (any, error) {
	events, next, err := x.api.store.Activity(x.r.Context(), user, p.cursor, p.limit)
	if errors.Is(err, session.ErrNotFound) {
		return nil, badCursor()
	}
	if err != nil {
		return nil, err
	}
	list := activityView{Events: make([]activityEvent, 0, len(events)), Next: next}
	for _, e := range events {
		list.Events = append(list.Events, view(e))
	}
	return list, nil
}

// ownEvent renders an event for the account that it happened to. It leaves out
// the address and device of the actor if another account asked: users must not
// see where an admin is.
func ownEvent(e session.Event) activityEvent {
	if e.Actor.User != (token.UserID{}) {
		e.Actor = session.Actor{}
	}
	return adminEvent(e)
}

// adminEvent renders an event completely.
func adminEvent(e session.Event) activityEvent {
	view := activityEvent{
		V: activityVersion, ID: e.ID, Time: timestamp(e.Time), Type: e.Type.String(),
		IP: ipText(e.Actor.IP), Device: e.Actor.Device, Outcome: e.Outcome(),
	}
	if e.Session.Session != [16]byte{} {
		view.SessionID = e.Session.String()
	}
	if e.Reason != 0 {
		view.Reason = e.Reason.String()
	}
	if e.Actor.User != (token.UserID{}) {
		view.ActorID = e.Actor.User.String()
	}
	return view
}
