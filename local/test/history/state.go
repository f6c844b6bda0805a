package history

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"latchkey/shared/session"
)

// state is an account. Copies share only the log, to which entries are only
// added.
type state struct {
	blocked   bool
	blockedAt time.Duration
	note      string // of the block
	roles     string
	seen      bool          // it has logged in since it was erased
	live      []liveSession // in the order of their logins
	ended     []ended       // in the order of their ends
	answers   []answer      // sorted by operation
	tickets   []ticket      // of live sessions, sorted by operation
	events    int
	digest    uint64 // of all events; the same for every order of them
	log       *logged
}

type liveSession struct {
	session, generation  int
	login, rotation      int // the operations that created it and rotated it last
	created              time.Duration
	seen, idle, absolute time.Duration
	accessEnd, formerEnd time.Duration // of this and the previous access token
	rotated              time.Duration // longAgo if it never was
}

type ended struct {
	session    int
	login, by  int // the operations that created it and ended it; login is 0 once it was erased
	reason     session.Reason
	at, forget time.Duration
}

type answer struct{ number, count int }

// ticket is a ticket of a session. One that was dropped is unknown. If it was
// used, it stays used, even if a repeat of its issue comes late.
type ticket struct {
	number              int // of the operation that issued it
	session, generation int // of the access token that asked for it
	expires             time.Duration
	usedBy              int // 0 if nobody has used it
	reused, dropped     bool
}

type logged struct {
	Event
	before *logged
}

const (
	longAgo = -1 << 40 * time.Millisecond

	// endedKept is how many ended sessions are kept, besides those that ended
	// within late, while a login may be under way.
	endedKept = 16
	late      = 70 * time.Minute

	// memory is how long an ended session is kept after its absolute end, or
	// after its end was recorded if that was later.
	memory = 24 * time.Hour
)

var digests = maphash.MakeSeed()

// clone returns a copy that may be changed.
func (m *Model) clone() *Model {
	c := *m
	c.live, c.ended = slices.Clone(m.live), slices.Clone(m.ended)
	c.answers, c.tickets = slices.Clone(m.answers), slices.Clone(m.tickets)
	return &c
}

// equal reports whether two states give the same answers from now on.
func (m *Model) equal(o *Model) bool {
	return m.blocked == o.blocked && m.blockedAt == o.blockedAt && m.roles == o.roles &&
		m.note == o.note && m.seen == o.seen &&
		m.events == o.events && m.digest == o.digest && slices.Equal(m.live, o.live) &&
		slices.Equal(m.ended, o.ended) && slices.Equal(m.answers, o.answers) &&
		slices.Equal(m.tickets, o.tickets)
}

// hash returns the same number for equal states.
func (m *Model) hash() uint64 {
	h := m.digest ^ maphash.Comparable(digests, m.roles+"\n"+m.note)
	for _, s := range m.live {
		h = h*31 + maphash.Comparable(digests, s)
	}
	for _, t := range m.tickets {
		h = h*31 + maphash.Comparable(digests, t)
	}
	return h
}

// String returns the visible part of the state.
func (m *Model) String() string {
	return fmt.Sprintf("blocked %v, note %q, roles %q, live %+v, ended %+v",
		m.blocked, m.note, m.roles, m.live, m.ended)
}

// LiveSessions returns how many sessions are listed. That includes sessions
// whose deadline has passed, if their end was not recorded yet.
func (m *Model) LiveSessions() int { return len(m.live) }

// Events returns the events of the account, newest first.
func (m *Model) Events() []Event {
	var all []Event
	for l := m.log; l != nil; l = l.before {
		all = append(all, l.Event)
	}
	return all
}

// tidy drops ended sessions that need not be kept. It runs each time that the
// account is written.
func (m *Model) tidy(now time.Duration) {
	m.ended = slices.DeleteFunc(m.ended, func(e ended) bool { return e.forget <= now })
	for len(m.ended) > 255 || len(m.ended) > endedKept && m.ended[0].at <= now-late {
		m.ended = m.ended[1:]
	}
}

