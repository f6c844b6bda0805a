package faults_test

import (
	"errors"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// skewed are two functions on one Redis: fast is ahead of the right time, slow is behind it.
type skewed struct {
	*world
	fast, slow *session.Store
	clocks     [2]*clock
}

func skew(t *testing.T, r redistest.Redis, ahead, behind time.Duration, change ...func(*session.Options)) skewed {
	w := newWorld(t, r, nil, change...)
	s := skewed{world: w, clocks: [2]*clock{newClock(), newClock()}}
	s.clocks[0].add(ahead)
	s.clocks[1].add(-behind)
	s.fast, s.slow = w.at(s.clocks[0]), w.at(s.clocks[1])
	return s
}

func (s skewed) pass(d time.Duration) {
	s.clock.add(d)
	for _, c := range s.clocks {
		c.add(d)
	}
}

// pairs are the two orders in which two functions meet one request after another.
func (s skewed) pairs() map[string][2]*session.Store {
	return map[string][2]*session.Store{"fast, then slow": {s.fast, s.slow}, "slow, then fast": {s.slow, s.fast}}
}

// half is by how much either function's clock is wrong. Lambda keeps clocks within milliseconds of each other.
const half = 30 * time.Second

// With functions a minute apart, a login that began at one ends at the other, and the session that comes of it is used,
// refreshed, stepped up and ended at either.
func TestClockSkew(t *testing.T) {
	redistest.EachServer(t, func(t *testing.T, r redistest.Redis) {
		s := skew(t, r, half, half)
		for name, pair := range s.pairs() {
			one, other := pair[0], pair[1]
			who := s.stranger()
			nonce, _, err := one.IssueNonce(ctx, terms)
			must(t, err)
			must(t, other.SpendNonce(ctx, nonce, terms))
			g, err := one.Create(ctx, session.Login{Nonce: nonce, Account: token.KeyAccount(who), ChainID: 1, Client: laptop})
			must(t, err)
			for range 5 {
				s.pass(10 * time.Minute)
				g, err = other.Refresh(ctx, g.RefreshToken, laptop)
				must(t, err)
				for _, at := range []*session.Store{one, other} {
					a, err := at.Validate(ctx, g.AccessToken, laptop)
					if err != nil || !a.Session.AbsoluteEnd.Equal(g.Session.AbsoluteEnd) {
						t.Fatalf("%s: %v, %v", name, a.Session.AbsoluteEnd, err)
					}
				}
				one, other = other, one
			}
			a, err := one.Inspect(ctx, g.AccessToken, session.Cookie)
			must(t, err)
			g, err = other.StepUp(ctx, a, laptop, nil)
			must(t, err)
			if a, err := one.Validate(ctx, g.AccessToken, laptop); err != nil || a.Session.ElevatedUntil.Sub(s.clock.now()) < 4*time.Minute {
				t.Errorf("%s: elevated until %v, %v", name, a.Session.ElevatedUntil, err)
			}
			_, err = other.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
			must(t, err)
			for _, at := range []*session.Store{one, other} {
				_, err := at.Validate(ctx, g.AccessToken, laptop)
				ended(t, err, session.LoggedOut)
				_, err = at.Refresh(ctx, g.RefreshToken, laptop)
				ended(t, err, session.LoggedOut)
			}
		}
		s.checkComplete()
	})
}

// A nonce lives five minutes of each function's own: at either it is good for four, and at none for more than six.
func TestClockSkew_nonce(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		s := skew(t, e.Server(t), half, half)
		for name, pair := range s.pairs() {
			for after, good := range map[time.Duration]bool{4*time.Minute - time.Millisecond: true, 6 * time.Minute: false} {
				nonce, _, err := pair[0].IssueNonce(ctx, terms)
				must(t, err)
				s.pass(after)
				err = pair[1].SpendNonce(ctx, nonce, terms)
				if (err == nil) != good || err != nil && !errors.Is(err, session.ErrNonceExpired) {
					t.Errorf("%s, after %v: %v", name, after, err)
				}
			}
		}
	})
}

