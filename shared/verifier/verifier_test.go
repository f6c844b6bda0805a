package verifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
	"latchkey/shared/verifier"
)

const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey-VerifySignatureFunction-AbC"

// contracts answers with an error, and keeps the question.
type contracts struct {
	err   error
	asked chain.Question
	wait  time.Duration // until the context ends, if positive
}

func (c *contracts) Verify(ctx context.Context, q chain.Question) error {
	c.asked = q
	if c.wait > 0 {
		<-ctx.Done()
		return &chain.TroubleError{Chain: q.Chain, RetryAfter: time.Second, Reasons: []string{"URL 1 of 1: no answer in time"}}
	}
	return c.err
}

func question() chain.Question {
	return chain.Question{
		Chain: 8453, Account: common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11"),
		Digest: [32]byte{1, 0xab, 31: 0xff}, Signature: []byte{0, 1, 0xfe},
	}
}

// lambdaService is a fake of Lambda that invokes a handler, and can answer otherwise.
type lambdaService struct {
	handler *verifier.Handler
	reply   func(w http.ResponseWriter, payload []byte)
	calls   atomic.Int64
	path    string
	kind    string
}

func (l *lambdaService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.calls.Add(1)
	l.path, l.kind = r.URL.Path, r.Header.Get("X-Amz-Invocation-Type")
	payload, _ := io.ReadAll(r.Body)
	if l.reply != nil {
		l.reply(w, payload)
		return
	}
	out, err := l.handler.Invoke(r.Context(), payload)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		out = []byte(`{"errorMessage":"x"}`)
	}
	_, _ = w.Write(out)
}

// newClient returns a client of a fake of Lambda, in which a handler asks c.
func newClient(t *testing.T, c api.Contracts) (*verifier.Client, *lambdaService) {
	t.Helper()
	l := &lambdaService{handler: verifier.NewHandler(c, slog.New(slog.DiscardHandler), nil)}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	role := awstest.Role("http://127.0.0.1:1")
	return verifier.NewClient(awsenv.Environment{Getenv: func(name string) string {
		if name == "AWS_ENDPOINT_URL_LAMBDA" {
			return server.URL
		}
		return role(name)
	}, Now: time.Now}, functionARN), l
}

// What the chain says arrives as if this process had asked it: the two implementations of api.Contracts are one.
func TestClient_isTheVerifier(t *testing.T) {
	for name, err := range map[string]error{
		"accepted": nil,
		"refused":  fmt.Errorf("%w: the answer is not the magic value", chain.ErrRefused),
		"disagree": chain.ErrDisagree,
		"no chain": chain.ErrNoChain,
		"trouble":  &chain.TroubleError{Chain: 8453, RetryAfter: 9 * time.Second, Reasons: []string{"URL 1 of 2: status 500, URL 2 of 2: no answer in time"}},
	} {
		for _, signature := range [][]byte{{}, {0, 1, 0xfe}, make([]byte, 8<<10)} {
			c := &contracts{err: err}
			client, l := newClient(t, c)
			q := question()
			q.Signature = signature
			got := client.Verify(context.Background(), q)
			if !reflect.DeepEqual(got, err) && (got == nil || err == nil || got.Error() != err.Error() || !errors.Is(got, chain.ErrRefused)) {
				t.Errorf("%s: got %#v, want %#v", name, got, err)
			}
			if len(c.asked.Signature) == 0 {
				c.asked.Signature = signature
			}
			if !reflect.DeepEqual(c.asked, q) {
				t.Errorf("%s: the chain was asked %+v", name, c.asked)
			}
			if l.calls.Load() != 1 || !strings.HasPrefix(l.path, "/2015-03-31/functions/"+functionARN) || l.kind != "" && l.kind != "RequestResponse" {
				t.Errorf("%d invocations of %s, %s", l.calls.Load(), l.path, l.kind)
			}
		}
	}
}

// answered is an answer to question() with one change.
func answered(change func(map[string]any)) []byte {
	a := map[string]any{
		"chain": 8453, "account": question().Account.Hex(), "digest": "0x01ab" + strings.Repeat("00", 29) + "ff",
		"result": "accepted", "reason": "", "retryAfterSeconds": 0,
	}
	change(a)
	text, _ := json.Marshal(a)
	return text
}

