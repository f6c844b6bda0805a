package history

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/shared/session"
)

// Config is what a driver does. All numbers must be positive unless a field
// says otherwise.
type Config struct {
	// Rules are the options of the store. No one else may use their Prefix.
	Rules session.Options
	// Clients is how many clients work at the same time, Accounts how many
	// accounts they work on, and Operations how many operations each client
	// does in a history.
	Clients, Accounts, Operations int
	// Step is the most that the common clock moves on at an operation. Skew is
	// the most that a client's clock differs from it.
	Step, Skew time.Duration
	// Faults is the share of operations, from 0 to 1, for which the driver
	// itself loses an answer or a request.
	Faults float64
	// Sweeping makes the sweeper run all the time. One sweep takes as long as
	// some hundred operations.
	Sweeping bool
	// Listing makes somebody walk the lists of accounts all the time, each kind
	// in turn. One list takes as long as some hundred operations.
	Listing bool
	// State makes clients store state in each session that they validate. That
	// is not an operation of the history: the model has no state.
	State bool
	// Patience is how long an operation may take before its answer counts as
	// lost. 0 sets no bound.
	Patience time.Duration
	// Unheard is the number of lost attempts after which an account is left
	// alone, because each doubles the work of a check. Attempts under way are
	// not counted yet, so there may be as many more as there are clients. 0
	// sets no bound.
	Unheard int
}

// Progress is what a driver has done so far.
type Progress struct {
	// Histories is how many histories were run, and Operations how many
	// operations of each kind.
	Histories  int
	Operations map[Kind]int
	// Lost is how many operations have an unknown answer. Repeated is how many
	// attempts were lost before one was answered.
	Lost, Repeated int
	// Answers counts the answers by what they refuse, or by why the session
	// ended. The key "" is for those that refuse nothing.
	Answers map[string]int
}

// Driver runs histories. It runs one at a time.
type Driver struct {
	*Runner
	config Config

	mu       sync.Mutex
	progress Progress
	// operations and accounts are the last numbers given out. No two histories
	// share an account.
	operations atomic.Int64
	accounts   int
}

// NewDriver returns a driver. [NewRunner] says which clients it takes.
func NewDriver(client redis.UniversalClient, config Config) (*Driver, error) {
	r, err := NewRunner(client, config.Rules)
	if err != nil {
		return nil, err
	}
	r.state = config.State
	return &Driver{
		Runner: r, config: config,
		progress: Progress{Operations: map[Kind]int{}, Answers: map[string]int{}},
	}, nil
}

// Progress returns what was done in all histories so far. It may be called
// while one runs.
func (d *Driver) Progress() Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.progress
	t.Operations, t.Answers = maps.Clone(t.Operations), maps.Clone(t.Answers)
	return t
}

// run is a history that is under way.
type run struct {
	*Driver
	seed     uint64
	accounts []int
	clock    atomic.Int64 // the common clock, in milliseconds since the beginning
	order    atomic.Int64 // position of the last call or return
	mu       sync.Mutex
	history  History
	unheard  map[int]int // by account
}

// Run runs a history. All clients work at the same time. When they are done, it
// reads everything that is left. What each client wants to do follows from the
// seed; how the clients interleave does not. It ends early if the context ends.
func (d *Driver) Run(ctx context.Context, seed uint64) History {
	h := &run{
		Driver: d, seed: seed, history: History{Seed: seed, Rules: d.opts}, unheard: map[int]int{},
	}
	for range d.config.Accounts {
		d.accounts++
		h.accounts = append(h.accounts, d.accounts)
	}
	h.clock.Store(d.config.Skew.Milliseconds())
	var others sync.WaitGroup
	busy, idle := context.WithCancel(ctx)
	others.Go(func() {
		for d.config.Sweeping && busy.Err() == nil {
			h.sweep(ctx)
		}
	})
	if d.config.Listing {
		others.Go(func() { h.walkLists(ctx, busy) })
	}
	var clients sync.WaitGroup
	for n := range d.config.Clients {
		clients.Go(func() { h.client(ctx, n) })
	}
	clients.Wait()
	idle()
	others.Wait()
	h.lookAround(ctx)
	d.mu.Lock()
	d.progress.Histories++
	d.mu.Unlock()
	return h.history
}

