package main // the feed and the queue are not exported: a command has no other package

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	awsevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/shared/config"
	"latchkey/shared/events"
)

// news is an answer of the feed.
type news struct {
	Last   int
	Events []events.Envelope
}

// askFeed returns what the feed of a server answers, and the status.
func (s *server) askFeed(t *testing.T, after int) (n news, status int) {
	t.Helper()
	answer, err := http.Get(fmt.Sprintf("%s%s?after=%d", s.url, feedPath, after))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_ = json.NewDecoder(answer.Body).Decode(&n) // of a 404 there is nothing to decode
	return n, answer.StatusCode
}

// awaitEvent returns the first event of a type that the feed has.
func (s *server) awaitEvent(t *testing.T, kind events.Type) events.Envelope {
	t.Helper()
	for deadline := time.Now().Add(pagePatience); time.Now().Before(deadline); {
		n, _ := s.askFeed(t, 0)
		for _, e := range n.Events {
			if e.DetailType == kind {
				return e
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("no %s arrived", kind)
	return events.Envelope{}
}

// By default events go to the log, and the server ends while its publisher runs as it does without one.
func TestMain_publishes(t *testing.T) {
	s, w := start(t), newWallet(t)
	token := w.login(s, "?transport=bearer")
	if e := s.awaitEvent(t, "session.started"); e.Detail.Account != w.address || e.Detail.Transport != "bearer" || e.Source != "latchkey" {
		t.Errorf("%+v", e)
	}
	if status, _ := exchange(t, "POST", s.url+"/auth/logout", token, ""); status != http.StatusNoContent {
		t.Fatalf("logout: %d", status)
	}
	if e := s.awaitEvent(t, "session.ended"); e.Detail.Reason != "logged_out" {
		t.Errorf("%+v", e)
	}
	if n, _ := s.askFeed(t, 1); n.Last != 2 || len(n.Events) != 1 || n.Events[0].DetailType != "session.ended" {
		t.Errorf("after the first, the feed has %+v", n)
	}
	if rest, err := s.stop(t, os.Interrupt); err != nil || rest != "" {
		t.Errorf("after Ctrl-C: %v, printed %q", err, rest)
	}
	log := s.errs.String()
	for _, kind := range []string{"session.started", "session.ended"} {
		if strings.Count(log, `"msg":"published","detailType":"`+kind+`"`) != 1 {
			t.Errorf("%s is not logged once in %s", kind, log)
		}
	}
	if !strings.Contains(log, `"msg":"publisher","published":2`) || strings.Contains(log, "failed") || strings.Contains(log, token) {
		t.Errorf("the log is %s", log)
	}
}

// EVENTS that is set and empty switches events off.
func TestMain_publishesNothing(t *testing.T) {
	s, w := start(t, "EVENTS="), newWallet(t)
	w.login(s, "?transport=bearer")
	if _, status := s.askFeed(t, 0); status != http.StatusNotFound {
		t.Errorf("the feed answers %d", status)
	}
	if _, err := s.stop(t, os.Interrupt); err != nil {
		t.Error(err)
	}
	if strings.Contains(s.errs.String(), "publish") {
		t.Errorf("the log is %s", &s.errs)
	}
}

// The server posts to a webhook, again until it is accepted. The log tells neither the secret nor the URL.
func TestMain_webhook(t *testing.T) {
	key := []byte("a key for webhooks, 32 bytes....")
	got, tries := make(chan events.Envelope, 10), atomic.Int32{}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
		if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("the signature is %s", r.Header.Get("webhook-signature"))
		}
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var e events.Envelope
		if err := json.Unmarshal(body, &e); err != nil {
			t.Error(err)
		}
		got <- e
	}))
	defer receiver.Close()
	secret := base64.StdEncoding.EncodeToString(key)
	s, w := start(t, "EVENTS=webhook", "EVENT_WEBHOOK_URL="+receiver.URL+"/hook?token=tk", "EVENT_WEBHOOK_SECRET=whsec_"+secret), newWallet(t)
	w.login(s, "?transport=bearer")
	select {
	case e := <-got:
		if e.DetailType != "session.started" || e.Detail.Account != w.address {
			t.Errorf("received %+v", e)
		}
	case <-time.After(pagePatience):
		t.Error("nothing was received")
	}
	if n, _ := s.askFeed(t, 0); n.Last != 1 {
		t.Errorf("the page is told of %d events", n.Last)
	}
	if rest, err := s.stop(t, os.Interrupt); err != nil || rest != "" {
		t.Errorf("after Ctrl-C: %v, printed %q", err, rest)
	}
	if log := s.errs.String(); !strings.Contains(log, "status 503") || strings.Contains(log, secret) || strings.Contains(log, "token=tk") {
		t.Errorf("the log is %s", log)
	}
}

