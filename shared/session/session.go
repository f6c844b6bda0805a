// Package session keeps wallet sessions in Redis: which accounts are signed in,
// until when, and with which tokens.
//
// The record of a subject (an account) is the authority: a session is live
// exactly as long as that record lists it. One MGET of record and payload
// validates a token. Every change of a record is one Lua script over declared
// keys. So concurrent requests and lost replies leave the same state as some
// order of complete changes.
//
// The package also keeps an account's roles, block, preferences and activity, a
// session's state, rate limits and counters. A sweeper ends expired sessions
// and repairs the counters. An event and the counters are written in the same
// step as the change that they record. The list of admins is in another slot.
// It is kept consistent by the order of two writes.
//
// Nothing that is stored in Redis opens a session. No token, nonce or personal
// detail can be read there: they are stored as keyed hashes, or sealed. Roles,
// times and types of events can be read.
//
// The package does not depend on HTTP or Lambda. Its clock is injected. All
// times have a resolution of a millisecond.
package session

import (
	"context"
	"net/netip"
	"time"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Transport is how a client holds its tokens. It is chosen at login for the
// life of the session. The numbers are stored.
type Transport byte

// The transports.
const (
	// Cookie is a browser, which holds its tokens in cookies.
	Cookie Transport = 1
	// Bearer is a client that holds its tokens itself and sends an access token
	// in a header.
	Bearer Transport = 2
)

// String returns the transport's name as clients see it.
func (t Transport) String() string {
	switch t {
	case Cookie:
		return "cookie"
	case Bearer:
		return "bearer"
	}
	return "unknown"
}

// Device describes a client's device in terms that do not change when the
// browser is updated.
type Device struct {
	// Name is for people to read: given at login, or else made of browser and
	// operating system. It has at most 64 bytes and is never compared.
	Name string
	// Browser and OS are families without version numbers, at most 32 bytes
	// each.
	Browser, OS string
	// Class is the kind of device.
	Class DeviceClass
	// ID is the client's own identifier for the device, or empty if it sends
	// none. Only a hash of it is stored.
	ID string
}

// DefaultName returns the name of a device that was not given one: browser and
// operating system.
func (d Device) DefaultName() string {
	switch {
	case d.Browser == "" && d.OS == "":
		return "Unknown device"
	case d.OS == "":
		return d.Browser
	case d.Browser == "":
		return d.OS
	}
	return d.Browser + " on " + d.OS
}

// DeviceClass is a kind of device. The numbers are stored.
type DeviceClass byte

// The device classes.
const (
	OtherDevice DeviceClass = iota
	Desktop
	Mobile
	Tablet
)

// String returns the class's name as clients see it.
func (c DeviceClass) String() string {
	names := [...]string{"other", "desktop", "mobile", "tablet"}
	if int(c) >= len(names) {
		return names[0]
	}
	return names[c]
}

// Client is the client that makes a request.
type Client struct {
	// IP is the address that the gateway saw, or the zero value if it saw none.
	IP     netip.Addr
	Device Device
	// NotEvaluated says that it is not known which device the request came from:
	// the device is not compared. A request that could have presented a device
	// but did not counts as another device.
	NotEvaluated bool
	// NoNetwork says that it is not known which network the request came from:
	// the network is not compared.
	NoNetwork bool
	// NoDeviceID says that the request could not have presented a device id,
	// such as the WebSocket handshake of a browser. If the session is bound to
	// a device id, a validation then compares the rest of the device.
	NoDeviceID bool
	// NoPolicyResult says that a page of another site may have made the browser
	// send the request, which then cannot have the device id. A validation
	// records no step-up and ends nothing for it. If a policy would have, it
	// returns [ErrStepUp]. A refresh ignores it: it requires an allowed page.
	NoPolicyResult bool
	// ReadOnly says that a validation changes nothing: it records no activity
	// and no change of device or network, and ends nothing. If a policy would
	// require a step-up or end the session, it returns [ErrStepUp]. If Redis has
	// lost a write of the session, it returns [ErrTokenExpired]: the client then
	// refreshes, and that ends the session.
	ReadOnly  bool
	Transport Transport
}

// Actor is who asks for a change, as the activity of the changed account shows
// it. The zero Actor stands for nobody.
type Actor struct {
	IP netip.Addr
	// Device is the name of the device.
	Device string
	// User is the account that asks, if it is not the account that is changed:
	// the account of an admin. Otherwise it is zero.
	User token.UserID
	// Account is the account of User. It is zero if User is, and in events that
	// an earlier version stored.
	Account token.Account
}

// Actor returns the client as the one who asks for a change of its own account.
func (c Client) Actor() Actor { return Actor{IP: c.IP, Device: c.Device.Name} }

// Session is a live session as its owner may see it.
type Session struct {
	ID      token.ID
	Account token.Account
	// ChainID is the chain of the message that was signed. That of a contract's
	// session is the contract's.
	ChainID   uint64
	Transport Transport
	Device    Device
	// IP is the address at login. LastIP is the address at the last step-up or
	// recorded change of network, or IP if there was neither.
	IP, LastIP netip.Addr
	// CreatedAt is the time of the login. LastSeenAt is at most the touch
	// interval before the last request.
	CreatedAt, LastSeenAt time.Time
	// IdleEnd and AbsoluteEnd are the deadlines. The session ends at the
	// earlier one. AbsoluteEnd never moves.
	IdleEnd, AbsoluteEnd time.Time
	// ElevatedUntil is the time until which the login or the last step-up
	// counts as fresh.
	ElevatedUntil time.Time
	// StepUpRequired reports that the device or network changed, and that the
	// session needs a fresh signature before it is used again.
	StepUpRequired bool
}

// User is the account that a session belongs to.
type User struct {
	ID token.UserID
	// Account is zero if it is not known: an id does not show its account.
	Account token.Account
	// Roles are the stored roles. [RoleUser], which everybody has, is not among
	// them.
	Roles                  []string
	CreatedAt, LastLoginAt time.Time
}

// Grant is the result of a login, a refresh or a step-up.
type Grant struct {
	AccessToken, RefreshToken string
	// AccessEnd is when the access token expires.
	AccessEnd time.Time
	Session   Session
	// User is set by a login only.
	User User
	// Evicted are the sessions that this login ended because of the session
	// limit.
	Evicted []token.ID
	// Check is set by a refresh if the caller must check again whether the
	// account's contract accepts the signature; see [Store.Checked].
	Check *Check
	// Repeated reports that a refresh changed nothing, because the same tokens
	// were returned before.
	Repeated bool
}

// LimitPolicy is what a login does at the session limit.
type LimitPolicy byte

// The limit policies.
const (
	// Evict ends the sessions that were seen longest ago.
	Evict LimitPolicy = iota
	// Deny refuses the login.
	Deny
)

// String returns the policy's name in a configuration and in a script.
func (p LimitPolicy) String() string {
	if p == Deny {
		return "deny"
	}
	return "evict"
}

// MaxSessions is the most live sessions that an account may have. No configured
// limit exceeds it.
const MaxSessions = 100

// Options are the settings of a store. All durations must be positive.
type Options struct {
	// Prefix begins every Redis key, so that deployments can share a Redis.
	Prefix string
	// Idle is the idle timeout: a session ends after that long without
	// activity. Absolute is the absolute timeout: a session ends that long
	// after its login in any case.
	Idle, Absolute time.Duration
	// Access is the lifetime of an access token.
	Access time.Duration
	// Grace is how long after a rotation the superseded refresh token is still
	// accepted. It yields the same successor.
	Grace time.Duration
	// Touch is the touch interval: activity is recorded, and the idle end
	// moves, at most this often.
	Touch time.Duration
	// SessionLimit is the most live sessions of an account. 0 means
	// [MaxSessions].
	SessionLimit int
	LimitPolicy  LimitPolicy
	// RoleLimits are session limits by role. They replace SessionLimit for an
	// account that has one of these roles. Of several the largest counts. 0
	// means [MaxSessions].
	RoleLimits map[string]int
	// DevicePolicy and NetworkPolicy are what a change of device or network
	// does.
	DevicePolicy, NetworkPolicy Policy
	// StepUp is how long a login or a step-up counts as fresh.
	StepUp time.Duration
	// ActivityMax is how many events an account's activity holds, 0 for none.
	// ActivityKeep is how long it holds them.
	ActivityMax  int
	ActivityKeep time.Duration
	// PreferencesKeep is how long an account's preferences are kept after its
	// last login. They are kept for as long as it has a live session in any
	// case.
	PreferencesKeep time.Duration
	// WalletRecheck is how long after a contract accepted the signature of a
	// session it is asked again, at a refresh. 0 means never.
	WalletRecheck time.Duration
	// StateQuota is the most state that a session may have, in bytes.
	StateQuota int
	// NonceLife is how long after it was issued a nonce may be spent, at most
	// [MaxNonceLife]. 0 means five minutes.
	NonceLife time.Duration
	// NonceRate limits the nonces of a network. LoginRate limits the logins of
	// a network, and also those of an account. RefreshRate limits the refreshes
	// of an account from one network. All are in requests a minute. 0 means no
	// limit.
	NonceRate, LoginRate, RefreshRate int
	// Outbox says which events are published; see [Outbox]. Nothing is written
	// for it if no types are given.
	Outbox OutboxOptions
	// FetchKey is called for a key id that the key ring does not have. It may
	// add the key to the ring. It returns nil if the ring now has the key,
	// [seal.ErrUnknownKey] if no such key exists, and any other error if it
	// could not find out. If FetchKey is nil, no other keys exist. Anyone can
	// cause a call with a forged token, so FetchKey must bound what a call
	// costs.
	FetchKey func(context.Context, seal.KeyID) error `json:"-"`
	// Audit is called for every event that a script wrote, once each and in
	// order. It is not called if it is nil.
	Audit func(context.Context, Event) `json:"-"`
}

// Policy is what a change of device or network does.
type Policy byte

// The policies. The numbers are stored.
const (
	// PolicyOff compares nothing.
	PolicyOff Policy = iota
	// PolicyLog records the change.
	PolicyLog
	// PolicyStepUp records the change and requires a step-up: a fresh
	// signature.
	PolicyStepUp
	// PolicyRevoke ends the session.
	PolicyRevoke
)

// String returns the policy's name in a configuration.
func (p Policy) String() string {
	return [...]string{"off", "log", "step_up", "revoke"}[p&3]
}
