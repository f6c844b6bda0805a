package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"latchkey/shared/config"
)

// Each line is one mistake in a configuration that is right otherwise: it gives
// one problem, which names the variable and says, in these words among others,
// what is wrong.
func TestLoad_problems(t *testing.T) {
	long := strings.Repeat("a", 64) + ".example"
	tests := []struct{ name, value, says string }{
		{"APP_ENV", "prod", "production or local"},
		{"APP_ENV", "Local", "production or local"},
		{"PORT", "0", "1 to 65535"},
		{"PORT", "65536", "1 to 65535"},
		{"PORT", "+80", "1 to 65535"},
		{"PORT", "http", "1 to 65535"},
		{"REDIS_HOST", "", "is needed"},
		{"REDIS_HOST", "rediss://cache.internal", "without scheme"},
		{"REDIS_HOST", "cache.internal:6379", "REDIS_PORT"},
		{"REDIS_HOST", "cache internal", "not a host name"},
		{"REDIS_PORT", "-1", "1 to 65535"},
		{"REDIS_USERNAME", "app", "without REDIS_PASSWORD"},
		{"REDIS_PASSWORD_SECRET_ARN", "latchkey/redis", "not the ARN"},
		{"REDIS_PASSWORD_SECRET_ARN", "arn:aws:s3:::bucket", "not the ARN"},
		{"REDIS_CLUSTER", "yes", "true or false"},
		{"REDIS_IAM", "yes", "true or false"},
		{"REDIS_CACHE_NAME", "cache_1", "name of a cache"},
		{"REDIS_CACHE_NAME", "cache", "without REDIS_IAM"},
		{"REDIS_SERVERLESS", "true", "without REDIS_IAM"},
		{"REDIS_TLS", "yes", "true or false"},
		{"REDIS_TLS", "TRUE", "true or false"},
		{"REDIS_KEY_PREFIX", "LK", "a-z"},
		{"REDIS_KEY_PREFIX", "lk:", "a-z"},
		{"REDIS_KEY_PREFIX", "{lk}", "a-z"},
		{"REDIS_KEY_PREFIX", "seventeen-letters", "1 to 16"},
		{"SIWE_DOMAINS", "", "is needed"},
		{"SIWE_DOMAINS", "https://app.example.com", "scheme"},
		{"SIWE_DOMAINS", "App.example.com", "lower case"},
		{"SIWE_DOMAINS", "app.example.com:443", ":443"},
		{"SIWE_DOMAINS", "app.example.com.", "not a host name"},
		{"SIWE_DOMAINS", "user@app.example.com", "more than host and port"},
		{"SIWE_DOMAINS", "app.example.com/login", "more than host and port"},
		{"SIWE_DOMAINS", "*.example.com", "wildcard"},
		{"SIWE_DOMAINS", "bücher.example", "xn--"},
		{"SIWE_DOMAINS", "a_b.example", "not a host name"},
		{"SIWE_DOMAINS", "-a.example", "not a host name"},
		{"SIWE_DOMAINS", long, "not a host name"},
		{"SIWE_DOMAINS", strings.Repeat("a.", 130) + "example", "not a host name"},
		{"SIWE_DOMAINS", "a.example:", "port"},
		{"SIWE_DOMAINS", "a.example:080", "port"},
		{"SIWE_DOMAINS", "a.example:99999", "port"},
		{"SIWE_DOMAINS", "a.example,", "empty item"},
		{"SIWE_DOMAINS", "a.example,a.example", "twice"},
		{"SIWE_DOMAINS", "a.example b.example", "not a host name"},
		{"SIWE_CHAIN_IDS", "0", "decimal"},
		{"SIWE_CHAIN_IDS", "01", "decimal"},
		{"SIWE_CHAIN_IDS", "-1", "decimal"},
		{"SIWE_CHAIN_IDS", "+1", "decimal"},
		{"SIWE_CHAIN_IDS", "0x1", "decimal"},
		{"SIWE_CHAIN_IDS", "１", "decimal"},
		{"SIWE_CHAIN_IDS", "mainnet", "decimal"},
		{"SIWE_CHAIN_IDS", "9007199254740992", "decimal"},
		{"SIWE_CHAIN_IDS", "18446744073709551616", "decimal"},
		{"SIWE_CHAIN_IDS", "1,,2", "decimal"},
		{"SIWE_CHAIN_IDS", "1,10,1", "twice"},
		{"SIWE_STATEMENT", "two\nlines", "EIP-4361"},
		{"SIWE_STATEMENT", "a \"quoted\" word", "EIP-4361"},
		{"SIWE_STATEMENT", "50%", "EIP-4361"},
		{"SIWE_STATEMENT", "Grüezi", "EIP-4361"},
		{"SIWE_STATEMENT", strings.Repeat("a", 1025), "1024"},
		{"SIWE_STATEMENT", "Sign in.|" + strings.Repeat("a", 1025), "1024"},
		{"SIWE_STATEMENT", "Sign in.|", "empty statement"},
		{"SIWE_STATEMENT", "Sign in.| |I am in.", "empty statement"},
		{"SIWE_STATEMENT", "Sign in.|50%", "EIP-4361"},
		{"SIWE_STATEMENT", "Sign in.|Hello.| Sign in.", "twice"},
		{"SIWE_STATEMENT", "Sign in. Confirm that it is you.|Sign in.", "step-up"},
		{"SERVICE_KEYS", "orders", "64 lower-case hexadecimal digits"},
		{"SERVICE_KEYS", "orders=" + strings.Repeat("a", 63), "64 lower-case hexadecimal digits"},
		{"SERVICE_KEYS", "orders=" + strings.Repeat("A", 64), "64 lower-case hexadecimal digits"},
		{"SERVICE_KEYS", "orders=" + strings.Repeat("g", 64), "64 lower-case hexadecimal digits"},
		{"SERVICE_KEYS", "Orders=" + strings.Repeat("a", 64), "valid name"},
		{"SERVICE_KEYS", strings.Repeat("a", 64), "valid name"},
		{"SERVICE_KEYS", "=" + strings.Repeat("a", 64), "valid name"},
		{"SERVICE_KEYS", "orders=" + strings.Repeat("a", 64) + ",", "valid name"},
		{"SERVICE_KEYS", "orders=lks_" + strings.Repeat("A", 43), "service key itself"},
		{"SERVICE_KEYS", "lks_" + strings.Repeat("A", 43), "service key itself"},
		{"SERVICE_KEYS", "orders=" + strings.Repeat("a", 64) + ",chat=" + strings.Repeat("a", 64), "listed twice"},
		{"SERVICE_KEYS", "a=" + strings.Repeat("1", 64) + ",a=" + strings.Repeat("2", 64) + ",a=" + strings.Repeat("3", 64), "more than two keys"},
		{"SERVICE_KEYS", strings.Repeat("a=b,", 33), "at most 32"},
		{"ALLOWED_ORIGINS", "*", "every site"},
		{"ALLOWED_ORIGINS", "null", "sandboxed"},
		{"ALLOWED_ORIGINS", "app.example.com", "not an origin"},
		{"ALLOWED_ORIGINS", "ftp://app.example.com", "not an origin"},
		{"ALLOWED_ORIGINS", "http://app.example.com", "use https"},
		{"ALLOWED_ORIGINS", "https://app.example.com/", "slash"},
		{"ALLOWED_ORIGINS", "https://app.example.com/x", "more than host and port"},
		{"ALLOWED_ORIGINS", "https://app.example.com:443", "leave out"},
		{"ALLOWED_ORIGINS", "https://*.example.com", "wildcard"},
		{"ALLOWED_ORIGINS", "https://App.example.com", "lower case"},
		{"ALLOWED_ORIGINS", "https://u:p@app.example.com", "more than host and port"},
		{"ALLOWED_ORIGINS", "https://", "empty item"},
		{"ALLOWED_ORIGINS", "https://a.example,https://a.example", "twice"},
		{"SESSION_TIMEOUT_MINUTES", "0", "more than 0"},
		{"SESSION_TIMEOUT_MINUTES", "0.000001", "more than 0"},
		{"SESSION_TIMEOUT_MINUTES", "-5", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "30m", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "1e3", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "Inf", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "NaN", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "1,5", "decimal number"},
		{"SESSION_TIMEOUT_MINUTES", "721", "longer than SESSION_MAX_HOURS"},
		{"SESSION_MAX_HOURS", "8761", "at most 8760"},
		{"SESSION_MAX_HOURS", "999999999", "at most 8760"},
		{"SESSION_MAX_HOURS", "5124096", "at most 8760"}, // wraps to half an hour in 64 bits of nanoseconds
		{"ACCESS_TOKEN_MINUTES", "721", "longer than SESSION_MAX_HOURS"},
		{"ACCESS_TOKEN_MINUTES", "0", "more than 0"},
		{"REFRESH_GRACE_SECONDS", "900", "shorter than ACCESS_TOKEN_MINUTES"},
		{"REFRESH_GRACE_SECONDS", "0", "more than 0"},
		{"SESSION_TOUCH_SECONDS", "1800", "shorter than SESSION_TIMEOUT_MINUTES"},
		{"SESSION_TOUCH_SECONDS", "soon", "decimal number"},
		{"MAX_CONCURRENT_SESSIONS", "101", "0 to 100"},
		{"MAX_CONCURRENT_SESSIONS", "-1", "0 to 100"},
		{"MAX_CONCURRENT_SESSIONS", "5.0", "0 to 100"},
		{"SESSION_LIMIT_POLICY", "oldest", "evict or deny"},
		{"DEVICE_POLICY", "stepup", "off, log, step_up or revoke"},
		{"NETWORK_POLICY", "Off", "off, log, step_up or revoke"},
		{"RATE_LIMIT_NONCE_PER_MINUTE", "100001", "0 to 100000"},
		{"RATE_LIMIT_LOGIN_PER_MINUTE", "-1", "0 to 100000"},
		{"RATE_LIMIT_REFRESH_PER_MINUTE", "1.5", "0 to 100000"},
		{"STATE_QUOTA_BYTES", "262145", "0 to 262144"},
		{"STATE_QUOTA_BYTES", "16k", "0 to 262144"},
		{"ACTIVITY_MAX_EVENTS", "501", "0 to 500"},
		{"ACTIVITY_MAX_EVENTS", "+5", "0 to 500"},
		{"ACTIVITY_DAYS", "0", "more than 0"},
		{"ACTIVITY_DAYS", "3650.1", "at most 3650"},
		{"PREFERENCES_DAYS", "0", "more than 0"},
		{"PREFERENCES_DAYS", "0.5", "1 or more, and at most 3650"},
		{"PREFERENCES_DAYS", "3651", "at most 3650"},
		{"PREFERENCES_DAYS", "1y", "decimal number"},
		{"SIWE_NONCE_MINUTES", "0.9", "1 or more, and at most 60"},
		{"SIWE_NONCE_MINUTES", "60.1", "at most 60"},
		{"STEP_UP_MINUTES", "0", "more than 0"},
		{"STEP_UP_MINUTES", "721", "longer than SESSION_MAX_HOURS"},
		{"ADMIN_ADDRESSES", "0x52908400098527886E0F7030069857D2E4169Ee7", "EIP-55"},
		{"ADMIN_ADDRESSES", "52908400098527886E0F7030069857D2E4169EE7", "40 hexadecimal"},
		{"ADMIN_ADDRESSES", "0x0000000000000000000000000000000000000000", "zero address"},
		{"ADMIN_ADDRESSES", "vitalik.eth", "40 hexadecimal"},
		{"ADMIN_ADDRESSES", "0x52908400098527886E0F7030069857D2E4169EE7,", "40 hexadecimal"},
		{"ADMIN_ADDRESSES", "0x52908400098527886E0F7030069857D2E4169EE7,0x52908400098527886e0f7030069857d2e4169ee7", "twice"},
		{"AUDIT_LOG_ENABLED", "on", "true or false"},
		{"HEALTH_DETAILS", "full", "true or false"},
		{"ORIGIN_VERIFY_SECRET", secret[:31], "value 1 has 31 characters and needs 32 to 256"},
		{"ORIGIN_VERIFY_SECRET", strings.Repeat(secret, 9), "value 1 has 288 characters and needs 32 to 256"},
		{"ORIGIN_VERIFY_SECRET", secret + "," + key[:16], "value 2 has 16 characters"},
		{"ORIGIN_VERIFY_SECRET", secret + ",", "value 2 has 0 characters"},
		{"ORIGIN_VERIFY_SECRET", "," + secret, "value 1 has 0 characters"},
		{"ORIGIN_VERIFY_SECRET", strings.Repeat(secret+",", 8) + secret, "has 9 values; set 1 to 8"},
		{"ORIGIN_VERIFY_SECRET", `{"value":"` + secret + `"}`, "value 1 has a character other than"},
		{"ORIGIN_VERIFY_SECRET", secret[:16] + " " + secret[16:], "value 1 has a character other than"},
		{"ORIGIN_VERIFY_SECRET", "sample-origin-verify-secret-of-a-document", "value 1 is an example"},
		{"ORIGIN_VERIFY_SECRET", secret + "," + strings.Repeat("x", 32), "value 2 has fewer than"},
		{"ORIGIN_VERIFY_SECRET_ARN", secret, "not the ARN"},
		{"CLIENT_ADDRESS_HEADER", "cloudfront-viewer-address", "needs ORIGIN_VERIFY_SECRET or ORIGIN_VERIFY_SECRET_ARN"},
		{"CLIENT_ADDRESS_HEADER", "x viewer", "name of a header"},
		{"CLIENT_ADDRESS_HEADER", "x-viewer,x-other", "name of a header"},
		{"CLIENT_ADDRESS_HEADER", strings.Repeat("x", 65), "name of a header"},
		{"CLIENT_ADDRESS_HEADER", "x-forwarded-for", "only the CDN sets"},
		{"CLIENT_ADDRESS_HEADER", "Forwarded", "only the CDN sets"},
		{"CLIENT_ADDRESS_HEADER", "x-origin-VERIFY", "only the CDN sets"},
		{"LOGOUT_CLEAR_SITE_DATA", "cookie", "cookies"},
		{"LOGOUT_CLEAR_SITE_DATA", "cookies,,storage", "any of"},
		{"LOGOUT_CLEAR_SITE_DATA", "\"cookies\"", "any of"},
		{"ETHEREUM_RPC", "https://rpc.example.com/" + secret, `form {"1":["https://rpc.example.com"]}`},
		{"ETHEREUM_RPC", `{}`, "form"},
		{"ETHEREUM_RPC", `["https://rpc.example.com/` + secret + `"]`, "form"},
		{"ETHEREUM_RPC", `{"1":["https://a.example"],"1":["https://b.example"]}`, "chain 1 is listed twice"},
		{"ETHEREUM_RPC", `{"https://a.example":1,"https://a.example":1}`, "form"},
		{"ETHEREUM_RPC", `{"01":["https://a.example"]}`, "not a chain id"},
		{"ETHEREUM_RPC", `{"https://a.example":"1"}`, "not a chain id"},
		{"ETHEREUM_RPC", `{"1":"https://a.example"}`, "chain 1 has no list of URLs"},
		{"ETHEREUM_RPC", `{"1":["https://a.example",null]}`, "chain 1 has no list of URLs"},
		{"ETHEREUM_RPC", `{"1":[]}`, "chain 1 has 0 URLs"},
		{"ETHEREUM_RPC", `{"1":["https://a.example","http://b.example/` + secret + `"]}`, "chain 1, URL 2 of 2 is not valid"},
		{"ETHEREUM_RPC", `{"1":["https://a.example","https://a.example"]}`, "chain 1, URL 2 of 2 occurs twice"},
		{"ETHEREUM_RPC_SECRET_ARN", "https://a.example", "not the ARN"},
		{"ETHEREUM_RPC_QUORUM", "0", "1 to 10"},
		{"ETHEREUM_RPC_QUORUM", "11", "1 to 10"},
		{"ETHEREUM_RPC_QUORUM", "2", "without ETHEREUM_RPC"},
		{"ETHEREUM_MULTICALL", `{"1":"0xca11bde05977b3631167028862be2a173976ca11"}`, "without ETHEREUM_RPC"},
		{"ETHEREUM_MULTICALL", `{"1":"0xca11bde05977b3631167028862be2a173976ca1"}`, "the address of chain 1 is not valid: "},
		{"ETHEREUM_MULTICALL", `{"1":"0xCA11bde05977b3631167028862bE2a173976CA11"}`, "EIP-55"},
		{"ETHEREUM_MULTICALL", `{"1":null}`, "the address of chain 1 is not valid: "},
		{"ETHEREUM_MULTICALL", "0xca11bde05977b3631167028862be2a173976ca11", "form"},
		{"ETHEREUM_CALL_GAS", "99999", "100000 to 100000000"},
		{"ETHEREUM_CALL_GAS", "5e6", "100000 to 100000000"},
		{"SIGNATURE_VERIFIER_ARN", "verify-signature", "not the ARN"},
		{"SIGNATURE_VERIFIER_ARN", keysARN, "not the ARN"},
		{"WALLET_RECHECK_MINUTES", "-1", "decimal number"},
		{"WALLET_RECHECK_MINUTES", "0.0", "more than 0"},
	}
	for _, tt := range tests {
		cfg, err := load(deployed(tt.name, tt.value))
		if err == nil {
			t.Errorf("%s=%q was taken", tt.name, tt.value)
			continue
		}
		if !reflect.DeepEqual(cfg, config.Config{}) {
			t.Errorf("%s=%q: half a configuration was handed out", tt.name, tt.value)
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != 1 || !strings.HasPrefix(lines[0], tt.name+": ") || !strings.Contains(lines[0], tt.says) {
			t.Errorf("%s=%q: %q does not say %q", tt.name, tt.value, lines, tt.says)
		}
	}
}

func TestLoad_localDomains(t *testing.T) {
	for value, says := range map[string]string{
		"localhost:80": ":80", "http://localhost:3000": "scheme", "LOCALHOST:PORT": "lower case",
	} {
		if _, err := load(local("SIWE_DOMAINS", value)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", value, err)
		}
	}
	mustLoad(t, local("SIWE_DOMAINS", "127.0.0.1:3000,localhost:443", "ALLOWED_ORIGINS", "http://localhost:5173,https://localhost:5173"))
	if _, err := load(local("ALLOWED_ORIGINS", "http://localhost:80")); err == nil {
		t.Error("an origin that no browser sends was taken")
	}
}

func TestLoad_refusesWeakSecrets(t *testing.T) {
	inHex := func(s string) string { return hex.EncodeToString([]byte(s)) }
	inBase64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	zeros := strings.Repeat("\x00", 32)
	counting := "abcdefghijklmnopqrstuvwxyz012345"
	sample := "your-32-character-encryption-key"
	tests := []struct{ name, value, says string }{
		{"SESSION_SECRET", "", "is needed"},
		{"SESSION_SECRET", secret[:31], "at least 32"},
		{"SESSION_SECRET", strings.Repeat("x", 64), "different characters"},
		{"SESSION_SECRET", strings.Repeat("abcdefg", 5), "different characters"},
		{"SESSION_SECRET", strings.Repeat(secret[:16], 2), "repeats"},
		{"SESSION_SECRET", "CHANGE-ME-" + secret, "example"},
		{"SESSION_SECRET", "0123456789ABCDEF0123456789abcdef", "example"},
		{"SESSION_SECRET", "Zyxabcdefghijklmno" + "pqrstuvwxyz01234", "example"},
		{"SESSION_SECRET", "!\"#$%&'()*+,-./0123456789:;<=>?@", "counts"},
		{"SESSION_ENCRYPTION_KEY", "", "is needed"},
		{"SESSION_ENCRYPTION_KEY", key[:31], "not 32 bytes"},
		{"SESSION_ENCRYPTION_KEY", key + "x", "not 32 bytes"},
		{"SESSION_ENCRYPTION_KEY", inHex(key)[:62] + "zz", "not 32 bytes"},
		{"SESSION_ENCRYPTION_KEY", inBase64(key[:31]), "not 32 bytes"},
		{"SESSION_ENCRYPTION_KEY", inBase64(key + "xx"), "not 32 bytes"},
		{"SESSION_ENCRYPTION_KEY", strings.Repeat("k", 32), "different characters"},
		{"SESSION_ENCRYPTION_KEY", inBase64(zeros), "different characters"},
		{"SESSION_ENCRYPTION_KEY", inHex(zeros), "example"},
		{"SESSION_ENCRYPTION_KEY", sample, "example"},
		{"SESSION_ENCRYPTION_KEY", inBase64(sample), "example"},
		{"SESSION_ENCRYPTION_KEY", inHex(sample), "example"},
		{"SESSION_ENCRYPTION_KEY", counting, "example"},
		{"SESSION_ENCRYPTION_KEY", inBase64(counting), "example"},
		{"SESSION_ENCRYPTION_KEY", secret, "same as SESSION_SECRET"},
		{"SESSION_ENCRYPTION_KEY", inBase64(secret), "same as SESSION_SECRET"},
	}
	for _, tt := range tests {
		_, err := load(deployed(tt.name, tt.value))
		if err == nil {
			t.Errorf("%s=%q was taken", tt.name, tt.value)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, tt.name+": ") || !strings.Contains(got, tt.says) || strings.Contains(got, "\n") {
			t.Errorf("%s=%q: %q does not say %q", tt.name, tt.value, got, tt.says)
		}
	}
	if _, err := load(deployed("SESSION_SECRET", inHex(key), "SESSION_ENCRYPTION_KEY", inHex(key))); err == nil {
		t.Error("one text serves as both secrets")
	}
}

func TestWeakness_sample(t *testing.T) {
	for _, sample := range []string{"your-32-character-encryption-key", "Change-Me-Change-Me-Change-Me-1234", "0123456789abcdef0123456789abcdef"} {
		if config.Weakness(sample) != "is an example from a document, which anybody can read" {
			t.Errorf("%q is not known", sample)
		}
	}
	for _, good := range []string{secret, key} {
		if config.Weakness(good) != "" {
			t.Errorf("%q is taken for a sample", good)
		}
	}
}

const (
	keysARN     = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/keys-AbCdEf"
	passwordARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/redis-AbCdEf"
	verifierARN = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey-VerifySignatureFunction-AbC"
)

// What is each right and cannot hold together: each line gives exactly these
// problems.
func TestLoad_secretsAndSignIn(t *testing.T) {
	iam := []string{"REDIS_IAM", "true", "REDIS_TLS", "true", "REDIS_USERNAME", "app", "REDIS_CACHE_NAME", "Cache-1"}
	keys := []string{"SESSION_KEYS_SECRET_ARN", keysARN, "SESSION_SECRET", "", "SESSION_ENCRYPTION_KEY", ""}
	rpc := []string{"ETHEREUM_RPC", `{"1":["https://a.example","https://b.example"],"10":["https://c.example","https://d.example"]}`}
	const multicall = `{"5":"0xca11bde05977b3631167028862be2a173976ca11"}`
	tests := map[string]struct {
		changes  []string
		problems []string
	}{
		"keys":                  {keys, nil},
		"keys and secret":       {append(keys, "SESSION_SECRET", secret), []string{"SESSION_SECRET: is set together"}},
		"keys and both":         {append(keys, "SESSION_SECRET", secret, "SESSION_ENCRYPTION_KEY", key), []string{"SESSION_SECRET: is set together", "SESSION_ENCRYPTION_KEY: is set together"}},
		"keys that are no ARN":  {append(keys, "SESSION_KEYS_SECRET_ARN", secret), []string{"SESSION_KEYS_SECRET_ARN: is not the ARN"}},
		"password":              {[]string{"REDIS_PASSWORD_SECRET_ARN", passwordARN}, nil},
		"user and password":     {[]string{"REDIS_PASSWORD_SECRET_ARN", passwordARN, "REDIS_USERNAME", "app"}, nil},
		"two passwords":         {[]string{"REDIS_PASSWORD_SECRET_ARN", passwordARN, "REDIS_PASSWORD", "pw"}, []string{"REDIS_PASSWORD_SECRET_ARN: is set together"}},
		"cluster":               {[]string{"REDIS_CLUSTER", "true"}, nil},
		"iam":                   {iam, nil},
		"iam, serverless":       {append(iam, "REDIS_SERVERLESS", "true"), nil},
		"iam in a cluster":      {append(iam, "REDIS_CLUSTER", "true"), nil},
		"iam without TLS":       {append(iam, "REDIS_TLS", "false"), []string{"REDIS_IAM: works only over TLS"}},
		"iam without user":      {append(iam, "REDIS_USERNAME", ""), []string{"REDIS_IAM: needs REDIS_USERNAME"}},
		"iam without cache":     {append(iam, "REDIS_CACHE_NAME", ""), []string{"REDIS_IAM: needs REDIS_CACHE_NAME"}},
		"iam and a password":    {append(iam, "REDIS_PASSWORD", "pw"), []string{"REDIS_IAM: replaces the password"}},
		"iam and a secret":      {append(iam, "REDIS_PASSWORD_SECRET_ARN", passwordARN), []string{"REDIS_IAM: replaces the password"}},
		"a CDN":                 {[]string{"ORIGIN_VERIFY_SECRET", secret, "CLIENT_ADDRESS_HEADER", "cloudfront-viewer-address"}, nil},
		"a CDN, by ARN":         {[]string{"ORIGIN_VERIFY_SECRET_ARN", keysARN, "CLIENT_ADDRESS_HEADER", "x-viewer-ip"}, nil},
		"a CDN that is checked": {[]string{"ORIGIN_VERIFY_SECRET", secret + "," + key}, nil},
		"two secrets of a CDN":  {[]string{"ORIGIN_VERIFY_SECRET", secret, "ORIGIN_VERIFY_SECRET_ARN", keysARN}, []string{"ORIGIN_VERIFY_SECRET_ARN: is set together with ORIGIN_VERIFY_SECRET;"}},
		"an address header for a refused secret": {[]string{"ORIGIN_VERIFY_SECRET", "short", "CLIENT_ADDRESS_HEADER", "x-viewer-ip"},
			[]string{"ORIGIN_VERIFY_SECRET: value 1 has 5"}},
		"an address header for a refused ARN": {[]string{"ORIGIN_VERIFY_SECRET_ARN", "short", "CLIENT_ADDRESS_HEADER", "x-viewer-ip"},
			[]string{"ORIGIN_VERIFY_SECRET_ARN: is not the ARN"}},
		"an address header without a secret": {[]string{"CLIENT_ADDRESS_HEADER", "x-viewer-ip"},
			[]string{"CLIENT_ADDRESS_HEADER: needs ORIGIN_VERIFY_SECRET or ORIGIN_VERIFY_SECRET_ARN"}},
		"chains":            {rpc, nil},
		"a quorum":          {append(rpc, "ETHEREUM_RPC_QUORUM", "2"), nil},
		"chains, by ARN":    {[]string{"ETHEREUM_RPC_SECRET_ARN", keysARN, "ETHEREUM_RPC_QUORUM", "9", "ETHEREUM_MULTICALL", multicall}, nil},
		"a verifier":        {[]string{"SIGNATURE_VERIFIER_ARN", verifierARN}, nil},
		"chains twice":      {append(rpc, "ETHEREUM_RPC_SECRET_ARN", keysARN), []string{"ETHEREUM_RPC_SECRET_ARN: is set together"}},
		"chains, verifier":  {append(rpc, "SIGNATURE_VERIFIER_ARN", verifierARN), []string{"SIGNATURE_VERIFIER_ARN: is set together"}},
		"ARN, verifier":     {[]string{"ETHEREUM_RPC_SECRET_ARN", keysARN, "SIGNATURE_VERIFIER_ARN", verifierARN}, []string{"SIGNATURE_VERIFIER_ARN: is set together"}},
		"too high a quorum": {append(rpc, "ETHEREUM_RPC_QUORUM", "3"), []string{"ETHEREUM_RPC_QUORUM: is 3, and chain 1 has only 2", "ETHEREUM_RPC_QUORUM: is 3, and chain 10 has only 2"}},
		"another multicall": {append(rpc, "ETHEREUM_MULTICALL", multicall), []string{"ETHEREUM_MULTICALL: has chain 5"}},
		"refused chains":    {[]string{"ETHEREUM_RPC", "{", "ETHEREUM_RPC_QUORUM", "3", "ETHEREUM_MULTICALL", multicall}, []string{"ETHEREUM_RPC: is not JSON"}},
		"settings of a verifier": {[]string{"SIGNATURE_VERIFIER_ARN", verifierARN, "ETHEREUM_RPC_QUORUM", "2", "ETHEREUM_MULTICALL", multicall},
			[]string{"ETHEREUM_MULTICALL: has no effect", "ETHEREUM_RPC_QUORUM: has no effect"}},
		"local without a Redis": {[]string{"APP_ENV", "local", "REDIS_HOST", "", "REDIS_CLUSTER", "true"}, []string{"REDIS_HOST: is needed with"}},
	}
	for name, tt := range tests {
		_, err := load(deployed(tt.changes...))
		var lines []string
		if err != nil {
			lines = strings.Split(err.Error(), "\n")
		}
		if len(lines) != len(tt.problems) {
			t.Errorf("%s: %q, want %q", name, lines, tt.problems)
			continue
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, tt.problems[i]) || strings.Contains(line, secret) {
				t.Errorf("%s: %q, want %q", name, lines, tt.problems)
			}
		}
	}
	cfg := mustLoad(t, deployed(append(append(iam, keys...), "REDIS_CLUSTER", "true")...))
	if cfg.KeysSecretARN != keysARN || cfg.SessionSecret != "" || cfg.EncryptionKey != "" || cfg.API.RedisMode != "cluster" ||
		!cfg.Redis.IAM || cfg.Redis.CacheName != "Cache-1" || !cfg.Redis.Cluster || cfg.Redis.Serverless {
		t.Errorf("%+v", cfg)
	}
	cdn := mustLoad(t, deployed("ORIGIN_VERIFY_SECRET", secret+" , "+key, "CLIENT_ADDRESS_HEADER", "cloudFront-viewer-address"))
	if !slices.Equal(cdn.OriginVerify, []config.Secret{secret, key}) || cdn.API.CDN.AddressHeader != "Cloudfront-Viewer-Address" ||
		strings.Contains(fmt.Sprintf("%v %+v %#v", cdn, cdn, cdn), key) {
		t.Errorf("%+v", cdn)
	}
	sample := "sample-origin-verify-secret-of-a-document"
	if cfg := mustLoad(t, local("ORIGIN_VERIFY_SECRET", sample)); len(cfg.OriginVerify) != 1 {
		t.Error("a sample is refused in local")
	}
	if cfg := mustLoad(t, local("SESSION_KEYS_SECRET_ARN", keysARN)); cfg.Generated != nil {
		t.Errorf("made up %q beside the keys", cfg.Generated)
	}
}

