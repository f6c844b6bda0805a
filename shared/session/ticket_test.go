package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// use names a use of a ticket in these tests.
func use(name string) (u session.TicketUse) {
	copy(u[:], name)
	return u
}

// ticketOf issues a ticket by the access token of a grant.
func (w *world) ticketOf(g session.Grant) string {
	w.t.Helper()
	ticket, expires, err := w.IssueTicket(ctx, w.opens(g), g.AccessToken)
	must(w.t, err)
	if !strings.HasPrefix(ticket, "lkt_") || !expires.After(w.clock.now()) || expires.Sub(w.clock.now()) > session.TicketLife {
		w.t.Errorf("a ticket %.4s… that expires at %v", ticket, expires)
	}
	return ticket
}

// handshake is a client as a browser's WebSocket shows it.
func handshake(c session.Client) session.Client {
	c.NoDeviceID = true
	return c
}

func TestTicket(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		ticket := w.ticketOf(g)
		emitted = nil
		a, err := w.UseTicket(ctx, ticket, use("first"), handshake(laptop))
		must(t, err)
		if a.Session.ID != g.Session.ID || a.Session.Account != token.KeyAccount(alice) || a.User.ID != g.Session.ID.User {
			t.Errorf("it opens %+v", a.Session)
		}
		// The gateway's own retry is no second use.
		_, err = w.UseTicket(ctx, ticket, use("first"), handshake(laptop))
		must(t, err)
		if len(emitted) != 0 {
			t.Errorf("a use emitted %+v", emitted)
		}
		for range 3 {
			_, err = w.UseTicket(ctx, ticket, use("second"), handshake(phone))
			wants(t, err, session.ErrTicketUsed)
		}
		if len(emitted) != 1 || emitted[0].Type != session.EventTicketReused || emitted[0].Session != g.Session.ID || emitted[0].Outcome() != "denied" || emitted[0].Actor.Device != "Phone" {
			t.Errorf("three second uses emitted %+v, want one event", emitted)
		}
		list, _, err := w.Activity(ctx, g.Session.ID.User, "", 10)
		must(t, err)
		if list[0].Type != session.EventTicketReused || list[0].Type.String() != "ticket.reused" {
			t.Errorf("the activity begins with %v", list[0].Type)
		}
		// The first user may repeat even then, and the session lives.
		_, err = w.UseTicket(ctx, ticket, use("first"), handshake(laptop))
		must(t, err)
		w.opens(g)
	})
}

// Of a hundred that use one ticket at once, one gets in.
func TestTicket_race(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var seen atomic.Int64
		w := newWorld(t, r, func(o *session.Options) {
			o.Audit = func(_ context.Context, e session.Event) {
				if e.Type == session.EventTicketReused {
					seen.Add(1)
				}
			}
		})
		ticket := w.ticketOf(w.signIn(alice, laptop))
		var in, used atomic.Int64
		together(100, func(i int) {
			switch _, err := w.UseTicket(ctx, ticket, use(fmt.Sprint(i)), handshake(laptop)); {
			case err == nil:
				in.Add(1)
			case errors.Is(err, session.ErrTicketUsed):
				used.Add(1)
			default:
				t.Error(err)
			}
		})
		if in.Load() != 1 || used.Load() != 99 || seen.Load() != 1 {
			t.Errorf("%d got in, %d were refused, %d events", in.Load(), used.Load(), seen.Load())
		}
	})
}

// A lost reply changes nothing: the tenth ticket is issued, a use opens the session, and a second use is seen once.
func TestTicket_lostReply(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		var emitted []session.Event
		w := newWorld(t, r, listening(&emitted))
		g := w.signIn(alice, laptop)
		a := w.opens(g)
		for range session.MaxTickets - 1 {
			w.ticketOf(g)
		}
		var lost atomic.Int64
		s := w.on(w.losing(&lost), w.clock)
		ticket, _, err := s.IssueTicket(ctx, a, g.AccessToken)
		must(t, err)
		emitted = nil
		_, err = s.UseTicket(ctx, ticket, use("first"), handshake(laptop))
		must(t, err)
		_, err = s.UseTicket(ctx, ticket, use("second"), handshake(laptop))
		wants(t, err, session.ErrTicketUsed)
		if n := lost.Load(); n != 3 || len(emitted) != 1 || emitted[0].Type != session.EventTicketReused {
			t.Errorf("%d replies were lost, %+v emitted", n, emitted)
		}
	})
}

