package boot_test

import (
	"context"
	"errors"
	"io"
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
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"
)

// keyIDs are those of a document's first and last key.
func keyIDs(t *testing.T, document string) (first, last seal.KeyID) {
	t.Helper()
	d, err := seal.ParseDocument(document)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := d.Ring("x")
	if err != nil {
		t.Fatal(err)
	}
	return ring.Current(awstest.Start), ring.Current(awstest.Start.Add(100 * 24 * time.Hour))
}

// serving is a service on an embedded Redis whose keys come from that stand-in.
func serving(t *testing.T, s *awstest.SecretsManager, c *awstest.Clock, log io.Writer) *boot.Service {
	t.Helper()
	service, err := boot.NewService(context.Background(), keyedConfig(t, redistest.Embedded(t).Addr), s.Environment(c, log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return service
}

func keyedConfig(t *testing.T, addr string) config.Config {
	t.Helper()
	cfg := mustLoad(t, deployed("SESSION_KEYS_SECRET_ARN", keysARN, "SESSION_SECRET", "", "SESSION_ENCRYPTION_KEY", ""))
	cfg.Redis.Addr = addr
	return cfg
}

func TestKeys_learn(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	service := serving(t, s, c, io.Discard)
	s.Expect(t, "the start", 1)
	first, second := keyIDs(t, awstest.TwoKeys)
	if !service.Has(first) || service.Has(second) {
		t.Fatal("the first document is not the one that was served")
	}
	learn := func(what string, id seal.KeyID, want error, calls int) {
		t.Helper()
		if err := service.Learn(id); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		s.Expect(t, what, calls)
	}
	s.Set(awstest.TwoKeys)
	learn("a key that it has", first, nil, 0)
	learn("within a minute of the start", second, seal.ErrUnknownKey, 0)
	c.Add(time.Minute - 1)
	learn("a moment before it is over", second, seal.ErrUnknownKey, 0)
	c.Add(1)
	learn("after it", second, nil, 1)
	learn("once it has it", second, nil, 0)
	stranger := seal.KeyID{1, 2, 3, 4}
	learn("a key that is none, within a minute", stranger, seal.ErrUnknownKey, 0)
	c.Add(time.Hour)
	learn("a key that is none", stranger, seal.ErrUnknownKey, 1)
	learn("and another", seal.KeyID{}, seal.ErrUnknownKey, 0)
	c.Add(-time.Hour)
	learn("a clock that was set back", stranger, seal.ErrUnknownKey, 1)
}

// However many meet a new key at once, it is fetched once and all of them have it.
func TestKeys_learn_race(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	service := serving(t, s, c, io.Discard)
	_, second := keyIDs(t, awstest.TwoKeys)
	s.Set(awstest.TwoKeys)
	s.Calls()
	c.Add(time.Hour)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if err := service.Learn(second); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { service.Refresh() })
	}
	all.Wait()
	s.Expect(t, "thirty callers", 1)
}

// A failure leaves the former keys in use, is not repeated within the minute, and is one line in the log.
func TestKeys_failure(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.TwoKeys)
	var log lambdatest.Output
	service := serving(t, s, c, &log)
	first, second := keyIDs(t, awstest.TwoKeys)
	s.Calls()
	c.Add(time.Hour)
	lines := 0
	for what, change := range map[string]func(){
		"access denied": func() {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) {
				awstest.Refuse(w, "AccessDeniedException", "no identity-based policy")
			})
		},
		"no document":    func() { s.Set("lost") },
		"a weak secret":  func() { s.Set(strings.Replace(awstest.TwoKeys, awstest.SecondSecret, strings.Repeat("a", 64), 1)) },
		"another lookup": func() { s.Set(strings.Replace(awstest.TwoKeys, `"lookup":"k1"`, `"lookup":"k2"`, 1)) },
		"no lookup":      func() { s.Set(strings.Replace(awstest.TwoKeys, `"k1":"`+awstest.FirstSecret+`",`, ``, 1)) },
	} {
		change()
		c.Add(time.Minute)
		service.Refresh()
		s.Expect(t, what, 1)
		if !service.Has(first) || !service.Has(second) {
			t.Errorf("%s: a key is gone", what)
		}
		for range 3 {
			service.Refresh()
			if err := service.Learn(seal.KeyID{9}); err == nil || errors.Is(err, seal.ErrUnknownKey) {
				t.Errorf("%s: a key that nobody can tell of is answered with %v", what, err)
			}
		}
		s.Expect(t, what+", again", 0)
		lines++
	}
	entries, err := log.Entries()
	if err != nil || len(entries) != lines {
		t.Errorf("%d failures, logged %s", lines, &log)
	}
	for _, hidden := range []string{awstest.FirstSecret[:8], awstest.SecondSecret[:8], "AKID", "wJalr", "session+token"} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("%q is in the log: %s", hidden, &log)
		}
	}
	s.Set(awstest.TwoKeys)
	c.Add(time.Minute)
	service.Refresh()
	if err := service.Learn(seal.KeyID{9}); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("after all is well again: %v", err)
	}
	s.Expect(t, "after all is well again", 1)
}

