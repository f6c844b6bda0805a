package history_test

import (
	"latchkey/local/test/history"
	"latchkey/shared/session"
)

// Every rule has a history that keeps it and one that breaks it, which differ in as little as can be.
var judged = map[string]struct{ kept, broken func(s *script) }{
	"ended stays ended": {
		kept: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(validate(1, 0, 2*second), endedAnswer(session.LoggedOut, second))
		},
		broken: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(validate(1, 0, 2*second), shows(1, 0, 0))
		},
	},
	"an end is told with its reason and time": {
		kept: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(call(history.LogOut, 1, minute), endedAnswer(session.LoggedOut, second))
		},
		broken: func(s *script) {
			s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
			s.did(call(history.LogOut, 1, minute), ends(session.LoggedOut, minute))
		},
	},
	"one rotates, the others repeat": {
		kept: func(s *script) {
			s.atOnce(op(refresh(1, 0, minute), rotated(1, 1, 0, minute)), op(refresh(1, 0, minute), repeated(1, 1, 0, minute)))
		},
		broken: func(s *script) {
			s.atOnce(op(refresh(1, 0, minute), rotated(1, 1, 0, minute)), op(refresh(1, 0, minute), rotated(1, 1, 0, minute)))
		},
	},
	"one successor": {
		kept: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, minute), repeated(1, 1, 0, minute))
		},
		broken: func(s *script) { // a second token for the same generation
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, minute), repeated(1, -1, 0, minute))
		},
	},
	"nobody rotates again within the grace": {
		kept: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 1, minute+44*second), repeated(1, 1, 0, minute))
		},
		broken: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 1, minute+44*second), rotated(1, 2, 0, minute+44*second))
		},
	},
	"a superseded token is theft after the grace": {
		kept: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, minute+45*second), ends(session.RefreshReused, minute+45*second))
		},
		broken: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, minute+45*second), repeated(1, 1, 0, minute))
		},
	},
	"a clock that is behind is within the grace": {
		kept: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, 30*second), repeated(1, 1, 0, minute))
		},
		broken: func(s *script) {
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(refresh(1, 0, 30*second), ends(session.RefreshReused, 30*second))
		},
	},
	"the cap holds": {
		kept: func(s *script) {
			s.atOnce(op(logIn(2, second), evicting(2, second)), op(logIn(3, second), evicting(3, second, 1)))
		},
		broken: func(s *script) {
			s.atOnce(op(logIn(2, second), evicting(2, second)), op(logIn(3, second), evicting(3, second)))
		},
	},
	"who was seen longest ago is evicted": {
		kept: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(validate(1, 0, minute), shows(1, 0, minute))
			s.did(logIn(3, minute), evicting(3, minute, 2))
		},
		broken: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(validate(1, 0, minute), shows(1, 0, minute))
			s.did(logIn(3, minute), evicting(3, minute, 1))
		},
	},
	"a role brings its limit": {
		kept: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(logIn(2, second), evicting(2, second))
			s.did(logIn(3, second), evicting(3, second))
		},
		broken: func(s *script) {
			s.did(setRoles("auditor"), done)
			s.did(logIn(2, second), evicting(2, second))
			s.did(logIn(3, second), evicting(3, second))
		},
	},
	"revoke-all leaves none": {
		kept: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(call(history.RevokeAll, 0, minute), counted(2))
			s.did(validate(2, 0, minute), endedAnswer(session.Revoked, minute))
		},
		broken: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(call(history.RevokeAll, 0, minute), counted(2))
			s.did(validate(2, 0, minute), shows(2, second, minute))
		},
	},
	"revoke-all counts what it ends": {
		kept:   func(s *script) { s.did(call(history.RevokeAll, 1, minute), counted(1)) },
		broken: func(s *script) { s.did(call(history.RevokeAll, 1, minute), counted(2)) },
	},
	"revoke-others spares one": {
		kept: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(call(history.RevokeOthers, 2, minute), counted(1))
			s.did(validate(2, 0, minute), shows(2, second, minute))
		},
		broken: func(s *script) {
			s.did(logIn(2, second), evicting(2, second))
			s.did(call(history.RevokeOthers, 2, minute), counted(1))
			s.did(validate(1, 0, minute), shows(1, 0, minute))
		},
	},
	"no login takes effect after a block": {
		kept: func(s *script) {
			s.did(call(history.Block, 0, second), done)
			s.did(logIn(2, minute), refused(session.ErrBlocked))
			s.did(call(history.Unblock, 0, minute), done)
			s.did(logIn(3, minute), evicting(3, minute))
		},
		broken: func(s *script) {
			s.did(call(history.Block, 0, second), done)
			s.did(logIn(2, minute), evicting(2, minute))
		},
	},
	"a block ends what there is": {
		kept: func(s *script) {
			s.did(call(history.Block, 0, second), done)
			s.did(validate(1, 0, minute), endedAnswer(session.AccountBlocked, second))
		},
		broken: func(s *script) {
			s.did(call(history.Block, 0, second), done)
			s.did(validate(1, 0, minute), shows(1, 0, minute))
		},
	},
	"the absolute end never moves": {
		kept: func(s *script) { s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute)) },
		broken: func(s *script) {
			a := rotated(1, 1, 0, minute)
			a.Facts.Absolute += second
			s.did(refresh(1, 0, minute), a)
		},
	},
	"an idle session is over": {
		kept:   func(s *script) { s.did(refresh(1, 0, 4*minute), endedAnswer(session.IdleTimeout, 4*minute)) },
		broken: func(s *script) { s.did(refresh(1, 0, 4*minute), rotated(1, 1, 0, 4*minute)) },
	},
	"activity is written once each interval": {
		kept:   func(s *script) { s.did(validate(1, 0, 29*second), shows(1, 0, 0)) },
		broken: func(s *script) { s.did(validate(1, 0, 29*second), shows(1, 0, 29*second)) },
	},
	"an access token expires": {
		kept:   func(s *script) { s.did(validate(1, 0, 3*minute), refused(session.ErrTokenExpired)) },
		broken: func(s *script) { s.did(validate(1, 0, 3*minute), shows(1, 0, 3*minute)) },
	},
	"one login makes one session": {
		kept:   func(s *script) { s.did(logIn(1, second), refused(session.ErrNonceSpent)) },
		broken: func(s *script) { s.did(logIn(1, second), evicting(1, second)) },
	},
	"roles hold from then on": {
		kept: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(call(history.ReadRoles, 1, second), history.Answer{Roles: "editor"})
		},
		broken: func(s *script) {
			s.did(setRoles("editor"), done)
			s.did(call(history.ReadRoles, 1, second), done)
		},
	},
	"what returned before happened before": {
		kept: func(s *script) {
			s.atOnce(op(validate(1, 0, second), endedAnswer(session.Revoked, second)), op(call(history.RevokeAll, 0, second), counted(1)))
		},
		broken: func(s *script) {
			s.did(validate(1, 0, second), endedAnswer(session.Revoked, second))
			s.did(call(history.RevokeAll, 0, second), counted(1))
		},
	},
	"a lost answer may be of something that happened late": {
		kept: func(s *script) {
			s.lost(call(history.RevokeAll, 0, second))
			s.did(validate(1, 0, 2*second), shows(1, 0, 0))
			s.did(validate(1, 0, 2*second), endedAnswer(session.Revoked, second))
		},
		broken: func(s *script) { // and then it has happened
			s.lost(call(history.RevokeAll, 0, second))
			s.did(validate(1, 0, 2*second), endedAnswer(session.Revoked, second))
			s.did(validate(1, 0, 2*second), shows(1, 0, 0))
		},
	},
	"a lost answer may be of something that never happened": {
		kept: func(s *script) {
			s.lost(call(history.LogOut, 1, second))
			s.did(call(history.RevokeAll, 0, minute), counted(1))
		},
		broken: func(s *script) { // not before it was asked for
			s.did(validate(1, 0, second), endedAnswer(session.LoggedOut, second))
			s.lost(call(history.LogOut, 1, second))
		},
	},
	"a lost answer is of something that happened once": {
		kept: func(s *script) {
			s.lost(call(history.RevokeAll, 0, second))
			s.did(validate(1, 0, second), endedAnswer(session.Revoked, second))
			s.did(logIn(2, minute), evicting(2, minute))
			s.did(validate(2, 0, minute), shows(2, minute, minute))
		},
		broken: func(s *script) {
			s.lost(call(history.RevokeAll, 0, second))
			s.did(validate(1, 0, second), endedAnswer(session.Revoked, second))
			s.did(logIn(2, minute), evicting(2, minute))
			s.did(validate(2, 0, minute), endedAnswer(session.Revoked, second))
		},
	},
	"what is asked again finds its own rotation": {
		kept: func(s *script) {
			c := refresh(1, 0, minute)
			c.Number = 7
			s.lost(c)
			s.did(refresh(1, 0, minute), repeated(1, 1, 0, minute))
			s.did(c, rotated(1, 1, 0, minute))
		},
		broken: func(s *script) { // two operations are told that they rotated
			c := refresh(1, 0, minute)
			c.Number = 7
			s.lost(c)
			s.did(refresh(1, 0, minute), rotated(1, 1, 0, minute))
			s.did(c, rotated(1, 1, 0, minute))
		},
	},
	"what is asked again counts as it did": {
		kept: func(s *script) {
			c := call(history.RevokeAll, 0, minute)
			c.Number = 7
			s.lost(c)
			s.did(validate(1, 0, minute), endedAnswer(session.Revoked, minute))
			s.did(c, counted(1))
		},
		broken: func(s *script) {
			c := call(history.RevokeAll, 0, minute)
			c.Number = 7
			s.lost(c)
			s.did(validate(1, 0, minute), endedAnswer(session.Revoked, minute))
			s.did(c, counted(0))
		},
	},
}