// A second use is recorded after the end of the ticket, too, and after that of the access token.
func TestTicket_usedAndExpired(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		for name, later := range map[string]func(*world, session.Grant){
			"the ticket": func(w *world, _ session.Grant) { w.clock.add(session.TicketLife) },
			"the access token": func(w *world, g session.Grant) {
				_, err := w.StepUp(ctx, w.opens(g), laptop, nil)
				must(w.t, err)
			},
		} {
			t.Run(name, func(t *testing.T) {
				var emitted []session.Event
				w := newWorld(t, r, listening(&emitted))
				g := w.signIn(alice, laptop)
				ticket := w.ticketOf(g)
				_, err := w.UseTicket(ctx, ticket, use("first"), handshake(laptop))
				must(t, err)
				later(w, g)
				emitted = nil
				for range 2 {
					_, err = w.UseTicket(ctx, ticket, use("second"), handshake(laptop))
					wants(t, err, session.ErrTicketUsed)
				}
				if len(emitted) != 1 || emitted[0].Type != session.EventTicketReused {
					t.Errorf("emitted %+v", emitted)
				}
			})
		}
	})
}

// A request for a ticket that the network delivers once more makes no used ticket new, even if the clock of another
// function is ahead and has seen it expire.
func TestTicket_late(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a := w.opens(g)
		var sent []any
		s := w.on(w.hooked(func(next redis.ProcessHook, ctx context.Context, cmd redis.Cmder) error {
			if cmd.Name() == "evalsha" {
				sent = slices.Clone(cmd.Args())
			}
			return next(ctx, cmd)
		}), w.clock)
		ticket, _, err := s.IssueTicket(ctx, a, g.AccessToken)
		must(t, err)
		_, err = w.UseTicket(ctx, ticket, use("first"), handshake(laptop))
		must(t, err)
		_, _, err = w.on(w.product, w.clock.behind(-time.Minute)).IssueTicket(ctx, a, g.AccessToken)
		must(t, err)
		must(t, w.product.Do(ctx, sent...).Err())
		_, err = w.UseTicket(ctx, ticket, use("second"), handshake(laptop))
		wants(t, err, session.ErrTicketUsed)
	})
}

// A ticket stops working with its session, at a step-up, when its access token ends, and after half a minute.
func TestTicket_end(t *testing.T) {
	for name, c := range map[string]struct {
		after func(w *world, g session.Grant)
		want  error // nil stands for an ended session
	}{
		"expired": {func(w *world, _ session.Grant) { w.clock.add(session.TicketLife) }, session.ErrTokenExpired},
		"stepped up": {func(w *world, g session.Grant) {
			_, err := w.StepUp(ctx, w.opens(g), laptop, nil)
			must(w.t, err)
		}, session.ErrTokenExpired},
		"logged out": {func(w *world, g session.Grant) {
			_, err := w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{})
			must(w.t, err)
		}, nil},
		"blocked": {func(w *world, g session.Grant) { must(w.t, w.Block(ctx, g.Session.ID.User, asOperator)) }, nil},
		"erased":  {func(w *world, g session.Grant) { must(w.t, w.Erase(ctx, g.Session.ID.User, asOperator)) }, nil},
		"swept": {func(w *world, _ session.Grant) {
			w.clock.add(24 * time.Hour)
			_, err := w.Sweep(ctx)
			must(w.t, err)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r)
				g := w.signIn(alice, laptop)
				ticket := w.ticketOf(g)
				c.after(w, g)
				_, err := w.UseTicket(ctx, ticket, use("late"), handshake(laptop))
				if c.want != nil {
					wants(t, err, c.want)
				} else if _, ended := errors.AsType[*session.EndedError](err); !ended {
					t.Errorf("got %v, want an ended session", err)
				}
			})
		})
	}
}

