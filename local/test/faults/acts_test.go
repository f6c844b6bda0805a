package faults_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// act is one of the things that users, admins and the service itself do that change something: each script of the store is
// run by one of them at least.
type act struct {
	name string
	// answers are the right ones: of the call that takes effect, and of one that asks again and finds it done.
	answers []string
	// events are the kinds that it writes, sorted.
	events []string
	// needsMemory tells that it is refused whole when there is none. Whatever ends or holds a session needs none.
	needsMemory bool
	// loose tells that it is two scripts in one trip: one may run where the other is refused. A nonce is then spent, and who
	// spent it has to ask for another.
	loose bool
	// repeats says that whoever asks again does it again, with its event.
	repeats bool
	// prepare makes what it acts on, for somebody who never signed in.
	prepare func(w *world, who common.Address) plan
}

// plan is an act that can be asked for.
type plan struct {
	// ask does it, and returns the answer in a few words.
	ask func() (string, error)
	// done tells whether it has taken effect, as users see it.
	done func() bool
}

// answer is a refusal in a few words; what is no answer stays an error.
func answer(err error) (string, error) {
	var over *session.EndedError
	switch {
	case err == nil:
		return "ok", nil
	case errors.As(err, &over):
		return overWords(over), nil
	}
	for word, known := range map[string]error{
		"held": session.ErrStepUp, "spent": session.ErrNonceSpent, "expired": session.ErrTokenExpired,
		"missing": session.ErrNotFound, "precondition": session.ErrPrecondition, "unknown": token.ErrInvalid,
		"used": session.ErrTicketUsed,
	} {
		if errors.Is(err, known) {
			return word, nil
		}
	}
	return "", err
}

func overWords(over *session.EndedError) string {
	if over.ByThis {
		return over.Reason.String() + " now"
	}
	return over.Reason.String()
}

// countedAnswer is that of what ends several.
func countedAnswer(n int, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return fmt.Sprint(n), nil
}

// overAnswer is that of what ends one.
func overAnswer(over *session.EndedError, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return overWords(over), nil
}

// isOver tells whether a session is over for that reason.
func (w *world) isOver(g session.Grant, reason session.Reason) bool {
	_, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
	var over *session.EndedError
	return errors.As(err, &over) && over.Reason == reason
}

var acts = slices.Concat(loginActs, sessionActs, ticketActs, endActs, accountActs, dataActs)

var loginActs = []act{
	{name: "nonce", answers: []string{"ok"}, needsMemory: true, prepare: func(w *world, _ common.Address) plan {
		var nonce string
		return plan{
			ask: func() (_ string, err error) {
				nonce, _, err = w.IssueNonce(ctx, terms)
				return answer(err)
			},
			done: func() bool { return nonce != "" && w.SpendNonce(ctx, nonce, terms) == nil },
		}
	}},
	{name: "spend", answers: []string{"ok", "spent"}, needsMemory: true, loose: true,
		prepare: func(w *world, _ common.Address) plan {
			nonce, _, err := w.IssueNonce(ctx, terms)
			must(w.t, err)
			spend := func() (string, error) { return answer(w.SpendNonce(ctx, nonce, terms)) }
			return plan{ask: spend, done: func() bool { text, _ := spend(); return text == "spent" }}
		}},
	{name: "login", answers: []string{"ok", "spent"}, events: []string{"login"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			in := w.verified(who)
			return plan{
				ask: func() (string, error) { _, err := w.Create(ctx, in); return answer(err) },
				done: func() bool {
					account, err := w.Account(ctx, w.UserOf(token.KeyAccount(who)))
					return err == nil && len(account.Sessions) == 1 && w.textsOf(who) == ""
				},
			}
		}},
	{name: "login of an editor", answers: []string{"ok", "spent"}, events: []string{"login"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			byID := session.Change{Actor: operator} // without the account
			_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(who)), []string{"editor"}, byID)
			must(w.t, err)
			in := w.verified(who)
			return plan{
				ask: func() (string, error) { _, err := w.Create(ctx, in); return answer(err) },
				done: func() bool {
					account, err := w.Account(ctx, w.UserOf(token.KeyAccount(who)))
					return err == nil && len(account.Sessions) == 1 && w.textsOf(who) == "named"
				},
			}
		}},
}

