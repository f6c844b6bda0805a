package session_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

func TestCreate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		a := w.opens(g)
		s := a.Session
		if s.Account.Address != alice || s.ChainID != 8453 || s.Transport != session.Cookie || s.IP != laptop.IP || s.LastIP != laptop.IP {
			t.Errorf("session is %+v", s)
		}
		if s.Device != laptop.Device {
			t.Errorf("device is %+v, want %+v", s.Device, laptop.Device)
		}
		now := w.clock.now().UTC()
		if !s.CreatedAt.Equal(now) || !s.IdleEnd.Equal(now.Add(30*time.Minute)) || !s.AbsoluteEnd.Equal(now.Add(12*time.Hour)) {
			t.Errorf("times are %v, %v, %v at %v", s.CreatedAt, s.IdleEnd, s.AbsoluteEnd, now)
		}
		if !g.AccessEnd.Equal(now.Add(15 * time.Minute)) {
			t.Errorf("access token ends %v", g.AccessEnd)
		}
		if a.User.ID != g.Session.ID.User || !a.User.CreatedAt.Equal(now) || !a.User.LastLoginAt.Equal(now) || len(a.User.Roles) > 0 {
			t.Errorf("user is %+v", a.User)
		}
		w.clock.add(time.Minute)
		again := w.signIn(alice, laptop)
		if again.User.ID != g.User.ID || !again.User.CreatedAt.Equal(now) || !again.User.LastLoginAt.Equal(now.Add(time.Minute)) {
			t.Errorf("user after the second login is %+v", again.User)
		}
		if other := w.signIn(bob, laptop); other.User.ID == g.User.ID {
			t.Error("two addresses share a user id")
		}
	})
}

// A record outlasts its last session by 90 days; one with roles stays for good.
func TestCreate_retention(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		key := w.RecordKey(g.Session.ID)
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl < 90*24*time.Hour+12*time.Hour-time.Minute || ttl > 91*24*time.Hour {
			t.Errorf("a record is kept for %v", ttl)
		}
		if ttl := w.rdb.PTTL(ctx, w.PayloadKey(g.Session.ID)).Val(); ttl <= 12*time.Hour || ttl > 12*time.Hour+time.Minute {
			t.Errorf("a payload is kept for %v", ttl)
		}
		_, err := w.SetRoles(ctx, w.UserOf(token.KeyAccount(alice)), []string{"editor"}, asOperator)
		must(t, err)
		w.signIn(alice, laptop)
		if ttl := w.rdb.PTTL(ctx, key).Val(); ttl != -1 {
			t.Errorf("a record with roles is kept for %v", ttl)
		}
		w.opens(g)
	})
}

// One nonce makes another session for another account.
func TestCreate_randomIsOfNonceAndSubject(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	in := w.login(alice, laptop)
	a, err := w.Create(ctx, in)
	must(t, err)
	in.Account = token.KeyAccount(bob)
	b, err := w.Create(ctx, in)
	must(t, err)
	if a.Session.ID.Session == b.Session.ID.Session {
		t.Error("two accounts' sessions share their random")
	}
}

func TestCreate_sameLoginTwice(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		in := w.login(alice, laptop)
		g, err := w.Create(ctx, in)
		must(t, err)
		_, err = w.Create(ctx, in)
		wants(t, err, session.ErrNonceSpent)
		w.opens(g)

		_, err = w.Revoke(ctx, g.Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		must(t, err)
		_, err = w.Create(ctx, in)
		wants(t, err, session.ErrNonceSpent)
		if n := len(w.stored(g).Live); n != 0 {
			t.Errorf("%d sessions live after a login that ended was done again", n)
		}
	})
}

func TestCreate_evictsLongestUnseen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 3 })
		var all []session.Grant
		for range 3 {
			all = append(all, w.signIn(alice, laptop))
			w.clock.add(time.Minute)
		}
		w.opens(all[0]) // seen now, so the second is the one that was seen longest ago
		g := w.signIn(alice, phone)
		if len(g.Evicted) != 1 || g.Evicted[0] != all[1].Session.ID {
			t.Fatalf("evicted %v, want the second session", g.Evicted)
		}
		w.opens(all[0])
		w.opens(all[2])
		w.opens(g)
		_, err := w.Validate(ctx, all[1].AccessToken, laptop)
		over := wantsEnded(t, err, session.Evicted)
		if !over.At.Equal(w.clock.now().UTC()) {
			t.Errorf("ended at %v", over.At)
		}
	})
}

