// Package api is the HTTP edge: it reads requests, finds the credentials in them, asks the session store, and writes
// answers, each in one place. Every route is an http.Handler of its own, so that each can be a function of its own.
//
// It also decides who may ask (roles, permissions, freshness), here and for the authorizer of other APIs, writes the audit
// log, and runs the sweep that a schedule asks for.
//
// It knows neither Lambda nor Redis. What only the gateway can know of a request reaches it as a Call in the context.
// It does no CORS: that is the gateway's.
package api

import (
	"log/slog"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

// Config is what the edge is told from outside.
type Config struct {
	// Local allows cookies over plain http, messages for http origins on this machine, and reasons in the answer to a
	// login that failed. For a laptop only.
	Local bool
	// Domains may ask for signatures, as host or host:port. At least one.
	Domains []string
	// ChainIDs are the accepted chains. At least one.
	ChainIDs []uint64
	// Statement is the one that a message must carry.
	Statement string
	// AllowedOrigins are the origins whose pages may send cookies with a request that changes something.
	AllowedOrigins []string
	// AuditLog writes a line for every refusal. The store's changes are written by Audit.
	AuditLog bool
	// Roles are the configured roles, by name. The role admin has every permission, whether or not it is among them; the
	// role user is everybody's.
	Roles map[string]Role
	// Admins are admins at every read, and no route takes that away.
	Admins []common.Address
	// SessionLimit is the store's, for those without a role that has one of its own; 0 means session.MaxSessions.
	SessionLimit int
	// HealthDetails tells more than whether the service works.
	HealthDetails bool
	// Version of the service, and RedisMode (single, cluster, embedded), for HealthDetails.
	Version, RedisMode string
	// ClearSiteData is the header value that a logout answers with; empty sends none.
	ClearSiteData string
	// Metric is told of what is worth an alarm or a chart, when it happens; see Metric. Nil tells nobody.
	Metric func(Metric, float64) `json:"-"`
}

// How far a message's issued-at may lie behind and ahead.
const (
	messageAge   = 10 * time.Minute
	messageAhead = time.Minute
)

// API makes the handlers. It is safe for concurrent use.
type API struct {
	cfg   Config
	store *session.Store
	log   *slog.Logger
	now   func() time.Time
	// policy is for logins, stepUpPolicy for step-ups.
	policy, stepUpPolicy siwe.Policy
}

// New makes an edge over a store. Now is the clock that the store has too.
func New(cfg Config, store *session.Store, log *slog.Logger, now func() time.Time) *API {
	policy := siwe.Policy{
		Domains: cfg.Domains, AllowHTTP: cfg.Local, ChainIDs: cfg.ChainIDs, Statement: cfg.Statement,
		MaxAge: messageAge, MaxAhead: messageAhead,
	}
	return &API{cfg: cfg, store: store, log: log, now: now, policy: policy, stepUpPolicy: stepUpPolicy(policy)}
}
