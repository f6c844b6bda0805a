package events_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/shared/events"
)

var key = []byte("a key for webhooks, 32 bytes....")

// received is a receiver of webhooks that verifies signatures as Standard Webhooks lays down.
type received struct {
	mu     sync.Mutex
	status int
	all    []events.Envelope
	fault  string
}

func (r *received) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
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
	good := "whsec_" + encode(key)
	for _, secret := range []string{
		"", "whsec_", encode(key), "whsec_" + encode(key[:23]), "whsec_" + encode(make([]byte, 65)), "whsec_!", "Whsec_" + encode(key),
		good + "\n" + encode(key), "whsec_" + encode(key)[:8] + "\n" + encode(key)[8:], "whsec_" + strings.TrimRight(encode(key), "="),
		good + ",", "," + good, good + "," + good, good + " " + good, good + "," + "whsec_" + encode(key[:24]) + ",whsec_" + encode(key[1:]),
	} {
		if _, err := events.NewWebhook("http://x", secret, time.Now); err == nil {
			t.Errorf("%q is accepted", secret)
		} else if len(secret) > 20 && strings.Contains(err.Error(), secret[6:20]) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// While secrets rotate, a receiver verifies each message with the old or the new one.
func TestWebhook_rotation(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	older, newer := []byte("the secret of last year, 32 bytes"), []byte("the secret of this year, 32 bytes")
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for given := range strings.FieldsSeq(r.Header.Get("Webhook-Signature")) {
			for name, key := range map[string][]byte{"older": older, "newer": newer} {
				mac := hmac.New(sha256.New, key)
				fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
				if given == "v1,"+encode(mac.Sum(nil)) {
					got = append(got, name)
				}
			}
		}
	}))
	defer server.Close()
	w, err := events.NewWebhook(server.URL, "whsec_"+encode(newer)+", whsec_"+encode(older), time.Now)
	must(t, err)
	if _, err := w.Send(ctx, []events.Delivery{{Message: events.Message{ID: "id"}}}); err != nil {
		t.Error(err)
	}
	if !slices.Equal(got, []string{"newer", "older"}) {
		t.Errorf("signed with %q", got)
	}
}

// Messages of a batch are posted together: a slow receiver delays them once. Results keep their order.
func TestWebhook_together(t *testing.T) {
	var waiting sync.WaitGroup
	waiting.Add(10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		waiting.Done()
		waiting.Wait()
		if r.Header.Get("Webhook-Id") == "3" {
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer server.Close()
	w := newWebhook(t, server.URL)
	all := make([]events.Delivery, w.Batch())
	for i := range all {
		all[i].Message.ID = fmt.Sprint(i)
	}
	results, err := w.Send(ctx, all)
	want := slices.Repeat([]events.Result{events.Accepted}, 10)
	want[3] = events.Refused
	if !slices.Equal(results, want) || err == nil {
		t.Errorf("%v, %v", results, err)
	}
}

// What a receiver answers is neither followed nor kept: redirects, long bodies and long headers.
func TestWebhook_hostile(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	for name, answer := range map[string]func(http.ResponseWriter){
		"redirect with the body":    func(w http.ResponseWriter) { redirect(w, elsewhere.URL, http.StatusTemporaryRedirect) },
		"redirect with another":     func(w http.ResponseWriter) { redirect(w, elsewhere.URL, http.StatusPermanentRedirect) },
		"redirect without the body": func(w http.ResponseWriter) { redirect(w, elsewhere.URL, http.StatusSeeOther) },
		"no HTTP":                   func(w http.ResponseWriter) { hijack(w, "token=secret\r\n\r\n") },
		"no status":                 func(w http.ResponseWriter) { hijack(w, "HTTP/1.1 token=secret x\r\n\r\n") },
		"no header":                 func(w http.ResponseWriter) { hijack(w, "HTTP/1.1 200 OK\r\ntoken=secret\r\n\r\n") },
		"nothing":                   func(w http.ResponseWriter) { hijack(w, "") },
		"long headers":              func(w http.ResponseWriter) { w.Header().Set("X-Long", strings.Repeat("x", 64<<10)) },
		"a secret in its answer":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden); fmt.Fprint(w, "token=secret") },
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		results, err := newWebhook(t, server.URL+"/hook?token=secret").Send(ctx, []events.Delivery{{}})
		server.Close()
		if results[0] != events.Failed || err == nil || strings.Contains(err.Error(), "secret") || asked != 0 {
			t.Errorf("%s: %v, %v, %d requests elsewhere", name, results, err, asked)
		}
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	if results, err := newWebhook(t, endless.URL).Send(ctx, []events.Delivery{{}}); results[0] != events.Accepted || err != nil {
		t.Errorf("an endless body: %v, %v", results, err)
	}
	if results, err := newWebhook(t, "https://x.example/%zz?token=secret").Send(ctx, []events.Delivery{{}}); results[0] != events.Failed ||
		err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a URL that is not valid: %v, %v", results, err)
	}
}

// hijack writes an answer past net/http.
func hijack(w http.ResponseWriter, answer string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(answer))
}

func redirect(w http.ResponseWriter, to string, status int) {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}

// A certificate that nobody vouches for is refused.
func TestWebhook_certificate(t *testing.T) {
	asked := 0
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	results, err := newWebhook(t, server.URL+"/hook?token=secret").Send(ctx, []events.Delivery{{}})
	if results[0] != events.Failed || err == nil || strings.Contains(err.Error(), "secret") || asked != 0 {
		t.Errorf("%v, %v, %d", results, err, asked)
	}
}
