package lambdahttp

import (
	"context"
	"net/netip"
	"time"
)

// reserve is kept back from the deadline of an invocation. A handler that has
// waited for Redis until its own deadline can then still answer 503 or deny,
// and a sweep can log what it did.
const reserve = 500 * time.Millisecond

// WithReserve returns a context for the work of an invocation. It ends half a
// second before ctx, so that time is left to answer, and after most at
// the latest. A most of 0 sets no such bound. If ctx has no deadline and most
// is 0, the result is ctx.
func WithReserve(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	if bounded {
		end = end.Add(-reserve)
	}
	if most > 0 {
		if latest := time.Now().Add(most); !bounded || latest.Before(end) {
			end, bounded = latest, true
		}
	}
	if !bounded {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, end)
}

// SourceIP parses the address of a client in an event of API Gateway. It
// returns one form for each address, without an IPv6 zone and with an IPv4
// address in IPv6 unwrapped: otherwise a client would have several. A port is
// left out: behind a custom domain with mutual TLS an HTTP API sends
// "192.0.2.1:39870". It returns false and the zero address if text is neither.
func SourceIP(text string) (netip.Addr, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		var endpoint netip.AddrPort
		endpoint, err = netip.ParseAddrPort(text)
		ip = endpoint.Addr()
	}
	return ip.Unmap().WithZone(""), err == nil
}
