package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/local/test/report"
	"latchkey/shared/events"
)

// The receivers in docs/events.md run as they are there, against what is really posted.

const hookMain = `package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := Verify(r, os.Getenv("SECRET"))
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
		w.Write(body)
	})))
}

`

const hookModule = `
import { createServer } from 'node:http'
const server = createServer(async (request, response) => {
  const parts = []
  for await (const part of request) parts.push(part)
  const event = verify(request.headers, Buffer.concat(parts), process.env.SECRET)
  response.writeHead(event ? 200 : 401).end(event && JSON.stringify(event))
})
server.listen(0, '127.0.0.1', () => console.log('127.0.0.1:' + server.address().port))
`

// receiverOf returns how the page's receiver of a language is started. Without its program a test is skipped, and fails
// in CI.
func receiverOf(t *testing.T, language string) *exec.Cmd {
	t.Helper()
	_, block, _ := strings.Cut(section(t, "docs/events.md", "Webhooks"), "```"+language+"\n")
	code, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatalf("docs/events.md has no code in %s", language)
	}
	dir := t.TempDir()
	if language == "js" {
		path, err := exec.LookPath("node")
		if err != nil {
			report.Missing(t, "no node found: install Node 20 or later")
		}
		file := filepath.Join(dir, "receiver.mjs")
		write(t, file, code+"\n"+hookModule)
		return exec.Command(path, file)
	}
	write(t, filepath.Join(dir, "go.mod"), "module receiver\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), hookMain+code+"\n")
	for _, args := range [][]string{{"vet", "."}, {"build", "-o", "receiver", "."}} {
		c := exec.Command("go", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return exec.Command(filepath.Join(dir, "receiver"))
}

func TestEvents_receivers(t *testing.T) {
	for _, language := range []string{"go", "js"} {
		t.Run(language, func(t *testing.T) { testReceiver(t, receiverOf(t, language)) })
	}
}

const hookSecret, otherSecret = "whsec_dko4cjNUcVh6MExtWXc1S2RCOXNIZk4y", "whsec_UTR4OVdiWjF0Ums2Vm5NajBTZzhGeUNv"

func testReceiver(t *testing.T, program *exec.Cmd) {
	t.Helper()
	s := &server{command: program}
	s.command.Env, s.command.Stderr = append(os.Environ(), "SECRET="+hookSecret), &s.errs
	s.begin(t)
	address := "http://" + strings.TrimSpace(s.ready)
	all := []events.Delivery{{Type: "account.blocked", Message: events.Message{V: 1, ID: "id", Time: "2026-11-23T10:00:00.000Z", Device: "Zoë’s 💻"}}}
	ago := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(-d) } }
	send := func(target, secrets string, now func() time.Time) events.Result {
		t.Helper()
		w, err := events.NewWebhook(target, secrets, now)
		if err != nil {
			t.Fatal(err)
		}
		results, _ := w.Send(context.Background(), all)
		return results[0]
	}
	for _, c := range []struct {
		secrets string
		now     func() time.Time
		want    events.Result
	}{
		{hookSecret, time.Now, events.Accepted},
		{hookSecret + "," + otherSecret, time.Now, events.Accepted},
		{otherSecret + "," + hookSecret, time.Now, events.Accepted},
		{otherSecret, time.Now, events.Failed},
		{hookSecret, ago(4 * time.Minute), events.Accepted},
		{hookSecret, ago(6 * time.Minute), events.Failed},
		{hookSecret, ago(-6 * time.Minute), events.Failed},
	} {
		if got := send(address, c.secrets, c.now); got != c.want {
			t.Errorf("secrets %s: %v, want %v", c.secrets, got, c.want)
		}
	}
	header, body := recorded(t, func(url string) { send(url, hookSecret, time.Now) })
	for name, change := range map[string]func(http.Header, *[]byte){
		"nothing":         func(http.Header, *[]byte) {},
		"another body":    func(_ http.Header, b *[]byte) { *b = bytes.Replace(*b, []byte("blocked"), []byte("erased"), 1) },
		"another id":      func(h http.Header, _ *[]byte) { h.Set("Webhook-Id", "di") },
		"another time":    func(h http.Header, _ *[]byte) { h.Set("Webhook-Timestamp", fmt.Sprint(time.Now().Unix()-1)) },
		"no time":         func(h http.Header, _ *[]byte) { h.Del("Webhook-Timestamp") },
		"an odd time":     func(h http.Header, _ *[]byte) { h.Set("Webhook-Timestamp", "NaN") },
		"no signature":    func(h http.Header, _ *[]byte) { h.Del("Webhook-Signature") },
		"an empty one":    func(h http.Header, _ *[]byte) { h.Set("Webhook-Signature", "v1,") },
		"other versions":  func(h http.Header, _ *[]byte) { h.Set("Webhook-Signature", "v2"+h.Get("Webhook-Signature")[2:]) },
		"bytes over 127":  func(h http.Header, _ *[]byte) { h.Set("Webhook-Signature", "v1,"+strings.Repeat("\xe9", 44)) },
		"a shorter start": func(h http.Header, _ *[]byte) { h.Set("Webhook-Signature", h.Get("Webhook-Signature")[:20]) },
	} {
		h, b := header.Clone(), bytes.Clone(body)
		change(h, &b)
		status, answer := post(t, address, h, b)
		if (status == http.StatusOK) != (name == "nothing") || (answer == "") != (name != "nothing") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}

// recorded returns what send posts.
func recorded(t *testing.T, send func(url string)) (header http.Header, body []byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	send(server.URL)
	return header, body
}

func post(t *testing.T, url string, header http.Header, body []byte) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
