package history_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/local/test/history"
	"latchkey/local/test/redistest"
	"latchkey/shared/session"
)

// lockstep is a store and the model of one account, which do the same one after the other.
type lockstep struct {
	*history.Runner
	model   *history.Model
	account int
	clock   time.Duration
	// asked numbers the operations of all sequences.
	asked *int
	// tokens are those that were handed out: session and generation.
	tokens [][2]int
	// tickets are the uses of each ticket that was handed out, of which the last was asked for.
	tickets []history.Call
	// login is the last that was asked for.
	login history.Call
	// answers counts those of all sequences by what they refuse, or why a session is over.
	answers map[string]int
}

// do has both do what is asked for, under a fault, and compares what they say.
func (l *lockstep) do(t *rapid.T, c history.Call, fault history.Fault) {
	t.Helper()
	*l.asked++
	c.Account, c.Number = l.account, *l.asked
	c.Now = l.clock + time.Duration(rapid.IntRange(-30, 30).Draw(t, "skew"))*time.Second
	got, _ := l.Do(ctx, c, fault)
	t.Logf("%v, %v: %v", c, fault, got)
	if got.Lost {
		if fault == history.LoseAll {
			l.model.Apply(c)
		} else if fault != history.DropAll {
			t.Fatalf("unavailable without a reason")
		}
		return
	}
	if want := l.model.Apply(c); !reflect.DeepEqual(got, want) {
		t.Fatalf("the model says %v", want)
	}
	if got.Refused != nil {
		l.answers[got.Refused.Error()+" "+got.Reason.String()]++
	}
	if got.Refused == nil && (c.Kind == history.LogIn || c.Kind == history.Refresh) {
		l.tokens = append(l.tokens, [2]int{c.Session, got.Generation})
	}
	if got.Refused == nil && c.Kind == history.IssueTicket {
		l.tickets = append(l.tickets, history.Call{Kind: history.UseTicket, Session: c.Session, Ticket: c.Number})
	}
}

// fault draws what befalls an operation: mostly nothing.
func fault(t *rapid.T) history.Fault {
	return history.Fault(max(0, rapid.IntRange(-8, int(history.RunTwice)).Draw(t, "fault")))
}

// token draws one that was handed out, and skips the action where there is none.
func (l *lockstep) token(t *rapid.T) [2]int {
	if len(l.tokens) == 0 {
		t.Skip("nothing was handed out")
	}
	back := min(rapid.IntRange(0, 8).Draw(t, "how old"), len(l.tokens)-1)
	return l.tokens[len(l.tokens)-1-back]
}

// actions are what may happen, by name. What comes early in the order of names is drawn more often.
func (l *lockstep) actions() map[string]func(*rapid.T) {
	with := func(kind history.Kind) func(*rapid.T) {
		return func(t *rapid.T) {
			token := l.token(t)
			l.do(t, history.Call{Kind: kind, Session: token[0], Generation: token[1]}, fault(t))
		}
	}
	plain := func(kind history.Kind) func(*rapid.T) {
		return func(t *rapid.T) { l.do(t, history.Call{Kind: kind}, fault(t)) }
	}
	validate, refresh, unblock := with(history.Validate), with(history.Refresh), plain(history.Unblock)
	look, issue := with(history.ReadOnly), with(history.IssueTicket)
	all := map[string]func(*rapid.T){}
	for i, action := range []func(*rapid.T){
		l.logIn, refresh, l.wait, validate, issue, l.useTicket, l.logIn, refresh, l.wait, validate, look, l.useTicket, issue,
		l.logIn, refresh, validate, unblock, l.setRoles, l.issueMany,
		with(history.LogOut), with(history.RevokeOthers), with(history.RevokeAll), plain(history.RevokeAll), unblock,
		l.block, l.waitLong, plain(history.Erase), l.block,
	} {
		all[fmt.Sprintf("action %02d", i)] = action
	}
	return all
}

// useTicket is a use of one of the last tickets, or the last use of it again.
func (l *lockstep) useTicket(t *rapid.T) {
	if len(l.tickets) == 0 {
		t.Skip("no ticket was handed out")
	}
	back := min(rapid.IntRange(0, 2).Draw(t, "how old"), len(l.tickets)-1)
	c := &l.tickets[len(l.tickets)-1-back]
	if c.Use == 0 || rapid.IntRange(0, 2).Draw(t, "again") > 0 {
		c.Use = *l.asked + 1
	}
	l.do(t, *c, fault(t))
}

// issueMany asks for more tickets than a session may have, of which some may be used.
func (l *lockstep) issueMany(t *rapid.T) {
	token := l.token(t)
	for range session.MaxTickets + 1 {
		l.do(t, history.Call{Kind: history.IssueTicket, Session: token[0], Generation: token[1]}, history.NoFault)
	}
}

// wait draws from around the touch interval and the grace.
func (l *lockstep) wait(t *rapid.T) {
	l.clock += time.Duration(rapid.SampledFrom([]int{50, 46, 45, 44, 30, 29, 10, 1, 90}).Draw(t, "seconds")) * time.Second
}

