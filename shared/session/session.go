// Package session keeps wallet sessions in Redis: who may be signed in, until when, and with which token.
//
// The record of a subject (an account) is the authority: a session lives exactly as long as that record lists it. One
// MGET of record and payload validates a token; every change is one Lua script over declared keys, so that requests
// which race each other and replies which get lost leave the same state as some order of whole operations. Nothing that
// Redis holds opens a session or can be read: tokens are stored as keyed hashes, names are keyed hashes, personal
// details are sealed.
//
// The package knows neither HTTP nor Lambda. Its clock is injected; all times have the resolution of a millisecond.
package session

import (
	"net/netip"
	"time"

	"github.com/ethereum/go-ethereum/common"
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
	IP        netip.Addr
	Device    Device
	Transport Transport
}

// Session is one live session as its owner may see it.
type Session struct {
	ID        ID
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
}

// User is the account that a session belongs to.
type User struct {
	ID      UserID
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
	// Evicted are the sessions that this login ended to keep the limit: the latest sixteen at most.
	Evicted []ID
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
	// Limit is the number of live sessions of an account; 0 means MaxSessions.
	Limit       int
	LimitPolicy LimitPolicy
}
