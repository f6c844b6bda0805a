package api

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"

	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

type usersView struct {
	Users []listedView `json:"users"`
	Next  string       `json:"next,omitempty"`
}

type listedView struct {
	User       userView `json:"user"`
	Sessions   int      `json:"sessions"`
	Blocked    bool     `json:"blocked"`
	BlockedAt  string   `json:"blockedAt,omitempty"`
	Note       string   `json:"note,omitempty"` // of the block
	LastSeenAt string   `json:"lastSeenAt,omitempty"`
	// StoredRoles are those that a restore must set. They are nil if the
	// configuration alone grants none of the user's roles.
	StoredRoles []string `json:"storedRoles,omitzero"`
}

// lines returns the list as lines of JSON: one for each account, and one with
// the cursor of the next page if there is one.
func (v usersView) lines() lines {
	var all lines
	for _, user := range v.Users {
		all = append(all, user)
	}
	if v.Next != "" {
		all = append(all, nextView{v.Next})
	}
	return all
}

type nextView struct {
	Next string `json:"next"`
}

// Users serves GET /api/admin/users: one page of the accounts that hold roles
// or a block, or of those that its query selects. It requires the permission
// users:read.
func (a *API) Users() http.Handler {
	return handle(a, route{
		method: "GET", needs: usersRead, query: append([]string{"status", "role"}, paging...),
		action: session.EventAccountsListed,
	}, (*exchange).listUsers)
}

func (x *exchange) listUsers() (any, error) {
	q, err := x.listQuery()
	if err != nil {
		return nil, err
	}
	users, next, err := x.api.store.List(x.r.Context(), q, x.page.cursor, x.page.limit)
	if errors.Is(err, session.ErrNotFound) {
		err = badCursor()
	}
	list := usersView{Users: make([]listedView, 0, len(users)), Next: next}
	for _, u := range users {
		list.Users = append(list.Users, x.viewListed(u))
	}
	if x.wantsLines() {
		x.action = session.EventAccountsExported
		return list.lines(), err
	}
	return list, err
}

var roleName = lazyregexp.New(`^[a-z][a-z0-9_-]{0,31}$`)

// listQuery reads which accounts a query selects.
func (x *exchange) listQuery() (q session.ListQuery, err error) {
	switch status := x.query.Get("status"); {
	case status == "live":
		q.Live = true
	case status == "blocked":
		q.Blocked = true
	case x.query.Has("status"):
		return q, invalid("status must be live or blocked")
	}
	if !x.query.Has("role") {
		return q, nil
	}
	q.Role = x.query.Get("role")
	if q.Role != "*" && (!roleName().MatchString(q.Role) || q.Role == session.RoleUser) {
		return q, invalid("role must be * or the name of a role, but not user: everybody has that")
	}
	return q, nil
}

// viewListed renders an account of a list. The account of an admin is known
// from the configuration, even if it is not stored.
func (x *exchange) viewListed(u session.ListEntry) listedView {
	if u.User.Account == (token.Account{}) {
		u.User.Account = x.accountOf(u.User.ID)
	}
	view := listedView{
		User: x.viewUser(u.User), Sessions: u.Sessions, Blocked: !u.BlockedAt.IsZero(),
		BlockedAt: timestampOf(u.BlockedAt), Note: u.Note, LastSeenAt: timestampOf(u.LastSeenAt),
	}
	for _, role := range x.api.granted(u.User.Account) {
		if !slices.Contains(u.User.Roles, role) {
			view.StoredRoles = append([]string{}, u.User.Roles...)
		}
	}
	return view
}

// linesType is the media type of lines of JSON.
const linesType = "application/x-ndjson"

// wantsLines reports whether a request names that type in Accept.
func (x *exchange) wantsLines() bool {
	for value := range strings.SplitSeq(strings.Join(x.r.Header.Values("Accept"), ","), ",") {
		if kind, _, err := mime.ParseMediaType(value); err == nil && kind == linesType {
			return true
		}
	}
	return false
}
