package faults_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// loss is a write that its user was told of, and that the replica which takes over never had.
type loss struct {
	name string
	// begin does what the replica has. It returns what is done and lost after that, and what asserts what then comes back.
	begin func(w *world, who common.Address) (lose, back func())
}

// What comes back where the last write to an account is lost: its state of before. Nothing else does.
var losses = []loss{
	{"logout", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		return func() { w.end(g, session.LoggedOut) }, func() { w.opens(g) }
	}},
	{"logout everywhere", func(w *world, who common.Address) (lose, back func()) {
		g, other := w.signIn(who), w.signIn(who)
		lose = func() { _, err := w.RevokeAll(ctx, g.Session.ID, session.Revoked, laptop.Actor()); must(w.t, err) }
		return lose, func() { w.opens(g); w.opens(other) }
	}},
	{"revocation", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		return func() { w.end(g, session.RevokedByAdmin) }, func() { w.opens(g) }
	}},
	{"block", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		lose = func() {
			must(w.t, w.Block(ctx, w.UserOf(token.KeyAccount(who)), session.Change{Actor: operator}))
			_, err := w.Create(ctx, w.verified(who))
			wants(w.t, "a login of the blocked", err, session.ErrBlocked)
		}
		return lose, func() { w.opens(g); w.opens(w.signIn(who)) }
	}},
	{"unblock", func(w *world, who common.Address) (lose, back func()) {
		must(w.t, w.Block(ctx, w.UserOf(token.KeyAccount(who)), session.Change{Actor: operator}))
		return func() { must(w.t, w.Unblock(ctx, w.UserOf(token.KeyAccount(who)), session.Change{Actor: operator})) }, func() {
			_, err := w.Create(ctx, w.verified(who))
			wants(w.t, "a login", err, session.ErrBlocked)
		}
	}},
	{"demotion", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		w.gives(who, "admin")
		return func() { w.gives(who) }, func() {
			if roles := w.opens(g).User.Roles; !slices.Equal(roles, []string{"admin"}) {
				w.t.Errorf("after a lost demotion the roles are %q", roles)
			}
		}
	}},
	{"promotion", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		return func() { w.gives(who, "editor") }, func() {
			if roles := w.opens(g).User.Roles; len(roles) != 0 {
				w.t.Errorf("after a lost promotion the roles are %q", roles)
			}
		}
	}},
	{"erasure", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		return func() { must(w.t, w.Erase(ctx, g.User.ID, session.Change{Actor: operator})) }, func() { w.opens(g) }
	}},
	{"login", func(w *world, who common.Address) (lose, back func()) {
		var g session.Grant
		return func() { g = w.signIn(who) }, func() {
			_, err := w.Validate(ctx, g.AccessToken, laptop)
			wants(w.t, "its access token", err, token.ErrInvalid)
			_, err = w.Refresh(ctx, g.RefreshToken, laptop)
			wants(w.t, "its refresh token", err, token.ErrInvalid)
			w.opens(w.signIn(who))
		}
	}},
	{"login, and the same message comes once more", func(w *world, who common.Address) (lose, back func()) {
		nonce, _, err := w.IssueNonce(ctx, terms)
		must(w.t, err)
		in := session.Login{Nonce: nonce, Account: token.KeyAccount(who), ChainID: 1, Client: laptop}
		var g session.Grant
		login := func() {
			must(w.t, w.SpendNonce(ctx, nonce, terms))
			g, err = w.Create(ctx, in)
			must(w.t, err)
		}
		return login, func() { // nonce and session are both forgotten: who has the signed message gets that session, once
			first := g
			login()
			if g.Session.ID != first.Session.ID {
				w.t.Error("one message made two sessions")
			}
			w.opens(g)
			_, err := w.Validate(ctx, first.AccessToken, laptop)
			wants(w.t, "the token that was lost", err, token.ErrInvalid)
		}
	}},
	{"refresh, and the new access token comes first", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		var next session.Grant
		return func() { next = w.refreshed(g) }, func() {
			_, err := w.Validate(ctx, next.AccessToken, laptop)
			ended(w.t, err, session.StoreReset) // told as what it is, and not as theft
			ended(w.t, w.refusal(g), session.StoreReset)
		}
	}},
	{"refresh, and the new refresh token comes first", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		var next session.Grant
		return func() { next = w.refreshed(g) }, func() {
			ended(w.t, w.refusal(next), session.StoreReset)
			ended(w.t, w.refusal(g), session.StoreReset)
		}
	}},
	{"refresh, and another tab with the token of before comes first", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		var next session.Grant
		return func() { next = w.refreshed(g) }, func() {
			if again := w.refreshed(g); again.RefreshToken != next.RefreshToken {
				w.t.Error("the token of before has two successors")
			}
			w.opens(next) // the lost refresh was made up for
		}
	}},
	{"theft", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		w.clock.add(time.Minute)
		next := w.refreshed(g)
		w.clock.add(time.Minute)
		return func() { ended(w.t, w.refusal(g), session.RefreshReused) }, func() {
			w.opens(next)
			ended(w.t, w.refusal(g), session.RefreshReused)
			ended(w.t, w.refusal(next), session.RefreshReused)
		}
	}},
	{"step-up", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		var up session.Grant
		lose = func() {
			var err error
			up, err = w.StepUp(ctx, w.opens(g), laptop, nil)
			must(w.t, err)
		}
		return lose, func() { ended(w.t, w.refusal(up), session.StoreReset) }
	}},
	{"hold of a changed device", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		elsewhere := func() {
			_, err := w.Validate(ctx, g.AccessToken, phone)
			wants(w.t, "another device", err, session.ErrStepUp)
		}
		return elsewhere, func() { w.opens(g); elsewhere() }
	}},
	{"change of preferences", func(w *world, who common.Address) (lose, back func()) {
		g := w.signIn(who)
		w.prefers(g, `{"theme":"dark"}`)
		return func() { w.prefers(g, `{"theme":"light"}`) }, func() {
			_, p, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
			must(w.t, err)
			if string(p.JSON) != `{"theme":"dark"}` {
				w.t.Errorf("after a lost change the preferences are %s", p.JSON)
			}
		}
	}},
	{"change of state", func(w *world, who common.Address) (lose, back func()) {
		a := w.opens(w.signIn(who))
		lose = func() { _, err := w.PutState(ctx, a, "form", []byte("1"), 0, session.StateCondition{}); must(w.t, err) }
		return lose, func() {
			_, err := w.State(ctx, a, "form")
			wants(w.t, "a lost key", err, session.ErrNotFound)
		}
	}},
}

