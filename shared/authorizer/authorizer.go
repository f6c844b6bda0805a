// Package authorizer is a Lambda authorizer for API Gateway: it guards any
// other API with the sessions of this service. Events of every shape come in,
// and decisions go out in the form that the shape requires. [api.API.Authorize]
// decides; this package knows where each shape keeps what that needs.
//
//	shape                         decision         nothing presented
//	HTTP API, payload format 2.0  simple response  isAuthorized false
//	HTTP API, payload format 1.0  IAM policy       Deny policy
//	REST API, REQUEST and TOKEN   IAM policy       error Unauthorized
//	WebSocket API, $connect       IAM policy       error Unauthorized
//
// Anything else is denied, in the form that its ARN implies.
//
// It keeps nothing between two events, so no result reaches another caller, and
// a session that has ended is denied at the next event. It needs no result
// cache in API Gateway. If there is one, a decision is used for as long as that
// keeps it.
package authorizer

import (
	"context"
	"errors"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/lambdahttp"
)

// patience is how long a decision may take. API Gateway waits ten seconds for
// an authorizer, and then answers 500.
const patience = 3 * time.Second

// errUnauthorized makes REST and WebSocket APIs answer 401. They compare the
// message, so it is exactly this word.
var errUnauthorized = errors.New("Unauthorized")

// Authorizer decides on requests to other APIs. It implements lambda.Handler,
// and is safe for concurrent use.
type Authorizer struct {
	api   *api.API
	rules []Rule
	also  []string // names of headers that are read besides readHeaders
}

// New returns an authorizer that asks a for every decision. Every rule that
// matches a request must hold. Without rules every live session is allowed.
func New(a *api.API, rules []Rule) *Authorizer {
	return &Authorizer{api: a, rules: rules, also: a.CDNHeaders()}
}

// Invoke decides on one event. Its only error is Unauthorized. After any other
// error it denies.
func (z *Authorizer) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := lambdahttp.WithReserve(ctx, patience)
	defer cancel()
	e, s := decode(payload, z.also)
	who, decision := z.api.Authorize(ctx, e.guarded(s, z.rules))
	resource, ok := s.allowable(e, len(z.rules) > 0)
	switch {
	case decision == api.Allowed && ok:
		return s.allow(who, resource)
	case decision == api.Unauthenticated && s.throws():
		z.api.Count(api.Unauthorized)
		return nil, errUnauthorized
	case decision != api.Failed: // a failed decision has been counted as a fault
		z.api.Count(api.Denials)
	}
	return s.deny(e)
}
