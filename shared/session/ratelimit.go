package session

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"latchkey/shared/script"
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// RateError says that a request exceeds a rate limit. Nothing was changed,
// except that the nonce of a key's login or step-up is spent, and the attempt of
// a contract's is counted.
type RateError struct {
	// Name is the name of the rate limit: nonce, login, refresh or ticket.
	Name string
	// Limit is how many requests are allowed within Window, and how many at
	// once.
	Limit  int
	Window time.Duration
	// Retry is how long to wait until the next request would pass.
	Retry time.Duration
}

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("too many %s requests: retry in %v", e.Name, e.Retry)
}

// The names of the rate limits.
const (
	nonceRate   = "nonce"
	loginRate   = "login"
	refreshRate = "refresh"
	ticketRate  = "ticket"
)

// siteFactor is how many times the rate limit of an IPv6 /64 its /48 has. A
// site, a /48, has 65536 networks of a /64.
const siteFactor = 8

// rateLimit is a rate limit as scripts take it: keys of one slot, and the size
// of each in requests a minute. The zero value limits nothing.
type rateLimit struct {
	name  string
	keys  []string
	sizes []int
}

// networkRate limits requests of a network that are made before an account is
// known. An IPv4 address may make limit requests a minute. So may an IPv6 /64,
// and its /48 may make eight times as many. All requests without a known
// address count as one network. A limit of 0 limits nothing.
func (s *Store) networkRate(name string, limit int, ip netip.Addr) rateLimit {
	return s.rateIn(s.nonceSlot(s.networkTag(ip)), name, limit, networks(ip))
}

// accountRate limits requests for an account, from all networks together.
func (s *Store) accountRate(name string, limit int, u token.UserID) rateLimit {
	return s.rateIn(s.partition(u), name, limit, [][]byte{nil}, u[:])
}

// accountNetworkRate limits requests for an account from one network.
func (s *Store) accountNetworkRate(
	name string, limit int, u token.UserID, ip netip.Addr,
) rateLimit {
	return s.rateIn(s.partition(u), name, limit, networks(ip), u[:])
}

// rateIn returns the rate limit of these networks, the narrowest first, with
// keys in a slot; see limitKey.
func (s *Store) rateIn(slot, name string, limit int, networks [][]byte, who ...[]byte) rateLimit {
	r := rateLimit{name: name}
	if limit <= 0 {
		return r
	}
	for _, network := range networks {
		r.keys = append(r.keys, s.rateLimitKey(slot, name, append(who, network)...))
		r.sizes = append(r.sizes, limit)
		limit *= siteFactor
	}
	return r
}

// arg returns the sizes as rateLimit in lua/lib/rate_limit.lua takes them.
func (r rateLimit) arg() string {
	sizes := make([]string, len(r.sizes))
	for i, n := range r.sizes {
		sizes[i] = strconv.Itoa(n)
	}
	return strings.Join(sizes, ",")
}

// refusal returns the error of a script that returned LIMITED. wait is how many
// milliseconds later the next request would pass.
func (r rateLimit) refusal(wait int64) error {
	if len(r.sizes) == 0 || wait < 0 {
		return ErrDamaged
	}
	return &RateError{
		Name: r.name, Limit: r.sizes[0], Window: time.Minute,
		Retry: time.Duration(wait) * time.Millisecond,
	}
}

// networks returns the networks of an address that have a rate limit, the
// narrowest first. All spellings of an address are the same: IPv4 in IPv6 is
// IPv4, and a zone is dropped.
func networks(ip netip.Addr) [][]byte {
	ip = ip.Unmap()
	if !ip.IsValid() {
		return [][]byte{nil}
	}
	if ip.Is4() {
		return [][]byte{ip.AsSlice()}
	}
	b := ip.As16()
	return [][]byte{b[:8], b[:6]}
}

// networkTag returns the two characters that a network's nonces begin with.
// They follow from the widest network that has a rate limit, so that all rate
// limits of an address are in one slot. The tag only spreads the load. Some
// tags are more likely than others, which does no harm.
func (s *Store) networkTag(ip netip.Addr) string {
	all := networks(ip)
	sum := s.keys.Lookup(seal.RateLimit, all[len(all)-1])
	return string([]byte{
		nonceAlphabet[int(sum[0])%len(nonceAlphabet)],
		nonceAlphabet[int(sum[1])%len(nonceAlphabet)],
	})
}

// count returns the call that counts a request. It is sent together with the
// call that the request is for.
func (r rateLimit) count(now time.Time) *script.Call {
	return &script.Call{Script: rateLimitScript, Keys: r.keys, Args: []any{millis(now), r.arg()}}
}

// result returns the error of the reply to that call.
func (r rateLimit) result(answer script.Reply) error {
	switch answer.Outcome() {
	case outcomeDone:
		return nil
	case outcomeLimited:
		return r.refusal(answer.Int(1))
	}
	return ErrDamaged
}
