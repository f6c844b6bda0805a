package api

import (
	"context"
	"net/netip"
)

// RequestInfo is what the gateway itself knows of a request. No header can forge it.
type RequestInfo struct {
	// SourceIP is the other end of the connection to the gateway; the zero value where it is not known.
	SourceIP netip.Addr
	// RequestID is the gateway's own.
	RequestID string
	// Malformed says that what reached the gateway cannot be made a request: it is answered 400, and nothing of it is read.
	Malformed bool
	// Route is the one that the gateway chose, such as "POST /auth/login".
	Route string
}

type requestInfoKey struct{}

// WithRequestInfo gives a request's context what the gateway knows of it.
func WithRequestInfo(ctx context.Context, info RequestInfo) context.Context {
	return context.WithValue(ctx, requestInfoKey{}, info)
}

func requestInfoOf(ctx context.Context) RequestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(RequestInfo)
	return info
}
