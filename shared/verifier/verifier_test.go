package verifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/lambdatest"
	"latchkey/shared/api"
	"latchkey/shared/chain"
	"latchkey/shared/verifier"
)

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
func TestReadAnswer_trouble(t *testing.T) {
	if err := verifier.ReadAnswer(question(), answered(func(map[string]any) {})); err != nil {
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
		expectTrouble(t, name, verifier.ReadAnswer(question(), payload))
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
		if err := verifier.ReadAnswer(c.asked, out); err != nil {
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
		err := verifier.ReadAnswer(question(), payload)
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