func (w *world) end(g session.Grant, reason session.Reason) {
	w.t.Helper()
	over, err := w.Revoke(ctx, g.Session.ID, reason, session.Change{Actor: operator})
	must(w.t, err)
	if !over.ByThis {
		w.t.Errorf("ended before: %v", over)
	}
}

func (w *world) gives(who common.Address, roles ...string) {
	w.t.Helper()
	_, err := w.setRoles(who, roles...)
	must(w.t, err)
}

func (w *world) prefers(g session.Grant, json string) {
	w.t.Helper()
	a, old, err := w.ValidateWithPreferences(ctx, g.AccessToken, laptop)
	must(w.t, err)
	_, err = w.SetPreferences(ctx, a, old, []byte(json), laptop.Actor())
	must(w.t, err)
}

func (w *world) refreshed(g session.Grant) session.Grant {
	w.t.Helper()
	next, err := w.Refresh(ctx, g.RefreshToken, laptop)
	must(w.t, err)
	return next
}

// refusal is why a refresh token is refused.
func (w *world) refusal(g session.Grant) error {
	_, err := w.Refresh(ctx, g.RefreshToken, laptop)
	return err
}

// loses does all that is lost, fails over, and asserts what comes back of each. Whatever lives afterwards was created by a
// login, and is whole.
func (w *world) loses(failOver func(lose func())) {
	t := w.t
	var lose []func()
	back := map[string]func(){}
	for _, l := range losses {
		lost, comes := l.begin(w, w.stranger())
		lose, back[l.name] = append(lose, lost), comes
	}
	failOver(func() {
		for _, lost := range lose {
			lost()
		}
	})
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			w.t = t
			back[l.name]()
		})
	}
	w.t = t
	w.checkComplete()
	w.noStrangers()
}

// noStrangers asserts that every session that lives was created by a login that the log tells of.
func (w *world) noStrangers() {
	w.t.Helper()
	created := map[token.ID]bool{}
	for _, e := range w.all {
		if e.Type == session.EventLogin {
			created[e.Session] = true
		}
	}
	for _, e := range w.all {
		raw, err := w.rdb.Get(ctx, w.recordKey(e.User)).Result()
		if err != nil {
			continue
		}
		rec, err := parseRecord(raw)
		must(w.t, err)
		for _, l := range rec.live {
			if !created[token.ID{User: e.User, Session: [16]byte([]byte(l.random))}] {
				w.t.Errorf("session %x lives, and nobody logged in", l.random)
			}
		}
	}
}

// A replica that is promoted without the last writes brings back what was true before them, and no more than that; the
// client goes on with it by itself once the primary's name leads there (attack case 62).
func TestLostWrites(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		primary, replica := e.Replicated(t)
		proxies := redistest.NewProxies(t, primary.Addr)
		w := newWorld(t, primary.Redis, proxies)
		w.loses(func(lose func()) {
			replica.FallBehind(primary)
			lose()
			primary.Stop()
			unavailable(t, "between the two", func(limited context.Context) error { _, err := w.Check(limited); return err })
			replica.Promote()
			proxies[primary.Addr].Lead(replica.Addr)
			w.redis, w.rdb = replica.Redis, replica.Client()
		})
	})
}

// Where a replica has to have a write before it is acknowledged, none is lost that was: without one, the primary takes
// none, and what ends sessions is unavailable too.
func TestLostWrites_minReplicas(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		primary, replica := e.Replicated(t, "--min-replicas-to-write", "1")
		proxies := redistest.NewProxies(t, primary.Addr)
		w := newWorld(t, primary.Redis, proxies)
		eventually(t, func() error { _, _, err := w.IssueNonce(ctx, terms); return err }) // once the primary counts on it
		g, over := w.signIn(w.stranger()), w.signIn(w.stranger())
		w.end(over, session.LoggedOut)
		replica.FallBehind(primary)
		for _, reason := range []session.Reason{session.LoggedOut, session.RevokedByAdmin} {
			_, err := w.Revoke(ctx, g.Session.ID, reason, session.Change{Actor: operator})
			wants(t, "an end that no replica would have", err, session.ErrUnavailable)
		}
		w.opens(g) // nothing was half done
		primary.Stop()
		must(t, replica.Client().ConfigSet(ctx, "min-replicas-to-write", "0").Err())
		replica.Promote()
		proxies[primary.Addr].Lead(replica.Addr)
		w.redis, w.rdb = replica.Redis, replica.Client()
		w.opens(g)
		w.dead(over)
		w.checkComplete()
	})
}
