package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"latchkey/local/test/evm"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/chain"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

// otherChain is a second chain. It has the same contracts.
const otherChain = 10

// rpc passes calls on to the real EVM, and counts them.
type rpc struct {
	chain  uint64 // what it answers to eth_chainId
	calls  atomic.Int64
	away   atomic.Bool                         // it answers 502
	before atomic.Pointer[func(*http.Request)] // is called with each call first
}

// serve starts it, and returns its URL.
func (n *rpc) serve(t testing.TB, node string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var asked struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(body, &asked)
		if asked.Method == "eth_chainId" {
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":"0x%x"}`, asked.ID, n.chain)
			return
		}
		n.calls.Add(1)
		if f := n.before.Load(); f != nil {
			(*f)(r)
		}
		response, err := http.Post(node, "application/json", bytes.NewReader(body))
		if err != nil || n.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// onEVM lets contracts sign in that a real EVM runs, on two chains.
func onEVM(t *testing.T, n *rpc) func(*world) {
	node := evm.Start(t).URL
	other := &rpc{chain: otherChain}
	n.chain = evm.Chain
	urls := map[uint64][]string{evm.Chain: {n.serve(t, node)}, otherChain: {other.serve(t, node)}}
	return func(w *world) {
		v, err := chain.New(chain.Config{RPC: urls, AllowHTTP: true}, slog.New(slog.DiscardHandler), w.clock.now)
		must(t, err)
		w.cfg.Contracts, w.cfg.ChainIDs = v, []uint64{1, evm.Chain, otherChain}
	}
}

// contractWallet is a contract's account, and how it signs a text.
type contractWallet struct {
	address common.Address
	sign    func(t *testing.T, text string) []byte
}

func digestOf(text string) common.Hash { return wallet.Digest([]byte(text)) }

// ownedBy is a contract that accepts the signatures of one of the EVM's keys.
func ownedBy(n byte, address common.Address) contractWallet {
	return contractWallet{address, func(t *testing.T, text string) []byte { return evm.Sign(t, evm.Key(n), digestOf(text)) }}
}

// wrappedFor wraps the signatures of a wallet (ERC-6492).
func (a contractWallet) wrappedFor(factory common.Address, calldata []byte) contractWallet {
	return contractWallet{a.address, func(t *testing.T, text string) []byte {
		return evm.Wrap(factory, calldata, a.sign(t, text))
	}}
}

// bodyAt is a login's on a chain, over a new message.
func (c *client) bodyAt(t *testing.T, id uint64, a contractWallet) map[string]any {
	t.Helper()
	m := c.message(account{address: a.address})
	m.ChainID = id
	return map[string]any{"message": m.String(), "signature": hexutil.Encode(a.sign(t, m.String())), "transport": c.transport}
}

// enter is a whole login, which must succeed.
func (c *client) enter(t *testing.T, a contractWallet) answer {
	t.Helper()
	got := c.login(c.bodyAt(t, evm.Chain, a)).wants(200, "")
	c.take(got)
	return got
}

// raise is a whole step-up.
func (c *client) raise(t *testing.T, a contractWallet) answer {
	t.Helper()
	text := c.stepUpMessage().String()
	got := c.stepUp(map[string]any{"message": text, "signature": hexutil.Encode(a.sign(t, text))}).wants(200, "")
	c.take(got)
	return got
}

// ends asserts that the client's session has ended, for a reason.
func (c *client) ends(reason string) {
	c.w.t.Helper()
	equal(c.w.t, "the reason", c.profile().wants(401, "session_ended").at("reason"), reason)
}

// contractWallets are accounts of each kind. Their calls deploy nothing.
func contractWallets(t *testing.T) map[string]contractWallet {
	approves := evm.AccountOf("Approves")
	undeployed, deploy := evm.Counterfactual(20)
	deployed, deployOther := evm.Counterfactual(21)
	if code, err := evm.Start(t).Client().CodeAt(t.Context(), deployed, nil); err != nil || len(code) == 0 {
		must(t, err)
		evm.Start(t).Send(t, evm.Rich, evm.AccountOf("Factory"), deployOther)
	}
	return map[string]contractWallet{
		"owner wallet":      ownedBy(1, evm.AccountOf("OwnerWallet")),
		"delegated key":     ownedBy(1, evm.AddressOf(evm.Delegating)),
		"undeployed":        ownedBy(1, undeployed).wrappedFor(evm.AccountOf("Factory"), deploy),
		"deployed":          ownedBy(1, deployed),
		"deployed, wrapped": ownedBy(1, deployed).wrappedFor(evm.AccountOf("Factory"), deployOther),
		"approved on chain": {approves, func(t *testing.T, text string) []byte {
			digest := digestOf(text)
			evm.Start(t).Send(t, evm.Rich, approves, evm.Calldata("approve(bytes32)", digest[:]))
			return nil
		}},
		"long signature": {evm.AccountOf("LongSignature"), func(_ *testing.T, text string) []byte {
			digest := digestOf(text)
			return bytes.Repeat(digest[:], 256)
		}},
	}
}

// A contract wallet of each kind does what every account does, in both transports.
func TestWallets_everyKind(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root := newAccount(t)
		w := newWorld(t, r, onEVM(t, new(rpc)), func(w *world) {
			w.opts.SessionLimit, w.cfg.Admins = 2, []token.Account{token.KeyAccount(root.address)}
		})
		admin := w.script()
		admin.signIn(root)
		for name, a := range contractWallets(t) {
			for transport, newClient := range w.transports() {
				t.Run(name+"/"+transport, func(t *testing.T) { useWallet(t, a, newClient, admin) })
			}
		}
		undeployed, _ := evm.Counterfactual(20)
		if code, err := evm.Start(t).Client().CodeAt(t.Context(), undeployed, nil); err != nil || len(code) > 0 {
			t.Errorf("a login deployed %x, %v", code, err)
		}
	})
}

