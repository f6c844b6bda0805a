package redisconn_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"latchkey/local/test/awstest"
	"latchkey/local/test/lambdatest"
	"latchkey/local/test/redistest"
	"latchkey/shared/config"
	"latchkey/shared/redisconn"
)

const passwordARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:latchkey/redis-AbCdEf"

func TestParseCredential(t *testing.T) {
	for text, want := range map[string][2]string{
		"pass word":                            {"app", "pass word"},
		"{pass":                                {"app", "{pass"},
		"12345":                                {"app", "12345"},
		`{"password":"pw"}`:                    {"app", "pw"},
		`{"username":"other","password":"pw"}`: {"other", "pw"},
		`{"username":"","password":"pw","a":[1]}`: {"", "pw"},
	} {
		if username, password, err := redisconn.ParseCredential(text, "app"); err != nil || username != want[0] || password != want[1] {
			t.Errorf("%s: %q %q, %v", text, username, password, err)
		}
	}
	for _, text := range []string{"", "{}", `{"password":""}`, `{"password":null}`, `{"Username":"s3cr3t"}`} {
		if _, _, err := redisconn.ParseCredential(text, "app"); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A password that was rotated is taken up by the connections that come after,
// and no caller hears of it.
func TestClient_rotatedPassword(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, c := context.Background(), newGuarded(t, e), awstest.NewClock(awstest.Start)
		s := awstest.NewSecretsManager(t, `{"username":"app","password":"one"}`)
		g.takes("one")
		var log lambdatest.Output
		client := g.client(s.Environment(c, &log), config.Redis{PasswordSecretARN: passwordARN})
		s.Expect(t, "the start", 1)
		if who, err := client.Do(ctx, "ACL", "WHOAMI").Text(); err != nil || who != "app" {
			t.Fatalf("%q, %v", who, err)
		}

		g.takes("two")
		s.Set(`{"username":"app","password":"two"}`)
		if err := client.Ping(ctx).Err(); err != nil {
			t.Errorf("a connection that is open: %v", err)
		}
		s.Expect(t, "a connection that is open", 0)
		occupied(t, client)
		c.Add(time.Minute)
		if err := client.Ping(ctx).Err(); err != nil {
			t.Errorf("a new connection: %v", err)
		}
		s.Expect(t, "a new connection", 1)

		// Refused again within the minute: nothing is fetched, and the refusal is
		// the answer.
		g.takes("three")
		s.Set("three")
		occupied(t, client)
		for range 3 {
			if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Errorf("refused within a minute: %v", err)
			}
		}
		s.Expect(t, "refused within a minute", 0)
		c.Add(time.Minute)
		s.Fail(func(w http.ResponseWriter, _ *http.Request) { awstest.Refuse(w, "AccessDeniedException", "no") })
		for range 3 {
			if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Errorf("while nobody can tell: %v", err)
			}
		}
		s.Expect(t, "while nobody can tell", 1)
		if strings.Count(log.String(), `"msg":"secret not renewed","variable":"REDIS_PASSWORD_SECRET_ARN"`) != 1 {
			t.Errorf("logged %s", &log)
		}
	})
}

// However many are refused at once, the new password is fetched once and all
// are served; a pipeline too.
func TestClient_rotatedPassword_race(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, c := context.Background(), newGuarded(t, e), awstest.NewClock(awstest.Start)
		s := awstest.NewSecretsManager(t, "one")
		var log lambdatest.Output
		client := g.client(s.Environment(c, &log), config.Redis{PasswordSecretARN: passwordARN, Username: "app"})
		g.takes("two")
		s.Set("two")
		s.Calls()
		c.Add(time.Minute)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				var err error
				if i%2 == 0 {
					err = client.Ping(ctx).Err()
				} else {
					_, err = client.Pipelined(ctx, func(p redis.Pipeliner) error {
						p.Ping(ctx)
						return p.Echo(ctx, "x").Err()
					})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s.Expect(t, "ten callers", 1)
	})
}

func TestClient_passwordMissing(t *testing.T) {
	s := awstest.NewSecretsManager(t, `{"password":""}`)
	var log lambdatest.Output
	c, err := redisconn.New(context.Background(), config.Redis{Addr: "127.0.0.1:1", PasswordSecretARN: passwordARN}, s.Environment(awstest.NewClock(awstest.Start), &log))
	if err == nil || c != nil || !strings.HasPrefix(err.Error(), "REDIS_PASSWORD_SECRET_ARN: ") {
		t.Errorf("%v", err)
	}
}
