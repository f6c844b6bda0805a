package session

import (
	"time"

	"latchkey/shared/token"
)

// EventType is what happened to an account. The numbers are stored.
type EventType byte

// The types of events.
const (
	EventLogin        EventType = iota + 1
	EventRefresh                // a rotation; a repeat emits no event
	EventEnded                  // a session ended, see Reason
	EventStepUp                 // a fresh signature for a live session
	EventDevice                 // the device changed; see Event.PolicyResult
	EventNetwork                // the network changed; see Event.PolicyResult
	EventRoles                  // roles were set
	EventBlocked                // the account was blocked
	EventUnblocked              // the account was unblocked
	EventErased                 // the account was erased
	EventPreferences            // preferences were changed
	EventTicketReused           // a ticket was presented a second time

	// The types from here on are what admins look at. They change no account,
	// so only an [Action] has them.
	EventAccountsListed   // accounts were listed
	EventAccountsExported // accounts were listed as lines, for an export
	EventAccountViewed    // an account was read
	EventActivityViewed   // the activity of an account was read
	EventAuditViewed      // the audit list was read
)

var eventTypes = [...]string{
	"unknown", "login", "refresh", "session.ended", "step_up", "device.changed",
	"network.changed", "roles.changed", "account.blocked", "account.unblocked",
	"account.erased", "preferences.changed", "ticket.reused",
	"accounts.listed", "accounts.exported", "account.viewed", "activity.viewed", "audit.viewed",
}

// String returns the type's name as clients and logs see it.
func (t EventType) String() string {
	if int(t) >= len(eventTypes) {
		return eventTypes[0]
	}
	return eventTypes[t]
}

// IsLook reports whether an event of the type changes nothing.
func (t EventType) IsLook() bool { return t >= EventAccountsListed }

// Event is one change of an account, as the script that made the change wrote
// it.
type Event struct {
	// ID is unique within the account. IDs are in no order; sort by Time.
	ID   string
	Type EventType
	Time time.Time
	// User is the account that was changed.
	User token.UserID
	// Account is the account of User, if the change knew it. It is zero in
	// [Store.Activity], whose caller asks about one account.
	Account token.Account
	// Session is the session that was changed. Its session part is zero if the
	// event is about the account.
	Session token.ID
	// Reason is why a session ended. It is zero for other types.
	Reason Reason
	// PolicyResult is the policy that a changed device or network met.
	PolicyResult Policy
	// RolesBefore and RolesAfter are the roles that were set: those that the
	// account had, and those that it got. They are nil for other types, and in
	// events that an earlier version stored.
	RolesBefore, RolesAfter []string
	// Actor is who asked for the change. It is zero if nobody did, as for the
	// sweeper, and if the stored actor no longer opens.
	Actor Actor
}

// Outcome returns the event's outcome in one word: "success", "denied" for a
// ticket that was presented a second time, or "allowed" or "step_up_required"
// for a changed device or network. If such a change ended the session, there is
// only the event of that end.
func (e Event) Outcome() string {
	switch e.Type {
	case EventDevice, EventNetwork:
	case EventTicketReused:
		return "denied"
	default:
		return "success"
	}
	if e.PolicyResult == PolicyStepUp {
		return "step_up_required"
	}
	return "allowed"
}
