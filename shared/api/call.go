package api

import (
	"context"
	"net/netip"
)

// Call is what the gateway itself knows of a request. No header can forge it.
type Call struct {
	// SourceIP is the other end of the connection to the gateway; the zero value where it is not known.
	SourceIP netip.Addr
	// RequestID is the gateway's own.
	RequestID string
	// Malformed says that what reached the gateway cannot be made a request: it is answered 400, and nothing of it is read.
	Malformed bool
	// Route is the one that the gateway chose, such as "POST /auth/login".
	Route string
}

type callKey struct{}

// WithCall gives a request's context what the gateway knows of it.
func WithCall(ctx context.Context, call Call) context.Context {
	return context.WithValue(ctx, callKey{}, call)
}

func callOf(ctx context.Context) Call {
	call, _ := ctx.Value(callKey{}).(Call)
	return call
}
