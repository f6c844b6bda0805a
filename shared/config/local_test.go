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

func TestLoad_console(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{deployed(), ""},
		{deployed("CONSOLE", "api.example.com"), "api.example.com"},
		{local(), "localhost:3000"},
		{local("PORT", "8080"), "localhost:8080"},
		{local("CONSOLE", "api.test:8080"), "api.test:8080"},
	} {
		if got := mustLoad(t, c.env).Console; got != c.want {
			t.Errorf("the console is at %q, want %q", got, c.want)
		}
	}
	for value, says := range map[string]string{
		"https://api.example.com": "scheme", "api.example.com/console": "path", "*.example.com": "wildcard",
		"API.example.com": "capital", "api.example.com:443": "443", "a.example,b.example": "host name",
	} {
		_, err := load(deployed("CONSOLE", value))
		if err == nil || !strings.HasPrefix(err.Error(), "CONSOLE: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", value, err)
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
