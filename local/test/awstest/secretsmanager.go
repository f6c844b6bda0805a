package awstest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"latchkey/shared/awsenv"
)

// SecretsManager is a fake of Secrets Manager that serves one text for every
// secret, records the calls, and can fail.
type SecretsManager struct {
	// URL is its endpoint.
	URL string
	// Before is called before each reply, unless it is nil.
	Before func()

	mu    sync.Mutex
	text  string
	fault http.HandlerFunc // replies instead
	calls []*http.Request
}

// NewSecretsManager starts a fake that serves that text. It ends with the test.
func NewSecretsManager(t testing.TB, text string) *SecretsManager {
	t.Helper()
	s := &SecretsManager{text: text}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// ServeHTTP implements [http.Handler].
func (s *SecretsManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls = append(s.calls, r)
	text, fault, before := s.text, s.fault, s.Before
	s.mu.Unlock()
	if before != nil {
		before()
	}
	var in struct{ SecretID string }
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	renamed := strings.Replace(string(body), "SecretId", "SecretID", 1)
	target := r.Header.Get("X-Amz-Target")
	switch err := json.Unmarshal([]byte(renamed), &in); {
	case err != nil || in.SecretID == "" || target != "secretsmanager.GetSecretValue":
		Refuse(w, "InvalidRequestException", "not a GetSecretValue: "+string(body))
	case fault != nil:
		fault(w, r)
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{
			"ARN": in.SecretID, "Name": "x", "VersionId": "v", "SecretString": text,
		})
	}
}

// Refuse writes an error reply of Secrets Manager.
func Refuse(w http.ResponseWriter, code, message string) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "Message": message})
}

// Set changes the text that is served, and ends a failure.
func (s *SecretsManager) Set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.fault = text, nil
}

// Fail makes a handler reply from now on.
func (s *SecretsManager) Fail(fault http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Calls returns the calls since the last time. The client calls twice if the
// first reply is a 500.
func (s *SecretsManager) Calls() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Expect reports an error if [SecretsManager.Calls] returns another number of
// calls.
func (s *SecretsManager) Expect(t testing.TB, what string, calls int) {
	t.Helper()
	if got := len(s.Calls()); got != calls {
		t.Errorf("%s: asked %d times, want %d", what, got, calls)
	}
}

// Environment is the environment of a function with this Secrets Manager.
func (s *SecretsManager) Environment(c *Clock, log io.Writer) awsenv.Environment {
	return awsenv.Environment{
		Getenv: Role(s.URL), Now: c.Now, Log: slog.New(slog.NewJSONHandler(log, nil)),
	}
}
