package secrets_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/secrets"
)

const (
	originARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/cdn-AbCdEf"

	// Drawn once for these tests; they open nothing.
	oldValue = "u7Qm2ZtX9bLk4VnR0sWc6YpHd3JgFa8E"
	newValue = "Kf5TzN1rBy8XqGm3WvUe0Lj7HsPc4DoA"
)

var behindCDN = config.Config{OriginVerifyARN: originARN}

func newOriginSecret(t *testing.T, s *awstest.SecretsManager, c *awstest.Clock, log io.Writer) *secrets.OriginSecret {
	t.Helper()
	o, err := secrets.NewOriginSecret(context.Background(), behindCDN, s.Environment(c, log))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A secret rotates without a restart and without a refusal: a new value is accepted from the first request that has it, and
// a removed one is refused ten minutes later at the latest. However many unknown values come, it is fetched once a minute.
func TestOriginSecret_rotation(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, oldValue+"\n")
	o := newOriginSecret(t, s, c, io.Discard)
	s.Expect(t, "the start", 1)
	verify := func(what, value string, want bool, calls int) {
		t.Helper()
		if got := o.Verify(context.Background(), value); got != want {
			t.Errorf("%s: %v", what, got)
		}
		s.Expect(t, what, calls)
	}
	verify("the value", oldValue, true, 0)
	verify("an unknown one, within a minute of the start", newValue, false, 0)
	s.Set(oldValue + " , " + newValue)
	c.Add(time.Minute)
	verify("the old value, while both are accepted", oldValue, true, 0)
	verify("the new value, for the first time", newValue, true, 1)
	verify("the new value", newValue, true, 0)
	verify("the old value", oldValue, true, 0)
	verify("an unknown one, within the minute", "x", false, 0)
	c.Add(time.Minute)
	for i, calls := range []int{1, 0, 0} {
		verify("unknown ones", strings.Repeat("x", i), false, calls)
	}

	s.Set(newValue)
	f := o.WithRefresh(lambdahttp.Sweep(func(context.Context) error { return nil }))
	invoke := func(what string, calls int) {
		t.Helper()
		if _, err := f.Invoke(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		s.Expect(t, what, calls)
	}
	c.Add(10*time.Minute - 1)
	invoke("an invocation before ten minutes", 0)
	verify("the removed value, before ten minutes", oldValue, true, 0)
	c.Add(1)
	invoke("an invocation after them", 1)
	verify("the removed value", oldValue, false, 0)
	verify("the new value alone", newValue, true, 0)
}

// However many meet a new value at once, it is fetched once, and none of them is refused. Known values do not wait.
func TestOriginSecret_race(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, oldValue)
	o := newOriginSecret(t, s, c, io.Discard)
	s.Calls()
	s.Set(oldValue + "," + newValue)
	c.Add(time.Hour)
	known := make(chan struct{})
	s.Before = func() { <-known } // nothing is fetched before that
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if !o.Verify(context.Background(), newValue) {
				t.Error("a new value is refused")
			}
		})
	}
	if !o.Verify(context.Background(), oldValue) {
		t.Error("a known value is refused")
	}
	close(known)
	all.Wait()
	s.Expect(t, "thirty callers", 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if o.Verify(ctx, "x") || !o.Verify(ctx, newValue) {
		t.Error("the end of an invocation changes what is known")
	}
}

// Keys and the secret of a CDN are fetched again at the same time: each waits for the other here.
func TestWithRefresh_sideBySide(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	keys := newKeyRing(t, s, c, io.Discard)
	s.Set(oldValue)
	o := newOriginSecret(t, s, c, io.Discard)
	f := o.WithRefresh(keys.WithRefresh(lambdahttp.Sweep(func(context.Context) error { return nil })))
	s.Calls()
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
	c.Add(10 * time.Minute)
	if _, err := f.Invoke(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	s.Expect(t, "after ten minutes", 2) // more if one waits for the other in vain, and is repeated
	if _, err := f.Invoke(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	s.Expect(t, "within them", 0)
}

// A failure leaves the former values in use, is not repeated within the minute, and its line in the log holds no value.
func TestOriginSecret_failure(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, oldValue)
	var log lambdatest.Output
	o := newOriginSecret(t, s, c, &log)
	s.Calls()
	lines := 0
	for what, change := range map[string]func(){
		"access denied": func() {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) {
				awstest.Refuse(w, "AccessDeniedException", "no identity-based policy")
			})
		},
		"an empty secret": func() { s.Set("") },
		"a short value":   func() { s.Set(newValue + "," + newValue[:20]) },
		"a sample":        func() { s.Set("sample-origin-verify-secret-of-a-document") },
		"JSON":            func() { s.Set(`{"value":"` + newValue + `"}`) },
	} {
		change()
		c.Add(time.Minute)
		for range 3 {
			if o.Verify(context.Background(), newValue) || !o.Verify(context.Background(), oldValue) {
				t.Errorf("%s: not the former values", what)
			}
		}
		s.Expect(t, what, 1)
		lines++
		if n := strings.Count(log.String(), `"msg":"secret not renewed","variable":"ORIGIN_VERIFY_SECRET_ARN"`); n != lines {
			t.Errorf("%s: %d lines, want %d: %s", what, n, lines, &log)
		}
	}
	for _, value := range []string{newValue, newValue[:20], oldValue} {
		if strings.Contains(log.String(), value) {
			t.Errorf("logged %s", &log)
		}
	}
}

// A function without the secret does not start, and the error names the variable and no value.
func TestOriginSecret_start(t *testing.T) {
	for what, text := range map[string]string{
		"an empty secret": "", "a short value": oldValue[:31], "a sample": "sample-origin-verify-secret-of-a-document", "JSON": `{"value":"` + oldValue + `"}`,
	} {
		s := awstest.NewSecretsManager(t, text)
		_, err := secrets.NewOriginSecret(context.Background(), behindCDN, s.Environment(awstest.NewClock(awstest.Start), io.Discard))
		if err == nil || !strings.HasPrefix(err.Error(), "ORIGIN_VERIFY_SECRET_ARN: ") || text != "" && strings.Contains(err.Error(), text) ||
			strings.Contains(err.Error(), oldValue[:20]) {
			t.Errorf("%s: %v", what, err)
		}
	}
	local := behindCDN
	local.Local = true
	s := awstest.NewSecretsManager(t, "sample-origin-verify-secret-of-a-document")
	if _, err := secrets.NewOriginSecret(context.Background(), local, s.Environment(awstest.NewClock(awstest.Start), io.Discard)); err != nil {
		t.Errorf("a sample is refused in local: %v", err)
	}
}
