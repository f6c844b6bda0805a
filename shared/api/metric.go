package api

// Metric is the name of a number that somebody may watch. The names are a contract with alarms and dashboards.
type Metric string

// The metrics. All but Sessions are counts.
const (
	// Faults: an answer of 500 or 503, a denial by a fault, a sweep that failed.
	Faults Metric = "Faults"
	// FailedLogins: a login or step-up that was answered login_failed.
	FailedLogins Metric = "FailedLogins"
	// ReuseDetections: a session that this request ended as stolen.
	ReuseDetections Metric = "ReuseDetections"
	// Sessions that live, as of a whole sweep.
	Sessions Metric = "Sessions"
	// Repaired: counters that were wrong, of which there should be none.
	Repaired Metric = "Mended"
	// Denials of the authorizer that are no faults, and requests without credentials that it answered with an error.
	Denials      Metric = "Denied"
	Unauthorized Metric = "Unauthorized"
)

// Count tells that something happened once.
func (a *API) Count(m Metric) { a.measure(m, 1) }

func (a *API) measure(m Metric, value float64) {
	if a.cfg.Metric != nil {
		a.cfg.Metric(m, value)
	}
}
