package evm_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/evm"
	"latchkey/shared/chain"
)

// verifiersOf returns verifiers that ask a node, by how they ask about wrapped
// signatures.
func verifiersOf(t *testing.T, url string) map[string]*chain.Verifier {
	t.Helper()
	cfg := chain.Config{RPC: map[uint64][]string{evm.Chain: {url}}, AllowHTTP: true}
	verifiers := map[string]*chain.Verifier{"creation": newVerifier(t, cfg)}
	cfg.Multicall = map[uint64]common.Address{evm.Chain: evm.AccountOf("Multicall")}
	verifiers["multicall"] = newVerifier(t, cfg)
	return verifiers
}

// overNode returns verifiers that ask the real node.
func overNode(t *testing.T) map[string]*chain.Verifier {
	t.Helper()
	return verifiersOf(t, evm.Start(t).URL)
}

func newVerifier(t *testing.T, cfg chain.Config) *chain.Verifier {
	t.Helper()
	v, err := chain.New(cfg, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// ask asks about the digest of these tests.
func ask(t *testing.T, v *chain.Verifier, account common.Address, signature []byte) error {
	t.Helper()
	return v.Verify(t.Context(), chain.Question{
		Chain: evm.Chain, Account: account, Digest: evm.Digest, Signature: signature,
	})
}

// wantRefused fails unless an error is a definite no.
func wantRefused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, chain.ErrRefused) || errors.Is(err, chain.ErrTrouble) {
		t.Errorf("Verify returns %v, want ErrRefused", err)
	}
}

// renaming is an RPC that passes everything on to the real node, with another
// address in the place of a stand-in.
func renaming(t *testing.T, standIn, address common.Address) string {
	t.Helper()
	node := evm.Start(t).URL
	from, to := hex.EncodeToString(standIn[:]), hex.EncodeToString(address[:])
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		response, err := http.Post(node, "application/json", strings.NewReader(strings.ReplaceAll(string(body), from, to)))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		io.Copy(w, response.Body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestVerify_deployed(t *testing.T) {
	signature := evm.Sign(t, evm.Owner, evm.Digest)
	for name, s := range map[string][]byte{
		"OwnerWallet":   signature,
		"Delegated":     signature, // EIP-7702
		"Approves":      nil,
		"LongSignature": bytes.Repeat(evm.Digest[:], 256),
		"Answers:32":    []byte("any"),
	} {
		for mode, v := range overNode(t) {
			if err := ask(t, v, evm.AccountOf(name), s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			other := chain.Question{Chain: evm.Chain, Account: evm.AccountOf(name), Digest: [32]byte{1}, Signature: s}
			if name != "Answers:32" {
				wantRefused(t, v.Verify(t.Context(), other))
			}
			// The same, wrapped with a factory that does nothing.
			wrapped := evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), s)
			if len(s) <= 65 {
				if err := ask(t, v, evm.AccountOf(name), wrapped); err != nil {
					t.Errorf("%s, wrapped, by %s: %v", name, mode, err)
				}
			}
		}
	}
}

// A contract that is not deployed yet signs in, and is not deployed after.
func TestVerify_counterfactual(t *testing.T) {
	for mode, v := range overNode(t) {
		account, deploy := evm.Counterfactual(1)
		s := evm.Sign(t, evm.Owner, evm.Digest)
		if err := ask(t, v, account, evm.Wrap(evm.AccountOf("Factory"), deploy, s)); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		code, err := evm.Start(t).Client().CodeAt(t.Context(), account, nil)
		if err != nil || len(code) > 0 {
			t.Errorf("%s: the account has the code %x, %v", mode, code, err)
		}
		_, otherDeploy := evm.Counterfactual(2)
		for name, signature := range map[string][]byte{
			"not wrapped":                s,
			"signed by another key":      evm.Wrap(evm.AccountOf("Factory"), deploy, evm.Sign(t, evm.Rich, evm.Digest)),
			"of another digest":          evm.Wrap(evm.AccountOf("Factory"), deploy, evm.Sign(t, evm.Owner, common.Hash{1})),
			"factory that deploys other": evm.Wrap(evm.AccountOf("Factory"), otherDeploy, s),
			"factory that does nothing":  evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), s),
			"factory that reverts":       evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("fail()"), s),
			"factory without code":       evm.Wrap(evm.AccountOf("nothing"), deploy, s),
			"factory that burns all gas": evm.Wrap(evm.AccountOf("Burns"), deploy, s),
			"another factory":            evm.Wrap(evm.AccountOf("Echoes"), deploy, s),
			"wrapped twice":              evm.Wrap(evm.AccountOf("Factory"), deploy, evm.Wrap(evm.AccountOf("Factory"), deploy, s)),
			"malformed wrapper":          append([]byte{1}, evm.Wrap(evm.AccountOf("Factory"), deploy, s)...),
		} {
			t.Run(mode+"/"+name, func(t *testing.T) { wantRefused(t, ask(t, v, account, signature)) })
		}
	}
}

