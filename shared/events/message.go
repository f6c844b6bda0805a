// Package events carries the events of accounts and sessions to other systems:
// to Amazon EventBridge, to a webhook, or to the log. Each arrives at least
// once. First deliveries of one account leave in the order of its changes; a
// repeat may come late. [Message.Sequence] tells a receiver what is older than
// what it has.
package events

import (
	"encoding/json"
	"net/netip"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Source is the source of all messages, as EventBridge names it.
const Source = "latchkey"

// Version is the version of [Message]. Members may be added without a new one.
const Version = 1

// Message is the detail of a message. Members that do not apply, or that are
// not known, are absent.
type Message struct {
	V int `json:"v"`
	// ID is the same for every delivery of an event. It is the id that the
	// account's activity has.
	ID   string `json:"id"`
	Time string `json:"time"` // RFC 3339, with milliseconds, in UTC
	// UserID and Account are of the account that was changed.
	UserID  string `json:"userId"`
	Account string `json:"account,omitempty"` // an address, or the CAIP-10 account of a contract
	// SessionID is absent if the event is about the account.
	SessionID string `json:"sessionId,omitempty"`
	Reason    string `json:"reason,omitempty"` // of an end
	Actor     Actor  `json:"actor"`
	// Sequence grows within an account, and has gaps. A replayed message has
	// none.
	Sequence  uint64 `json:"sequence,omitempty"`
	ChainID   uint64 `json:"chainId,omitempty"`
	Transport string `json:"transport,omitempty"`
	// Device and IP are those of the request that made the change.
	Device string `json:"device,omitempty"`
	IP     string `json:"ip,omitempty"`
	Roles  *Roles `json:"roles,omitempty"`
	// CAEP is the event type of OpenID CAEP 1.0 or RISC 1.0 that this
	// corresponds to.
	CAEP string `json:"caep,omitempty"`
	// Replayed says that [Replay] sent the message.
	Replayed bool `json:"replayed,omitempty"`
}

// String returns the message as JSON, for a log that people read.
func (m Message) String() string {
	text, _ := json.Marshal(m) // always encodes
	return string(text)
}

// Actor is who made a change.
type Actor struct {
	Kind ActorKind `json:"kind"`
	// UserID and Account are of an admin. They are absent if the admin changed
	// their own account, or is no longer known.
	UserID  string `json:"userId,omitempty"`
	Account string `json:"account,omitempty"`
}

// ActorKind is a kind of actor.
type ActorKind string

// The kinds of actors.
const (
	ByUser   ActorKind = "user"   // the account itself
	ByAdmin  ActorKind = "admin"  // another account, or the account itself for what only admins do
	ByPolicy ActorKind = "policy" // a rule of the service, such as the session limit
	BySystem ActorKind = "system" // the time: a deadline passed
)

// Roles are the stored roles of an account before and after a change.
type Roles struct {
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// Type is the type of a message: the detail-type of EventBridge.
type Type string

// kind is a type of messages: its name, and what it corresponds to.
type kind struct {
	name Type
	caep string
}

// Prefixes of the event types of OpenID CAEP 1.0 and RISC 1.0.
const (
	caepPrefix = "https://schemas.openid.net/secevent/caep/event-type/"
	riscPrefix = "https://schemas.openid.net/secevent/risc/event-type/"
)

// kinds are the types of messages, by the type of the account's activity.
var kinds = map[session.EventType]kind{
	session.EventLogin:        {"session.started", caepPrefix + "session-established"},
	session.EventRefresh:      {"session.refreshed", ""},
	session.EventEnded:        {"session.ended", caepPrefix + "session-revoked"},
	session.EventStepUp:       {"session.step_up", caepPrefix + "assurance-level-change"},
	session.EventDevice:       {"session.device_changed", ""},
	session.EventNetwork:      {"session.network_changed", ""},
	session.EventTicketReused: {"session.ticket_reused", ""},
	session.EventRoles:        {"account.roles_changed", caepPrefix + "token-claims-change"},
	session.EventBlocked:      {"account.blocked", riscPrefix + "account-disabled"},
	session.EventUnblocked:    {"account.unblocked", riscPrefix + "account-enabled"},
	session.EventErased:       {"account.erased", riscPrefix + "account-purged"},
	session.EventPreferences:  {"account.preferences_changed", ""},
}

// TypeOf returns the type of the messages about a type of events.
func TypeOf(t session.EventType) Type { return kinds[t].name }

// Types returns the types of messages with the types of events that they are
// about.
func Types() map[Type]session.EventType {
	all := map[Type]session.EventType{}
	for of, k := range kinds {
		all[k.name] = of
	}
	return all
}

// New returns the message about an event. Without details it has no device and
// no IP.
func New(o session.Outgoing, details bool) Message {
	m := Message{
		V: Version, ID: o.ID, Time: o.Time.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		UserID: o.User.String(), Account: accountText(o.Account), Actor: actorOf(o),
		Sequence: o.Sequence, ChainID: o.ChainID, CAEP: kinds[o.Type].caep,
	}
	if o.Session.Session != [16]byte{} {
		m.SessionID = o.Session.String()
	}
	if o.Reason != 0 {
		m.Reason = o.Reason.String()
	}
	if o.Transport != 0 {
		m.Transport = o.Transport.String()
	}
	if details {
		m.Device, m.IP = o.Actor.Device, ipText(o.Actor.IP)
	}
	if o.RolesAfter != nil {
		m.Roles = &Roles{o.RolesBefore, o.RolesAfter}
	}
	return m
}

// actorOf returns who made a change. What only an admin does was done by one,
// even if it is no longer known who, or if it was the account itself.
func actorOf(o session.Outgoing) Actor {
	switch {
	case o.Reason == session.IdleTimeout, o.Reason == session.AbsoluteTimeout:
		return Actor{Kind: BySystem}
	case o.Actor.User != (token.UserID{}):
		return Actor{ByAdmin, o.Actor.User.String(), accountText(o.Actor.Account)}
	}
	switch o.Reason {
	case session.Evicted, session.RefreshReused, session.HijackSuspected, session.StoreReset,
		session.WalletChanged:
		return Actor{Kind: ByPolicy}
	case session.RevokedByAdmin, session.AccountBlocked:
		return Actor{Kind: ByAdmin}
	}
	switch o.Type {
	case session.EventRoles, session.EventBlocked, session.EventUnblocked:
		return Actor{Kind: ByAdmin}
	}
	return Actor{Kind: ByUser}
}

func accountText(a token.Account) string {
	if a == (token.Account{}) {
		return ""
	}
	return a.String()
}

func ipText(ip netip.Addr) string {
	if !ip.IsValid() {
		return ""
	}
	return ip.String()
}

// Delivery is a message on its way to a sink.
type Delivery struct {
	Type    Type
	Message Message
	At      time.Time // of the event
}