var sessionActs = []act{
	{name: "activity", answers: []string{"ok"}, prepare: func(w *world, who common.Address) plan {
		g := w.signIn(who)
		w.clock.add(time.Minute)
		now := w.clock.now()
		return plan{
			ask: func() (string, error) { _, err := w.Validate(ctx, g.AccessToken, laptop); return answer(err) },
			done: func() bool {
				a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
				return err == nil && !a.Session.LastSeenAt.Before(now)
			},
		}
	}},
	{name: "refresh", answers: []string{"ok", "repeated"}, events: []string{"refresh"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			w.clock.add(time.Minute)
			return plan{
				ask: func() (string, error) {
					next, err := w.Refresh(ctx, g.RefreshToken, laptop)
					if err == nil && next.Repeated {
						return "repeated", nil
					}
					return answer(err)
				},
				done: func() bool { return w.record(g.User.ID).live[0].generation == 1 },
			}
		}},
	{name: "step-up", answers: []string{"ok", "expired"}, events: []string{"step_up"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask: func() (string, error) {
					a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
					if err == nil {
						_, err = w.StepUp(ctx, a, laptop, nil)
					}
					return answer(err)
				},
				done: func() bool { return w.record(g.User.ID).live[0].generation == 1 },
			}
		}},
	{name: "another device", answers: []string{"held"}, events: []string{"device.changed"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask: func() (string, error) { _, err := w.Validate(ctx, g.AccessToken, phone); return answer(err) },
				done: func() bool {
					a, err := w.Inspect(ctx, g.AccessToken, session.Cookie)
					return err == nil && a.Session.StepUpRequired
				},
			}
		}},
	{name: "another network", answers: []string{"ok"}, events: []string{"network.changed"},
		prepare: func(w *world, who common.Address) plan {
			g, moved := w.signIn(who), laptop
			moved.IP = netip.MustParseAddr("198.51.100.1")
			return plan{
				ask:  func() (string, error) { _, err := w.Validate(ctx, g.AccessToken, moved); return answer(err) },
				done: func() bool { return slices.Contains(w.kinds(g.User.ID), "network.changed") },
			}
		}},
}

// ticketOf issues a ticket of a session.
func ticketOf(s *session.Store, g session.Grant) (string, error) {
	ticket, _, err := s.IssueTicket(ctx, session.Access{Session: g.Session}, g.AccessToken)
	return ticket, err
}

// lastingTicket is issued by a function whose clock is ahead, so that it outlives the minutes by which other acts move
// the clock before it is used.
func (w *world) lastingTicket(g session.Grant) string {
	w.t.Helper()
	ahead := newClock()
	ahead.ms.Store(w.clock.ms.Load())
	ahead.add(10 * time.Minute)
	ticket, err := ticketOf(w.at(ahead), g)
	must(w.t, err)
	return ticket
}

// tickets are those that are stored of a session.
func (w *world) tickets(g session.Grant) []string {
	return w.rdb.HVals(ctx, w.key(g.User.ID, "k"+string(g.Session.ID.Session[:]))).Val()
}

// Two uses of a ticket.
var firstUse, secondUse = session.TicketUse([]byte("the first of two")), session.TicketUse([]byte("the other of two"))

var ticketActs = []act{
	{name: "ticket", answers: []string{"ok"}, needsMemory: true, prepare: func(w *world, who common.Address) plan {
		g := w.signIn(who)
		return plan{
			ask:  func() (string, error) { _, err := ticketOf(w.Store, g); return answer(err) },
			done: func() bool { return len(w.tickets(g)) > 0 },
		}
	}},
	{name: "use of a ticket", answers: []string{"ok"}, needsMemory: true, prepare: func(w *world, who common.Address) plan {
		g := w.signIn(who)
		ticket := w.lastingTicket(g)
		return plan{
			ask: func() (string, error) { _, err := w.UseTicket(ctx, ticket, firstUse, laptop); return answer(err) },
			done: func() bool {
				all := w.tickets(g)
				return len(all) == 1 && strings.Contains(all[0], string(firstUse[:]))
			},
		}
	}},
	{name: "second use", answers: []string{"used"}, events: []string{"ticket.reused"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			ticket := w.lastingTicket(g)
			_, err := w.UseTicket(ctx, ticket, firstUse, laptop)
			must(w.t, err)
			return plan{
				ask:  func() (string, error) { _, err := w.UseTicket(ctx, ticket, secondUse, phone); return answer(err) },
				done: func() bool { return slices.Contains(w.kinds(g.User.ID), "ticket.reused") },
			}
		}},
}

