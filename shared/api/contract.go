package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"latchkey/shared/chain"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
	"latchkey/shared/wallet"
)

// Contracts asks a chain whether a contract accepts a signature. It is a
// [chain.Verifier], which asks in this process, or asks another function that
// can reach the chains.
type Contracts interface {
	// Verify returns the errors of [chain.Verifier.Verify].
	Verify(ctx context.Context, q chain.Question) error
}

// errNoContracts is the reason of a refused login that may have come from a
// contract wallet, if those are switched off.
var errNoContracts = fmt.Errorf("%w. If the account is a contract wallet, set ETHEREUM_RPC "+
	"for its chain", wallet.ErrSignature)

// proof is a login or a step-up whose signature was accepted.
type proof struct {
	account token.Account
	stored  *session.Proof // of a contract
}

// prove spends the nonce of an attempt, checks its message against a policy,
// and finds out which account signed it. An attempt that is refused has spent
// its nonce. One whose chain could not be asked has not: it can be sent again.
//
// No call is made if the key of the message's address signed it, if the policy
// refuses the message, or if contract wallets are off.
func (x *exchange) prove(
	try attempt, terms session.NonceTerms, policy siwe.Policy,
) (by proof, err error) {
	on := x.api.cfg.Contracts != nil
	if on {
		err = try.verify(policy, x.api.now())
		if errors.Is(err, wallet.ErrSignature) {
			return x.proveContract(try, terms)
		}
	}
	if spent := x.api.store.SpendNonce(x.r.Context(), try.message.Nonce, terms); spent != nil {
		return by, spent
	}
	if !on { // a caller over the rate limit costs no recovery
		err = try.verify(policy, x.api.now())
		if errors.Is(err, wallet.ErrSignature) {
			err = errNoContracts
		}
	}
	return proof{account: token.KeyAccount(try.message.Address)}, err
}

// proveContract asks the chain. It takes one round trip to the store before,
// and one afterwards.
func (x *exchange) proveContract(try attempt, terms session.NonceTerms) (proof, error) {
	q := chain.Question{
		Chain: try.message.ChainID, Account: try.message.Address,
		Digest: wallet.Digest(try.raw), Signature: try.signature,
	}
	store, ctx := x.api.store, x.r.Context()
	begun, err := store.BeginAttempt(ctx, try.message.Nonce, terms)
	if err != nil {
		return proof{}, err
	}
	answer := x.ask(q)
	if isTrouble(answer) {
		x.releaseNonce(begun)
		return proof{}, answer
	}
	if err := store.FinishAttempt(ctx, begun); err != nil {
		return proof{}, err
	}
	return proof{
		account: token.Account{Address: q.Account, Chain: q.Chain},
		stored:  &session.Proof{Digest: q.Digest, Signature: q.Signature},
	}, answer
}

// storeReserve is kept back from the time of a request while a chain is asked,
// so that the nonce can still be spent or released afterwards.
const storeReserve = 500 * time.Millisecond

// ask asks the chain.
func (x *exchange) ask(q chain.Question) error {
	ctx := x.r.Context()
	if end, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-storeReserve))
		defer cancel()
	}
	return x.api.cfg.Contracts.Verify(ctx, q)
}

// releaseNonce ends an attempt whose chain could not be asked.
func (x *exchange) releaseNonce(begun session.Attempt) {
	end := time.Now().Add(storeReserve)
	if latest, bounded := x.r.Context().Deadline(); bounded && latest.Before(end) {
		end = latest
	}
	// The caller may be gone.
	ctx, cancel := context.WithDeadline(context.WithoutCancel(x.r.Context()), end)
	defer cancel()
	x.api.store.AbandonAttempt(ctx, begun)
}

// isTrouble reports whether an answer says nothing about the signature.
func isTrouble(err error) bool {
	return err != nil && !errors.Is(err, chain.ErrRefused) && !errors.Is(err, chain.ErrNoChain)
}

// recheck asks the contract of a session again, if this refresh is the one to
// do it. It ends the session only if the contract refuses the signature: that a
// chain cannot be asked changes nothing.
func (x *exchange) recheck(g session.Grant) error {
	if g.Check == nil {
		return nil
	}
	ctx, err := x.r.Context(), g.Check.Err
	if err == nil {
		err = x.askAgain(g)
	}
	if errors.Is(err, chain.ErrRefused) {
		ended, err := x.api.store.RevokeUnproven(ctx, g.Check)
		if err == nil && ended != nil {
			return ended
		}
		return err
	}
	if err != nil {
		x.api.Count(WalletsUnchecked)
		x.api.log.Warn("contract wallet not checked", "requestId", x.id,
			"sessionId", g.Session.ID.String(), "error", err.Error())
	}
	if err := x.api.store.Checked(ctx, g.Check, err == nil); err != nil {
		x.api.log.Warn("check of a contract wallet not recorded",
			slog.String("requestId", x.id), slog.String("error", err.Error()))
	}
	return nil
}

// askAgain puts the question of a session's proof. RPCs that disagree have not
// answered it: one that lies must not end sessions.
func (x *exchange) askAgain(g session.Grant) error {
	if x.api.cfg.Contracts == nil {
		return chain.ErrNoChain
	}
	q := chain.Question{
		Chain: g.Session.Account.Chain, Account: g.Session.Account.Address,
		Digest: g.Check.Proof.Digest, Signature: g.Check.Proof.Signature,
	}
	err := x.ask(q)
	if errors.Is(err, chain.ErrDisagree) {
		return &chain.TroubleError{Chain: q.Chain, Reasons: []string{"the RPCs disagree"}}
	}
	return err
}
