package session

import (
	"context"
	"encoding/base64"
	"net/netip"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// transaction is one run of a script that changes a subject's record. In the
// same step the script changes the partition's counters and index, and the
// subject's activity.
type transaction struct {
	user  token.UserID
	idem  script.IdempotencyKey
	now   time.Time
	actor Actor
	// account is the account of user, or zero if the change does not know it.
	account token.Account
	// roles are the roles before and after the change; nil if it sets none.
	roles *rolesChange
	// keys and args are the script's own. They follow those that all scripts
	// share.
	keys []string
	args []any
}

// newTransaction returns a transaction with a new idempotency key and the
// current time.
func (s *Store) newTransaction(user token.UserID, actor Actor) transaction {
	return transaction{user: user, idem: script.NewIdempotencyKey(), now: s.now(), actor: actor}
}

// newAccountTransaction is newTransaction for a script that changes an account
// or all its sessions: its own keys begin with those of accountKeys.
func (s *Store) newAccountTransaction(user token.UserID, change Change, args ...any) transaction {
	c := s.newTransaction(user, change.Actor)
	c.account = change.Account
	c.keys, c.args = s.accountKeys(user, c.idem), args
	return c
}

// commit runs a script, and calls Options.Audit for the events that it emitted.
func (s *Store) commit(
	ctx context.Context, lua *script.Script, c transaction,
) (script.Reply, error) {
	sealedActor, err := s.sealActor(c.user, c.idem, c.now, c.actor)
	if err != nil {
		return nil, err
	}
	detail, err := s.sealDetail(c)
	if err != nil {
		return nil, err
	}
	about, err := s.sealOutgoing(c)
	if err != nil {
		return nil, err
	}
	args := append(make([]any, 0, len(c.args)+10), // with the one that running it adds
		millis(c.now), c.idem[:], c.user[:], sealedActor,
		s.opts.ActivityMax, ceilMillis(s.opts.ActivityKeep))
	args = append(append(args, c.args...), about, detail, ceilMillis(s.opts.PreferencesKeep))
	keys := append(append(s.subjectKeys(c.user), c.keys...), s.outboxKeys(partitionOf(c.user))...)
	r, emitted, err := s.runEmitting(ctx, lua, keys, args...)
	if err != nil {
		return nil, err
	}
	s.hint(ctx, emitted)
	err = s.audit(ctx, emitted, c)
	s.unlinkLeft(ctx, s.leftBy(emitted, c.keys))
	return r, err
}

// Sizes of an event in bytes: its head, see emit in lua/lib/events.lua, and the
// emitted event, which is the user id and the head.
const (
	eventHeadSize = 1 + 6 + script.KeySize + 1 + 16 + 1
	emittedSize   = 16 + eventHeadSize
)

// audit calls Options.Audit for the emitted events of a transaction. Nobody
// asks for an end by timeout, so its event has no actor.
func (s *Store) audit(ctx context.Context, emitted string, c transaction) error {
	if len(emitted)%emittedSize != 0 {
		return ErrDamaged
	}
	for ; emitted != "" && s.opts.Audit != nil; emitted = emitted[emittedSize:] {
		e := eventOf(token.UserID([]byte(emitted[:16])), emitted[16:emittedSize])
		if e.Account = c.account; e.Reason != IdleTimeout && e.Reason != AbsoluteTimeout {
			e.Actor = c.actor
		}
		if e.Type == EventRoles && c.roles != nil {
			e.RolesBefore, e.RolesAfter = c.roles.before, c.roles.after
		}
		s.opts.Audit(ctx, e)
	}
	return nil
}

// eventOf decodes the head of an event.
func eventOf(user token.UserID, head string) Event {
	e := Event{
		User: user,
		ID:   base64.RawURLEncoding.EncodeToString([]byte(head[1 : 2+6+script.KeySize])),
	}
	r := reader{head}
	e.Type, e.Time = EventType(r.byte()), r.time()
	r.skip(script.KeySize + 1)
	e.Session.User = user
	r.into(e.Session.Session[:])
	if what := r.byte(); e.Type == EventEnded {
		e.Reason = Reason(what)
	} else {
		e.PolicyResult = Policy(what)
	}
	return e
}

// sealActor seals the actor, so that readers of Redis do not learn who asked.
// The sealed bytes are bound to account and idempotency key: all events of one
// change carry the same bytes, and they do not open for another change. A zero
// actor is stored as nothing.
func (s *Store) sealActor(
	user token.UserID, idem script.IdempotencyKey, now time.Time, actor Actor,
) ([]byte, error) {
	if actor == (Actor{}) || s.opts.ActivityMax == 0 {
		return []byte{}, nil
	}
	ip, device := actor.IP.AsSlice(), actor.Device[:min(len(actor.Device), 255)]
	plain := append([]byte{byte(len(ip))}, ip...)
	plain = append(append(plain, byte(len(device))), device...)
	if actor.User != (token.UserID{}) {
		plain = append(plain, actor.User[:]...)
	}
	return s.keys.Seal(s.keys.Current(now), activityOf(user, string(idem[:])), plain)
}

// openActor opens what sealActor sealed. It returns a zero Actor if that does
// not open, for example because its key was removed from the key ring.
func (s *Store) openActor(ctx context.Context, user token.UserID, idem, sealed string) Actor {
	plain, err := s.open(ctx, activityOf(user, idem), []byte(sealed))
	if err != nil {
		return Actor{}
	}
	ip, rest, ok := field(plain)
	device, account, also := field(rest)
	if !ok || !also {
		return Actor{}
	}
	actor := Actor{Device: string(device)}
	actor.IP, _ = netip.AddrFromSlice(ip)
	if len(account) == len(actor.User) {
		actor.User = token.UserID(account)
	}
	return actor
}

// field takes a length byte, and that many bytes, off the front. It reports
// whether b has that many.
func field(b []byte) (value, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}

func activityOf(user token.UserID, idem string) seal.Record {
	return seal.Record{Kind: "activity", Owner: user[:], Facts: []byte(idem)}
}
