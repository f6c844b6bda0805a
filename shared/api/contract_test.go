package api_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/chain"
	"latchkey/shared/token"
)

// asked is a chain that answers what it is told to, and counts its calls.
type asked struct {
	calls  atomic.Int64
	answer func(chain.Question) error
}

func (a *asked) Verify(_ context.Context, q chain.Question) error {
	a.calls.Add(1)
	return a.answer(q)
}

func (a *asked) world(w *world) { w.cfg.Contracts, w.cfg.ChainIDs = a, []uint64{1, 8453} }

// acceptsOf is a contract that accepts the signatures of one key, on every chain.
func acceptsOf(owner account) func(chain.Question) error {
	return func(q chain.Question) error {
		if len(q.Signature) != 65 {
			return chain.ErrRefused
		}
		signature := append([]byte{}, q.Signature...)
		signature[64] -= 27
		key, err := crypto.SigToPub(q.Digest[:], signature)
		if err != nil || crypto.PubkeyToAddress(*key) != owner.address {
			return chain.ErrRefused
		}
		return nil
	}
}

// contractOf is the account of a contract at a random address, which signs with its owner's key.
func contractOf(t testing.TB, owner account) account {
	return account{owner.key, newAccount(t).address}
}

// signed is the body of a step-up.
func signed(a account, text string) map[string]any {
	return map[string]any{"message": text, "signature": a.sign(text)}
}

func unreachable(chain.Question) error {
	return &chain.TroubleError{Chain: 1, RetryAfter: 3 * time.Second, Reasons: []string{"URL 1 of 1: no answer"}}
}

// Two RPCs of which one lies sign nobody in, and end no session either.
func TestContract_disagree(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		chains := &asked{answer: acceptsOf(owner)}
		w := newWorld(t, r, chains.world, func(w *world) { w.opts.WalletRecheck = time.Minute })
		c, other, safe := w.browser(), w.browser(), contractOf(t, owner)
		c.signIn(safe)
		chains.answer = func(chain.Question) error { return chain.ErrDisagree }
		other.login(other.body(safe, other.message(safe).String())).wants(401, "login_failed")
		w.clock.add(2 * time.Minute)
		c.take(c.renew().wants(200, ""))
		if n := chains.calls.Load(); n != 3 {
			t.Errorf("the chain was asked %d times, want 3", n)
		}
		c.profile().wants(200, "")
	})
}

// A contract wallet signs in, steps up, refreshes and is listed, in both transports. It is an account of its own.
func TestContract_signsIn(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner, key := newAccount(t), newAccount(t)
		chains := &asked{answer: acceptsOf(owner)}
		w := newWorld(t, r, chains.world)
		safe := account{owner.key, key.address}
		want := "eip155:1:" + safe.address.Hex()
		for name, c := range map[string]*client{"cookie": w.browser(), "bearer": w.script()} {
			login := c.signIn(safe)
			equal(t, name+": account", login.at("user", "account"), want)
			equal(t, name+": wallet", login.at("user", "wallet"), "contract")
			equal(t, name+": address", login.at("user", "address"), safe.address.Hex())
			equal(t, name+": profile", c.profile().wants(200, "").at("user", "account"), want)
			w.clock.add(time.Minute)
			c.take(c.renew().wants(200, ""))
			c.take(c.confirm(safe).wants(200, ""))
			c.profile().wants(200, "")
			// The key of the same address, or the contract on another chain, is another account.
			c.stepUp(signed(key, c.stepUpMessage().String())).wants(401, "login_failed")
			m := c.stepUpMessage()
			m.ChainID = 8453
			c.stepUp(signed(safe, m.String())).wants(401, "login_failed")
			c.logout(nil).wants(204, "")
		}
		if n := chains.calls.Load(); n < 4 {
			t.Errorf("the chain was asked %d times", n)
		}
	})
}

