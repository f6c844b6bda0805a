package answers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/local/answers"
	"latchkey/local/test/lambdatest"
)

// TestMain lets the test binary be a process that collects.
func TestMain(m *testing.M) {
	if os.Getenv("COLLECT") != "" {
		collect()
		return
	}
	os.Exit(m.Run())
}

// echo answers with the body of the request and the status that it asks for.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Nothing") == "" {
		_, _ = w.Write(body)
	}
	w.Header().Set("Late", "is not sent")
})

// function answers every event with a cookie and a body.
type function string

func (f function) Invoke(context.Context, []byte) ([]byte, error) { return []byte(f), nil }

func collect() {
	h := answers.Record(echo)
	for _, body := range []string{
		`{"id":"a1b2","code":"not_found"}`, `{"id":"c3d4","code":"not_found"}`, // the same but for the id
		`{"id":"a1b2","code":"conflict"}`, `{"id":"a1b2","more":1,"code":"conflict"}`, `[{"a":1},{"a":2}]`, `[{"a":3}]`,
	} {
		r := httptest.NewRequest("POST", "/api/state/a1?token=x", strings.NewReader(body))
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	for _, path := range []string{"/api/admin/users/0xA1/block", "/api/admin/users/0xB2/block", "/api/admin/users/0xA1/unblock"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", path, strings.NewReader("{}")))
	}
	for _, body := range []string{`{"n":1,"is":true}`, `{"n":2,"is":true}`, `{"n":-1,"is":true}`, `{"n":1.5,"is":true}`, `{"n":1,"is":false}`} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/auth/ticket", strings.NewReader(body)))
	}
	nothing := httptest.NewRequest("GET", "/health", nil)
	nothing.Header.Set("Nothing", "1")
	h.ServeHTTP(httptest.NewRecorder(), nothing)

	e := lambdatest.NewEvent("POST", "/auth/login")
	e.Body, e.IsBase64Encoded, e.Headers["content-type"] = "e30=", true, "application/json"
	e.RawQueryString, e.Headers["if-match"] = "ttl=5", `"a", "b"`
	payload, _ := json.Marshal(e)
	f := answers.Handler(function(`{"statusCode":204,"headers":{"x-request-id":"1"},"cookies":["a=1","b=2"]}`))
	_, _ = f.Invoke(context.Background(), payload)
	_, _ = answers.Handler(function(`{"isAuthorized":true}`)).Invoke(context.Background(), payload)
	_, _ = f.Invoke(context.Background(), []byte(`{"type":"TOKEN"}`))
	answers.Skip("no chromium")
	answers.Skip("no chromium")
	fmt.Printf("%q", answers.Environment())
}

// run collects in a process, and returns what it wrote.
func run(t *testing.T, variables ...string) []answers.Answer {
	t.Helper()
	folder := t.TempDir()
	c := exec.Command(os.Args[0])
	c.Env = append([]string{"COLLECT=1", "ANSWERS=" + folder}, variables...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(folder, "latchkey_*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("wrote %q, %v", files, err)
	}
	got, err := answers.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCollect(t *testing.T) {
	got := run(t)
	if len(got) != 13 {
		t.Fatalf("%d answers: %+v", len(got), got)
	}
	for _, a := range got {
		if a.Package != "latchkey/local/answers" {
			t.Errorf("of the package %q", a.Package)
		}
	}
	first := got[0]
	if first.Method != "POST" || first.Path != "/api/state/a1" || first.Status != 200 || first.Body != first.Sent ||
		first.Body != `{"id":"a1b2","code":"not_found"}` || first.Header.Get("Late") != "" ||
		first.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v", first)
	}
	if empty := got[10]; empty.Method != "GET" || empty.Status != 200 || empty.Body != "" {
		t.Errorf("%+v", empty)
	}
	event := got[11]
	if event.Status != 204 || event.Path != "/auth/login" || event.Sent != "{}" || event.SentType != "application/json" ||
		event.Header.Get("X-Request-Id") != "1" || !slices.Equal(event.Header["Set-Cookie"], []string{"a=1", "b=2"}) {
		t.Errorf("%+v", event)
	}
	if event.Query != "ttl=5" || event.Asked.Get("If-Match") != `"a", "b"` || len(event.Asked) != 1 || first.Query != "token=x" {
		t.Errorf("%+v, %+v", event, first)
	}
	if got[12].Skipped != "no chromium" || got[12].Status != 0 {
		t.Errorf("%+v", got[12])
	}
}

// A process that a test starts collects for the package of the test.
func TestCollect_package(t *testing.T) {
	for _, a := range run(t, "ANSWERS_PACKAGE=latchkey/client") {
		if a.Package != "latchkey/client" {
			t.Errorf("of the package %q", a.Package)
		}
	}
}

// Without a folder nothing is written, and a process that a test starts gets no
// variables.
func TestCollect_off(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env, c.Dir = []string{"COLLECT=1"}, t.TempDir()
	if out, err := c.CombinedOutput(); err != nil || string(out) != "[]" {
		t.Errorf("%v: %s", err, out)
	}
	if written, err := os.ReadDir(c.Dir); err != nil || len(written) > 0 {
		t.Errorf("wrote %v, %v", written, err)
	}
}

// A folder that does not exist ends the process: nothing is lost in silence.
func TestCollect_noFolder(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = []string{"COLLECT=1", "ANSWERS=" + filepath.Join(t.TempDir(), "none")}
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "collecting answers") {
		t.Errorf("%v: %s", err, out)
	}
}
