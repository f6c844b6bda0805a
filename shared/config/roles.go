package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/strictjson"
	"latchkey/shared/token"
)

// maxRoles bounds ROLES: all the variables of a Lambda together may have 4096
// bytes.
const maxRoles = 2048

var (
	roleName   = lazyregexp.New(`^[a-z][a-z0-9_-]{0,31}$`)
	permission = lazyregexp.New(`^[a-z0-9_.:*-]{1,64}$`)
)

// permissionForm says in an error how to write a permission.
const permissionForm = "use 1 to 64 of a-z 0-9 _ . : * -"

func setAdmins(c *Config, value string) error {
	var admins []token.Account
	for _, item := range list(value) {
		account, err := token.ParseAccount(item)
		var wrong *siwe.SyntaxError
		if errors.As(err, &wrong) {
			return quoteKind(wrong.Field, item, "is not valid: "+wrong.Reason)
		}
		if slices.Contains(admins, account) {
			return quote(item, "is listed twice; remove one")
		}
		admins = append(admins, account)
	}
	c.API.Admins = admins
	return nil
}

// setAuthorizerPermissions reads the rules of the authorizer. If no role grants
// a permission, only admins have it.
func setAuthorizerPermissions(c *Config, value string) error {
	var rules []authorizer.Rule
	for _, item := range list(value) {
		rule, err := authorizer.ParseRule(item)
		switch {
		case err != nil:
			return quote(item, err.Error())
		case !permission().MatchString(rule.Permission):
			return quote(item, "has a permission that is not valid: "+permissionForm)
		case slices.Contains(rules, rule):
			return quote(item, "is listed twice; remove one")
		}
		rules = append(rules, rule)
	}
	c.AuthorizerRules = rules
	return nil
}

// setRoles reads the role map. The store needs the session limits of roles, and
// the HTTP edge needs all of it.
func setRoles(c *Config, value string) error {
	if len(value) > maxRoles {
		return fmt.Errorf("has %d bytes; shorten it to at most %d,"+
			" so that the other variables of a function fit", len(value), maxRoles)
	}
	roles, err := parseRoles(value)
	if err != nil {
		return err
	}
	limits := map[string]int{}
	for name, role := range roles {
		if role.MaxSessions != nil {
			limits[name] = *role.MaxSessions
		}
	}
	c.API.Roles, c.Session.RoleLimits = roles, limits
	return nil
}

// parseRoles reads the JSON of a role map. Of several mistakes it names the
// first by role name.
func parseRoles(text string) (map[string]api.Role, error) {
	parsed, err := strictjson.Parse([]byte(text))
	if refused := (*strictjson.Error)(nil); errors.As(err, &refused) &&
		refused.Reason == strictjson.ErrDuplicateName {
		return nil, quote(refused.Name, "is listed twice; remove one")
	}
	members, ok := parsed.(map[string]any)
	if !ok {
		return nil, errRolesForm
	}
	roles := map[string]api.Role{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !roleName().MatchString(name) {
			return nil, quoteKind("role name", name,
				"is not valid: use 1 to 32 of a-z 0-9 _ -, and a letter first")
		}
		if roles[name], err = parseRole(name, members[name]); err != nil {
			return nil, err
		}
	}
	return roles, nil
}

func parseRole(name string, value any) (role api.Role, err error) {
	members, ok := value.(map[string]any)
	if !ok {
		return role, errRolesForm
	}
	for _, member := range slices.Sorted(maps.Keys(members)) {
		switch member {
		case "permissions":
			role.Permissions, err = parsePermissions(name, members[member])
		case "maxSessions":
			role.MaxSessions, err = parseMaxSessions(name, members[member])
		default:
			err = quoteKind("member", member,
				fmt.Sprintf("of role %q is unknown: use permissions and maxSessions", name))
		}
		if err != nil {
			return role, err
		}
	}
	return role, nil
}

func parsePermissions(role string, value any) ([]string, error) {
	items, ok := value.([]any)
	if !ok {
		return nil, notPermissions(role)
	}
	permissions := []string{}
	for _, item := range items {
		p, ok := item.(string)
		switch {
		case !ok && item != nil:
			return nil, notPermissions(role)
		case !permission().MatchString(p):
			return nil, quoteKind("permission", p,
				fmt.Sprintf("of role %q is not valid: %s", role, permissionForm))
		case slices.Contains(permissions, p):
			return nil, quoteKind("permission", p,
				fmt.Sprintf("of role %q is listed twice; remove one", role))
		}
		permissions = append(permissions, p)
	}
	if role == session.RoleAdmin && len(permissions) > 0 {
		return nil, fmt.Errorf("role %q has every permission; leave its permissions out", role)
	}
	return permissions, nil
}

func notPermissions(role string) error {
	return fmt.Errorf("permissions of role %q is not a list of strings;"+
		` write it as ["posts:write"]`, role)
}

func parseMaxSessions(role string, value any) (*int, error) {
	if role == session.RoleUser {
		return nil, fmt.Errorf("every user has role %q;"+
			" leave its maxSessions out and set MAX_CONCURRENT_SESSIONS", role)
	}
	number, _ := value.(json.Number)
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 0 || n > session.MaxSessions {
		return nil, fmt.Errorf("maxSessions of role %q is not a whole number from 0 to %d;"+
			" 0 means %[2]d", role, session.MaxSessions)
	}
	return &n, nil
}

var errRolesForm = errors.New(
	`is not JSON of the form {"editor":{"permissions":["posts:write"],"maxSessions":3}}`)
