package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

type accountView struct {
	User      userView      `json:"user"`
	Sessions  []sessionView `json:"sessions"`
	Blocked   bool          `json:"blocked"`
	BlockedAt string        `json:"blockedAt,omitempty"`
	Note      string        `json:"note,omitempty"` // of the block
}

// User serves GET /api/admin/users/{address}: an account, its live sessions,
// and whether it is blocked. It requires the permission users:read.
func (a *API) User() http.Handler {
	return handle(a, route{
		method: "GET", needs: usersRead, target: (*exchange).readAccount,
		action: session.EventAccountViewed,
	}, (*exchange).getUser)
}

func (x *exchange) getUser() (accountView, error) {
	account, err := x.api.store.Account(x.r.Context(), x.target.user)
	if err != nil {
		return accountView{}, err
	}
	if x.target.account != (token.Account{}) {
		account.User.Account = x.target.account
	}
	x.target.account = account.User.Account // for the audit list
	return accountView{
		User: x.viewUser(account.User), Sessions: x.viewSessions(account.Sessions),
		Blocked: !account.BlockedAt.IsZero(), BlockedAt: timestampOf(account.BlockedAt),
		Note: account.Note,
	}, nil
}

// changeOfUser returns a route that changes the account in its path.
func changeOfUser(method string, action session.EventType) route {
	return route{
		method: method, needs: usersWrite, fresh: true, target: (*exchange).readAccount,
		action: action,
	}
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
	return handleBody(a, changeOfUser("PUT", session.EventRoles), (*exchange).setRoles)
}

func (x *exchange) setRoles(in rolesBody) (changedView, error) {
	roles, err := x.settable(in.Roles)
	if err != nil {
		return changedView{}, err
	}
	user := x.target.user
	changed, err := x.api.store.SetRoles(x.r.Context(), user, roles, x.changeRoles(user, roles))
	if err != nil {
		return changedView{}, err
	}
	return changedView{x.viewUser(changed)}, nil
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
			return nil, invalid("roles: not configured" + quoted(role) + ": use only configured roles")
		case seen[role]:
			return nil, invalid("roles: listed twice" + quoted(role) + ": list each role once")
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
// of an account and refuses its logins. A note in the body is for those who may
// read accounts, and not for the account itself. It requires the permission
// users:write and a recent login or step-up.
func (a *API) BlockUser() http.Handler {
	return handleBody(a, changeOfUser("POST", session.EventBlocked), (*exchange).blockUser)
}

type blockBody struct {
	Note *string `json:"note"`
}

// maxNote is the most characters of the note of a block.
const maxNote = 200

func (x *exchange) blockUser(in blockBody) (nothing, error) {
	user := x.target.user
	change := x.change(user)
	if in.Note != nil && *in.Note != "" {
		if utf8.RuneCountInString(*in.Note) > maxNote || !isVisible(*in.Note) {
			return nothing{}, invalid("note must be up to 200 characters of visible text")
		}
		change.Note = *in.Note
	}
	if user == x.access.User.ID {
		return nothing{}, fail(codeConflict, "you cannot block your own account")
	}
	if _, configured := x.api.configuredAdmin(user); configured {
		return nothing{}, fail(codeConflict,
			"the configuration makes this address an admin: remove it there first")
	}
	return nothing{}, x.api.store.Block(x.r.Context(), user, change)
}

// UnblockUser serves POST /api/admin/users/{address}/unblock: it lets a blocked
// account sign in again. It requires the permission users:write and a recent
// login or step-up.
func (a *API) UnblockUser() http.Handler {
	return handle(a, changeOfUser("POST", session.EventUnblocked), (*exchange).unblockUser)
}

func (x *exchange) unblockUser() (nothing, error) {
	user := x.target.user
	return nothing{}, x.api.store.Unblock(x.r.Context(), user, x.change(user))
}

// EraseUser serves DELETE /api/admin/users/{address}: it ends every session of
// an account and deletes its data. It does not block the account; an existing
// block remains. It requires the permission users:write and a recent login or
// step-up.
func (a *API) EraseUser() http.Handler {
	return handle(a, changeOfUser("DELETE", session.EventErased), (*exchange).eraseUser)
}

func (x *exchange) eraseUser() (nothing, error) {
	return nothing{}, x.erase(x.target.user)
}