// Two tabs refresh at the same moment, one at a fast and one at a slow function: both get the same successor, as long as
// the grace is longer than what lies between the clocks. Beyond that the second is taken for a late one, which ends the
// session: nobody gets in by it, and SECURITY.md says so. What clocks do to rate limits is in shared/session.
func TestClockSkew_refreshTogether(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		for grace, kept := range map[time.Duration]bool{2*half + time.Second: true, 2 * half: false} {
			s := skew(t, e.Server(t), half, half, func(o *session.Options) { o.Grace, o.RefreshRate = grace, 0 })
			for name, pair := range s.pairs() {
				g := s.signIn(s.stranger())
				s.pass(2 * time.Minute)
				first, err := pair[0].Refresh(ctx, g.RefreshToken, laptop)
				must(t, err)
				second, err := pair[1].Refresh(ctx, g.RefreshToken, laptop)
				if !kept && name == "slow, then fast" {
					ended(t, err, session.RefreshReused)
					s.dead(first)
					continue
				}
				if err != nil || second.RefreshToken != first.RefreshToken {
					t.Errorf("grace %v, %s: %v", grace, name, err)
				}
			}
			s.checkComplete()
		}
	})
}

// Deadlines come as much early or late as a clock is wrong, and no more. What one function has seen over is over for all,
// once it is written down; a slow one brings nothing back.
func TestClockSkew_deadlines(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		s := skew(t, e.Server(t), half, half)
		early, late := s.signIn(s.stranger()), s.signIn(s.stranger())
		s.pass(30*time.Minute - half - time.Millisecond)
		_, err := s.fast.Validate(ctx, early.AccessToken, laptop)
		wants(t, "a moment before the fast one's deadline", err, session.ErrTokenExpired) // and its session lives
		s.pass(time.Millisecond)
		_, err = s.fast.Validate(ctx, early.AccessToken, laptop)
		ended(t, err, session.IdleTimeout)
		kept, err := s.slow.Refresh(ctx, late.RefreshToken, laptop) // which is a minute behind
		must(t, err)
		done, err := s.fast.Sweep(ctx)
		if must(t, err); done.Ended != 1 {
			t.Errorf("swept %+v", done)
		}
		for _, at := range []*session.Store{s.fast, s.slow} {
			_, err = at.Refresh(ctx, early.RefreshToken, laptop)
			ended(t, err, session.IdleTimeout)
			if _, err := at.Validate(ctx, kept.AccessToken, laptop); err != nil {
				t.Errorf("whose session was used since: %v", err)
			}
		}
		s.checkComplete()
	})
}

// The absolute end stands from the login on, whoever's clock that was by, and neither moves it.
func TestClockSkew_absoluteEnd(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		s := skew(t, e.Server(t), half, half)
		for name, pair := range s.pairs() {
			g, err := pair[0].Create(ctx, session.Login{Nonce: name, Account: token.KeyAccount(s.stranger()), ChainID: 1, Client: laptop})
			must(t, err)
			began := s.clock.now()
			end := g.Session.AbsoluteEnd
			for used := true; used; s.pass(14 * time.Minute) {
				next, err := pair[1].Refresh(ctx, g.RefreshToken, laptop)
				if err != nil {
					ended(t, err, session.AbsoluteTimeout)
					used = false
				} else if g = next; !g.Session.AbsoluteEnd.Equal(end) || g.Session.IdleEnd.After(end) {
					t.Fatalf("%s: the end moved from %v to %v", name, end, g.Session.AbsoluteEnd)
				}
			}
			if lived := s.clock.now().Sub(began); lived > 12*time.Hour+time.Minute+28*time.Minute {
				t.Errorf("%s: lived for %v", name, lived)
			}
			for _, at := range []*session.Store{s.fast, s.slow} {
				_, err := at.Refresh(ctx, g.RefreshToken, laptop)
				ended(t, err, session.AbsoluteTimeout)
			}
		}
	})
}
