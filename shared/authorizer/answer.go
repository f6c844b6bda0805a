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

// allow allows a request, in the form of the shape. If there are rules, a
// policy covers only the route of the request: API Gateway may cache it, and a
// wider one would open routes that require more.
func (s shape) allow(e *event, who api.Identity, ruled bool) ([]byte, error) {
	if s.simple() {
		return json.Marshal(simple{true, &who})
	}
	resource := e.arn().resource()
	if ruled && s != webSocket {
		var plain bool
		if resource, plain = e.arn().own(); !plain {
			return s.deny(e)
		}
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
