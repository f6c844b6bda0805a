package history

import (
	"cmp"
	"slices"
	"strings"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Model is what an account's sessions do if nothing races and nothing fails. It
// is the specification that histories are checked against. It knows no Redis,
// no bytes and no tokens. It applies one call after the other, each at its
// caller's clock.
//
// An operation may be applied more than once, because a store asks again if an
// answer was lost. It then finds what it did before: the session that it began
// or rotated, the end that it wrote, or the reply that was saved for it.
type Model struct {
	rules *session.Options
	state
}

// NewModel returns a new account, under the rules of a store with these
// options. Devices and networks, rate limits and the admin role are not part of
// the model.
func NewModel(rules session.Options) *Model { return &Model{rules: &rules} }

// Apply does what a call requests, and returns the answer that a store must
// give. The only clock that counts is the caller's, which every call has.
func (m *Model) Apply(c Call) Answer {
	switch c.Kind {
	case LogIn:
		return m.logIn(c)
	case Validate, ReadOnly:
		return m.validate(c)
	case Refresh:
		return m.refresh(c)
	case LogOut:
		return m.logOut(c)
	case RevokeAll, RevokeOthers:
		return m.revoke(c)
	case Block, Unblock, SetRoles:
		return m.once(c, func() int { m.change(c); return 0 })
	case Erase:
		return m.once(c, func() int { m.erase(c); return 0 })
	case IssueTicket:
		return m.issueTicket(c)
	case UseTicket:
		return m.useTicket(c)
	case Sweep:
		m.endSessions(c, 0, func(s liveSession) bool { return s.expired(c.Now) })
		return Answer{}
	case ReadRoles:
		return Answer{Roles: m.roles}
	case ReadAccount:
		return m.account(c)
	case ReadActivity:
		return Answer{Count: m.events, Digest: m.digest}
	case List:
		return m.list(c)
	case ReadNote:
		return Answer{Note: m.note}
	}
	return Answer{}
}

// logIn adds a session to the end of the list. First it ends the sessions whose
// deadline has passed, then the presented session, and then, at the session
// limit, those that were seen longest ago; of equal ones the earliest login. If
// the policy is to deny, a login at the limit changes nothing. A login creates
// one session, once.
func (m *Model) logIn(c Call) Answer {
	now := c.Now
	absolute := now + m.rules.Absolute
	s := liveSession{
		session: c.Session, login: c.Number, created: now, seen: now, rotated: longAgo,
		idle: min(now+m.rules.Idle, absolute), absolute: absolute,
		accessEnd: min(now+m.rules.Access, absolute),
	}
	granted := func() Answer { return Answer{Facts: s.facts(), Evicted: m.evictedBy(c)} }
	if i := m.find(c.Session); i >= 0 {
		if m.live[i].login == c.Number {
			return granted()
		}
		return Answer{Refused: session.ErrNonceSpent}
	}
	if e := m.recall(c.Session); e != nil {
		if e.login == c.Number {
			return granted()
		}
		return Answer{Refused: session.ErrNonceSpent}
	}
	if m.blocked {
		return Answer{Refused: session.ErrBlocked}
	}
	stays := func(l liveSession) bool { return !l.expired(now) && l.session != c.Presented }
	if m.rules.LimitPolicy == session.Deny && count(m.live, stays) >= m.limit() {
		return Answer{Refused: session.ErrSessionLimit}
	}
	m.endSessions(c, 0, func(l liveSession) bool { return l.expired(now) })
	presented := func(l liveSession) bool { return l.session == c.Presented }
	m.endSessions(c, session.LoggedOut, presented)
	for len(m.live) >= m.limit() {
		bySeen := func(a, b liveSession) int { return cmp.Compare(a.seen, b.seen) }
		oldest := slices.MinFunc(m.live, bySeen).session
		m.endSessions(c, session.Evicted, func(l liveSession) bool { return l.session == oldest })
	}
	m.live, m.seen = append(m.live, s), true
	m.tidy(now)
	m.emit(Event{Type: session.EventLogin, At: now, Session: c.Session})
	return granted()
}

// validate checks an access token. Activity moves the idle end, and is recorded
// at most once in each touch interval. The token of the previous generation is
// valid until the end of the grace. An older one is expired; it is never
// treated as theft. A read-only validation gives the same answer, but changes
// nothing.
func (m *Model) validate(c Call) Answer {
	s, refusal := m.open(c)
	if s == nil {
		return refusal
	}
	switch {
	case c.Generation > s.generation && c.Kind == Validate:
		return m.endOne(c, session.StoreReset)
	case c.Now >= m.accessEnd(*s, c.Generation):
		return Answer{Refused: session.ErrTokenExpired}
	}
	if s.seen+m.rules.Touch <= c.Now && c.Kind == Validate {
		s.seen, s.idle = c.Now, m.slid(*s, c.Now)
	}
	return Answer{Facts: s.facts(), Roles: m.roles}
}

// refresh rotates a session with its current token. Within the grace of the
// last rotation it returns the current tokens, also for the previous token. A
// clock that is behind that of the rotation counts as within the grace. An
// older token is treated as stolen, unless the call was made before the
// rotation.
func (m *Model) refresh(c Call) Answer {
	s, refusal := m.open(c)
	if s == nil {
		return refusal
	}
	own, within := s.rotation == c.Number, c.Now < s.rotated+m.rules.Grace
	switch {
	case c.Generation > s.generation:
		return m.endOne(c, session.StoreReset)
	case c.Generation == s.generation-1 && own:
		return Answer{Generation: s.generation, Facts: s.facts()}
	case c.Generation < s.generation-1 && c.Now < s.rotated:
		return Answer{Refused: token.ErrInvalid}
	case c.Generation < s.generation-1, c.Generation < s.generation && !within:
		return m.endOne(c, session.RefreshReused)
	case within:
		return Answer{Generation: s.generation, Facts: s.facts(), Repeated: true}
	}
	s.generation++
	s.seen, s.idle = max(s.seen, c.Now), m.slid(*s, c.Now)
	s.formerEnd, s.accessEnd = s.accessEnd, min(c.Now+m.rules.Access, s.absolute)
	s.rotated, s.rotation = c.Now, c.Number
	m.emit(Event{Type: session.EventRefresh, At: c.Now, Session: c.Session})
	return Answer{Generation: s.generation, Facts: s.facts()}
}

// logOut ends a session, with any of its tokens. If a deadline has passed, it
// records that end.
func (m *Model) logOut(c Call) Answer {
	if m.find(c.Session) < 0 {
		return m.gone(c)
	}
	return m.endOne(c, session.LoggedOut)
}

// revoke ends all sessions, or all others. If the caller has a session, that
// one must be known, and it ends last. The count has only sessions that this
// call ended, not those that ended by a deadline.
func (m *Model) revoke(c Call) Answer {
	others := func(s liveSession) bool { return s.session != c.Session }
	if c.Kind == RevokeOthers {
		return m.once(c, func() int { return m.endSessions(c, session.Revoked, others) })
	}
	if c.Session != 0 && m.find(c.Session) < 0 && !m.answered(c) {
		if a := m.gone(c); a.Reason == 0 {
			return a
		}
	}
	return m.once(c, func() int {
		n := m.endSessions(c, session.Revoked, others)
		return n + m.endSessions(c, session.Revoked, func(liveSession) bool { return true })
	})
}

// change blocks, unblocks or sets roles. If the account is in that state
// already, nothing changes, except that a block may bring another note. Without
// one the note stays.
func (m *Model) change(c Call) {
	switch {
	case c.Kind == SetRoles && m.roles != c.Roles:
		m.emit(Event{Type: session.EventRoles, At: c.Now, Before: m.roles, After: c.Roles})
		m.roles = c.Roles
	case c.Kind == Block && (!m.blocked || c.Note != ""):
		m.endSessions(c, session.AccountBlocked, func(liveSession) bool { return true })
		if !m.blocked {
			m.blocked, m.blockedAt = true, c.Now
		}
		m.note = c.Note
		m.emit(Event{Type: session.EventBlocked, At: c.Now})
	case c.Kind == Unblock && m.blocked:
		m.blocked, m.blockedAt, m.note = false, 0, ""
		m.emit(Event{Type: session.EventUnblocked, At: c.Now})
	default:
		return
	}
	m.tidy(c.Now)
}

// erase ends all sessions and forgets the roles, the note and all events. A
// block remains, and why the sessions ended, but not which login created them.
func (m *Model) erase(c Call) {
	if m.seen || m.roles != "" {
		m.endSessions(c, session.AccountErased, func(liveSession) bool { return true })
		m.tidy(c.Now)
	}
	for i := range m.ended {
		m.ended[i].login = 0
	}
	m.seen, m.roles, m.note = false, "", ""
	m.events, m.digest, m.log = 0, 0, nil
}

// list returns what a list shows of the account, or nothing if it does not
// select it.
func (m *Model) list(c Call) Answer {
	q := c.Query
	live := count(m.live, func(s liveSession) bool { return !s.expired(c.Now) })
	roles := strings.Split(m.roles, ",")
	switch {
	case q == (session.ListQuery{}) && !m.blocked && m.roles == "",
		q.Live && live == 0, q.Blocked && !m.blocked, q.Role == "*" && m.roles == "",
		q.Role != "" && q.Role != "*" && !slices.Contains(roles, q.Role):
		return Answer{}
	}
	return Answer{
		Listed: true, Roles: m.roles, Blocked: m.blocked, BlockedAt: m.blockedAt, Count: live,
	}
}

// account returns what an admin sees: the newest login first, without sessions
// whose deadline has passed.
func (m *Model) account(c Call) Answer {
	a := Answer{Roles: m.roles, Blocked: m.blocked, BlockedAt: m.blockedAt, Note: m.note}
	for _, s := range m.live {
		if !s.expired(c.Now) {
			a.Sessions = append(a.Sessions, s.facts())
		}
	}
	newestFirst := func(a, b Facts) int { return cmp.Compare(b.Created, a.Created) }
	slices.SortStableFunc(a.Sessions, newestFirst)
	return a
}

// open returns the session of a token if it is live, and the refusal otherwise.
// It reports a deadline that has passed and does not record it.
func (m *Model) open(c Call) (*liveSession, Answer) {
	i := m.find(c.Session)
	if i < 0 {
		return nil, m.gone(c)
	}
	if s := m.live[i]; s.expired(c.Now) {
		reason, at := s.end(c.Now, 0)
		return nil, Answer{Refused: ErrEnded, Reason: reason, At: at}
	}
	return &m.live[i], Answer{}
}

// gone returns the answer for a session that is not listed, from what is kept
// of ended sessions.
func (m *Model) gone(c Call) Answer {
	e := m.recall(c.Session)
	if e == nil || e.forget <= c.Now {
		return Answer{Refused: token.ErrInvalid}
	}
	return Answer{Refused: ErrEnded, Reason: e.reason, At: e.at, ByThis: e.by == c.Number}
}

// endOne ends a listed session and returns the answer.
func (m *Model) endOne(c Call, reason session.Reason) Answer {
	why, at := m.live[m.find(c.Session)].end(c.Now, reason)
	m.endSessions(c, reason, func(s liveSession) bool { return s.session == c.Session })
	return Answer{Refused: ErrEnded, Reason: why, At: at, ByThis: true}
}

// endSessions ends the sessions that are picked, and returns how many ended for
// that reason. A session whose deadline had passed ended at the deadline, for
// that reason.
func (m *Model) endSessions(c Call, reason session.Reason, picked func(liveSession) bool) (n int) {
	before := len(m.live)
	m.live = slices.DeleteFunc(m.live, func(s liveSession) bool {
		if !picked(s) {
			return false
		}
		why, at := s.end(c.Now, reason)
		if why == reason {
			n++
		}
		forget := max(s.absolute, c.Now) + memory
		m.ended = append(m.ended, ended{s.session, s.login, c.Number, why, at, forget})
		m.emit(Event{Type: session.EventEnded, At: at, Session: s.session, Reason: why})
		return true
	})
	if len(m.live) < before {
		m.tickets = slices.DeleteFunc(m.tickets, func(t ticket) bool { return m.find(t.session) < 0 })
		m.tidy(c.Now)
	}
	return n
}
