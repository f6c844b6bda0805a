package config_test

import (
	"slices"
	"strings"
	"testing"
)

// Any page on this machine may sign in only to a local process whose data is on this machine, unless SIWE_DOMAINS is set.
func TestLoad_localPages(t *testing.T) {
	for _, host := range []string{"", "localhost", "127.0.0.1", "127.9.9.9", "::1"} {
		if cfg := mustLoad(t, local("REDIS_HOST", host)); !cfg.LocalPages || !cfg.OnThisMachine() || cfg.API.AnyLocalPage || cfg.API.CookiePort != 0 {
			// Both are the local server's to set: it checks the Host, and sam local names cookies without a port.
			t.Errorf("with Redis at %q: %t, %t, %t", host, cfg.LocalPages, cfg.OnThisMachine(), cfg.API.AnyLocalPage)
		}
	}
	for _, host := range []string{"redis", "redis.example.com", "10.0.0.7", "0.0.0.0", "::", "2001:db8::7", "localhost.example.com"} {
		if cfg := mustLoad(t, local("REDIS_HOST", host)); cfg.LocalPages || cfg.OnThisMachine() {
			t.Errorf("with Redis at %q any page on this machine may sign in", host)
		}
	}
	if cfg := mustLoad(t, local("SIWE_DOMAINS", "localhost:5173")); cfg.LocalPages || !cfg.OnThisMachine() {
		t.Error("with SIWE_DOMAINS any page on this machine may sign in")
	}
	if cfg := mustLoad(t, deployed("REDIS_HOST", "127.0.0.1")); cfg.LocalPages || cfg.OnThisMachine() {
		t.Error("deployed, any page on this machine may sign in")
	}
	if cfg := mustLoad(t, deployed("REDIS_HOST", "127.0.0.1", "SIWE_DOMAINS", "localhost:PORT")); cfg.LocalPages {
		t.Error("deployed, the local default lets any page on this machine sign in")
	}
}

// An end-to-end suite signs in more often than people do.
func TestLoad_localRates(t *testing.T) {
	if s := mustLoad(t, local()).Session; s.NonceRate != 0 || s.LoginRate != 0 || s.RefreshRate != 0 {
		t.Errorf("locally the rate limits are %d, %d and %d", s.NonceRate, s.LoginRate, s.RefreshRate)
	}
	if s := mustLoad(t, local("RATE_LIMIT_LOGIN_PER_MINUTE", "3")).Session; s.LoginRate != 3 {
		t.Errorf("locally the limit of logins is %d, want 3", s.LoginRate)
	}
	if s := mustLoad(t, deployed()).Session; s.NonceRate != 60 || s.LoginRate != 30 || s.RefreshRate != 60 {
		t.Errorf("deployed the rate limits are %d, %d and %d", s.NonceRate, s.LoginRate, s.RefreshRate)
	}
}

func TestLoad_corsHeaders(t *testing.T) {
	cfg := mustLoad(t, local("CORS_ALLOW_HEADERS", "baggage, sentry-trace,traceparent"))
	if want := []string{"baggage", "sentry-trace", "traceparent"}; !slices.Equal(cfg.CORSHeaders, want) {
		t.Errorf("got %q, want %q", cfg.CORSHeaders, want)
	}
	for _, value := range []string{"*", "a b", "a,", "a:b", strings.Repeat("a", 65)} {
		if _, err := load(local("CORS_ALLOW_HEADERS", value)); err == nil || !strings.HasPrefix(err.Error(), "CORS_ALLOW_HEADERS: ") {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// API Gateway refuses a CorsConfiguration with these, and with it the whole deployment.
func TestLoad_appOrigins(t *testing.T) {
	for _, origin := range []string{"capacitor://localhost", "ionic://localhost", "app://localhost", "tauri://localhost"} {
		for _, env := range []map[string]string{local("ALLOWED_ORIGINS", origin), deployed("ALLOWED_ORIGINS", origin)} {
			if _, err := load(env); err == nil || !strings.Contains(err.Error(), "API Gateway") || !strings.Contains(err.Error(), "https://localhost") {
				t.Errorf("%s: %v", origin, err)
			}
		}
	}
	mustLoad(t, deployed("ALLOWED_ORIGINS", "https://app.example.com,https://localhost")) // Capacitor's on Android
}
