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

// The kinds of operation. List, and those that begin with Read, each see a part
// of an account, at one moment.
const (
	LogIn    Kind = iota + 1
	Validate      // uses an access token
	Refresh       // uses a refresh token
	LogOut        // ends one session, with any token of it

	// RevokeAll ends all sessions. The caller is their owner, with a token of
	// one of them, or an admin, and then Session is 0.
	RevokeAll

	RevokeOthers // ends all sessions except the one of the token
	Block
	Unblock
	SetRoles

	ReadOnly    // validates an access token, and records no activity
	IssueTicket // uses an access token
	UseTicket   // uses a ticket, and records no activity

	Erase // erases the account; a block remains, without its note

	Sweep     // what the sweeper does to the account
	ReadRoles // the roles that a validation returns, as it found them first

	// ReadAccount reads the account and its sessions. The store reads them in
	// two steps, so nothing may race it.
	ReadAccount

	ReadActivity // the number of events, and a digest of them

	// List shows the account or not, as the pages of a list found it. ReadNote is
	// the note that it shows, which it reads at another moment.
	List
	ReadNote
)

var kinds = [...]string{
	"nothing", "log in", "validate", "refresh", "log out", "revoke all", "revoke others", "block",
	"unblock", "set roles", "validate read-only", "issue a ticket", "use a ticket",
	"erase", "sweep", "read roles", "read account", "read activity", "list", "read note",
}

// String returns the kind in words.
func (k Kind) String() string { return kinds[int(k)%len(kinds)] }

// Call is an operation, as its caller requests it.
type Call struct {
	Kind Kind
	// Account is the number of the account.
	Account int
	// Number is the number of the operation. A repeated operation keeps its
	// number.
	Number int
	// Now is the caller's clock, as the time since the beginning of the
	// history.
	Now time.Duration
	// Session is the number of the session that a login creates, or of the
	// session that the presented token belongs to. It is 0 without one.
	Session int
	// Generation is the generation of the presented token.
	Generation int
	// Presented is the number of the presented session, whose token came with a
	// login. It is 0 without one.
	Presented int
	// Roles are the roles that SetRoles gives, separated by commas.
	Roles string
	// Note is the note of a block, or empty.
	Note string
	// Query is what a list selects.
	Query session.ListQuery
	// Ticket is the number of the operation that issued the ticket that is used.
	// Use identifies the use. A repeat of a use has the same Use.
	Ticket, Use int
}

// ErrEnded stands for every [session.EndedError]. The answer has its fields.
var ErrEnded = errors.New("session ended")

// ErrTickets stands for the [session.RateError] of a session that has too many
// tickets.
var ErrTickets = errors.New("too many tickets")

// anotherAccount are the roles in an answer that shows the name of another
// account. The model has no such roles.
const anotherAccount = "another account"

// Answer is the answer to an operation. Fields that do not apply are zero.
type Answer struct {
	// Lost reports whether the answer is unknown.
	Lost bool
	// Refused is the error: one of package session, or ErrEnded.
	Refused error
	// Reason, At and ByThis belong to ErrEnded. At is also when a ticket that
	// was issued expires, and of ErrTickets when the next one may be issued.
	Reason session.Reason
	At     time.Duration
	ByThis bool
	// Generation is the generation of the tokens that were handed out. Repeated
	// reports whether they had been handed out before. A negative generation
	// means that others got different tokens for the same generation.
	Generation int
	Repeated   bool
	// Facts are those of the session that was created, validated or refreshed.
	Facts Facts
	// Evicted are the sessions that a login ended because of the session limit.
	Evicted []int
	// Count is the number of sessions that a revocation ended, or the number of
	// events.
	Count int
	// Roles are the roles of the account.
	Roles string
	// Blocked, BlockedAt, Note and Sessions are the rest of the account.
	Blocked   bool
	BlockedAt time.Duration
	Note      string
	Sessions  []Facts
	// Listed reports whether a list shows the account. Count is then the number
	// of its live sessions.
	Listed bool
	// Digest is a digest of the account's events. It does not depend on their
	// order.
	Digest uint64
}

// Facts is what is compared of a session. Each time is the time since the
// beginning of the history.
type Facts struct {
	Session                       int
	Created, Seen, Idle, Absolute time.Duration
}

// Event is an entry of an account's activity.
type Event struct {
	Type session.EventType
	At   time.Duration
	// Session is 0 if the event is about the account.
	Session int
	Reason  session.Reason
	// Before and After are the roles that a change of roles replaced, and those
	// that it set.
	Before, After string
}

// String returns the call in one line.
func (c Call) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d at %v: %v", c.Number, c.Now, c.Kind)
	if c.Session != 0 {
		fmt.Fprintf(&b, " s%d", c.Session)
	}
	switch c.Kind {
	case Validate, Refresh, ReadOnly, IssueTicket:
		fmt.Fprintf(&b, " g%d", c.Generation)
	case UseTicket:
		fmt.Fprintf(&b, " of #%d, use %d", c.Ticket, c.Use)
	}
	if c.Presented != 0 {
		fmt.Fprintf(&b, " in place of s%d", c.Presented)
	}
	if c.Kind == SetRoles {
		fmt.Fprintf(&b, " %q", c.Roles)
	}
	if c.Note != "" {
		fmt.Fprintf(&b, " noting %q", c.Note)
	}
	if c.Kind == List {
		fmt.Fprintf(&b, " %+v", c.Query)
	}
	return b.String()
}

// String returns the answer in one line.
func (a Answer) String() string {
	switch {
	case a.Lost:
		return "lost"
	case errors.Is(a.Refused, ErrEnded) && a.ByThis:
		return fmt.Sprintf("ends it: %v at %v", a.Reason, a.At)
	case errors.Is(a.Refused, ErrEnded):
		return fmt.Sprintf("ended before: %v at %v", a.Reason, a.At)
	case errors.Is(a.Refused, ErrTickets):
		return fmt.Sprintf("%v until %v", a.Refused, a.At)
	case a.Refused != nil:
		return a.Refused.Error()
	}
	var parts []string
	say := func(isSaid bool, format string, args ...any) {
		if isSaid {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(a.At != 0, "until %v", a.At)
	say(a.Facts.Session != 0, "g%d, %v", a.Generation, a.Facts)
	say(a.Repeated, "repeated")
	say(len(a.Evicted) > 0, "evicted %v", a.Evicted)
	say(a.Listed, "listed")
	say(a.Count != 0, "%d", a.Count)
	say(a.Roles != "", "roles %q", a.Roles)
	say(a.Blocked, "blocked at %v", a.BlockedAt)
	say(a.Note != "", "note %q", a.Note)
	say(len(a.Sessions) > 0, "%v", a.Sessions)
	say(a.Digest != 0, "digest %x", a.Digest)
	if len(parts) == 0 {
		return "done"
	}
	return strings.Join(parts, ", ")
}

// String returns the session and its times.
func (f Facts) String() string {
	return fmt.Sprintf("s%d created %v seen %v idle %v absolute %v",
		f.Session, f.Created, f.Seen, f.Idle, f.Absolute)
}

// String returns the event in words.
func (e Event) String() string {
	s := fmt.Sprintf("%v at %v", e.Type, e.At)
	if e.Session != 0 {
		s += fmt.Sprintf(" of s%d", e.Session)
	}
	if e.Reason != 0 {
		s += fmt.Sprintf(" by %v", e.Reason)
	}
	if e.Before != e.After {
		s += fmt.Sprintf(" from %q to %q", e.Before, e.After)
	}
	return s
}
