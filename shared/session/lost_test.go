package session_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// scriptsOfStory is how many scripts the story runs.
const scriptsOfStory = 36

// story is one of each operation, on the given store; a step is the time that passes between them.
func story(t *testing.T, w *world, s *session.Store) {
	t.Helper()
	nonce, _, err := s.IssueNonce(ctx, terms)
	must(t, err)
	must(t, s.SpendNonce(ctx, nonce, terms))
	wants(t, s.SpendNonce(ctx, nonce, terms), session.ErrNonceSpent)

	var all []session.Grant
	for i := range 7 { // two beyond the limit
		g, err := s.Create(ctx, session.Login{Nonce: nonce + string(rune('a'+i)), Account: token.KeyAccount(alice), Client: laptop})
		must(t, err)
		if want := max(0, min(1, i-4)); len(g.Evicted) != want {
			t.Errorf("login %d evicted %d, want %d", i, len(g.Evicted), want)
		}
		all = append(all, g)
		w.clock.add(time.Second)
	}
	w.clock.add(time.Minute)
	read, err := s.Validate(ctx, all[3].AccessToken, laptop) // with a touch
	must(t, err)
	if !read.Session.LastSeenAt.Equal(w.clock.now()) {
		t.Error("not touched")
	}
	ticket, _, err := s.IssueTicket(ctx, read, all[3].AccessToken)
	must(t, err)
	_, err = s.UseTicket(ctx, ticket, use("once"), handshake(laptop))
	must(t, err)
	_, err = s.UseTicket(ctx, ticket, use("again"), handshake(laptop))
	wants(t, err, session.ErrTicketUsed)
	next, err := s.Refresh(ctx, all[3].RefreshToken, laptop)
	must(t, err)
	if next.Repeated {
		t.Error("the operation that rotated is told that it repeated")
	}
	repeat, err := s.Refresh(ctx, all[3].RefreshToken, laptop)
	must(t, err)
	if !repeat.Repeated || repeat.RefreshToken != next.RefreshToken || w.generation(next) != 1 {
		t.Error("the repeat was not recognised")
	}
	w.clock.add(time.Minute)
	_, err = s.Refresh(ctx, all[3].RefreshToken, laptop)
	if !wantsEnded(t, err, session.RefreshReused).ByThis {
		t.Error("the operation that found the theft is not told so")
	}
	over, err := s.Revoke(ctx, all[4].Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
	must(t, err)
	if !over.ByThis {
		t.Error("the operation that ended the session is not told so")
	}
	n, err := s.RevokeAll(ctx, all[4].Session.ID, session.Revoked, laptop.Actor())
	must(t, err)
	if n != 3 || w.stored(all[0]).Epoch != 1 {
		t.Errorf("ended %d, epoch %d", n, w.stored(all[0]).Epoch)
	}
	storyOfAccount(t, w, s)
}

// storyOfAccount is what happens to a session that is held and to an account as a whole.
func storyOfAccount(t *testing.T, w *world, s *session.Store) {
	t.Helper()
	login := func(nonce string) session.Grant {
		t.Helper()
		g, err := s.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(bob), Client: laptop})
		must(t, err)
		return g
	}
	g, spare := login("one"), login("two")
	_, err := s.Validate(ctx, g.AccessToken, phone) // with both policy results
	wants(t, err, session.ErrStepUp)
	a, err := s.Inspect(ctx, g.AccessToken, session.Cookie)
	must(t, err)
	up, err := s.StepUp(ctx, a, phone, nil)
	must(t, err)
	if _, err := s.Validate(ctx, up.AccessToken, phone); err != nil {
		t.Errorf("after a step-up %v", err)
	}
	if n, err := s.RevokeOthers(ctx, g.Session.ID, session.Revoked, phone.Actor()); err != nil || n != 1 {
		t.Errorf("ended %d others, %v", n, err)
	}
	w.dead(spare)
	admin := session.Actor{User: s.UserOf(token.KeyAccount(alice))}
	user, err := s.SetRoles(ctx, s.UserOf(token.KeyAccount(bob)), []string{"admin", "editor"}, session.Change{Actor: admin, KeepAdmin: true})
	must(t, err)
	if len(user.Roles) != 2 {
		t.Errorf("roles are %q", user.Roles)
	}
	_, err = s.SetRoles(ctx, s.UserOf(token.KeyAccount(bob)), nil, session.Change{Actor: admin, KeepAdmin: true})
	wants(t, err, session.ErrLastAdmin)
	_, err = s.SetRoles(ctx, s.UserOf(token.KeyAccount(bob)), nil, session.Change{Actor: admin})
	must(t, err)
	must(t, s.Block(ctx, s.UserOf(token.KeyAccount(bob)), session.Change{Actor: admin}))
	_, err = s.Create(ctx, session.Login{Nonce: "three", Account: token.KeyAccount(bob), Client: laptop})
	wants(t, err, session.ErrBlocked)
	must(t, s.Unblock(ctx, s.UserOf(token.KeyAccount(bob)), session.Change{Actor: admin}))
	last := login("four")
	must(t, s.AddAction(ctx, w.looked(session.EventAccountViewed, token.KeyAccount(bob))))
	must(t, s.Erase(ctx, last.User.ID, session.Change{Actor: admin, KeepAdmin: true}))
	w.dead(last)
}

