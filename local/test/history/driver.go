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

// Config is what a driver does. All numbers must be positive where nothing else is said.
type Config struct {
	// Rules are those of the store; Prefix is the driver's alone.
	Rules session.Options
	// Clients work at once, on that many accounts, and do that many operations each in a history.
	Clients, Accounts, Operations int
	// Step is the longest that the common clock moves on at an operation, and Skew how far a client's may be from it.
	Step, Skew time.Duration
	// Faults is the share of operations, 0 to 1, that the driver itself has lose an answer or a request.
	Faults float64
	// Sweeping has the sweeper run all the while. A sweep takes the time of some hundred operations.
	Sweeping bool
	// Patience is how long an operation may take before its answer counts as lost; 0 for as long as it takes.
	Patience time.Duration
	// Unheard is of how many attempts at operations of one account nobody may know whether they ran: then the account is left
	// alone, since each doubles what a check has to try. 0 sets no bound. As many more as there are clients can be under way.
	Unheard int
}

// Progress is what a driver has done so far.
type Progress struct {
	// Histories were run, with these operations.
	Histories  int
	Operations map[Kind]int
	// Lost is how many of them nobody knows the answer of, and Repeated how many attempts were not heard of before the one
	// that was.
	Lost, Repeated int
	// Answers counts those that were heard by what they refuse, or why the session is over; "" is for those that refuse
	// nothing.
	Answers map[string]int
}

// Driver runs histories. It runs one at a time.
type Driver struct {
	*Runner
	config Config

	mu       sync.Mutex
	progress Progress
	// operations and accounts are the numbers given out last. No two histories share an account.
	operations atomic.Int64
	accounts   int
}

// NewDriver makes a driver on a client as NewRunner takes it.
func NewDriver(client redis.UniversalClient, config Config) (*Driver, error) {
	r, err := NewRunner(client, config.Rules)
	if err != nil {
		return nil, err
	}
	return &Driver{Runner: r, config: config, progress: Progress{Operations: map[Kind]int{}, Answers: map[string]int{}}}, nil
}

// Progress is what was done in all histories so far; it may be asked for while one runs.
func (d *Driver) Progress() Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.progress
	t.Operations, t.Answers = maps.Clone(t.Operations), maps.Clone(t.Answers)
	return t
}

// run is one history under way.
type run struct {
	*Driver
	seed     uint64
	accounts []int
	clock    atomic.Int64 // milliseconds since the beginning, common to all
	order    atomic.Int64 // of calls and returns
	mu       sync.Mutex
	history  History
	unheard  map[int]int // by account
}

// Run runs a history: the clients all at once, then, when they are done, a look at everything that is left. What each
// client wants to do follows from the seed; how they meet does not. It ends early with the context.
func (d *Driver) Run(ctx context.Context, seed uint64) History {
	h := &run{Driver: d, seed: seed, history: History{Seed: seed, Rules: d.opts}, unheard: map[int]int{}}
	for range d.config.Accounts {
		d.accounts++
		h.accounts = append(h.accounts, d.accounts)
	}
	h.clock.Store(d.config.Skew.Milliseconds())
	swept := make(chan struct{})
	busy, idle := context.WithCancel(ctx)
	go func() {
		defer close(swept)
		for d.config.Sweeping && busy.Err() == nil {
			h.sweep(ctx)
		}
	}()
	var clients sync.WaitGroup
	for n := range d.config.Clients {
		clients.Go(func() { h.client(ctx, n) })
	}
	clients.Wait()
	idle()
	<-swept
	h.lookAround(ctx)
	d.mu.Lock()
	d.progress.Histories++
	d.mu.Unlock()
	return h.history
}

// client does one client's operations.
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
		c.Now = skew + h.tick(between(random, 0, h.config.Step))
		fault := NoFault
		if random.Float64() < h.config.Faults {
			fault = Fault(1 + random.IntN(int(RunTwice)))
		}
		h.record(ctx, n, c, fault)
		last = c
	}
}

// tick moves the common clock on.
func (h *run) tick(by time.Duration) time.Duration {
	return time.Duration(h.clock.Add(by.Milliseconds())) * time.Millisecond
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(random.Int64N(int64(most-least)+1))).Truncate(time.Millisecond)
}

// weights are how often clients want what, of a hundred.
var weights = []struct {
	kind   Kind
	weight int
}{
	{LogIn, 18}, {Validate, 30}, {Refresh, 30}, {LogOut, 5}, {RevokeAll, 2}, {RevokeOthers, 3}, {Block, 1}, {Unblock, 5}, {SetRoles, 6},
}

// audible are the accounts of which enough is known.
func (h *run) audible() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(h.accounts), func(account int) bool {
		return h.config.Unheard > 0 && h.unheard[account] >= h.config.Unheard
	})
}

// choose is not ok where there is nothing left to do.
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
	pair, ok := h.book.draw(c.Account, random)
	if !ok && (c.Kind == Validate || c.Kind == Refresh || c.Kind == LogOut || c.Kind == RevokeOthers) {
		c.Kind = LogIn
	}
	switch c.Kind {
	case LogIn:
		h.chooseLogin(&c, random, last, pair)
	case RevokeAll:
		if random.IntN(2) == 0 { // else as an admin
			c.Session = pair.session
		}
	case SetRoles:
		c.Roles = [...]string{"", "editor", "editor,auditor"}[random.IntN(3)]
	case Validate, Refresh:
		c.Session, c.Generation = pair.session, pair.generation
	case LogOut, RevokeOthers:
		c.Session = pair.session
	}
	return c, true
}

// chooseLogin is at times the very login that the client has just done, and at times one that carries a session.
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

// record does an operation and writes down what came of it.
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

// write adds an operation to the history: each attempt that was not heard of, and the one that was. What a validation
// tells of the account it read before it looked at the session again, so maybe at another moment.
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

// sweep is one sweep, which to each account is an operation of its own.
func (h *run) sweep(ctx context.Context) {
	op := Operation{Client: h.config.Clients, Call: Call{Kind: Sweep, Number: int(h.operations.Add(1)), Now: h.tick(0)}}
	op.Called = h.order.Add(1)
	var unheard Attempts
	op.Answer, unheard = h.Do(ctx, op.Call, NoFault)
	op.Returned = h.order.Add(1)
	unknown := min(unheard.Unknown, 1)
	if op.Answer.Lost {
		unknown = 1 // whom it came to before it failed, it swept
	}
	for _, op.Call.Account = range h.accounts {
		h.write(op, Attempts{Unknown: unknown})
	}
}

// lookAround tells what is left: it tries the newest token of each session, and reads account and activity.
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
