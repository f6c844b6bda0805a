package gateway

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Template is what this package reads of a SAM template: what API Gateway
// needs to route requests and to answer for CORS, and the functions that a
// schedule calls.
type Template struct {
	Functions map[string]Function // by logical id
	CORS      CORS
	// Authorizers has the authorizers of the API by name. DefaultAuthorizer is
	// the name that applies to routes without one. It is empty if there is
	// none.
	Authorizers       map[string]Authorizer
	DefaultAuthorizer string
	// Variables has the sorted names of the environment variables that Globals
	// gives every function, and of those that a function has besides.
	Variables []string
}

// Function is one AWS::Serverless::Function.
type Function struct {
	Timeout  time.Duration
	Routes   []Route
	Schedule time.Duration // interval between scheduled calls; 0 without any
}

// called reports whether a route or a schedule calls the function. What calls
// the other functions does not exist on this machine.
func (f Function) called() bool { return len(f.Routes) > 0 || f.Schedule > 0 }

// Route is one event of type HttpApi.
type Route struct {
	Method string // upper case, or ANY
	Path   string // literal segments, {name}, and a final {name+}
	// Authorizer is the name of the route's authorizer. NONE means that it has
	// none. If it is empty, the API's default applies.
	Authorizer string
}

// Key returns the route key as in events, such as "POST /auth/login".
func (r Route) Key() string { return r.Method + " " + r.Path }

// CORS is the CorsConfiguration of the API without its origins, which a
// template takes from a parameter. The zero value is no configuration.
type CORS struct {
	AllowMethods     []string
	AllowHeaders     []string
	ExposeHeaders    []string
	AllowCredentials bool
	MaxAge           int // seconds
}

// defaultTimeout is Lambda's timeout if a template sets none.
const defaultTimeout = 3 * time.Second

// Parse reads a template. It does not resolve intrinsic functions, except that
// it takes the first choice of !If, which has the configuration.
func Parse(text []byte) (*Template, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	if len(document.Content) == 0 {
		return nil, errors.New("reading the template: it is empty")
	}
	root := node{document.Content[0]}
	t := &Template{Functions: map[string]Function{}}
	globals := root.at("Globals", "Function")
	for name := range globals.at("Environment", "Variables").entries() {
		t.Variables = append(t.Variables, name)
	}
	for id, resource := range root.at("Resources").entries() {
		properties := resource.at("Properties")
		switch resource.at("Type").text() {
		case "AWS::Serverless::HttpApi":
			t.CORS = properties.at("CorsConfiguration").cors()
			if err := t.parseAuth(properties.at("Auth")); err != nil {
				return nil, fmt.Errorf("reading the template: %s: %w", id, err)
			}
		case "AWS::Serverless::Function":
			f, err := parseFunction(properties, globals)
			if err != nil {
				return nil, fmt.Errorf("reading the template: %s: %w", id, err)
			}
			t.Functions[id] = f
			for name := range properties.at("Environment", "Variables").entries() {
				t.Variables = append(t.Variables, name)
			}
		}
	}
	slices.Sort(t.Variables)
	t.Variables = slices.Compact(t.Variables)
	if len(t.Functions) == 0 {
		return nil, errors.New("reading the template: it has no AWS::Serverless::Function")
	}
	if err := t.checkAuth(); err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return t, nil
}

func parseFunction(properties, globals node) (Function, error) {
	f := Function{Timeout: defaultTimeout}
	for _, n := range []node{globals, properties} {
		if text := n.at("Timeout").text(); text != "" {
			seconds, err := strconv.Atoi(text)
			if err != nil || seconds < 1 {
				return Function{}, fmt.Errorf("the Timeout %q is not a number of seconds from 1", text)
			}
			f.Timeout = time.Duration(seconds) * time.Second
		}
	}
	for name, event := range properties.at("Events").entries() {
		if err := f.add(event.at("Type").text(), event.at("Properties")); err != nil {
			return Function{}, fmt.Errorf("event %s: %w", name, err)
		}
	}
	return f, nil
}

// add reads an event. It ignores types that do not matter on a laptop.
func (f *Function) add(kind string, properties node) error {
	var err error
	switch kind {
	case "HttpApi":
		var route Route
		route, err = parseRoute(properties)
		f.Routes = append(f.Routes, route)
	case "ScheduleV2":
		f.Schedule, err = parseRate(properties.at("ScheduleExpression").text())
	}
	return err
}

var rate = regexp.MustCompile(`^rate\(([1-9][0-9]{0,3}) (minute|hour|day)s?\)$`)

// parseRate reads a rate expression, the only supported form of a schedule.
func parseRate(expression string) (time.Duration, error) {
	units := map[string]time.Duration{
		"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour,
	}
	parts := rate.FindStringSubmatch(expression)
	if parts == nil {
		return 0, fmt.Errorf("the ScheduleExpression %q is not supported:"+
			" use a rate, such as rate(1 minute)", expression)
	}
	number, err := strconv.Atoi(parts[1])
	return time.Duration(number) * units[parts[2]], err
}
