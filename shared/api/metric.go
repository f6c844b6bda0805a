package api

// Metric is the name of a metric. The names are a contract with alarms and
// dashboards.
type Metric string

// The metrics. All but Sessions are counts.
const (
	// Faults counts answers of 500 or 503, denials because of a fault, and
	// failed sweeps.
	Faults Metric = "Faults"
	// FailedLogins counts logins and step-ups that were answered login_failed.
	FailedLogins Metric = "FailedLogins"
	// ReuseDetections counts sessions that a request ended as stolen, because
	// its refresh token had been used before.
	ReuseDetections Metric = "ReuseDetections"
	// Sessions is the number of live sessions, as of a complete sweep.
	Sessions Metric = "Sessions"
	// Repaired counts counters that were wrong and that a sweep corrected. It
	// should stay zero. Its name is older than the constant's: alarms and
	// dashboards rely on it.
	Repaired Metric = "Mended"
	// WalletsUnchecked counts contract wallets that could not be checked again
	// at a refresh.
	WalletsUnchecked Metric = "WalletsUnchecked"
	// WrongChains counts RPC URLs that serve another chain than the configured
	// one, at most once a minute for each.
	WrongChains Metric = "WrongChains"
	// Denials counts denials by the authorizer that are not faults, and requests
	// that backends must refuse.
	// Unauthorized counts requests without credentials that it answered with an
	// error.
	Denials      Metric = "Denied"
	Unauthorized Metric = "Unauthorized"
	// EventsPublished counts events that were accepted where they are published,
	// EventsRetried those that failed and are sent again, EventsRefused those
	// that were given up, and EventsDropped those that were lost because an
	// outbox was full. EventsAge is the age of the oldest event that was still
	// to be published, in seconds.
	EventsPublished Metric = "EventsPublished"
	EventsRetried   Metric = "EventsRetried"
	EventsRefused   Metric = "EventsRefused"
	EventsDropped   Metric = "EventsDropped"
	EventsAge       Metric = "EventsAge"
)

// Count adds one to a metric.
func (a *API) Count(m Metric) { a.measure(m, 1) }

func (a *API) measure(m Metric, value float64) {
	if a.cfg.Metric != nil {
		a.cfg.Metric(m, value)
	}
}
