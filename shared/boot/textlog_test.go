package boot_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"latchkey/shared/boot"
)

// logged returns what a log of these variables writes, without the time of each
// line.
func logged(t *testing.T, onTerminal bool, write func(*slog.Logger), variables ...string) string {
	t.Helper()
	getenv := func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
	var b strings.Builder
	write(boot.NewLoggerFor(getenv, &b, onTerminal))
	return regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d `).ReplaceAllString(b.String(), "")
}

func TestNewLoggerFor_format(t *testing.T) {
	write := func(log *slog.Logger) { log.Info("hello") }
	for _, c := range []struct {
		text, onTerminal bool
		variables        []string
	}{
		{false, false, nil},
		{false, true, nil},
		{false, true, []string{"APP_ENV=production"}},
		{false, false, []string{"APP_ENV=local"}},
		{true, true, []string{"APP_ENV=local"}},
		{false, true, []string{"APP_ENV=local", "LOG_FORMAT=json"}},
		{true, false, []string{"APP_ENV=local", "LOG_FORMAT=text"}},
		{true, false, []string{"LOG_FORMAT=text"}},
		{false, true, []string{"LOG_FORMAT=TEXT"}}, // refused by the configuration
	} {
		got := logged(t, c.onTerminal, write, c.variables...)
		if c.text != (got == "hello\n") || c.text == json.Valid([]byte(got)) {
			t.Errorf("terminal %v, %q: %q", c.onTerminal, c.variables, got)
		}
	}
}

func TestTextLog_lines(t *testing.T) {
	refusal := []any{"type", "login", "outcome", "failure", "reason", "statement", "requestId", "x"}
	for want, write := range map[string]func(*slog.Logger){
		"POST /auth/login 401 login_failed (statement: wanted \"Sign in.\", got \"Hi\") 12 ms\n": func(log *slog.Logger) {
			log.Info("request", "requestId", "x", "method", "POST", "route", "POST /auth/login", "status", 401, "durationMs", 12.34,
				"ip", "127.0.0.1", "code", "login_failed", "problem", `statement: wanted "Sign in.", got "Hi"`)
		},
		"GET /api/state/{key} 200 0.4 ms\n": func(log *slog.Logger) {
			log.Info("request", "requestId", "x", "method", "GET", "route", "GET /api/state/{key}", "status", 200, "durationMs", 0.42, "ip", "")
		},
		"warning: GET /x no_route (no such path)\n": func(log *slog.Logger) {
			log.Warn("request refused", "method", "GET", "path", "/x", "code", "no_route", "problem", "no such path")
		},
		"login success transport=cookie chainId=1\n": func(log *slog.Logger) {
			log.Info("event", "type", "login", "outcome", "success", "requestId", "x", "ip", "127.0.0.1", "device", "curl", "transport", "cookie", "chainId", 1)
		},
		"":                              func(log *slog.Logger) { log.Info("event", refusal...) },
		"authorize failure reason=no\n": func(log *slog.Logger) { log.Info("event", "type", "authorize", "outcome", "failure", "reason", "no") },
		"sweep ended=1 complete=true durationMs=1.5\n": func(log *slog.Logger) {
			log.Info("sweep", "ended", 1, "complete", true, "durationMs", 1.5)
		},
		"publisher published=0 retried=3 refused=0 dropped=0\n": func(log *slog.Logger) {
			log.Info("publisher", "published", 0, "retried", 3, "refused", 0, "dropped", 0)
		},
		"sweep ended=0 repaired=0 damaged=0 complete=false\n": func(log *slog.Logger) {
			log.Info("sweep", "ended", 0, "repaired", 0, "damaged", 0, "complete", false)
		},
		"error: function failed: it is away function=SweepFunction at=\"a b\"\n": func(log *slog.Logger) {
			log.With("function", "SweepFunction").Error("function failed", "error", errors.New("it is away"), "at", "a b")
		},
		"warning: A is not a variable; B is not a variable\n": func(log *slog.Logger) {
			log.Warn("unknown variables", "problems", []string{"A is not a variable", "B is not a variable"})
		},
		"error: internal: panic: x\n    goroutine 1\n    \\tfile.go\n": func(log *slog.Logger) {
			log.Error("internal", "requestId", "x", "error", "panic: x", "stack", "goroutine 1\n\tfile.go\n")
		},
	} {
		if got := logged(t, true, write, "APP_ENV=local"); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	idle := func(log *slog.Logger) { log.Info("sweep", "ended", 0, "repaired", 0, "damaged", 0, "complete", true) }
	if got := logged(t, true, idle, "APP_ENV=local"); got != "" {
		t.Errorf("a sweep without work: %q", got)
	}
	nothing := func(log *slog.Logger) {
		log.Info("publisher", "published", 0, "retried", 0, "refused", 0, "dropped", 0, "oldestSeconds", 0.0)
	}
	if got := logged(t, true, nothing, "APP_ENV=local"); got != "" {
		t.Errorf("a publisher without events: %q", got)
	}
	// Elsewhere nothing is left out: the request's line does not have the reason.
	got := logged(t, false, func(log *slog.Logger) { log.Info("event", refusal...) }, "LOG_FORMAT=text")
	if want := "login failure reason=statement requestId=x\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// What a client sends cannot forge a line or control the terminal, wherever it
// is in an entry.
func TestTextLog_escapes(t *testing.T) {
	const hostile = "x\r\n14:02:11 POST /auth/login 200 \x1b[2J\x1b]0;t\a\u009b31m\u202e\u2028\x7f\x00\xffü"
	for name, write := range map[string]func(*slog.Logger){
		"message": func(log *slog.Logger) { log.Info(hostile) },
		"key":     func(log *slog.Logger) { log.Info("m", hostile, "v") },
		"value":   func(log *slog.Logger) { log.Info("m", "k", hostile) },
		"error":   func(log *slog.Logger) { log.Error("m", "error", errors.New(hostile)) },
		"list":    func(log *slog.Logger) { log.Warn("m", "problems", []string{hostile}) },
		"request": func(log *slog.Logger) {
			log.Info("request", "method", hostile, "path", hostile, "status", hostile, "code", hostile, "problem", hostile, "durationMs", hostile)
		},
		"with":  func(log *slog.Logger) { log.With("k", hostile).Info("m") },
		"group": func(log *slog.Logger) { log.WithGroup("g").Info("m", "k", slog.GroupValue(slog.String("x", hostile))) },
	} {
		got := logged(t, true, write, "APP_ENV=local")
		if strings.Count(got, "\n") != 1 || !regexp.MustCompile(`^[ -~]+\n$`).MatchString(got) {
			t.Errorf("%s: %q", name, got)
		}
		if !strings.Contains(got, `x\r\n14:02:11`) || !strings.Contains(got, `\x1b[2J`) || !strings.Contains(got, `\u202e`) {
			t.Errorf("%s is not shown: %q", name, got)
		}
	}
}
