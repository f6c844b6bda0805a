package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/shared/config"
	"latchkey/shared/events"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
	"latchkey/shared/token"
)

// signedIn is how the store is signed in to by the function's role.
const signedIn = "REDIS_IAM=true REDIS_TLS=true REDIS_USERNAME=app REDIS_CACHE_NAME=cache"

// chains are some whose URLs may have a quorum of two.
const chains = `ETHEREUM_RPC={"1":["https://a.example","https://b.example"]}`

// besides are what a variable needs of others, to be taken at all; a name
// without a value unsets.
var besides = map[string]string{
	"SESSION_KEYS_SECRET_ARN": "SESSION_SECRET= SESSION_ENCRYPTION_KEY=",
	"REDIS_USERNAME":          "REDIS_PASSWORD=p",
	"CLIENT_ADDRESS_HEADER":   "ORIGIN_VERIFY_SECRET=" + secret,
	"ETHEREUM_RPC_QUORUM":     chains, "ETHEREUM_MULTICALL": "ETHEREUM_RPC_SECRET_ARN=" + keysARN,
	"EVENT_BUS":            "EVENTS=eventbridge",
	"EVENT_WEBHOOK_URL":    "EVENTS=webhook EVENT_WEBHOOK_SECRET=" + hookSecret,
	"EVENT_WEBHOOK_SECRET": hookURL, "EVENT_WEBHOOK_SECRET_ARN": hookURL,
	"REDIS_IAM": signedIn, "REDIS_CACHE_NAME": signedIn, "REDIS_SERVERLESS": signedIn,
}

