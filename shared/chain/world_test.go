package chain_test

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"latchkey/shared/chain"
)

// simulatedChain is the chain id of the servers of these tests.
const simulatedChain = 1337

var (
	digest = crypto.Keccak256Hash([]byte("what was signed"))
	magic  = common.FromHex("0x1626ba7e00000000000000000000000000000000000000000000000000000000")
)

// clock is one that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// newVerifier returns a verifier with its clock and log.
func newVerifier(t *testing.T, cfg chain.Config) (*chain.Verifier, *clock, *syncBuffer) {
	t.Helper()
	cfg.AllowHTTP = true
	c, log := newClock(), &syncBuffer{}
	v, err := chain.New(cfg, slog.New(slog.NewJSONHandler(log, nil)), c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return v, c, log
}

// ask asks about the digest of these tests.
func ask(t *testing.T, v *chain.Verifier, account common.Address, signature []byte) error {
	t.Helper()
	return v.Verify(t.Context(), chain.Question{
		Chain: simulatedChain, Account: account, Digest: digest, Signature: signature,
	})
}

// wantRefused fails unless an error is a definite no.
func wantRefused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, chain.ErrRefused) || errors.Is(err, chain.ErrTrouble) {
		t.Errorf("Verify returns %v, want ErrRefused", err)
	}
}

// wantTrouble fails unless an error is trouble, and returns it.
func wantTrouble(t *testing.T, err error) *chain.TroubleError {
	t.Helper()
	var trouble *chain.TroubleError
	if !errors.As(err, &trouble) || !errors.Is(err, chain.ErrTrouble) || errors.Is(err, chain.ErrRefused) {
		t.Fatalf("Verify returns %v, want a TroubleError", err)
	}
	if trouble.RetryAfter <= 0 || len(trouble.Reasons) == 0 {
		t.Errorf("%+v has no time to wait, or no reason", trouble)
	}
	return trouble
}

// hex renders bytes as an RPC does.
func hex(b []byte) string { return hexutil.Encode(b) }