// useWallet signs in, steps up, is listed, limited, blocked, logged out and erased.
func useWallet(t *testing.T, a contractWallet, newClient func() *client, admin *client) {
	id := fmt.Sprintf("eip155:%d:%s", evm.Chain, a.address.Hex())
	path := "/api/admin/users/" + id
	first := newClient()
	login := first.enter(t, a)
	equal(t, "account", login.at("user", "account"), id)
	equal(t, "wallet", login.at("user", "wallet"), "contract")
	raised := first.raise(t, a)
	equal(t, "session", raised.at("session", "id"), login.at("session", "id"))
	for what, list := range map[string]answer{
		"its own": first.own("GET", "/api/sessions", nil), "an admin's": admin.own("GET", path, nil),
	} {
		if ids := list.wants(200, "").ids(); !slices.Equal(ids, []string{login.text("session", "id")}) {
			t.Errorf("%s list has %q", what, ids)
		}
	}

	second, third := newClient(), newClient()
	second.enter(t, a)
	equal(t, "evicted", fmt.Sprint(third.enter(t, a).at("evicted")), fmt.Sprint([]any{login.at("session", "id")}))
	first.ends("evicted")

	admin.own("POST", path+"/block", nil).wants(204, "")
	third.ends("account_blocked")
	fourth := newClient()
	fourth.login(fourth.bodyAt(t, evm.Chain, a)).wants(403, "account_blocked")
	admin.own("POST", path+"/unblock", nil).wants(204, "")

	fourth = newClient()
	fourth.enter(t, a)
	access := fourth.copyOf()
	fourth.logout(nil).wants(204, "")
	access.ends("logged_out")
	last := newClient()
	last.enter(t, a)
	access = last.copyOf()
	last.own("DELETE", "/api/profile", nil).wants(204, "")
	access.ends("account_erased")
}

// hostileWallets are accounts that nobody can sign in as, and factories that do not help.
func hostileWallets() map[string]contractWallet {
	factory, all := evm.AccountOf("Factory"), map[string]contractWallet{}
	add := func(name string, a contractWallet) {
		all[name] = a
		all[name+", wrapped"] = a.wrappedFor(factory, evm.Calldata("idle()"))
		all[name+", wrapped by itself"] = a.wrappedFor(a.address, evm.Magic)
		all[name+", wrapped by a factory that reverts"] = a.wrappedFor(factory, evm.Calldata("fail()"))
	}
	for _, name := range []string{
		"Reverts", "RevertsWithMagic", "Echoes", "EchoesWord", "Burns", "Invalid", "Answers:64", "Answers:31",
		"Answers:nearly", "Answers:zero", "DelegatedToNothing", "DelegatedToPrecompile",
	} {
		add(name, ownedBy(1, evm.AccountOf(name)))
	}
	for n := range uint16(0x11) {
		add(fmt.Sprintf("precompile %#x", n+1), ownedBy(1, common.Address{19: byte(n + 1)}))
	}
	add("precompile 0x100", ownedBy(1, common.Address{18: 1}))
	add("a key's address", ownedBy(1, evm.AddressOf(evm.Rich)))
	add("another owner", ownedBy(2, evm.AccountOf("OwnerWallet")))
	undeployed, deploy := evm.Counterfactual(22)
	_, deployOther := evm.Counterfactual(23)
	add("not deployed", ownedBy(1, undeployed))
	of := ownedBy(1, undeployed)
	all["a factory that deploys another"] = of.wrappedFor(factory, deployOther)
	all["a factory without code"] = of.wrappedFor(evm.AddressOf(evm.Rich), deploy)
	all["a factory that echoes"] = of.wrappedFor(evm.AccountOf("Echoes"), deploy)
	all["a factory that burns all gas"] = of.wrappedFor(evm.AccountOf("Burns"), deploy)
	all["a precompile as the factory"] = of.wrappedFor(common.Address{19: 4}, deploy)
	return all
}

