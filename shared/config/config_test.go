package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/shared/config"
	"latchkey/shared/session"
)

// Drawn once for these tests; they open nothing.
const (
	secret = "vJ8r3TqXz0LmYw5KdB9sHfN2cPgUe7Ai"
	key    = "Q4x9WbZ1tRk6VnMj0Sg8FyCo3LpHd5Ea"
)

// deployed is a complete configuration outside local, with changes; a change to
// "" unsets.
func deployed(changes ...string) map[string]string {
	return changed(map[string]string{
		"SESSION_SECRET":         secret,
		"SESSION_ENCRYPTION_KEY": key,
		"REDIS_HOST":             "cache.internal",
		"SIWE_DOMAINS":           "app.example.com",
	}, changes)
}

func local(changes ...string) map[string]string {
	return changed(map[string]string{"APP_ENV": "local"}, changes)
}

func changed(env map[string]string, pairs []string) map[string]string {
	for pair := range slices.Chunk(pairs, 2) {
		env[pair[0]] = pair[1]
	}
	return env
}

func load(env map[string]string) (config.Config, error) {
	return config.Load(func(name string) string { return env[name] })
}

func mustLoad(t *testing.T, env map[string]string) config.Config {
	t.Helper()
	cfg, err := load(env)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return cfg
}

