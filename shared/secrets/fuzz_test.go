package secrets_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/shared/awsenv"
	"latchkey/shared/secrets"
)

// FuzzRotation holds that Secrets Manager is asked about our own secret alone,
// and only for a step that is one; every other event fails without a call, and
// no failure repeats an event.
func FuzzRotation(f *testing.F) {
	var asked, about atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked.Add(1)
		if bytes.Contains(body, []byte(`"`+keysARN+`"`)) {
			about.Add(1)
		}
		_, _ = w.Write([]byte(`{"RotationEnabled":false}`))
	}))
	f.Cleanup(server.Close)
	getenv := func(name string) string {
		return map[string]string{
			"SESSION_KEYS_SECRET_ARN": keysARN, "AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
		}[name]
	}
	rotation, err := secrets.NewRotation(awsenv.Environment{Getenv: getenv, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	steps := []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	for _, step := range append(steps, "deleteSecret", "") {
		f.Add(awstest.RotationStep(step, keysARN, "a-token-of-the-event"))
	}
	f.Add(awstest.RotationStep("createSecret", keysARN+"x", "a-token-of-the-event"))
	f.Add(awstest.RotationStep("createSecret", keysARN, ""))
	f.Add([]byte(`{"step":"setSecret","SECRETID":"` + keysARN + `","ClientRequestToken":"t","ClientRequestToken":7}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		asked.Store(0)
		about.Store(0)
		result, err := rotation.Invoke(context.Background(), payload)
		var e struct{ Step, SecretID, ClientRequestToken string }
		read := json.Unmarshal(payload, &e) == nil
		calls := int64(0)
		if read && slices.Contains(steps, e.Step) && e.SecretID == keysARN && e.ClientRequestToken != "" {
			calls = 1
		}
		if err == nil || result != nil || asked.Load() != calls || about.Load() != calls {
			t.Fatalf("%q: %q, %v, after %d calls", payload, result, err, asked.Load())
		}
		if len(payload) > 15 && strings.Contains(err.Error(), string(payload)) {
			t.Errorf("%q is repeated: %v", payload, err)
		}
	})
}