// Somebody who starts with a wrong configuration wants to read all that is
// wrong with it, once, and the log must not hold what they took care to keep
// out of it.
func TestLoad_reportsEverythingAtOnce(t *testing.T) {
	tooShort, notAKey, password := "S3cr3tS3cr3tS3cr3t", "K3yK3yK3yK3yK3y", "p4ssw0rd"
	env := map[string]string{
		"APP_ENV": "?", "PORT": "?", "SESSION_SECRET": tooShort, "SESSION_ENCRYPTION_KEY": notAKey,
		"REDIS_HOST": "rediss://app:" + password + "@cache", "REDIS_PORT": "?", "REDIS_TLS": "?", "REDIS_KEY_PREFIX": "?",
		"SIWE_DOMAINS": "https://u:" + password + "@x", "SIWE_CHAIN_IDS": "u:" + password + "@x", "SIWE_STATEMENT": "\"",
		"ALLOWED_ORIGINS": "?", "SESSION_TIMEOUT_MINUTES": "?", "SESSION_MAX_HOURS": "?", "ACCESS_TOKEN_MINUTES": "?",
		"REFRESH_GRACE_SECONDS": "?", "SESSION_TOUCH_SECONDS": "?", "MAX_CONCURRENT_SESSIONS": "?",
		"REDIS_CLUSTER": "?", "REDIS_IAM": "?", "REDIS_CACHE_NAME": "?", "REDIS_SERVERLESS": "?",
		"SESSION_LIMIT_POLICY": "?", "DEVICE_POLICY": "?", "NETWORK_POLICY": "?", "RATE_LIMIT_NONCE_PER_MINUTE": "?",
		"RATE_LIMIT_LOGIN_PER_MINUTE": "?", "RATE_LIMIT_REFRESH_PER_MINUTE": "?", "STATE_QUOTA_BYTES": "?",
		"ACTIVITY_MAX_EVENTS": "?", "ACTIVITY_DAYS": "?", "PREFERENCES_DAYS": "?", "STEP_UP_MINUTES": "?", "ADMIN_ADDRESSES": "?", "ROLES": "?",
		"AUTHORIZER_PERMISSIONS": "?", "AUDIT_LOG_ENABLED": "?", "HEALTH_DETAILS": "?", "LOGOUT_CLEAR_SITE_DATA": "?",
		"REDIS_USERNAME": "app", "ETHEREUM_RPC": "?", "ETHEREUM_RPC_QUORUM": "?", "ETHEREUM_MULTICALL": "?", "ETHEREUM_CALL_GAS": "?",
		"WALLET_RECHECK_MINUTES": "?", "SIWE_NONCE_MINUTES": "?",
	}
	_, err := load(env)
	if err == nil {
		t.Fatal("loaded")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(env) {
		t.Errorf("%d problems for %d mistakes:\n%v", len(lines), len(env), err)
	}
	for name := range env {
		if !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is not reported", name)
		}
	}
	for _, hidden := range []string{tooShort, notAKey, password} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("%q is in the message:\n%v", hidden, err)
		}
	}
}