var endActs = []act{
	{name: "logout", answers: []string{"logged_out now", "logged_out"}, events: []string{"session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask: func() (string, error) {
					return overAnswer(w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()}))
				},
				done: func() bool { return w.isOver(g, session.LoggedOut) },
			}
		}},
	{name: "logout everywhere", answers: []string{"2", "0"}, events: []string{"session.ended", "session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g, other := w.signIn(who), w.signIn(who)
			return plan{
				ask: func() (string, error) {
					return countedAnswer(w.RevokeAll(ctx, g.Session.ID, session.Revoked, laptop.Actor()))
				},
				done: func() bool { return w.isOver(g, session.Revoked) && w.isOver(other, session.Revoked) },
			}
		}},
	{name: "end others", answers: []string{"1", "0"}, events: []string{"session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g, other := w.signIn(who), w.signIn(who)
			return plan{
				ask: func() (string, error) {
					return countedAnswer(w.RevokeOthers(ctx, g.Session.ID, session.Revoked, laptop.Actor()))
				},
				done: func() bool { return !w.isOver(g, session.Revoked) && w.isOver(other, session.Revoked) },
			}
		}},
	{name: "revoke", answers: []string{"revoked_by_admin now", "revoked_by_admin"}, events: []string{"session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask: func() (string, error) {
					return overAnswer(w.Revoke(ctx, g.Session.ID, session.RevokedByAdmin, session.Change{Actor: operator, Condition: func([]string) error { return nil }}))
				},
				done: func() bool { return w.isOver(g, session.RevokedByAdmin) },
			}
		}},
	{name: "theft", answers: []string{"refresh_reused now", "refresh_reused"}, events: []string{"session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			w.clock.add(time.Minute)
			_, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(w.t, err)
			w.clock.add(time.Minute)
			return plan{
				ask:  func() (string, error) { _, err := w.Refresh(ctx, g.RefreshToken, laptop); return answer(err) },
				done: func() bool { return w.isOver(g, session.RefreshReused) },
			}
		}},
	{name: "store reset", answers: []string{"store_reset now", "store_reset"}, events: []string{"session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			before := w.rdb.Get(ctx, w.recordKey(g.User.ID)).Val()
			w.clock.add(time.Minute)
			next, err := w.Refresh(ctx, g.RefreshToken, laptop)
			must(w.t, err)
			must(w.t, w.rdb.SetRange(ctx, w.recordKey(g.User.ID), 0, before).Err())
			return plan{
				ask:  func() (string, error) { _, err := w.Validate(ctx, next.AccessToken, laptop); return answer(err) },
				done: func() bool { return w.isOver(g, session.StoreReset) },
			}
		}},
}

var accountActs = []act{
	{name: "block", answers: []string{"ok"}, events: []string{"account.blocked", "session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask:  func() (string, error) { return w.block(who, "") },
				done: func() bool { return w.isOver(g, session.AccountBlocked) && w.textsOf(who) == "named" },
			}
		}},
	{name: "block with a note", answers: []string{"ok"}, events: []string{"account.blocked"}, repeats: true,
		prepare: func(w *world, who common.Address) plan {
			return plan{
				ask:  func() (string, error) { return w.block(who, "spam") },
				done: func() bool { return w.noteOf(who) == "spam" },
			}
		}},
	{name: "another note", answers: []string{"ok"}, events: []string{"account.blocked"}, repeats: true,
		prepare: func(w *world, who common.Address) plan {
			w.blocked(who)
			return plan{
				ask:  func() (string, error) { return w.block(who, "worse") },
				done: func() bool { return w.noteOf(who) == "worse" },
			}
		}},
	{name: "unblock", answers: []string{"ok"}, events: []string{"account.unblocked"},
		prepare: func(w *world, who common.Address) plan {
			w.blocked(who)
			return plan{
				ask: func() (string, error) {
					return answer(w.Unblock(ctx, w.UserOf(token.KeyAccount(who)), session.Change{Actor: operator}))
				},
				done: func() bool {
					_, err := w.Account(ctx, w.UserOf(token.KeyAccount(who)))
					return errors.Is(err, session.ErrNotFound) && w.textsOf(who) == ""
				},
			}
		}},
	{name: "promotion", answers: []string{"ok"}, events: []string{"roles.changed"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			return plan{
				ask:  func() (string, error) { return w.setRoles(who, "editor") },
				done: func() bool { return w.record(g.User.ID).roles == "editor" && w.textsOf(who) == "named" },
			}
		}},
	{name: "demotion", answers: []string{"ok"}, events: []string{"roles.changed"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			_, err := w.setRoles(who, session.RoleAdmin)
			must(w.t, err)
			return plan{
				ask:  func() (string, error) { return w.setRoles(who) },
				done: func() bool { return w.record(g.User.ID).roles == "" && w.textsOf(who) == "" },
			}
		}},
	{name: "erasure", answers: []string{"ok"}, events: []string{"account.erased", "session.ended"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			w.gives(who, "editor")
			return plan{
				ask:  func() (string, error) { return answer(w.Erase(ctx, g.User.ID, session.Change{Actor: operator})) },
				done: func() bool { return w.isOver(g, session.AccountErased) && w.textsOf(who) == "" },
			}
		}},
	{name: "erasure of the blocked", answers: []string{"ok"}, events: []string{"account.erased"},
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			w.blocked(who)
			return plan{
				ask:  func() (string, error) { return answer(w.Erase(ctx, g.User.ID, session.Change{Actor: operator})) },
				done: func() bool { return w.record(g.User.ID).blocked && w.textsOf(who) == "" },
			}
		}},
}

