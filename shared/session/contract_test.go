package session_test

import (
	"testing"

	"latchkey/local/test/redistest"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// signInAs signs in with an account of any kind.
func (w *world) signInAs(account token.Account, client session.Client) session.Grant {
	w.t.Helper()
	in := w.login(account.Address, client)
	in.Account = account
	if account.Chain != 0 {
		in.ChainID = account.Chain
	}
	g, err := w.Create(ctx, in)
	must(w.t, err)
	return g
}

// One address is three accounts: of its key, and of a contract on each of two chains. They share no session, role, block
// or preference.
func TestContract_isAnAccountOfItsOwn(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		accounts := []token.Account{token.KeyAccount(alice), {Address: alice, Chain: 1}, {Address: alice, Chain: 8453}}
		var grants []session.Grant
		for _, account := range accounts {
			grants = append(grants, w.signInAs(account, laptop))
		}
		for i, g := range grants {
			a := w.opens(g)
			if a.User.Account != accounts[i] || a.Session.Account != accounts[i] || a.User.ID != w.UserOf(accounts[i]) {
				t.Errorf("%v is %+v of %+v", accounts[i], a.Session, a.User)
			}
			list, err := w.Sessions(ctx, a)
			if must(t, err); len(list) != 1 || list[0].Account != accounts[i] {
				t.Errorf("%v has the sessions %+v", accounts[i], list)
			}
			for _, other := range grants[:i] {
				if other.User.ID == g.User.ID || other.Session.ID.Session == g.Session.ID.Session {
					t.Errorf("%v shares an id with another account", accounts[i])
				}
			}
		}
		_, err := w.SetRoles(ctx, w.UserOf(accounts[1]), []string{"editor"}, asOperator)
		must(t, err)
		must(t, w.Block(ctx, w.UserOf(accounts[2]), asOperator))
		w.dead(grants[2])
		if key, one := w.opens(grants[0]), w.opens(grants[1]); len(key.User.Roles) != 0 || len(one.User.Roles) != 1 {
			t.Errorf("the roles are %v and %v", key.User.Roles, one.User.Roles)
		}
	})
}

// A contract's session rotates, is stepped up and reads state as a key's does, and keeps its account.
func TestContract_keepsItsAccount(t *testing.T) {
	redistest.Each(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		account := token.Account{Address: alice, Chain: 8453}
		g := w.signInAs(account, laptop)
		w.clock.add(w.opts.Grace)
		next, err := w.Refresh(ctx, g.RefreshToken, elsewhere())
		must(t, err)
		a, err := w.Inspect(ctx, next.AccessToken, laptop.Transport)
		must(t, err)
		renewed, err := w.StepUp(ctx, a, phone, nil)
		must(t, err)
		for what, s := range map[string]session.Session{"refreshed": next.Session, "stepped up": renewed.Session, "inspected": a.Session} {
			if s.Account != account || s.ChainID != account.Chain {
				t.Errorf("%s, it is of %v", what, s.Account)
			}
		}
		if a := w.opensFor(renewed, phone); a.Session.Account != account {
			t.Errorf("validated, it is of %v", a.Session.Account)
		}
	})
}

// The account of a contract is in the payload, sealed: who can write to Redis cannot move a session to another chain.
func TestContract_chainIsSealed(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	account := token.Account{Address: alice, Chain: 8453}
	g := w.signInAs(account, laptop)
	raw, err := w.Payload(ctx, g.Session.ID)
	must(t, err)
	for i, foreign := range []string{
		string(raw[:1]) + "\x03" + string(raw[2:]),                               // a kind that nobody knows
		string(raw[:1]) + "\x01" + string(raw[2:]),                               // a key's account, with eight bytes too many
		string(raw[:22]) + "\x00\x00\x00\x00\x00\x00\x00\x00" + string(raw[30:]), // no chain
		string(raw[:29]), // cut
	} {
		if _, err := session.AgainPayload(foreign); err == nil {
			t.Errorf("%d: it is read", i)
		}
	}
	again, err := session.AgainPayload(string(raw))
	if must(t, err); again != string(raw) {
		t.Errorf("%x is written as %x", raw, again)
	}
}

// A contract's session is stored with a transport that versions before contract wallets do not know. So they refuse its
// tokens, and do not rotate them. Nobody else notices: it is counted and opened by the transport of its login.
func TestContract_transportOfEarlierVersions(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r)
		g, key := w.withProof(laptop, "signature"), w.signIn(bob, laptop)
		w.clock.add(w.opts.Grace)
		g, err := w.Refresh(ctx, g.RefreshToken, laptop)
		must(t, err)
		a, err := w.Inspect(ctx, g.AccessToken, laptop.Transport)
		must(t, err)
		g, err = w.StepUp(ctx, a, laptop, nil)
		must(t, err)
		for stored, id := range map[byte]token.ID{byte(laptop.Transport) | 1<<7: g.Session.ID, byte(laptop.Transport): key.Session.ID} {
			raw, err := w.rdb.Get(ctx, w.RecordKey(id)).Result()
			must(t, err)
			if got := raw[session.HeadSize+session.EntrySize-2]; got != stored {
				t.Errorf("the transport is stored as %d, want %d", got, stored)
			}
		}
		if got := w.opensFor(g, laptop).Session.Transport; got != laptop.Transport {
			t.Errorf("it has the transport %v", got)
		}
		got, err := w.Statistics(ctx)
		must(t, err)
		if got.ByTransport[laptop.Transport] != 2 {
			t.Errorf("the sessions by transport are %v", got.ByTransport)
		}
	})
}