// Each hostile contract is refused as any failed login, in both transports.
func TestWallets_hostile(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, onEVM(t, new(rpc)))
		for transport, newClient := range w.transports() {
			for name, a := range hostileWallets() {
				c := newClient()
				if got := c.login(c.bodyAt(t, evm.Chain, a)); got.status != 401 || got.code() != "login_failed" {
					t.Errorf("%s, %s: answered %d %s", name, transport, got.status, got.body)
				}
			}
		}
		if lines := w.lines("unavailable"); len(lines) > 0 {
			t.Errorf("logged %v", lines)
		}
	})
}

// A signature is good for one chain, one account, one message and one factory.
func TestWallets_signatureElsewhere(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w := newWorld(t, r, onEVM(t, new(rpc)))
		factory := evm.AccountOf("Factory")
		undeployed, deploy := evm.Counterfactual(24)
		for name, a := range map[string]contractWallet{
			"plain": ownedBy(1, evm.AccountOf("OwnerWallet")), "wrapped": ownedBy(1, undeployed).wrappedFor(factory, deploy),
		} {
			for transport, newClient := range w.transports() {
				c := newClient()
				tampered := func(change func(text string) string) {
					t.Helper()
					body := c.bodyAt(t, evm.Chain, a)
					text := body["message"].(string)
					if body["message"] = change(text); body["message"] == text {
						t.Fatal("the message is the same")
					}
					c.login(body).wants(401, "login_failed")
				}
				replaced := func(from, to string) func(string) string {
					return func(text string) string { return strings.Replace(text, from, to, 1) }
				}
				tampered(replaced(fmt.Sprint("Chain ID: ", evm.Chain), fmt.Sprint("Chain ID: ", otherChain)))
				tampered(replaced(a.address.Hex(), evm.AccountOf("OwnerWallet:2").Hex()))
				tampered(replaced(a.address.Hex(), evm.AddressOf(evm.Delegating).Hex()))
				tampered(replaced("Issued At: 2026-11-23T10:00:00.000Z", "Issued At: 2026-11-23T09:59:59.000Z"))
				earlier := c.bodyAt(t, evm.Chain, a)
				later := c.bodyAt(t, evm.Chain, a)
				later["signature"] = earlier["signature"]
				c.login(later).wants(401, "login_failed")
				c.take(c.login(earlier).wants(200, "")) // its own message is accepted
				if t.Failed() {
					t.Fatalf("%s, %s", name, transport)
				}
			}
		}
		for _, other := range []string{"Echoes", "OwnerWallet", "nothing"} {
			c := w.script()
			c.login(c.bodyAt(t, evm.Chain, ownedBy(1, undeployed).wrappedFor(evm.AccountOf(other), deploy))).wants(401, "login_failed")
		}
	})
}

// One address is three users: its key, and its contract on each of two chains. Each has its own sessions, roles and
// preferences.
func TestWallets_threeUsers(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		root := newAccount(t)
		w := newWorld(t, r, onEVM(t, new(rpc)), func(w *world) {
			w.cfg.Admins = []token.Account{token.KeyAccount(root.address)}
			w.cfg.Roles = map[string]api.Role{"one": {}, "two": {}, "three": {}}
		})
		admin := w.script()
		admin.signIn(root)
		for transport, newClient := range w.transports() {
			t.Run(transport, func(t *testing.T) { threeUsers(t, newClient, admin) })
		}
	})
}

