package session

import (
	"context"
	"encoding/base64"
	"net/netip"
	"time"

	"latchkey/shared/seal"
)

// change is one run of a script that changes a subject's record, and with it, in the same step, the bucket's counters
// and index and the subject's activity.
type change struct {
	user UserID
	op   operation
	now  time.Time
	by   By
	// keys and args are the script's own, behind those that all have.
	keys []string
	args []any
}

// newChange begins one.
func (s *Store) newChange(user UserID, by By) change {
	return change{user: user, op: newOperation(), now: s.now(), by: by}
}

// change runs a script and hands on the events that it wrote.
func (s *Store) change(ctx context.Context, script script, c change) (reply, error) {
	detail, err := s.sealBy(c.user, c.op, c.now, c.by)
	if err != nil {
		return nil, err
	}
	args := append([]any{
		millis(c.now), c.op[:], c.user[:], detail, s.opts.ActivityMax, ceilMillis(s.opts.ActivityKeep),
	}, c.args...)
	r, told, err := s.tell(ctx, script, append(s.subjectKeys(c.user), c.keys...), args...)
	if err != nil {
		return nil, err
	}
	return r, s.audit(ctx, told, c.by)
}

// Sizes of an event: its head, see emit in lua/lib/events.lua, and with the user id in front as scripts tell it.
const (
	eventHead = 1 + 6 + opSize + 1 + 16 + 1
	eventTold = 16 + eventHead
)

// audit tells of the events that a script wrote.
func (s *Store) audit(ctx context.Context, told string, by By) error {
	if len(told)%eventTold != 0 {
		return ErrDamaged
	}
	for ; told != "" && s.opts.Audit != nil; told = told[eventTold:] {
		e := eventOf(UserID([]byte(told[:16])), told[16:eventTold])
		if e.Reason != IdleTimeout && e.Reason != AbsoluteTimeout {
			e.By = by
		}
		s.opts.Audit(ctx, e)
	}
	return nil
}

// eventOf reads the head of an event.
func eventOf(user UserID, head string) Event {
	e := Event{User: user, ID: base64.RawURLEncoding.EncodeToString([]byte(head[1 : 2+6+opSize]))}
	r := reader{head}
	e.Type, e.Time = EventType(r.byte()), r.time()
	r.skip(opSize + 1)
	e.Session.User = user
	r.into(e.Session.Random[:])
	if what := r.byte(); e.Type == EventEnded {
		e.Reason = Reason(what)
	} else {
		e.Verdict = Policy(what)
	}
	return e
}

// sealBy hides who asks from whoever reads Redis. It is bound to account and operation: every event of one operation
// carries the same, and no other can be given it. Nobody is nothing.
func (s *Store) sealBy(user UserID, op operation, now time.Time, by By) ([]byte, error) {
	if by == (By{}) || s.opts.ActivityMax == 0 {
		return []byte{}, nil
	}
	ip, device := by.IP.AsSlice(), by.Device[:min(len(by.Device), 255)]
	plain := append([]byte{byte(len(ip))}, ip...)
	plain = append(append(plain, byte(len(device))), device...)
	if by.Actor != (UserID{}) {
		plain = append(plain, by.Actor[:]...)
	}
	return s.keys.Seal(s.keys.Current(now), activityOf(user, string(op[:])), plain)
}

// openBy reads it back. What does not open, such as after its key was removed, is nobody.
func (s *Store) openBy(ctx context.Context, user UserID, op, sealed string) By {
	plain, err := s.open(ctx, activityOf(user, op), []byte(sealed))
	if err != nil {
		return By{}
	}
	ip, rest, ok := field(plain)
	device, actor, also := field(rest)
	if !ok || !also {
		return By{}
	}
	by := By{Device: string(device)}
	by.IP, _ = netip.AddrFromSlice(ip)
	if len(actor) == len(by.Actor) {
		by.Actor = UserID(actor)
	}
	return by
}

// field takes a length byte and that many bytes off the front.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}

func activityOf(user UserID, op string) seal.Record {
	return seal.Record{Kind: "activity", Owner: user[:], Facts: []byte(op)}
}
