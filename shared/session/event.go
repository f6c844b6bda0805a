package session

import (
	"time"

	"latchkey/shared/token"
)

// EventType is the vocabulary of what can happen to an account. The numbers are stored.
type EventType byte

// The types of events.
const (
	EventLogin       EventType = iota + 1
	EventRefresh               // a rotation; a repeat is none
	EventEnded                 // a session ended, see Reason
	EventStepUp                // a fresh signature for a session that lives
	EventDevice                // the device changed; see Verdict
	EventNetwork               // the network changed; see Verdict
	EventRoles                 // roles were set
	EventBlocked               // the account was blocked
	EventUnblocked             // and unblocked
	EventErased                // the account was erased
	EventPreferences           // preferences were changed
)

var eventTypes = [...]string{"unknown", "login", "refresh", "session.ended", "step_up", "device.changed", "network.changed",
	"roles.changed", "account.blocked", "account.unblocked", "account.erased", "preferences.changed"}

// String is the type's name towards clients and in logs.
func (t EventType) String() string {
	if int(t) >= len(eventTypes) {
		return eventTypes[0]
	}
	return eventTypes[t]
}

// Event is one change of an account, as the script that made it wrote it down.
type Event struct {
	// ID is unique within the account. It does not sort: Time does.
	ID   string
	Type EventType
	Time time.Time
	// User is the account.
	User token.UserID
	// Session is the one that it happened to; its Random is zero where it is about the account.
	Session token.ID
	// Reason is why a session ended.
	Reason Reason
	// PolicyResult is the policy that a changed device or network met.
	PolicyResult Policy
	// Actor is who asked. The sweeper's is zero, and so is one that does not open any more.
	Actor Actor
}

// Outcome is the event's outcome in one word: success, or for a verdict allowed or step_up_required. A change that ended
// the session is the event of that end.
func (e Event) Outcome() string {
	if e.Type != EventDevice && e.Type != EventNetwork {
		return "success"
	}
	if e.PolicyResult == PolicyStepUp {
		return "step_up_required"
	}
	return "allowed"
}
