package config_test

import (
	"slices"
	"testing"

	"latchkey/shared/config"
)

func TestUnknown(t *testing.T) {
	for name, nearest := range map[string]string{
		"SIWE_DOMAIN":                   "SIWE_DOMAINS",
		"SIWE_DOMIANS":                  "SIWE_DOMAINS",
		"SIWE_CHAINIDS":                 "SIWE_CHAIN_IDS",
		"SWIE_DOMAINS":                  "SIWE_DOMAINS",
		"REDIS_PASSWRD":                 "REDIS_PASSWORD",
		"REDIS_USER":                    "REDIS_USERNAME",
		"REDIS_PASS":                    "REDIS_PASSWORD",
		"RADIS_HOST":                    "REDIS_HOST",
		"SESSION_TIMEOUT":               "SESSION_TIMEOUT_MINUTES",
		"SESSION_SECRETS":               "SESSION_SECRET",
		"ALOWED_ORIGINS":                "ALLOWED_ORIGINS",
		"ADMIN_ADDRESS":                 "ADMIN_ADDRESSES",
		"RATE_LIMIT_LOGINS_PER_MINUTE":  "RATE_LIMIT_LOGIN_PER_MINUTE",
		"ETHEREUM_RPCS":                 "ETHEREUM_RPC",
		"WALLET_RECHECK_MINUTE":         "WALLET_RECHECK_MINUTES",
		"LOG_FORMATS":                   "LOG_FORMAT",
		"REDIS_PASSWORD_SECRET_ARN_OLD": "REDIS_PASSWORD_SECRET_ARN",
	} {
		want := []string{name + " is not a variable: did you mean " + nearest + "?"}
		if got := config.Unknown([]string{name}); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, name := range []string{"REDIS_URL", "REDIS_SERVICE_HOST", "SIWE_NETWORK", "SESSION_COOKIE", "RATE_LIMIT_SIGNUP", "WALLET_RECHECK_HOURS_OR_SO", "ETHEREUM_NODE"} {
		want := []string{name + " is not a variable and has no effect: docs/configuration.md lists all"}
		if got := config.Unknown([]string{name}); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	others := []string{
		"PATH", "HOME", "HOST", "PORTS", "POST", "ROLE", "TZ", "GOGC", "NODE_ENV", "APP_NAME", "LOG_LEVEL", "MAX_CONNECTIONS", "CLIENT_ID",
		"ACCESS_KEY", "STATE_DIR", "DEVICE_ID", "NETWORK_NAME", "ADMIN_EMAIL", "HEALTH_PORT", "SESSION_MANAGER", "XDG_SESSION_ID", "SIWE", "REDIS",
		"AWS_LAMBDA_FUNCTION_NAME", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "LAMBDA_TASK_ROOT", "LD_LIBRARY_PATH", "_HANDLER",
		"_X_AMZN_TRACE_ID", "AWS_XRAY_DAEMON_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY", "TERM", "COLORTERM", "CI", "MAKEFLAGS", "",
	}
	for _, v := range config.Variables() {
		others = append(others, v.Name)
	}
	if got := config.Unknown(others); len(got) > 0 {
		t.Errorf("reported: %q", got)
	}
	// In one order, whatever the environment's is.
	if got := config.Unknown([]string{"SIWE_DOMAIN", "REDIS_HOTS"}); len(got) != 2 || got[0] != "REDIS_HOTS is not a variable: did you mean REDIS_HOST?" {
		t.Errorf("got %q", got)
	}
}
