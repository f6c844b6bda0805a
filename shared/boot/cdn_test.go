package boot_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/authorizer"
	"latchkey/shared/boot"
)

const (
	originARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/cdn-AbCdEf"

	// Drawn once for these tests; they open nothing.
	edgeSecret  = "u7Qm2ZtX9bLk4VnR0sWc6YpHd3JgFa8E"
	otherSecret = "Kf5TzN1rBy8XqGm3WvUe0Lj7HsPc4DoA"
)

// health asks a function behind a CDN, as the events of API Gateway show it, and returns the status and the address that
// was logged.
func health(t *testing.T, service *boot.Service, log *lambdatest.Output, headers ...string) (int, any) {
	t.Helper()
	e := lambdatest.NewEvent("GET", "/health")
	for i := 0; i < len(headers); i += 2 {
		e.Headers[headers[i]] = headers[i+1]
	}
	f := service.WithKeyRefresh(newHandler(service.API.Health(), host))
	payload, err := f.Invoke(context.Background(), e.JSON(t))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := log.Entries()
	if err != nil || len(entries) == 0 {
		t.Fatalf("%v in %s", err, log)
	}
	return lambdatest.DecodeResponse(t, payload).StatusCode, entries[len(entries)-1]["ip"]
}

// With the secret in a variable: what API Gateway sends of a doubled header is joined by a comma, and is not the secret.
func TestService_behindACDN(t *testing.T) {
	cfg := mustLoad(t, deployed("ORIGIN_VERIFY_SECRET", otherSecret+","+edgeSecret, "CLIENT_ADDRESS_HEADER", "cloudfront-viewer-address"))
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	var log lambdatest.Output
	service, err := boot.New(cfg, boot.NewLogger(&log))
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	const viewer, gateways = "2001:db8::7", "203.0.113.7"
	for name, c := range map[string]struct {
		secret string
		status int
		ip     string
	}{
		"the secret": {edgeSecret, 200, viewer}, "the other value": {otherSecret, 200, viewer}, "a wrong one": {"x", 403, gateways}, "none": {"", 403, gateways},
		"doubled": {edgeSecret + "," + edgeSecret, 403, gateways}, "both": {otherSecret + "," + edgeSecret, 403, gateways},
	} {
		status, ip := health(t, service, &log, "x-origin-verify", c.secret, "cloudfront-viewer-address", viewer+":46532")
		if status != c.status || ip != c.ip {
			t.Errorf("%s: %d from %v", name, status, ip)
		}
	}
	if status, ip := health(t, service, &log, "X-Origin-Verify", edgeSecret, "x-origin-verify", edgeSecret); status != 403 || ip != gateways {
		t.Errorf("in two spellings: %d from %v", status, ip)
	}
	if strings.Contains(log.String(), edgeSecret) || strings.Contains(log.String(), otherSecret) {
		t.Errorf("logged %s", &log)
	}
}

// With the secret in Secrets Manager: it is fetched at the start, and once a minute for an unknown value. Nobody is refused
// while it rotates, and the authorizer learns of it in the same way.
func TestService_rotatesTheSecretOfACDN(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, edgeSecret)
	var log lambdatest.Output
	cfg := mustLoad(t, deployed("ORIGIN_VERIFY_SECRET_ARN", originARN, "CLIENT_ADDRESS_HEADER", "cloudfront-viewer-address"))
	cfg.Redis.Addr = redistest.Embedded(t).Addr
	service, err := boot.NewService(context.Background(), cfg, s.Environment(c, &log), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	s.Expect(t, "the start", 1)
	wants := func(what, value string, status, calls int) {
		t.Helper()
		if got, _ := health(t, service, &log, "x-origin-verify", value); got != status {
			t.Errorf("%s: %d, want %d", what, got, status)
		}
		s.Expect(t, what, calls)
	}
	wants("the secret", edgeSecret, 200, 0)
	s.Set(edgeSecret + "," + otherSecret)
	c.Add(time.Minute)
	wants("the old value", edgeSecret, 200, 0)
	wants("the new value", otherSecret, 200, 1)
	c.Add(time.Minute)
	wants("a forged one", "x", 403, 1)
	wants("another", "y", 403, 0)
	s.Set(otherSecret)
	c.Add(10 * time.Minute)
	wants("the removed value, ten minutes later", edgeSecret, 403, 1)

	// The authorizer refuses nothing for it.
	text, err := os.ReadFile("../authorizer/testdata/http2.json")
	if err != nil {
		t.Fatal(err)
	}
	event := strings.Replace(string(text), `"headers": {`, `"headers": {"x-origin-verify": "z", `, 1)
	if event == string(text) {
		t.Fatal("the event has no headers")
	}
	c.Add(time.Minute)
	_, err = service.WithKeyRefresh(authorizer.New(service.API, nil)).Invoke(context.Background(), []byte(event))
	if err != nil || strings.Contains(log.String(), `"type":"authorize","outcome":"failure","reason":"edge_required"`) {
		t.Errorf("%v, logged %s", err, &log)
	}
	s.Expect(t, "the authorizer", 1)
	if strings.Contains(log.String(), edgeSecret) || strings.Contains(log.String(), otherSecret) {
		t.Errorf("logged %s", &log)
	}
}

// The secret comes beside the keys: each waits for the other here. Without it a function does not start.
func TestNewService_secretOfACDN(t *testing.T) {
	s := awstest.NewSecretsManager(t, "")
	s.Fail(func(w http.ResponseWriter, _ *http.Request) {
		awstest.Refuse(w, "ResourceNotFoundException", "no such secret")
	})
	var arrived atomic.Int64
	both := make(chan struct{})
	s.Before = func() {
		if arrived.Add(1) == 2 {
			close(both)
		}
		select {
		case <-both:
		case <-time.After(10 * time.Second):
		}
	}
	cfg := keyedConfig(t, redistest.Embedded(t).Addr, "ORIGIN_VERIFY_SECRET_ARN", originARN)
	_, err := boot.NewService(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard), nil)
	if err == nil || !strings.Contains(err.Error(), "ORIGIN_VERIFY_SECRET_ARN: reading the values") || !strings.Contains(err.Error(), "SESSION_KEYS_SECRET_ARN: ") {
		t.Errorf("started with %v", err)
	}
	s.Expect(t, "the start", 2) // more if one waits for the other in vain, and is repeated
}
