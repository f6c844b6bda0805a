package api

import (
	"maps"
	"slices"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Role is a configured role.
type Role struct {
	// Permissions are what the role grants.
	Permissions []string
	// MaxSessions replaces the session limit. Zero means [session.MaxSessions],
	// nil leaves the limit unchanged. Of several roles the largest counts.
	MaxSessions *int
}

// permission is a permission that a route requires.
type permission string

const (
	sessionsRead  permission = "sessions:read"
	sessionsWrite permission = "sessions:write"
	usersRead     permission = "users:read"
	usersWrite    permission = "users:write"
	auditRead     permission = "audit:read"
)

var permissions = []permission{sessionsRead, sessionsWrite, usersRead, usersWrite, auditRead}

// granted returns the roles that the configuration alone grants to an account,
// without the role user.
func (a *API) granted(account token.Account) []string {
	if slices.Contains(a.cfg.Admins, account) {
		return []string{session.RoleAdmin}
	}
	return nil
}

// roles returns the current roles of a user: user first, then the others,
// sorted. It is called at every read, so a change takes effect at the next one.
func (x *exchange) roles(u session.User) []string {
	others := append(x.api.granted(u.Account), u.Roles...)
	slices.Sort(others)
	return append([]string{session.RoleUser}, slices.Compact(others)...)
}

// permissions returns what roles grant, sorted. A role that is no longer
// configured grants nothing.
func (x *exchange) permissions(roles []string) []string {
	given := []string{} // never null in JSON
	if slices.Contains(roles, session.RoleAdmin) {
		for _, p := range permissions {
			given = append(given, string(p))
		}
		roles = slices.Collect(maps.Keys(x.api.cfg.Roles))
	}
	for _, role := range roles {
		given = append(given, x.api.cfg.Roles[role].Permissions...)
	}
	slices.Sort(given)
	return slices.Compact(given)
}

// change returns the [session.Change] of a request that changes an account,
// which may be another's. The actor's User is set only if it is another's. If
// the configuration names no admin, some account must keep the stored role
// admin: otherwise nobody could grant it again.
//
// Callers who are not admins must not change an account that has a permission
// that they lack. The condition is checked against the roles that the account
// has when it is changed. For admins there is no condition.
func (x *exchange) change(user token.UserID) session.Change {
	caller := x.access.User
	change := session.Change{
		Actor: x.actor(), Account: x.accountOf(user), KeepAdmin: len(x.api.cfg.Admins) == 0,
	}
	if user == caller.ID {
		return change
	}
	change.Actor.User, change.Actor.Account = caller.ID, caller.Account
	if !x.isAdmin() {
		change.Condition = func(stored []string) error {
			return x.checkRank(slices.Concat(stored, x.configured(user)))
		}
	}
	return change
}

// changeRoles is change for a request that replaces the roles of an account,
// which may be the caller's own. Callers who are not admins must not gain
// anything: they also need the permissions of the roles that they give.
func (x *exchange) changeRoles(user token.UserID, given []string) session.Change {
	change := x.change(user)
	if !x.isAdmin() {
		change.Condition = func(stored []string) error {
			err := x.checkRank(slices.Concat(given, stored, x.configured(user)))
			if err == nil {
				err = x.checkReserved(given, stored)
			}
			return err
		}
	}
	return change
}

// isAdmin reports whether the caller is an admin.
func (x *exchange) isAdmin() bool {
	return slices.Contains(x.roles(x.access.User), session.RoleAdmin)
}

// configured returns the roles that the configuration alone grants to an
// account.
func (x *exchange) configured(user token.UserID) []string {
	if account, ok := x.api.configuredAdmin(user); ok {
		return x.api.granted(account)
	}
	return nil
}

// configuredAdmin returns the account of a user id that the configuration makes
// an admin, and whether there is one.
func (a *API) configuredAdmin(user token.UserID) (token.Account, bool) {
	for _, account := range a.cfg.Admins {
		if a.store.UserOf(account) == user {
			return account, true
		}
	}
	return token.Account{}, false
}

// checkRank refuses roles that grant more than the caller has.
func (x *exchange) checkRank(roles []string) error {
	if slices.Contains(roles, session.RoleAdmin) {
		return forbidden(
			"only an admin can make an account an admin or change an admin", session.RoleAdmin)
	}
	own := x.permissions(x.roles(x.access.User))
	for _, role := range roles {
		for _, p := range x.api.cfg.Roles[role].Permissions {
			if !slices.Contains(own, p) {
				return forbidden(
					"the account, or a role to grant, has a permission that you lack", p)
			}
		}
	}
	return nil
}

// checkReserved refuses to give or take away a role that only admins may. No
// permission tells who may decide over a role without permissions, which may
// mean something to a backend, or over one that sets the session limit. A role
// that is no longer configured means nothing.
func (x *exchange) checkReserved(given, stored []string) error {
	for _, name := range slices.Concat(given, stored) {
		if slices.Contains(given, name) && slices.Contains(stored, name) {
			continue
		}
		role, configured := x.api.cfg.Roles[name]
		if configured && (len(role.Permissions) == 0 || role.MaxSessions != nil) {
			return forbidden("only an admin can give or take away a role that has no "+
				"permissions or that sets maxSessions", session.RoleAdmin)
		}
	}
	return nil
}

// sessionLimit returns how many sessions a user may have at once.
func (x *exchange) sessionLimit(u session.User) int {
	best, set := 0, false
	for _, role := range x.roles(u) {
		if n := x.api.cfg.Roles[role].MaxSessions; n != nil {
			best, set = max(best, session.EffectiveLimit(*n)), true
		}
	}
	if !set {
		return session.EffectiveLimit(x.api.cfg.SessionLimit)
	}
	return best
}