// FuzzLoad holds, for every variable, that a value which is taken keeps its
// bounds and means what is written; and that a refusal is one line for each
// problem, begins with a variable's name, and never repeats what may be a
// secret.
func FuzzLoad(f *testing.F) {
	variables := config.Variables()
	for i, v := range variables {
		odd := []string{"", "0", "-1", " ", "a\nb", "true,", "x@y", strings.Repeat("9", 41)}
		for _, value := range append(slices.Clone(samples[v.Name]), v.Default, odd[i%len(odd)]) {
			f.Add(byte(i), value, i%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, value string, locally bool) {
		name := variables[int(which)%len(variables)].Name
		env := deployed()
		if locally {
			env = local()
		}
		for pair := range strings.FieldsSeq(besides[name]) {
			other, given, _ := strings.Cut(pair, "=")
			env[other] = given
		}
		env[name] = value
		cfg, err := load(env)
		if err != nil {
			env[name] = strings.Repeat("x", len(value))
			_, other := load(env)
			checkRefusal(t, name, value, cfg, err, other)
			return
		}
		if value != "" && !taken[name](cfg, value) {
			t.Errorf("%s=%q is taken for %+v", name, value, cfg)
		}
	})
}

// samples are values that are taken, for the fuzzer to begin with; where there
// are none, the default is one.
var samples = map[string][]string{
	"APP_ENV":                   {"local", "production"},
	"SESSION_KEYS_SECRET_ARN":   {keysARN},
	"SESSION_SECRET":            {secret, "change-me change-me change-me change-me"},
	"SESSION_ENCRYPTION_KEY":    {key, hex.EncodeToString([]byte(key)), base64.StdEncoding.EncodeToString([]byte(key))},
	"REDIS_HOST":                {"cache.internal", "2001:db8::7", "rediss://u:p@cache"},
	"REDIS_USERNAME":            {"app"},
	"REDIS_PASSWORD":            {"pass word"},
	"REDIS_PASSWORD_SECRET_ARN": {keysARN},
	"REDIS_IAM":                 {"1"},
	"REDIS_CACHE_NAME":          {"cache-1"},
	"SIWE_DOMAINS":              {"app.example.com, xn--bcher-kva.example:8443", "App.example.com", "a.example:443"},
	"SIWE_CHAIN_IDS":            {"1, 8453", "9007199254740992", "01"},
	"LOG_FORMAT":                {"text", "TEXT"},
	"SIWE_STATEMENT":            {"I accept https://a.example/?x=[1]", "50%", "Sign in. | I am in.", "Sign in.||I am in."},
	"ALLOWED_ORIGINS":           {"https://a.example,https://b.example:8443", "http://a.example", "null", "https://u@a.example", "capacitor://localhost"},
	"CONSOLE":                   {"api.example.com", "api.example.com:8443", "https://api.example.com", "Api.example.com", "a.example:443"},
	"CORS_ALLOW_HEADERS":        {"baggage, sentry-trace,traceparent", "*", "a b", "X-A"},
	"SESSION_TIMEOUT_MINUTES":   {"0.5", "720", "721", "1e1"},
	"ORIGIN_VERIFY_SECRET":      {secret, key + " , " + secret, secret + ",", key[:31]},
	"ORIGIN_VERIFY_SECRET_ARN":  {keysARN},
	"CLIENT_ADDRESS_HEADER":     {"cloudfront-viewer-address", "X-Viewer-Ip", "x-forwarded-for"},
	"LOGOUT_CLEAR_SITE_DATA":    {"cookies, storage", "*"},
	"ADMIN_ADDRESSES":           {"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed, 0xde709f2102306220921060314715629080e2fb77"},
	"ROLES":                     {`{"editor":{"permissions":["posts:write"],"maxSessions":3}}`},
	"ETHEREUM_RPC":              {`{"1":["https://a.example","https://b.example/k"],"10":["https://c.example"]}`, `{"1":["http://localhost:8545"]}`},
	"ETHEREUM_RPC_SECRET_ARN":   {keysARN},
	"ETHEREUM_RPC_QUORUM":       {"2"},
	"ETHEREUM_MULTICALL":        {`{"1":"0xcA11bde05977b3631167028862bE2a173976CA11"}`},
	"SIGNATURE_VERIFIER_ARN":    {verifierARN, verifierARN + ":live"},
	"WALLET_RECHECK_MINUTES":    {"0", "0.5"},
	"SERVICE_KEYS":              {"orders=" + strings.Repeat("0a", 32), "a=" + strings.Repeat("1", 64) + ", a=" + strings.Repeat("2", 64)},
	"EVENTS":                    {"log", "webhook", "eventbridge", "kafka"},
	"EVENT_BUS":                 {busARN, "latchkey"},
	"EVENT_TYPES":               {"session.ended,account.blocked", "session.ended,session.ended"},
	"EVENT_WEBHOOK_URL":         {"https://hooks.example.com/latchkey?token=" + secret, "http://localhost:8080/hook"},
	"EVENT_WEBHOOK_SECRET":      {hookSecret, hookSecret + ", " + nextHookSecret, "whsec_" + secret},
	"EVENT_WEBHOOK_SECRET_ARN":  {keysARN},
	"AUTHORIZER_PERMISSIONS":    {"GET /orders*=orders:read, POST /orders=orders:write", "GET /a%20b=a"},
}

// mayBeSecret are the variables into which a secret is put, or comes by
// mistake.
var mayBeSecret = []string{
	"SESSION_SECRET", "SESSION_ENCRYPTION_KEY", "SESSION_KEYS_SECRET_ARN", "REDIS_HOST", "REDIS_PASSWORD", "REDIS_PASSWORD_SECRET_ARN",
	"SERVICE_KEYS", "ORIGIN_VERIFY_SECRET", "ORIGIN_VERIFY_SECRET_ARN", "ETHEREUM_RPC", "ETHEREUM_RPC_SECRET_ARN", "ETHEREUM_MULTICALL",
	"EVENT_WEBHOOK_URL", "EVENT_WEBHOOK_SECRET", "EVENT_WEBHOOK_SECRET_ARN",
}

// areEventTypes holds that each item is the type of an event, and that no other type is published.
func areEventTypes(c config.Config, v string) bool {
	var names []string
	for _, of := range c.Events.Types {
		names = append(names, string(events.TypeOf(of)))
	}
	slices.Sort(names)
	return slices.Equal(names, slices.Sorted(slices.Values(items(v)))) && c.Session.Outbox.Types == nil
}

// areServices holds that the services are the items, in their order.
func areServices(c config.Config, v string) bool {
	var all []string
	for _, s := range c.API.Services {
		all = append(all, fmt.Sprintf("%s=%x", s.Name, s.Hash))
	}
	return slices.Equal(all, items(v)) && !strings.Contains(v, "lks_")
}

// checkRefusal holds a refusal against what it may tell. Other is that of
// another value, whose words are no secret.
func checkRefusal(t *testing.T, name, value string, cfg config.Config, err, other error) {
	t.Helper()
	if !reflect.DeepEqual(cfg, config.Config{}) {
		t.Errorf("%s=%q is refused, beside %+v", name, value, cfg)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		about, problem, _ := strings.Cut(line, ": ")
		if problem == "" || !slices.ContainsFunc(config.Variables(), func(v config.Variable) bool { return v.Name == about }) {
			t.Errorf("%s=%q is refused with the line %q", name, value, line)
		}
	}
	long := len(value) > 100 || len(value) > 15 && slices.Contains(mayBeSecret, name)
	shows := func(err error) bool {
		return err != nil && (strings.Contains(err.Error(), value) || strings.Contains(err.Error(), strconv.Quote(value)))
	}
	if long && shows(err) && !shows(other) {
		t.Errorf("%s=%q is repeated: %v", name, value, err)
	}
}

// taken has a check for each variable: whether a configuration is what a value
// says, within the documented bounds.
var taken = map[string]func(cfg config.Config, value string) bool{
	"APP_ENV": func(c config.Config, v string) bool {
		return c.Local == (v == "local") && c.API.Local == c.Local && (c.Local || v == "production")
	},
	"PORT":                    func(c config.Config, v string) bool { return isPort(c.Port, v) },
	"SESSION_KEYS_SECRET_ARN": func(c config.Config, v string) bool { return c.KeysSecretARN == v && isARN(v) },
	"SESSION_SECRET": func(c config.Config, v string) bool {
		return string(c.SessionSecret) == v && len(v) >= 32 && (c.Local || config.Weakness(v) == "")
	},
	"SESSION_ENCRYPTION_KEY": func(c config.Config, v string) bool {
		return len(c.EncryptionKey) == 32 && c.EncryptionKey != c.SessionSecret && writes(v, []byte(c.EncryptionKey))
	},
	"REDIS_HOST": func(c config.Config, v string) bool {
		host, port, err := net.SplitHostPort(c.Redis.Addr)
		return c.Redis.Host == v && err == nil && host == v && port == "6379" && !strings.ContainsAny(v, "/@?# \n")
	},
	"REDIS_PORT":                func(c config.Config, v string) bool { return isPort(c.Redis.Port, v) },
	"REDIS_USERNAME":            func(c config.Config, v string) bool { return c.Redis.Username == v },
	"REDIS_PASSWORD":            func(c config.Config, v string) bool { return string(c.Redis.Password) == v },
	"REDIS_PASSWORD_SECRET_ARN": func(c config.Config, v string) bool { return c.Redis.PasswordSecretARN == v && isARN(v) },
	"REDIS_TLS":                 func(c config.Config, v string) bool { return isFlag(c.Redis.TLS, v) },
	"REDIS_CLUSTER":             func(c config.Config, v string) bool { return isFlag(c.Redis.Cluster, v) },
	"REDIS_IAM":                 func(c config.Config, v string) bool { return isFlag(c.Redis.IAM, v) && c.Redis.TLS },
	"REDIS_SERVERLESS":          func(c config.Config, v string) bool { return isFlag(c.Redis.Serverless, v) },
	"REDIS_CACHE_NAME": func(c config.Config, v string) bool {
		return c.Redis.CacheName == v && len(v) <= 50 && url.PathEscape(v) == v
	},
	"REDIS_KEY_PREFIX": func(c config.Config, v string) bool {
		return c.Session.Prefix == v && len(v) <= 16 && strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	},
	"SIWE_DOMAINS":       areDomains,
	"SIWE_CHAIN_IDS":     areChains,
	"LOG_FORMAT":         func(_ config.Config, v string) bool { return v == "json" || v == "text" },
	"SIWE_STATEMENT":     areStatements,
	"SIWE_NONCE_MINUTES": isLongSpan(time.Minute, func(c config.Config) time.Duration { return c.Session.NonceLife }),
	"ALLOWED_ORIGINS":    areOrigins,
	"CONSOLE": func(c config.Config, v string) bool {
		return c.Console == v && strings.ToLower(v) == v && !strings.ContainsAny(v, "/@?#* ,")
	},
	"CORS_ALLOW_HEADERS":            areHeaders,
	"SESSION_TIMEOUT_MINUTES":       isSpan(time.Minute, func(c config.Config) time.Duration { return c.Session.Idle }),
	"SESSION_MAX_HOURS":             isSpan(time.Hour, func(c config.Config) time.Duration { return c.Session.Absolute }),
	"ACCESS_TOKEN_MINUTES":          isSpan(time.Minute, func(c config.Config) time.Duration { return c.Session.Access }),
	"REFRESH_GRACE_SECONDS":         isSpan(time.Second, func(c config.Config) time.Duration { return c.Session.Grace }),
	"SESSION_TOUCH_SECONDS":         isSpan(time.Second, func(c config.Config) time.Duration { return c.Session.Touch }),
	"STEP_UP_MINUTES":               isSpan(time.Minute, func(c config.Config) time.Duration { return c.Session.StepUp }),
	"ACTIVITY_DAYS":                 isSpan(24*time.Hour, func(c config.Config) time.Duration { return c.Session.ActivityKeep }),
	"PREFERENCES_DAYS":              isLongSpan(24*time.Hour, func(c config.Config) time.Duration { return c.Session.PreferencesKeep }),
	"MAX_CONCURRENT_SESSIONS":       isInteger(100, func(c config.Config) int { return c.API.SessionLimit }),
	"RATE_LIMIT_NONCE_PER_MINUTE":   isInteger(100_000, func(c config.Config) int { return c.Session.NonceRate }),
	"RATE_LIMIT_LOGIN_PER_MINUTE":   isInteger(100_000, func(c config.Config) int { return c.Session.LoginRate }),
	"RATE_LIMIT_REFRESH_PER_MINUTE": isInteger(100_000, func(c config.Config) int { return c.Session.RefreshRate }),
	"STATE_QUOTA_BYTES":             isInteger(256<<10, func(c config.Config) int { return c.Session.StateQuota }),
	"ACTIVITY_MAX_EVENTS":           isInteger(500, func(c config.Config) int { return c.Session.ActivityMax }),
	"SESSION_LIMIT_POLICY":          func(c config.Config, v string) bool { return c.Session.LimitPolicy.String() == v },
	"DEVICE_POLICY":                 func(c config.Config, v string) bool { return c.Session.DevicePolicy.String() == v },
	"NETWORK_POLICY":                func(c config.Config, v string) bool { return c.Session.NetworkPolicy.String() == v },
	"ADMIN_ADDRESSES":               areAdmins,
	"ROLES":                         areRoles,
	"AUTHORIZER_PERMISSIONS":        areRules,
	"SERVICE_KEYS":                  areServices,
	"EVENTS": func(c config.Config, v string) bool {
		return string(c.Events.Sink) == v && slices.Contains([]string{"log", "webhook", "eventbridge"}, v) && len(c.Session.Outbox.Types) > 0
	},
	"EVENT_BUS":     func(c config.Config, v string) bool { return c.Events.Bus == v && strings.HasPrefix(v, "arn:aws") },
	"EVENT_TYPES":   areEventTypes,
	"EVENT_DETAILS": func(c config.Config, v string) bool { return isFlag(c.Events.Details, v) },
	"EVENT_WEBHOOK_URL": func(c config.Config, v string) bool {
		u, err := url.Parse(v)
		return err == nil && string(c.Events.WebhookURL) == v && u.Hostname() != "" && u.User == nil &&
			(u.Scheme == "https" || c.Local && u.Scheme == "http")
	},
	"EVENT_WEBHOOK_SECRET": func(c config.Config, v string) bool {
		return string(c.Events.WebhookSecret) == v && len(items(v)) <= 2 && strings.Count(v, "whsec_") == len(items(v))
	},
	"EVENT_WEBHOOK_SECRET_ARN": func(c config.Config, v string) bool { return c.Events.WebhookSecretARN == v && isARN(v) },
	"AUDIT_LOG_ENABLED":        func(c config.Config, v string) bool { return isFlag(c.API.AuditLog, v) },
	"HEALTH_DETAILS":           func(c config.Config, v string) bool { return isFlag(c.API.HealthDetails, v) },
	"ORIGIN_VERIFY_SECRET":     areOriginValues,
	"ORIGIN_VERIFY_SECRET_ARN": func(c config.Config, v string) bool { return c.OriginVerifyARN == v && isARN(v) },
	"CLIENT_ADDRESS_HEADER": func(c config.Config, v string) bool {
		name := c.API.CDN.AddressHeader
		return strings.EqualFold(name, v) && name == http.CanonicalHeaderKey(v) && len(v) <= 64 && name != "X-Origin-Verify" && name != "X-Forwarded-For"
	},
	"LOGOUT_CLEAR_SITE_DATA": func(c config.Config, v string) bool {
		return strings.ReplaceAll(c.API.ClearSiteData, `"`, "") == strings.Join(items(v), ",") &&
			strings.Trim(c.API.ClearSiteData, `abcdefghijklmnopqrstuvwxyzCDH*,"`) == ""
	},
	"ETHEREUM_RPC":            areRPCs,
	"ETHEREUM_RPC_SECRET_ARN": func(c config.Config, v string) bool { return c.Contracts.RPCSecretARN == v && isARN(v) },
	"ETHEREUM_RPC_QUORUM": func(c config.Config, v string) bool {
		return isInteger(2, func(c config.Config) int { return c.Contracts.Quorum })(c, v) && c.Contracts.Quorum > 0
	},
	"ETHEREUM_MULTICALL": func(c config.Config, v string) bool {
		var written map[uint64]common.Address
		return json.Unmarshal([]byte(v), &written) == nil && maps.Equal(written, c.Contracts.Multicall)
	},
	"ETHEREUM_CALL_GAS": isInteger(100_000_000, func(c config.Config) int { return c.Contracts.Gas }),
	"SIGNATURE_VERIFIER_ARN": func(c config.Config, v string) bool {
		return c.Contracts.VerifierARN == v && isARN(strings.Replace(v, ":lambda:", ":secretsmanager:", 1))
	},
	"WALLET_RECHECK_MINUTES": func(c config.Config, v string) bool {
		of := func(c config.Config) time.Duration { return c.Session.WalletRecheck }
		return isSpan(time.Minute, of)(c, v) || v == "0" && of(c) == 0
	},
}

func TestFuzzLoad_complete(t *testing.T) {
	for _, v := range config.Variables() {
		if taken[v.Name] == nil {
			t.Errorf("nothing is held of %s", v.Name)
		}
	}
}

func isPort(port int, v string) bool {
	return strconv.Itoa(port) == v && port > 0 && port <= math.MaxUint16
}
func isFlag(on bool, v string) bool { return on == (v == "true" || v == "1") }

func isARN(v string) bool {
	parts := strings.SplitN(v, ":", 7)
	return len(parts) == 7 && parts[0] == "arn" && parts[2] == "secretsmanager" && len(parts[4]) == 12 &&
		parts[3] != "" && url.PathEscape(parts[3]) == parts[3] // a region goes into a host name
}

// writes reports whether a text is one of the documented spellings of bytes.
func writes(text string, raw []byte) bool {
	return text == string(raw) || strings.EqualFold(text, hex.EncodeToString(raw)) ||
		slices.ContainsFunc([]*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding},
			func(e *base64.Encoding) bool { return e.EncodeToString(raw) == text })
}