// client does the operations of one client.
func (h *run) client(ctx context.Context, n int) {
	random := rand.New(rand.NewPCG(h.seed, uint64(n)))
	skew := between(random, -h.config.Skew, h.config.Skew)
	var last Call
	for range h.config.Operations {
		if ctx.Err() != nil {
			return
		}
		c, ok := h.choose(random, last)
		if !ok {
			return
		}
		c.Now = skew + h.tick(between(random, 0, h.stepOf(c)))
		fault := NoFault
		if random.Float64() < h.config.Faults {
			fault = Fault(1 + random.IntN(int(RunTwice)))
		}
		h.record(ctx, n, c, fault)
		last = c
	}
}

// stepOf returns the most that the clock moves on before a call. A client that
// has a ticket uses it soon.
func (h *run) stepOf(c Call) time.Duration {
	if c.Kind == UseTicket {
		return h.config.Step / 10
	}
	return h.config.Step
}

// tick moves the common clock on and returns it.
func (h *run) tick(by time.Duration) time.Duration {
	return time.Duration(h.clock.Add(by.Milliseconds())) * time.Millisecond
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(random.Int64N(int64(most-least)+1))).Truncate(time.Millisecond)
}

// weights has how often clients want each kind, in percent.
var weights = []struct {
	kind   Kind
	weight int
}{
	{LogIn, 16}, {Validate, 19}, {Refresh, 25}, {LogOut, 4}, {RevokeAll, 2}, {RevokeOthers, 3},
	{Block, 2}, {Unblock, 4}, {SetRoles, 5}, {ReadOnly, 8}, {IssueTicket, 6}, {UseTicket, 5},
	{Erase, 1},
}

// audible returns the accounts that have fewer lost attempts than the bound.
func (h *run) audible() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.accounts), func(account int) bool {
		return h.config.Unheard > 0 && h.unheard[account] >= h.config.Unheard
	})
}

// choose returns the next call of a client. It is not ok if no account is left.
func (h *run) choose(random *rand.Rand, last Call) (_ Call, ok bool) {
	accounts := h.audible()
	if len(accounts) == 0 {
		return Call{}, false
	}
	c := Call{Number: int(h.operations.Add(1)), Account: accounts[random.IntN(len(accounts))]}
	n := random.IntN(100)
	for _, w := range weights {
		if c.Kind = w.kind; n < w.weight {
			break
		}
		n -= w.weight
	}
	h.chooseTicket(&c, random, last)
	recent := 5
	if c.Kind == IssueTicket {
		recent = 1
	}
	pair, ok := h.book.draw(c.Account, recent, random)
	needsToken := []Kind{Validate, ReadOnly, Refresh, LogOut, RevokeOthers, IssueTicket}
	if !ok && slices.Contains(needsToken, c.Kind) {
		c.Kind = LogIn
	}
	switch c.Kind {
	case LogIn:
		h.chooseLogin(&c, random, last, pair)
	case RevokeAll:
		if random.IntN(2) == 0 { // otherwise as an admin
			c.Session = pair.session
		}
	case Block:
		c.Note = [...]string{"", "spam", "theft"}[random.IntN(3)]
	case SetRoles:
		c.Roles = [...]string{"", "editor", "editor,auditor"}[random.IntN(3)]
	case Validate, ReadOnly, Refresh, IssueTicket:
		c.Session, c.Generation = pair.session, pair.generation
	case LogOut, RevokeOthers:
		c.Session = pair.session
	}
	return c, true
}

// chooseTicket often makes a client use a ticket if the last thing it did was
// to ask for one or to use one: a ticket does not live for long. If there is
// none the client asks for one, or validates if it has just done that.
func (h *run) chooseTicket(c *Call, random *rand.Rand, last Call) {
	recent := last.Kind == IssueTicket || last.Kind == UseTicket
	if recent && random.IntN(4) > 0 {
		c.Kind, c.Account = UseTicket, last.Account
	}
	switch {
	case c.Kind != UseTicket, h.book.drawTicket(c, h.tick(0), random):
	case last.Kind == IssueTicket:
		c.Kind = Validate
	default:
		c.Kind = IssueTicket
	}
}

