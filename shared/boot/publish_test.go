package boot_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
)

// webhookSecret signs nothing outside these tests.
const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// scheduled is what EventBridge Scheduler sends without an input of one's own.
const scheduled = `{"version":"0","id":"d32c5kddcf5bb8c3","detail-type":"Scheduled Event","source":"aws.scheduler",` +
	`"account":"000000000000","time":"2026-11-23T10:00:00Z","region":"eu-central-1",` +
	`"resources":["arn:aws:scheduler:eu-central-1:000000000000:schedule/default/x"],"detail":"{}"}`

// publish calls the publisher as a schedule does. It fails with the error's text.
func (s system) publish(t *testing.T) (failure string) {
	t.Helper()
	got := s["publish-events"].Invoke(t, []byte(scheduled))
	if got.Failed {
		return string(got.Payload)
	}
	if string(got.Payload) != "null" {
		t.Errorf("the publisher answered %s", got.Payload)
	}
	return ""
}

// startPublishing starts what signs people in and out, and the publisher, which has more variables.
func startPublishing(t *testing.T, binaries string, env []string, more ...string) system {
	t.Helper()
	s := system{}
	for _, name := range []string{"issue-nonce", "log-in", "log-out", "publish-events"} {
		all := slices.Concat(env, []string{"AWS_LAMBDA_FUNCTION_NAME=" + name})
		if name == "publish-events" {
			all = append(all, more...)
		}
		s[name] = startFunction(t, filepath.Join(binaries, name), all...)
	}
	return s
}

// A change in one function is published by another one.
func testPublisher(t *testing.T, binaries string) {
	t.Run("log", func(t *testing.T) { testPublishToLog(t, binaries) })
	t.Run("webhook", func(t *testing.T) { testPublishToWebhook(t, binaries) })
	t.Run("EventBridge", func(t *testing.T) { testPublishToEventBridge(t, binaries) })
	t.Run("webhook secret", func(t *testing.T) { testWebhookSecret(t, binaries) })
	t.Run("configuration", func(t *testing.T) { testPublisherConfiguration(t, binaries) })
}

func testPublishToLog(t *testing.T, binaries string) {
	server := redistest.ServerWith(t)
	s := startPublishing(t, binaries, append(environment(t, server.Redis), "EVENTS=log"))
	wantStatus(t, s.logout(t, s.login(t).AccessToken), http.StatusNoContent)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	if failure := s.publish(t); failure != "" { // finds nothing more
		t.Fatal(failure)
	}
	server.Stop()
	if failure := s.publish(t); !strings.Contains(failure, "publishing events") {
		t.Errorf("without Redis it failed with %q", failure)
	}
	publisher := s["publish-events"]
	publisher.Signal(t, syscall.SIGTERM)
	if status := publisher.ExitStatus(t); status != 0 { // now all that it wrote is there
		t.Errorf("it ended with %d", status)
	}
	wantPublished(t, publisher.Output)
}

// wantPublished asserts what a publisher wrote that published a login and a logout, then nothing, and then had no Redis.
func wantPublished(t *testing.T, output *lambdatest.Output) {
	t.Helper()
	entries, err := output.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var types, sessions, done []string
	measured := map[string][]float64{}
	for _, e := range entries {
		detail, _ := e["detail"].(map[string]any)
		switch e["msg"] {
		case "published":
			types, sessions = append(types, fmt.Sprint(e["detailType"])), append(sessions, fmt.Sprint(detail["sessionId"]))
		case "publisher":
			done = append(done, fmt.Sprint(e["published"], e["retried"], e["refused"], e["dropped"]))
		}
		for name, value := range e {
			if count, ok := value.(float64); ok && e["_aws"] != nil {
				measured[name] = append(measured[name], count)
			}
		}
	}
	if strings.Join(types, " ") != "session.started session.ended" || sessions[0] != sessions[1] {
		t.Errorf("published %q of the sessions %q", types, sessions)
	}
	if want := []string{"2 0 0 0", "0 0 0 0", "0 0 0 0"}; !slices.Equal(done, want) {
		t.Errorf("logged %q, want %q", done, want)
	}
	// Counts of nothing are not measured. The age is: its absence shows that no publisher runs.
	ages := measured["EventsAge"]
	delete(measured, "EventsAge")
	want := map[string][]float64{"EventsPublished": {2}, "Faults": {1}}
	if len(ages) != 3 || !maps.EqualFunc(measured, want, slices.Equal) {
		t.Errorf("measured %v and the ages %v, want %v and three", measured, ages, want)
	}
}

// receiver is a webhook's: it keeps what is signed with its secret, and refuses all else.
type receiver struct {
	secret string

	mu  sync.Mutex
	got []string // types
	bad []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	secret, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.secret, "whsec_"))
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), body)
	var message struct {
		ID   string `json:"id"`
		Type string `json:"detail-type"`
	}
	err := json.Unmarshal(body, &message)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || q.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) ||
		message.ID != q.Header.Get("webhook-id") {
		r.bad = append(r.bad, string(body))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.got = append(r.got, message.Type)
}