// items are those of a list, without the space around them.
func items(v string) []string {
	all := strings.Split(v, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func isSpan(unit time.Duration, of func(config.Config) time.Duration) func(config.Config, string) bool {
	return func(c config.Config, v string) bool {
		got := of(c)
		written, err := time.ParseDuration(v + "us") // a millionth, since minutes and hours are no decimals to it
		exact := float64(written) / 1000 * float64(unit)
		near := math.Abs(exact-float64(got)) <= float64(unit)/1000+float64(time.Millisecond)
		return err == nil && near && got > 0 && got <= 3650*24*time.Hour && got%time.Millisecond == 0
	}
}

// isLongSpan is isSpan for at least one unit.
func isLongSpan(unit time.Duration, of func(config.Config) time.Duration) func(config.Config, string) bool {
	return func(c config.Config, v string) bool { return isSpan(unit, of)(c, v) && of(c) >= unit }
}

func isInteger(most int, of func(config.Config) int) func(config.Config, string) bool {
	return func(c config.Config, v string) bool {
		written, err := strconv.Atoi(v)
		return err == nil && of(c) == written && written >= 0 && written <= most
	}
}

// areDomains also holds that a message can name each, and that a URL takes it
// for its host.
func areDomains(c config.Config, v string) bool {
	for _, domain := range c.API.Domains {
		u, err := url.Parse("https://" + domain)
		if !canBeNamed(domain) || err != nil || u.Host != domain || u.String() != "https://"+domain {
			return false
		}
	}
	return v == "localhost:PORT" || slices.Equal(c.API.Domains, items(v))
}

// canBeNamed reports whether a domain can be that of a message.
func canBeNamed(domain string) bool {
	m := siwe.Message{
		Domain: domain, Address: common.Address{1}, URI: "https://example.com", Version: siwe.Version,
		ChainID: 1, Nonce: "12345678", IssuedAt: siwe.NewTime(time.Unix(0, 0)),
	}
	read, err := siwe.Parse([]byte(m.String()))
	return err == nil && read.Domain == domain
}

func areChains(c config.Config, v string) bool {
	var texts []string
	for _, id := range c.API.ChainIDs {
		if id == 0 || id > siwe.MaxChainID {
			return false
		}
		texts = append(texts, strconv.FormatUint(id, 10))
	}
	return slices.Equal(texts, items(v))
}

// areOrigins also holds that each is a scheme and a host and nothing else, in
// the spelling of a browser.
func areOrigins(c config.Config, v string) bool {
	for _, origin := range c.API.AllowedOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme+"://"+u.Host != origin || u.Host != strings.ToLower(u.Host) ||
			u.Scheme != "https" && !(c.Local && u.Scheme == "http") || u.Port() == "443" && u.Scheme == "https" {
			return false
		}
	}
	return slices.Equal(c.API.AllowedOrigins, items(v))
}

// areHeaders also holds that each can be the name of a header.
func areHeaders(c config.Config, v string) bool {
	for _, name := range c.CORSHeaders {
		if name == "" || len(name) > 64 || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return slices.Equal(c.CORSHeaders, items(v))
}

func areAdmins(c config.Config, v string) bool {
	return slices.EqualFunc(c.API.Admins, items(v), func(a token.Account, text string) bool {
		return a.Address != (common.Address{}) && strings.EqualFold(a.String(), text)
	})
}

// areRoles holds that the store and the edge know the same roles; FuzzRoles
// holds of their names what there is.
func areRoles(c config.Config, v string) bool {
	for name, role := range c.API.Roles {
		limit, limited := c.Session.RoleLimits[name]
		if limited != (role.MaxSessions != nil) || limited && (limit != *role.MaxSessions || limit < 0 || limit > session.MaxSessions) {
			return false
		}
	}
	var decoded map[string]any
	return len(v) <= 2048 && json.Unmarshal([]byte(v), &decoded) == nil && len(decoded) == len(c.API.Roles)
}

func areOriginValues(c config.Config, v string) bool {
	var values []string
	for _, value := range c.OriginVerify {
		text := string(value)
		if values = append(values, text); len(text) < 32 || len(text) > 256 || strings.ContainsAny(text, ", \"\t\r\n") ||
			!c.Local && config.Weakness(text) != "" {
			return false
		}
	}
	return slices.Equal(values, items(v)) && len(values) > 0 && len(values) <= 8
}

// areRPCs also holds that each is an absolute URL, over TLS except locally.
func areRPCs(c config.Config, v string) bool {
	var written map[uint64][]string
	if json.Unmarshal([]byte(v), &written) != nil || !reflect.DeepEqual(c.Chains().RPC, written) {
		return false
	}
	for _, urls := range written {
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil || u.Hostname() == "" || u.Scheme != "https" && !(c.Local && u.Scheme == "http") {
				return false
			}
		}
	}
	return len(written) > 0
}

func areRules(c config.Config, v string) bool {
	var texts []string
	for _, r := range c.AuthorizerRules {
		end := "="
		if r.Prefix {
			end = "*="
		}
		texts = append(texts, r.Method+" "+r.Path+end+r.Permission)
	}
	return slices.Equal(texts, items(v))
}

// areStatements holds that the statements are the parts of the value, each of
// them one that a message can have.
func areStatements(c config.Config, v string) bool {
	all := append([]string{c.API.Statement}, c.API.OtherStatements...)
	for i, part := range strings.Split(v, "|") {
		if len(all) > 1 {
			part = strings.TrimSpace(part)
		}
		if i >= len(all) || all[i] != part || !siwe.ValidStatement(part) || len(part) > 1024 {
			return false
		}
	}
	return len(all) == strings.Count(v, "|")+1
}