func threeUsers(t *testing.T, newClient func() *client, admin *client) {
	address := evm.AddressOf(evm.Delegating)
	users := []struct {
		account, role string
		chain         uint64
		signedBy      byte
		c             *client
	}{
		{address.Hex(), "one", evm.Chain, 3, newClient()},
		{fmt.Sprintf("eip155:%d:%s", evm.Chain, address), "two", evm.Chain, 1, newClient()},
		{fmt.Sprintf("eip155:%d:%s", otherChain, address), "three", otherChain, 1, newClient()},
	}
	ids, sessions := map[string]bool{}, map[string]bool{}
	for _, u := range users {
		got := u.c.login(u.c.bodyAt(t, u.chain, ownedBy(u.signedBy, address))).wants(200, "")
		u.c.take(got)
		equal(t, "account", got.at("user", "account"), u.account)
		ids[got.text("user", "id")] = true
		u.c.patch(map[string]any{"name": u.role}, "*").wants(200, "")
		admin.own("PUT", "/api/admin/users/"+u.account+"/roles", map[string]any{"roles": []string{u.role}}).wants(200, "")
	}
	for _, u := range users {
		got := u.c.profile().wants(200, "")
		equal(t, "name of "+u.account, got.at("preferences", "name"), u.role)
		if roles := fmt.Sprint(got.at("user", "roles")); !strings.Contains(roles, u.role) || strings.Count(roles, " ") > 1 {
			t.Errorf("%s has the roles %s", u.account, roles)
		}
		own := u.c.own("GET", "/api/sessions", nil).wants(200, "").ids()
		if len(own) != 1 || sessions[own[0]] {
			t.Errorf("%s has the sessions %q", u.account, own)
		}
		sessions[own[0]] = true
	}
	if len(ids) != 3 {
		t.Errorf("they are %d users", len(ids))
	}
	// A logout everywhere of one leaves the others.
	users[0].c.logout(map[string]any{"everywhere": true}).wants(204, "")
	users[1].c.own("DELETE", "/api/profile", nil).wants(204, "")
	users[2].c.profile().wants(200, "")
	equal(t, "name", users[2].c.profile().at("preferences", "name"), "three")
	users[2].c.logout(nil).wants(204, "")
}

// rechecking has sessions whose wallets are checked every hour.
func rechecking(t *testing.T, r redistest.Redis) (*world, *rpc) {
	n := new(rpc)
	return newWorld(t, r, onEVM(t, n), func(w *world) {
		w.opts.WalletRecheck, w.opts.Idle = time.Hour, w.opts.Absolute
	}), n
}

// during asserts how many calls something makes.
func (n *rpc) during(t *testing.T, want int64, act func()) {
	t.Helper()
	before := n.calls.Load()
	act()
	if got := n.calls.Load() - before; got != want {
		t.Errorf("%d calls, want %d", got, want)
	}
}

// setOwner changes the owner of an owner wallet on chain.
func setOwner(t *testing.T, account common.Address, from, to byte) {
	t.Helper()
	node := evm.Start(t)
	node.Send(t, evm.Rich, evm.AddressOf(evm.Key(from)), nil) // pays for the next
	node.Send(t, evm.Key(from), account, evm.Calldata("setOwner(address)", evm.AddressOf(evm.Key(to)).Bytes()))
}

// An owner is removed on chain. The session goes on while the chain cannot be asked, and the next check ends it.
func TestWallets_ownerRemoved(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, n := rechecking(t, r)
		safe := evm.AccountOf("OwnerWallet:3")
		for transport, newClient := range w.transports() {
			t.Run(transport, func(t *testing.T) {
				c := newClient()
				n.during(t, 1, func() { c.enter(t, ownedBy(1, safe)) })
				n.during(t, 0, func() {
					for range 20 {
						w.clock.add(2 * time.Minute)
						c.profile()
						c.own("GET", "/api/sessions", nil)
						c.take(c.renew().wants(200, ""))
					}
				})
				setOwner(t, safe, 1, 9)
				defer setOwner(t, safe, 9, 1)
				n.during(t, 0, func() { c.profile().wants(200, "") })
				w.clock.add(20 * time.Minute)
				n.away.Store(true)
				n.during(t, 1, func() { c.take(c.renew().wants(200, "")) })
				w.clock.add(2 * time.Minute)
				n.during(t, 0, func() { c.take(c.renew().wants(200, "")) }) // five minutes after the trouble
				n.away.Store(false)
				w.clock.add(3 * time.Minute)
				before := c.copyOf()
				n.during(t, 1, func() {
					equal(t, "the reason", c.renew().wants(401, "session_ended").at("reason"), "wallet_changed")
					equal(t, "the reason again", before.renew().wants(401, "session_ended").at("reason"), "wallet_changed")
					before.ends("wallet_changed")
				})
				event := w.last("session.ended")
				equal(t, "the event's reason", event["reason"], "wallet_changed")
			})
		}
	})
}

