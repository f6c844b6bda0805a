package verifierclient_test

import (
	"context"
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
	"latchkey/shared/api"
	"latchkey/shared/awsenv"
	"latchkey/shared/chain"
	"latchkey/shared/verifier"
	"latchkey/shared/verifierclient"
)

const functionARN = "arn:aws:lambda:eu-central-1:123456789012:function:latchkey-VerifySignatureFunction-AbC"

// contracts answers with an error, and keeps the question.
type contracts struct {
	err   error
	asked chain.Question
}

func (c *contracts) Verify(_ context.Context, q chain.Question) error {
	c.asked = q
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
func newClient(t *testing.T, c api.Contracts) (api.Contracts, *lambdaService) {
	t.Helper()
	l := &lambdaService{handler: verifier.NewHandler(c, slog.New(slog.DiscardHandler), nil)}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	role := awstest.Role("http://127.0.0.1:1")
	return verifierclient.New(awsenv.Environment{Getenv: func(name string) string {
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

// answer is the answer to question() that accepts its signature.
const answer = `{"chain":8453,"account":"0xcA11bde05977b3631167028862bE2a173976CA11","digest":"0x01ab` +
	`0000000000000000000000000000000000000000000000000000000000ff","result":"accepted","reason":"","retryAfterSeconds":0}`

// An invocation that fails says nothing about the signature, even if there is an answer beside it.
func TestClient_trouble(t *testing.T) {
	if err := verifier.ReadAnswer(question(), []byte(answer)); err != nil {
		t.Fatalf("the answer itself: %v", err)
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
			_, _ = io.WriteString(w, answer)
		},
		"a function error beside an answer": func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, answer)
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
