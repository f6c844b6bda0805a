package api

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

type statisticsView struct {
	Active      int            `json:"active"`
	Users       int            `json:"users"`
	ByChain     map[string]int `json:"byChain"`
	ByTransport map[string]int `json:"byTransport"`
	ByDevice    map[string]int `json:"byDevice"`
	Last24h     lastDayView    `json:"last24h"`
	AsOf        string         `json:"asOf,omitempty"` // absent if there is no summary yet
}

type lastDayView struct {
	Logins       int            `json:"logins"`
	FailedLogins int            `json:"failedLogins"`
	Ended        map[string]int `json:"ended"`
}

// CountSessions serves GET /api/admin/sessions: the numbers of live sessions
// and users, and the logins and ended sessions of the last 24 hours. It
// requires the permission sessions:read.
func (a *API) CountSessions() http.Handler {
	return endpoint[nothing]{
		method: http.MethodGet, permission: sessionsRead,
		serve: func(x *exchange, _ nothing) (any, error) {
			s, err := a.store.Statistics(x.r.Context())
			if err != nil {
				return nil, err
			}
			return statisticsView{
				Active: s.Active, Users: s.Users,
				ByChain: named(s.ByChain, func(id uint64) string {
					return strconv.FormatUint(id, 10)
				}),
				ByTransport: named(s.ByTransport, session.Transport.String),
				ByDevice:    named(s.ByDevice, session.DeviceClass.String),
				Last24h: lastDayView{
					s.Logins, s.FailedLogins, named(s.Ended, session.Reason.String),
				},
				AsOf: timestampOf(s.AsOf),
			}, nil
		},
	}.handler(a)
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
	return endpoint[nothing]{
		method: http.MethodDelete, permission: sessionsWrite, fresh: true,
		serve: func(x *exchange, _ nothing) (any, error) {
			id, err := x.sessionID()
			if err != nil {
				return nil, err
			}
			return nil, x.end(id, session.RevokedByAdmin)
		},
	}.handler(a)
}

// EndUserSessions serves DELETE /api/admin/users/{address}/sessions: it ends
// every session of an account and answers with their number. It requires the
// permission sessions:write and a recent login or step-up.
func (a *API) EndUserSessions() http.Handler {
	return ofUser(sessionsWrite, http.MethodDelete,
		func(x *exchange, address common.Address, _ nothing) (any, error) {
			user := a.store.UserOf(address)
			n, err := a.store.RevokeAllOf(
				x.r.Context(), user, session.RevokedByAdmin, x.change(user))
			if err != nil {
				return nil, err
			}
			if user == x.access.User.ID {
				x.leave()
			}
			return endedView{n}, nil
		}).handler(a)
}

// ofUser returns an endpoint about the account of the address in its path.
// Methods that are not safe require a recent login or step-up.
func ofUser[In any](
	wanted permission, method string, serve func(*exchange, common.Address, In) (any, error),
) endpoint[In] {
	return endpoint[In]{
		method: method, permission: wanted, fresh: !safe(method),
		serve: func(x *exchange, in In) (any, error) {
			address, err := siwe.ParseAddress(x.r.PathValue("address"))
			if err != nil {
				return nil, invalid(err.Error())
			}
			x.concerns(slog.String("target", address.Hex()))
			return serve(x, address, in)
		},
	}
}
