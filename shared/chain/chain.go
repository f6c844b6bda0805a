// Package chain asks a chain's RPC whether a contract accepts a signature.
//
// It covers contract accounts: deployed ones (ERC-1271), those that are not
// deployed yet or need a call before they can verify (ERC-6492), and accounts
// of keys that delegate to code (EIP-7702). It makes eth_call and eth_chainId
// calls, and never signs or sends a transaction.
//
// The RPC is trusted: one that lies can make any signature of its chain count.
// [Config.Quorum] asks several. URLs come from the configuration alone. They
// carry keys, so no error and no log entry contains one: a URL is identified by
// its chain and its position, counted from 1. What an RPC writes into its
// errors is not repeated either, since some repeat the key.
//
// The package does not recover keys from signatures. Nor does it know whether a
// message may be accepted, and it cannot detect a replay.
package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/wallet"
)

// DefaultGas is the gas of a call if [Config.Gas] is 0.
const DefaultGas = 5_000_000

// retryAfter is when to try again after trouble that the breaker has not
// stopped yet.
const retryAfter = time.Second

// Errors of [Verifier.Verify].
var (
	// ErrRefused says that the contract definitely does not accept the
	// signature: its execution failed, it answered something else than the
	// magic value, or there is no contract. The wrapping error adds a reason
	// for the log, which contains nothing of the signature.
	ErrRefused = errors.New("contract does not accept the signature")
	// ErrDisagree says that all RPCs answered, and fewer of them than the quorum
	// agree. It wraps [ErrRefused], because nobody may sign in. But it is no
	// reason to end a session: too few RPCs refuse the signature.
	ErrDisagree = fmt.Errorf("%w: the RPCs disagree", ErrRefused)
	// ErrNoChain says that no RPC is configured for the chain.
	ErrNoChain = errors.New("no RPC is configured for the chain")
	// ErrTrouble says that the chain could not be asked, so nothing is known
	// about the signature. The error is a [TroubleError].
	ErrTrouble = errors.New("chain could not be asked")
)

// TroubleError says why a chain could not be asked. It wraps [ErrTrouble].
type TroubleError struct {
	Chain uint64
	// RetryAfter is how long to wait before the next attempt. It is positive.
	RetryAfter time.Duration
	// Reasons has one line for each URL that was asked in vain.
	Reasons []string
}

// Error returns the chain and the reasons.
func (e *TroubleError) Error() string {
	return fmt.Sprintf("%v: chain %d, %s", ErrTrouble, e.Chain, strings.Join(e.Reasons, ", "))
}

// Unwrap returns [ErrTrouble].
func (e *TroubleError) Unwrap() error { return ErrTrouble }

// Question is a signature that a contract may accept.
type Question struct {
	// Chain is the chain id of the signed message (EIP-155).
	Chain uint64
	// Account is the contract. The zero address and those below 0x10000, which
	// are reserved for precompiles (EIP-1352), are refused without a call.
	Account common.Address
	// Digest is what was signed, in general [wallet.Digest] of a message.
	Digest [32]byte
	// Signature has at most [wallet.MaxSignature] bytes; longer ones are
	// refused without a call. It may be empty, which some contracts accept for
	// what was approved on chain. If it ends with the magic bytes of ERC-6492,
	// it must be wrapped as that says.
	Signature []byte
}

// Verifier asks RPCs. It is safe for concurrent use.
type Verifier struct {
	chains map[uint64]*network
	log    *slog.Logger
	now    func() time.Time
}

// network is one chain with its RPCs.
type network struct {
	id        uint64
	endpoints []*endpoint
	multicall *common.Address // nil if the nodes run creation code
	gas       uint64
	quorum    int
	breaker   breaker
}

// New returns a verifier, or every problem of the configuration, joined. now is
// the clock of the breaker and of what is logged once a minute; time-outs are
// measured by the system.
func New(cfg Config, log *slog.Logger, now func() time.Time) (*Verifier, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	v := &Verifier{chains: map[uint64]*network{}, log: log, now: now}
	client := newClient()
	for id, urls := range cfg.RPC {
		n := cfg.network(id)
		for i, text := range urls {
			n.endpoints = append(n.endpoints, &endpoint{
				client: client, url: text, chain: id, position: i + 1, of: len(urls),
				checking: make(chan struct{}, 1), log: log, now: now, wrongChain: cfg.WrongChain,
			})
		}
		v.chains[id] = n
	}
	return v, nil
}

// network returns a chain, without its URLs.
func (c Config) network(id uint64) *network {
	n := &network{id: id, gas: c.Gas, quorum: max(1, c.Quorum)}
	if n.gas == 0 {
		n.gas = DefaultGas
	}
	if address, set := c.Multicall[id]; set {
		n.multicall = &address
	}
	return n
}

// Verify returns nil if the contract accepts the signature. Otherwise its error
// wraps [ErrRefused], is [ErrNoChain], or is a [*TroubleError]. It asks the
// URLs of the chain in their order, each for at most two seconds, and stops
// when ctx ends. That is trouble.
//
// After three questions in a row that ended in trouble, it answers
// [*TroubleError] for that chain without a call, for ten seconds.
func (v *Verifier) Verify(ctx context.Context, q Question) error {
	n := v.chains[q.Chain]
	if n == nil {
		return ErrNoChain
	}
	c, err := n.compose(q)
	if err != nil {
		return err
	}
	if wait := n.breaker.wait(v.now()); wait > 0 {
		return &TroubleError{n.id, wait, []string{"paused after three troubles in a row"}}
	}
	faults, err := n.decide(ctx, c)
	n.record(ctx, v.now(), err, faults)
	var trouble *TroubleError
	if errors.As(err, &trouble) {
		trouble.RetryAfter = max(retryAfter, n.breaker.wait(v.now()))
	} else if len(faults) > 0 {
		v.log.WarnContext(ctx, "RPC did not answer", "chain", n.id, "reasons", reasonsOf(faults))
	}
	return err
}

// compose returns the call that puts a question, or an error that wraps
// [ErrRefused] if the answer is known without a call.
func (n *network) compose(q Question) (call, error) {
	switch {
	case len(q.Signature) > wallet.MaxSignature:
		return call{}, refuse("the signature is too long")
	case isReserved(q.Account):
		return call{}, refuse("the address is reserved for precompiles")
	case !isWrapped(q.Signature):
		return plainCall(q), nil
	}
	w, ok := unwrap(q.Signature)
	switch {
	case !ok:
		return call{}, refuse("the ERC-6492 wrapper is malformed")
	case n.multicall != nil:
		return multicallOf(*n.multicall, q, w), nil
	}
	return creationCall(q, w), nil
}

// isReserved reports whether an address is below 0x10000. EIP-1352 reserves
// these for precompiles and system contracts. Nodes fail calls of precompiles
// with texts of their own, which would look like trouble.
func isReserved(a common.Address) bool {
	return !slices.ContainsFunc(a[:common.AddressLength-2], func(b byte) bool { return b != 0 })
}

// record tells the breaker how a question ended. Trouble that the question
// itself can provoke does not count: otherwise anybody could stop the logins of
// a chain. Nor does a caller that went away.
func (n *network) record(ctx context.Context, now time.Time, err error, faults []fault) {
	switch {
	case !errors.Is(err, ErrTrouble):
		n.breaker.succeed()
	case errors.Is(ctx.Err(), context.Canceled):
	case slices.ContainsFunc(faults, func(f fault) bool { return !f.provoked }):
		n.breaker.fail(now)
	}
}

func refuse(reason string) error { return fmt.Errorf("%w: %s", ErrRefused, reason) }
