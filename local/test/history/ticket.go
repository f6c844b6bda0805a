package history

import (
	"slices"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// The most tickets of a session: unused ones, and all of the last
// [session.TicketLife].
const (
	mostUnused  = session.MaxTickets
	mostTickets = 64
)

// ticketKept is how long a ticket is stored.
const ticketKept = 2 * time.Minute

// issueTicket issues a ticket of a session. It expires after
// [session.TicketLife], or with the access token that asks for it. First it
// drops the tickets of the session that are old. What is old depends on the
// clock of the caller, so one caller may drop a ticket that is not old for
// another. At the limit it returns when one of the tickets expires.
func (m *Model) issueTicket(c Call) Answer {
	s, refusal := m.open(c)
	if s == nil {
		return refusal
	}
	last := m.accessEnd(*s, c.Generation)
	if c.Now >= last {
		return Answer{Refused: session.ErrTokenExpired}
	}
	if i, found := m.findTicket(c.Number); found && !m.tickets[i].dropped {
		return Answer{At: m.tickets[i].expires}
	}
	m.dropTickets(c)
	for _, limit := range []struct {
		most   int
		counts func(ticket) bool
	}{
		{mostUnused, func(t ticket) bool { return t.usedBy == 0 }},
		{mostTickets, func(ticket) bool { return true }},
	} {
		if n, free := m.countTickets(c, limit.counts); n >= limit.most {
			return Answer{Refused: ErrTickets, At: free}
		}
	}
	t := ticket{
		number: c.Number, session: c.Session, generation: c.Generation,
		expires: min(c.Now+session.TicketLife, last),
	}
	i, found := m.findTicket(c.Number)
	if found { // this call again, late
		m.tickets[i].dropped = false
	} else {
		m.tickets = slices.Insert(m.tickets, i, t)
	}
	return Answer{At: t.expires}
}

// dropTickets drops the tickets of a session that are old.
func (m *Model) dropTickets(c Call) {
	old := func(t ticket) bool {
		return t.session == c.Session && t.expires-session.TicketLife+ticketKept <= c.Now
	}
	m.tickets = slices.DeleteFunc(m.tickets, func(t ticket) bool {
		return old(t) && t.usedBy == 0
	})
	for i := range m.tickets {
		m.tickets[i].dropped = m.tickets[i].dropped || old(m.tickets[i])
	}
}

// countTickets returns how many tickets of a session that have not expired are
// picked, and when the first of them expires.
func (m *Model) countTickets(
	c Call, picked func(ticket) bool,
) (n int, first time.Duration) {
	for _, t := range m.tickets {
		if t.session != c.Session || t.dropped || t.expires <= c.Now || !picked(t) {
			continue
		}
		if n++; n == 1 || t.expires < first {
			first = t.expires
		}
	}
	return n, first
}

// useTicket opens the session of a ticket, once. The same use may be repeated.
// Another one is refused, which is an event the first time, however late it
// comes. A ticket opens nothing once it has expired, or the access token that
// asked for it has.
func (m *Model) useTicket(c Call) Answer {
	s, refusal := m.open(c)
	if s == nil {
		return refusal
	}
	i, found := m.findTicket(c.Ticket)
	if !found || m.tickets[i].dropped {
		return Answer{Refused: token.ErrInvalid}
	}
	t := &m.tickets[i]
	switch {
	case t.usedBy != 0 && t.usedBy != c.Use:
		if !t.reused {
			t.reused = true
			m.emit(Event{Type: session.EventTicketReused, At: c.Now, Session: c.Session})
		}
		return Answer{Refused: session.ErrTicketUsed}
	case c.Now >= t.expires, c.Now >= m.accessEnd(*s, t.generation):
		return Answer{Refused: session.ErrTokenExpired}
	}
	t.usedBy = c.Use
	return Answer{Facts: s.facts(), Roles: m.roles}
}
