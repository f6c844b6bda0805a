package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
)

type accountView struct {
	User      userView      `json:"user"`
	Sessions  []sessionView `json:"sessions"`
	Blocked   bool          `json:"blocked"`
	BlockedAt string        `json:"blockedAt,omitempty"`
}

// User serves GET /api/admin/users/{address}: an account, its live sessions,
// and whether it is blocked. It requires the permission users:read.
func (a *API) User() http.Handler {
	return ofUser(usersRead, http.MethodGet,
		func(x *exchange, address common.Address, _ nothing) (any, error) {
			account, err := a.store.Account(x.r.Context(), a.store.UserOf(address))
			if err != nil {
				return nil, err
			}
			account.User.Address = address
			return accountView{
				User: x.viewUser(account.User), Sessions: x.viewSessions(account.Sessions),
				Blocked: !account.BlockedAt.IsZero(), BlockedAt: timestampOf(account.BlockedAt),
			}, nil
		}).handler(a)
}

type rolesBody struct {
	Roles []string `json:"roles"`
}

type changedView struct {
	User userView `json:"user"`
}

// SetRoles serves PUT /api/admin/users/{address}/roles: it replaces the roles
// that an account has. It requires the permission users:write and a recent
// login or step-up.
func (a *API) SetRoles() http.Handler {
	return ofUser(usersWrite, http.MethodPut,
		func(x *exchange, address common.Address, in rolesBody) (any, error) {
			roles, err := x.settable(in.Roles)
			if err != nil {
				return nil, err
			}
			user := a.store.UserOf(address)
			changed, err := a.store.SetRoles(x.r.Context(), user, roles, x.change(user, roles...))
			if err != nil {
				return nil, err
			}
			changed.Address = address
			return changedView{x.viewUser(changed)}, nil
		}).handler(a)
}

// settable checks roles, and returns those to store, sorted. It adds them to the
// events of the request. The role user is not stored, since everybody has it.
// The errors of settable are problems with status 400.
func (x *exchange) settable(roles []string) ([]string, error) {
	stored := []string{}
	seen := map[string]bool{}
	for _, role := range roles {
		_, configured := x.api.cfg.Roles[role]
		switch {
		case !configured && role != session.RoleAdmin && role != session.RoleUser:
			return nil, invalid("roles: one of them is not configured: use only configured roles")
		case seen[role]:
			return nil, invalid("roles: one of them is listed twice: list each role once")
		case role != session.RoleUser:
			stored = append(stored, role)
		}
		seen[role] = true
	}
	slices.Sort(stored)
	text := strings.Join(stored, ",")
	if len(text) > session.MaxRoles {
		return nil, invalid("roles: the names with commas are over 255 bytes: use fewer roles")
	}
	x.concerns(slog.String("roles", text))
	return stored, nil
}

// BlockUser serves POST /api/admin/users/{address}/block: it ends every session
// of an account and refuses its logins. It requires the permission users:write
// and a recent login or step-up.
func (a *API) BlockUser() http.Handler {
	return ofUser(usersWrite, http.MethodPost,
		func(x *exchange, address common.Address, _ nothing) (any, error) {
			switch {
			case address == x.access.User.Address:
				return nil, fail(codeConflict, "you cannot block your own account")
			case slices.Contains(a.cfg.Admins, address):
				return nil, fail(codeConflict,
					"the configuration makes this address an admin: remove it there first")
			}
			user := a.store.UserOf(address)
			return nil, a.store.Block(x.r.Context(), user, x.change(user))
		}).handler(a)
}

// UnblockUser serves POST /api/admin/users/{address}/unblock: it lets a blocked
// account sign in again. It requires the permission users:write and a recent
// login or step-up.
func (a *API) UnblockUser() http.Handler {
	return ofUser(usersWrite, http.MethodPost,
		func(x *exchange, address common.Address, _ nothing) (any, error) {
			user := a.store.UserOf(address)
			return nil, a.store.Unblock(x.r.Context(), user, x.change(user))
		}).handler(a)
}

// EraseUser serves DELETE /api/admin/users/{address}: it ends every session of
// an account and deletes its data. It does not block the account; an existing
// block remains. It requires the permission users:write and a recent login or
// step-up.
func (a *API) EraseUser() http.Handler {
	return ofUser(usersWrite, http.MethodDelete,
		func(x *exchange, address common.Address, _ nothing) (any, error) {
			return nil, x.erase(a.store.UserOf(address))
		}).handler(a)
}