// A deployed account that says no is asked again after the factory call.
func TestVerify_prepared(t *testing.T) {
	for mode, v := range overNode(t) {
		account := evm.AccountOf("Unprepared")
		if err := ask(t, v, account, evm.Wrap(account, evm.Calldata("prepare()"), nil)); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		wantRefused(t, ask(t, v, account, evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), nil)))
		wantRefused(t, ask(t, v, account, evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("fail()"), nil)))
		wantRefused(t, ask(t, v, account, nil))
	}
}

// A refused signature is refused plain and wrapped, and none is trouble: with
// trouble, anybody could stop the calls to a chain.
func TestVerify_hostile(t *testing.T) {
	names := []string{
		"nothing", "Echoes", "EchoesWord", "Reverts", "RevertsWithMagic", "Burns", "Invalid",
		"DelegatedToNothing", "DelegatedToPrecompile",
		"Answers:0", "Answers:1", "Answers:4", "Answers:31", "Answers:33", "Answers:64",
		"Answers:nearly", "Answers:shifted", "Answers:true", "Answers:zero",
	}
	signature := evm.Sign(t, evm.Owner, evm.Digest)
	for mode, v := range overNode(t) {
		for _, name := range names {
			t.Run(mode+"/"+name, func(t *testing.T) {
				for _, s := range [][]byte{signature, nil, make([]byte, 8192)} {
					wantRefused(t, ask(t, v, evm.AccountOf(name), s))
				}
				for _, s := range [][]byte{signature, nil, make([]byte, 7000)} {
					for _, data := range [][]byte{nil, evm.Calldata("idle()"), evm.Calldata("fail()")} {
						wantRefused(t, ask(t, v, evm.AccountOf(name), evm.Wrap(evm.AccountOf("Factory"), data, s)))
					}
					wantRefused(t, ask(t, v, evm.AccountOf(name), evm.Wrap(evm.AccountOf(name), signature, s)))
				}
			})
		}
	}
}

// A key's address has no code. What its key signed is not asked here.
func TestVerify_keysAddress(t *testing.T) {
	for _, v := range overNode(t) {
		s := evm.Sign(t, evm.Owner, evm.Digest)
		wantRefused(t, ask(t, v, evm.AddressOf(evm.Owner), s))
		wantRefused(t, ask(t, v, evm.AddressOf(evm.Owner), evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), s)))
		wantRefused(t, ask(t, v, evm.AddressOf(evm.Rich), evm.Wrap(evm.AddressOf(evm.Rich), nil, s)))
	}
}

// A static call may not change state. This contract would otherwise say yes.
func TestVerify_staticCall(t *testing.T) {
	v := overNode(t)["creation"]
	wantRefused(t, ask(t, v, evm.AccountOf("Writes"), evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), nil)))
}

// precompiles are the addresses of precompiles, and reserved ones without any.
func precompiles() []common.Address {
	addresses := []common.Address{{}, {18: 1}, {18: 0xff, 19: 0xff}}
	for n := range byte(0x11) {
		addresses = append(addresses, common.Address{19: n + 1})
	}
	return addresses
}

// Precompiles have no code, but answer: the one at 0x04 with its input.
func TestVerify_precompiles(t *testing.T) {
	signature := evm.Sign(t, evm.Owner, evm.Digest)
	for _, v := range overNode(t) {
		for _, a := range precompiles() {
			wantRefused(t, ask(t, v, a, signature))
			wantRefused(t, ask(t, v, a, nil))
			wantRefused(t, ask(t, v, a, evm.Wrap(a, signature, nil)))
		}
	}
}

