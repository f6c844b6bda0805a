package authorizer

import "strings"

// connectRoute is the one route of a WebSocket API that has an authorizer.
const connectRoute = "$connect"

// maxResource is how long API Gateway lets a policy's resource be.
const maxResource = 512

// arn is a methodArn or routeArn, split at its first two slashes. What is
// before them comes from API Gateway. What follows has a path, which the client
// chooses.
//
//	arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>
//	arn:aws:execute-api:<region>:<account>:<api>/<stage>/$connect
type arn struct {
	api   string // to the id of the API
	stage string
	route string // method and path, or $connect
}

func (e *event) arn() arn {
	text := e.MethodARN
	if e.RouteARN != "" {
		text = e.RouteARN
	}
	api, rest, _ := strings.Cut(text, "/")
	stage, route, _ := strings.Cut(rest, "/")
	return arn{api, stage, route}
}

// valid reports whether a policy can name the stage and nothing else: a
// wildcard in the stage would name others.
func (a arn) valid() bool {
	fields := strings.Split(a.api, ":")
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "execute-api" || fields[5] == "" ||
		a.stage == "" || a.route == "" {
		return false
	}
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
			strings.ContainsRune(":-_$", r))
	}
	return !strings.ContainsFunc(a.api+a.stage, odd) && len(a.resource()) <= maxResource
}

// resource returns the whole stage. API Gateway uses a cached result for every
// route of the authorizer, so a policy for one route would deny the next one
// with 403. If rules make routes differ, own is used instead.
func (a arn) resource() string { return a.api + "/" + a.stage + "/*" }

// own returns the route of the request alone. It is not plain if a policy would
// match more than that route, or if it is too long for a policy.
func (a arn) own() (resource string, plain bool) {
	resource = a.api + "/" + a.stage + "/" + a.route
	return resource, len(resource) <= maxResource && !strings.ContainsAny(a.route, "*?$")
}

func (a arn) method() string {
	method, _, _ := strings.Cut(a.route, "/")
	return method
}

func (a arn) path() string {
	_, path, _ := strings.Cut(a.route, "/")
	return "/" + path
}
