package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"latchkey/local/gateway"
)

// fake is a Lambda that a test writes in place.
type fake func(ctx context.Context, payload []byte) ([]byte, error)

func (f fake) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return f(ctx, payload) }

// echo answers with the event it got.
var echo = fake(func(_ context.Context, payload []byte) ([]byte, error) {
	return json.Marshal(events.APIGatewayV2HTTPResponse{StatusCode: 200, Body: string(payload)})
})

const origin = "https://app.example.com"

func newGateway(t testing.TB, f lambda.Handler) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(parse(t, template),
		map[string]lambda.Handler{"EchoFunction": f, "SlowFunction": f},
		gateway.Options{
			AllowOrigins: []string{origin, "https://second.example.com"},
			Log:          slog.New(slog.DiscardHandler),
		})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// send writes a request as text, so that nothing between test and gateway tidies it,
// and returns the response with its body read.
func send(t testing.TB, f lambda.Handler, request string) (*http.Response, string) {
	t.Helper()
	server := httptest.NewServer(newGateway(t, f))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestServe_unknownRoute(t *testing.T) {
	for _, line := range []string{
		"GET /auth/login", "HEAD /health", "OPTIONS /health", "DELETE /auth/login", "post /auth/login",
		"POST //auth/login", "POST /auth//login", "POST /auth/login/", "POST /Auth/login",
		"POST /auth/../auth/login", "POST /./auth/login", "POST /auth/%6Cogin", "POST /auth/login%2F",
		"POST /auth%2Flogin", "POST /auth/login%00", "POST /auth/login;a=b", "GET /", "GET /state/",
		"GET /state", "GET /state/a/b", "GET /files/7", "GET /files/7/", "GET /state/%zz",
		"GET http://localhost/health",
	} {
		response, body := send(t, echo, line+" HTTP/1.1\nHost: localhost\nConnection: close\n\n")
		// net/http itself refuses what is no URL.
		if strings.Contains(line, "%zz") && response.StatusCode == 400 {
			continue
		}
		if response.StatusCode != 404 {
			t.Errorf("%s: got %s", line, response.Status)
		}
		if body != `{"message":"Not Found"}` && !strings.HasPrefix(line, "HEAD") {
			t.Errorf("%s: got %q", line, body)
		}
		if got := response.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: content type %q", line, got)
		}
	}
}

func TestServe_pathThatDoesNotDecodeTwice(t *testing.T) {
	response, _ := send(t, echo, "GET /state/percent%25done HTTP/1.1\nHost: localhost\n\n")
	if response.StatusCode != 400 {
		t.Errorf("got %s", response.Status)
	}
}

func TestServe_limits(t *testing.T) {
	post := func(length int) string {
		return fmt.Sprintf("POST /auth/login HTTP/1.1\nHost: localhost\nContent-Type: text/plain\nContent-Length: %d\n\n%s",
			length, strings.Repeat("x", length))
	}
	for _, c := range []struct {
		name, request string
		status        int
		body          string
	}{
		{"head at the limit", "GET /health HTTP/1.1\nHost: localhost\nX-A: " + strings.Repeat("a", 10000) + "\n\n", 200, ""},
		{"long header", "GET /health HTTP/1.1\nHost: localhost\nX-A: " + strings.Repeat("a", 10240) + "\n\n", 431, `{"message":"Request Header Fields Too Large"}`},
		{"long query", "GET /health?" + strings.Repeat("a", 10240) + " HTTP/1.1\nHost: localhost\n\n", 431, `{"message":"Request Header Fields Too Large"}`},
		{"body Lambda takes", post(1 << 20), 200, ""},
		{"body Lambda refuses", post(7 << 20), 413, `{"message":"Request Entity Too Large"}`},
		{"body the gateway refuses", post(10<<20 + 1), 413, `{"message":"Request Entity Too Large"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body := send(t, echo, c.request)
			if response.StatusCode != c.status || c.body != "" && body != c.body {
				t.Errorf("got %s %.100q", response.Status, body)
			}
		})
	}
}

// endless is a body without an end that counts what is taken of it.
type endless struct{ taken int }

func (e *endless) Read(b []byte) (int, error) {
	e.taken += len(b)
	return len(b), nil
}

func TestServe_endlessBodyIsNotReadToTheEnd(t *testing.T) {
	body := new(endless)
	recorder := httptest.NewRecorder()
	newGateway(t, echo).ServeHTTP(recorder, httptest.NewRequest("POST", "/auth/login", io.LimitReader(body, 64<<20)))
	if recorder.Code != 413 || body.taken > 11<<20 {
		t.Errorf("got %d after %d bytes", recorder.Code, body.taken)
	}
}

// returning is a function that answers with the given text.
func returning(text string) fake {
	return func(context.Context, []byte) ([]byte, error) { return []byte(text), nil }
}

const get = "GET /health HTTP/1.1\nHost: localhost\n\n"

func TestServe_answer(t *testing.T) {
	response, body := send(t, returning(`{"statusCode":201,"body":"AP8=","isBase64Encoded":true,
		"headers":{"x-a":"1","content-type":"application/x","connection":"close","content-length":"99","access-control-allow-origin":"*"},
		"cookies":["a=1; Path=/","b=2"]}`), get)
	if response.StatusCode != 201 || body != "\x00\xff" {
		t.Errorf("got %s %q", response.Status, body)
	}
	if got := response.Header.Values("Set-Cookie"); fmt.Sprint(got) != "[a=1; Path=/ b=2]" {
		t.Errorf("cookies %q", got)
	}
	for name, want := range map[string]string{
		"X-A": "1", "Content-Type": "application/x", "Connection": "", "Access-Control-Allow-Origin": "", "Vary": "Origin",
	} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := response.Header.Get("Apigw-Requestid"); len(got) != 16 {
		t.Errorf("request id %q", got)
	}
}

func TestServe_answerWithoutContentType(t *testing.T) {
	response, _ := send(t, returning(`{"statusCode":200,"body":"<html>"}`), get)
	if got := response.Header.Get("Content-Type"); got != "text/plain;charset=UTF-8" {
		t.Errorf("got %q", got)
	}
}

func TestServe_functionThatFails(t *testing.T) {
	for name, f := range map[string]fake{
		"error":         func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no") },
		"panic":         func(context.Context, []byte) ([]byte, error) { panic("no") },
		"no JSON":       returning("hello"),
		"empty":         returning(""),
		"no status":     returning(`{"body":"x"}`),
		"status 42":     returning(`{"statusCode":42}`),
		"text status":   returning(`{"statusCode":"200"}`),
		"broken base64": returning(`{"statusCode":200,"body":"%","isBase64Encoded":true}`),
		"too long":      returning(`{"statusCode":200,"body":"` + strings.Repeat("x", 6<<20) + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			response, body := send(t, f, get)
			if response.StatusCode != 500 || body != `{"message":"Internal Server Error"}` {
				t.Errorf("got %s %q", response.Status, body)
			}
		})
	}
}

