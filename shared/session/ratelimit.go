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

// RateError says that a request came too soon. Nothing was changed, but that the nonce of a login or step-up is spent.
type RateError struct {
	// Name of the limit: nonce, login or refresh.
	Name string
	// Limit is how many requests a minute there may be, and how many at once.
	Limit int
	// Retry is in how long the next one would pass.
	Retry time.Duration
}

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("too many requests: %s, again in %v", e.Name, e.Retry)
}

// The names of the rate limits.
const (
	nonceRate   = "nonce"
	loginRate   = "login"
	refreshRate = "refresh"
)

// siteFactor is how many times the limit of an IPv6 /64 its /48 may ask: a site has 65536 of them.
const siteFactor = 8

// rateLimit is a rate limit as a script takes it: keys of one slot, and the size of each. The zero value limits nothing.
type rateLimit struct {
	name  string
	keys  []string
	sizes []int
}

// networkRate limits what a network asks before it is known for which account: an IPv4 address to limit requests a
// minute; an IPv6 /64 to that, and its /48 to eight times as many. Where no address is known, all that is unknown is one
// network. A limit of 0 limits nothing.
func (s *Store) networkRate(name string, limit int, ip netip.Addr) rateLimit {
	return s.rateIn(s.nonceSlot(s.networkTag(ip)), name, limit, networks(ip))
}

// accountRate limits what is asked for an account, wherever from.
func (s *Store) accountRate(name string, limit int, u token.UserID) rateLimit {
	return s.rateIn(s.partition(u), name, limit, [][]byte{nil}, u[:])
}

// accountNetworkRate limits what a network asks for an account.
func (s *Store) accountNetworkRate(name string, limit int, u token.UserID, ip netip.Addr) rateLimit {
	return s.rateIn(s.partition(u), name, limit, networks(ip), u[:])
}

func (s *Store) rateIn(slot, name string, limit int, networks [][]byte, who ...[]byte) rateLimit {
	r := rateLimit{name: name}
	if limit <= 0 {
		return r
	}
	for _, network := range networks {
		r.keys = append(r.keys, s.limitKey(slot, name, append(who, network)...))
		r.sizes = append(r.sizes, limit)
		limit *= siteFactor
	}
	return r
}

// arg is the sizes as rateLimit in lua/lib/rate_limit.lua takes them.
func (r rateLimit) arg() string {
	sizes := make([]string, len(r.sizes))
	for i, n := range r.sizes {
		sizes[i] = strconv.Itoa(n)
	}
	return strings.Join(sizes, ",")
}

// refusal is the error of a script that answered LIMITED and in how many milliseconds the next would pass.
func (r rateLimit) refusal(wait int64) error {
	if len(r.sizes) == 0 || wait < 0 {
		return ErrDamaged
	}
	return &RateError{Name: r.name, Limit: r.sizes[0], Retry: time.Duration(wait) * time.Millisecond}
}

// networks are the networks of an address that are limited, the narrowest first. Every spelling of an address is the
// same one: IPv4 in IPv6 is IPv4, and a zone is dropped.
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

// networkTag is the two characters that a network's nonces begin with, those of the widest network that is limited, so
// that all its limits are in one slot. It spreads the load: some tags are likelier than others, which harms nothing.
func (s *Store) networkTag(ip netip.Addr) string {
	all := networks(ip)
	sum := s.keys.Lookup(seal.RateLimit, all[len(all)-1])
	return string([]byte{nonceAlphabet[int(sum[0])%len(nonceAlphabet)], nonceAlphabet[int(sum[1])%len(nonceAlphabet)]})
}

// count is the script that counts a request, to be sent together with what it is for.
func (r rateLimit) count(now time.Time) *script.Call {
	return &script.Call{Script: rateLimitScript, Keys: r.keys, Args: []any{millis(now), r.arg()}}
}

// result reads its answer.
func (r rateLimit) result(answer script.Reply) error {
	switch answer.Outcome() {
	case outcomeDone:
		return nil
	case outcomeLimited:
		return r.refusal(answer.Int(1))
	}
	return ErrDamaged
}