// They are refused without a call, and would be refused by what is called.
func TestVerify_precompilesCalled(t *testing.T) {
	standIn := evm.AccountOf("stand-in")
	signature := evm.Sign(t, evm.Owner, evm.Digest)
	for _, a := range precompiles() {
		for mode, v := range verifiersOf(t, renaming(t, standIn, a)) {
			for _, s := range [][]byte{signature, nil, evm.Magic} {
				if err := ask(t, v, standIn, s); err == nil {
					t.Errorf("%s: %v is accepted with %x", mode, a, s)
				}
				wantRefused(t, ask(t, v, standIn, evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), s)))
				wantRefused(t, ask(t, v, standIn, evm.Wrap(standIn, evm.Magic, s)))
				wantRefused(t, ask(t, v, standIn, evm.Wrap(common.Address{19: 4}, evm.Magic, s)))
			}
		}
	}
	// The stand-in works: with a contract in its place it is accepted.
	for mode, v := range verifiersOf(t, renaming(t, standIn, evm.AccountOf("OwnerWallet"))) {
		for _, s := range [][]byte{signature, evm.Wrap(evm.AccountOf("Factory"), nil, signature)} {
			if err := ask(t, v, standIn, s); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
	}
}

// What an owner signed is worth nothing once there is another owner.
func TestVerify_ownerChanges(t *testing.T) {
	e, account := evm.Start(t), evm.AccountOf("OwnerWallet:2")
	v := overNode(t)["creation"]
	before, next := evm.Sign(t, evm.Owner, evm.Digest), evm.Key(9)
	if err := ask(t, v, account, before); err != nil {
		t.Fatal(err)
	}
	e.Send(t, evm.Rich, evm.AddressOf(evm.Owner), nil) // pays for the next
	e.Send(t, evm.Owner, account, evm.Calldata("setOwner(address)", evm.AddressOf(next).Bytes()))
	wantRefused(t, ask(t, v, account, before))
	wantRefused(t, ask(t, v, account, evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), before)))
	if err := ask(t, v, account, evm.Sign(t, next, evm.Digest)); err != nil {
		t.Error(err)
	}
	e.Send(t, evm.Rich, evm.AddressOf(next), nil) // and back, for the next run
	e.Send(t, next, account, evm.Calldata("setOwner(address)", evm.AddressOf(evm.Owner).Bytes()))
	if err := ask(t, v, account, before); err != nil {
		t.Error(err)
	}
}

// A chain without an RPC is not an error of the chain.
func TestVerify_noChain(t *testing.T) {
	v := overNode(t)["creation"]
	err := v.Verify(context.Background(), chain.Question{Chain: 1, Account: evm.AccountOf("Answers:32")})
	if !errors.Is(err, chain.ErrNoChain) || errors.Is(err, chain.ErrRefused) {
		t.Errorf("Verify returns %v, want ErrNoChain", err)
	}
}

// An answer that is too long is trouble, but no reason to stop asking: any
// contract can give one.
func TestVerify_longAnswer(t *testing.T) {
	v := overNode(t)["creation"]
	for range 5 {
		if err := ask(t, v, evm.AccountOf("Answers:long"), nil); !errors.Is(err, chain.ErrTrouble) {
			t.Errorf("Verify returns %v, want ErrTrouble", err)
		}
	}
	if err := ask(t, v, evm.AccountOf("Answers:32"), nil); err != nil {
		t.Error(err)
	}
	// The creation code reads only its length.
	wantRefused(t, ask(t, v, evm.AccountOf("Answers:long"), evm.Wrap(evm.AccountOf("Factory"), evm.Calldata("idle()"), nil)))
}

// A factory that returns too much is no way to keep the account from being asked: a signer chooses the factory.
func TestVerify_longFactory(t *testing.T) {
	long := evm.AccountOf("Answers:long")
	for mode, v := range overNode(t) {
		good, bad := evm.Sign(t, evm.Owner, evm.Digest), evm.Sign(t, evm.Rich, evm.Digest)
		if err := ask(t, v, evm.AccountOf("OwnerWallet"), evm.Wrap(long, nil, good)); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		wantRefused(t, ask(t, v, evm.AccountOf("OwnerWallet"), evm.Wrap(long, nil, bad)))
		wantRefused(t, ask(t, v, evm.AccountOf("nothing"), evm.Wrap(long, nil, good)))
	}
}

// With too little gas nothing can be accepted.
func TestVerify_gas(t *testing.T) {
	v := newVerifier(t, chain.Config{
		RPC: map[uint64][]string{evm.Chain: {evm.Start(t).URL}}, Gas: 25_000, AllowHTTP: true,
	})
	wantRefused(t, ask(t, v, evm.AccountOf("Burns"), nil))
	if err := ask(t, v, evm.AccountOf("LongSignature"), bytes.Repeat(evm.Digest[:], 256)); err == nil {
		t.Error("accepted with 25,000 gas")
	}
}
