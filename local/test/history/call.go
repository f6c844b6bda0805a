package history

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey/shared/session"
)

// Kind is what an operation does.
type Kind byte

// The kinds of operation. The reads at the end see only a part of an account, and each at one moment.
const (
	LogIn        Kind = iota + 1
	Validate          // with an access token
	Refresh           // with a refresh token
	LogOut            // of one session, with any token of it
	RevokeAll         // sessions; as their owner, with a token of one, or as an admin, where Session is 0
	RevokeOthers      // but the one of the token
	Block
	Unblock
	SetRoles
	Sweep        // what the sweeper does to the account
	ReadRoles    // which a validation tells, as it found them when it began
	ReadAccount  // whole; a listing reads twice, so this is for when nothing races it
	ReadActivity // how many events there are, and of what
)

var kinds = [...]string{"nothing", "log in", "validate", "refresh", "log out", "revoke all", "revoke others", "block", "unblock",
	"set roles", "sweep", "read roles", "read account", "read activity"}

// String is the kind in words.
func (k Kind) String() string { return kinds[int(k)%len(kinds)] }

// Call is an operation as its caller asks for it.
type Call struct {
	Kind Kind
	// Account is the number of the account.
	Account int
	// Number is the number of the operation. What is asked again is the same one.
	Number int
	// Now is the caller's clock, since the history's beginning.
	Now time.Duration
	// Session is the number of the session that a login makes, or to which the presented token belongs; 0 for none.
	Session int
	// Generation is that of the presented token.
	Generation int
	// Presented is the number of the session whose token came along with a login; 0 for none.
	Presented int
	// Roles are those of SetRoles, comma separated.
	Roles string
}

// ErrEnded stands for every session.EndedError; what that says stands beside it.
var ErrEnded = errors.New("session ended")

// Answer is what an operation answered. What an operation does not tell is zero.
type Answer struct {
	// Lost says that nobody knows the answer.
	Lost bool
	// Refused is the error: one of those of package session, or ErrEnded.
	Refused error
	// Reason, At and ByThis are of ErrEnded.
	Reason session.Reason
	At     time.Duration
	ByThis bool
	// Generation is that of the tokens that were handed out, and Repeated that they were before. A negative one is of
	// tokens that are not those which others got for the same generation.
	Generation int
	Repeated   bool
	// Facts are of the session that was made, opened or refreshed.
	Facts Facts
	// Evicted are the sessions that a login ended to keep the limit.
	Evicted []int
	// Count is how many sessions a revocation ended, or how many events there are.
	Count int
	// Roles are the account's.
	Roles string
	// Blocked, BlockedAt and Sessions are the rest of the account.
	Blocked   bool
	BlockedAt time.Duration
	Sessions  []Facts
	// Digest is of the account's events, whatever their order.
	Digest uint64
}

// Facts are what a session tells of itself, each time since the history's beginning.
type Facts struct {
	Session                       int
	Created, Seen, Idle, Absolute time.Duration
}

// Event is an entry of an account's activity.
type Event struct {
	Type session.EventType
	At   time.Duration
	// Session is 0 where it is about the account.
	Session int
	Reason  session.Reason
}

// String is the call in one line.
func (c Call) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d at %v: %v", c.Number, c.Now, c.Kind)
	if c.Session != 0 {
		fmt.Fprintf(&b, " s%d", c.Session)
	}
	if c.Kind == Validate || c.Kind == Refresh {
		fmt.Fprintf(&b, " g%d", c.Generation)
	}
	if c.Presented != 0 {
		fmt.Fprintf(&b, " in place of s%d", c.Presented)
	}
	if c.Kind == SetRoles {
		fmt.Fprintf(&b, " %q", c.Roles)
	}
	return b.String()
}

// String is the answer in one line.
func (a Answer) String() string {
	switch {
	case a.Lost:
		return "lost"
	case errors.Is(a.Refused, ErrEnded) && a.ByThis:
		return fmt.Sprintf("ends it: %v at %v", a.Reason, a.At)
	case errors.Is(a.Refused, ErrEnded):
		return fmt.Sprintf("ended before: %v at %v", a.Reason, a.At)
	case a.Refused != nil:
		return a.Refused.Error()
	}
	var parts []string
	say := func(isSaid bool, format string, args ...any) {
		if isSaid {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(a.Facts.Session != 0, "g%d, %v", a.Generation, a.Facts)
	say(a.Repeated, "repeated")
	say(len(a.Evicted) > 0, "evicted %v", a.Evicted)
	say(a.Count != 0, "%d", a.Count)
	say(a.Roles != "", "roles %q", a.Roles)
	say(a.Blocked, "blocked at %v", a.BlockedAt)
	say(len(a.Sessions) > 0, "%v", a.Sessions)
	say(a.Digest != 0, "digest %x", a.Digest)
	if len(parts) == 0 {
		return "done"
	}
	return strings.Join(parts, ", ")
}

// String names the session and its times.
func (f Facts) String() string {
	return fmt.Sprintf("s%d created %v seen %v idle %v absolute %v", f.Session, f.Created, f.Seen, f.Idle, f.Absolute)
}

// String is the event in words.
func (e Event) String() string {
	s := fmt.Sprintf("%v at %v", e.Type, e.At)
	if e.Session != 0 {
		s += fmt.Sprintf(" of s%d", e.Session)
	}
	if e.Reason != 0 {
		s += fmt.Sprintf(" by %v", e.Reason)
	}
	return s
}
