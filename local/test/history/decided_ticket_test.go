package history_test

import (
	"time"

	"latchkey/local/test/history"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// ticketRules are the rules of tickets and of read-only validation. Ticket 7 is the first that is asked for.
var ticketRules = map[string]struct{ kept, broken func(s *script) }{
	"a read-only validation moves no activity": {
		kept: func(s *script) {
			s.did(readOnly(1, 0, minute), shows(1, 0, 0))
			s.did(readOnly(1, 0, 2*minute), shows(1, 0, 0))
		},
		broken: func(s *script) {
			s.did(readOnly(1, 0, minute), shows(1, 0, minute))
			s.did(readOnly(1, 0, 2*minute), shows(1, 0, minute))
		},
	},
	"nor does it keep a session alive": {
		kept: func(s *script) {
			s.did(refresh(1, 0, second), rotated(1, 1, 0, second))
			s.did(readOnly(1, 1, 2*minute), shows(1, 0, second))
			s.did(readOnly(1, 1, 4*minute+second), endedAnswer(session.IdleTimeout, 4*minute+second))
		},
		broken: func(s *script) {
			s.did(refresh(1, 0, second), rotated(1, 1, 0, second))
			s.did(readOnly(1, 1, 2*minute), shows(1, 0, second))
			s.did(readOnly(1, 1, 4*minute+second), refused(session.ErrTokenExpired))
		},
	},
	"a read-only validation sees an end": {
		kept: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(readOnly(1, 0, second), endedAnswer(session.LoggedOut, second))
		},
		broken: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(readOnly(1, 0, second), shows(1, 0, 0))
		},
	},
	"a read-only validation has the roles of its moment": {
		kept: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(readOnly(1, 0, second), withRoles(shows(1, 0, 0), "editor"))
		},
		broken: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(readOnly(1, 0, second), shows(1, 0, 0))
		},
	},
	"a read-only validation takes no expired token": {
		kept:   func(s *script) { s.did(readOnly(1, 0, 3*minute), refused(session.ErrTokenExpired)) },
		broken: func(s *script) { s.did(readOnly(1, 0, 3*minute), shows(1, 0, 0)) },
	},
	"a ticket opens once": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.atOnce(op(use(7, 1, 1, second), shows(1, 0, 0)), op(use(7, 1, 2, second), refused(session.ErrTicketUsed)))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.atOnce(op(use(7, 1, 1, second), shows(1, 0, 0)), op(use(7, 1, 2, second), shows(1, 0, 0)))
		},
	},
	"a use may be repeated": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(use(7, 1, 2, second), refused(session.ErrTicketUsed))
			s.did(use(7, 1, 1, 2*second), shows(1, 0, 0))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(use(7, 1, 2, second), refused(session.ErrTicketUsed))
			s.did(use(7, 1, 1, 2*second), refused(session.ErrTicketUsed))
		},
	},
	"a first use is not called a second": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), refused(session.ErrTicketUsed))
		},
	},
	"a lost use is a use": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.lost(use(7, 1, 1, second))
			s.did(use(7, 1, 2, second), refused(session.ErrTicketUsed))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
		},
		broken: func(s *script) { // it was the first, or it was not
			s.did(issue(7, 1, 0, second), until(31*second))
			s.lost(use(7, 1, 1, second))
			s.did(use(7, 1, 2, second), refused(session.ErrTicketUsed))
			s.did(use(7, 1, 3, second), shows(1, 0, 0))
		},
	},
	"a ticket expires": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, 31*second), refused(session.ErrTokenExpired))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, 31*second), shows(1, 0, 0))
		},
	},
	"a ticket does not expire early": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, 31*second-1), shows(1, 0, 0))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, 31*second-1), refused(session.ErrTokenExpired))
		},
	},
	"a ticket expires with its access token": {
		kept:   func(s *script) { s.did(issue(7, 1, 0, 3*minute-second), until(3*minute)) },
		broken: func(s *script) { s.did(issue(7, 1, 0, 3*minute-second), until(3*minute+29*second)) },
	},
	"an expired token gets no ticket": {
		kept:   func(s *script) { s.did(issue(7, 1, 0, 3*minute), refused(session.ErrTokenExpired)) },
		broken: func(s *script) { s.did(issue(7, 1, 0, 3*minute), until(3*minute)) },
	},
	"a ticket stops at the end of the grace": {
		kept: func(s *script) { // by a clock that is a minute ahead
			s.did(issue(7, 1, 0, minute), until(90*second))
			s.did(refresh(1, 0, 20*second), rotated(1, 1, 0, 20*second))
			s.did(use(7, 1, 1, 64*second), shows(1, 0, 20*second))
			s.did(use(7, 1, 1, 65*second), refused(session.ErrTokenExpired))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, minute), until(90*second))
			s.did(refresh(1, 0, 20*second), rotated(1, 1, 0, 20*second))
			s.did(use(7, 1, 1, 64*second), shows(1, 0, 20*second))
			s.did(use(7, 1, 1, 65*second), shows(1, 0, 20*second))
		},
	},
	"a ticket stops when its token is two behind": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, 90*second), until(2*minute))
			s.did(refresh(1, 0, 20*second), rotated(1, 1, 0, 20*second))
			s.did(refresh(1, 1, 65*second), rotated(1, 2, 0, 65*second))
			s.did(use(7, 1, 1, 40*second), refused(session.ErrTokenExpired))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, 90*second), until(2*minute))
			s.did(refresh(1, 0, 20*second), rotated(1, 1, 0, 20*second))
			s.did(refresh(1, 1, 65*second), rotated(1, 2, 0, 65*second))
			s.did(use(7, 1, 1, 40*second), shows(1, 0, 65*second))
		},
	},
	"a ticket ends with its session": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(call(history.LogOut, 1, 2*second), ends(session.LoggedOut, 2*second))
			s.did(use(7, 1, 1, 3*second), endedAnswer(session.LoggedOut, 2*second))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(call(history.LogOut, 1, 2*second), ends(session.LoggedOut, 2*second))
			s.did(use(7, 1, 1, 3*second), shows(1, 0, 0))
		},
	},
	"an ended session gets no ticket": {
		kept: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(issue(7, 1, 0, second), endedAnswer(session.LoggedOut, second))
		},
		broken: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(issue(7, 1, 0, second), until(31*second))
		},
	},
	"an idle session gets no ticket, and opens by none": {
		kept: func(s *script) {
			s.did(refresh(1, 0, second), rotated(1, 1, 0, second))
			s.did(issue(7, 1, 1, 170*second), until(181*second))
			s.did(use(7, 1, 1, 5*minute), endedAnswer(session.IdleTimeout, 4*minute+second))
			s.did(issue(8, 1, 1, 5*minute), endedAnswer(session.IdleTimeout, 4*minute+second))
		},
		broken: func(s *script) {
			s.did(refresh(1, 0, second), rotated(1, 1, 0, second))
			s.did(issue(7, 1, 1, 170*second), until(181*second))
			s.did(use(7, 1, 1, 5*minute), refused(session.ErrTokenExpired))
			s.did(issue(8, 1, 1, 5*minute), refused(session.ErrTokenExpired))
		},
	},
	"a second use is told after the end of the ticket, too": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(use(7, 1, 2, 40*second), refused(session.ErrTicketUsed))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(use(7, 1, 2, 40*second), refused(session.ErrTokenExpired))
		},
	},
	"a second use is one event": {
		kept:   func(s *script) { s.reuse(2) },
		broken: func(s *script) { s.reuse(3) },
	},
	"a session has ten unused tickets": {
		kept: func(s *script) {
			tickets(s, 10)
			s.did(issue(50, 1, 0, 20*second), history.Answer{Refused: history.ErrTickets, At: 30 * second})
			s.did(use(10, 1, 1, 20*second), shows(1, 0, 0))
			s.did(issue(51, 1, 0, 20*second), until(50*second))
			s.did(issue(52, 1, 0, 20*second), history.Answer{Refused: history.ErrTickets, At: 31 * second})
		},
		broken: func(s *script) {
			tickets(s, 10)
			s.did(issue(50, 1, 0, 20*second), until(50*second))
		},
	},
	"nine are not too many": {
		kept: func(s *script) {
			tickets(s, 9)
			s.did(issue(50, 1, 0, 20*second), until(50*second))
		},
		broken: func(s *script) {
			tickets(s, 9)
			s.did(issue(50, 1, 0, 20*second), history.Answer{Refused: history.ErrTickets, At: 30 * second})
		},
	},
	"a ticket that another's clock has dropped is unknown": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(issue(8, 1, 0, 125*second), until(155*second))
			s.did(use(7, 1, 1, 2*second), refused(token.ErrInvalid))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(issue(8, 1, 0, 125*second), until(155*second))
			s.did(use(7, 1, 1, 2*second), shows(1, 0, 0))
		},
	},
	"a used ticket stays used, however late its issue comes again": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(issue(8, 1, 0, 125*second), until(155*second))
			s.lost(issue(7, 1, 0, second))
			s.did(use(7, 1, 1, 2*second), shows(1, 0, 0))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(7, 1, 1, second), shows(1, 0, 0))
			s.did(issue(8, 1, 0, 125*second), until(155*second))
			s.lost(issue(7, 1, 0, second))
			s.did(use(7, 1, 2, 2*second), shows(1, 0, 0))
		},
	},
	"a ticket that was never issued is unknown": {
		kept: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(8, 1, 1, second), refused(token.ErrInvalid))
		},
		broken: func(s *script) {
			s.did(issue(7, 1, 0, second), until(31*second))
			s.did(use(8, 1, 1, second), shows(1, 0, 0))
		},
	},
}

// reuse uses a ticket three times, and then reads this many events: that of the login is one.
func (s *script) reuse(events int) {
	s.did(issue(7, 1, 0, second), until(31*second))
	s.did(use(7, 1, 1, second), shows(1, 0, 0))
	s.did(use(7, 1, 2, 2*second), refused(session.ErrTicketUsed))
	s.did(use(7, 1, 3, 3*second), refused(session.ErrTicketUsed))
	m := history.NewModel(rules("hand"))
	for _, op := range s.ops {
		m.Apply(op.Call)
	}
	read := m.Apply(call(history.ReadActivity, 0, minute))
	read.Count = events
	s.did(call(history.ReadActivity, 0, minute), read)
}

func withRoles(a history.Answer, roles string) history.Answer {
	a.Roles = roles
	return a
}

// tickets issues n of them, 10 at 0 and each of the others a second later.
func tickets(s *script, n int) {
	for i := range n {
		at := time.Duration(i) * second
		s.did(issue(10+i, 1, 0, at), until(at+30*second))
	}
}