// A new owner steps up, and the old one is removed: the session lives, and the old owner's ends.
func TestWallets_ownerStepsUp(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, n := rechecking(t, r)
		safe := evm.AccountOf("OwnerWallet:3")
		for transport, newClient := range w.transports() {
			t.Run(transport, func(t *testing.T) {
				c, old := newClient(), newClient()
				c.enter(t, ownedBy(1, safe))
				old.enter(t, ownedBy(1, safe))
				setOwner(t, safe, 1, 9)
				defer setOwner(t, safe, 9, 1)
				w.clock.add(30 * time.Minute)
				c.take(c.renew().wants(200, ""))
				old.take(old.renew().wants(200, ""))
				n.during(t, 1, func() { c.raise(t, ownedBy(9, safe)) })
				w.clock.add(45 * time.Minute)
				n.during(t, 0, func() { c.take(c.renew().wants(200, "")) }) // a step-up counts as a check
				n.during(t, 1, func() { old.renew().wants(401, "session_ended") })
				w.clock.add(15 * time.Minute)
				n.during(t, 1, func() { c.take(c.renew().wants(200, "")) })
				c.profile().wants(200, "")
			})
		}
	})
}

// Twenty refreshes at once make one call, and the others do not wait for it.
func TestWallets_refreshesAtOnce(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, n := rechecking(t, r)
		for transport, newClient := range w.transports() {
			t.Run(transport, func(t *testing.T) {
				c := newClient()
				c.enter(t, ownedBy(1, evm.AccountOf("OwnerWallet")))
				w.clock.add(time.Hour)
				copies := make([]*client, 20)
				for i := range copies {
					copies[i] = c.copyOf()
				}
				var answered atomic.Int64
				others := make(chan struct{})
				wait := func(r *http.Request) {
					select {
					case <-others:
					case <-r.Context().Done(): // after two seconds
						if answered.Load() == 0 {
							t.Error("the other refreshes wait for the call")
						}
					}
				}
				n.before.Store(&wait)
				defer n.before.Store(nil)
				n.during(t, 1, func() {
					var all sync.WaitGroup
					for _, c := range copies {
						all.Go(func() {
							c.renew().wants(200, "")
							if answered.Add(1) == 19 {
								close(others)
							}
						})
					}
					all.Wait()
				})
			})
		}
	})
}

// The caller dies while the chain is asked, after its tokens have rotated. A refresh a minute later checks.
func TestWallets_callerDies(t *testing.T) {
	redistest.EachSingle(t, func(t *testing.T, r redistest.Redis) {
		w, n := rechecking(t, r)
		for transport, newClient := range w.transports() {
			t.Run(transport, func(t *testing.T) {
				c := newClient()
				c.enter(t, ownedBy(1, evm.AccountOf("OwnerWallet")))
				w.clock.add(time.Hour)
				dying, die := context.WithCancel(t.Context())
				hang := func(r *http.Request) {
					die()
					<-r.Context().Done()
				}
				n.before.Store(&hang)
				n.during(t, 1, func() { c.dies(dying) })
				n.before.Store(nil)
				n.during(t, 0, func() { c.take(c.renew().wants(200, "")) }) // the same successor
				w.clock.add(50 * time.Second)
				n.during(t, 0, func() { c.take(c.renew().wants(200, "")) })
				w.clock.add(10 * time.Second)
				n.during(t, 1, func() { c.take(c.renew().wants(200, "")) })
				w.clock.add(time.Minute)
				n.during(t, 0, func() { c.take(c.renew().wants(200, "")) })
			})
		}
	})
}

// dies sends a refresh, and gives it up when a context is done.
func (c *client) dies(ctx context.Context) {
	c.w.t.Helper()
	body := ""
	if c.transport == "bearer" {
		body = fmt.Sprintf(`{"refreshToken":%q}`, c.refresh)
	}
	r, err := http.NewRequestWithContext(ctx, "POST", c.w.server.URL+"/auth/refresh", strings.NewReader(body))
	must(c.w.t, err)
	r.Header = c.header.Clone()
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if response, err := c.http.Do(r); err == nil {
		c.w.t.Errorf("answered %d", response.StatusCode)
		response.Body.Close()
	}
}
