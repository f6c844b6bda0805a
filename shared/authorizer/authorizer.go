// Package authorizer is the Lambda authorizer of API Gateway: it guards any other API with the sessions of this service.
// Events of every shape come in, decisions go out in the form that the shape wants. What decides is api.Authorize; here is
// only where each shape keeps what that looks at.
//
//	shape                                      allowed and denied                       nothing presented
//	HTTP API, payload format 2.0               simple response                          isAuthorized false
//	HTTP API, payload format 1.0               IAM policy                               Deny policy
//	REST API, REQUEST and TOKEN                IAM policy                               error Unauthorized
//	WebSocket API, $connect                    IAM policy                               error Unauthorized
//	anything else                              denied, in the form that its ARN tells
//
// It keeps nothing between two events, so no result crosses from one caller to another, and a session that ended is denied
// at the next event. It needs no result cache in API Gateway. Where there is one, what it answers here stands for that long.
package authorizer

import (
	"context"
	"errors"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/lambdahttp"
)

// patience is how long a decision may take. API Gateway waits ten seconds for an authorizer, and its answer to one that is
// late is 500.
const patience = 3 * time.Second

// errUnauthorized makes REST and WebSocket APIs answer 401. They compare the message: it is this word and no other.
var errUnauthorized = errors.New("Unauthorized")

// Authorizer decides. It is safe for concurrent use, and implements lambda.Handler without knowing that interface.
type Authorizer struct {
	api   *api.API
	rules []Rule
}

// New makes an authorizer that asks a for every decision. Every rule that matches a request must hold; without rules any
// live session passes.
func New(a *api.API, rules []Rule) *Authorizer { return &Authorizer{api: a, rules: rules} }

// Invoke decides over one event. Its only error is Unauthorized: what else goes wrong denies.
func (z *Authorizer) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := lambdahttp.WithReserve(ctx, patience)
	defer cancel()
	e, s := decode(payload)
	who, decision := z.api.Authorize(ctx, e.guarded(s, z.rules))
	switch {
	case decision == api.Allowed:
		return s.allow(e, who, len(z.rules) > 0)
	case decision == api.Unauthenticated && s.throws():
		z.api.Count(api.Unauthorized)
		return nil, errUnauthorized
	case decision != api.Failed: // a fault was counted as what it is
		z.api.Count(api.Denials)
	}
	return s.deny(e)
}
