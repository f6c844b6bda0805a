package session

import (
	"errors"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Errors of this package, beside *EndedError and *RateError. What else a method returns is a defect.
var (
	// ErrTokenExpired: an authentic access token past its own lifetime, while its session may live. Refresh.
	ErrTokenExpired = errors.New("access token expired")
	// ErrNonceUnknown: never issued, expired and gone, or issued for another transport, purpose or browser.
	ErrNonceUnknown = errors.New("nonce unknown: never issued, expired, or asked for with another transport or in another browser")
	// ErrNonceExpired: issued, and past its time.
	ErrNonceExpired = errors.New("nonce expired")
	// ErrNonceSpent: used before.
	ErrNonceSpent = errors.New("nonce already used")
	// ErrBlocked: the account is blocked; no login takes effect.
	ErrBlocked = errors.New("account blocked")
	// ErrSessionLimit: the account is at its session limit and the policy is Deny.
	ErrSessionLimit = errors.New("session limit reached")
	// ErrStepUp: the session lives, and wants a fresh signature first.
	ErrStepUp = errors.New("step-up required")
	// ErrNotFound: no such session, account or key of state.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition: what is stored is not what the change was made for.
	ErrPrecondition = errors.New("precondition does not hold")
	// ErrTooLarge: it does not fit in the quota. Nothing was changed.
	ErrTooLarge = errors.New("over quota")
	// ErrLastAdmin: nobody could give the role back.
	ErrLastAdmin = errors.New("the last admin")
	// ErrUnavailable: Redis cannot be reached in time or cannot serve now, or a key that the ring does not have cannot be
	// asked for. What was asked happened wholly or not at all.
	ErrUnavailable = script.ErrUnavailable
	// ErrDamaged: a stored record is not in a form that this version knows. It opens nothing.
	ErrDamaged = errors.New("stored record is damaged or of another version")
)

// errStale says that a session changed between reading and writing it.
var errStale = errors.New("changed since it was read")

// EndedError says that the token is authentic and its session is over.
type EndedError struct {
	Reason Reason
	At     time.Time
	// ByThis tells that this very operation ended it, rather than found it ended.
	ByThis bool
	// Session is the public id of the session that is over.
	Session token.ID
}

// Error implements error.
func (e *EndedError) Error() string { return "session ended: " + e.Reason.String() }

// Reason is why a session ended. The numbers are stored: they are never reused.
type Reason byte

// The reasons, in the order of their stored numbers.
const (
	LoggedOut Reason = iota + 1
	IdleTimeout
	AbsoluteTimeout
	Evicted
	Revoked
	RevokedByAdmin
	RefreshReused
	HijackSuspected
	AccountBlocked
	AccountErased
	StoreReset
)

var reasons = [...]string{"unknown", "logged_out", "idle_timeout", "absolute_timeout", "evicted", "revoked", "revoked_by_admin",
	"refresh_reused", "hijack_suspected", "account_blocked", "account_erased", "store_reset"}

// String is the reason's name towards clients.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		return reasons[0]
	}
	return reasons[r]
}
