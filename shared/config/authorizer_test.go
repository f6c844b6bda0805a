package config_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey/shared/authorizer"
)

func TestLoad_authorizerPermissions(t *testing.T) {
	cfg := mustLoad(t, deployed("AUTHORIZER_PERMISSIONS", " GET /orders*=orders:read , POST /orders=orders:write,* /x=a"))
	want := []authorizer.Rule{
		{Method: "GET", Path: "/orders", Prefix: true, Permission: "orders:read"}, {Method: "POST", Path: "/orders", Permission: "orders:write"},
		{Method: "*", Path: "/x", Permission: "a"},
	}
	if !slices.Equal(cfg.AuthorizerRules, want) {
		t.Errorf("rules %+v", cfg.AuthorizerRules)
	}
	for value, says := range map[string]string{
		"GET /orders":                       `"GET /orders" is not of the form`,
		"GET /orders=orders:read,orders":    `"orders" is not of the form`,
		"get /orders=a":                     `"get /orders=a" has no valid method`,
		"GET /orders/=a":                    `"GET /orders/=a" has a path`,
		"GET /orders=Orders Read":           "has a permission that is not valid",
		"GET /o=" + strings.Repeat("x", 65): "has a permission that is not valid",
		"GET /o=a,GET /o=a":                 `"GET /o=a" is listed twice`,
	} {
		_, err := load(deployed("AUTHORIZER_PERMISSIONS", value))
		if err == nil || !strings.HasPrefix(err.Error(), "AUTHORIZER_PERMISSIONS: ") || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", value, err)
		}
	}
}
