package history_test

import (
	"time"

	"latchkey/local/test/history"
	"latchkey/shared/session"
)

func block(note string, now time.Duration) history.Call {
	return history.Call{Kind: history.Block, Note: note, Now: now}
}

func list(q session.ListQuery, now time.Duration) history.Call {
	return history.Call{Kind: history.List, Query: q, Now: now}
}

var (
	readNote    = history.Call{Kind: history.ReadNote}
	readEvents  = history.Call{Kind: history.ReadActivity}
	readRoles   = history.Call{Kind: history.ReadRoles}
	blocked     = session.ListQuery{Blocked: true}
	editors     = session.ListQuery{Role: "editor"}
	notListed   = done
	loggedEvent = history.Event{Type: session.EventLogin, Session: 1}
)

func showsNote(text string) history.Answer { return history.Answer{Note: text} }

func listedBlocked(at time.Duration) history.Answer {
	return history.Answer{Listed: true, Blocked: true, BlockedAt: at}
}

func changed(before, after string) history.Event {
	return history.Event{Type: session.EventRoles, Before: before, After: after}
}

func events(all ...history.Event) history.Answer {
	return history.Answer{Count: len(all), Digest: history.Digest(all...)}
}

// accountRules are the rules of notes, lists, and what a change of roles says.
var accountRules = map[string]struct{ kept, broken func(s *script) }{
	"a note is that of the latest block": {
		kept: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("theft", minute), done)
			s.did(readNote, showsNote("theft"))
		},
		broken: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("theft", minute), done)
			s.did(readNote, showsNote("spam"))
		},
	},
	"of two blocks at once one has the note": {
		kept: func(s *script) {
			s.atOnce(op(block("spam", second), done), op(block("theft", second), done))
			s.did(readNote, showsNote("spam"))
			s.did(readNote, showsNote("spam"))
		},
		broken: func(s *script) {
			s.atOnce(op(block("spam", second), done), op(block("theft", second), done))
			s.did(readNote, showsNote("spam"))
			s.did(readNote, showsNote("theft"))
		},
	},
	"a block without a note leaves the note": {
		kept: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("", minute), done)
			s.did(readNote, showsNote("spam"))
		},
		broken: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("", minute), done)
			s.did(readNote, done)
		},
	},
	"another note does not move the block": {
		kept: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("theft", minute), done)
			s.did(list(blocked, minute), listedBlocked(second))
		},
		broken: func(s *script) {
			s.did(block("spam", second), done)
			s.did(block("theft", minute), done)
			s.did(list(blocked, minute), listedBlocked(minute))
		},
	},
	"an unblock takes the note": {
		kept: func(s *script) {
			s.did(block("spam", second), done)
			s.did(call(history.Unblock, 0, second), done)
			s.did(block("", minute), done)
			s.did(readNote, done)
		},
		broken: func(s *script) {
			s.did(block("spam", second), done)
			s.did(call(history.Unblock, 0, second), done)
			s.did(block("", minute), done)
			s.did(readNote, showsNote("spam"))
		},
	},
	"an erasure leaves the block, without its note": {
		kept: func(s *script) {
			s.did(block("spam", second), done)
			s.did(call(history.Erase, 0, minute), done)
			s.did(list(blocked, minute), listedBlocked(second))
			s.did(readNote, done)
		},
		broken: func(s *script) {
			s.did(block("spam", second), done)
			s.did(call(history.Erase, 0, minute), done)
			s.did(list(blocked, minute), listedBlocked(second))
			s.did(readNote, showsNote("spam"))
		},
	},
	"an erasure ends what there is": {
		kept: func(s *script) {
			s.did(call(history.Erase, 0, second), done)
			s.did(validate(1, 0, minute), endedAnswer(session.AccountErased, second))
		},
		broken: func(s *script) {
			s.did(call(history.Erase, 0, second), done)
			s.did(validate(1, 0, minute), shows(1, 0, minute))
		},
	},
	"who is blocked is listed": {
		kept: func(s *script) {
			s.did(block("", second), done)
			s.did(list(blocked, minute), listedBlocked(second))
		},
		broken: func(s *script) {
			s.did(block("", second), done)
			s.did(list(blocked, minute), notListed)
		},
	},
	"who is not blocked any more is not listed": {
		kept: func(s *script) {
			s.did(block("", second), done)
			s.did(call(history.Unblock, 0, minute), done)
			s.did(list(blocked, minute), notListed)
		},
		broken: func(s *script) {
			s.did(block("", second), done)
			s.did(call(history.Unblock, 0, minute), done)
			s.did(list(blocked, minute), listedBlocked(second))
		},
	},
	"a list may find the moment before a change or after it": {
		kept: func(s *script) {
			s.atOnce(op(list(blocked, 0), listedBlocked(second)), op(block("", second), done), op(list(blocked, 0), notListed))
		},
		broken: func(s *script) { // but not after the end of the walk
			s.did(list(blocked, 0), listedBlocked(second))
			s.did(block("", second), done)
		},
	},
	"a list of a role has who holds it": {
		kept: func(s *script) {
			s.did(setRoles("editor,auditor"), done)
			s.did(list(editors, second), history.Answer{Listed: true, Roles: "editor,auditor", Count: 1})
		},
		broken: func(s *script) {
			s.did(setRoles("auditor"), done)
			s.did(list(editors, second), history.Answer{Listed: true, Roles: "auditor", Count: 1})
		},
	},
	"a list of the live has no session past its end": {
		kept: func(s *script) {
			s.did(list(session.ListQuery{Live: true}, 4*minute-second), history.Answer{Listed: true, Count: 1})
			s.did(list(session.ListQuery{Live: true}, 4*minute), notListed)
		},
		broken: func(s *script) {
			s.did(list(session.ListQuery{Live: true}, 4*minute), history.Answer{Listed: true, Count: 1})
		},
	},
	"the registry has who holds something": {
		kept: func(s *script) {
			s.did(list(session.ListQuery{}, 0), notListed)
			s.did(setRoles("editor"), done)
			s.did(list(session.ListQuery{}, 0), history.Answer{Listed: true, Roles: "editor", Count: 1})
		},
		broken: func(s *script) { // not who is only live
			s.did(list(session.ListQuery{}, 0), history.Answer{Listed: true, Count: 1})
		},
	},
	"a change of roles says what it replaced": {
		kept: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(setRoles("auditor"), done)
			s.did(readEvents, events(loggedEvent, changed("", "editor"), changed("editor", "auditor")))
		},
		broken: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(setRoles("auditor"), done)
			s.did(readEvents, events(loggedEvent, changed("", "editor"), changed("", "auditor")))
		},
	},
	"of two changes of roles at once, one replaced what the other set": {
		kept: func(s *script) {
			s.atOnce(op(setRoles("editor"), done), op(setRoles("auditor"), done))
			s.did(readRoles, history.Answer{Roles: "editor"})
			s.did(readEvents, events(loggedEvent, changed("", "auditor"), changed("auditor", "editor")))
		},
		broken: func(s *script) {
			s.atOnce(op(setRoles("editor"), done), op(setRoles("auditor"), done))
			s.did(readRoles, history.Answer{Roles: "editor"})
			s.did(readEvents, events(loggedEvent, changed("", "editor"), changed("editor", "auditor")))
		},
	},
}
