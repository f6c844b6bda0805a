package boot_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

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
	t.Run("configuration", func(t *testing.T) { testPublisherConfiguration(t, binaries) })
}

func testPublishToLog(t *testing.T, binaries string) {
	server := redistest.ServerWith(t)
	s := startPublishing(t, binaries, append(environment(t, server.Redis), "EVENTS=log"))
	wantStatus(t, s.logout(t, s.login(t).AccessToken), http.StatusNoContent)
	if failure := s.publish(t); failure != "" {
		t.Fatal(failure)
	}
	entries, err := s["publish-events"].Output.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var types, ids []string
	var done, metrics map[string]any
	for _, e := range entries {
		detail, _ := e["detail"].(map[string]any)
		switch {
		case e["msg"] == "published":
			types, ids = append(types, fmt.Sprint(e["detailType"])), append(ids, fmt.Sprint(detail["sessionId"]))
		case e["msg"] == "publisher":
			done = e
		case e["EventsPublished"] != nil:
			metrics = e
		}
	}
	if strings.Join(types, " ") != "session.started session.ended" || ids[0] != ids[1] {
		t.Errorf("published %q of the sessions %q", types, ids)
	}
	if done["published"] != 2.0 || done["retried"] != 0.0 || metrics["EventsPublished"] != 2.0 {
		t.Errorf("logged %v and measured %v", done, metrics)
	}
	text := s["publish-events"].Output.String()
	for metric, want := range map[string]bool{"EventsAge": true, "EventsRetried": false, "EventsRefused": false, "EventsDropped": false, "Faults": false} {
		if strings.Contains(text, `"`+metric+`"`) != want {
			t.Errorf("%s is measured: %v", metric, !want)
		}
	}
	if failure := s.publish(t); failure != "" || strings.Count(s["publish-events"].Output.String(), `"msg":"published"`) != 2 {
		t.Errorf("the next minute published again: %s %s", failure, s["publish-events"].Output)
	}

	server.Stop()
	if failure := s.publish(t); !strings.Contains(failure, "publishing events") {
		t.Errorf("without Redis it failed with %q", failure)
	}
	if !strings.Contains(s["publish-events"].Output.String(), `"Faults"`) {
		t.Error("without Redis no fault is measured")
	}
}

// receiver is a webhook's: it keeps what is signed, and refuses all else.
type receiver struct {
	mu  sync.Mutex
	got []string // types
	bad []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	secret, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(webhookSecret, "whsec_"))
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
	hook := new(receiver)
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
