package history

import (
	"math/rand/v2"
	"sync"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// book is what all clients together know: the numbers of sessions, and every
// token that was handed out. A token whose answer was lost is not in it.
type book struct {
	mu       sync.Mutex
	numbers  map[token.ID]int
	grants   map[tokenPair]session.Grant
	accounts map[int]*purse
	forks    int
}

// tokenPair identifies the tokens of one generation of a session.
type tokenPair struct{ session, generation int }

// purse is what was handed out for one account.
type purse struct {
	// all has each pair once, in the order in which they were handed out.
	all []tokenPair
	// newest maps each session to its newest generation that was handed out.
	// sessions has these sessions in the order of their first pair.
	newest   map[int]int
	sessions []int
	// tickets are in the order in which they were handed out.
	tickets []*handedTicket
}

// handedTicket is a ticket that was handed out.
type handedTicket struct {
	number, session int
	text            string
	expires         time.Duration
	at              time.Time // of this machine's clock
	use             int       // the last one, or 0
}

// ticketsLive is how long a ticket is drawn after it was handed out. Redis
// keeps it for two minutes of its own clock, which the model knows nothing of.
const ticketsLive = 45 * time.Second

func newBook() *book {
	return &book{
		numbers:  map[token.ID]int{},
		grants:   map[tokenPair]session.Grant{},
		accounts: map[int]*purse{},
	}
}

// grant returns the tokens that a call presents, or the zero grant if it
// presents none.
func (b *book) grant(c Call) session.Grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grants[tokenPair{c.Session, c.Generation}]
}

// take records what a call was granted and returns the generation. That is the
// presented generation if the same token came back, and otherwise the next one.
// A generation must not have two different tokens. If it does, the second one
// gets a negative generation.
func (b *book) take(c Call, g session.Grant) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := tokenPair{c.Session, 0}
	if c.Kind == Refresh {
		h.generation = c.Generation
		if g.RefreshToken != b.grants[h].RefreshToken {
			h.generation++
		}
	}
	before, known := b.grants[h]
	if known && (before.RefreshToken != g.RefreshToken || before.AccessToken != g.AccessToken) {
		b.forks++
		h.generation = -b.forks
		known = false
	}
	b.numbers[g.Session.ID] = c.Session
	if !known {
		b.grants[h] = g
		b.purse(c.Account).put(h)
	}
	return h.generation
}

func (b *book) purse(account int) *purse {
	p := b.accounts[account]
	if p == nil {
		p = &purse{newest: map[int]int{}}
		b.accounts[account] = p
	}
	return p
}

func (p *purse) put(h tokenPair) {
	p.all = append(p.all, h)
	if newest, known := p.newest[h.session]; !known {
		p.sessions = append(p.sessions, h.session)
		p.newest[h.session] = h.generation
	} else {
		p.newest[h.session] = max(newest, h.generation)
	}
}

// draw returns a pair that was handed out for an account. Most are of the
// recent ones, as those of a client. Some are old, as those of a thief or of a
// tab that slept. It is not ok if nothing was handed out.
func (b *book) draw(account, recent int, random *rand.Rand) (h tokenPair, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.purse(account).all
	if len(all) == 0 {
		return tokenPair{}, false
	}
	if random.IntN(8) == 0 {
		return all[random.IntN(len(all))], true
	}
	return all[len(all)-1-random.IntN(min(len(all), recent))], true
}

// takeTicket records a ticket that a call was granted.
func (b *book) takeTicket(c Call, text string, expires time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.purse(c.Account)
	p.tickets = append(p.tickets, &handedTicket{
		number: c.Number, session: c.Session, text: text, expires: expires, at: time.Now(),
	})
}

// ticket returns the text of the ticket that a call presents.
func (b *book) ticket(c Call) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.purse(c.Account).tickets {
		if t.number == c.Ticket {
			return t.text
		}
	}
	return ""
}

// drawTicket sets which ticket of the account a call uses: one of the last two
// that were handed out, and seven times in eight one that does not expire
// before soonest. One time in four it repeats the last use of it. It reports
// whether there is such a ticket.
func (b *book) drawTicket(c *Call, soonest time.Duration, random *rand.Rand) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, back := b.purse(c.Account).tickets, random.IntN(8)/7
	old, again := random.IntN(8) == 0, random.IntN(4) == 0
	if len(all) == 0 {
		return false
	}
	t := all[len(all)-1-min(back, len(all)-1)]
	if time.Since(t.at) >= ticketsLive || t.expires < soonest && !old {
		return false
	}
	if t.use == 0 || !again {
		t.use = c.Number
	}
	c.Session, c.Ticket, c.Use = t.session, t.number, t.use
	return true
}

// last returns the newest pair of every session of an account.
func (b *book) last(account int) []tokenPair {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.purse(account)
	var all []tokenPair
	for _, s := range p.sessions {
		all = append(all, tokenPair{s, p.newest[s]})
	}
	return all
}

// name records the number of a session.
func (b *book) name(id token.ID, number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.numbers[id] = number
}

// number returns the number of a session. It is 0 for the zero id, and -1 for a
// session that nobody has logged in.
func (b *book) number(id token.ID) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, known := b.numbers[id]; known {
		return n
	}
	if id.Session == [16]byte{} {
		return 0
	}
	return -1
}

// facts returns what is compared of a session.
func (b *book) facts(s session.Session) Facts {
	if s.CreatedAt.IsZero() {
		return Facts{}
	}
	return Facts{
		Session: b.number(s.ID), Created: s.CreatedAt.Sub(begin), Seen: s.LastSeenAt.Sub(begin),
		Idle: s.IdleEnd.Sub(begin), Absolute: s.AbsoluteEnd.Sub(begin),
	}
}