// Of sessions that were seen at the same time, the one that logged in first goes.
func TestCreate_evictsFirstOfEquals(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 3 })
		var all []session.Grant
		for i := range 5 {
			g := w.signIn(alice, laptop)
			if all = append(all, g); i < 3 {
				continue
			}
			if len(g.Evicted) != 1 || g.Evicted[0] != all[i-3].Session.ID {
				t.Errorf("login %d evicted %v, want %v", i, g.Evicted, all[i-3].Session.ID)
			}
		}
	})
}

// Whatever is configured, an account has no more than a hundred sessions.
func TestCreate_neverMoreThanAHundred(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		for _, limit := range []int{0, 1000} {
			w := newWorld(t, e.Server(t), func(o *session.Options) { o.SessionLimit = limit })
			for i := range 101 {
				g, err := w.Create(ctx, session.Login{Nonce: fmt.Sprint("nonce ", i), Account: token.KeyAccount(alice), Client: laptop})
				must(t, err)
				if want := max(0, i-99); len(g.Evicted) != want {
					t.Errorf("limit %d: login %d evicted %d, want %d", limit, i, len(g.Evicted), want)
				}
				if n := len(w.stored(g).Live); n != min(i+1, 100) {
					t.Fatalf("limit %d: %d live sessions after %d logins", limit, n, i+1)
				}
			}
		}
	})
}

func TestCreate_denies(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit, o.LimitPolicy = 1, session.Deny })
		g := w.signIn(alice, laptop)
		before := w.dump()
		in := w.login(alice, phone)
		_, err := w.Create(ctx, in)
		wants(t, err, session.ErrSessionLimit)
		for key, value := range before {
			if w.dump()[key] != value {
				t.Error("a denied login changed the store")
			}
		}
		w.opens(g)
		w.clock.add(31 * time.Minute) // the first is over by its idle deadline and no longer counts
		g2 := w.signIn(alice, phone)
		w.opens(g2)
		_, err = w.Validate(ctx, g.AccessToken, laptop)
		wantsEnded(t, err, session.IdleTimeout)
	})
}

func TestCreate_replacesPresented(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 2 })
		first, second := w.signIn(alice, laptop), w.signIn(alice, phone)
		in := w.login(alice, laptop)
		in.Presented = first.AccessToken
		g, err := w.Create(ctx, in)
		must(t, err)
		if len(g.Evicted) > 0 {
			t.Errorf("evicted %v although the carried session made room", g.Evicted)
		}
		_, err = w.Validate(ctx, first.AccessToken, laptop)
		wantsEnded(t, err, session.LoggedOut)
		w.opens(second)
		w.opens(g)

		other := w.signIn(bob, laptop)
		in = w.login(alice, laptop)
		in.Presented = other.AccessToken
		_, err = w.Create(ctx, in)
		must(t, err)
		w.opens(other)
	})
}

func TestCreate_keepsSixteenEnded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		const step = 5 * time.Minute
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit = 1 })
		var all []session.Grant
		for range 20 {
			all = append(all, w.signIn(alice, laptop))
			w.clock.add(step)
		}
		for i, g := range all[:19] {
			_, err := w.Validate(ctx, g.AccessToken, laptop)
			if i < 3 {
				wants(t, err, token.ErrInvalid)
			} else {
				wantsEnded(t, err, session.Evicted)
			}
		}
		// A day beyond their absolute end they are forgotten, whether or not anything was written since.
		w.clock.add(36*time.Hour - 2*step - time.Millisecond)
		_, err := w.Validate(ctx, all[18].AccessToken, laptop)
		wantsEnded(t, err, session.Evicted)
		w.clock.add(time.Millisecond)
		_, err = w.Validate(ctx, all[18].AccessToken, laptop)
		wants(t, err, token.ErrInvalid)
		_, err = w.Revoke(ctx, all[18].Session.ID, session.LoggedOut, session.Change{Actor: laptop.Actor()})
		wants(t, err, token.ErrInvalid)
		// The last, which nobody has swept, ends with the next login, and is remembered from then.
		ended := w.stored(w.signIn(alice, laptop)).Ended
		if len(ended) != 1 || ended[0].ID != all[19].Session.ID {
			t.Errorf("%v are still remembered", ended)
		}
	})
}

