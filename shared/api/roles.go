package api

import (
	"maps"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

// Role is what a configured role gives.
type Role struct {
	// Permissions that who has it has.
	Permissions []string
	// MaxSessions takes the place of the limit of sessions; 0 means session.MaxSessions, nil leaves the limit as it is. Of
	// several roles the largest counts.
	MaxSessions *int
}

// permission is what a route may want.
type permission string

const (
	sessionsRead  permission = "sessions:read"
	sessionsWrite permission = "sessions:write"
	usersRead     permission = "users:read"
	usersWrite    permission = "users:write"
	auditRead     permission = "audit:read"
)

var permissions = []permission{sessionsRead, sessionsWrite, usersRead, usersWrite, auditRead}

// granted are the roles that the configuration alone gives to an address, beside the one of all.
func (a *API) granted(address common.Address) []string {
	if slices.Contains(a.cfg.Admins, address) {
		return []string{session.RoleAdmin}
	}
	return nil
}

// roles are those that count for a user now: the one of all first, then the others in order. It is asked at every read,
// so that a change holds from the next one on.
func (x *exchange) roles(u session.User) []string {
	others := append(x.api.granted(u.Address), u.Roles...)
	slices.Sort(others)
	return append([]string{session.RoleUser}, slices.Compact(others)...)
}

// permissions are what the roles of a user give, in order. A role that is configured no more gives nothing.
func (x *exchange) permissions(u session.User) []string {
	given := []string{} // never null in JSON
	roles := x.roles(u)
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

// rank keeps who is no admin from rising, or from deciding over somebody who may more: neither a role that is given nor the
// account that is changed may have a permission that the caller lacks. It is a condition on the roles that the account has
// when it is changed; an admin needs to meet none.
func (x *exchange) rank(user token.UserID, given ...string) []session.Condition {
	caller := x.access.User
	if user == caller.ID && len(given) == 0 || slices.Contains(x.roles(caller), session.RoleAdmin) {
		return nil
	}
	return []session.Condition{func(stored []string) error {
		return x.checkRank(slices.Concat(given, stored, x.configured(user)))
	}}
}

// configured are the roles that the configuration alone gives to an account.
func (x *exchange) configured(user token.UserID) []string {
	for _, address := range x.api.cfg.Admins {
		if x.api.store.UserOf(address) == user {
			return x.api.granted(address)
		}
	}
	return nil
}

// checkRank refuses roles that give more than the caller may.
func (x *exchange) checkRank(roles []string) error {
	if slices.Contains(roles, session.RoleAdmin) {
		return forbidden("only an admin makes admins, and changes them", session.RoleAdmin)
	}
	own := x.permissions(x.access.User)
	for _, role := range roles {
		for _, p := range x.api.cfg.Roles[role].Permissions {
			if !slices.Contains(own, p) {
				return forbidden("the account, or a role that is given, has a permission that you lack", p)
			}
		}
	}
	return nil
}

// limit is how many sessions a user may have at once.
func (x *exchange) limit(u session.User) int {
	best, set := 0, false
	for _, role := range x.roles(u) {
		if n := x.api.cfg.Roles[role].MaxSessions; n != nil {
			best, set = max(best, session.SessionLimit(*n)), true
		}
	}
	if !set {
		return session.SessionLimit(x.api.cfg.SessionLimit)
	}
	return best
}