func set(name string, value any) func(map[string]any) {
	return func(a map[string]any) { a[name] = value }
}

// Nothing but a complete answer to this very question is an answer. All else says nothing about the signature.
func TestClient_trouble(t *testing.T) {
	if err := verifier.Read(question(), answered(func(map[string]any) {})); err != nil {
		t.Fatalf("the answer itself: %v", err)
	}
	other := question()
	other.Account[19]++
	answers := map[string][]byte{
		"nothing": nil, "null": []byte("null"), "a list": []byte("[]"), "cut": answered(func(map[string]any) {})[1:],
		"another chain":     answered(set("chain", 1)),
		"another account":   answered(set("account", other.Account.Hex())),
		"another digest":    answered(set("digest", "0x"+strings.Repeat("00", 32))),
		"lower case":        answered(set("account", strings.ToLower(question().Account.Hex()))),
		"an unknown result": answered(set("result", "maybe")),
		"no reason":         answered(func(a map[string]any) { delete(a, "reason") }),
		"one more member":   answered(set("more", 1)),
		"another name":      answered(func(a map[string]any) { delete(a, "reason"); a["Reason"] = "" }),
		"a text for chain":  answered(set("chain", "8453")),
		"a fraction":        answered(set("retryAfterSeconds", 1.5)),
		"a day":             answered(set("retryAfterSeconds", 86400)),
		"twice":             []byte(`{"chain":8453,` + string(answered(func(map[string]any) {}))[1:]),
		"an event's error":  []byte(`{"errorMessage":"x","errorType":"errorString"}`),
	}
	for name, payload := range answers {
		expectTrouble(t, name, verifier.Read(question(), payload))
	}
	replies := map[string]func(w http.ResponseWriter, payload []byte){
		"a throttle": func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}`)
		},
		"no permission": func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
		},
		"a server's error": func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusBadGateway) },
		"accepted for an asynchronous invocation": func(w http.ResponseWriter, _ []byte) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write(answered(func(map[string]any) {}))
		},
		"a function error beside an answer": func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write(answered(func(map[string]any) {}))
		},
		"a connection that ends": func(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) },
	}
	for name, reply := range replies {
		client, l := newClient(t, &contracts{})
		l.reply = reply
		expectTrouble(t, name, client.Verify(context.Background(), question()))
		if n := l.calls.Load(); n != 1 {
			t.Errorf("%s: invoked %d times", name, n)
		}
	}
}

func expectTrouble(t *testing.T, what string, err error) {
	t.Helper()
	trouble, ok := errors.AsType[*chain.TroubleError](err)
	if !ok || trouble.Chain != 8453 || trouble.RetryAfter < time.Second || len(trouble.Reasons) != 1 {
		t.Errorf("%s: %#v", what, err)
		return
	}
	// What the request is signed with, or what the verifier printed, is no reason.
	for _, hidden := range []string{"session+token", "errorMessage", "0x01ab"} {
		if strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A caller that goes away, or whose time ends, does not wait for the answer.
func TestClient_deadline(t *testing.T) {
	client, l := newClient(t, &contracts{})
	end := make(chan struct{})
	defer close(end)
	l.reply = func(http.ResponseWriter, []byte) { <-end }
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := client.Verify(ctx, question())
	expectTrouble(t, "a deadline", err)
	if !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("got %v", err)
	}
}

// The verifier answers before its own deadline, and logs and counts that a chain could not be asked.
func TestHandler_trouble(t *testing.T) {
	var log lambdatest.Output
	counted := map[api.Metric]float64{}
	h := verifier.NewHandler(&contracts{wait: time.Minute}, slog.New(slog.NewJSONHandler(&log, nil)), func(m api.Metric, v float64) { counted[m] += v })
	ctx, cancel := context.WithTimeout(context.Background(), 600*time.Millisecond)
	defer cancel()
	payload, err := h.Invoke(ctx, eventOf(question()))
	if err != nil || ctx.Err() != nil || !strings.Contains(string(payload), `"result":"trouble","reason":"URL 1 of 1: no answer in time","retryAfterSeconds":1`) {
		t.Errorf("answered %s, %v, %v", payload, err, ctx.Err())
	}
	if counted[api.Faults] != 1 || !strings.Contains(log.String(), `"msg":"RPC did not answer","chain":8453`) {
		t.Errorf("counted %v, logged %s", counted, &log)
	}
}

func eventOf(q chain.Question) []byte {
	text, _ := json.Marshal(map[string]any{
		"chain": q.Chain, "account": q.Account.Hex(), "digest": fmt.Sprintf("0x%x", q.Digest), "signature": fmt.Sprintf("0x%x", q.Signature),
	})
	return text
}

// An event of anybody else fails, asks no chain, and is not repeated.
func TestHandler_otherEvents(t *testing.T) {
	good := string(eventOf(question()))
	for name, event := range map[string]string{
		"nothing": "", "null": "null", "a request": `{"version":"2.0","routeKey":"POST /auth/login"}`, "a list": "[1,2,3,4]",
		"chain 0":           strings.Replace(good, "8453", "0", 1),
		"a chain as text":   strings.Replace(good, "8453", `"8453"`, 1),
		"a short digest":    strings.Replace(good, `"digest":"0x01`, `"digest":"0x`, 1),
		"no prefix":         strings.Replace(good, `"signature":"0x`, `"signature":"`, 1),
		"upper case":        strings.Replace(good, "0001fe", "0001FE", 1),
		"half a byte":       strings.Replace(good, "0001fe", "0001f", 1),
		"a wrong checksum":  strings.ToLower(good),
		"a URL beside":      strings.Replace(good, `{`, `{"url":"https://s3cret.example",`, 1),
		"the chain twice":   strings.Replace(good, `{`, `{"chain":8453,`, 1),
		"text after it":     good + "{}",
		"a negative number": strings.Replace(good, "8453", "-1", 1),
	} {
		c := &contracts{}
		out, err := verifier.NewHandler(c, slog.New(slog.DiscardHandler), nil).Invoke(context.Background(), []byte(event))
		if err == nil || out != nil || c.asked.Chain != 0 || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %s, %v; asked %+v", name, out, err, c.asked)
		}
	}
}

// FuzzEvent holds that an event which is taken is exactly what a client writes for the question that was asked.
func FuzzEvent(f *testing.F) {
	f.Add(eventOf(question()))
	f.Add([]byte(`{"chain":1,"account":"0x","digest":"0x","signature":"0x"}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		c := &contracts{}
		out, err := verifier.NewHandler(c, slog.New(slog.DiscardHandler), nil).Invoke(context.Background(), event)
		if err != nil {
			if c.asked.Chain != 0 || out != nil {
				t.Errorf("%q is refused, and the chain was asked", event)
			}
			return
		}
		var got, want map[string]any
		if json.Unmarshal(event, &got) != nil || json.Unmarshal(eventOf(c.asked), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q was taken for %+v", event, c.asked)
		}
		if err := verifier.Read(c.asked, out); err != nil {
			t.Errorf("the answer to %q is not taken: %v", event, err)
		}
	})
}

// FuzzAnswer holds that an answer counts only if it repeats the question, and that every other one is trouble.
func FuzzAnswer(f *testing.F) {
	for _, result := range []string{"accepted", "refused", "no_chain", "trouble", "maybe"} {
		f.Add(answered(set("result", result)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		err := verifier.Read(question(), payload)
		if trouble, ok := errors.AsType[*chain.TroubleError](err); ok {
			if trouble.RetryAfter < time.Second || trouble.RetryAfter > time.Minute {
				t.Errorf("%q: retry after %v", payload, trouble.RetryAfter)
			}
			return
		}
		var a struct {
			Chain                   uint64
			Account, Digest, Result string
		}
		result := "accepted"
		switch {
		case errors.Is(err, chain.ErrRefused):
			result = "refused"
		case errors.Is(err, chain.ErrNoChain):
			result = "no_chain"
		}
		if json.Unmarshal(payload, &a) != nil || a.Chain != 8453 || a.Account != question().Account.Hex() ||
			!strings.HasPrefix(a.Digest, "0x01ab00") || a.Result != result {
			t.Errorf("%q is taken as %v", payload, err)
		}
	})
}
