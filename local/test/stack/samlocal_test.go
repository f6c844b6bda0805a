package stack_test

import (
	"encoding/json"
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

func TestSamLocal_redis(t *testing.T) {
	var file struct {
		Services map[string]struct{ Command, Ports []string }
		Networks map[string]struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "local/docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	redis, ok := file.Services[samLocal(t)["REDIS_HOST"]]
	if !ok || !strings.HasSuffix(strings.Join(redis.Command, " "), "--maxmemory-policy noeviction") {
		t.Errorf("local/docker-compose.yml has %+v", file.Services)
	}
	for _, port := range redis.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("Redis is published at %s", port)
		}
	}
	if network := file.Networks["default"].Name; !strings.Contains(readFile(t, "Makefile"), "--docker-network "+network+" ") {
		t.Errorf("make sam-local joins another network than %s", network)
	}
}
