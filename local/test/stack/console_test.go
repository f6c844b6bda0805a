package stack_test

import (
	"regexp"
	"slices"
	"testing"
)

// withConsole are the parameters that switch the admin console on.
var withConsole = []string{"Console=api.example.com", "SiweDomains=app.example.com,api.example.com",
	"Origins=https://app.example.com,https://api.example.com"}

// TestStack_console holds that the console is off by default, with not one resource and not one route more, and that on it
// changes only the queries, the dashboard and the routes of the API.
func TestStack_console(t *testing.T) {
	off, on := deploy(t, withConsole[1:]...), deploy(t, withConsole...)
	var added, changed []string
	for id, resource := range on.resources {
		if former := off.resources[id]; former.value == nil {
			added = append(added, id)
		} else if former.String() != resource.String() {
			changed = append(changed, id)
		}
	}
	slices.Sort(added)
	slices.Sort(changed)
	want := []string{"ServeConsoleFunctionFilePermission", "ServeConsoleFunctionFileHeadPermission", "ServeConsoleFunctionPagePermission", "ServeConsoleFunctionPageHeadPermission",
		"ServeConsoleFunction", "ServeConsoleLogs", "ServeConsoleRole"}
	slices.Sort(want)
	if !slices.Equal(added, want) || len(on.resources) != len(off.resources)+len(want) {
		t.Errorf("it adds %q, want %q", added, want)
	}
	want = []string{"Api", "ByIdQuery", "Dashboard", "EndsQuery", "FaultsQuery", "RoutesQuery", "SlowestRequestsQuery"}
	if !slices.Equal(changed, want) {
		t.Errorf("it changes %q, want %q", changed, want)
	}
	for name, s := range map[string]stack{"off": off, "on": on} {
		_, api := s.one(t, "AWS::ApiGatewayV2::Api")
		for _, path := range []string{"/console", "/console/{file}"} {
			methods, _ := api.at("Body", "paths", path).value.(map[string]any)
			if has := methods["get"] != nil && methods["head"] != nil; has != (name == "on") || name == "on" && len(methods) != 2 {
				t.Errorf("%s: %s has %v", name, path, methods)
			}
		}
	}
	if off.outputs["ConsoleUrl"].value != nil {
		t.Error("off, it has a URL")
	}
	expect(t, "the output", on.outputs["ConsoleUrl"], map[string]string{"Value": "https://api.example.com/console"})
	// What it may do, TestStack_roles has.
	expect(t, console, on.resources[console].at("Properties"), map[string]string{
		"VpcConfig": "null",
		"Environment": `{"Variables":{"ALLOWED_ORIGINS":"https://app.example.com,https://api.example.com","APP_ENV":"production",` +
			`"CONSOLE":"api.example.com","SIWE_DOMAINS":"app.example.com,api.example.com"}}`,
	})
}

// TestStack_consoleIsAHost holds that a parameter which is no host name is refused before anything is deployed.
func TestStack_consoleIsAHost(t *testing.T) {
	deploy(t)
	parameter := node{ours.template}.at("Parameters", "Console")
	pattern := regexp.MustCompile("^(?:" + parameter.at("AllowedPattern").String() + ")$")
	for value, want := range map[string]bool{
		"": true, "api.example.com": true, "a-1.xn--bcher-kva.example": true, "https://api.example.com": false, "api.example.com/": false,
		"api.example.com:443": false, "API.example.com": false, "a.example,b.example": false, "-a.example": false, "a..example": false, "localhost": false,
	} {
		if got := pattern.MatchString(value); got != want {
			t.Errorf("%q is allowed: %v", value, got)
		}
	}
}
