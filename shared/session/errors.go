package session

import (
	"errors"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

// Errors of this package. Methods also return [token.ErrInvalid], [*EndedError]
// and [*RateError], and the error of a [Change]'s Condition. Any other error
// is a defect.
var (
	// ErrTokenExpired says that an authentic access token has expired. Its
	// session may still be live: refresh.
	ErrTokenExpired = errors.New("access token expired")
	// ErrNonceUnknown says that a nonce was never issued, has expired and been
	// deleted, or was issued for another transport, purpose, browser or
	// session.
	ErrNonceUnknown = errors.New("nonce unknown: it was never issued, has expired, " +
		"or was issued for another transport or browser: request a new one")
	// ErrNonceExpired says that a nonce was issued but has expired.
	ErrNonceExpired = errors.New("nonce expired: request a new one")
	// ErrNonceSpent says that a nonce was used before.
	ErrNonceSpent = errors.New("nonce already used: request a new one")
	// ErrTicketUsed says that a ticket was used before.
	ErrTicketUsed = errors.New("ticket already used: request a new one")
	// ErrBlocked says that the account is blocked: its logins are refused.
	ErrBlocked = errors.New("account blocked")
	// ErrSessionLimit says that the account is at its session limit, and that
	// the policy is [Deny].
	ErrSessionLimit = errors.New("session limit reached")
	// ErrStepUp says that the session is live but requires a step-up: a fresh
	// signature.
	ErrStepUp = errors.New("step-up required")
	// ErrNotFound says that the session, account, event or key of state does
	// not exist.
	ErrNotFound = errors.New("not found")
	// ErrPrecondition says that something else is stored than the change was
	// made for.
	ErrPrecondition = errors.New("precondition does not hold")
	// ErrTooLarge says that a value exceeds its quota. Nothing was changed.
	ErrTooLarge = errors.New("value exceeds the quota")
	// ErrLastAdmin says that no other account is an admin: nobody could give
	// the role back.
	ErrLastAdmin = errors.New("no other account is an admin")
	// ErrUnavailable says that Redis cannot be connected to in time or cannot
	// serve now, or that a key could not be fetched for the key ring. What was
	// asked took effect completely or not at all.
	ErrUnavailable = script.ErrUnavailable
	// ErrDamaged says that a stored record does not have a layout that this
	// version knows. It opens nothing.
	ErrDamaged = errors.New("stored record is damaged or of another version")
)

// errStale says that a session changed between the read and the write.
var errStale = errors.New("changed since it was read")

// EndedError says that a token is authentic and its session has ended.
type EndedError struct {
	// Reason is why the session ended, and At when.
	Reason Reason
	At     time.Time
	// ByThis reports that this very call ended the session, and did not find it
	// ended.
	ByThis bool
	// Session is the id of the session that has ended.
	Session token.ID
}

// Error implements error.
func (e *EndedError) Error() string { return "session ended: " + e.Reason.String() }

// Reason is why a session ended. The numbers are stored and never reused.
type Reason byte

// The reasons, in the order of their stored numbers.
const (
	// LoggedOut means that its client logged out, or a login with its token
	// replaced it.
	LoggedOut Reason = iota + 1
	// IdleTimeout means that the idle end has passed.
	IdleTimeout
	// AbsoluteTimeout means that the absolute end has passed.
	AbsoluteTimeout
	// Evicted means that a login at the session limit ended it; see [Evict].
	Evicted
	// Revoked means that its owner ended it.
	Revoked
	// RevokedByAdmin means that an admin ended it.
	RevokedByAdmin
	// RefreshReused means that a refresh token was presented that had been
	// superseded. It may have been stolen.
	RefreshReused
	// HijackSuspected means that its device or network changed; see
	// [PolicyRevoke].
	HijackSuspected
	// AccountBlocked means that its account was blocked.
	AccountBlocked
	// AccountErased means that its account was erased.
	AccountErased
	// StoreReset means that a token was newer than the record, because Redis
	// lost a write.
	StoreReset
	// WalletChanged means that the account's contract no longer accepts the
	// signature of its login.
	WalletChanged
)

var reasons = [...]string{
	"unknown", "logged_out", "idle_timeout", "absolute_timeout", "evicted", "revoked",
	"revoked_by_admin", "refresh_reused", "hijack_suspected", "account_blocked",
	"account_erased", "store_reset", "wallet_changed",
}

// String returns the reason's name as clients see it.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		return reasons[0]
	}
	return reasons[r]
}