// What is ten minutes old is read anew as an invocation begins, and a key that is not there any more opens nothing.
func TestKeys_refresh(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.TwoKeys)
	service := serving(t, s, c, io.Discard)
	_, second := keyIDs(t, awstest.TwoKeys)
	s.Calls()
	s.Set(awstest.OneKey)
	function := service.Keep(lambdahttp.NewSweep(func(context.Context) error { return nil }))
	invoke := func(what string, calls int, has bool) {
		t.Helper()
		if _, err := function.Invoke(context.Background(), nil); err != nil {
			t.Error(err)
		}
		s.Expect(t, what, calls)
		if service.Has(second) != has {
			t.Errorf("%s: has the key: %v", what, !has)
		}
	}
	invoke("at once", 0, true)
	c.Add(10*time.Minute - 1)
	invoke("before ten minutes are over", 0, true)
	c.Add(1)
	invoke("after ten minutes", 1, false)
	invoke("once more", 0, false)
	if err := service.Learn(second); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("a key that was taken away is answered with %v", err)
	}
	s.Expect(t, "asking for it", 0)
}

// Without its keys a function does not start, and says why without saying more than it may.
func TestKeys_startFails(t *testing.T) {
	c := awstest.NewClock(awstest.Start)
	canonical := "The Canonical String for this request should have been 'POST\n/\n\nx-amz-security-token:session+token/of=the role"
	for what, tt := range map[string]struct {
		change func(s *awstest.SecretsManager)
		says   string
	}{
		"access denied": {func(s *awstest.SecretsManager) {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) {
				awstest.Refuse(w, "AccessDeniedException", "no identity-based policy")
			})
		}, "AccessDeniedException: no identity-based policy"},
		"signature": {func(s *awstest.SecretsManager) {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) {
				awstest.Refuse(w, "InvalidSignatureException", canonical)
			})
		}, "InvalidSignatureException"},
		"500": {func(s *awstest.SecretsManager) {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		}, "Secrets Manager"},
		"not JSON": {func(s *awstest.SecretsManager) {
			s.Fail(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, awstest.TwoKeys[:70]) })
		}, "Secrets Manager"},
		"short": {func(s *awstest.SecretsManager) {
			s.Set(strings.Replace(awstest.OneKey, awstest.FirstSecret, awstest.FirstSecret[:20], 1))
		}, "k1: the secret has 20 bytes"},
		"a sample": {func(s *awstest.SecretsManager) {
			s.Set(strings.Replace(awstest.OneKey, awstest.FirstSecret, "change-me-"+awstest.FirstSecret, 1))
		}, "k1: is an example"},
		"bare":       {func(s *awstest.SecretsManager) { s.Set(awstest.FirstSecret) }, "no JSON object"},
		"out of use": {func(s *awstest.SecretsManager) { s.URL = "http://127.0.0.1:1" }, "asking Secrets Manager"},
	} {
		s := awstest.NewSecretsManager(t, awstest.OneKey)
		tt.change(s)
		service, err := boot.NewService(context.Background(), keyedConfig(t, redistest.Embedded(t).Addr), s.Environment(c, io.Discard))
		if err == nil || service != nil {
			t.Errorf("%s: started", what)
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, "SESSION_KEYS_SECRET_ARN: ") || !strings.Contains(got, tt.says) {
			t.Errorf("%s: %q does not say %q", what, got, tt.says)
		}
		for _, hidden := range []string{awstest.FirstSecret[:8], "session+token", "wJalr"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: the error holds %q: %v", what, hidden, err)
			}
		}
	}
}

// The role's credentials are read at every call: Lambda may put new ones there.
func TestKeys_newCredentials(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	around := s.Environment(c, io.Discard)
	id, lambda := "AKIDONE", around.Getenv
	around.Getenv = func(name string) string {
		if name == "AWS_ACCESS_KEY_ID" {
			return id
		}
		return lambda(name)
	}
	service, err := boot.NewService(context.Background(), keyedConfig(t, redistest.Embedded(t).Addr), around)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	id = "AKIDTWO"
	c.Add(time.Hour)
	service.Refresh()
	calls := s.Calls()
	for i, want := range []string{"AKIDONE/", "AKIDTWO/"} {
		if got := calls[i].Header; !strings.Contains(got.Get("Authorization"), want) || got.Get("X-Amz-Security-Token") == "" ||
			!strings.Contains(got.Get("Authorization"), "/eu-central-1/secretsmanager/aws4_request") {
			t.Errorf("call %d was signed as %q", i, got.Get("Authorization"))
		}
	}
	id = ""
	c.Add(time.Hour)
	if err := service.Learn(seal.KeyID{9}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("without credentials: %v", err)
	}
}

// Keys and connection come side by side: here the keys come only once Redis was reached.
func TestKeys_besideRedis(t *testing.T) {
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
	service, err := boot.NewService(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard))
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
	without, err := boot.NewService(context.Background(), cfg, s.Environment(awstest.NewClock(awstest.Start), io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	_ = without.Close()
}
