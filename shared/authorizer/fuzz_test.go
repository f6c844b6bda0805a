package authorizer_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/local/redistest"
	"latchkey/shared/session"
)

// No event makes a panic, an answer that is none, or an allowed request without a valid token in it.
func FuzzInvoke(f *testing.F) {
	w := newWorld(f, redistest.Embedded(f), func(s *settings) { s.rules = rules(f, "GET /orders*=orders:read") })
	g := w.signIn(alice, session.Bearer)
	for _, s := range shapes {
		text, err := os.ReadFile(filepath.Join("testdata", string(s)+".json"))
		must(f, err)
		f.Add(text)
		f.Add(newEvent(f, s).bearer("TOKEN").payload())
		f.Add(newEvent(f, s).bearer("TOKEN").set("1.0", "version").payload())
		if s != restToken {
			f.Add(newEvent(f, s).cookie("__Host-session=TOKEN").header("Origin", origin).payload())
			f.Add(newEvent(f, s).header("Sec-WebSocket-Protocol", "latchkey, TOKEN").payload())
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, token := range []string{g.RefreshToken, g.AccessToken} {
			payload := bytes.ReplaceAll(text, []byte("TOKEN"), []byte(token))
			got := read(t, func() ([]byte, error) { return w.Invoke(ctx, payload) })
			switch got.verdict {
			case "deny":
			case "Unauthorized":
				if got.text != "" {
					t.Errorf("Unauthorized with %s", got.text)
				}
			case "allow":
				if token != g.AccessToken || !holds(payload, token) || got.context["sessionId"] != g.Session.ID.String() {
					t.Errorf("allowed %s", payload)
				}
			default:
				t.Errorf("error %s", got.verdict)
			}
		}
		if strings.Contains(w.log.text(), `"stack"`) || strings.Contains(w.log.text(), g.AccessToken) {
			t.Errorf("logged %s", w.log.text())
		}
		w.log.mu.Lock()
		w.log.Reset()
		w.log.mu.Unlock()
	})
}

// holds tells whether a text stands in JSON, whichever way its letters are written.
func holds(payload []byte, text string) bool {
	var any any
	if json.Unmarshal(payload, &any) != nil {
		return false
	}
	plain, err := json.Marshal(any)
	return err == nil && bytes.Contains(plain, []byte(text))
}

// An answer is the same for one event whenever it is asked, whatever order a map has.
func TestInvoke_deterministic(t *testing.T) {
	w := newWorld(t, redistest.Embedded(t))
	g := w.signIn(alice, session.Bearer)
	e := newEvent(t, restRequest).bearer(g.AccessToken).set("Basic eDp5", "headers", "authorization").set("Basic eDp5", "headers", "AUTHORIZATION")
	for range 50 {
		w.refused("three spellings", "invalid_request", e)
	}
}