// Those that ended in the last seventy minutes are remembered whatever their number, up to 255: until then a login that is
// under way, or whose nonce is un-spent, could come once more.
func TestCreate_keepsTheLatestEnded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, func(o *session.Options) { o.SessionLimit, o.LoginRate = 1, 0 })
		g := w.signIn(alice, laptop)
		ended := func(logins int) int {
			for range logins {
				w.signIn(alice, laptop)
			}
			return len(w.stored(g).Ended)
		}
		if n := ended(20); n != 20 {
			t.Errorf("%d of 20 ends are remembered", n)
		}
		w.clock.add(70*time.Minute - time.Millisecond)
		if n := ended(20); n != 40 {
			t.Errorf("%d of 40 ends are remembered", n)
		}
		w.clock.add(time.Millisecond)
		if n := ended(1); n != 21 { // the first twenty are over
			t.Errorf("%d ends are remembered, want 21", n)
		}
		if n := ended(300); n != 255 {
			t.Errorf("%d ends are remembered, want as many as a record has room for", n)
		}
	})
}

// Invariant 4: the cap holds at every instant, however many logins race.
func TestCreate_race(t *testing.T) {
	for _, policy := range []session.LimitPolicy{session.Evict, session.Deny} {
		t.Run(policy.String(), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, r redistest.Redis) {
				w := newWorld(t, r, func(o *session.Options) { o.LimitPolicy = policy })
				user := w.signIn(alice, laptop)
				logins := make([]session.Login, 50)
				for i := range logins {
					logins[i] = w.login(alice, laptop)
				}
				stop, most := make(chan struct{}), make(chan int)
				go func() { most <- w.watch(user, stop) }()
				var denied atomic.Int64
				together(len(logins), func(i int) {
					_, err := w.Create(ctx, logins[i])
					if errors.Is(err, session.ErrSessionLimit) {
						denied.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
				close(stop)
				if n := <-most; n == 0 || n > 5 {
					t.Errorf("an observer saw %d live sessions, the limit is 5", n)
				}
				if n := len(w.stored(user).Live); n != 5 {
					t.Errorf("%d live sessions, want 5", n)
				}
				if want := int64(46); policy == session.Deny && denied.Load() != want {
					t.Errorf("%d logins denied, want %d", denied.Load(), want)
				}
			})
		})
	}
}

// watch polls until stopped, at least once, and returns the most live sessions that it saw.
func (w *world) watch(g session.Grant, stop chan struct{}) int {
	most := 0
	for {
		if s, err := w.Stored(ctx, g.Session.ID.User); err == nil {
			most = max(most, len(s.Live))
		}
		select {
		case <-stop:
			return most
		default:
		}
	}
}

func TestCreate_refusesBlockedAndDamaged(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g := w.signIn(alice, laptop)
		key := w.RecordKey(g.Session.ID)
		raw, err := w.rdb.Get(ctx, key).Result()
		must(t, err)
		must(t, w.rdb.SetRange(ctx, key, session.FlagByte, "\x01").Err())
		_, err = w.Create(ctx, w.login(alice, laptop))
		wants(t, err, session.ErrBlocked)

		for _, damaged := range []string{"", raw[:len(raw)-1], raw + "x", "\x02" + raw[1:], `{"json":true}`} {
			must(t, w.rdb.Set(ctx, key, damaged, 0).Err())
			_, err = w.Create(ctx, w.login(alice, laptop))
			wants(t, err, session.ErrDamaged)
			if got := w.rdb.Get(ctx, key).Val(); got != damaged {
				t.Errorf("a login rewrote a damaged record")
			}
			_, err = w.Validate(ctx, g.AccessToken, laptop)
			wants(t, err, session.ErrDamaged)
			_, err = w.Refresh(ctx, g.RefreshToken, laptop)
			wants(t, err, session.ErrDamaged)
		}
	})
}
