// Package api is the HTTP edge: it reads requests, finds the credentials in them, asks the session store, and writes
// answers, each in one place. Every route is an http.Handler of its own, so that each can be a function of its own.
//
// It knows neither Lambda nor Redis. What only the gateway can know of a request reaches it as a Call in the context.
// It does no CORS: that is the gateway's.
package api

import (
	"log/slog"
	"net/http"
	"time"

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
	// AuditLog writes a line for every outcome of login, refresh and logout.
	AuditLog bool
	// HealthDetails tells more than whether the service works.
	HealthDetails bool
	// Version of the service, and RedisMode (single, cluster, embedded), for HealthDetails.
	Version, RedisMode string
	// ClearSiteData is the header value that a logout answers with; empty sends none.
	ClearSiteData string
}

// How far a message's issued-at may lie behind and ahead.
const (
	messageAge   = 10 * time.Minute
	messageAhead = time.Minute
)

// API makes the handlers. It is safe for concurrent use.
type API struct {
	cfg    Config
	store  *session.Store
	log    *slog.Logger
	now    func() time.Time
	policy siwe.Policy
}

// New makes an edge over a store. Now is the clock that the store has too.
func New(cfg Config, store *session.Store, log *slog.Logger, now func() time.Time) *API {
	return &API{cfg: cfg, store: store, log: log, now: now, policy: siwe.Policy{
		Domains: cfg.Domains, AllowHTTP: cfg.Local, ChainIDs: cfg.ChainIDs, Statement: cfg.Statement,
		MaxAge: messageAge, MaxAhead: messageAhead,
	}}
}

// Malformed answers 400 invalid_request, for what reached the gateway and cannot be made a request.
func Malformed(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, id: requestID(r)}
	x.answer(nil, invalid("the request cannot be read"))
}
