package api

import (
	"log/slog"
	"net/http"
	"time"
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
	Status      string   `json:"status"`
	LatencyMs   *float64 `json:"latencyMs,omitempty"`
	Mode        string   `json:"mode,omitempty"`
	ClockSkewMs *int64   `json:"clockSkewMs,omitempty"`
}

type sessionsCheck struct {
	Status string `json:"status"`
}

// The two states of a check.
const (
	statusOK          = "ok"
	statusUnavailable = "unavailable"
)

// maxSkew is the difference to Redis' clock that the log begins to tell of.
const maxSkew = 2 * time.Second

// Health serves GET /health: 200, or 503 with the same body where Redis does not answer or does not read.
func (a *API) Health() http.Handler {
	return endpoint[nothing]{method: http.MethodGet, serve: func(x *exchange, _ nothing) (any, error) {
		health, err := a.store.Check(x.r.Context())
		view := healthView{Status: statusOK, Time: timestamp(a.now()), Checks: checksView{
			Redis: redisCheck{Status: statusOK}, Sessions: sessionsCheck{Status: statusOK},
		}}
		if a.cfg.HealthDetails {
			view.Version, view.Checks.Redis.Mode = a.cfg.Version, a.cfg.RedisMode
		}
		if err != nil {
			x.logFault(fail(codeUnavailable, ""), err)
			view.Status, view.Checks.Redis.Status, view.Checks.Sessions.Status = statusUnavailable, statusUnavailable, statusUnavailable
			x.status = http.StatusServiceUnavailable
			x.w.Header().Set("Retry-After", retryAfter)
			return view, nil
		}
		latency, skew := milliseconds(health.Latency), health.Skew.Milliseconds()
		view.Checks.Redis.LatencyMs = &latency
		if a.cfg.HealthDetails {
			view.Checks.Redis.ClockSkewMs = &skew
		}
		if health.Skew.Abs() > maxSkew {
			a.log.Warn("clock skew", slog.String("requestId", x.id), slog.Int64("clockSkewMs", skew))
		}
		return view, nil
	}}.handler(a)
}
