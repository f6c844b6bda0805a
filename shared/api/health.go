package api

import (
	"log/slog"
	"net/http"
	"time"

	"latchkey/shared/session"
)

type healthView struct {
	Status  string `json:"status"`
	Time    string `json:"time"`
	Version string `json:"version,omitempty"`
	Checks  struct {
		Redis struct {
			Status      string  `json:"status"`
			LatencyMs   float64 `json:"latencyMs"`
			Mode        string  `json:"mode,omitempty"`
			ClockSkewMs *int64  `json:"clockSkewMs,omitempty"`
		} `json:"redis"`
		Sessions struct {
			Status string `json:"status"`
			Active *int   `json:"active,omitempty"`
			AsOf   string `json:"asOf,omitempty"`
		} `json:"sessions"`
	} `json:"checks"`
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
// work, because Redis does not answer, read or write. HEAD has the same answer
// without a body. The query is ignored: monitors add parameters against caches.
func (a *API) Health() http.Handler {
	return handle(a, route{method: "GET", head: true, ignores: true}, (*exchange).checkHealth)
}

func (x *exchange) checkHealth() (healthView, error) {
	began, cfg := x.api.now(), x.api.cfg
	health, err := x.api.store.Check(x.r.Context())
	view := healthView{Status: statusOK, Time: timestamp(x.api.now())}
	redis, sessions := &view.Checks.Redis, &view.Checks.Sessions
	if cfg.HealthDetails {
		view.Version, redis.Mode = cfg.Version, cfg.RedisMode
	}
	if err != nil {
		x.unavailable(err)
		view.Status, redis.LatencyMs = statusUnavailable, milliseconds(x.api.now().Sub(began))
	} else {
		redis.LatencyMs = milliseconds(health.Latency)
		redis.ClockSkewMs = x.skew(health)
		if cfg.HealthDetails {
			sessions.Active, sessions.AsOf = health.Active, timestampOf(health.AsOf)
		}
	}
	redis.Status, sessions.Status = view.Status, view.Status
	return view, nil
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
