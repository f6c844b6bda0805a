package api

import (
	"log/slog"
	"net/http"
	"strconv"

	"latchkey/shared/session"
	"latchkey/shared/token"
)

type statisticsView struct {
	Active      int            `json:"active"`
	Users       int            `json:"users"`
	ByChain     map[string]int `json:"byChain"`
	ByTransport map[string]int `json:"byTransport"`
	ByDevice    map[string]int `json:"byDevice"`
	Last24h     sumsView       `json:"last24h"`
	Hours       []hourView     `json:"hours"`          // oldest first
	AsOf        string         `json:"asOf,omitempty"` // absent if there is no summary yet
}

type hourView struct {
	Hour string `json:"hour"` // when it began
	sumsView
}

type sumsView struct {
	Logins       int            `json:"logins"`
	FailedLogins int            `json:"failedLogins"`
	Ended        map[string]int `json:"ended"`
}

// CountSessions serves GET /api/admin/sessions: the numbers of live sessions
// and users, and the logins and ended sessions of the last 24 hours, together
// and for each hour. It requires the permission sessions:read.
func (a *API) CountSessions() http.Handler {
	return handle(a, route{method: "GET", needs: sessionsRead}, (*exchange).countSessions)
}

func (x *exchange) countSessions() (statisticsView, error) {
	s, err := x.api.store.Statistics(x.r.Context())
	return statisticsView{
		Active: s.Active, Users: s.Users,
		ByChain:     named(s.ByChain, func(id uint64) string { return strconv.FormatUint(id, 10) }),
		ByTransport: named(s.ByTransport, session.Transport.String),
		ByDevice:    named(s.ByDevice, session.DeviceClass.String),
		Last24h:     viewSums(s.Logins, s.FailedLogins, s.Ended), Hours: viewHours(s.Hours),
		AsOf: timestampOf(s.AsOf),
	}, err
}

func viewSums(logins, failed int, ended map[session.Reason]int) sumsView {
	return sumsView{logins, failed, named(ended, session.Reason.String)}
}

// viewHours is never null in JSON.
func viewHours(hours []session.Hour) []hourView {
	all := make([]hourView, 0, len(hours))
	for _, h := range hours {
		all = append(all, hourView{timestamp(h.Start), viewSums(h.Logins, h.FailedLogins, h.Ended)})
	}
	return all
}

// named returns counts under the names that clients know. It is never null in
// JSON.
func named[K comparable](counts map[K]int, name func(K) string) map[string]int {
	all := map[string]int{}
	for key, n := range counts {
		all[name(key)] += n
	}
	return all
}

// RevokeSession serves DELETE /api/admin/sessions/{id}: it ends one session of
// any account. It requires the permission sessions:write and a recent login or
// step-up.
func (a *API) RevokeSession() http.Handler {
	return handle(a, route{
		method: "DELETE", needs: sessionsWrite, fresh: true, target: (*exchange).readSessionID,
		action: session.EventEnded,
	}, (*exchange).revokeSession)
}

func (x *exchange) revokeSession() (nothing, error) {
	return nothing{}, x.end(session.RevokedByAdmin)
}

// EndUserSessions serves DELETE /api/admin/users/{address}/sessions: it ends
// every session of an account and answers with their number. It requires the
// permission sessions:write and a recent login or step-up.
func (a *API) EndUserSessions() http.Handler {
	return handle(a, route{
		method: "DELETE", needs: sessionsWrite, fresh: true, target: (*exchange).readAccount,
		action: session.EventEnded,
	}, (*exchange).endUserSessions)
}

func (x *exchange) endUserSessions() (endedView, error) {
	user := x.target.user
	n, err := x.api.store.RevokeAllOf(
		x.r.Context(), user, session.RevokedByAdmin, x.change(user))
	if err == nil && user == x.access.User.ID {
		x.leave()
	}
	return endedView{n}, err
}

// readAccount reads the account that the path names.
func (x *exchange) readAccount() error { return x.findAccount(x.r.PathValue("address")) }

// findAccount finds the account that a text names; see [token.ParseReference].
// The account of an id is known only if it is the caller's or configured.
func (x *exchange) findAccount(text string) error {
	ref, err := token.ParseReference(text)
	if err != nil {
		return invalid(err.Error())
	}
	x.concerns(slog.String("target", ref.String()))
	if ref.Account != (token.Account{}) {
		x.target.account, x.target.user = ref.Account, x.api.store.UserOf(ref.Account)
		return nil
	}
	x.target.account, x.target.user = x.accountOf(ref.User), ref.User
	return nil
}

// accountOf returns the account of a user id, or zero if this request does not
// know it.
func (x *exchange) accountOf(user token.UserID) token.Account {
	switch user {
	case x.access.User.ID:
		return x.access.User.Account
	case x.target.user:
		return x.target.account
	}
	account, _ := x.api.configuredAdmin(user)
	return account
}
