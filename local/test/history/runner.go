package history

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/redis/go-redis/v9"

	"latchkey/shared/seal"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Runner executes operations on a Redis, each with its own store at the clock
// of its caller, and returns the answers in the words of the model. It is safe
// for concurrent use.
type Runner struct {
	client redis.UniversalClient
	ring   *seal.Ring
	opts   session.Options
	book   *book
	state  bool // store state in the sessions that are validated
}

// begin is the beginning of every history.
var begin = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// eventsKept is how many events an account's activity holds. A history has
// fewer.
const eventsKept = 5000

// visitor is the one client that uses all sessions.
var visitor = session.Client{
	Transport: session.Bearer,
	Device:    session.Device{Browser: "Firefox", OS: "Linux", Class: session.Desktop},
}

// observer is the same client, read-only. Its operations are one script each, so
// that each happens at one moment.
var observer = session.Client{
	Transport: visitor.Transport, Device: visitor.Device, ReadOnly: true,
}

// NewRunner returns a runner. The client must not have been used yet and must
// not retry on its own; the runner adds a hook to it. The options are the
// rules, with a prefix that only this runner uses. Their session limits must
// not include one for the admin role.
func NewRunner(client redis.UniversalClient, opts session.Options) (*Runner, error) {
	secret := make([]byte, 64)
	rand.Read(secret)
	key := seal.EnvironmentKey(secret[:32], secret[32:])
	ring, err := seal.NewRing(opts.Prefix, secret[:32], key)
	if err != nil {
		return nil, err
	}
	opts.DevicePolicy, opts.NetworkPolicy = session.PolicyOff, session.PolicyOff
	opts.NonceRate, opts.LoginRate, opts.RefreshRate = 0, 0, 0
	opts.ActivityMax, opts.ActivityKeep = eventsKept, 1000*24*time.Hour
	watch(client)
	return &Runner{client: client, ring: ring, opts: opts, book: newBook()}, nil
}

// Store returns a store whose clock shows now, as time since the beginning of
// the history.
func (r *Runner) Store(now time.Duration) *session.Store {
	return session.NewStore(r.client, r.ring, r.opts, func() time.Time { return begin.Add(now) })
}

// Ring returns the keys with which the stores seal.
func (r *Runner) Ring() *seal.Ring { return r.ring }

// Attempts are the attempts at an operation whose own answers did not arrive.
// Ran took effect, and Unknown may have.
type Attempts struct{ Ran, Unknown int }

// Do does what a call requests, with a fault. This runner must have handed out
// the tokens that the call presents. Do also returns the attempts that were
// lost. If the answer is lost, there are no other attempts.
func (r *Runner) Do(ctx context.Context, c Call, f Fault) (Answer, Attempts) {
	t := &trial{fault: f}
	if c.Kind == LogIn {
		t.sending = func(args []any) { r.nameLogin(c, args) }
	}
	a, err := r.do(t.in(ctx), r.Store(c.Now), c)
	var over *session.EndedError
	var rate *session.RateError
	switch {
	case errors.Is(err, session.ErrUnavailable):
		a = Answer{Lost: true}
	case errors.As(err, &over):
		a = Answer{
			Refused: ErrEnded, Reason: over.Reason, At: over.At.Sub(begin), ByThis: over.ByThis,
		}
	case errors.As(err, &rate):
		a = Answer{Refused: ErrTickets, At: c.Now + rate.Retry}
	case err != nil:
		a = Answer{Refused: plain(err)}
	}
	unheard := Attempts{Ran: int(t.ran.Load()), Unknown: int(t.unknown.Load())}
	if c.Kind == Block || c.Kind == SetRoles || c.Kind == Erase {
		// The script does nothing if it finds other roles or sessions than were
		// read before, and is then sent again.
		unheard = Attempts{Unknown: unheard.Ran + unheard.Unknown}
	}
	return a, unheard
}

// plain returns the sentinel that an error wraps, or the error itself if it is
// not one that a caller may expect.
func plain(err error) error {
	for _, known := range []error{
		token.ErrInvalid, session.ErrTokenExpired, session.ErrBlocked, session.ErrSessionLimit,
		session.ErrNonceSpent, session.ErrTicketUsed,
	} {
		if errors.Is(err, known) && !errors.Is(err, session.ErrDamaged) {
			return known
		}
	}
	return err
}

func (r *Runner) do(ctx context.Context, s *session.Store, c Call) (Answer, error) {
	pair := r.book.grant(c)
	id := pair.Session.ID
	switch c.Kind {
	case LogIn:
		g, err := s.Create(ctx, r.login(c))
		return r.granted(c, g, err)
	case Validate:
		a, err := s.Validate(ctx, pair.AccessToken, visitor)
		if err == nil && r.state {
			storeState(ctx, s, a)
		}
		return r.opened(a), err
	case ReadOnly:
		a, err := s.Validate(ctx, pair.AccessToken, observer)
		return r.opened(a), err
	case Refresh:
		g, err := s.Refresh(ctx, pair.RefreshToken, visitor)
		return r.granted(c, g, err)
	case LogOut:
		over, err := s.Revoke(ctx, id, session.LoggedOut, session.Change{Actor: visitor.Actor()})
		if err == nil {
			err = over
		}
		return Answer{}, err
	case RevokeAll:
		return r.revokeAll(ctx, s, c, id)
	case RevokeOthers:
		n, err := s.RevokeOthers(ctx, id, session.Revoked, visitor.Actor())
		return Answer{Count: n}, err
	case IssueTicket:
		return r.issueTicket(ctx, s, c, pair)
	case UseTicket:
		a, err := s.UseTicket(ctx, r.book.ticket(c), useOf(c), observer)
		return r.opened(a), err
	}
	return r.administer(ctx, s, c)
}