// chooseLogin sometimes repeats the login that the client has just done, and
// sometimes presents a session.
func (h *run) chooseLogin(c *Call, random *rand.Rand, last Call, pair tokenPair) {
	c.Session = c.Number
	switch random.IntN(6) {
	case 0:
		c.Presented = pair.session
	case 1:
		if last.Kind == LogIn {
			c.Session, c.Account = last.Session, last.Account
		}
	}
}

// record does an operation and records its answer.
func (h *run) record(ctx context.Context, client int, c Call, fault Fault) {
	if h.config.Patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.config.Patience)
		defer cancel()
	}
	op := Operation{Client: client, Call: c, Called: h.order.Add(1)}
	var unheard Attempts
	op.Answer, unheard = h.Do(ctx, c, fault)
	op.Returned = h.order.Add(1)
	h.write(op, unheard)
}

// write adds an operation to the history: every lost attempt, and the one that
// was answered. A validation reads the roles before it reads the session again.
// That may be another moment, so the roles become an operation of their own.
func (h *run) write(op Operation, unheard Attempts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost := op
	lost.Answer = Answer{Lost: true}
	for range unheard.Ran {
		h.history.Operations = append(h.history.Operations, lost)
	}
	lost.Returned = 0
	h.unheard[op.Call.Account] += unheard.Ran + unheard.Unknown
	for range unheard.Unknown {
		h.history.Operations = append(h.history.Operations, lost)
	}
	h.count(op, unheard)
	if op.Answer.Lost {
		return
	}
	roles := op.Answer.Roles
	if op.Call.Kind == Validate {
		op.Answer.Roles = ""
	}
	h.history.Operations = append(h.history.Operations, op)
	if op.Call.Kind == Validate && op.Answer.Refused == nil {
		op.Call.Kind, op.Answer = ReadRoles, Answer{Roles: roles}
		h.history.Operations = append(h.history.Operations, op)
	}
}

func (h *run) count(op Operation, unheard Attempts) {
	h.Driver.mu.Lock()
	defer h.Driver.mu.Unlock()
	h.progress.Operations[op.Call.Kind]++
	if op.Answer.Lost {
		h.progress.Lost++
		return
	}
	h.progress.Repeated += unheard.Ran + unheard.Unknown
	refused := ""
	if op.Answer.Refused != nil {
		refused = op.Answer.Refused.Error()
	}
	if op.Answer.Reason != 0 {
		refused = op.Answer.Reason.String()
	}
	h.progress.Answers[refused]++
}

// sweep does one sweep. It is one operation for each account.
func (h *run) sweep(ctx context.Context) {
	op := Operation{
		Client: h.config.Clients,
		Call:   Call{Kind: Sweep, Number: int(h.operations.Add(1)), Now: h.tick(0)},
	}
	op.Called = h.order.Add(1)
	var unheard Attempts
	op.Answer, unheard = h.Do(ctx, op.Call, NoFault)
	op.Returned = h.order.Add(1)
	unknown := min(unheard.Unknown, 1)
	if op.Answer.Lost {
		unknown = 1 // it may have swept this account before it failed
	}
	for _, op.Call.Account = range h.accounts {
		h.write(op, Attempts{Unknown: unknown})
	}
}

// lookAround reads what is left: it validates the newest token of each session,
// and reads the account and its activity.
func (h *run) lookAround(ctx context.Context) {
	for _, account := range h.accounts {
		look := func(c Call) {
			c.Account, c.Number, c.Now = account, int(h.operations.Add(1)), h.tick(0)
			h.record(ctx, 0, c, NoFault)
		}
		for _, pair := range h.book.last(account) {
			look(Call{Kind: Validate, Session: pair.session, Generation: pair.generation})
		}
		look(Call{Kind: ReadAccount})
		look(Call{Kind: ReadActivity})
	}
}