// A refresh does not end a ticket before the access token that asked for it ends: at the end of the grace at the latest.
func TestTicket_accessTokenEnds(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.Grace = 10 * time.Second })
		g := w.signIn(alice, laptop)
		early, late := w.ticketOf(g), w.ticketOf(g)
		next, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		w.clock.add(10*time.Second - time.Millisecond)
		_, err = w.UseTicket(ctx, early, use("a"), handshake(laptop))
		must(t, err)
		w.clock.add(time.Millisecond)
		_, err = w.UseTicket(ctx, late, use("a"), handshake(laptop))
		wants(t, err, session.ErrTokenExpired)
		_, _, err = w.IssueTicket(ctx, w.opens(next), g.AccessToken)
		wants(t, err, session.ErrTokenExpired)

		w.clock.add(15*time.Minute - 10*time.Second - 5*time.Second) // five seconds before the end of the new one
		_, expires, err := w.IssueTicket(ctx, w.opens(next), next.AccessToken)
		must(t, err)
		if want := w.clock.now().Add(5 * time.Second); !expires.Equal(want) {
			t.Errorf("the ticket expires at %v, its access token at %v", expires, want)
		}
	})
}

func TestTicket_limit(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, other := w.signIn(alice, laptop), w.signIn(alice, phone)
		a := w.opens(g)
		issue := func() (string, error) {
			ticket, _, err := w.IssueTicket(ctx, a, g.AccessToken)
			return ticket, err
		}
		var tickets []string
		for range session.MaxTickets {
			ticket, err := issue()
			must(t, err)
			tickets = append(tickets, ticket)
			w.clock.add(time.Second)
		}
		limited := func(wait time.Duration) {
			t.Helper()
			_, err := issue()
			rate, ok := errors.AsType[*session.RateError](err)
			if !ok || rate.Name != "ticket" || rate.Limit != 10 || rate.Window != session.TicketLife || rate.Retry != wait {
				t.Errorf("got %+v, want to wait %v", err, wait)
			}
		}
		limited(20 * time.Second)
		w.ticketOf(other) // each session has its own
		_, err := w.UseTicket(ctx, tickets[3], use("a"), handshake(laptop))
		must(t, err)
		_, err = issue() // one is used
		must(t, err)
		limited(20 * time.Second)
		w.clock.add(20 * time.Second)
		_, err = issue() // the first has expired
		must(t, err)
		limited(time.Second)

		// Used ones count only as long as they could be used, and are dropped later.
		w.clock.add(time.Minute)
		for i := range 64 {
			ticket, err := issue()
			must(t, err)
			_, err = w.UseTicket(ctx, ticket, use(fmt.Sprint(i)), handshake(laptop))
			must(t, err)
		}
		limited(30 * time.Second)
		w.clock.add(30 * time.Second)
		_, err = issue()
		must(t, err)
		w.clock.add(2 * time.Minute)
		_, err = issue()
		must(t, err)
		if ttl := w.rdb.PTTL(ctx, w.TicketsKey(g.Session.ID)).Val(); ttl <= 0 || ttl > 2*time.Minute {
			t.Errorf("tickets are kept for %v", ttl)
		}
		if n := w.rdb.HLen(ctx, w.TicketsKey(g.Session.ID)).Val(); n != 1 {
			t.Errorf("%d tickets are stored, want 1", n)
		}
	})
}

// Only a ticket that was issued for the session opens it, and it is not accepted in the place of a token.
func TestTicket_foreign(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, other := w.signIn(alice, laptop), w.signIn(bob, laptop)
		ticket := w.ticketOf(g)
		_, err := w.Validate(ctx, ticket, laptop)
		wants(t, err, token.ErrInvalid)
		_, err = w.Refresh(ctx, ticket, laptop)
		wants(t, err, token.ErrInvalid)
		_, err = w.SessionOf(ctx, ticket) // else it could log out
		wants(t, err, token.ErrInvalid)
		if id, err := w.SessionOfTicket(ctx, ticket); err != nil || id != g.Session.ID {
			t.Errorf("it is a ticket of %v, %v", id, err)
		}
		stray, err := token.NewTicket(w.ring.Current(w.clock.now()), other.Session.ID, 0).Encode(w.ring)
		must(t, err)
		for name, text := range map[string]string{
			"an access token": g.AccessToken, "a refresh token": g.RefreshToken, "nothing": "", "a kind": "lkt_",
			"never issued": stray, "a changed one": ticket[:len(ticket)-1] + "!", "an access token renamed": "lkt_" + g.AccessToken[4:],
		} {
			if _, err := w.UseTicket(ctx, text, use("x"), handshake(laptop)); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err = w.UseTicket(ctx, ticket, use("x"), handshake(laptop)) // unharmed
		must(t, err)
		if contains(w.dump(), []byte(ticket)) || contains(w.dump(), []byte(ticket[4:40])) {
			t.Error("a ticket is stored as it is")
		}
	})
}

