package authorizer

import (
	"encoding/json"

	"latchkey/shared/api"
)

// simple is the response of an HTTP API with payload format 2.0 and
// EnableSimpleResponses.
type simple struct {
	IsAuthorized bool          `json:"isAuthorized"`
	Context      *api.Identity `json:"context,omitempty"`
}

// policy is the response for every other API.
type policy struct {
	PrincipalID    string        `json:"principalId"`
	PolicyDocument document      `json:"policyDocument"`
	Context        *api.Identity `json:"context,omitempty"`
}

type document struct {
	Version   string       `json:"Version"`
	Statement [1]statement `json:"Statement"`
}

type statement struct {
	Action   string `json:"Action"`
	Effect   string `json:"Effect"`
	Resource string `json:"Resource"`
}

func newPolicy(principal, effect, resource string, who *api.Identity) policy {
	one := [1]statement{{"execute-api:Invoke", effect, resource}}
	return policy{principal, document{"2012-10-17", one}, who}
}

// allowable returns the resource of a policy that allows a request; a simple
// response has none. If there are rules, a policy covers only the route of the
// request: API Gateway may cache it, and a wider one would open routes that
// require more. It is not ok if no policy can be about that route alone: then
// the request must be denied.
func (s shape) allowable(e *event, ruled bool) (resource string, ok bool) {
	switch {
	case s.simple():
		return "", true
	case ruled && s != webSocket:
		return e.arn().own()
	}
	return e.arn().resource(), true
}

// allow allows a request, in the form of the shape.
func (s shape) allow(who api.Identity, resource string) ([]byte, error) {
	if s.simple() {
		return json.Marshal(simple{true, &who})
	}
	return json.Marshal(newPolicy(who.UserID, "Allow", resource, &who))
}

// deny denies a request, in the form of the shape. An event of an unknown shape
// gets the simple response. An API that requires a policy answers 500 to that,
// which also denies. Without a valid ARN a policy is about every resource.
func (s shape) deny(e *event) ([]byte, error) {
	if s.simple() {
		return json.Marshal(simple{})
	}
	resource := "*"
	if a := e.arn(); a.valid() {
		resource = a.resource()
	}
	return json.Marshal(newPolicy("unknown", "Deny", resource, nil))
}
