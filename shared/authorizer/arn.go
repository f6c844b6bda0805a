package authorizer

import "strings"

// connectRoute is the one route of a WebSocket API that has an authorizer.
const connectRoute = "$connect"

// maxResource is the most that API Gateway takes of a policy's resource.
const maxResource = 512

// arn is a methodArn or routeArn, split where only API Gateway's own text stands: at the first slash after the id of the
// API and at the next one. What follows is a path, and a path is the client's.
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

// valid tells whether a policy can name the stage, and nothing beside it: a wildcard in it would.
func (a arn) valid() bool {
	fields := strings.Split(a.api, ":")
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "execute-api" || fields[5] == "" || a.stage == "" || a.route == "" {
		return false
	}
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(":-_$", r))
	}
	return !strings.ContainsFunc(a.api+a.stage, odd) && len(a.resource()) <= maxResource
}

// resource is the whole stage, on purpose. A result that API Gateway caches counts for every route of the authorizer: a
// policy for the one route that was asked for would deny the next with 403. Where rules make routes differ it is own.
func (a arn) resource() string { return a.api + "/" + a.stage + "/*" }

// own is the one route that was asked about; not plain where a policy would read more into it, or has no room for it.
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
