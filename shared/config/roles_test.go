package config_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/api"
	"latchkey/shared/token"
)

func TestLoad_roles(t *testing.T) {
	cfg := mustLoad(t, deployed("ROLES", ` {
		"editor": {"permissions": ["posts:write", "posts.*", "a_b-c"], "maxSessions": 3},
		"user": {"permissions": ["posts:read"]},
		"admin": {"maxSessions": 1, "permissions": []},
		"x-1_y": {},
		"kiosk": {"maxSessions": 100}
	} `))
	number := func(n int) *int { return &n }
	want := map[string]api.Role{
		"editor": {Permissions: []string{"posts:write", "posts.*", "a_b-c"}, MaxSessions: number(3)},
		"user":   {Permissions: []string{"posts:read"}},
		"admin":  {Permissions: []string{}, MaxSessions: number(1)},
		"x-1_y":  {},
		"kiosk":  {MaxSessions: number(100)},
	}
	if !reflect.DeepEqual(cfg.API.Roles, want) {
		t.Errorf("roles %+v", cfg.API.Roles)
	}
	if got := cfg.Session.RoleLimits; !reflect.DeepEqual(got, map[string]int{"editor": 3, "admin": 1, "kiosk": 100}) {
		t.Errorf("limits %v", got)
	}
}

// Each value is one mistake, which is named. A map that is half understood
// would hand out other permissions than were meant.
func TestLoad_rolesProblems(t *testing.T) {
	tests := []struct{ value, says string }{
		{`[]`, "not JSON of the form"},
		{`null`, "not JSON of the form"},
		{`{`, "not JSON of the form"},
		{`{"a":{}`, "not JSON of the form"},
		{`{"a":{}} x`, "not JSON of the form"},
		{`{"a":{}}{}`, "not JSON of the form"},
		{`{"a":[]}`, "not JSON of the form"},
		{`{"a":null}`, "not JSON of the form"},
		{`{a:{}}`, "not JSON of the form"},
		{`{"a":{},}`, "not JSON of the form"},
		{`{"a":{"permissions":["x"]`, "not JSON of the form"},
		{`{"a":{},"a":{}}`, `"a" is listed twice`},
		{`{"a":{},"\u0061":{}}`, `"a" is listed twice`},
		{`{"a":{"maxSessions":1,"maxSessions":2}}`, `"maxSessions" is listed twice`},
		{`{"a":{"Permissions":[]}}`, `member "Permissions" of role "a" is unknown`},
		{`{"a":{"perms":[]}}`, `member "perms" of role "a" is unknown`},
		{`{"":{}}`, "role name"},
		{`{"A":{}}`, "role name"},
		{`{"1a":{}}`, "role name"},
		{`{"a b":{}}`, "role name"},
		{`{"ä":{}}`, "role name"},
		{`{"` + strings.Repeat("a", 33) + `":{}}`, "role name"},
		{`{"a":{"permissions":null}}`, `permissions of role "a" is not a list`},
		{`{"a":{"permissions":"x"}}`, `permissions of role "a" is not a list`},
		{`{"a":{"permissions":[1]}}`, `permissions of role "a" is not a list`},
		{`{"a":{"permissions":[null]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":[""]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":["x y"]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":["x,y"]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":["X"]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":["` + strings.Repeat("x", 65) + `"]}}`, `of role "a" is not valid`},
		{`{"a":{"permissions":["x","x"]}}`, `permission "x" of role "a" is listed twice`},
		{`{"a":{"maxSessions":null}}`, `maxSessions of role "a"`},
		{`{"a":{"maxSessions":-1}}`, `maxSessions of role "a"`},
		{`{"a":{"maxSessions":101}}`, `maxSessions of role "a"`},
		{`{"a":{"maxSessions":1.5}}`, `maxSessions of role "a"`},
		{`{"a":{"maxSessions":"1"}}`, `maxSessions of role "a"`},
		{`{"admin":{"permissions":["x"]}}`, "every permission"},
		{`{"user":{"maxSessions":3}}`, "MAX_CONCURRENT_SESSIONS"},
		{fmt.Sprintf(`{"a":{}%s}`, strings.Repeat(" ", 2041)), "2048"},
	}
	for _, tt := range tests {
		_, err := load(deployed("ROLES", tt.value))
		if err == nil {
			t.Errorf("%s was taken", tt.value)
		} else if got := err.Error(); !strings.HasPrefix(got, "ROLES: ") || !strings.Contains(got, tt.says) || strings.Contains(got, "\n") {
			t.Errorf("%s: %q does not say %q", tt.value, got, tt.says)
		}
	}
	mustLoad(t, deployed("ROLES", fmt.Sprintf(`{"a":{}%s}`, strings.Repeat(" ", 2040))))
}

// FuzzRoles holds that whatever is taken for a role map has only names that fit
// into the places where they go: lists that are split at spaces and commas.
func FuzzRoles(f *testing.F) {
	f.Add(`{"editor":{"permissions":["posts:write"],"maxSessions":3}}`)
	f.Add(`{"a":{},"\u0061":{}}`)
	f.Add(`{"a":{"permissions":["\ud800"]}}`)
	f.Fuzz(func(t *testing.T, value string) {
		cfg, err := load(deployed("ROLES", value))
		if err != nil {
			return
		}
		for name, role := range cfg.API.Roles {
			for _, word := range append(role.Permissions, name) {
				if word == "" || len(word) > 64 || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r == ',' || r == '=' || r > '~' }) {
					t.Errorf("%q gives %q", value, word)
				}
			}
		}
	})
}

func TestLoad_admins(t *testing.T) {
	cfg := mustLoad(t, deployed("ADMIN_ADDRESSES",
		"0x52908400098527886E0F7030069857D2E4169EE7, 0xde709f2102306220921060314715629080e2fb77,0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed, eip155:10:0xde709f2102306220921060314715629080e2fb77"))
	want := []token.Account{
		token.KeyAccount(common.HexToAddress("0x52908400098527886e0f7030069857d2e4169ee7")),
		token.KeyAccount(common.HexToAddress("0xde709f2102306220921060314715629080e2fb77")),
		token.KeyAccount(common.HexToAddress("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")),
		{Address: common.HexToAddress("0xde709f2102306220921060314715629080e2fb77"), Chain: 10},
	}
	if !reflect.DeepEqual(cfg.API.Admins, want) {
		t.Errorf("got %v", cfg.API.Admins)
	}
}