// Invariant 8: every script run twice with the same arguments gives the same answer and the same state.
func TestScripts_twice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		var doubled atomic.Int64
		story(t, w, w.on(w.doubling(t, &doubled), w.clock))
		if n := doubled.Load(); n != scriptsOfStory {
			t.Errorf("%d scripts ran twice, want %d", n, scriptsOfStory)
		}
	})
}

// Invariant 8, attack case 39: a reply that is lost after the script ran is asked for again, and nobody notices.
func TestScripts_lostReply(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		var lost atomic.Int64
		story(t, w, w.on(w.losing(&lost), w.clock))
		if n := lost.Load(); n != scriptsOfStory {
			t.Errorf("%d replies were lost, want %d", n, scriptsOfStory)
		}
	})
}

// Attack case 63: a script cache that is flushed before every call costs a trip and nothing else. The cluster among the
// engines refuses a script whose keys are of two slots, or undeclared, and then the test fails; see redistest.Cluster.
func TestScripts_flushedBetween(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if cmd.Name() == "evalsha" {
				w.flushScripts()
			}
			return next(ctx, cmd)
		}), w.clock)
		story(t, w, s)
	})
}

func TestStore_retriesOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		for _, message := range []string{
			"TRYAGAIN Multiple keys request during rehashing of slot", "ASK 1 127.0.0.1:1", "MOVED 1 127.0.0.1:1",
		} {
			_, _, err := w.on(w.failing(message, 1), w.clock).IssueNonce(ctx, terms)
			must(t, err)
			_, _, err = w.on(w.failing(message, 2), w.clock).IssueNonce(ctx, terms)
			wants(t, err, session.ErrUnavailable)
			_, err = w.on(w.failing(message, 1), w.clock).Check(ctx)
			must(t, err)
		}
	})
}

// Asking again is for a dead connection. It helps nobody once the caller is gone, and it would wait for a full pool twice.
func TestStore_retriesOnlyWhatHelps(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	dead := &net.OpError{Op: "read", Err: io.EOF}
	for name, c := range map[string]struct {
		err   error
		gone  bool
		calls int
	}{
		"dead connection": {err: dead, calls: 2},
		"caller gone":     {err: dead, gone: true, calls: 1},
		"pool timeout":    {err: redis.ErrPoolTimeout, calls: 1},
		"closed client":   {err: redis.ErrClosed, calls: 1},
		"not our turn":    {err: replyError("LOADING Redis is loading the dataset in memory"), calls: 1},
	} {
		for idem, call := range map[string]func(context.Context, *session.Store) error{
			"nonce":  func(ctx context.Context, s *session.Store) error { _, _, err := s.IssueNonce(ctx, terms); return err },
			"health": func(ctx context.Context, s *session.Store) error { _, err := s.Check(ctx); return err },
			"script": func(ctx context.Context, s *session.Store) error { return s.SpendNonce(ctx, "any", terms) },
		} {
			t.Run(name+"/"+idem, func(t *testing.T) {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				calls := 0
				err := call(ctx, w.on(w.hooked(func(_ redis.ProcessHook, _ context.Context, cmd redis.Cmder) error {
					if calls++; c.gone {
						cancel()
					}
					cmd.SetErr(c.err)
					return c.err
				}), w.clock))
				if wants(t, err, session.ErrUnavailable); calls != c.calls {
					t.Errorf("asked %d times, want %d", calls, c.calls)
				}
			})
		}
	}
}

func TestStore_unavailable(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	for _, message := range []string{
		"READONLY You can't write against a read only replica.", "LOADING Redis is loading the dataset in memory",
		"MOVED 3999 127.0.0.1:6381", "CLUSTERDOWN The cluster is down", "OOM command not allowed when used memory > 'maxmemory'.",
		"NOPERM this user has no permissions", "NOAUTH Authentication required.", "WRONGPASS invalid username-password pair",
		"MISCONF Redis is configured to save RDB snapshots", "ERR max number of clients reached",
		"ERR The user executing the script can't access at least one of the keys mentioned in the script",
		"ERR Script attempted to access a non local key in a cluster node", "TRYAGAIN Multiple keys request during rehashing of slot",
		"ASK 3999 127.0.0.1:6381", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"BUSY Redis is busy running a script.", "NOREPLICAS Not enough good replicas to write.",
		"EXECABORT Transaction discarded because of previous errors.",
		"UNKILLABLE Sorry the script already executed write commands against the dataset.",
	} {
		_, err := w.on(w.failing(message, 9), w.clock).Check(ctx)
		wants(t, err, session.ErrUnavailable)
		_, _, err = w.on(w.failing(message, 9), w.clock).IssueNonce(ctx, terms)
		wants(t, err, session.ErrUnavailable)
	}
	_, _, err := w.on(w.failing("WRONGTYPE Operation against a key holding the wrong kind of value", 9), w.clock).IssueNonce(ctx, terms)
	if err == nil || errors.Is(err, session.ErrUnavailable) {
		t.Errorf("a defect is told as %v", err)
	}
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer gone.Close()
	_, _, err = w.on(gone, w.clock).IssueNonce(ctx, terms)
	wants(t, err, session.ErrUnavailable)
	short, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
	defer cancel()
	_, _, err = w.IssueNonce(short, terms)
	if wants(t, err, session.ErrUnavailable); !strings.Contains(err.Error(), "deadline") {
		t.Errorf("%v does not name its cause", err)
	}
}