// The handshake's device and network meet the policies as any request does.
func TestTicket_policies(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		client := laptop
		client.Device.ID = "the page's id"
		g, err := w.Create(ctx, w.login(alice, client))
		must(t, err)
		issue := func() string {
			a, err := w.Validate(ctx, g.AccessToken, client)
			must(t, err)
			ticket, _, err := w.IssueTicket(ctx, a, g.AccessToken)
			must(t, err)
			return ticket
		}
		w.clock.add(time.Minute) // with a touch
		a, err := w.UseTicket(ctx, issue(), use("a"), handshake(laptop))
		must(t, err)
		if !a.Session.LastSeenAt.Equal(w.clock.now()) {
			t.Errorf("last seen %v, want now", a.Session.LastSeenAt)
		}
		ticket := issue()
		_, err = w.UseTicket(ctx, ticket, use("thief"), handshake(phone))
		wants(t, err, session.ErrStepUp)
		_, err = w.UseTicket(ctx, ticket, use("a"), handshake(laptop))
		wants(t, err, session.ErrTicketUsed)
		_, err = w.Validate(ctx, g.AccessToken, client)
		wants(t, err, session.ErrStepUp)
	})
}

// Issuing and using take one round trip each; using one more if activity is due.
func TestTicket_roundTrips(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a := w.opens(g)
		must(t, w.warmTickets(g))
		s, sent := w.watching()
		ticket, _, err := s.IssueTicket(ctx, a, g.AccessToken)
		must(t, err)
		_, err = s.UseTicket(ctx, ticket, use("a"), handshake(laptop))
		must(t, err)
		if n := sent.total(); n != 2 {
			t.Errorf("%d commands were sent: %v", n, sent.commands)
		}
		_, err = s.UseTicket(ctx, forged(t, ticket), use("a"), handshake(laptop))
		wants(t, err, token.ErrInvalid)
		if n := sent.total(); n != 2 {
			t.Errorf("a forged ticket took a command: %v", sent.commands)
		}
	})
}

// warmTickets loads the scripts of tickets.
func (w *world) warmTickets(g session.Grant) error {
	_, err := w.UseTicket(ctx, w.ticketOf(g), use("warm"), handshake(laptop))
	return err
}

func (c *traffic) total() (n int) {
	for _, sent := range c.commands {
		n += sent
	}
	return n
}

// forged is a ticket with another secret under the same gate.
func forged(t *testing.T, ticket string) string {
	t.Helper()
	other := "A"
	if ticket[80] == 'A' {
		other = "B"
	}
	return ticket[:80] + other + ticket[81:]
}

// A damaged ticket opens nothing, and is dropped when the next one is issued. So is what is stored in the place of tickets.
func TestTicket_damaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		ticket := w.ticketOf(g)
		key := w.TicketsKey(g.Session.ID)
		for field := range w.rdb.HGetAll(ctx, key).Val() {
			must(t, w.rdb.HSet(ctx, key, field, "short").Err())
		}
		_, err := w.UseTicket(ctx, ticket, use("a"), handshake(laptop))
		wants(t, err, session.ErrDamaged)
		w.ticketOf(g) // the damaged one is dropped
		must(t, w.rdb.Del(ctx, key).Err())
		must(t, w.rdb.Set(ctx, key, "of another type", 0).Err())
		_, err = w.UseTicket(ctx, ticket, use("a"), handshake(laptop))
		wants(t, err, token.ErrInvalid)
		w.ticketOf(g)
		w.opens(g)
	})
}
