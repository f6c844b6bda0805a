// Package session keeps wallet sessions in Redis: who may be signed in, until when, and with which token.
//
// The record of a subject (an account) is the authority: a session lives exactly as long as that record lists it. One
// MGET of record and payload validates a token; every change of a record is one Lua script over declared keys, so that
// requests which race each other and replies which get lost leave the same state as some order of whole operations.
//
// Beside sessions it keeps what hangs on them: an account's roles, block, preferences and activity, a session's state,
// rate limits, counters, and the sweeper that mends them. An event and the counters are written in the step of the change
// that they tell of. The list of admins, which lives in another slot, is kept by the order of two writes.
//
// Nothing that Redis holds opens a session, and no token, nonce or personal detail can be read there: they are keyed
// hashes, or sealed. Roles, times and kinds of event can.
//
// The package knows neither HTTP nor Lambda. Its clock is injected; all times have the resolution of a millisecond.
package session

import (
	"context"
	"net/netip"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// Transport is how a client holds its tokens, chosen at login for the life of the session. The numbers are stored.
type Transport byte

// The transports.
const (
	Cookie Transport = 1
	Bearer Transport = 2
)

// String is the transport's name towards clients.
func (t Transport) String() string {
	switch t {
	case Cookie:
		return "cookie"
	case Bearer:
		return "bearer"
	}
	return "unknown"
}

// Device is what a client tells of itself, in words that stay the same over updates of the browser.
type Device struct {
	// Name is for people: given at login, or made of browser and operating system. At most 64 bytes; never compared.
	Name string
	// Browser and OS are families without version numbers. At most 32 bytes each.
	Browser, OS string
	// Class is the form of the device.
	Class DeviceClass
	// ID is the client's own identifier for the device; empty where it sends none. It is never stored, only hashed.
	ID string
}

// DefaultName is the name of a device that was given none: browser and operating system.
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

// DeviceClass is the form of a device. The numbers are stored.
type DeviceClass byte

// The device classes.
const (
	OtherDevice DeviceClass = iota
	Desktop
	Mobile
	Tablet
)

// String is the class's name towards clients.
func (c DeviceClass) String() string {
	names := [...]string{"other", "desktop", "mobile", "tablet"}
	if int(c) >= len(names) {
		return names[0]
	}
	return names[c]
}

// Client is the other end of a request.
type Client struct {
	// IP is the address that the gateway saw; the zero value where it saw none.
	IP     netip.Addr
	Device Device
	// NotEvaluated says that the request could not have shown a device: none is then compared, and without an IP no network
	// either. One that could and did not is another device. No request over HTTP sets it.
	NotEvaluated bool
	// NoDeviceID says that the request could not have shown a device id, as a browser's WebSocket handshake: a session that is
	// bound to one is then not compared, and any other is.
	NoDeviceID bool
	Transport  Transport
}

// Actor is who asks for a change, for the activity of the account that is changed.
type Actor struct {
	IP netip.Addr
	// Device is its name.
	Device string
	// User is the account that asks, where it is another than the one that is changed (an admin's); else zero.
	User token.UserID
}

// Actor is a client as the one who asks for a change of its own account.
func (c Client) Actor() Actor { return Actor{IP: c.IP, Device: c.Device.Name} }

// Session is one live session as its owner may see it.
type Session struct {
	ID        token.ID
	Address   common.Address
	ChainID   uint64
	Transport Transport
	Device    Device
	// IP is that of the login, LastIP that of the last recorded change.
	IP, LastIP netip.Addr
	// CreatedAt is the login; LastSeenAt trails the last request by at most the touch interval.
	CreatedAt, LastSeenAt time.Time
	// IdleEnd and AbsoluteEnd are the deadlines: at either the session is over. The second never moves.
	IdleEnd, AbsoluteEnd time.Time
	// ElevatedUntil is until when the login or the last step-up counts as fresh.
	ElevatedUntil time.Time
	// StepUpRequired holds the session until a fresh signature: its device or network changed.
	StepUpRequired bool
}

// User is the account that a session belongs to.
type User struct {
	ID      token.UserID
	Address common.Address
	// Roles are the stored ones; the role that everybody has is not among them.
	Roles                  []string
	CreatedAt, LastLoginAt time.Time
}

// Grant is what a login or a refresh hands out.
type Grant struct {
	AccessToken, RefreshToken string
	// AccessEnd is when the access token expires.
	AccessEnd time.Time
	Session   Session
	// User is set by a login only.
	User User
	// Evicted are the sessions that this login ended to keep the limit.
	Evicted []token.ID
	// Repeated tells that a refresh changed nothing: the same successor was handed out before.
	Repeated bool
}

// LimitPolicy is what happens to a login at the session limit.
type LimitPolicy byte

// The limit policies.
const (
	// Evict ends the sessions that were seen longest ago.
	Evict LimitPolicy = iota
	// Deny refuses the login.
	Deny
)

// String is the policy's name in a configuration and in a script.
func (p LimitPolicy) String() string {
	if p == Deny {
		return "deny"
	}
	return "evict"
}

// MaxSessions bounds the sessions of an account, also where the configured limit is 0.
const MaxSessions = 100

// Options are the rules that a store keeps. All durations must be positive.
type Options struct {
	// Prefix begins every key, so that deployments can share a Redis.
	Prefix string
	// Idle ends a session without activity; Absolute ends it whatever happens.
	Idle, Absolute time.Duration
	// Access is the lifetime of an access token.
	Access time.Duration
	// Grace is how long after a rotation the superseded refresh token still answers, with the same successor.
	Grace time.Duration
	// Touch is how much activity may go unrecorded: the idle deadline moves at most that often.
	Touch time.Duration
	// SessionLimit is the number of live sessions of an account; 0 means MaxSessions.
	SessionLimit int
	LimitPolicy  LimitPolicy
	// RoleLimits take the place of Limit for those who have a role that is named here; of several the largest counts. 0
	// means MaxSessions.
	RoleLimits map[string]int
	// DevicePolicy and NetworkPolicy are what a change of device or network leads to.
	DevicePolicy, NetworkPolicy Policy
	// StepUp is how long a login or a step-up counts as fresh.
	StepUp time.Duration
	// ActivityMax is how many events an account's activity holds, 0 for none; ActivityKeep is for how long.
	ActivityMax  int
	ActivityKeep time.Duration
	// StateQuota is how many bytes of state a session may hold.
	StateQuota int
	// NonceRate is requests a minute from one network; LoginRate the same, and those of one account; RefreshRate those of
	// one account from one network. 0 does not limit.
	NonceRate, LoginRate, RefreshRate int
	// FetchKey is asked for a key that the ring does not have: the ring may have to take it up first. It returns nil where the
	// ring now has it, seal.ErrUnknownKey where there is no such key, and any other error where it cannot tell. Nil knows of
	// no other keys. Whoever makes tokens up can have it called, so it must bound what that costs.
	FetchKey func(context.Context, seal.KeyID) error `json:"-"`
	// Audit is told of every event that a script wrote, once each and in order; nil tells nobody.
	Audit func(context.Context, Event) `json:"-"`
}

// Policy is what a changed device or network leads to.
type Policy byte

// The policies. The numbers are stored.
const (
	// PolicyOff compares nothing.
	PolicyOff Policy = iota
	// PolicyLog records the change.
	PolicyLog
	// PolicyStepUp records it and holds the session until a fresh signature.
	PolicyStepUp
	// PolicyRevoke ends the session.
	PolicyRevoke
)

// String is the policy's name in a configuration.
func (p Policy) String() string {
	return [...]string{"off", "log", "step_up", "revoke"}[p&3]
}
