package history_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/history"
	"latchkey/shared/session"
)

// Hand-made histories are of one account. Its rules are those of rules: at most two sessions, four minutes idle, twelve
// in all.

// script is a history being written by hand, one operation after the other unless it says otherwise.
type script struct{ ops []history.Operation }

// did adds an operation that begins after all before it have returned.
func (s *script) did(c history.Call, a history.Answer) {
	at := s.end()
	s.add(c, a, at+1, at+2)
}

// atOnce adds operations that all overlap each other, and nothing before them.
func (s *script) atOnce(ops ...history.Operation) {
	at := s.end()
	for i, op := range ops {
		s.add(op.Call, op.Answer, at+1+int64(i), at+100+int64(i))
	}
}

// lost adds an attempt that nobody has heard of.
func (s *script) lost(c history.Call) {
	s.add(c, history.Answer{Lost: true}, s.end()+1, 0)
}

func (s *script) end() (at int64) {
	for _, op := range s.ops {
		at = max(at, op.Called, op.Returned)
	}
	return at
}

func (s *script) add(c history.Call, a history.Answer, called, returned int64) {
	if c.Number == 0 {
		c.Number = 1000 + len(s.ops)
	}
	s.ops = append(s.ops, history.Operation{Call: c, Answer: a, Called: called, Returned: returned})
}

func (s *script) check() error {
	return history.History{Rules: rules("hand"), Operations: s.ops}.Check(time.Minute)
}

const second, minute = time.Second, time.Minute

// facts are of a session that was created and seen at these times.
func facts(number int, created, seen time.Duration) history.Facts {
	absolute := created + 12*minute
	return history.Facts{Session: number, Created: created, Seen: seen, Idle: min(seen+4*minute, absolute), Absolute: absolute}
}

func logIn(number int, now time.Duration) history.Call {
	return history.Call{Kind: history.LogIn, Session: number, Now: now}
}

func validate(number, generation int, now time.Duration) history.Call {
	return history.Call{Kind: history.Validate, Session: number, Generation: generation, Now: now}
}

func refresh(number, generation int, now time.Duration) history.Call {
	return history.Call{Kind: history.Refresh, Session: number, Generation: generation, Now: now}
}

func call(kind history.Kind, number int, now time.Duration) history.Call {
	return history.Call{Kind: kind, Session: number, Now: now}
}

func readOnly(number, generation int, now time.Duration) history.Call {
	return history.Call{Kind: history.ReadOnly, Session: number, Generation: generation, Now: now}
}

// issue asks for the ticket that a use names by this number.
func issue(ticket, number, generation int, now time.Duration) history.Call {
	return history.Call{
		Kind: history.IssueTicket, Number: ticket, Session: number, Generation: generation, Now: now,
	}
}

func use(ticket, number, use int, now time.Duration) history.Call {
	return history.Call{Kind: history.UseTicket, Ticket: ticket, Session: number, Use: use, Now: now}
}

func until(at time.Duration) history.Answer { return history.Answer{At: at} }

func setRoles(roles string) history.Call { return history.Call{Kind: history.SetRoles, Roles: roles} }

func shows(number int, created, seen time.Duration) history.Answer {
	return history.Answer{Facts: facts(number, created, seen)}
}

func rotated(number, generation int, created, seen time.Duration) history.Answer {
	return history.Answer{Generation: generation, Facts: facts(number, created, seen)}
}

func repeated(number, generation int, created, seen time.Duration) history.Answer {
	return history.Answer{Generation: generation, Repeated: true, Facts: facts(number, created, seen)}
}

func evicting(number int, now time.Duration, evicted ...int) history.Answer {
	return history.Answer{Facts: facts(number, now, now), Evicted: evicted}
}

func refused(err error) history.Answer { return history.Answer{Refused: err} }
func counted(n int) history.Answer     { return history.Answer{Count: n} }

func endedAnswer(reason session.Reason, at time.Duration) history.Answer {
	return history.Answer{Refused: history.ErrEnded, Reason: reason, At: at}
}

func ends(reason session.Reason, at time.Duration) history.Answer {
	a := endedAnswer(reason, at)
	a.ByThis = true
	return a
}

var done history.Answer

// begun is a history with session 1 in it, logged in at 0.
func begun() *script {
	s := new(script)
	s.did(logIn(1, 0), shows(1, 0, 0))
	return s
}

func op(c history.Call, a history.Answer) history.Operation {
	return history.Operation{Call: c, Answer: a}
}

func TestCheck_decides(t *testing.T) {
	all := maps.Clone(judged)
	maps.Copy(all, ticketRules)
	maps.Copy(all, accountRules)
	for rule, c := range all {
		t.Run(rule, func(t *testing.T) {
			s := begun()
			c.kept(s)
			if err := s.check(); err != nil {
				t.Errorf("kept, and refused: %v", err)
			}
			s = begun()
			c.broken(s)
			var wrong *history.Violation
			if err := s.check(); !errors.As(err, &wrong) {
				t.Errorf("broken, and the check says %v", err)
			}
		})
	}
}

// A violation names the seed and shows what does not fit in.
func TestCheck_explains(t *testing.T) {
	s := begun()
	s.did(call(history.LogOut, 1, second), ends(session.LoggedOut, second))
	s.did(validate(1, 0, 2*second), shows(1, 0, 0))
	err := history.History{Seed: 4711, Rules: rules("hand"), Operations: s.ops}.Check(time.Minute)
	var wrong *history.Violation
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "4711") || lines[2][0] != ' ' || lines[3][0] != '!' ||
		!strings.Contains(lines[3], "validate s1 g0") {
		t.Errorf("it tells\n%v", err)
	}
	path := filepath.Join(t.TempDir(), "picture.html")
	must(t, wrong.Draw(path))
	if drawn, err := os.ReadFile(path); err != nil || !strings.Contains(string(drawn), "validate s1 g0") {
		t.Errorf("the picture: %v", err)
	}
}

// What cannot be decided in time is no success. Any of 2^40 sets of changes may have happened here.
func TestCheck_undecided(t *testing.T) {
	s := begun()
	for i := range 40 {
		s.lost(setRoles(fmt.Sprint("role", i)))
	}
	s.did(call(history.ReadRoles, 1, 0), history.Answer{Roles: "none of them"})
	if err := (history.History{Rules: rules("hand"), Operations: s.ops}).Check(time.Millisecond); !errors.Is(err, history.ErrUndecided) {
		t.Errorf("it says %v", err)
	}
}