// setRoles gives somebody roles, whoever else is an admin.
func (w *world) setRoles(who common.Address, roles ...string) (string, error) {
	account := token.KeyAccount(who)
	_, err := w.SetRoles(ctx, w.UserOf(account), roles, session.Change{Actor: operator, Account: account})
	return answer(err)
}

func (w *world) block(who common.Address, note string) (string, error) {
	account := token.KeyAccount(who)
	return answer(w.Block(ctx, w.UserOf(account), session.Change{Actor: operator, Account: account, Note: note}))
}

// blocked blocks somebody, with a note.
func (w *world) blocked(who common.Address) {
	w.t.Helper()
	_, err := w.block(who, "spam")
	must(w.t, err)
}

// noteOf is the note of somebody's block, as admins read it.
func (w *world) noteOf(who common.Address) string {
	account, err := w.Account(ctx, w.UserOf(token.KeyAccount(who)))
	if err != nil {
		return err.Error()
	}
	return account.Note
}

// textsOf is what the registry has of somebody, besides that they hold something.
func (w *world) textsOf(who common.Address) string {
	u := w.UserOf(token.KeyAccount(who))
	var all []string
	for kind, name := range map[string]string{"a": "named", "n": "noted"} {
		if w.rdb.HExists(ctx, w.key(u, "m"), kind+string(u[:])).Val() {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

var dataActs = []act{
	{name: "preferences", answers: []string{"ok", "precondition"}, events: []string{"preferences.changed"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			g := w.signIn(who)
			a, old, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
			must(w.t, err)
			return plan{
				ask: func() (string, error) {
					_, err := w.SetPreferences(ctx, a, old, []byte(`{"theme":"dark"}`), laptop.Actor())
					return answer(err)
				},
				done: func() bool {
					_, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
					return err == nil && string(p.JSON) == `{"theme":"dark"}`
				},
			}
		}},
	{name: "put state", answers: []string{"ok", "precondition"}, needsMemory: true,
		prepare: func(w *world, who common.Address) plan {
			a := w.opens(w.signIn(who))
			return plan{
				ask: func() (string, error) {
					_, err := w.PutState(ctx, a, "form", []byte("1"), 0, session.StateCondition{Absent: true})
					return answer(err)
				},
				done: func() bool { _, err := w.State(ctx, a, "form"); return err == nil },
			}
		}},
	{name: "delete state", answers: []string{"ok", "missing"}, prepare: func(w *world, who common.Address) plan {
		a := w.opens(w.signIn(who))
		_, err := w.PutState(ctx, a, "form", []byte("1"), 0, session.StateCondition{})
		must(w.t, err)
		return plan{
			ask:  func() (string, error) { return answer(w.DeleteState(ctx, a, "form", session.StateCondition{})) },
			done: func() bool { _, err := w.State(ctx, a, "form"); return errors.Is(err, session.ErrNotFound) },
		}
	}},
}