// One address is three accounts: three users, with three sets of sessions.
func TestContract_threeAccounts(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		w := newWorld(t, r, (&asked{answer: acceptsOf(owner)}).world)
		key := newAccount(t)
		ids := map[any]bool{}
		for _, try := range []struct {
			signer account
			chain  uint64
		}{{key, 1}, {account{owner.key, key.address}, 1}, {account{owner.key, key.address}, 8453}, {key, 8453}} {
			c := w.script()
			m := c.message(try.signer)
			m.ChainID = try.chain
			got := c.login(c.body(try.signer, m.String())).wants(200, "")
			ids[got.at("user", "id")] = true
		}
		if len(ids) != 3 {
			t.Errorf("they are %d users, want 3", len(ids))
		}
	})
}

// A contract at the address of an admin is no admin, on any chain, and does not count as the admin's own account. A
// contract can be an admin, too.
func TestContract_isNoAdminByItsAddress(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner, root := newAccount(t), newAccount(t)
		safe := contractOf(t, owner)
		w := newWorld(t, r, (&asked{answer: acceptsOf(owner)}).world, func(w *world) {
			w.cfg.Admins = []token.Account{token.KeyAccount(root.address), {Address: safe.address, Chain: 1}}
		})
		for _, id := range []uint64{1, 8453} {
			c := w.script()
			m := c.message(account{owner.key, root.address})
			m.ChainID = id
			c.take(c.login(c.body(account{owner.key, root.address}, m.String())).wants(200, ""))
			c.own("GET", "/api/admin/sessions", nil).wants(403, "forbidden")
		}
		admin, other := w.script(), w.script()
		admin.signIn(safe)
		admin.own("GET", "/api/admin/sessions", nil).wants(200, "")
		m := other.message(safe)
		m.ChainID = 8453
		other.take(other.login(other.body(safe, m.String())).wants(200, ""))
		other.own("GET", "/api/admin/sessions", nil).wants(403, "forbidden")

		// An address names the account of its key; a contract is named by its CAIP-10 account id.
		id := "eip155:8453:" + safe.address.Hex()
		admin.own("POST", "/api/admin/users/"+safe.address.Hex()+"/block", nil).wants(204, "")
		other.profile().wants(200, "")
		admin.own("POST", "/api/admin/users/"+id+"/block", nil).wants(204, "")
		other.profile().wants(401, "session_ended")
		got := admin.own("GET", "/api/admin/users/"+id, nil).wants(200, "")
		equal(t, "account", got.at("user", "account"), id)
		equal(t, "blocked", got.at("blocked"), true)
		admin.own("POST", "/api/admin/users/eip155:1:"+safe.address.Hex()+"/block", nil).wants(409, "conflict")
		admin.own("GET", "/api/admin/activity?address="+id, nil).wants(200, "")
		admin.own("DELETE", "/api/admin/users/"+id, nil).wants(204, "")
	})
}

// The signature of a key costs no call, and one that nothing accepts is refused as any other.
func TestContract_definiteNo(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		chains := &asked{answer: func(chain.Question) error { return fmt.Errorf("%w: reverted", chain.ErrRefused) }}
		w := newWorld(t, r, chains.world)
		c, alice := w.browser(), newAccount(t)
		c.signIn(alice)
		if n := chains.calls.Load(); n != 0 {
			t.Errorf("the login of a key made %d calls", n)
		}
		foreign := account{newAccount(t).key, alice.address}
		body := c.body(foreign, c.message(foreign).String())
		refused := c.login(body).wants(401, "login_failed")
		if chains.calls.Load() != 1 || strings.Contains(refused.body, "reverted") {
			t.Errorf("after %d calls it is told %s", chains.calls.Load(), refused.body)
		}
		c.login(body).wants(401, "login_failed") // its nonce is spent
		if n := chains.calls.Load(); n != 1 {
			t.Errorf("a spent nonce made the calls %d", n)
		}
		// What the policy refuses costs no call either, but the nonce.
		m := c.message(foreign)
		m.Domain = "evil.example.com"
		c.login(c.body(foreign, m.String())).wants(401, "login_failed")
		m.Domain = domain
		c.login(c.body(foreign, m.String())).wants(401, "login_failed")
		if n := chains.calls.Load(); n != 1 {
			t.Errorf("what the policy refused made the calls %d", n)
		}
	})
}

