// Package config turns environment variables into a [Config]. It reports every
// problem at once and does no I/O: [Load] is given the function that reads a
// variable.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/session"
)

// Config is the configuration of a process. [Load] makes it and [Variables]
// documents it.
type Config struct {
	// Local is set by APP_ENV=local. Keys may then be generated, cookies are
	// sent without Secure, and a refused login says why.
	Local bool
	// Port is where the local server listens. A Lambda does not use it.
	Port int
	// LocalPages says that any page on this machine may sign in: SIWE_DOMAINS
	// is unset, and the process is [Config.OnThisMachine]. The local server
	// sets [api.Config.AnyLocalPage] by it, since it checks the Host. Nothing
	// else does.
	LocalPages bool
	// Console is the host of the admin console, with a port if it has one. A
	// Lambda does not use it: serve-console reads the variable itself, so that
	// it links nothing of this package.
	Console string
	// CORSHeaders are the headers that pages may send besides those of
	// template.yaml. A Lambda does not use them: there API Gateway answers for
	// CORS.
	CORSHeaders []string
	// SessionSecret has at least 32 bytes. Every MAC is derived from it, and so
	// is the key that names accounts.
	SessionSecret Secret
	// KeysSecretARN names the secret of Secrets Manager that holds the keys. If
	// it is set, SessionSecret and EncryptionKey are empty.
	KeysSecretARN string
	// EncryptionKey has exactly 32 bytes, already decoded. Records are sealed
	// with it.
	EncryptionKey Secret
	// Generated names the variables that were not set and got a random value.
	// Only local processes have such values, and lose them when they end.
	Generated []string
	// Redis says how to connect to Redis.
	Redis Redis
	// OriginVerify has the values of the shared secret of the CDN in front of
	// the API; none if there is no CDN.
	OriginVerify []Secret
	// OriginVerifyARN names the secret of Secrets Manager that holds those
	// values. If it is set, OriginVerify is empty.
	OriginVerifyARN string
	// Session has the rules of sessions.
	Session session.Options
	// API is the configuration of the HTTP edge.
	API api.Config
	// Contracts says how chains are asked about contract wallets.
	Contracts Contracts
	// Events says whether and where events are published.
	Events Events
	// AuthorizerRules are the permissions that the authorizer requires for
	// routes, besides a live session. None requires a session alone.
	AuthorizerRules []authorizer.Rule
}

// Redis says how to connect to Redis.
type Redis struct {
	// Host and Port are REDIS_HOST and REDIS_PORT. An empty Host stands for the
	// embedded engine, which only a local process may have.
	Host string
	Port int
	// Addr is the address that is dialled, as host:port. Load derives it. The
	// caller that starts an embedded engine sets it.
	Addr string
	// Username and Password are empty if the server requires neither. A
	// password without a username belongs to the server's default user.
	Username string
	Password Secret
	// PasswordSecretARN names the secret of Secrets Manager that holds the
	// password. If it is set, Password is empty.
	PasswordSecretARN string
	// TLS requires TLS 1.2 or later and a certificate for Host from an
	// authority that the system trusts. In a cluster the certificate is for
	// each node's host.
	TLS bool
	// Cluster makes the client speak Redis Cluster. Host is then any of its
	// nodes or its configuration endpoint.
	Cluster bool
	// IAM signs in to ElastiCache with the function's role, as the user
	// Username of the cache CacheName. Serverless says that it is a serverless
	// cache.
	IAM        bool
	CacheName  string
	Serverless bool
	// PoolSize is the largest number of connections. Load sets the value for a
	// Lambda; the local server resets it to 0. 0 stands for the client's
	// default of ten for each processor.
	PoolSize int
}

// lambdaPoolSize is more than enough for an instance that serves one request at
// a time.
const lambdaPoolSize = 4

// Load reads the variables that [Variables] lists. An empty value counts as an
// unset variable. The error has one line for each problem, with the variable's
// name and what to do. It never holds the value of a secret.
func Load(getenv func(string) string) (Config, error) { return load(getenv, variables) }

// load is [Load] for some of the variables.
func load(getenv func(string) string, variables []variable) (Config, error) {
	c := Config{
		Redis: Redis{PoolSize: lambdaPoolSize},
		API:   api.Config{Version: Version},
	}
	var problems []error
	for _, v := range variables {
		for _, err := range split(v.set(&c, v.value(getenv(v.name), c.Local))) {
			problems = append(problems, fmt.Errorf("%s: %w", v.name, err))
		}
	}
	problems = append(problems, c.contradictions()...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	c.complete()
	return c, nil
}

// split returns the errors that were joined to err, or err itself.
func split(err error) []error {
	switch joined, ok := err.(interface{ Unwrap() []error }); {
	case err == nil:
		return nil
	case ok:
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, split(one)...)
		}
		return all
	}
	return []error{err}
}

// LocalByDefault returns getenv with APP_ENV=local as the default.
func LocalByDefault(getenv func(string) string) func(string) string {
	return func(name string) string {
		if name == "APP_ENV" {
			return cmp.Or(getenv(name), "local")
		}
		return getenv(name)
	}
}

