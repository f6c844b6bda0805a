package lambdahttp_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"latchkey/local/answers"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/api"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"
	"latchkey/shared/session"
)

// The host that a browser asked for chooses among the configured domains, where the browser says that the page has it too.
func TestInvoke_hostOfThePage(t *testing.T) {
	ask := nonces(t)
	for host, want := range map[string]string{"b.example": "b.example", "a.example": "a.example", "evil.example": "a.example", "": "a.example"} {
		if got := ask(map[string]string{"host": host, "sec-fetch-site": "same-origin"}); got != want {
			t.Errorf("at %q the domain is %q, want %q", host, got, want)
		}
	}
	if got := ask(map[string]string{"host": "b.example", "Host": "b.example", "sec-fetch-site": "same-origin"}); got != "a.example" {
		t.Errorf("with two hosts the domain is %q", got)
	}
	if got := ask(map[string]string{"host": "b.example"}); got != "a.example" {
		t.Errorf("to a script the domain is %q", got)
	}
}

// nonces returns the domain of a nonce, by the headers of its event.
func nonces(t *testing.T) func(map[string]string) string {
	r := redistest.Embedded(t)
	ring, err := seal.NewRing(r.Prefix, make([]byte, 32), seal.EnvironmentKey(make([]byte, 32), make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	store := session.NewStore(r.Product(), ring, session.Options{Prefix: r.Prefix}, time.Now)
	edge := api.New(api.Config{Domains: []string{"a.example", "b.example"}, ChainIDs: []uint64{1}}, store, slog.New(slog.DiscardHandler), time.Now)
	h := answers.Handler(lambdahttp.NewHandler(edge.Nonce(), "a.example"))
	return func(headers map[string]string) string {
		e := lambdatest.NewEvent("GET", "/auth/nonce")
		e.Headers = headers
		payload, err := h.Invoke(context.Background(), e.JSON(t))
		if err != nil {
			t.Fatal(err)
		}
		answer := lambdatest.DecodeResponse(t, payload)
		var view struct{ Domain string }
		if err := json.Unmarshal([]byte(answer.Body), &view); err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%d %s: %v", answer.StatusCode, answer.Body, err)
		}
		return view.Domain
	}
}