// once executes do, unless the operation was executed before, and returns the
// saved answer.
func (m *Model) once(c Call, do func() int) Answer {
	byNumber := func(a answer, op int) int { return cmp.Compare(a.number, op) }
	i, found := slices.BinarySearchFunc(m.answers, c.Number, byNumber)
	if !found {
		m.answers = slices.Insert(m.answers, i, answer{c.Number, do()})
	}
	return Answer{Count: m.answers[i].count}
}

func (m *Model) answered(c Call) bool {
	return slices.ContainsFunc(m.answers, func(a answer) bool { return a.number == c.Number })
}

func (m *Model) evictedBy(c Call) []int {
	var all []int
	for _, e := range m.ended {
		if e.by == c.Number && e.reason == session.Evicted {
			all = append(all, e.session)
		}
	}
	return all
}

// limit returns the largest session limit of the account's roles, or the
// general one if no role has a limit.
func (m *Model) limit() int {
	most, found := 0, false
	for role := range strings.SplitSeq(m.roles, ",") {
		if n, named := m.rules.RoleLimits[role]; named {
			most, found = max(most, n), true
		}
	}
	if !found {
		most = m.rules.SessionLimit
	}
	if most <= 0 {
		return session.MaxSessions
	}
	return min(most, session.MaxSessions)
}

func (m *Model) find(number int) int {
	return slices.IndexFunc(m.live, func(s liveSession) bool { return s.session == number })
}

func (m *Model) recall(number int) *ended {
	i := slices.IndexFunc(m.ended, func(e ended) bool { return e.session == number })
	if i < 0 {
		return nil
	}
	return &m.ended[i]
}

// findTicket returns where the ticket of an operation is in the list, or would
// be, and whether it is there.
func (m *Model) findTicket(number int) (int, bool) {
	byNumber := func(t ticket, op int) int { return cmp.Compare(t.number, op) }
	return slices.BinarySearchFunc(m.tickets, number, byNumber)
}

func (m *Model) emit(e Event) {
	m.events++
	m.digest += e.digest()
	m.log = &logged{e, m.log}
}

// slid returns the idle end of a session that is active now. It is never
// earlier than before, and never later than the absolute end.
func (m *Model) slid(s liveSession, now time.Duration) time.Duration {
	return max(s.idle, min(now+m.rules.Idle, s.absolute))
}

// accessEnd returns when the access token of a generation expires. The previous
// one is valid until the end of the grace at the latest. An older one, or one
// that the session does not have, expired long ago.
func (m *Model) accessEnd(s liveSession, generation int) time.Duration {
	switch generation {
	case s.generation:
		return s.accessEnd
	case s.generation - 1:
		return min(s.formerEnd, s.rotated+m.rules.Grace)
	}
	return longAgo
}

func (s liveSession) expired(now time.Duration) bool { return now >= s.idle || now >= s.absolute }

// end returns why and when a session ended that is ended now for the given
// reason. If a deadline has passed, it ended then, for that reason. The idle
// end is never later than the absolute end.
func (s liveSession) end(now time.Duration, reason session.Reason) (session.Reason, time.Duration) {
	switch {
	case !s.expired(now):
		return reason, now
	case s.idle < s.absolute:
		return session.IdleTimeout, s.idle
	}
	return session.AbsoluteTimeout, s.absolute
}

func (s liveSession) facts() Facts {
	return Facts{s.session, s.created, s.seen, s.idle, s.absolute}
}

func count(all []liveSession, picked func(liveSession) bool) (n int) {
	for _, s := range all {
		if picked(s) {
			n++
		}
	}
	return n
}

func (e Event) digest() uint64 { return maphash.Comparable(digests, e) }

// Digest returns the digest of events. It does not depend on their order.
func Digest(events ...Event) (sum uint64) {
	for _, e := range events {
		sum += e.digest()
	}
	return sum
}
