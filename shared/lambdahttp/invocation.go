package lambdahttp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"latchkey/shared/api"
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
// returns it in the form of [api.NormalAddress]. A port is left out: behind a
// custom domain with mutual TLS an HTTP API sends "192.0.2.1:39870". If text is
// neither, it returns the zero address, and an error for the log with the likely
// cause.
func SourceIP(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		var endpoint netip.AddrPort
		endpoint, err = netip.ParseAddrPort(text)
		ip = endpoint.Addr()
	}
	if err != nil {
		return netip.Addr{}, notAnAddress(text)
	}
	return api.NormalAddress(ip), nil
}

const (
	// testSourceIP is the source IP in events of the console's Test button.
	testSourceIP = "test-invoke-source-ip"
	// maxLogged bounds a source IP in the log, in bytes. No address is longer.
	maxLogged = 64
)

// notAnAddress returns an error that says where an event with this source IP
// probably comes from. The text is quoted, so that it stays within its line.
func notAnAddress(text string) error {
	switch text {
	case "":
		return errors.New("the event has no source IP: API Gateway always sends one")
	case testSourceIP:
		return errors.New("the source IP is " + testSourceIP + ": the event comes from the" +
			" Test button of API Gateway's console, which has no client address")
	}
	return fmt.Errorf("the source IP %+q is not an address: API Gateway always sends one",
		text[:min(len(text), maxLogged)])
}
