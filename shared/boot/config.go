// Package boot turns the environment into a running function: variables into Config, Config into the key ring, the Redis
// client, the session store and the HTTP edge, and API Gateway events into HTTP requests for that edge, a schedule's into sweeps.
//
// It is the only place that reads the environment, and the only one that knows of Lambda.
package boot

import (
	"errors"
	"fmt"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/authorizer"
	"latchkey/shared/session"
)

// Config is all that a process is told from outside. Load makes it; Variables documents it.
type Config struct {
	// Local is APP_ENV=local: keys may be made up, cookies go without Secure, and a refused login says why.
	Local bool
	// Port is where the local server listens. A Lambda has no use for it.
	Port int
	// SessionSecret feeds every MAC and, as the environment's lookup key, names the accounts: at least 32 bytes.
	SessionSecret Secret
	// KeysSecretARN names the secret of Secrets Manager that holds the keys; then SessionSecret and EncryptionKey are empty.
	KeysSecretARN string
	// EncryptionKey feeds the seals: exactly 32 bytes, already decoded.
	EncryptionKey Secret
	// MadeUp names the variables whose values were drawn at random because nobody gave them: local only, and gone when
	// the process ends.
	MadeUp []string
	// Redis is where and how to reach the store.
	Redis Redis
	// Session are the rules of sessions.
	Session session.Options
	// API is the configuration of the HTTP edge.
	API api.Config
	// AuthorizerRules are what the authorizer wants of routes, beside a live session.
	AuthorizerRules []authorizer.Rule
}

// Redis is how to reach the store.
type Redis struct {
	// Host and Port are REDIS_HOST and REDIS_PORT. An empty Host means the embedded engine, and is possible only where
	// Config.Local is set.
	Host string
	Port int
	// Addr is what is dialled, host:port. Load derives it; whoever starts an embedded engine fills it in.
	Addr string
	// Username and Password are empty where the server wants none. A password without a username is for the server's
	// default user.
	Username string
	Password Secret
	// PasswordSecretARN names the secret of Secrets Manager that holds the password; then Password is empty.
	PasswordSecretARN string
	// TLS wants a certificate for Host from an authority that the system trusts, at TLS 1.2 or above; in a cluster, for
	// the host of each node.
	TLS bool
	// Cluster speaks Redis Cluster: Host is any of its nodes, or its configuration endpoint.
	Cluster bool
	// IAM signs in to ElastiCache by the function's role, as the user Username of the cache CacheName; Serverless where
	// that is a serverless one.
	IAM        bool
	CacheName  string
	Serverless bool
	// PoolSize bounds the connections. Load sets it for a Lambda, which serves one request at a time; 0 leaves it to the
	// client, which takes ten for each processor.
	PoolSize int
}

// Load reads the variables that Variables lists. An empty value is an unset one. The error lists every problem at once,
// one a line, each with the variable's name and what to do; it never holds the value of a secret.
func Load(getenv func(string) string) (Config, error) {
	c := Config{
		Redis: Redis{PoolSize: lambdaPoolSize},
		API:   api.Config{Version: Version},
	}
	var problems []error
	for _, v := range variables {
		if err := v.set(&c, v.value(getenv(v.name), c.Local)); err != nil {
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

// complete fills in what follows from the variables.
func (c *Config) complete() {
	c.API.Local = c.Local
	c.API.SessionLimit = c.Session.SessionLimit
	if len(c.API.AllowedOrigins) == 0 {
		c.API.AllowedOrigins = originsOf(c.API.Domains, c.Local)
	}
	c.API.RedisMode = "embedded"
	if c.Redis.Host != "" {
		c.API.RedisMode = "single"
		if c.Redis.Cluster {
			c.API.RedisMode = "cluster"
		}
		c.Redis.Addr = address(c.Redis.Host, c.Redis.Port)
	}
}

// contradictions are values that are each right and cannot hold together. A value that is missing or was refused takes
// part in none, so that one mistake is reported once.
func (c *Config) contradictions() []error {
	s := c.Session
	var problems []error
	check := func(broken bool, problem string) {
		if broken {
			problems = append(problems, errors.New(problem))
		}
	}
	check(both(s.Idle, s.Absolute) && s.Idle > s.Absolute,
		"SESSION_TIMEOUT_MINUTES: the idle timeout is longer than SESSION_MAX_HOURS lets any session live; lower it or raise the other")
	check(both(s.Access, s.Absolute) && s.Access > s.Absolute,
		"ACCESS_TOKEN_MINUTES: an access token would outlive SESSION_MAX_HOURS; lower it or raise the other")
	check(both(s.Grace, s.Access) && s.Grace >= s.Access,
		"REFRESH_GRACE_SECONDS: the grace must be shorter than ACCESS_TOKEN_MINUTES, or a refresh within it could hand out an access token that has expired; lower it or raise the other")
	check(both(s.Touch, s.Idle) && s.Touch >= s.Idle,
		"SESSION_TOUCH_SECONDS: activity would be recorded too rarely to keep a session from its idle timeout; make it shorter than SESSION_TIMEOUT_MINUTES")
	check(both(s.StepUp, s.Absolute) && s.StepUp > s.Absolute,
		"STEP_UP_MINUTES: a signature would count as fresh for longer than SESSION_MAX_HOURS lets any session live; lower it or raise the other")
	return append(problems, c.Redis.contradictions(c.Local)...)
}

// contradictions are those of how to reach the store.
func (r Redis) contradictions(local bool) []error {
	var problems []error
	check := func(broken bool, problem string) {
		if broken {
			problems = append(problems, errors.New(problem))
		}
	}
	hasPassword := r.Password != "" || r.PasswordSecretARN != ""
	check(r.Username != "" && !hasPassword && !r.IAM,
		"REDIS_USERNAME: has no effect without REDIS_PASSWORD, REDIS_PASSWORD_SECRET_ARN or REDIS_IAM; set one of them or leave it out")
	check(r.Password != "" && r.PasswordSecretARN != "",
		"REDIS_PASSWORD_SECRET_ARN: there are two passwords; leave it out or REDIS_PASSWORD")
	check(r.IAM && hasPassword,
		"REDIS_IAM: takes the place of a password; leave out REDIS_PASSWORD and REDIS_PASSWORD_SECRET_ARN")
	check(r.IAM && !r.TLS, "REDIS_IAM: ElastiCache takes it over TLS alone; set REDIS_TLS=true")
	check(r.IAM && r.Username == "", "REDIS_IAM: needs REDIS_USERNAME, the id of the ElastiCache user")
	check(r.IAM && r.CacheName == "", "REDIS_IAM: needs REDIS_CACHE_NAME, since the token is signed for the cache")
	check(!r.IAM && r.CacheName != "", "REDIS_CACHE_NAME: has no effect without REDIS_IAM=true")
	check(!r.IAM && r.Serverless, "REDIS_SERVERLESS: has no effect without REDIS_IAM=true")
	check(local && r.Host == "" && (r.Cluster || r.IAM || r.PasswordSecretARN != ""),
		"REDIS_HOST: is needed with REDIS_CLUSTER, REDIS_IAM or REDIS_PASSWORD_SECRET_ARN; the embedded Redis has none of them")
	return problems
}

func both(a, b time.Duration) bool { return a > 0 && b > 0 }
