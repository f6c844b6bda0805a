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

// User serves GET /api/admin/users/{address}.
func (a *API) User() http.Handler {
	return ofUser(usersRead, http.MethodGet, func(x *exchange, address common.Address, _ nothing) (any, error) {
		account, err := a.store.Account(x.r.Context(), address)
		if err != nil {
			return nil, err
		}
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

// SetRoles serves PUT /api/admin/users/{address}/roles.
func (a *API) SetRoles() http.Handler {
	return ofUser(usersWrite, http.MethodPut, func(x *exchange, address common.Address, in rolesBody) (any, error) {
		roles, err := a.settable(in.Roles)
		if err != nil {
			return nil, err
		}
		x.concerns(slog.String("roles", strings.Join(roles, ",")))
		user := a.store.UserOf(address)
		changed, err := a.store.SetRoles(x.r.Context(), address, roles, a.keepAdmin(), x.actorFor(user), x.rank(user, roles...)...)
		if err != nil {
			return nil, err
		}
		return changedView{x.viewUser(changed)}, nil
	}).handler(a)
}

// settable are the roles to store. The one that everybody has is not stored.
func (a *API) settable(roles []string) ([]string, error) {
	stored := []string{}
	seen := map[string]bool{}
	for _, role := range roles {
		_, configured := a.cfg.Roles[role]
		switch {
		case !configured && role != session.RoleAdmin && role != session.RoleUser:
			return nil, invalid("roles: has one that is not configured")
		case seen[role]:
			return nil, invalid("roles: has one twice")
		case role != session.RoleUser:
			stored = append(stored, role)
		}
		seen[role] = true
	}
	slices.Sort(stored)
	if len(strings.Join(stored, ",")) > session.MaxRoles {
		return nil, invalid("roles: are over 255 bytes")
	}
	return stored, nil
}

// keepAdmin tells that somebody must keep the stored role, since nobody else could give it back.
func (a *API) keepAdmin() bool { return len(a.cfg.Admins) == 0 }

// BlockUser serves POST /api/admin/users/{address}/block.
func (a *API) BlockUser() http.Handler {
	return ofUser(usersWrite, http.MethodPost, func(x *exchange, address common.Address, _ nothing) (any, error) {
		switch {
		case address == x.access.User.Address:
			return nil, fail(codeConflict, "nobody blocks themselves")
		case slices.Contains(a.cfg.Admins, address):
			return nil, fail(codeConflict, "the configuration makes this address an admin")
		}
		user := a.store.UserOf(address)
		return nil, a.store.Block(x.r.Context(), address, a.keepAdmin(), x.actorFor(user), x.rank(user)...)
	}).handler(a)
}

// UnblockUser serves POST /api/admin/users/{address}/unblock.
func (a *API) UnblockUser() http.Handler {
	return ofUser(usersWrite, http.MethodPost, func(x *exchange, address common.Address, _ nothing) (any, error) {
		user := a.store.UserOf(address)
		return nil, a.store.Unblock(x.r.Context(), address, x.actorFor(user), x.rank(user)...)
	}).handler(a)
}

// EraseUser serves DELETE /api/admin/users/{address}.
func (a *API) EraseUser() http.Handler {
	return ofUser(usersWrite, http.MethodDelete, func(x *exchange, address common.Address, _ nothing) (any, error) {
		return nil, x.erase(a.store.UserOf(address))
	}).handler(a)
}