// complete derives what the variables leave open.
func (c *Config) complete() {
	c.API.Local = c.Local
	if c.Events.Sink != "" {
		c.Session.Outbox.Types = c.Events.Types
	}
	c.API.SessionLimit = c.Session.SessionLimit
	if len(c.API.AllowedOrigins) == 0 {
		c.API.AllowedOrigins = originsOf(c.API.Domains, c.Local)
	}
	c.LocalPages = c.LocalPages && c.OnThisMachine()
	c.API.RedisMode = "embedded"
	if c.Redis.Host != "" {
		c.API.RedisMode = "single"
		if c.Redis.Cluster {
			c.API.RedisMode = "cluster"
		}
		c.Redis.Addr = address(c.Redis.Host, c.Redis.Port)
	}
}

// OnThisMachine reports whether a local process has its data on this machine:
// in the embedded Redis, or in one on loopback.
func (c *Config) OnThisMachine() bool {
	ip, _ := netip.ParseAddr(c.Redis.Host)
	return c.Local && (c.Redis.Host == "" || c.Redis.Host == "localhost" || ip.IsLoopback())
}

// contradictions finds values that are valid alone and do not fit together. A
// value that is missing or was refused is not compared, so that one mistake is
// reported once.
func (c *Config) contradictions() []error {
	s := c.Session
	var problems []error
	check := func(broken bool, problem string) {
		if broken {
			problems = append(problems, errors.New(problem))
		}
	}
	check(both(s.Idle, s.Absolute) && s.Idle > s.Absolute,
		"SESSION_TIMEOUT_MINUTES: is longer than SESSION_MAX_HOURS;"+
			" lower it or raise SESSION_MAX_HOURS")
	check(both(s.Access, s.Absolute) && s.Access > s.Absolute,
		"ACCESS_TOKEN_MINUTES: is longer than SESSION_MAX_HOURS;"+
			" lower it or raise SESSION_MAX_HOURS")
	check(both(s.Grace, s.Access) && s.Grace >= s.Access,
		"REFRESH_GRACE_SECONDS: must be shorter than ACCESS_TOKEN_MINUTES, because a refresh"+
			" within the grace must not return an expired access token;"+
			" lower it or raise ACCESS_TOKEN_MINUTES")
	check(both(s.Touch, s.Idle) && s.Touch >= s.Idle,
		"SESSION_TOUCH_SECONDS: must be shorter than SESSION_TIMEOUT_MINUTES, because otherwise"+
			" active sessions would reach their idle timeout;"+
			" lower it or raise SESSION_TIMEOUT_MINUTES")
	check(both(s.StepUp, s.Absolute) && s.StepUp > s.Absolute,
		"STEP_UP_MINUTES: is longer than SESSION_MAX_HOURS; lower it or raise SESSION_MAX_HOURS")
	c.Redis.contradictions(c.Local, check)
	c.Contracts.contradictions(check)
	c.Events.contradictions(check)
	check(len(c.OriginVerify) > 0 && c.OriginVerifyARN != "",
		"ORIGIN_VERIFY_SECRET_ARN: is set together with ORIGIN_VERIFY_SECRET; set only one of them")
	check(c.API.CDN.AddressHeader != "" && len(c.OriginVerify) == 0 && c.OriginVerifyARN == "",
		"CLIENT_ADDRESS_HEADER: needs ORIGIN_VERIFY_SECRET or ORIGIN_VERIFY_SECRET_ARN, because"+
			" anybody can send the header; set one of them")
	return problems
}

// contradictions checks that the values of Redis fit together.
func (r Redis) contradictions(local bool, check func(broken bool, problem string)) {
	hasPassword := r.Password != "" || r.PasswordSecretARN != ""
	check(r.Username != "" && !hasPassword && !r.IAM,
		"REDIS_USERNAME: has no effect without REDIS_PASSWORD, REDIS_PASSWORD_SECRET_ARN or"+
			" REDIS_IAM; set one of them or leave REDIS_USERNAME out")
	check(r.Password != "" && r.PasswordSecretARN != "",
		"REDIS_PASSWORD_SECRET_ARN: is set together with REDIS_PASSWORD; set only one of them")
	check(r.IAM && hasPassword,
		"REDIS_IAM: replaces the password;"+
			" leave REDIS_PASSWORD and REDIS_PASSWORD_SECRET_ARN out")
	check(r.IAM && !r.TLS, "REDIS_IAM: works only over TLS; set REDIS_TLS=true")
	check(r.IAM && r.Username == "",
		"REDIS_IAM: needs REDIS_USERNAME; set it to the id of the ElastiCache user")
	check(r.IAM && r.CacheName == "",
		"REDIS_IAM: needs REDIS_CACHE_NAME;"+
			" set it to the name of the cache that tokens are signed for")
	check(!r.IAM && r.CacheName != "",
		"REDIS_CACHE_NAME: has no effect without REDIS_IAM=true;"+
			" set that or leave REDIS_CACHE_NAME out")
	check(!r.IAM && r.Serverless,
		"REDIS_SERVERLESS: has no effect without REDIS_IAM=true;"+
			" set that or leave REDIS_SERVERLESS out")
	check(local && r.Host == "" && (r.Cluster || r.IAM || r.PasswordSecretARN != ""),
		"REDIS_HOST: is needed with REDIS_CLUSTER, REDIS_IAM or REDIS_PASSWORD_SECRET_ARN;"+
			" the embedded Redis supports none of them")
}

func both(a, b time.Duration) bool { return a > 0 && b > 0 }