// The table is part of the contract towards operators: names, order and
// defaults keep their values.
func TestVariables_contract(t *testing.T) {
	want := [][2]string{
		{"APP_ENV", "production"},
		{"PORT", "3000"},
		{"SESSION_KEYS_SECRET_ARN", "none"},
		{"SESSION_SECRET", "none (local: generated)"},
		{"SESSION_ENCRYPTION_KEY", "none (local: generated)"},
		{"REDIS_HOST", "none (local: embedded)"},
		{"REDIS_PORT", "6379"},
		{"REDIS_USERNAME", "none"},
		{"REDIS_PASSWORD", "none"},
		{"REDIS_PASSWORD_SECRET_ARN", "none"},
		{"REDIS_TLS", "false"},
		{"REDIS_CLUSTER", "false"},
		{"REDIS_IAM", "false"},
		{"REDIS_CACHE_NAME", "none"},
		{"REDIS_SERVERLESS", "false"},
		{"REDIS_KEY_PREFIX", "lk"},
		{"SIWE_DOMAINS", "none (local: localhost:PORT)"},
		{"SIWE_CHAIN_IDS", "1"},
		{"SIWE_STATEMENT", "Sign in."},
		{"SIWE_NONCE_MINUTES", "5"},
		{"ALLOWED_ORIGINS", "the origins of the domains"},
		{"CONSOLE", "none (local: localhost:PORT)"},
		{"CORS_ALLOW_HEADERS", "none"},
		{"SESSION_TIMEOUT_MINUTES", "30"},
		{"SESSION_MAX_HOURS", "12"},
		{"ACCESS_TOKEN_MINUTES", "15"},
		{"REFRESH_GRACE_SECONDS", "45"},
		{"SESSION_TOUCH_SECONDS", "30"},
		{"MAX_CONCURRENT_SESSIONS", "5"},
		{"SESSION_LIMIT_POLICY", "evict"},
		{"DEVICE_POLICY", "step_up"},
		{"NETWORK_POLICY", "log"},
		{"RATE_LIMIT_NONCE_PER_MINUTE", "60 (local: 0)"},
		{"RATE_LIMIT_LOGIN_PER_MINUTE", "30 (local: 0)"},
		{"RATE_LIMIT_REFRESH_PER_MINUTE", "60 (local: 0)"},
		{"STATE_QUOTA_BYTES", "16384"},
		{"ACTIVITY_MAX_EVENTS", "50"},
		{"ACTIVITY_DAYS", "90"},
		{"PREFERENCES_DAYS", "365"},
		{"STEP_UP_MINUTES", "5"},
		{"ADMIN_ADDRESSES", "none"},
		{"ROLES", "{}"},
		{"AUTHORIZER_PERMISSIONS", "none"},
		{"SERVICE_KEYS", "none"},
		{"EVENTS", "none"},
		{"EVENT_BUS", "none"},
		{"EVENT_TYPES", "all but `session.refreshed`"},
		{"EVENT_DETAILS", "true"},
		{"EVENT_WEBHOOK_URL", "none"},
		{"EVENT_WEBHOOK_SECRET", "none"},
		{"EVENT_WEBHOOK_SECRET_ARN", "none"},
		{"AUDIT_LOG_ENABLED", "true"},
		{"LOG_FORMAT", "json (local, on a terminal: text)"},
		{"HEALTH_DETAILS", "false (local: true)"},
		{"ORIGIN_VERIFY_SECRET", "none"},
		{"ORIGIN_VERIFY_SECRET_ARN", "none"},
		{"CLIENT_ADDRESS_HEADER", "none"},
		{"LOGOUT_CLEAR_SITE_DATA", "none"},
		{"ETHEREUM_RPC", "none"},
		{"ETHEREUM_RPC_SECRET_ARN", "none"},
		{"ETHEREUM_RPC_QUORUM", "1"},
		{"ETHEREUM_MULTICALL", "none"},
		{"ETHEREUM_CALL_GAS", "5000000"},
		{"SIGNATURE_VERIFIER_ARN", "none"},
		{"WALLET_RECHECK_MINUTES", "60"},
	}
	var got [][2]string
	for _, v := range config.Variables() {
		got = append(got, [2]string{v.Name, v.Default})
		if v.Meaning == "" {
			t.Errorf("%s is not documented", v.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLoad_readsOnlyDocumentedVariables(t *testing.T) {
	documented := map[string]bool{}
	for _, v := range config.Variables() {
		documented[v.Name] = true
	}
	env := deployed()
	_, err := config.Load(func(name string) string {
		if !documented[name] {
			t.Errorf("%s is read and not documented", name)
		}
		delete(documented, name)
		return env[name]
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(documented) > 0 {
		t.Errorf("documented and never read: %v", slices.Sorted(maps.Keys(documented)))
	}
}

func TestLoad_defaults(t *testing.T) {
	cfg := mustLoad(t, deployed())
	wantSession := session.Options{
		Prefix: "lk", Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Access: 15 * time.Minute,
		Grace: 45 * time.Second, Touch: 30 * time.Second, SessionLimit: 5, LimitPolicy: session.Evict,
		DevicePolicy: session.PolicyStepUp, NetworkPolicy: session.PolicyLog, StepUp: 5 * time.Minute,
		NonceRate: 60, LoginRate: 30, RefreshRate: 60, StateQuota: 16384, ActivityMax: 50, ActivityKeep: 90 * 24 * time.Hour,
		PreferencesKeep: 365 * 24 * time.Hour, WalletRecheck: time.Hour, RoleLimits: map[string]int{}, NonceLife: 5 * time.Minute,
	}
	if !reflect.DeepEqual(cfg.Session, wantSession) {
		t.Errorf("session: %+v", cfg.Session)
	}
	if cfg.Local || cfg.Port != 3000 || cfg.Generated != nil {
		t.Errorf("local %v, port %d, generated %v", cfg.Local, cfg.Port, cfg.Generated)
	}
	wantRedis := config.Redis{Host: "cache.internal", Port: 6379, Addr: "cache.internal:6379", PoolSize: 4}
	if cfg.Redis != wantRedis {
		t.Errorf("redis: %#v", cfg.Redis)
	}
	a := cfg.API
	if a.Local || !a.AuditLog || a.HealthDetails || a.Statement != "Sign in." || a.ClearSiteData != "" ||
		a.RedisMode != "single" || a.Version != config.Version || a.SessionLimit != 5 || len(a.Roles) != 0 || a.Admins != nil {
		t.Errorf("api: %+v", a)
	}
	if !slices.Equal(a.ChainIDs, []uint64{1}) || !slices.Equal(a.Domains, []string{"app.example.com"}) ||
		!slices.Equal(a.AllowedOrigins, []string{"https://app.example.com"}) {
		t.Errorf("api: %+v", a)
	}
}

func TestLoad_emptyIsUnset(t *testing.T) {
	env := deployed()
	for _, v := range config.Variables() {
		if _, given := env[v.Name]; !given {
			env[v.Name] = ""
		}
	}
	if got, want := mustLoad(t, env), mustLoad(t, deployed()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestLoad_localNeedsNothing(t *testing.T) {
	cfg := mustLoad(t, local("PORT", "4321"))
	if !cfg.Local || !cfg.API.Local || !cfg.API.HealthDetails {
		t.Errorf("%+v", cfg)
	}
	if cfg.Redis.Host != "" || cfg.Redis.Addr != "" || cfg.API.RedisMode != "embedded" {
		t.Errorf("redis: %+v", cfg.Redis)
	}
	if !slices.Equal(cfg.API.Domains, []string{"localhost:4321"}) ||
		!slices.Equal(cfg.API.AllowedOrigins, []string{"http://localhost:4321", "https://localhost:4321"}) {
		t.Errorf("domains %q, origins %q", cfg.API.Domains, cfg.API.AllowedOrigins)
	}
	if !slices.Equal(cfg.Generated, []string{"SESSION_SECRET", "SESSION_ENCRYPTION_KEY"}) {
		t.Errorf("generated: %q", cfg.Generated)
	}
	again := mustLoad(t, local())
	if len(cfg.SessionSecret) != 32 || len(cfg.EncryptionKey) != 32 || cfg.SessionSecret == cfg.EncryptionKey ||
		cfg.SessionSecret == again.SessionSecret || cfg.EncryptionKey == again.EncryptionKey {
		t.Error("made-up secrets are short or repeat")
	}
	if port80 := mustLoad(t, local("PORT", "80")); !slices.Equal(port80.API.Domains, []string{"localhost"}) {
		t.Errorf("at port 80 a browser calls the host %q", port80.API.Domains)
	}
}

// Locally the samples of the documents are good enough, and given ones are
// taken as they are.
func TestLoad_localTakesGivenKeys(t *testing.T) {
	sample := "your-32-character-encryption-key"
	cfg := mustLoad(t, local("SESSION_SECRET", strings.Repeat("change-me ", 4), "SESSION_ENCRYPTION_KEY", sample))
	if string(cfg.EncryptionKey) != sample || cfg.Generated != nil {
		t.Errorf("generated %q", cfg.Generated)
	}
	if _, err := load(local("SESSION_SECRET", "short")); err == nil {
		t.Error("a short secret was taken")
	}
}

func TestLoad_values(t *testing.T) {
	cfg := mustLoad(t, deployed(
		"SESSION_TIMEOUT_MINUTES", "0.5", "SESSION_MAX_HOURS", "1.5", "ACCESS_TOKEN_MINUTES", "0.25",
		"REFRESH_GRACE_SECONDS", "2.5", "SESSION_TOUCH_SECONDS", "0.001", "MAX_CONCURRENT_SESSIONS", "0",
		"SESSION_LIMIT_POLICY", "deny", "REDIS_HOST", "2001:db8::7", "REDIS_PORT", "6380", "REDIS_TLS", "1",
		"REDIS_USERNAME", "app", "REDIS_PASSWORD", "pass word", "REDIS_KEY_PREFIX", "stage-2",
		"SIWE_CHAIN_IDS", "1, 8453 ,9007199254740991", "SIWE_STATEMENT", "I'm in: terms at https://a.example/?x=[1] | Sign in with Ethereum to the app.",
		"SIWE_DOMAINS", "a.example, xn--bcher-kva.example:8443", "ALLOWED_ORIGINS", "https://a.example,https://b.example:8443",
		"AUDIT_LOG_ENABLED", "false", "HEALTH_DETAILS", "true", "LOGOUT_CLEAR_SITE_DATA", "cookies, storage",
		"DEVICE_POLICY", "off", "NETWORK_POLICY", "revoke", "RATE_LIMIT_NONCE_PER_MINUTE", "0", "RATE_LIMIT_LOGIN_PER_MINUTE", "100000",
		"RATE_LIMIT_REFRESH_PER_MINUTE", "1", "STATE_QUOTA_BYTES", "262144", "ACTIVITY_MAX_EVENTS", "0", "ACTIVITY_DAYS", "3650",
		"PREFERENCES_DAYS", "1.5", "STEP_UP_MINUTES", "90", "SIWE_NONCE_MINUTES", "60", "WALLET_RECHECK_MINUTES", "0", "ROLES", `{"editor":{"maxSessions":0}}`,
	))
	wantSession := session.Options{
		Prefix: "stage-2", Idle: 30 * time.Second, Absolute: 90 * time.Minute, Access: 15 * time.Second,
		Grace: 2500 * time.Millisecond, Touch: time.Millisecond, SessionLimit: 0, LimitPolicy: session.Deny,
		DevicePolicy: session.PolicyOff, NetworkPolicy: session.PolicyRevoke, StepUp: 90 * time.Minute,
		NonceRate: 0, LoginRate: 100000, RefreshRate: 1, StateQuota: 262144, ActivityMax: 0, ActivityKeep: 3650 * 24 * time.Hour,
		PreferencesKeep: 36 * time.Hour, RoleLimits: map[string]int{"editor": 0}, NonceLife: time.Hour,
	}
	if !reflect.DeepEqual(cfg.Session, wantSession) {
		t.Errorf("session: %+v", cfg.Session)
	}
	wantRedis := config.Redis{Host: "2001:db8::7", Port: 6380, Addr: "[2001:db8::7]:6380",
		Username: "app", Password: "pass word", TLS: true, PoolSize: 4}
	if cfg.Redis != wantRedis {
		t.Errorf("redis: %#v", cfg.Redis)
	}
	a := cfg.API
	if a.AuditLog || !a.HealthDetails || a.Statement != "I'm in: terms at https://a.example/?x=[1]" || a.ClearSiteData != `"cookies","storage"` {
		t.Errorf("api: %+v", a)
	}
	if !slices.Equal(a.OtherStatements, []string{"Sign in with Ethereum to the app."}) {
		t.Errorf("other statements: %q", a.OtherStatements)
	}
	if !slices.Equal(a.ChainIDs, []uint64{1, 8453, 1<<53 - 1}) ||
		!slices.Equal(a.Domains, []string{"a.example", "xn--bcher-kva.example:8443"}) ||
		!slices.Equal(a.AllowedOrigins, []string{"https://a.example", "https://b.example:8443"}) {
		t.Errorf("api: %+v", a)
	}
}

func TestLoad_keyForms(t *testing.T) {
	raw := []byte{0xfb, 0xff, 1, 2, 40, 50, 60, 77, 9, 10, 99, 120, 13, 14, 15, 16, 170, 18, 199, 20, 21, 22, 230, 24, 25, 26, 27, 28, 29, 30, 31, 32}
	forms := []string{
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)),
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	}
	for _, form := range forms {
		if cfg := mustLoad(t, deployed("SESSION_ENCRYPTION_KEY", form)); string(cfg.EncryptionKey) != string(raw) {
			t.Errorf("%q was read as %d bytes", form, len(cfg.EncryptionKey))
		}
	}
	if cfg := mustLoad(t, deployed()); string(cfg.EncryptionKey) != key {
		t.Error("32 characters were not taken as they are")
	}
}

func TestSecret_isNeverShown(t *testing.T) {
	cfg := mustLoad(t, deployed("REDIS_PASSWORD", "hunter2hunter2"))
	parts := []any{cfg.SessionSecret, cfg.EncryptionKey, cfg.Redis} // the rules hold a function, which JSON does not take
	encoded, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("started", "config", parts, slog.Any("secret", cfg.SessionSecret))
	shown := fmt.Sprintf("%v %+v %#v %s %q %x", cfg, cfg, cfg, cfg.SessionSecret, cfg.EncryptionKey, cfg.Redis.Password) + string(encoded) + logged.String()
	for _, hidden := range []string{secret, key, "hunter2", hex.EncodeToString([]byte("hunter2"))} {
		if strings.Contains(shown, hidden) {
			t.Errorf("%q shows in %s", hidden, shown)
		}
	}
}

func ExampleLoad() {
	env := map[string]string{
		"SESSION_SECRET":          "too short",
		"SESSION_ENCRYPTION_KEY":  "Q4x9WbZ1tRk6VnMj0Sg8FyCo3LpHd5Ea",
		"REDIS_HOST":              "cache.internal",
		"SIWE_DOMAINS":            "https://app.example.com",
		"SESSION_TIMEOUT_MINUTES": "900",
	}
	_, err := config.Load(func(name string) string { return env[name] })
	fmt.Println(err)
	// Output:
	// SESSION_SECRET: has 9 bytes and needs at least 32; make one with: openssl rand -base64 32
	// SIWE_DOMAINS: "https://app.example.com" has a scheme; set only the host, such as app.example.com
	// SESSION_TIMEOUT_MINUTES: is longer than SESSION_MAX_HOURS; lower it or raise SESSION_MAX_HOURS
}
