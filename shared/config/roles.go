package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

// maxRoles bounds ROLES: all the variables of a Lambda together may have 4096
// bytes.
const maxRoles = 2048

var (
	roleName   = pattern(`^[a-z][a-z0-9_-]{0,31}$`)
	permission = pattern(`^[a-z0-9_.:*-]{1,64}$`)
)

// permissionForm says in an error how to write a permission.
const permissionForm = "use 1 to 64 of a-z 0-9 _ . : * -"

func setAdmins(c *Config, value string) error {
	var admins []common.Address
	for _, item := range list(value) {
		address, err := siwe.ParseAddress(item)
		var wrong *siwe.SyntaxError
		if errors.As(err, &wrong) {
			return quoteKind("address", item, "is not valid: "+wrong.Reason)
		}
		if slices.Contains(admins, address) {
			return quote(item, "is listed twice; remove one")
		}
		admins = append(admins, address)
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

// parseRoles reads JSON as strictly as requests are read. encoding/json alone
// would use the last of two entries of one name, and ignore the case of
// members.
func parseRoles(text string) (map[string]api.Role, error) {
	d := json.NewDecoder(strings.NewReader(text))
	roles := map[string]api.Role{}
	err := eachMember(d, func(name string) error {
		if !roleName().MatchString(name) {
			return quoteKind("role name", name,
				"is not valid: use 1 to 32 of a-z 0-9 _ -, and a letter first")
		}
		role, err := parseRole(d, name)
		roles[name] = role
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errRolesForm
	}
	return roles, nil
}

func parseRole(d *json.Decoder, name string) (api.Role, error) {
	var role api.Role
	err := eachMember(d, func(member string) error {
		switch member {
		case "permissions":
			return parsePermissions(d, name, &role.Permissions)
		case "maxSessions":
			return parseMaxSessions(d, name, &role.MaxSessions)
		}
		return quoteKind("member", member,
			fmt.Sprintf("of role %q is unknown: use permissions and maxSessions", name))
	})
	return role, err
}

func parsePermissions(d *json.Decoder, role string, to *[]string) error {
	if err := d.Decode(to); err != nil || *to == nil {
		return fmt.Errorf("permissions of role %q is not a list of strings;"+
			` write it as ["posts:write"]`, role)
	}
	for i, p := range *to {
		if !permission().MatchString(p) {
			return quoteKind("permission", p,
				fmt.Sprintf("of role %q is not valid: %s", role, permissionForm))
		}
		if slices.Contains((*to)[:i], p) {
			return quoteKind("permission", p,
				fmt.Sprintf("of role %q is listed twice; remove one", role))
		}
	}
	if role == session.RoleAdmin && len(*to) > 0 {
		return fmt.Errorf("role %q has every permission; leave its permissions out", role)
	}
	return nil
}

func parseMaxSessions(d *json.Decoder, role string, to **int) error {
	if role == session.RoleUser {
		return fmt.Errorf("every user has role %q;"+
			" leave its maxSessions out and set MAX_CONCURRENT_SESSIONS", role)
	}
	if err := d.Decode(to); err != nil || *to == nil || **to < 0 || **to > session.MaxSessions {
		return fmt.Errorf("maxSessions of role %q is not a whole number from 0 to %d;"+
			" 0 means %[2]d", role, session.MaxSessions)
	}
	return nil
}

var errRolesForm = errors.New(
	`is not JSON of the form {"editor":{"permissions":["posts:write"],"maxSessions":3}}`)

// eachMember reads an object and calls member with each name. The callback
// reads the value. A second member of one name is an error.
func eachMember(d *json.Decoder, member func(name string) error) error {
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errRolesForm
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return errRolesForm
		}
		if seen[name] {
			return quote(name, "is listed twice; remove one")
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errRolesForm
	}
	return nil
}
