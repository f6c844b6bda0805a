package api

import (
	"log/slog"
	"net/http"
	"time"

	"latchkey/shared/session"
)

type healthView struct {
	Status  string     `json:"status"`
	Time    string     `json:"time"`
	Version string     `json:"version,omitempty"`
	Checks  checksView `json:"checks"`
}

type checksView struct {
	Redis    redisCheck    `json:"redis"`
	Sessions sessionsCheck `json:"sessions"`
}

type redisCheck struct {
	Status      string  `json:"status"`
	LatencyMs   float64 `json:"latencyMs"`
	Mode        string  `json:"mode,omitempty"`
	ClockSkewMs *int64  `json:"clockSkewMs,omitempty"`
}

type sessionsCheck struct {
	Status string `json:"status"`
	Active *int   `json:"active,omitempty"`
	AsOf   string `json:"asOf,omitempty"`
}

// The states of a check.
const (
	statusOK          = "ok"
	statusUnavailable = "unavailable"
)

// maxSkew is the difference to the clock of Redis above which a warning is
// logged.
const maxSkew = 2 * time.Second

// Health serves GET /health: 200, or 503 with the same body if no login could
// work, because Redis does not answer, read or write.
func (a *API) Health() http.Handler {
	return endpoint[nothing]{
		method: http.MethodGet,
		serve: func(x *exchange, _ nothing) (any, error) {
			began := a.now()
			health, err := a.store.Check(x.r.Context())
			view := healthView{Status: statusOK, Time: timestamp(a.now())}
			redis := &view.Checks.Redis
			if a.cfg.HealthDetails {
				view.Version, redis.Mode = a.cfg.Version, a.cfg.RedisMode
			}
			if err != nil {
				x.unavailable(err)
				view.Status, redis.LatencyMs = statusUnavailable, milliseconds(a.now().Sub(began))
			} else {
				redis.LatencyMs = milliseconds(health.Latency)
				redis.ClockSkewMs = x.skew(health)
				if a.cfg.HealthDetails {
					view.Checks.Sessions.Active = health.Active
					view.Checks.Sessions.AsOf = timestampOf(health.AsOf)
				}
			}
			redis.Status, view.Checks.Sessions.Status = view.Status, view.Status
			return view, nil
		},
	}.handler(a)
}

// unavailable makes the answer a 503, with any body, and logs why.
func (x *exchange) unavailable(err error) {
	x.status, x.code = http.StatusServiceUnavailable, codeUnavailable
	x.logFault(fail(codeUnavailable, ""), err)
	x.w.Header().Set("Retry-After", retryAfter)
}

// skew logs a warning if the clocks differ too much. It returns the difference
// in milliseconds, or nil if the answer must not show it.
func (x *exchange) skew(health session.Health) *int64 {
	skew := health.Skew.Milliseconds()
	if health.Skew.Abs() > maxSkew {
		x.api.log.Warn("clock skew",
			slog.String("requestId", x.id), slog.Int64("clockSkewMs", skew))
	}
	if !x.api.cfg.HealthDetails {
		return nil
	}
	return &skew
}