func TestServe_functionThatIsLate(t *testing.T) {
	for path, c := range map[string]struct {
		after  time.Duration
		status int
	}{
		"/health": {10 * time.Second, 500}, // its own Timeout: the function failed
		"/slow":   {30 * time.Second, 503}, // Timeout 60: the gateway gives up before
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			g := newGateway(t, fake(func(ctx context.Context, _ []byte) ([]byte, error) {
				if deadline, ok := ctx.Deadline(); !ok || deadline.Sub(start) != c.after {
					t.Errorf("%s: deadline in %s", path, deadline.Sub(start))
				}
				<-ctx.Done()
				return nil, ctx.Err()
			}))
			recorder := httptest.NewRecorder()
			g.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
			if recorder.Code != c.status || time.Since(start) != c.after {
				t.Errorf("%s: got %d after %s", path, recorder.Code, time.Since(start))
			}
		})
	}
}

func TestServe_functionOutlivesItsClient(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	g := newGateway(t, fake(func(ctx context.Context, _ []byte) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			t.Errorf("the function was stopped: %v", err)
		}
		return []byte(`{"statusCode":204}`), nil
	}))
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, httptest.NewRequestWithContext(gone, "GET", "/health", nil))
	if recorder.Code != 204 {
		t.Errorf("got %d", recorder.Code)
	}
}

// As many instances as there are requests at once, each kept for the next, and for a minute.
func TestServe_instances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants := func(when string, instances int) {
			synctest.Wait()
			if got := instancesInBubble(); got != instances {
				t.Errorf("%s: %d instances, want %d", when, got, instances)
			}
		}
		g := newGateway(t, fake(func(context.Context, []byte) ([]byte, error) {
			time.Sleep(time.Second)
			return []byte(`{"statusCode":204}`), nil
		}))
		ask := func() { g.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/health", nil)) }
		for range 3 {
			ask()
			wants("after one", 1)
		}
		for _, together := range []int{3, 2, 3} {
			var all sync.WaitGroup
			for range together {
				all.Go(ask)
			}
			all.Wait()
			wants("after some at once", 3)
		}
		time.Sleep(time.Minute)
		wants("a minute later", 0)
	})
}

// instancesInBubble counts the goroutines of instances that the running synctest bubble has.
func instancesInBubble() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for goroutine := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(goroutine, "synctest bubble") && strings.Contains(goroutine, ").instance(") {
			n++
		}
	}
	return n
}

func TestNew_namesEveryMismatch(t *testing.T) {
	_, err := gateway.New(parse(t, template), map[string]lambda.Handler{"SlowFunction": echo, "ThirdFunction": echo}, gateway.Options{})
	want := "function EchoFunction in the template has no handler\nhandler ThirdFunction has no function in the template"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
