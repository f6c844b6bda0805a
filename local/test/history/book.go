package history

import (
	"math/rand/v2"
	"sync"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// book is what all clients together know: the names of sessions, and every token that was handed out. A token whose
// answer was lost is in nobody's hands.
type book struct {
	mu       sync.Mutex
	numbers  map[token.ID]int
	grants   map[tokenPair]session.Grant
	accounts map[int]*purse
	forks    int
}

// tokenPair names the tokens of one generation.
type tokenPair struct{ session, generation int }

// purse is what was handed out for an account.
type purse struct {
	// all are in the order in which they were handed out, each once.
	all []tokenPair
	// newest is the newest generation of each session that was handed out, and sessions are these in their order.
	newest   map[int]int
	sessions []int
}

func newBook() *book {
	return &book{numbers: map[token.ID]int{}, grants: map[tokenPair]session.Grant{}, accounts: map[int]*purse{}}
}

// grant returns the tokens that a call presents: the zero grant where it presents none.
func (b *book) grant(c Call) session.Grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.grants[tokenPair{c.Session, c.Generation}]
}

// take writes down what a call was granted, and returns the generation: the presented one where the token came back,
// else the next. Two tokens for one generation must not be: the second is given a negative one.
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

// draw picks something that was handed out for an account: mostly something recent, as clients hold it, at times
// something old, as a thief or a tab that slept does. It is not ok where there is nothing.
func (b *book) draw(account int, random *rand.Rand) (h tokenPair, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.purse(account).all
	if len(all) == 0 {
		return tokenPair{}, false
	}
	if random.IntN(8) == 0 {
		return all[random.IntN(len(all))], true
	}
	return all[len(all)-1-random.IntN(min(len(all), 5))], true
}

// last are the newest tokens of every session of an account.
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

// name gives a session its number.
func (b *book) name(id token.ID, number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.numbers[id] = number
}

// number is that of a session: 0 for none, and -1 for one that nobody has ever logged in.
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

// facts are what is compared of a session.
func (b *book) facts(s session.Session) Facts {
	if s.CreatedAt.IsZero() {
		return Facts{}
	}
	return Facts{
		Session: b.number(s.ID), Created: s.CreatedAt.Sub(begin), Seen: s.LastSeenAt.Sub(begin),
		Idle: s.IdleEnd.Sub(begin), Absolute: s.AbsoluteEnd.Sub(begin),
	}
}