// opened returns what a token or a ticket has opened.
func (r *Runner) opened(a session.Access) Answer {
	return Answer{Facts: r.book.facts(a.Session), Roles: joined(a.User)}
}

func (r *Runner) issueTicket(
	ctx context.Context, s *session.Store, c Call, pair session.Grant,
) (Answer, error) {
	access := session.Access{Session: session.Session{ID: pair.Session.ID}}
	text, expires, err := s.IssueTicket(ctx, access, pair.AccessToken)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{At: expires.Sub(begin)}
	r.book.takeTicket(c, text, a.At)
	return a, nil
}

func useOf(c Call) (use session.TicketUse) {
	binary.BigEndian.PutUint64(use[:], uint64(c.Use))
	return use
}

// storeState stores state in a session, so that there is something that must
// end with it. It may fail, and the faults of the operation do not apply to it.
func storeState(ctx context.Context, s *session.Store, a session.Access) {
	_, _ = s.PutState((*trial)(nil).in(ctx), a, "form", []byte(`{}`), 0, session.StateCondition{})
}

// administer does the operations that need no token.
func (r *Runner) administer(ctx context.Context, s *session.Store, c Call) (Answer, error) {
	user := s.UserOf(accountOf(c.Account))
	change := session.Change{Actor: visitor.Actor(), Note: c.Note}
	if c.Number%2 == 0 { // otherwise by the id alone
		change.Account = accountOf(c.Account)
	}
	switch c.Kind {
	case Block:
		return Answer{}, s.Block(ctx, user, change)
	case Unblock:
		return Answer{}, s.Unblock(ctx, user, change)
	case SetRoles:
		_, err := s.SetRoles(ctx, user, split(c.Roles), change)
		return Answer{}, err
	case Erase:
		return Answer{}, s.Erase(ctx, user, change)
	case List:
		all, err := list(ctx, s, c.Query)
		return listAnswer(c.Account, all[user]), err
	case Sweep:
		_, err := s.Sweep(ctx)
		return Answer{}, err
	case ReadAccount:
		return r.account(ctx, s, c.Account)
	case ReadActivity:
		events, err := r.Activity(ctx, s, c.Account)
		return Answer{Count: len(events), Digest: Digest(events...)}, err
	}
	return Answer{}, fmt.Errorf("unknown kind of operation: %v", c.Kind)
}

func (r *Runner) revokeAll(
	ctx context.Context, s *session.Store, c Call, witness token.ID,
) (Answer, error) {
	if c.Session == 0 {
		user := s.UserOf(accountOf(c.Account))
		n, err := s.RevokeAllOf(ctx, user, session.Revoked, session.Change{Actor: visitor.Actor()})
		return Answer{Count: n}, err
	}
	n, err := s.RevokeAll(ctx, witness, session.Revoked, visitor.Actor())
	return Answer{Count: n}, err
}

func (r *Runner) account(ctx context.Context, s *session.Store, account int) (Answer, error) {
	all, err := s.Account(ctx, s.UserOf(accountOf(account)))
	if errors.Is(err, session.ErrNotFound) {
		return Answer{}, nil
	}
	a := Answer{Roles: joined(all.User), Note: all.Note}
	if isAnother(all.User, account) {
		a.Roles = anotherAccount
	}
	if a.Blocked = !all.BlockedAt.IsZero(); a.Blocked {
		a.BlockedAt = all.BlockedAt.Sub(begin)
	}
	for _, one := range all.Sessions {
		a.Sessions = append(a.Sessions, r.book.facts(one))
	}
	return a, err
}

// Activity returns an account's events, newest first.
func (r *Runner) Activity(ctx context.Context, s *session.Store, account int) ([]Event, error) {
	stored, _, err := s.Activity(ctx, s.UserOf(accountOf(account)), "", eventsKept)
	var all []Event
	for _, e := range stored {
		all = append(all, Event{
			Type: e.Type, At: e.Time.Sub(begin),
			Session: r.book.number(e.Session), Reason: e.Reason,
			Before: strings.Join(e.RolesBefore, ","), After: strings.Join(e.RolesAfter, ","),
		})
	}
	return all, err
}

func (r *Runner) login(c Call) session.Login {
	presented := r.book.grant(Call{Session: c.Presented}).AccessToken
	return session.Login{
		Nonce: fmt.Sprint("login ", c.Session), Account: accountOf(c.Account), ChainID: 1,
		Client: visitor, Presented: presented,
	}
}

// granted records what was handed out, and returns it as an answer.
func (r *Runner) granted(c Call, g session.Grant, err error) (Answer, error) {
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Generation: r.book.take(c, g), Repeated: g.Repeated}
	a.Facts = r.book.facts(g.Session)
	for _, id := range g.Evicted {
		a.Evicted = append(a.Evicted, r.book.number(id))
	}
	return a, nil
}

// nameLogin records the id of the session that a login creates, before the
// script is sent: others may see the session before the answer arrives, or if
// it never does. The sixth key is that of the payload, which ends in the
// session part of the id.
func (r *Runner) nameLogin(c Call, args []any) {
	id := token.ID{User: r.Store(c.Now).UserOf(accountOf(c.Account))}
	if key, ok := args[3+5].(string); ok && len(key) > len(id.Session) {
		copy(id.Session[:], key[len(key)-len(id.Session):])
	}
	r.book.name(id, c.Session)
}

// accountOf returns the store's account for one of a history.
func accountOf(account int) token.Account {
	return token.KeyAccount(common.BytesToAddress(binary.BigEndian.AppendUint64([]byte("history"), uint64(account))))
}

func joined(u session.User) string { return strings.Join(u.Roles, ",") }

func split(roles string) []string {
	if roles == "" {
		return nil
	}
	return strings.Split(roles, ",")
}
