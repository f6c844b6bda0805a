package chain

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// Config says which RPCs are asked, and how. The zero value has no chain.
type Config struct {
	// RPC has the URLs of each chain, by chain id, in the order in which they
	// are asked.
	RPC map[uint64][]string
	// Multicall has the address of a Multicall3 contract for chains whose nodes
	// refuse a call without a recipient. It is used for wrapped signatures
	// (ERC-6492). Other chains do not need one.
	Multicall map[uint64]common.Address
	// Gas is the gas of a call; 0 means [DefaultGas].
	Gas uint64
	// Quorum is how many URLs must agree; 0 means 1. That many are asked at
	// once.
	Quorum int
	// AllowHTTP allows http besides https. It is only for a local node: the
	// answer of an RPC without TLS can be forged on the way.
	AllowHTTP bool
	// WrongChain is called, at most once a minute for each URL, if a URL serves
	// another chain than the configured one. It may be nil.
	WrongChain func(chain uint64)
}

// Check returns every problem of the configuration, joined, or nil. No text
// contains a URL.
func (c Config) Check() error {
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format, args...))
	}
	if c.Quorum < 0 {
		report("quorum %d is not positive", c.Quorum)
	}
	for _, id := range slices.Sorted(maps.Keys(c.RPC)) {
		urls := c.RPC[id]
		if n := max(1, c.Quorum); len(urls) < n {
			report("chain %d has %d URLs: a quorum of %d needs at least %d", id, len(urls), n, n)
		}
		for i, text := range urls {
			if !c.allows(text) {
				report("chain %d, URL %d of %d is not valid: use an absolute https URL", id, i+1, len(urls))
			}
			if slices.Contains(urls[:i], text) { // would count twice in a quorum
				report("chain %d, URL %d of %d occurs twice: remove one", id, i+1, len(urls))
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.Multicall)) {
		if _, set := c.RPC[id]; !set {
			report("chain %d has a Multicall3 address, but no RPC: add its URLs", id)
		}
	}
	return errors.Join(problems...)
}

// allows reports whether a URL may be asked.
func (c Config) allows(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && u.Fragment == "" &&
		(u.Scheme == "https" || u.Scheme == "http" && c.AllowHTTP)
}
