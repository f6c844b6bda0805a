package events_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey/shared/events"
)

var key = []byte("a key for webhooks, 32 bytes....")

// received is a receiver of webhooks that verifies signatures as Standard Webhooks lays down.
type received struct {
	status int
	all    []events.Envelope
	fault  string
}

func (r *received) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.fault = err.Error()
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp"), body)
	if got := q.Header.Get("webhook-signature"); got != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		r.fault = "signature " + got
	}
	if q.Header.Get("webhook-timestamp") != "1764288000" || q.Method != http.MethodPost || q.Header.Get("content-type") != "application/json" {
		r.fault = fmt.Sprint(q.Method, q.Header)
	}
	var e events.Envelope
	if err := json.Unmarshal(body, &e); err != nil || e.ID != q.Header.Get("webhook-id") {
		r.fault = string(body)
	}
	r.all = append(r.all, e)
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(r.status)
}

func newWebhook(t *testing.T, url string) *events.Webhook {
	t.Helper()
	secret := "whsec_" + base64.StdEncoding.EncodeToString(key)
	w, err := events.NewWebhook(url, secret, func() time.Time { return time.Unix(1764288000, 0) })
	must(t, err)
	return w
}

func TestWebhook(t *testing.T) {
	d := events.Delivery{Type: "account.blocked", Message: events.Message{V: 1, ID: "id", UserID: "u", Time: "2026-11-23T10:00:00.000Z"}}
	for status, want := range map[int]events.Result{
		200: events.Accepted, 202: events.Accepted, 204: events.Accepted, 301: events.Failed, 307: events.Failed, 400: events.Refused,
		401: events.Failed, 403: events.Failed, 404: events.Failed, 408: events.Failed, 410: events.Refused, 413: events.Refused,
		422: events.Refused, 429: events.Failed, 500: events.Failed, 503: events.Failed,
	} {
		r := &received{status: status}
		server := httptest.NewServer(r)
		results, err := newWebhook(t, server.URL+"/hook?token=secret").Send(ctx, []events.Delivery{d})
		server.Close()
		if len(results) != 1 || results[0] != want || (err == nil) != (want == events.Accepted) {
			t.Errorf("%d: %v, %v, want %v", status, results, err, want)
		}
		if r.fault != "" || len(r.all) != 1 || r.all[0].Source != "latchkey" || r.all[0].DetailType != "account.blocked" || r.all[0].Detail != d.Message {
			t.Errorf("%d: %s, received %+v", status, r.fault, r.all)
		}
	}
}

// A URL often has a secret, which no error tells.
func TestWebhook_away(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	results, err := newWebhook(t, server.URL+"/hook?token=secret").Send(ctx, []events.Delivery{{}})
	if results[0] != events.Failed || err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hook?") {
		t.Errorf("%v, %v", results, err)
	}
}

func TestWebhook_secret(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		"", "whsec_", encode(key), "whsec_" + encode(key[:23]), "whsec_" + encode(make([]byte, 65)), "whsec_!", "Whsec_" + encode(key),
	} {
		if _, err := events.NewWebhook("http://x", secret, time.Now); err == nil {
			t.Errorf("%q is accepted", secret)
		} else if len(secret) > 10 && strings.Contains(err.Error(), secret[6:]) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}