func testPublishToWebhook(t *testing.T, binaries string) {
	hook := &receiver{secret: webhookSecret}
	server := httptest.NewServer(hook)
	defer server.Close()
	env := append(environment(t, redistest.Server(t)), "APP_ENV=local", "EVENTS=webhook", "EVENT_TYPES=session.ended")
	s := startPublishing(t, binaries, env, "EVENT_WEBHOOK_URL="+server.URL+"/hook", "EVENT_WEBHOOK_SECRET="+webhookSecret)
	wantStatus(t, s.logout(t, s.login(t).AccessToken), http.StatusNoContent)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if len(hook.got) != 1 || hook.got[0] != "session.ended" || len(hook.bad) > 0 {
		t.Errorf("received %q, and %q without a valid signature", hook.got, hook.bad)
	}
	for _, f := range s {
		if strings.Contains(f.Output.String(), webhookSecret) {
			t.Errorf("%s logged the secret", f.Name)
		}
	}
}

// bus stands in for EventBridge. It accepts every entry.
type bus struct {
	mu      sync.Mutex
	entries []map[string]any
	wrong   []string // calls other than PutEvents, and unsigned ones
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Entries []map[string]any }
	err := json.NewDecoder(r.Body).Decode(&in)
	b.mu.Lock()
	defer b.mu.Unlock()
	if target := r.Header.Get("X-Amz-Target"); err != nil || target != "AWSEvents.PutEvents" ||
		!strings.Contains(r.Header.Get("Authorization"), "/eu-central-1/events/aws4_request") {
		b.wrong = append(b.wrong, target)
	}
	b.entries = append(b.entries, in.Entries...)
	out := make([]map[string]string, len(in.Entries))
	for i := range out {
		out[i] = map[string]string{"EventId": fmt.Sprint(i)}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": 0, "Entries": out})
}

func testPublishToEventBridge(t *testing.T, binaries string) {
	const arn = "arn:aws:events:eu-central-1:000000000000:event-bus/latchkey"
	b := new(bus)
	server := httptest.NewServer(b)
	defer server.Close()
	env, role := append(environment(t, redistest.Server(t)), "EVENTS=eventbridge"), awstest.Role("")
	more := []string{"EVENT_BUS=" + arn, "EVENT_DETAILS=false", "AWS_ENDPOINT_URL_EVENTBRIDGE=" + server.URL}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		more = append(more, name+"="+role(name))
	}
	s := startPublishing(t, binaries, env, more...)
	wantStatus(t, s.logout(t, s.login(t).AccessToken), http.StatusNoContent)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var got []string
	for _, e := range b.entries {
		got = append(got, fmt.Sprint(e["EventBusName"], " ", e["Source"], " ", e["DetailType"]))
		if detail := fmt.Sprint(e["Detail"]); strings.Contains(detail, `"ip"`) || strings.Contains(detail, `"device"`) {
			t.Errorf("without details it sent %s", detail)
		}
	}
	if want := []string{arn + " latchkey session.started", arn + " latchkey session.ended"}; !slices.Equal(got, want) || len(b.wrong) > 0 {
		t.Errorf("put %q, want %q; wrong calls: %q", got, want, b.wrong)
	}
}

// A new secret of webhooks is used at the next call. While it cannot be read, events wait.
func testWebhookSecret(t *testing.T, binaries string) {
	hook, vault := &receiver{secret: webhookSecret}, awstest.NewSecretsManager(t, webhookSecret)
	server := httptest.NewServer(hook)
	defer server.Close()
	env := append(environment(t, redistest.Server(t)), "APP_ENV=local", "EVENTS=webhook", "EVENT_TYPES=session.started")
	more := []string{"EVENT_WEBHOOK_URL=" + server.URL, "EVENT_WEBHOOK_SECRET_ARN=arn:aws:secretsmanager:eu-central-1:000000000000:secret:hook-AbCdEf"}
	role := awstest.Role(vault.URL)
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_SECRETS_MANAGER"} {
		more = append(more, name+"="+role(name))
	}
	s := startPublishing(t, binaries, env, more...)
	wants := func(what string, count int) {
		t.Helper()
		hook.mu.Lock()
		defer hook.mu.Unlock()
		if len(hook.got) != count || len(hook.bad) > 0 {
			t.Errorf("%s: received %q, and %q without a valid signature", what, hook.got, hook.bad)
		}
	}
	s.login(t)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	wants("the first secret", 1)
	s.login(t)
	vault.Fail(func(w http.ResponseWriter, _ *http.Request) { awstest.Refuse(w, "AccessDeniedException", "no") })
	if failure := s.publish(t); !strings.Contains(failure, "publishing events: EVENT_WEBHOOK_SECRET_ARN") {
		t.Errorf("without the secret it failed with %q", failure)
	}
	wants("without the secret", 1)
	hook.secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text()))
	vault.Set(hook.secret)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	wants("the next secret", 2)
}

// The publisher says what it misses, and the others start without it.
func testPublisherConfiguration(t *testing.T, binaries string) {
	env := environment(t, redistest.Embedded(t))
	for added, want := range map[string]string{
		"LOG_FORMAT=json":    "EVENTS: is needed to publish events; set eventbridge, webhook or log, the same in all functions",
		"EVENTS=eventbridge": "EVENT_BUS: is needed with EVENTS=eventbridge; set it to the ARN of the bus",
	} {
		f := startFunction(t, filepath.Join(binaries, "publish-events"), append(env, added)...)
		if status := f.ExitStatus(t); status != 1 {
			t.Errorf("with %s it ended with %d", added, status)
		}
		entries, err := f.Output.Entries()
		if err != nil || len(entries) != 1 || fmt.Sprint(entries[0]["problems"]) != "["+want+"]" {
			t.Errorf("with %s it logged %v, %v; want %s", added, entries, err, want)
		}
	}
}
