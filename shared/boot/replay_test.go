package boot_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/ethereum/go-ethereum/common"

	"latchkey/local/test/messages"
	"latchkey/local/test/redistest"
	"latchkey/shared/awsenv"
	"latchkey/shared/boot"
	"latchkey/shared/session"
	"latchkey/shared/token"
)

// hook is a receiver of webhooks that checks what it gets.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	bodies []string
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = messages.ValidateBody(r.Header, body)
		}
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies = append(h.bodies, string(body))
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

// publisherOf is the function that publishes to a webhook, and its service.
func publisherOf(t *testing.T, h *hook) (lambda.Handler, *boot.Service) {
	t.Helper()
	cfg := mustLoad(t, deployed("APP_ENV", "local", "EVENTS", "webhook", "EVENT_WEBHOOK_URL", h.URL+"/?token=t0ken",
		"EVENT_WEBHOOK_SECRET", "whsec_dko4cjNUcVh6MExtWXc1S2RCOXNIZk4y"))
	embedded := redistest.Embedded(t)
	cfg.Redis.Addr, cfg.Session.Prefix = embedded.Addr, embedded.Prefix
	service, err := boot.New(cfg, boot.NewLogger(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	return service.Publisher(cfg, awsenv.New(boot.NewLogger(io.Discard)), nil), service
}

// An operator's payload replays the activity of one account, and a schedule's publishes.
func TestReplay(t *testing.T) {
	h := newHook(t)
	publisher, service := publisherOf(t, h)
	account := token.KeyAccount(common.HexToAddress("0xA11CE00000000000000000000000000000000001"))
	g, err := service.SignIn(t.Context(), session.Login{Nonce: "1", Account: account, ChainID: 1, Client: session.Client{Transport: session.Bearer}})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if _, err := publisher.Invoke(short, []byte(`{"source":"aws.events","detail":{"replay":{"user":"x"}}}`)); err != nil || len(h.bodies) != 1 {
		t.Fatalf("published %q, %v", h.bodies, err)
	}
	if strings.Contains(h.bodies[0], "replayed") || !strings.Contains(h.bodies[0], `"sequence"`) {
		t.Errorf("published %s", h.bodies[0])
	}
	for _, user := range []string{account.String(), strings.ToLower(account.String()), g.Session.ID.User.String(), g.Session.ID.String()} {
		h.bodies = nil
		answer, err := publisher.Invoke(t.Context(), []byte(`{"replay":{"user":"`+user+`"}}`))
		if err != nil || string(answer) != `{"sent":1,"refused":0}` || len(h.bodies) != 1 {
			t.Fatalf("%s: answered %s, %v, sent %q", user, answer, err, h.bodies)
		}
		if body := h.bodies[0]; !strings.Contains(body, `"replayed":true`) || strings.Contains(body, `"sequence"`) || !strings.Contains(body, g.Session.ID.String()) {
			t.Errorf("replayed %s", body)
		}
	}
	h.bodies, h.status = nil, http.StatusInternalServerError
	answer, err := publisher.Invoke(t.Context(), []byte(`{"replay":{"user":"`+account.String()+`"}}`))
	if err == nil || answer != nil || !strings.Contains(err.Error(), "replaying: 0 were sent: event 1 of 1 was not accepted") ||
		!strings.Contains(err.Error(), "status 500") || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("a receiver that fails: %s, %v", answer, err)
	}
}

// A payload that asks for a replay in another way is refused, and its text is not repeated.
func TestReplay_malformed(t *testing.T) {
	h := newHook(t)
	publisher, _ := publisherOf(t, h)
	for payload, says := range map[string]string{
		`{"replay":null}`:                                                  "the payload must be",
		`{"replay":"lka_s3"}`:                                              "the payload must be",
		`{"replay":{}}`:                                                    "the payload must be",
		`{"replay":{"user":["lka_s3"]}}`:                                   "the payload must be",
		`{"replay":{"user":"0x1","more":1}}`:                               "the payload must be",
		`{"replay":{"user":"0x1"},"more":1}`:                               "the payload must be",
		`{"replay":{"user":"0x1","user":"lka_s3"}}`:                        "replaying: ",
		`{"replay":{"user":"lka_s3"}}`:                                     "address must be an address, a CAIP-10 account",
		`{"replay":{"user":"0x12"}}`:                                       "40 hexadecimal digits",
		`{"replay":{"user":"0x0000000000000000000000000000000000000009"}}`: "no event that is published",
	} {
		answer, err := publisher.Invoke(t.Context(), []byte(payload))
		if err == nil || answer != nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "replaying: ") || strings.Contains(err.Error(), "lka_s3") {
			t.Errorf("%s: %s, %v", payload, answer, err)
		}
	}
	if len(h.bodies) != 0 {
		t.Errorf("sent %q", h.bodies)
	}
}

// FuzzReplay holds that a payload asks for a replay only in the one form, of an account that it names, and that a refusal
// repeats nothing of it.
func FuzzReplay(f *testing.F) {
	const user = "0x90F8bf6A479f320ead074411a4B0e7944Ea8c9C1"
	for _, payload := range []string{
		`{"replay":{"user":"` + user + `"}}`, `{"replay":{"user":"QAmTJk-VTzf_iSs2261bIA"}}`, `{"version":"0","source":"aws.scheduler"}`,
		`{"replay":null}`, `{"replay":{"user":"x"},"replay":{}}`, "", "null", "\xff", `{"Replay":{"user":"` + user + `"}}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		of, asked, err := boot.ReplayOf(payload)
		switch {
		case err != nil && asked:
			t.Errorf("%q is refused, and asks", payload)
		case err != nil:
			var text struct{ Replay struct{ User string } }
			_ = json.Unmarshal(payload, &text)
			if user := text.Replay.User; len(user) > 15 && strings.Contains(err.Error(), user) {
				t.Errorf("%q is repeated: %v", user, err)
			}
		case asked:
			var text map[string]map[string]string
			if json.Unmarshal(payload, &text) != nil || len(text) != 1 || len(text["replay"]) != 1 {
				t.Fatalf("%q asks", payload)
			}
			if named, err := token.ParseReference(text["replay"]["user"]); err != nil || named != of {
				t.Errorf("%q asks of %v, %v", payload, of, err)
			}
		case of != (token.Reference{}):
			t.Errorf("%q does not ask, of %v", payload, of)
		}
	})
}
