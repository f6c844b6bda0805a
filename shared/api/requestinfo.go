package api

import (
	"context"
	"log/slog"
	"net/netip"
)

// RequestInfo is what the gateway itself knows of a request. Except for Host,
// no header can forge it.
type RequestInfo struct {
	// SourceIP is the address that connected to the gateway; zero if it is not
	// known. Behind a CDN, see [CDN].
	SourceIP netip.Addr
	// RequestID is the gateway's id of the request.
	RequestID string
	// Malformed says that the gateway's event could not be turned into a
	// request. It is answered with 400, and nothing of it is read.
	Malformed bool
	// Host is the host or host:port that the client asked for, as it was sent.
	// A client can forge it, so it only chooses among domains that are accepted
	// anyway.
	Host string
	// Detail says for the log what is wrong with the gateway's event, and the
	// likely cause; empty if nothing is. It holds no secret and is printable
	// ASCII.
	Detail string
	// Route is the route that the gateway matched, such as "POST /auth/login".
	Route string
}

// detail returns the attribute for Detail, if there is one.
func (i RequestInfo) detail() []slog.Attr {
	if i.Detail == "" {
		return nil
	}
	return []slog.Attr{slog.String("detail", i.Detail)}
}

type requestInfoKey struct{}

// WithRequestInfo returns a context with what the gateway knows of a request.
func WithRequestInfo(ctx context.Context, info RequestInfo) context.Context {
	return context.WithValue(ctx, requestInfoKey{}, info)
}

func requestInfoOf(ctx context.Context) RequestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(RequestInfo)
	return info
}
