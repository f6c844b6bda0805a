package config

import (
	"time"

	"latchkey/shared/session"
)

// Variable is one line of the documented table of the configuration.
type Variable struct {
	// Name of the environment variable.
	Name string
	// Default is the value that an unset or empty variable stands for, in
	// words: "30", "false (local: true)", or "none".
	Default string
	// Meaning says what it does and which values it takes, in Markdown.
	Meaning string
}

// variable is a Variable with the values that Load needs.
type variable struct {
	name string
	// unset is the value of an unset variable. local takes its place with
	// APP_ENV=local, unless it is empty.
	unset, local string
	// note is written beside the default, or instead of one that is not fixed.
	note    string
	meaning string
	// set checks the value and stores it. Its error says what is wrong and what
	// to do. Load puts the variable's name in front.
	set func(c *Config, value string) error
}

// variables are read in this order: a setter may rely on those before its own.
var variables = []variable{
	{name: "APP_ENV", unset: "production", set: setEnvironment,
		meaning: "`production` or `local`; `local` allows cookies over http, made-up keys and login errors that say why. The local server sets it."},
	{name: "PORT", unset: "3000", set: setPort,
		meaning: "Where the local server listens."},
	{name: "SESSION_KEYS_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.KeysSecretARN }),
		meaning: "Secrets Manager secret with all keys by id, see [Keys and their rotation](#keys-and-their-rotation); takes the place of `SESSION_SECRET` and `SESSION_ENCRYPTION_KEY`."},
	{name: "SESSION_SECRET", note: "local: made up", set: setSessionSecret,
		meaning: "At least 32 bytes. Feeds every MAC and names the accounts: changing it logs everybody out and forgets who is who."},
	{name: "SESSION_ENCRYPTION_KEY", note: "local: made up", set: setEncryptionKey,
		meaning: "Exactly 32 bytes: 32 characters, or base64 or hex of 32 bytes. Seals what Redis holds of a session."},
	{name: "REDIS_HOST", note: "local: embedded", set: setRedisHost,
		meaning: "Host name or address of Redis or Valkey, without scheme and port."},
	{name: "REDIS_PORT", unset: "6379", set: setRedisPort,
		meaning: "Port of Redis."},
	{name: "REDIS_USERNAME", set: setRedisUsername,
		meaning: "ACL user; goes with a password, or with `REDIS_IAM`."},
	{name: "REDIS_PASSWORD", set: setRedisPassword,
		meaning: "Password of that user, or of the default user where `REDIS_USERNAME` is unset."},
	{name: "REDIS_PASSWORD_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.Redis.PasswordSecretARN }),
		meaning: "Secrets Manager secret with the password, as it stands or as JSON with `password` and, where it has one, `username`. Fetched anew when Redis refuses it."},
	{name: "REDIS_TLS", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.TLS }),
		meaning: "`true` to connect over TLS and verify the server's certificate for `REDIS_HOST`; in a cluster, for each node's host."},
	{name: "REDIS_CLUSTER", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.Cluster }),
		meaning: "`true` for Redis Cluster, as ElastiCache with cluster mode enabled; `REDIS_HOST` is its configuration endpoint. A serverless cache needs it not."},
	{name: "REDIS_IAM", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.IAM }),
		meaning: "`true` to sign in to ElastiCache by the function's role instead of a password; wants `REDIS_TLS`, `REDIS_USERNAME` and `REDIS_CACHE_NAME`."},
	{name: "REDIS_CACHE_NAME", set: setCacheName,
		meaning: "Name of the cache or replication group; goes with `REDIS_IAM`."},
	{name: "REDIS_SERVERLESS", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.Serverless }),
		meaning: "`true` where that is a serverless cache; goes with `REDIS_IAM`."},
	{name: "REDIS_KEY_PREFIX", unset: "lk", set: setPrefix,
		meaning: "Begins every key, so that deployments can share a Redis; also separates their keys. 1 to 16 of `a-z`, `0-9`, `-`."},
	{name: "SIWE_DOMAINS", local: localDomain, set: setDomains,
		meaning: "Domains that may ask for a signature, as `host` or `host:port`; a message's URI is `https://` and one of them (local: `http://` too)."},
	{name: "SIWE_CHAIN_IDS", unset: "1", set: setChainIDs,
		meaning: "Chain ids that a message may name."},
	{name: "SIWE_STATEMENT", unset: "Sign in.", set: setStatement,
		meaning: "The statement that a message must carry."},
	{name: "ALLOWED_ORIGINS", note: "the origins of the domains", set: setOrigins,
		meaning: "Origins of the pages that may call with cookies, as `https://host` or `https://host:port`."},
	{name: "SESSION_TIMEOUT_MINUTES", unset: "30", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.Idle }),
		meaning: "A session without activity ends after this; at most `SESSION_MAX_HOURS`."},
	{name: "SESSION_MAX_HOURS", unset: "12", set: span(time.Hour, year, func(c *Config) *time.Duration { return &c.Session.Absolute }),
		meaning: "Every session ends this long after its login."},
	{name: "ACCESS_TOKEN_MINUTES", unset: "15", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.Access }),
		meaning: "Lifetime of an access token; at most `SESSION_MAX_HOURS`."},
	{name: "REFRESH_GRACE_SECONDS", unset: "45", set: span(time.Second, year, func(c *Config) *time.Duration { return &c.Session.Grace }),
		meaning: "How long a superseded refresh token still answers with its successor; less than `ACCESS_TOKEN_MINUTES`."},
	{name: "SESSION_TOUCH_SECONDS", unset: "30", set: span(time.Second, year, func(c *Config) *time.Duration { return &c.Session.Touch }),
		meaning: "Activity is recorded at most this often; less than `SESSION_TIMEOUT_MINUTES`."},
	{name: "MAX_CONCURRENT_SESSIONS", unset: "5", set: integer(session.MaxSessions, "; 0 means 100", func(c *Config) *int { return &c.Session.SessionLimit }),
		meaning: "Live sessions of an account, 0 to 100; 0 means 100."},
	{name: "SESSION_LIMIT_POLICY", unset: "evict", set: setLimitPolicy,
		meaning: "At the limit, `evict` ends the session seen longest ago, `deny` refuses the login."},
	{name: "DEVICE_POLICY", unset: "step_up", set: policy(func(c *Config) *session.Policy { return &c.Session.DevicePolicy }),
		meaning: "When a session's device changes: `off` compares nothing, `log` records it, `step_up` wants a fresh signature, `revoke` ends the session."},
	{name: "NETWORK_POLICY", unset: "log", set: policy(func(c *Config) *session.Policy { return &c.Session.NetworkPolicy }),
		meaning: "The same when its network changes. People who travel change networks: `step_up` and `revoke` will meet them."},
	{name: "RATE_LIMIT_NONCE_PER_MINUTE", unset: "60", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.NonceRate }),
		meaning: "Nonces that one network may ask for in a minute, up to 100000; 0 sets no limit."},
	{name: "RATE_LIMIT_LOGIN_PER_MINUTE", unset: "30", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.LoginRate }),
		meaning: "Logins that one network may try in a minute, and that one account may make, up to 100000; 0 sets no limit."},
	{name: "RATE_LIMIT_REFRESH_PER_MINUTE", unset: "60", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.RefreshRate }),
		meaning: "Refreshes of one account from one network in a minute, up to 100000; 0 sets no limit."},
	{name: "STATE_QUOTA_BYTES", unset: "16384", set: integer(maxStateQuota, "", func(c *Config) *int { return &c.Session.StateQuota }),
		meaning: "How many bytes of temporary data a session may hold, keys and values together, up to 262144; 0 lets it hold none."},
	{name: "ACTIVITY_MAX_EVENTS", unset: "50", set: integer(maxActivity, "; 0 keeps none", func(c *Config) *int { return &c.Session.ActivityMax }),
		meaning: "How many events the activity list of an account holds, the newest ones, up to 500; 0 keeps none."},
	{name: "ACTIVITY_DAYS", unset: "90", set: span(day, maxActivityDays*day, func(c *Config) *time.Duration { return &c.Session.ActivityKeep }),
		meaning: "How long that list is kept after its last event, up to 3650."},
	{name: "STEP_UP_MINUTES", unset: "5", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.StepUp }),
		meaning: "How long after a login or step-up erasing and admin changes need no fresh signature; at most `SESSION_MAX_HOURS`."},
	{name: "ADMIN_ADDRESSES", set: setAdmins,
		meaning: "Addresses that are admins whatever is stored, and stay so; mixed case must be the EIP-55 checksum."},
	{name: "ROLES", unset: "{}", set: setRoles,
		meaning: "JSON, role to what it grants: `{\"editor\":{\"permissions\":[\"posts:write\"],\"maxSessions\":3}}`. `admin` has every permission, `user` is everybody's; `maxSessions` takes the place of `MAX_CONCURRENT_SESSIONS`. At most 2048 bytes."},
	{name: "AUTHORIZER_PERMISSIONS", set: setAuthorizerPermissions,
		meaning: "What the authorizer wants for routes of the API that it guards, beside a live session: `GET /orders*=orders:read,POST /orders=orders:write`. Method or `*`, path (`*` at its end: whatever follows), permission; all that match must hold."},
	{name: "AUDIT_LOG_ENABLED", unset: "true", set: flag(func(c *Config) *bool { return &c.API.AuditLog }),
		meaning: "Log an event for every change and every refusal."},
	{name: "HEALTH_DETAILS", unset: "false", local: "true", set: flag(func(c *Config) *bool { return &c.API.HealthDetails }),
		meaning: "`/health` tells version, mode of Redis, clock skew and how many sessions live."},
	{name: "LOGOUT_CLEAR_SITE_DATA", set: setClearSiteData,
		meaning: "What logout asks the browser to clear for the whole registrable domain: any of `cache`, `cookies`, `storage`, `executionContexts`, `clientHints`, or `*`."},
}

