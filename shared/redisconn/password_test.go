package redisconn_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
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
		ctx, g, c := context.Background(), newGuardedPlain(t, e), awstest.NewClock(awstest.Start)
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
		if err := client.Ping(ctx).Err(); err != nil {
			t.Errorf("a new connection: %v", err)
		}
		s.Expect(t, "a new connection", 1)

		// Rotated again within the minute: it is fetched again.
		g.takes("three")
		s.Set(`{"username":"app","password":"three"}`)
		occupied(t, client)
		if err := client.Ping(ctx).Err(); err != nil {
			t.Errorf("rotated again: %v", err)
		}
		s.Expect(t, "rotated again", 1)

		g.takes("four")
		occupied(t, client)
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

// A password that is changed in Redis before Secrets Manager has it is taken up
// within two seconds of its arrival there, though the secret was fetched just
// before.
func TestClient_passwordChangedBeforeItsSecret(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, c := context.Background(), newGuardedPlain(t, e), awstest.NewClock(awstest.Start)
		s := awstest.NewSecretsManager(t, "one")
		var log lambdatest.Output
		client := g.client(s.Environment(c, &log), config.Redis{PasswordSecretARN: passwordARN, Username: "app"})
		s.Expect(t, "the start", 1)
		g.takes("two")
		for second, fetches := range []int{1, 1, 0, 1} { // at once, a second later, and two seconds after that
			for range 3 {
				if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
					t.Errorf("second %d: %v", second, err)
				}
				s.Expect(t, fmt.Sprint("second ", second), fetches)
				fetches = 0
			}
			c.Add(time.Second)
		}
		s.Set("two")
		for second := 0; client.Ping(ctx).Err() != nil; second++ {
			if second > 4 {
				t.Fatal("it is not taken up")
			}
			c.Add(time.Second)
		}
		s.Expect(t, "once it is there", 1)
	})
}

// A password that stays wrong is fetched at once, and then after pauses that
// double up to a minute. A change long after that begins anew.
func TestClient_wrongPasswordBacksOff(t *testing.T) {
	ctx, c := context.Background(), awstest.NewClock(awstest.Start)
	f := redistest.NewFake(t, func(string) string { return "-WRONGPASS invalid username-password pair or user is disabled.\r\n" })
	s := awstest.NewSecretsManager(t, "one")
	var log lambdatest.Output
	client, err := redisconn.New(ctx, config.Redis{Addr: f.Addr, PasswordSecretARN: passwordARN, Username: "app", PoolSize: 4}, s.Environment(c, &log))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.Expect(t, "the start", 1)
	fetched := func(seconds int) (at []int) {
		for second := range seconds {
			if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Fatalf("second %d: %v", second, err)
			}
			if len(s.Calls()) > 0 {
				at = append(at, second)
			}
			c.Add(time.Second)
		}
		return at
	}
	if at := fetched(250); !slices.Equal(at, []int{0, 1, 3, 7, 15, 31, 63, 123, 183, 243}) {
		t.Errorf("fetched in the seconds %v", at)
	}
	c.Add(time.Hour)
	if at := fetched(5); !slices.Equal(at, []int{0, 1, 3}) {
		t.Errorf("an hour later, fetched in the seconds %v", at)
	}
	c.Add(-24 * time.Hour)
	if at := fetched(1); !slices.Equal(at, []int{0}) {
		t.Errorf("with the clock set back, fetched in the seconds %v", at)
	}
}

// Callers that are refused while one fetches wait for what it finds, and do not
// fetch for themselves, however long that takes.
func TestClient_wrongPassword_race(t *testing.T) {
	ctx, c := context.Background(), awstest.NewClock(awstest.Start)
	const callers = 10
	f := redistest.NewFake(t, func(string) string { return "-WRONGPASS invalid username-password pair or user is disabled.\r\n" })
	s := awstest.NewSecretsManager(t, "one")
	var log lambdatest.Output
	client, err := redisconn.New(ctx, config.Redis{Addr: f.Addr, PasswordSecretARN: passwordARN, Username: "app", PoolSize: callers}, s.Environment(c, &log))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.Calls()
	s.Before = func() { c.Add(3 * time.Second) }
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := client.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.Expect(t, "ten callers", 1)
}

// However many are refused at once, the new password is fetched once and all
// are served; a pipeline too.
func TestClient_rotatedPassword_race(t *testing.T) {
	redistest.EachEngine(t, func(t *testing.T, e redistest.Engine) {
		ctx, g, c := context.Background(), newGuardedPlain(t, e), awstest.NewClock(awstest.Start)
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
