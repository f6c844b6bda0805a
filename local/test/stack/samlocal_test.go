package stack_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"latchkey/local/gateway"
	"latchkey/shared/config"
)

// samLocal are the variables that make sam-local gives every function.
func samLocal(t *testing.T) map[string]string {
	t.Helper()
	var file struct{ Parameters map[string]string }
	if err := json.Unmarshal([]byte(readFile(t, "local/env.json")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Parameters
}

func TestSamLocal_variables(t *testing.T) {
	given := samLocal(t)
	template, err := gateway.Parse([]byte(readFile(t, "template.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range template.Variables {
		named[name] = true
		// Of these the template's own value is that of a stack, which there is none of.
		if _, ok := given[name]; !ok && (strings.HasPrefix(name, "REDIS_") || strings.HasSuffix(name, "_ARN")) {
			t.Errorf("local/env.json lacks %s", name)
		}
	}
	for name := range given {
		if !named[name] {
			t.Errorf("local/env.json has %s, which sam local drops: template.yaml does not name it", name)
		}
	}
}

func TestSamLocal_keysAreSamples(t *testing.T) {
	given := samLocal(t)
	cfg, err := config.Load(func(name string) string { return given[name] })
	if err != nil || len(cfg.Generated) > 0 || cfg.Redis.Addr != "redis:6379" {
		t.Errorf("a function would start with %+v: %v", cfg, err)
	}
	for _, name := range []string{"SESSION_SECRET", "SESSION_ENCRYPTION_KEY"} {
		if !strings.HasPrefix(config.Weakness(given[name]), "is an example") {
			t.Errorf("%s of local/env.json is no sample, so production would take it", name)
		}
	}
}

// The trap: a published port is one that must be free, and nothing needs it.
func TestSamLocal_redis(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Command, Ports []string
			NetworkMode    string `yaml:"network_mode"`
		}
		Networks map[string]struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "local/docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	redis, ok := file.Services[samLocal(t)["REDIS_HOST"]]
	if !ok || !strings.HasSuffix(strings.Join(redis.Command, " "), "--maxmemory-policy noeviction") {
		t.Errorf("local/docker-compose.yml has %+v", file.Services)
	}
	if len(redis.Ports) > 0 || redis.NetworkMode != "" {
		t.Errorf("Redis is published at %s, and its network is %q", redis.Ports, redis.NetworkMode)
	}
	network := file.Networks["default"].Name
	for _, command := range []string{"local start-api", "local invoke SweepSessionsFunction"} {
		if got := samCommand(t, command); !strings.Contains(got, " --docker-network "+network+" ") {
			t.Errorf("another network than %s is joined by %s", network, got)
		}
	}
}

// samCommand returns the command of sam that begins so and that make sam-local
// or make sam-sweep runs.
func samCommand(t *testing.T, begins string, variables ...string) string {
	t.Helper()
	command := exec.Command("make", append([]string{"-n", "--no-print-directory", "sam-local", "sam-sweep"}, variables...)...)
	command.Dir, command.Env = root, withoutMake(os.Environ())
	output, err := command.CombinedOutput()
	found := regexp.MustCompile(`\bsam ` + begins + ` .*`).FindString(string(output))
	if err != nil || found == "" {
		t.Fatalf("make runs no sam %s: %v\n%s", begins, err, output)
	}
	return found
}

// withoutMake returns an environment without the variables of a make that runs
// this test.
func withoutMake(environment []string) []string {
	return slices.DeleteFunc(environment, func(v string) bool { return strings.HasPrefix(v, "MAKE") })
}

// parametersOf returns the parameters that a command of sam gives.
func parametersOf(command string) []string {
	_, list, _ := strings.Cut(command, "--parameter-overrides ")
	return strings.Fields(list)
}

// The trap: sam local does not resolve an If with AWS::NoValue in either branch.
// It then has no CORS, and no page can call it.
func TestSamLocal_cors(t *testing.T) {
	for domains, origins := range map[string]string{
		"localhost:3000":                `["http://localhost:3000"]`,
		"localhost:5173,localhost:8080": `["http://localhost:5173","http://localhost:8080"]`,
	} {
		parameters := parametersOf(samCommand(t, "local start-api", "SIWE_DOMAINS="+domains))
		expanded := translated(t, "template.yaml", parameters...)
		cors := at(expanded, "Resources", "Api", "Properties", "Body", "x-amazon-apigateway-cors")
		if strings.Contains(cors.String(), "AWS::NoValue") {
			t.Errorf("sam local does not resolve %s", cors)
		}
		s := carryOut(expanded, parameters...)
		_, api := s.one(t, "AWS::ApiGatewayV2::Api")
		expect(t, "CORS", api.at("Body", "x-amazon-apigateway-cors"), map[string]string{"allowOrigins": origins, "allowCredentials": "true"})
		for id, f := range s.of("AWS::Lambda::Function") {
			if id == describing { // it is told nothing
				continue
			}
			expect(t, id, f.at("Environment", "Variables"), map[string]string{
				"SIWE_DOMAINS": domains, "ALLOWED_ORIGINS": strings.NewReplacer(`["`, "", `","`, ",", `"]`, "").Replace(origins),
			})
		}
	}
	// These would override what the parameters say.
	for _, name := range []string{"SIWE_DOMAINS", "ALLOWED_ORIGINS"} {
		if value, given := samLocal(t)[name]; given {
			t.Errorf("local/env.json has %s=%s", name, value)
		}
	}
	if got := parametersOf(samCommand(t, "local start-api")); !slices.Contains(got, "Origins=http://localhost:3000") {
		t.Errorf("make sam-local has %q by default", got)
	}
}

// The trap: without the architecture, sam starts containers for arm64, which
// fail on other machines. It holds for every command that starts one.
func TestSamLocal_architecture(t *testing.T) {
	for machine, want := range map[string]string{"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"} {
		stubs := t.TempDir()
		stub(t, stubs, "uname", "echo "+machine)
		t.Setenv("PATH", stubs+":"+originalPath)
		for _, command := range []string{"build", "local start-api", "local invoke SweepSessionsFunction"} {
			if got := parametersOf(samCommand(t, command)); !slices.Contains(got, "Architecture="+want) {
				t.Errorf("on %s, sam %s has %q", machine, command, got)
			}
		}
	}
}

var originalPath = os.Getenv("PATH")

// stub puts a shell script into a folder.
func stub(t *testing.T, folder, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}