// Variables lists the configuration in the order of the documentation. [Load]
// reads these variables and no others.
func Variables() []Variable {
	table := make([]Variable, 0, len(variables))
	for _, v := range variables {
		table = append(table, Variable{Name: v.name, Default: v.documented(), Meaning: v.meaning})
	}
	return table
}

// documented is the default in words, such as "30", "none (local: embedded)" or
// "false (local: true)".
func (v variable) documented() string {
	note := v.note
	if v.local != "" {
		note = "local: " + v.local
	}
	switch {
	case v.name == "ALLOWED_ORIGINS":
		return note
	case v.unset == "" && note == "":
		return "none"
	case note == "":
		return v.unset
	case v.unset == "":
		return "none (" + note + ")"
	}
	return v.unset + " (" + note + ")"
}

// value returns the value to use for what the environment has.
func (v variable) value(given string, local bool) string {
	switch {
	case given != "":
		return given
	case local && v.local != "":
		return v.local
	}
	return v.unset
}

// setLimitPolicy sets what happens to a login at the session limit.
func setLimitPolicy(c *Config, value string) error {
	policies := map[string]session.LimitPolicy{"evict": session.Evict, "deny": session.Deny}
	policy, ok := policies[value]
	if !ok {
		return unknown(value, "evict or deny")
	}
	c.Session.LimitPolicy = policy
	return nil
}
