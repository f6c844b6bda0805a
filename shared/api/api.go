// Package api is the HTTP edge: it reads requests, finds their credentials,
// calls the session store, and writes answers, each in one place. Every route
// is an [http.Handler] of its own, so that each can be a Lambda function of its
// own.
//
// It also decides who may do what (roles, permissions, freshness), for its own
// routes and for the authorizer of other APIs. It writes the audit log, and
// runs the sweep that a schedule starts.
//
// It knows neither Lambda nor Redis. What only the gateway can know of a
// request arrives in the context as a [RequestInfo]. CORS is left to the
// gateway.
package api

import (
	"log/slog"
	"time"

	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
)

// Config configures an [API].
type Config struct {
	// Local allows cookies over plain http, messages for http origins on this
	// machine, and the reason of a failed login in the answer. For local
	// development only.
	Local bool
	// AnyLocalPage lets any page on this machine sign in and call, besides
	// those of Domains and AllowedOrigins: see [siwe.IsLoopback]. It is only
	// safe for a server that listens on loopback and serves everything through
	// [API.OnlyLocalHosts].
	AnyLocalPage bool
	// CookiePort is appended to the names of cookies, such as session_3000. To
	// browsers, all ports of a host share their cookies. Zero appends nothing.
	// It needs Local.
	CookiePort int
	// Domains are the domains that may ask for signatures, as host or
	// host:port. At least one.
	Domains []string
	// ChainIDs are the EIP-155 ids of the accepted chains. At least one.
	ChainIDs []uint64
	// Statement is the statement that is offered for a login message.
	// OtherStatements are accepted too: some wallets bring their own.
	Statement       string
	OtherStatements []string
	// AllowedOrigins are the origins whose pages may send cookies with a
	// request that changes something, such as "https://app.example.com".
	AllowedOrigins []string
	// AuditLog enables one log line for every refusal. Changes of an account
	// are logged by [Audit].
	AuditLog bool
	// Roles are the configured roles, by name. The role admin has every
	// permission, whether or not it is listed. Everybody has the role user.
	Roles map[string]Role
	// Admins are the addresses that are always admins. They are compared at
	// every read, and no route can change that.
	Admins []token.Account
	// SessionLimit is the session limit of accounts without a role that has one
	// of its own; the store has the same. Zero means [session.MaxSessions].
	SessionLimit int
	// Services are the backends that may call [API.Validate]. Without any, it
	// answers every key with 401.
	Services []Service
	// HealthDetails adds details to the answer of [API.Health]: version, Redis
	// mode, clock skew and the number of live sessions.
	HealthDetails bool
	// Version of the service, and RedisMode ("single", "cluster" or
	// "embedded"), are shown by HealthDetails.
	Version, RedisMode string
	// ClearSiteData is the header Clear-Site-Data of the answer to a logout.
	// Empty sends none.
	ClearSiteData string
	// Contracts asks chains about the signatures of contract wallets. Nil
	// switches contract wallets off.
	Contracts Contracts `json:"-"`
	// CDN says what is known of a CDN in front of the API.
	CDN CDN
	// Metric is called with each metric and its value, when it happens. Nil
	// drops them.
	Metric func(Metric, float64) `json:"-"`
}

// The issued-at of a message may be as far in the past as a nonce lives, and
// messageSlack: the clock of the signer may be behind. Its issued-at and
// not-before may be messageAhead in the future.
const (
	messageSlack = 5 * time.Minute
	messageAhead = time.Minute
)

// API makes the handlers of all routes. It is safe for concurrent use.
type API struct {
	cfg   Config
	store *session.Store
	log   *slog.Logger
	now   func() time.Time
	// policy is for logins, stepUpPolicy for step-ups.
	policy, stepUpPolicy siwe.Policy
	unreadable           minutely // the warning about client addresses

	cookieNames map[string]string // by base name
	cookieBases map[string]string // by name
}

// New returns an API over a store. The clock now must be the store's.
func New(cfg Config, store *session.Store, log *slog.Logger, now func() time.Time) *API {
	policy := siwe.Policy{
		Domains: cfg.Domains, AllowHTTP: cfg.Local, AnyLoopback: cfg.AnyLocalPage,
		ChainIDs: cfg.ChainIDs, Statement: cfg.Statement, OtherStatements: cfg.OtherStatements,
		MaxAge: store.NonceLife() + messageSlack, MaxAhead: messageAhead,
	}
	a := &API{
		cfg: cfg, store: store, log: log, now: now,
		policy: policy, stepUpPolicy: stepUpPolicy(policy),
	}
	a.nameCookies()
	return a
}
