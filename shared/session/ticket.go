package session

import (
	"context"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/token"
)

const (
	// TicketLife is how long a ticket may be used.
	TicketLife = 30 * time.Second
	// MaxTickets is how many unused tickets a session may have.
	MaxTickets = 10

	// maxRecentTickets bounds the tickets of the last TicketLife, used ones too:
	// they are stored until then, so that a second use is noticed.
	maxRecentTickets = 64
	// ticketKept is how long a ticket is stored: longer than it can be used by any
	// function's clock. A request that the network repeats within that time
	// makes no second ticket.
	ticketKept = 2 * time.Minute
)

// IssueTicket issues a ticket for the session of an access token: a credential
// that opens the session once, where a browser can send neither the cookie nor a
// header. It expires after [TicketLife], or with the access token if that is
// earlier. a is what the token has opened. It returns a [*RateError] if the
// session has too many tickets, [ErrTokenExpired], and the errors of
// [Store.Validate] if the session has ended since. It takes one round trip.
func (s *Store) IssueTicket(
	ctx context.Context, a Access, accessToken string,
) (ticket string, expires time.Time, err error) {
	access, err := s.parse(ctx, token.Access, accessToken)
	if err != nil {
		return "", time.Time{}, err
	}
	id := a.Session.ID
	made := token.NewTicket(access.KeyID(), id, access.Generation())
	hash, err := made.Hash(s.keys)
	if err != nil {
		return "", time.Time{}, err
	}
	accessHash, err := access.Hash(s.keys)
	if err != nil {
		return "", time.Time{}, err
	}
	if expires, err = s.storeTicket(ctx, id, hash, accessHash); err != nil {
		return "", time.Time{}, err
	}
	ticket, err = made.Encode(s.keys)
	return ticket, expires, err
}

// storeTicket stores the hash of a ticket with that of the access token that
// asks for it, and returns when the ticket expires.
func (s *Store) storeTicket(
	ctx context.Context, id token.ID, hash, accessHash []byte,
) (expires time.Time, err error) {
	idem := script.NewIdempotencyKey()
	r, err := s.run(ctx, issueTicketScript, []string{s.recordKey(id.User), s.ticketsKey(id)},
		millis(s.now()), idem[:], id.Session[:], hash, accessHash, s.opts.Grace.Milliseconds(),
		TicketLife.Milliseconds(), MaxTickets, maxRecentTickets, ticketKept.Milliseconds())
	if err != nil {
		return time.Time{}, err
	}
	switch r.Outcome() {
	case outcomeDone:
		return time.UnixMilli(r.Int(1)).UTC(), nil
	case outcomeLimited:
		wait := time.Duration(r.Int(1)) * time.Millisecond
		return time.Time{}, &RateError{
			Name: ticketRate, Limit: MaxTickets, Window: TicketLife, Retry: wait,
		}
	case outcomeExpired:
		return time.Time{}, ErrTokenExpired
	}
	return time.Time{}, fault(r, id)
}

// TicketUse names a use of a ticket. The same use may be repeated, such as by a
// gateway that got no answer.
type TicketUse [token.HashSize]byte

// UseTicket validates a ticket as [Store.Validate] validates the access token
// that asked for it, and uses it up. It returns [ErrTicketUsed] if another use
// came before, [ErrTokenExpired] if the ticket or the access token has expired
// or was superseded, and the errors of Validate. The first time that it returns
// ErrTicketUsed for a ticket, it emits an event.
//
// The ticket of a session that requires a step-up is used up, too. A forged
// ticket takes no round trip. A valid one takes one, and a second if Validate
// would take a second one.
func (s *Store) UseTicket(
	ctx context.Context, ticket string, use TicketUse, client Client,
) (Access, error) {
	t, err := s.parse(ctx, token.Ticket, ticket)
	if err != nil {
		return Access{}, err
	}
	id := t.ID()
	hash, err := t.Hash(s.keys)
	if err != nil {
		return Access{}, err
	}
	c := s.newTransaction(id.User, client.Actor())
	c.keys = []string{s.payloadKey(id), s.ticketsKey(id)}
	c.args = []any{id.Session[:], hash, use[:], s.opts.Grace.Milliseconds()}
	r, err := s.commit(ctx, useTicketScript, c)
	if err != nil {
		return Access{}, err
	}
	switch r.Outcome() {
	case outcomeDone:
	case outcomeSpent:
		return Access{}, ErrTicketUsed
	case outcomeExpired:
		return Access{}, ErrTokenExpired
	default:
		return Access{}, fault(r, id)
	}
	a, err := s.openUsed(ctx, t, r, client, c.now)
	return a.unlessStepUpRequired(err)
}

// SessionOfTicket is [Store.SessionOf] for a ticket.
func (s *Store) SessionOfTicket(ctx context.Context, ticket string) (token.ID, error) {
	t, err := s.parse(ctx, token.Ticket, ticket)
	return t.ID(), err
}

// openUsed opens the session in the reply to the use of a ticket.
func (s *Store) openUsed(
	ctx context.Context, ticket token.Token, r script.Reply, client Client, now time.Time,
) (Access, error) {
	id := ticket.ID()
	rec, err := decodeRecord(r.Text(1))
	if err != nil {
		return Access{}, err
	}
	e, err := rec.liveSession(id, now)
	if err != nil {
		return Access{}, err
	}
	p, err := s.openPayload(ctx, id, *e, r.Text(3))
	if err != nil {
		return Access{}, err
	}
	by := presenter{token: ticket, access: []byte(r.Text(2)), client: client}
	if *e, p, err = s.recordActivity(ctx, by, *e, p, now); err != nil {
		return Access{}, err
	}
	return rec.access(id.User, *e, p), nil
}