func (l *lockstep) waitLong(t *rapid.T) {
	l.clock += time.Duration(rapid.SampledFrom([]int{2, 3, 4, 12, 60, 40 * 60}).Draw(t, "minutes")) * time.Minute
}

func (l *lockstep) block(t *rapid.T) {
	note := rapid.SampledFrom([]string{"", "spam", "theft"}).Draw(t, "note")
	l.do(t, history.Call{Kind: history.Block, Note: note}, fault(t))
}

func (l *lockstep) setRoles(t *rapid.T) {
	roles := rapid.SampledFrom([]string{"", "editor", "editor,auditor"}).Draw(t, "roles")
	l.do(t, history.Call{Kind: history.SetRoles, Roles: roles}, fault(t))
}

// logIn is a new login, or the last one again, whether or not it was answered: within the minutes that its nonce lives.
func (l *lockstep) logIn(t *rapid.T) {
	c := history.Call{Kind: history.LogIn, Session: *l.asked + 1}
	switch rapid.IntRange(0, 7).Draw(t, "special") {
	case 1:
		c.Presented = l.token(t)[0]
	case 2:
		if l.login.Session != 0 && l.clock-l.login.Now < 5*time.Minute {
			c.Session = l.login.Session
		}
	}
	l.login = c
	l.login.Now = l.clock
	l.do(t, c, fault(t))
}

// settled compares what is left: the account, its events one by one, and at times, since a walk over all buckets takes as
// long as all the rest, what the counters tell of the one account that there is, also once the sweeper has passed.
func (l *lockstep) settled(t *rapid.T) {
	if l.account%30 == 0 {
		l.do(t, history.Call{Kind: history.Sweep}, history.NoFault)
	}
	if l.account%10 == 0 {
		for _, q := range []session.ListQuery{{}, {Blocked: true}, {Role: "editor"}, {Role: "*"}, {Live: true}} {
			l.do(t, history.Call{Kind: history.List, Query: q}, history.NoFault)
		}
	}
	l.do(t, history.Call{Kind: history.ReadAccount}, history.NoFault)
	events, err := l.Activity(ctx, l.Store(l.clock), l.account)
	if err != nil {
		t.Fatal(err)
	}
	if want := l.model.Events(); !slices.Equal(events, want) {
		t.Fatalf("the activity has %v, and should have %v", events, want)
	}
	if l.account%10 != 0 {
		return
	}
	statistics, err := l.Store(l.clock).Statistics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if live := l.model.LiveSessions(); statistics.Active != live || statistics.Users != min(live, 1) {
		t.Fatalf("the counters have %d sessions of %d accounts, and should have %d of one", statistics.Active, statistics.Users, live)
	}
}

// Whatever is done in whatever order, at clocks that jump, with answers and requests that are lost and scripts that run
// twice: store and model say the same, and what is stored is what the model has.
func TestStore_lockstep(t *testing.T) {
	r := redistest.Embedded(t)
	evicting, denying := rules(r.Prefix), rules(r.Prefix)
	denying.LimitPolicy = session.Deny
	var runners []*history.Runner
	for _, opts := range []session.Options{evicting, denying} {
		runner, err := history.NewRunner(product(t, r), opts)
		must(t, err)
		runners = append(runners, runner)
	}
	accounts, asked, answers := 0, 0, map[string]int{}
	check := func(t *rapid.T) {
		accounts++
		r.Mini.FlushAll() // which an engine wants that looks at the TTLs of all keys at each command
		l := &lockstep{
			Runner: runners[0], model: history.NewModel(evicting), account: accounts, clock: time.Minute, asked: &asked, answers: answers,
		}
		if rapid.Bool().Draw(t, "deny") {
			l.Runner, l.model = runners[1], history.NewModel(denying)
		}
		t.Repeat(l.actions())
		l.settled(t)
	}
	for range 10 { // a hundred sequences may leave out a rare answer
		if rapid.Check(t, check); len(neverGiven(answers)) == 0 {
			break
		}
	}
	t.Logf("%d operations were refused %v", asked, answers)
	for _, reason := range neverGiven(answers) {
		t.Errorf("no answer gave %v", reason)
	}
}

// neverGiven returns the refusals and the reasons that are in no answer.
func neverGiven(answers map[string]int) (reasons []string) {
	for _, refused := range []error{session.ErrTokenExpired, session.ErrTicketUsed, history.ErrTickets} {
		if answers[refused.Error()+" "+session.Reason(0).String()] == 0 {
			reasons = append(reasons, refused.Error())
		}
	}
	for _, reason := range []session.Reason{
		session.LoggedOut, session.IdleTimeout, session.Evicted, session.Revoked, session.RefreshReused, session.AccountBlocked,
		session.AccountErased,
	} {
		if answers["session ended "+reason.String()] == 0 {
			reasons = append(reasons, reason.String())
		}
	}
	return reasons
}