// A laptop that uses another machine's Redis takes nothing out of its outbox, unless it is told to.
func TestLogEvents(t *testing.T) {
	set := func(value string) lookup { return func(string) (string, bool) { return value, true } }
	unset := func(string) (string, bool) { return "", false }
	for name, c := range map[string]struct {
		host   string
		lookup lookup
		want   config.EventSink
	}{
		"embedded":        {"", unset, config.ToLog},
		"loopback":        {"127.0.0.1", unset, config.ToLog},
		"another machine": {"redis.example.com", unset, ""},
		"set and empty":   {"", set(""), ""},
		"set":             {"", set("webhook"), ""},
	} {
		cfg := config.Config{Local: true, Redis: config.Redis{Host: c.host}}
		cfg.Events.Types = append(cfg.Events.Types, 1)
		logEvents(&cfg, c.lookup)
		if cfg.Events.Sink != c.want || (len(cfg.Session.Outbox.Types) == 1) != (c.want != "") {
			t.Errorf("%s: %q with %v", name, cfg.Events.Sink, cfg.Session.Outbox.Types)
		}
	}
}

// taking is a sink that takes what it is told to.
type taking struct{ result events.Result }

func (s *taking) Batch() int { return 7 }

func (s *taking) Send(_ context.Context, all []events.Delivery) ([]events.Result, error) {
	results := make([]events.Result, len(all))
	for i := range results {
		results[i] = s.result
	}
	return results, errors.New("why")
}

// The feed has each event once, however often it is sent, and the latest of many.
func TestFeed(t *testing.T) {
	sink := &taking{events.Failed}
	f := &feed{sink: sink}
	send := func(id string) {
		results, err := f.Send(t.Context(), []events.Delivery{{Type: "session.started", Message: events.Message{ID: id}}})
		if len(results) != 1 || results[0] != sink.result || err == nil || f.Batch() != 7 {
			t.Errorf("%v, %v, %d", results, err, f.Batch())
		}
	}
	send("a")
	sink.result = events.Accepted
	send("a")
	if found, last := f.since(0); len(found) != 1 || last != 1 || found[0].ID != "a" {
		t.Errorf("%+v, %d", found, last)
	}
	for i := range feedSize + 10 {
		send(fmt.Sprint(i))
	}
	for after, want := range map[int]int{-1: feedSize, 0: feedSize, 1: feedSize, feedSize + 8: 3, feedSize + 11: 0, feedSize + 12: feedSize} {
		found, last := f.since(after)
		if len(found) != want || last != feedSize+11 || want > 0 && found[want-1].ID != fmt.Sprint(feedSize+9) {
			t.Errorf("after %d: %d events, last %d", after, len(found), last)
		}
	}
}

// Only this machine's names get the feed. A page of another name that leads here could read it otherwise.
func TestFeed_hosts(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for host, status := range map[string]int{
		"localhost:3000": 200, "127.0.0.1:3000": 200, "[::1]:3000": 200, "app.localhost:3000": 200,
		"evil.example:3000": 418, "localhost.evil.example": 418, "": 418,
	} {
		r := httptest.NewRequest("GET", feedPath, nil)
		r.Host = host
		w := httptest.NewRecorder()
		withFeed(next, &feed{}).ServeHTTP(w, r)
		if w.Code != status || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%q gets %d %v", host, w.Code, w.Header())
		}
	}
	w := httptest.NewRecorder()
	withFeed(next, nil).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+feedPath, nil))
	if w.Code != http.StatusTeapot {
		t.Errorf("without a feed: %d", w.Code)
	}
}

// failing is a function of a queue that fails for a time.
type failing struct {
	calls  int
	answer func(call int) ([]byte, error)
}

func (f *failing) Invoke(_ context.Context, payload []byte) ([]byte, error) {
	f.calls++
	var batch awsevents.SQSEvent
	if err := json.Unmarshal(payload, &batch); err != nil || len(batch.Records) != 1 || batch.Records[0].Body != "hello" {
		return nil, fmt.Errorf("a batch of %s", payload)
	}
	return f.answer(f.calls)
}

func TestQueue(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(call int) ([]byte, error)
		calls  int
	}{
		"at once": {func(int) ([]byte, error) { return []byte(`{"batchItemFailures":null}`), nil }, 1},
		"at last": {func(call int) ([]byte, error) {
			switch call {
			case 1:
				return nil, errors.New("down")
			case 2:
				return []byte(`{"batchItemFailures":[{"itemIdentifier":"local"}]}`), nil
			}
			return []byte(`{}`), nil
		}, 3},
		"never": {func(int) ([]byte, error) { return []byte("x"), nil }, maxDeliveries},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &failing{answer: c.answer}
			q := newQueue(f, slog.New(slog.DiscardHandler))
			q.send("hello")
			time.Sleep(2 * maxDeliveries * redeliverAfter)
			q.close()
			if f.calls != c.calls {
				t.Errorf("%s: %d calls", name, f.calls)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := &failing{answer: func(int) ([]byte, error) { return nil, errors.New("down") }}
		q := newQueue(f, slog.New(slog.DiscardHandler))
		q.send("hello")
		synctest.Wait()
		q.close()
		if f.calls != 1 {
			t.Errorf("after it was closed: %d calls", f.calls)
		}
	})
}

var _ lambda.Handler = (*failing)(nil)