// A chain that cannot be asked costs no nonce: the same message signs in afterwards. There are five attempts.
func TestContract_trouble(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		chains := &asked{answer: unreachable}
		w := newWorld(t, r, chains.world)
		c, safe := w.script(), contractOf(t, owner)
		body := c.body(safe, c.message(safe).String())
		for range 4 {
			got := c.login(body).wants(503, "unavailable")
			equal(t, "Retry-After", got.header.Get("Retry-After"), "3")
		}
		chains.answer = acceptsOf(owner)
		c.take(c.login(body).wants(200, ""))
		c.profile().wants(200, "")
		c.login(body).wants(401, "login_failed")

		chains.answer = unreachable
		body = c.body(safe, c.message(safe).String())
		for range 5 {
			c.login(body).wants(503, "unavailable")
		}
		chains.answer = acceptsOf(owner)
		c.login(body).wants(401, "login_failed")
		m := c.stepUpMessage()
		chains.answer = unreachable
		c.stepUp(signed(safe, m.String())).wants(503, "unavailable")
		chains.answer = acceptsOf(owner)
		c.stepUp(signed(safe, m.String())).wants(200, "")
	})
}

// A hundred copies of one message at once make one call at a time, five at most, and one session.
func TestContract_race(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		var under, most atomic.Int64
		accept := acceptsOf(owner)
		chains := &asked{answer: func(q chain.Question) error {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			time.Sleep(20 * time.Millisecond)
			return accept(q)
		}}
		var in, faults atomic.Int64
		w := newWorld(t, r, chains.world, func(w *world) {
			w.opts.LoginRate = 0
			w.cfg.Metric = func(m api.Metric, value float64) {
				if m == api.Faults {
					faults.Add(int64(value))
				}
			}
		})
		c, safe := w.script(), contractOf(t, owner)
		body := c.body(safe, c.message(safe).String())
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				switch got := w.script().login(body); got.status {
				case 200:
					in.Add(1)
				case 401, 503:
				default:
					t.Errorf("answered %d %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 || most.Load() != 1 || chains.calls.Load() > 5 {
			t.Errorf("%d signed in, after %d calls, %d at once", in.Load(), chains.calls.Load(), most.Load())
		}
		if faults.Load() != 0 {
			t.Errorf("one message sent twice counts as %d faults, for which somebody is woken up", faults.Load())
		}
	})
}

// While an attempt is under way another one is told to come back, and makes no call. However many logins of contracts hang,
// keys sign in.
func TestContract_hanging(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		const most = 20
		owner := newAccount(t)
		answer, accept := make(chan struct{}), acceptsOf(owner)
		chains := &asked{answer: func(q chain.Question) error {
			<-answer
			return accept(q)
		}}
		elsewhere := atomic.Bool{}
		w := newWorld(t, r, chains.world, func(w *world) {
			w.opts.LoginRate = most
			w.call = func(info *api.RequestInfo) {
				if elsewhere.Load() {
					info.SourceIP = netip.MustParseAddr("198.51.100.7")
				}
			}
		})
		var bodies []map[string]any
		for range most {
			safe := contractOf(t, owner)
			c := w.script()
			bodies = append(bodies, c.body(safe, c.message(safe).String()))
		}
		var in atomic.Int64
		var all sync.WaitGroup
		for _, body := range bodies {
			all.Go(func() {
				if w.script().login(body).status == 200 {
					in.Add(1)
				}
			})
		}
		for chains.calls.Load() < most {
			time.Sleep(time.Millisecond)
		}
		c := w.script()
		c.login(bodies[0]).wants(429, "rate_limited")
		elsewhere.Store(true)
		busy := c.login(bodies[0]).wants(503, "unavailable")
		equal(t, "Retry-After", busy.header.Get("Retry-After"), "1")
		c.signIn(newAccount(t))
		c.take(c.renew().wants(200, ""))
		c.profile().wants(200, "")
		if n := chains.calls.Load(); n != most {
			t.Errorf("%d calls, want %d", n, most)
		}
		close(answer)
		all.Wait()
		if in.Load() != most {
			t.Errorf("%d of %d contracts signed in", in.Load(), most)
		}
	})
}

