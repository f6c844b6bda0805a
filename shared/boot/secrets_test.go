package boot_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/shared/boot"
)

// Drawn once for these tests; they open nothing.
const (
	firstSecret  = "pR7vQ2xkT9mWc4ZsJ8bYh3NfL6dGa5EuX1oViKtM0qCwSzBnHjPyDrAgUeFl2I7O"
	secondSecret = "Zk3Wq8LxN5vTb1RmC7yHs9PdJ4gFa6UeQ2oXiVtK0nEwSzBhGjMyDrAcUlYp8I5O"
)

var (
	oneKey  = `{"lookup":"k1","k1":"` + firstSecret + `"}`
	twoKeys = `{"lookup":"k1","k1":"` + firstSecret + `","k2":{"secret":"` + secondSecret + `","activeFrom":"2026-11-25T10:00:00Z"}}`
)

// clock is a clock that stands until it is moved.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock(at time.Time) *clock {
	c := new(clock)
	c.at.Store(&at)
	return c
}

func (c *clock) now() time.Time { return *c.at.Load() }

func (c *clock) add(d time.Duration) {
	at := c.now().Add(d)
	c.at.Store(&at)
}

// secrets is a stand-in for Secrets Manager that serves one text for every secret, counts how often it was asked, and can
// fail.
type secrets struct {
	url string

	mu     sync.Mutex
	text   string
	fault  http.HandlerFunc // in place of an answer
	before func()           // each answer waits for it
	asked  []*http.Request
}

func newSecrets(t *testing.T, text string) *secrets {
	t.Helper()
	s := &secrets{text: text}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// ServeHTTP implements http.Handler.
func (s *secrets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	text, fault, before := s.text, s.fault, s.before
	s.mu.Unlock()
	if before != nil {
		before()
	}
	var in struct{ SecretID string }
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch err := json.Unmarshal([]byte(strings.Replace(string(body), "SecretId", "SecretID", 1)), &in); {
	case err != nil || in.SecretID == "" || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue":
		refuse(w, "InvalidRequestException", "no GetSecretValue: "+string(body))
	case fault != nil:
		fault(w, r)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"ARN": in.SecretID, "Name": "x", "VersionId": "v", "SecretString": text})
	}
}

func refuse(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "Message": message})
}

// holds sets what is served from now on.
func (s *secrets) holds(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.fault = text, nil
}

func (s *secrets) fails(fault http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// calls is how often a text was asked for since the last time. The client asks twice where the first answer is a 500.
func (s *secrets) calls() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func (s *secrets) expect(t *testing.T, what string, calls int) {
	t.Helper()
	if got := len(s.calls()); got != calls {
		t.Errorf("%s: asked %d times, want %d", what, got, calls)
	}
}

// around is an environment as Lambda makes it, with that stand-in.
func (s *secrets) around(c *clock, log io.Writer) boot.Around {
	return boot.Around{Getenv: role(s.url), Now: c.now, Log: slog.New(slog.NewJSONHandler(log, nil))}
}

// role is the environment of a function's role.
func role(endpoint string) func(string) string {
	return func(name string) string {
		return map[string]string{
			"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
			"AWS_SESSION_TOKEN": "session+token/of=the role", "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
		}[name]
	}
}

// start is when these tests begin: before the second key is active.
var start = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
