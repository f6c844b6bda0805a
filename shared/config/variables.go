package config

import (
	"cmp"
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
	set     setter
}

// setter checks a value and stores it. Its error says what is wrong and what to
// do. Load puts the variable's name in front.
type setter = func(c *Config, value string) error

// variables are read in this order: a setter may rely on those before its own.
var variables = []variable{
	{name: "APP_ENV", unset: "production", set: setEnvironment,
		meaning: "`production` or `local`. With `local`, cookies work over http, missing keys are generated, and a failed login says why. The local server sets it."},
	{name: "PORT", unset: "3000", set: port(func(c *Config) *int { return &c.Port }),
		meaning: "The port of the local server."},
	{name: "SESSION_KEYS_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.KeysSecretARN }),
		meaning: "ARN of the Secrets Manager secret that holds all keys by id, see [Keys and rotation](operations.md#keys-and-rotation). It replaces `SESSION_SECRET` and `SESSION_ENCRYPTION_KEY`."},
	{name: "SESSION_SECRET", note: "local: generated", set: setSessionSecret,
		meaning: "At least 32 bytes. Every MAC and every user id is derived from it. If it changes, everybody is logged out and every account is a new one."},
	{name: "SESSION_ENCRYPTION_KEY", note: "local: generated", set: setEncryptionKey,
		meaning: "Exactly 32 bytes: 32 characters, or 32 bytes in base64 or hex. Encrypts what Redis holds of a session. If it changes, everybody is logged out and all preferences are lost."},
	{name: "REDIS_HOST", note: "local: embedded", set: setRedisHost,
		meaning: "Host name or IP address of Redis or Valkey, without scheme and port."},
	{name: "REDIS_PORT", unset: "6379", set: port(func(c *Config) *int { return &c.Redis.Port }),
		meaning: "Port of Redis."},
	{name: "REDIS_USERNAME", set: setRedisUsername,
		meaning: "ACL user. Needs a password or `REDIS_IAM`."},
	{name: "REDIS_PASSWORD", set: setRedisPassword,
		meaning: "Password of `REDIS_USERNAME`, or of the default user if that is unset."},
	{name: "REDIS_PASSWORD_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.Redis.PasswordSecretARN }),
		meaning: "ARN of the Secrets Manager secret that holds the password: plain text, or JSON with `password` and optionally `username`. If Redis refuses the password, it is fetched again at once, then after 1, 2, 4 seconds and so on, at last once a minute."},
	{name: "REDIS_TLS", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.TLS }),
		meaning: "`true` connects over TLS 1.2 or later and verifies that the certificate is for `REDIS_HOST`. In a cluster it verifies each node's host."},
	{name: "REDIS_CLUSTER", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.Cluster }),
		meaning: "`true` for Redis Cluster, such as ElastiCache with cluster mode enabled. `REDIS_HOST` is then the configuration endpoint or any node. Not needed for serverless caches."},
	{name: "REDIS_IAM", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.IAM }),
		meaning: "`true` authenticates to ElastiCache with the function's IAM role instead of a password. Needs `REDIS_TLS`, `REDIS_USERNAME` and `REDIS_CACHE_NAME`."},
	{name: "REDIS_CACHE_NAME", set: setCacheName,
		meaning: "Name of the cache or replication group. Needs `REDIS_IAM`."},
	{name: "REDIS_SERVERLESS", unset: "false", set: flag(func(c *Config) *bool { return &c.Redis.Serverless }),
		meaning: "`true` if `REDIS_CACHE_NAME` is a serverless cache. Needs `REDIS_IAM`."},
	{name: "REDIS_KEY_PREFIX", unset: "lk", set: setPrefix,
		meaning: "Prefix of every Redis key, so that deployments can share a Redis. Key derivation includes it, so two deployments never accept each other's tokens. 1 to 16 of `a-z`, `0-9`, `-`."},
	{name: "SIWE_DOMAINS", local: localDomain, set: setDomains,
		meaning: "Domains that may ask for a signature, as `host` or `host:port`. The URI of a message must be `https://` and one of them (local: `http://` too). If it is unset locally, [any page on this machine](tutorial.md#a-page-on-your-machine) may sign in."},
	{name: "SIWE_CHAIN_IDS", unset: "1", set: setChainIDs,
		meaning: "Chain ids that a message may name."},
	{name: "SIWE_STATEMENT", unset: "Sign in.", set: setStatement,
		meaning: "The statement that a message must have, of at most 1024 bytes. Several may be separated by a vertical bar: the first is offered with a nonce, and any of them is accepted. See [Statements](api.md#statements)."},
	{name: "SIWE_NONCE_MINUTES", unset: "5", set: longSpan(time.Minute, session.MaxNonceLife, func(c *Config) *time.Duration { return &c.Session.NonceLife }),
		meaning: "How long a nonce may be used, 1 to 60: the time to sign. A multisig takes longer than one person. A message may be issued that long ago, and five minutes."},
	{name: "ALLOWED_ORIGINS", note: "the origins of the domains", set: setOrigins,
		meaning: "Origins of the pages that may call with cookies, as `https://host` or `https://host:port`. For apps, see [Pages in an app](api.md#pages-in-an-app)."},
	{name: "CONSOLE", local: localDomain, set: setConsole,
		meaning: "Host of the [admin console](console.md), which is at its `/console`. It must be one of `SIWE_DOMAINS`, and its origin one of `ALLOWED_ORIGINS`. Deployed, no value means no console."},
	{name: "CORS_ALLOW_HEADERS", set: setCORSHeaders,
		meaning: "Headers that pages may send besides those of the API, such as `baggage,sentry-trace,traceparent`. The local server's; deployed, the parameter `CorsAllowHeaders`."},
	{name: "SESSION_TIMEOUT_MINUTES", unset: "30", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.Idle }),
		meaning: "Idle timeout: a session ends after this time without activity. At most `SESSION_MAX_HOURS`."},
	{name: "SESSION_MAX_HOURS", unset: "12", set: span(time.Hour, year, func(c *Config) *time.Duration { return &c.Session.Absolute }),
		meaning: "Absolute timeout: a session ends this long after its login."},
	{name: "ACCESS_TOKEN_MINUTES", unset: "15", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.Access }),
		meaning: "Lifetime of an access token. At most `SESSION_MAX_HOURS`."},
	{name: "REFRESH_GRACE_SECONDS", unset: "45", set: span(time.Second, year, func(c *Config) *time.Duration { return &c.Session.Grace }),
		meaning: "How long a refresh token still returns its successor after a rotation. Less than `ACCESS_TOKEN_MINUTES`."},
	{name: "SESSION_TOUCH_SECONDS", unset: "30", set: span(time.Second, year, func(c *Config) *time.Duration { return &c.Session.Touch }),
		meaning: "Activity is recorded at most once in this time. Less than `SESSION_TIMEOUT_MINUTES`."},
	{name: "MAX_CONCURRENT_SESSIONS", unset: "5", set: integer(session.MaxSessions, "; 0 means 100", func(c *Config) *int { return &c.Session.SessionLimit }),
		meaning: "Session limit: live sessions of an account, 0 to 100. 0 means 100."},
	{name: "SESSION_LIMIT_POLICY", unset: "evict", set: choice("evict or deny", func(c *Config) *session.LimitPolicy { return &c.Session.LimitPolicy }, session.Evict, session.Deny),
		meaning: "At the session limit, `evict` ends the session that was seen longest ago, and `deny` refuses the login."},
	{name: "DEVICE_POLICY", unset: "step_up", set: policy(func(c *Config) *session.Policy { return &c.Session.DevicePolicy }),
		meaning: "What happens when the device of a session changes: `off` does not compare, `log` records it, `step_up` requires a fresh signature, `revoke` ends the session."},
	{name: "NETWORK_POLICY", unset: "log", set: policy(func(c *Config) *session.Policy { return &c.Session.NetworkPolicy }),
		meaning: "The same for a change of network. Mobile clients change networks often, so `step_up` and `revoke` affect them."},
	{name: "RATE_LIMIT_NONCE_PER_MINUTE", unset: "60", local: "0", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.NonceRate }),
		meaning: "Nonces that one network may request in a minute, 0 to 100000. 0 turns the limit off."},
	{name: "RATE_LIMIT_LOGIN_PER_MINUTE", unset: "30", local: "0", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.LoginRate }),
		meaning: "Logins and step-ups that one network may attempt in a minute, and logins that one account may make. 0 to 100000; 0 turns both limits off."},
	{name: "RATE_LIMIT_REFRESH_PER_MINUTE", unset: "60", local: "0", set: integer(maxRate, "; 0 sets no limit", func(c *Config) *int { return &c.Session.RefreshRate }),
		meaning: "Refreshes of one account from one network in a minute, 0 to 100000. 0 turns the limit off."},
	{name: "STATE_QUOTA_BYTES", unset: "16384", set: integer(maxStateQuota, "", func(c *Config) *int { return &c.Session.StateQuota }),
		meaning: "Bytes of state that a session may hold, keys and values together, 0 to 262144. With 0 it can hold none."},
	{name: "ACTIVITY_MAX_EVENTS", unset: "50", set: integer(maxActivity, "; 0 keeps none", func(c *Config) *int { return &c.Session.ActivityMax }),
		meaning: "Events in the activity list of an account, 0 to 500. The newest are kept. With 0 there is no list, and the [audit list](api.md#administration) gets no entries."},
	{name: "ACTIVITY_DAYS", unset: "90", set: span(day, maxActivityDays*day, func(c *Config) *time.Duration { return &c.Session.ActivityKeep }),
		meaning: "How long the list is kept after its last event, and an entry of the audit list after its time, at most 3650."},
	{name: "PREFERENCES_DAYS", unset: "365", set: longSpan(day, maxPreferencesDays*day, func(c *Config) *time.Duration { return &c.Session.PreferencesKeep }),
		meaning: "How long the preferences of an account are kept after its last login, 1 to 3650. They are never deleted while a session is live."},
	{name: "STEP_UP_MINUTES", unset: "5", set: span(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.StepUp }),
		meaning: "How long a login or step-up counts as fresh. Erasing an account and changes by admins need a fresh session. At most `SESSION_MAX_HOURS`."},
	{name: "ADMIN_ADDRESSES", set: setAdmins,
		meaning: "Accounts that are always admins, whatever Redis holds. An address is the account of its key; a contract wallet is named by `eip155:<chain>:<address>`. An address in mixed case must have its EIP-55 checksum."},
	{name: "ROLES", unset: "{}", set: setRoles,
		meaning: "JSON from role name to what it grants: `{\"editor\":{\"permissions\":[\"posts:write\"],\"maxSessions\":3}}`. See [Roles and permissions](api.md#roles-and-permissions). At most 2048 bytes."},
	{name: "AUTHORIZER_PERMISSIONS", set: setAuthorizerPermissions,
		meaning: "Permissions that the authorizer requires for routes of the APIs that it guards, such as `GET /orders*=orders:read,POST /orders=orders:write`. See [Permissions by route](authorizer.md#permissions-by-route)."},
	{name: "SERVICE_KEYS", set: setServiceKeys,
		meaning: "Backends that may [ask who is calling](backends.md), as `name=SHA-256 of its service key`, comma separated. A name may have two keys while it rotates. `make service-key NAME=orders` makes a key and prints both."},
	{name: "EVENTS", set: setEvents,
		meaning: "Where [events](events.md) are published: `eventbridge`, `webhook` or `log`. If it is unset, none are; the local server then writes them to its log, if its Redis is on this machine, and an empty value stops that. Set it alike in all functions."},
	{name: "EVENT_BUS", set: setEventBus,
		meaning: "ARN of the bus of EventBridge. Needs `EVENTS=eventbridge`."},
	{name: "EVENT_TYPES", unset: defaultEventTypes(), note: "all but `session.refreshed`", set: setEventTypes,
		meaning: "[Types](events.md#types) of events that are published, comma separated."},
	{name: "EVENT_DETAILS", unset: "true", set: flag(func(c *Config) *bool { return &c.Events.Details }),
		meaning: "`false` leaves device and IP address out of events."},
	{name: "EVENT_WEBHOOK_URL", set: setEventWebhook,
		meaning: "URL that events are posted to. Only https, except locally. Needs `EVENTS=webhook`."},
	{name: "EVENT_WEBHOOK_SECRET", set: setEventWebhookSecret,
		meaning: "Secret with which they are signed: `whsec_` and 24 to 64 bytes in base64, or two with a comma between them while they [rotate](events.md#webhooks)."},
	{name: "EVENT_WEBHOOK_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.Events.WebhookSecretARN }),
		meaning: "ARN of the Secrets Manager secret that holds that secret as plain text. It is fetched each minute, by the function that publishes."},
	{name: "AUDIT_LOG_ENABLED", unset: "true", set: flag(func(c *Config) *bool { return &c.API.AuditLog }),
		meaning: "Write a log line for every change and every refusal."},
	{name: "LOG_FORMAT", unset: "json", note: "local, on a terminal: text", set: setLogFormat,
		meaning: "`json`, or `text` for lines that people read. Alarms and queries of the log need `json`."},
	{name: "HEALTH_DETAILS", unset: "false", local: "true", set: flag(func(c *Config) *bool { return &c.API.HealthDetails }),
		meaning: "Add version, Redis mode, clock skew and the number of live sessions to `/health`."},
	{name: "ORIGIN_VERIFY_SECRET", set: setOriginVerify,
		meaning: "Shared secret of the [CDN in front of the API](cdn.md), which sends it in the header `x-origin-verify`. 32 to 256 characters of `A-Z a-z 0-9 . _ ~ + / = -`, or several such values while it rotates, at most 8. The API refuses every other request."},
	{name: "ORIGIN_VERIFY_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.OriginVerifyARN }),
		meaning: "ARN of the Secrets Manager secret that holds the values of `ORIGIN_VERIFY_SECRET` as plain text. It is fetched again after ten minutes, and if a request has an unknown value, at most once a minute."},
	{name: "CLIENT_ADDRESS_HEADER", set: setAddressHeader,
		meaning: "Header in which the CDN sends the client's address, such as `cloudfront-viewer-address`. It counts only with the shared secret. That header has an address and a port; any other has an address alone."},
	{name: "LOGOUT_CLEAR_SITE_DATA", set: setClearSiteData,
		meaning: "What a logout asks the browser to clear for the whole registrable domain: any of `cache`, `cookies`, `storage`, `executionContexts`, `clientHints`, or `*`."},
	{name: "ETHEREUM_RPC", set: setRPC,
		meaning: "Switches [contract wallets](contract-wallets.md) on. JSON from chain id to the URLs of its RPCs, in the order in which they are asked: `{\"1\":[\"https://rpc.example.com\"]}`. Only https, except locally."},
	{name: "ETHEREUM_RPC_SECRET_ARN", set: setSecretARN(func(c *Config) *string { return &c.Contracts.RPCSecretARN }),
		meaning: "ARN of the Secrets Manager secret that holds the JSON of `ETHEREUM_RPC`, since URLs often carry a key. It is fetched again after ten minutes."},
	{name: "ETHEREUM_RPC_QUORUM", unset: "1", set: between(1, maxQuorum, "", func(c *Config) *int { return &c.Contracts.Quorum }),
		meaning: "How many URLs of a chain must agree, 1 to 10. That many are asked at once. Each chain needs as many URLs."},
	{name: "ETHEREUM_MULTICALL", set: setMulticall,
		meaning: "JSON from chain id to the address of a Multicall3, for chains whose RPCs refuse a call without a recipient: `{\"1\":\"0xcA11bde05977b3631167028862bE2a173976CA11\"}`."},
	{name: "ETHEREUM_CALL_GAS", unset: "5000000", set: between(minCallGas, maxCallGas, "", func(c *Config) *int { return &c.Contracts.Gas }),
		meaning: "Gas of each call, 100000 to 100000000."},
	{name: "SIGNATURE_VERIFIER_ARN", set: setVerifierARN,
		meaning: "ARN of the Lambda function `verify-signature`, which asks the chains instead of this process. It replaces the five variables above."},
	{name: "WALLET_RECHECK_MINUTES", unset: "60", set: spanOrOff(time.Minute, year, func(c *Config) *time.Duration { return &c.Session.WalletRecheck }),
		meaning: "A refresh asks the contract of a session again if its last check is older than this. 0 turns that off."},
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
	unset := cmp.Or(v.unset, "none")
	switch {
	case v.name == "ALLOWED_ORIGINS", v.name == "EVENT_TYPES":
		return note
	case note == "":
		return unset
	}
	return unset + " (" + note + ")"
}

// value returns the value to use for what the environment has.
func (v variable) value(given string, local bool) string {
	if local {
		return cmp.Or(given, v.local, v.unset)
	}
	return cmp.Or(given, v.unset)
}