// Switched off, a contract wallet is refused as before, and the log says which variable switches it on.
func TestContract_off(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	c, owner := w.script(), newAccount(t)
	safe := contractOf(t, owner)
	c.login(c.body(safe, c.message(safe).String())).wants(401, "login_failed")
	body := c.body(safe, c.message(safe).String())
	body["signature"] = "0x" + strings.Repeat("ab", 200)
	got := c.login(body).wants(401, "login_failed")
	if strings.Contains(got.body, "ETHEREUM_RPC") {
		t.Errorf("a client is told %s", got.body)
	}
}

// An owner that is removed on chain: the next refresh after the interval ends the session. While the chain cannot be
// asked it goes on. A step-up by a new owner counts.
func TestContract_walletChanged(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		owner := newAccount(t)
		chains := &asked{answer: acceptsOf(owner)}
		w := newWorld(t, r, chains.world, func(w *world) {
			w.opts.WalletRecheck, w.opts.Idle = time.Hour, w.opts.Absolute
		})
		c, safe := w.browser(), contractOf(t, owner)
		c.signIn(safe)
		calls := chains.calls.Load()
		for range 5 {
			w.clock.add(10 * time.Minute)
			c.take(c.renew().wants(200, ""))
			c.profile().wants(200, "")
		}
		if n := chains.calls.Load(); n != calls {
			t.Errorf("%d calls before the interval is over", n-calls)
		}
		chains.answer = unreachable
		w.clock.add(10 * time.Minute)
		c.take(c.renew().wants(200, ""))
		chains.answer = func(chain.Question) error { return chain.ErrRefused }
		w.clock.add(time.Minute)
		c.take(c.renew().wants(200, "")) // asked again after five minutes
		w.clock.add(4 * time.Minute)
		before := c.copyOf()
		got := c.renew().wants(401, "session_ended")
		equal(t, "reason", got.at("reason"), "wallet_changed")
		got = before.renew().wants(401, "session_ended")
		equal(t, "reason of a repeat", got.at("reason"), "wallet_changed")
		if n := chains.calls.Load() - calls; n != 2 {
			t.Errorf("%d calls, want 2", n)
		}

		// A step-up by another owner, while the first one's signature is being checked and refused.
		second := newAccount(t)
		chains.answer = acceptsOf(owner)
		c = w.browser()
		c.signIn(safe)
		w.clock.add(time.Hour)
		before = c.copyOf()
		chains.answer = func(chain.Question) error {
			chains.answer = acceptsOf(second)
			c.take(c.renew().wants(200, ""))
			c.take(c.confirm(account{second.key, safe.address}).wants(200, ""))
			return chain.ErrRefused
		}
		before.renew().wants(200, "")
		c.profile().wants(200, "")

		chains.answer = acceptsOf(owner)
		c = w.browser()
		c.signIn(safe)
		chains.answer = acceptsOf(second)
		w.clock.add(30 * time.Minute)
		c.take(c.renew().wants(200, ""))
		c.take(c.confirm(account{second.key, safe.address}).wants(200, ""))
		w.clock.add(time.Hour)
		c.take(c.renew().wants(200, ""))
		c.profile().wants(200, "")
	})
}
