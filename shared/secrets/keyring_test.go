package secrets_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/shared/config"
	"latchkey/shared/lambdahttp"
	"latchkey/shared/seal"
	"latchkey/shared/secrets"
	"latchkey/shared/session"
)

const keysARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/keys-AbCdEf"

var keyed = config.Config{KeysSecretARN: keysARN, Session: session.Options{Prefix: "lk"}}

// newKeyRing makes a key ring whose keys come from that fake.
func newKeyRing(t *testing.T, s *awstest.SecretsManager, c *awstest.Clock, log io.Writer) *secrets.KeyRing {
	t.Helper()
	keys, err := secrets.NewKeyRing(context.Background(), keyed, s.Environment(c, log))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestKeyRing_fetchKey(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	keys := newKeyRing(t, s, c, io.Discard)
	s.Expect(t, "the start", 1)
	first, second := awstest.KeyIDs(t, awstest.TwoKeys)
	if !keys.Ring().Has(first) || keys.Ring().Has(second) {
		t.Fatal("the first document is not the one that was served")
	}
	fetchKey := func(what string, id seal.KeyID, want error, calls int) {
		t.Helper()
		if err := keys.FetchKey(context.Background(), id); !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		s.Expect(t, what, calls)
	}
	s.Set(awstest.TwoKeys)
	fetchKey("a key that it has", first, nil, 0)
	fetchKey("within a minute of the start", second, seal.ErrUnknownKey, 0)
	c.Add(time.Minute - 1)
	fetchKey("a moment before it is over", second, seal.ErrUnknownKey, 0)
	c.Add(1)
	fetchKey("after it", second, nil, 1)
	fetchKey("once it has it", second, nil, 0)
	unknown := seal.KeyID{1, 2, 3, 4}
	fetchKey("a key that is none, within a minute", unknown, seal.ErrUnknownKey, 0)
	c.Add(time.Hour)
	fetchKey("a key that is none", unknown, seal.ErrUnknownKey, 1)
	fetchKey("and another", seal.KeyID{}, seal.ErrUnknownKey, 0)
	c.Add(-time.Hour)
	fetchKey("a clock that was set back", unknown, seal.ErrUnknownKey, 1)
}

// However many meet a new key at once, it is fetched once and all of them have
// it.
func TestKeyRing_fetchKey_race(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	keys := newKeyRing(t, s, c, io.Discard)
	_, second := awstest.KeyIDs(t, awstest.TwoKeys)
	s.Set(awstest.TwoKeys)
	s.Calls()
	c.Add(time.Hour)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if err := keys.FetchKey(context.Background(), second); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { keys.Refresh(context.Background()) })
	}
	all.Wait()
	s.Expect(t, "thirty callers", 1)
}

// A failure leaves the former keys in use, is not repeated within the minute,
// and is one line in the log.
func TestKeyRing_failure(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.TwoKeys)
	var log lambdatest.Output
	keys := newKeyRing(t, s, c, &log)
	first, second := awstest.KeyIDs(t, awstest.TwoKeys)
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
		keys.Refresh(context.Background())
		s.Expect(t, what, 1)
		if !keys.Ring().Has(first) || !keys.Ring().Has(second) {
			t.Errorf("%s: a key is gone", what)
		}
		for range 3 {
			keys.Refresh(context.Background())
			if err := keys.FetchKey(context.Background(), seal.KeyID{9}); err == nil || errors.Is(err, seal.ErrUnknownKey) {
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
	keys.Refresh(context.Background())
	if err := keys.FetchKey(context.Background(), seal.KeyID{9}); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("after all is well again: %v", err)
	}
	s.Expect(t, "after all is well again", 1)
}

// What is ten minutes old is read anew as an invocation begins, and a key that
// is not there any more opens nothing.
func TestKeyRing_refresh(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.TwoKeys)
	keys := newKeyRing(t, s, c, io.Discard)
	_, second := awstest.KeyIDs(t, awstest.TwoKeys)
	s.Calls()
	s.Set(awstest.OneKey)
	function := keys.WithRefresh(lambdahttp.Sweep(func(context.Context) error { return nil }))
	invoke := func(what string, calls int, has bool) {
		t.Helper()
		if _, err := function.Invoke(context.Background(), nil); err != nil {
			t.Error(err)
		}
		s.Expect(t, what, calls)
		if keys.Ring().Has(second) != has {
			t.Errorf("%s: has the key: %v", what, !has)
		}
	}
	invoke("at once", 0, true)
	c.Add(10*time.Minute - 1)
	invoke("before ten minutes are over", 0, true)
	c.Add(1)
	invoke("after ten minutes", 1, false)
	invoke("once more", 0, false)
	if err := keys.FetchKey(context.Background(), second); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("a key that was taken away is answered with %v", err)
	}
	s.Expect(t, "asking for it", 0)
}

// Without its keys a function does not start, and says why without saying more
// than it may.
func TestKeyRing_startFails(t *testing.T) {
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
		"bare":       {func(s *awstest.SecretsManager) { s.Set(awstest.FirstSecret) }, "must be a JSON object"},
		"out of use": {func(s *awstest.SecretsManager) { s.URL = "http://127.0.0.1:1" }, "calling Secrets Manager"},
	} {
		s := awstest.NewSecretsManager(t, awstest.OneKey)
		tt.change(s)
		keys, err := secrets.NewKeyRing(context.Background(), keyed, s.Environment(c, io.Discard))
		if err == nil || keys != nil {
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
func TestKeyRing_newCredentials(t *testing.T) {
	c, s := awstest.NewClock(awstest.Start), awstest.NewSecretsManager(t, awstest.OneKey)
	around := s.Environment(c, io.Discard)
	id, lambda := "AKIDONE", around.Getenv
	around.Getenv = func(name string) string {
		if name == "AWS_ACCESS_KEY_ID" {
			return id
		}
		return lambda(name)
	}
	keys, err := secrets.NewKeyRing(context.Background(), keyed, around)
	if err != nil {
		t.Fatal(err)
	}
	id = "AKIDTWO"
	c.Add(time.Hour)
	keys.Refresh(context.Background())
	calls := s.Calls()
	for i, want := range []string{"AKIDONE/", "AKIDTWO/"} {
		if got := calls[i].Header; !strings.Contains(got.Get("Authorization"), want) || got.Get("X-Amz-Security-Token") == "" ||
			!strings.Contains(got.Get("Authorization"), "/eu-central-1/secretsmanager/aws4_request") {
			t.Errorf("call %d was signed as %q", i, got.Get("Authorization"))
		}
	}
	id = ""
	c.Add(time.Hour)
	if err := keys.FetchKey(context.Background(), seal.KeyID{9}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("without credentials: %v", err)
	}
}
