package boot_test

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/boot"
	"latchkey/shared/config"
)

const host = "app.example.com"

// What only the gateway knows comes from the event itself, whatever the headers
// say (attack cases 41 and 33).
func TestInvoke_call(t *testing.T) {
	var written lambdatest.Output
	cfg := mustLoad(t, deployed())
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	service, err := boot.New(cfg, boot.NewLogger(&written))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	bridge := newHandler(service.API.Health(), host)
	tests := []struct{ source, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"::ffff:203.0.113.7", "203.0.113.7"},
		{"2001:DB8:0:0::7", "2001:db8::7"},
		{"fe80::1%eth0", "fe80::1"},
		{"203.0.113.7:39870", "203.0.113.7"}, // with mutual TLS
		{"[2001:db8::7]:443", "2001:db8::7"},
		{"198.51.100.1, 203.0.113.7", ""},
		{"evil", ""},
		{"", ""},
	}
	for _, tt := range tests {
		e := lambdatest.NewEvent("GET", "/health")
		e.RequestContext.HTTP.SourceIP = tt.source
		for _, name := range []string{"x-forwarded-for", "x-real-ip", "forwarded", "cf-connecting-ip", "cloudfront-viewer-address", "x-request-id"} {
			e.Headers[name] = "192.0.2.66"
		}
		payload, err := bridge.Invoke(context.Background(), e.JSON(t))
		if err != nil {
			t.Fatal(err)
		}
		if r := lambdatest.DecodeResponse(t, payload); r.StatusCode != http.StatusOK || r.Headers["X-Request-Id"] != e.RequestContext.RequestID {
			t.Errorf("%d, request %q", r.StatusCode, r.Headers["X-Request-Id"])
		}
		entries, err := written.Entries()
		if err != nil || len(entries) == 0 {
			t.Fatalf("%v in %s", err, &written)
		}
		last := entries[len(entries)-1]
		// A source IP that is not an address is named.
		if detail, named := last["detail"].(string); named != (tt.want == "") || !strings.Contains(detail, tt.source) && named {
			t.Errorf("%q: logged %v", tt.source, last)
		}
		if last["ip"] != tt.want || last["route"] != "GET /health" || last["requestId"] != e.RequestContext.RequestID {
			t.Errorf("%q: logged %v", tt.source, last)
		}
	}
	if strings.Contains(written.String(), "192.0.2.66") {
		t.Error("a header's address was taken")
	}
}

func TestNew_wantsRedis(t *testing.T) {
	if _, err := boot.New(mustLoad(t, map[string]string{"APP_ENV": "local"}), boot.NewLogger(io.Discard)); err == nil {
		t.Error("a service without a Redis was made")
	}
}

// What is no request is answered as a bad one, and nothing of it is printed:
// its URL may hold a token.
func TestInvoke_malformed(t *testing.T) {
	const token = "lka_secret"
	tests := map[string]func(*lambdatest.Event){
		"base64":            func(e *lambdatest.Event) { e.Body, e.IsBase64Encoded = "not base64!"+token, true },
		"base64 cut":        func(e *lambdatest.Event) { e.Body, e.IsBase64Encoded = "YWJj"+"YQ", true },
		"path":              func(e *lambdatest.Event) { e.RawPath = "/a%zz" + token },
		"path with control": func(e *lambdatest.Event) { e.RawPath = "/a\x7f" + token },
		"path with query":   func(e *lambdatest.Event) { e.RawPath = "/a?token=" + token },
		"path and fragment": func(e *lambdatest.Event) { e.RawPath = "/a#" + token },
		"fallback path":     func(e *lambdatest.Event) { e.RawPath, e.RequestContext.HTTP.Path = "", "/%"+token },
		"query escape":      func(e *lambdatest.Event) { e.RawQueryString = "access_token=" + token + "%zz" },
		"query control":     func(e *lambdatest.Event) { e.RawQueryString = "access_token=" + token + "\n" },
		"query semicolon":   func(e *lambdatest.Event) { e.RawQueryString = "a=1;access_token=" + token },
		"query fragment":    func(e *lambdatest.Event) { e.RawQueryString = "a=1#" + token },
		"method":            func(e *lambdatest.Event) { e.RequestContext.HTTP.Method = "GET " + token },
		"method folds":      func(e *lambdatest.Event) { e.RequestContext.HTTP.Method = "POſT" },
	}
	var printed bytes.Buffer
	before := log.Writer()
	log.SetOutput(&printed)
	defer log.SetOutput(before)
	cfg := mustLoad(t, deployed())
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	var written lambdatest.Output
	service, err := boot.New(cfg, boot.NewLogger(&written))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			e := lambdatest.NewEvent("POST", "/auth/login")
			spoil(&e)
			payload, err := newHandler(service.API.Login(), host).Invoke(context.Background(), e.JSON(t))
			if err != nil {
				t.Fatal(err)
			}
			if r := lambdatest.DecodeResponse(t, payload); r.StatusCode != http.StatusBadRequest || !strings.Contains(r.Body, "invalid_request") || strings.Contains(r.Body, token) {
				t.Errorf("answered %d %s", r.StatusCode, r.Body)
			}
		})
	}
	if printed.Len() > 0 {
		t.Errorf("printed %s", &printed)
	}
}

func keyedConfig(t *testing.T, addr string, changes ...string) config.Config {
	t.Helper()
	keyed := []string{"SESSION_KEYS_SECRET_ARN", keysARN, "SESSION_SECRET", "", "SESSION_ENCRYPTION_KEY", ""}
	cfg := mustLoad(t, deployed(append(keyed, changes...)...))
	cfg.Redis.Addr = addr
	return cfg
}

// Keys and connection come side by side: here the keys come only once Redis was
// reached.
func TestNewService_connectsBesideKeys(t *testing.T) {
	pinged := make(chan struct{})
	var once sync.Once
	f := redistest.NewFake(t, func(command string) string {
		if strings.HasPrefix(command, "hello") {
			return redistest.HelloReply
		}
		once.Do(func() { close(pinged) })
		return "+PONG\r\n"
	})
	s := awstest.NewSecretsManager(t, awstest.OneKey)
	s.Before = func() {
		select {
		case <-pinged:
		case <-time.After(10 * time.Second):
		}
	}
	cfg := keyedConfig(t, f.Addr)
	service, err := boot.NewService(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if opened, _ := f.Seen(); opened != 1 {
		t.Errorf("%d connections", opened)
	}
	// A Redis that is away keeps no function from starting.
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Redis.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(gone.Addr().(*net.TCPAddr).Port))
	gone.Close()
	s.Before = nil
	without, err := boot.NewService(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = without.Close()
}
